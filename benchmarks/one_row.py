"""One root: loadplan beside SQLAlchemy's own loader options. ``uv run python benchmarks/one_row.py``.

Each case is one country of the world atlas, fetched in three ways that are timed in turn within one run:

- *by hand*: a session, ``select()``, its options and condition, all written out in the call, as repositories do;
- *prebuilt*: the same, with the statement and its options built once;
- *loadplan*: ``loader.fetch(PLAN, id)``.

All three must return equal graphs before anything is timed. The figure to keep is the ratio, not the milliseconds.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs
from measure import columns, database, environment, milliseconds, ratio, time_rounds
from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import joinedload, selectinload

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from atlas.database import ensure_atlas
from atlas.models import Country
from loadplan import Loader, LoadPlan, load

Fetch: TypeAlias = Callable[[str], Awaitable[Country]]

ISO = "LU"


@attrs.frozen
class Case:
    """One graph, and how to ask for it.

    Attributes:
        name: printed.
        plan: for loadplan.
        statement: for SQLAlchemy, without a condition; built anew by each call.
        read: everything that the plan names, as values to compare.
    """

    name: str
    plan: LoadPlan[Country]
    statement: Callable[[], Select[Any]]
    read: Callable[[Country], object]


def plain() -> Select[Any]:
    """One statement, one table."""
    return select(Country)


def with_to_one() -> Select[Any]:
    """One statement, one join."""
    return select(Country).options(joinedload(Country.capital))


def with_collections() -> Select[Any]:
    """Four statements: the country with two joins, and three collections."""
    return select(Country).options(
        joinedload(Country.capital),
        joinedload(Country.currency),
        selectinload(Country.languages),
        selectinload(Country.neighbours),
        selectinload(Country.cities),
    )


CASES = (
    Case("plain", LoadPlan(Country), plain, lambda country: columns(country)),
    Case(
        "with a to-one",
        LoadPlan(Country, load(Country.capital)),
        with_to_one,
        lambda country: (columns(country), columns(country.capital)),
    ),
    Case(
        "with collections",
        LoadPlan(
            Country,
            load(Country.capital),
            load(Country.currency),
            load(Country.languages),
            load(Country.neighbours),
            load(Country.cities),
        ),
        with_collections,
        lambda country: (
            columns(country),
            columns(country.capital),
            columns(country.currency),
            [columns(language) for language in country.languages],
            [columns(neighbour) for neighbour in country.neighbours],
            [columns(city) for city in country.cities],
        ),
    ),
)


def by_hand(case: Case, sessions: async_sessionmaker[AsyncSession]) -> Fetch:
    """Return the fetch that builds its statement in every call."""

    async def fetch(iso: str) -> Country:
        async with sessions() as session:
            result = await session.execute(case.statement().where(Country.iso == iso))
            country: Country = result.scalar_one()
            return country

    return fetch


def prebuilt(case: Case, sessions: async_sessionmaker[AsyncSession]) -> Fetch:
    """Return the fetch that built its statement once."""
    statement = case.statement().where(Country.iso == bindparam("iso"))

    async def fetch(iso: str) -> Country:
        async with sessions() as session:
            result = await session.execute(statement, {"iso": iso})
            country: Country = result.scalar_one()
            return country

    return fetch


def by_plan(case: Case, loader: Loader) -> Fetch:
    """Return loadplan's fetch."""

    async def fetch(iso: str) -> Country:
        return await loader.fetch(case.plan, iso)

    return fetch


async def run_case(case: Case, engine: AsyncEngine, rounds: int, calls: int) -> None:
    """Compare the three ways, then time them and print a line."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    loader = Loader(engine)
    fetches = (by_hand(case, sessions), prebuilt(case, sessions), by_plan(case, loader))
    graphs = [case.read(await fetch(ISO)) for fetch in fetches]
    assert graphs[0] == graphs[1] == graphs[2], f"{case.name}: the three ways bring different graphs"
    ways = [partial(fetch, ISO) for fetch in fetches]
    await time_rounds(ways, 1, calls)  # fills every cache
    medians = await time_rounds(ways, rounds, calls)
    hand, once, ours = milliseconds(medians)
    print(
        f"{case.name:<17} {loader.explain(case.plan).statements:>4}   {hand:>7.2f} {once:>8.2f} {ours:>8.2f}   "
        f"{ratio(medians, 2, 0):<21} {ratio(medians, 2, 1)}"
    )


async def main(rounds: int, calls: int) -> None:
    """Print what is compared with what, then a line a case."""
    async with database("atlas") as engine:
        await ensure_atlas(engine)
        print(await environment(engine))
        print(f"{rounds} rounds of {calls} calls a way, in turn\n")
        print(f"{'':<17} {'':>4}   {'median milliseconds':<25}   loadplan / other: median (range of the rounds)")
        print(f"{'one country':<17} SQL   {'by hand':>7} {'prebuilt':>8} {'loadplan':>8}   {'by hand':<21} prebuilt")
        for case in CASES:
            await run_case(case, engine, rounds, calls)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often to measure (default: 9)")
    parser.add_argument("--calls", type=int, default=100, help="calls of each way in a round (default: 100)")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.calls))
