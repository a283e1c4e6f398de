"""Which way the rows of a view come, by how many roots there may be. No database: plans are explained, not run."""

from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, count, load

POSTGRES = create_async_engine("postgresql+asyncpg://nobody@nowhere/nothing")
SQLITE = create_async_engine("sqlite+aiosqlite://")


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "vst_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship(order_by="Book.id")
    loose: Mapped[list["Sheet"]] = relationship(order_by="Sheet.id")


class Book(Base):
    __tablename__ = "vst_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("vst_shelves.id"), index=True)
    pages: Mapped[list["Page"]] = relationship(order_by="Page.id")


class Page(Base):
    __tablename__ = "vst_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("vst_books.id"), index=True)


class Sheet(Base):
    """Without an index on its shelf."""

    __tablename__ = "vst_sheets"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("vst_shelves.id"))


@attrs.frozen
class PageView:
    id: int


@attrs.frozen
class BookView:
    id: int
    pages: list[PageView]


@attrs.frozen
class ShelfView:
    id: int
    books: list[BookView]


@attrs.frozen
class TitleView:
    id: int


@attrs.frozen
class TitlesView:
    id: int
    books: list[TitleView]


@attrs.frozen
class LooseView:
    id: int
    loose: list[PageView]


@attrs.frozen
class CountView:
    id: int
    books: Annotated[int, count(Shelf.books)]
    loose: Annotated[int, count(Shelf.loose)]


ALL = LoadPlan(Shelf, into=ShelfView)
ALONE = LoadPlan(Shelf, into=TitlesView)
FIRST = LoadPlan(Shelf, load(Shelf.books, limit=3), into=ShelfView)
JOINED = LoadPlan(Shelf, load(Shelf.books, strategy="joined"), into=ShelfView)
SELECTIN = LoadPlan(Shelf, load(Shelf.books, strategy="selectin"), into=ShelfView)
LOOSE = LoadPlan(Shelf, into=LooseView)
COUNTS = LoadPlan(Shelf, into=CountView)


@pytest.mark.parametrize(
    ("plan", "statements"),
    [
        # of   1, 2, 20, 21, 100, 101, 1,000 and any number of roots
        (ALL, [1, 1, 1, 3, 3, 3, 3, 3]),
        (ALONE, [1, 1, 1, 1, 1, 2, 2, 2]),  # nothing below it
        (FIRST, [1, 1, 1, 1, 1, 1, 1, 1]),  # looked up parent by parent in any case
        (JOINED, [1, 1, 1, 1, 1, 1, 1, 1]),
        (SELECTIN, [2, 2, 2, 3, 3, 3, 3, 3]),  # the pages stand within the rows of their books
        (LOOSE, [1, 2, 2, 2, 2, 2, 2, 2]),
        (COUNTS, [1, 2, 2, 2, 2, 2, 2, 2]),
    ],
    ids=["all", "alone", "the first", "joined", "selectin", "no index", "counts"],
)
def test_the_number_of_roots_decides(plan: LoadPlan[Any], statements: list[int]) -> None:
    loader = Loader(POSTGRES)
    found = [loader.explain(plan, roots=roots).statements for roots in (1, 2, 20, 21, 100, 101, 1_000, None)]
    assert found == statements


@pytest.mark.parametrize("plan", [ALL, FIRST, JOINED, SELECTIN])
def test_a_driver_that_reads_no_rows_within_rows_takes_a_statement_a_level(plan: LoadPlan[Any]) -> None:
    for roots in (1, 50, None):
        assert Loader(SQLITE).explain(plan, roots=roots).statements == 3


def test_a_bound_on_rows_takes_a_statement_a_level() -> None:
    """Each row is then one that can be counted."""
    assert Loader(POSTGRES, max_rows=10).explain(ALL).statements == 3


@pytest.mark.parametrize(
    ("plan", "formula"),
    [
        (ALL, "1 for up to 20 roots, 3 for more"),
        (FIRST, "1, however many rows"),
        (LOOSE, "1 for one root, 2 for more"),
        (JOINED, "1, however many rows"),
    ],
)
def test_explain_tells_where_the_number_changes(plan: LoadPlan[Any], formula: str) -> None:
    assert Loader(POSTGRES).explain(plan).formula == formula


def test_reasons_are_those_of_the_page() -> None:
    loader = Loader(POSTGRES)

    def reason(plan: LoadPlan[Any], roots: int | None) -> str:
        return loader.explain(plan, roots=roots).edges[0].reason

    assert reason(ALL, 20) == "few rows: one statement for all"
    assert reason(ALL, 21) == "a statement for each level: more than 20 roots, and collections below each other"
    assert reason(ALL, 101) == "a statement for each level: more than 100 roots, or an unknown number"
    assert reason(ALONE, 100) == "few rows: one statement for all"
    assert reason(ALONE, 101) == "a statement for each level: more than 100 roots, or an unknown number"
    assert reason(FIRST, None) == "the first rows of each parent: one statement for all"
    assert reason(LOOSE, 2) == "no index finds the rows of one parent"
    assert reason(JOINED, None) == "the plan asks for it"
