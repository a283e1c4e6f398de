"""Many parents: a collection of 100 to 100,000 of them. ``python -m benchmarks many-parents``.

A plan with one collection beside ``select().options(selectinload(...))`` by hand, over parents with a key of one column
and with one of two. Both get the same condition for the roots, so that the collection alone differs:
``selectinload`` sends the keys in chunks of 500, loadplan in one array.

Both must return equal graphs before anything is timed, and the statements of each are counted.
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from benchmarks.measure import (
    Way,
    add_driver,
    columns,
    database,
    ensure_filled,
    environment,
    milliseconds,
    ratio,
    recorded,
    time_rounds,
)
from loadplan import Loader, LoadPlan, load

CHILDREN = 2  # of a parent
SECONDS = 5.0  # that a round should not go beyond


class Base(DeclarativeBase):
    """Of this benchmark's tables."""


class Author(Base):
    """A parent whose key has one column."""

    __tablename__ = "bench_author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(order_by="Book.id")


class Book(Base):
    """A child of an author."""

    __tablename__ = "bench_book"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id), index=True)
    title: Mapped[str]


class Account(Base):
    """A parent whose key has two columns."""

    __tablename__ = "bench_account"

    tenant: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    entries: Mapped[list["Entry"]] = relationship(order_by="Entry.id")


class Entry(Base):
    """A child of an account."""

    __tablename__ = "bench_entry"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "number"], ["bench_account.tenant", "bench_account.number"]),
        Index("bench_entry_by_account", "tenant", "number"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]
    number: Mapped[int]
    cents: Mapped[int]


async def fill(engine: AsyncEngine, parents: int) -> None:
    """Make the tables and their rows, unless they are there."""
    inserts = [
        f"INSERT INTO bench_author SELECT i, 'author ' || i FROM generate_series(1, {parents}) i",
        f"INSERT INTO bench_book SELECT i, i % {parents} + 1, 'title ' || i"
        f" FROM generate_series(1, {parents * CHILDREN}) i",
        f"INSERT INTO bench_account SELECT i % 10, i, 'owner ' || i FROM generate_series(1, {parents}) i",
        f"INSERT INTO bench_entry SELECT i, (i % {parents} + 1) % 10, i % {parents} + 1, i % 1000"
        f" FROM generate_series(1, {parents * CHILDREN}) i",
    ]
    await ensure_filled(engine, Base.metadata, "bench_author", f"{parents} parents", inserts)


@attrs.frozen
class Case:
    """A parent with a collection.

    Attributes:
        name: printed.
        plan: for loadplan.
        collection: the relationship.
        first: the condition for the first so many parents.
    """

    name: str
    plan: LoadPlan[Any]
    collection: Any
    first: Callable[[int], Any]


CASES = (
    Case("key of one column", LoadPlan(Author, load(Author.books)), Author.books, lambda count: Author.id <= count),
    Case(
        "key of two columns",
        LoadPlan(Account, load(Account.entries)),
        Account.entries,
        lambda count: Account.number <= count,
    ),
)


async def by_hand(case: Case, sessions: async_sessionmaker[AsyncSession], count: int) -> Sequence[Any]:
    """Fetch with SQLAlchemy alone."""
    statement = select(case.plan.entity).where(case.first(count)).options(selectinload(case.collection))
    async with sessions() as session:
        return (await session.scalars(statement)).all()


async def graph(case: Case, way: Way) -> list[Any]:
    """Return all that a way brings, as values to compare."""
    parents = await way()
    read = [(columns(each), [columns(child) for child in getattr(each, case.collection.key)]) for each in parents]
    return sorted(read, key=str)


async def run_case(case: Case, engine: AsyncEngine, count: int, rounds: int, calls: int) -> None:
    """Compare both ways, then time them and print a line."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    ways = (partial(by_hand, case, sessions, count), partial(Loader(engine).fetch_all, case.plan, case.first(count)))
    graphs, statements = [], []
    for way in ways:
        with recorded(engine) as sent:
            graphs.append(await graph(case, way))
        statements.append(len(sent))
    assert graphs[0] == graphs[1], f"{case.name}: the two ways bring different graphs"
    assert len(graphs[0]) == count
    del graphs
    seconds = sum((await time_rounds(ways, 1, 1))[0])
    medians = await time_rounds(ways, rounds, max(1, min(calls, int(SECONDS / seconds))))
    hand, ours = milliseconds(medians)
    print(
        f"{case.name:<18} {count:>8,}   {statements[0]:>8} {statements[1]:>8}   {hand:>8.1f} {ours:>8.1f}   "
        f"{ratio(medians, 1, 0)}",
        flush=True,
    )


async def main(counts: Sequence[int], rounds: int, calls: int, driver: str) -> None:
    """Print what is compared with what, then a line a case and number of parents."""
    async with database("benchmarks", driver) as engine:
        await fill(engine, max(counts))
        print(await environment(engine))
        print(f"{rounds} rounds of up to {calls} calls a way, in turn\n")
        both = f"{'by hand':>8} {'loadplan':>8}"
        print(f"{'':<18} {'':>8}   {'statements':<17}   median milliseconds")
        print(f"{'':<18} {'parents':>8}   {both}   {both}   loadplan / by hand")
        for case in CASES:
            for count in counts:
                await run_case(case, engine, count, rounds, calls)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parents", type=int, nargs="+", default=[100, 501, 5_000, 100_000], help="how many")
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure (default: 5)")
    parser.add_argument("--calls", type=int, default=20, help="calls of each way in a round, fewer where slow")
    add_driver(parser)
    options = parser.parse_args()
    asyncio.run(main(options.parents, options.rounds, options.calls, options.driver))
