"""Budgets: of a plan at run time, and in tests without a database."""

import pickle
import sys
import warnings
from collections.abc import AsyncIterator

import attrs
import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Budget, FetchRecord, Loader, LoadPlan, OverBudget, OverBudgetWarning, SyncLoader, load
from loadplan.pytest_plugin import assert_plan
from support import tables


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "budget_shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship(back_populates="shelf")


class Book(Base):
    __tablename__ = "budget_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("budget_shelf.id"), index=True)
    shelf: Mapped[Shelf] = relationship(back_populates="books")


@attrs.frozen
class ShelfView:
    id: int


@pytest.fixture
async def shelves(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session, session.begin():
            session.add(Shelf(id=1, books=[Book(id=number) for number in range(5)]))
        yield engine


async def test_within_the_budget_nothing_is_said(shelves: AsyncEngine) -> None:
    plan = LoadPlan(Shelf, load(Shelf.books), budget=Budget(rows=6, statements=2, error=True))
    assert len((await Loader(shelves).fetch(plan, 1)).books) == 5


async def test_a_warning_names_what_is_over(shelves: AsyncEngine) -> None:
    """The result comes all the same, and the record names it."""
    records: list[FetchRecord] = []
    plan = LoadPlan(Shelf, load(Shelf.books, strategy="selectin"), budget=Budget(rows=5, statements=1), name="shelf")
    with pytest.warns(OverBudgetWarning, match="LP420") as warned:
        found = await Loader(shelves, on_fetch=records.append).fetch(plan, 1)
    assert len(found.books) == 5
    assert str(warned[0].message) == (
        "LP420: the fetch took more than its plan's budget\n"
        "  at: shelf\n"
        "  detail: 2 statements instead of 1, 6 rows instead of 5.\n"
        "  hint: narrow the roots, give a collection a limit=, or raise the budget."
    )
    assert records[0].over == ("2 statements instead of 1", "6 rows instead of 5")
    assert records[0].error is None


async def test_the_warning_points_at_the_line_of_the_caller(shelves: AsyncEngine) -> None:
    """Through the greenlet of an asynchronous fetch, and straight up from a synchronous one."""
    plan = LoadPlan(Shelf, budget=Budget(rows=0))

    def line() -> int:
        return sys._getframe(1).f_lineno

    loader, here = Loader(shelves), []
    async with shelves.connect() as connection:
        with warnings.catch_warnings(record=True, action="always", category=OverBudgetWarning) as warned:
            here.append(line() + 1)
            await loader.fetch(plan, 1)
            here.append(line() + 1)
            await loader.fetch_all(plan)
            here.append(line() + 1)
            await connection.run_sync(lambda sync: SyncLoader(sync).fetch(plan, 1))
    assert [(each.filename, each.lineno) for each in warned] == [(__file__, number) for number in here]


async def test_an_error_where_the_plan_says_so(shelves: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    plan = LoadPlan(Shelf, load(Shelf.books), budget=Budget(rows=5, error=True))
    with pytest.raises(OverBudget, match="6 rows instead of 5"):
        await Loader(shelves, on_fetch=records.append).fetch_all(plan)
    assert isinstance(records[0].error, OverBudget)
    assert records[0].over == ("6 rows instead of 5",)


async def test_views_have_budgets_and_streams_have_none(shelves: AsyncEngine) -> None:
    view = LoadPlan(Shelf, into=ShelfView, budget=Budget(rows=0, error=True))
    with pytest.raises(OverBudget):
        await Loader(shelves).fetch(view, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [each.id async for each in Loader(shelves).stream(view)] == [1]


def test_a_budget_is_a_value() -> None:
    """It belongs to the plan's equality and code, and stays with ``also``."""
    plan = LoadPlan(Shelf, budget=Budget(rows=5))
    assert plan == LoadPlan(Shelf, budget=Budget(rows=5))
    assert plan != LoadPlan(Shelf)
    assert repr(plan.also(load(Shelf.books))) == "LoadPlan(Shelf, load(Shelf.books), budget=Budget(rows=5))"
    assert pickle.loads(pickle.dumps(Budget(5, 4, error=True))) == Budget(5, 4, error=True)


def test_assert_plan_holds_columns_and_joins() -> None:
    plan = LoadPlan(Shelf, load(Shelf.books, load(Book.shelf), strategy="selectin"))
    assert_plan(plan, statements=2, columns=4, joins=1)
    with pytest.raises(AssertionError, match=r"\n  4 columns instead of 2\n  1 joins instead of 0\n"):
        assert_plan(plan, columns=2, joins=0)
    assert_plan(LoadPlan(Shelf, into=ShelfView), columns=1, joins=0, dialect="sqlite")
