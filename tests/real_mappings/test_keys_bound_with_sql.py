"""Composite keys of types that bind with SQL. SQLAlchemy ignores ``bind_expression`` within an IN of rows."""

from typing import Any

import pytest
import sqlalchemy as sa
from real import filled, lazily
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load
from support import recording


class LowerText(sa.TypeDecorator[str]):
    """Stores small letters, and reads capitals."""

    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.lower(bindvalue, type_=sa.String())

    def column_expression(self, column: Any) -> Any:
        return sa.func.upper(column, type_=self)


class LowerOfDatabase(sa.types.UserDefinedType[str]):
    """A type that SQLAlchemy does not know. Its stored value cannot be bound again, only the value in Python."""

    cache_ok = True

    def get_col_spec(self, **_words: Any) -> str:
        return "VARCHAR(20)"

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.lower(sa.type_coerce(bindvalue, sa.String()), type_=sa.String())

    def column_expression(self, column: Any) -> Any:
        return sa.func.upper(sa.type_coerce(column, sa.String()), type_=self)


@pytest.mark.parametrize("kind", [LowerText(20), LowerOfDatabase()], ids=lambda each: type(each).__name__)
async def test_composite_keys_bound_with_sql(engine: AsyncEngine, kind: Any) -> None:
    """By ids, by the keys of parents, and a whole tree: every row is found, also in a second chunk of keys."""

    class Base(DeclarativeBase):
        pass

    class Part(Base):
        __tablename__ = "bound_with_sql"
        name: Mapped[Any] = mapped_column(kind, primary_key=True)
        number: Mapped[int] = mapped_column(primary_key=True)
        in_name: Mapped[Any | None] = mapped_column(kind)
        in_number: Mapped[int | None]
        whole: Mapped["Part | None"] = relationship(remote_side=[name, number], back_populates="parts")
        parts: Mapped[list["Part"]] = relationship(back_populates="whole", order_by=number)
        __table_args__ = (
            sa.ForeignKeyConstraint(["in_name", "in_number"], ["bound_with_sql.name", "bound_with_sql.number"]),
        )

    stored = [Part(name="Aa", number=1)]
    stored += [Part(name="bB", number=at, in_name="AA", in_number=1) for at in range(2, 600)]
    stored += [Part(name="Cc", number=600, in_name="Bb", in_number=599)]

    def read(part: Any) -> Any:
        return part.name, part.number, [read(each) for each in part.parts]

    async with filled(engine, Base.metadata, *stored) as loader:
        (expected,) = await lazily(engine, sa.select(Part).where(Part.number == 1), read)
        assert len(expected[2]) == 598
        for strategy in (None, "selectin"):
            plan = LoadPlan(Part, load(Part.parts, depth="all", strategy=strategy))  # type: ignore[arg-type]
            assert read(await loader.fetch(plan, ("aA", 1))) == expected
            assert read((await loader.fetch_many(plan, [("AA", 1), ("Bb", 2)]))[0]) == expected
        ids = [("BB", at) for at in range(2, 600)]
        with recording(engine) as recorded:
            found = await loader.fetch_many(LoadPlan(Part), ids)
        assert [each.number for each in found] == [at for _, at in ids]
        assert len(recorded.selects) <= 5  # two chunks, and again for ids that are not equal in Python
