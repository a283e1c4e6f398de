"""A NOT NULL column whose type reads a stored value as None: its row is there all the same."""

from typing import Any

import attrs
import pytest
from real import filled
from sqlalchemy import JSON, ForeignKey, String, TypeDecorator
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import UserDefinedType

from loadplan import LoadPlan, load


class Blank(UserDefinedType[str | None]):
    """Text, and None for the empty text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(9)"

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: value or None


class BlankVariant(TypeDecorator[str]):
    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value or None


class Base(DeclarativeBase):
    pass


class Case(Base):
    __tablename__ = "asnone_cases"
    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any] = mapped_column(JSON, nullable=False)
    blank: Mapped[str] = mapped_column(Blank, nullable=False)
    varied: Mapped[str] = mapped_column(
        String(9).with_variant(BlankVariant(9), "sqlite", "postgresql", "mariadb"), nullable=False
    )


class Note(Base):
    __tablename__ = "asnone_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey(Case.id))
    case: Mapped[Case | None] = relationship()


@attrs.frozen
class DataView:
    data: Any


@attrs.frozen
class BlankView:
    blank: Any


@attrs.frozen
class VariedView:
    varied: Any


ROWS = [
    "INSERT INTO asnone_cases VALUES (1, 'null', '', ''), (2, '1', 'x', 'y')",
    "INSERT INTO asnone_notes VALUES (1, 1), (2, 2), (3, NULL)",
]


@pytest.mark.parametrize(("view", "value"), [(DataView, 1), (BlankView, "x"), (VariedView, "y")])
async def test_a_joined_view_of_a_row_whose_value_reads_as_none(engine: AsyncEngine, view: Any, value: Any) -> None:
    """JSON's ``null``, and whatever an application's own type reads as None, do not stand for a missing row."""
    note = attrs.make_class("NoteView", {"id": attrs.field(type=int), "case": attrs.field(type=view | None)})
    async with filled(engine, Base.metadata, *ROWS) as loader:
        found = await loader.fetch_all(LoadPlan(Note, load(Note.case, strategy="joined"), into=note), order_by=Note.id)
        assert [each.case for each in found] == [view(None), view(value), None]  # type: ignore[attr-defined]
