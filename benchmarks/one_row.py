"""One root: loadplan beside SQLAlchemy's own loader options. ``uv run python benchmarks/one_row.py``.

Each case is one country of the world atlas, fetched in three ways that are timed in turn within one run:

- *by hand*: a session, ``select()``, its options and condition, all written out in the call, as repositories do;
- *prebuilt*: the same, with the statement and its options built once;
- *loadplan*: ``loader.fetch(PLAN, id)``.

All three must return equal graphs before anything is timed. The figure to keep is the ratio, not the milliseconds.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Select, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from atlas.database import ensure_atlas
from atlas.models import Country
from embedded_postgres import start
from loadplan import Loader, LoadPlan, __version__, load

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


def columns(entity: Any) -> dict[str, object]:
    """Return the column values that an object holds."""
    names = entity.__mapper__.column_attrs.keys()
    return {name: entity.__dict__[name] for name in names if name in entity.__dict__}


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


async def time_rounds(fetches: Sequence[Fetch], rounds: int, calls: int) -> list[list[float]]:
    """Return for each round the median seconds of each fetch; calls take turns, each first as often as the others."""
    medians = []
    for _ in range(rounds):
        seconds: list[list[float]] = [[] for _ in fetches]
        for call in range(calls):
            for turn in range(len(fetches)):
                index = (call + turn) % len(fetches)
                started = time.perf_counter()
                await fetches[index](ISO)
                seconds[index].append(time.perf_counter() - started)
        medians.append([statistics.median(each) for each in seconds])
    return medians


async def run_case(case: Case, engine: AsyncEngine, rounds: int, calls: int) -> None:
    """Compare the three ways, then time them and print a line."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    loader = Loader(engine)
    fetches = (by_hand(case, sessions), prebuilt(case, sessions), by_plan(case, loader))
    graphs = [case.read(await fetch(ISO)) for fetch in fetches]
    assert graphs[0] == graphs[1] == graphs[2], f"{case.name}: the three ways bring different graphs"
    await time_rounds(fetches, 1, calls)  # fills every cache
    medians = await time_rounds(fetches, rounds, calls)
    hand, once, ours = (statistics.median(column) * 1e3 for column in zip(*medians, strict=True))
    print(
        f"{case.name:<17} {loader.explain(case.plan).statements:>4}   {hand:>7.2f} {once:>8.2f} {ours:>8.2f}   "
        f"{ratio(medians, 0):<21} {ratio(medians, 1)}"
    )


def ratio(medians: Sequence[Sequence[float]], beside: int) -> str:
    """Return loadplan's time in units of another way's: the median of the rounds, and their range."""
    ratios = sorted(each[2] / each[beside] for each in medians)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


async def main(rounds: int, calls: int) -> None:
    """Print what is compared with what, then a line a case."""
    engine = create_async_engine(start("atlas"))
    try:
        await ensure_atlas(engine)
        async with engine.connect() as connection:
            server = await connection.scalar(text("SHOW server_version"))
        packages = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "asyncpg"))
        python = platform.python_version()
        print(f"Python {python}, loadplan {__version__}, {packages}, PostgreSQL {server}, Unix socket")
        print(f"{processor()}; {rounds} rounds of {calls} calls a way, in turn\n")
        print(f"{'':<17} {'':>4}   {'median milliseconds':<25}   loadplan / other: median (range of the rounds)")
        print(f"{'one country':<17} SQL   {'by hand':>7} {'prebuilt':>8} {'loadplan':>8}   {'by hand':<21} prebuilt")
        for case in CASES:
            await run_case(case, engine, rounds, calls)
    finally:
        await engine.dispose()


def processor() -> str:
    """Return what the machine says of itself."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often to measure (default: 9)")
    parser.add_argument("--calls", type=int, default=100, help="calls of each way in a round (default: 100)")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.calls))
