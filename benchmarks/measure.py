"""What the benchmarks share: a database, timing in turns, ratios with their spread, and what it all ran on."""

import argparse
import contextlib
import fcntl
import gc
import math
import platform
import random
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import MetaData, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks.reading import CLOCK
from benchmarks.report import HERE
from benchmarks.targets import DEFAULT, DRIVERS, POSTGRESQL, Target
from embedded_postgres import start
from loadplan import __version__

Way: TypeAlias = Callable[[], Awaitable[Any]]
"""One way to fetch what is timed."""

Rounds: TypeAlias = Sequence[Sequence[float]]
"""For each round the median seconds of each way."""


@contextlib.asynccontextmanager
async def database(name: str, driver: str = DEFAULT.driver) -> AsyncIterator[AsyncEngine]:
    """Start the embedded PostgreSQL whose data folder is called ``name``, and connect through a driver.

    One run at a time has it: two would fill each other's tables, and be in each other's figures. A second one waits.
    """
    url = start(name)
    with _alone(Path(str(url.query["host"])).with_suffix(".lock")):  # beside its data folder
        engine = create_async_engine(url.set(drivername=f"{POSTGRESQL}+{driver}"))
        try:
            yield engine
        finally:
            await engine.dispose()


def add_driver(parser: argparse.ArgumentParser) -> None:
    """Give a script the option ``--driver``: a driver of PostgreSQL, on which SQLAlchemy and loadplan run."""
    what = f"of PostgreSQL, for SQLAlchemy and loadplan (default: {DEFAULT.driver}); SQL by hand stays on asyncpg"
    parser.add_argument("--driver", choices=DRIVERS[POSTGRESQL], default=DEFAULT.driver, help=what)


def result_file(name: str, driver: str) -> Path:
    """Return the file of results of a script, which names a driver that is not the default."""
    return HERE / f"{name}{Target(POSTGRESQL, driver).suffix}.json"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that no other process holds, having waited for it."""
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another run has the database; this one waits for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file lets go of the lock


async def run_alone(engine: AsyncEngine, *statements: str) -> None:
    """Run statements outside a transaction, as VACUUM needs it."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            await connection.execute(text(statement))


async def ensure_filled(engine: AsyncEngine, metadata: MetaData, table: str, size: str, inserts: Sequence[str]) -> None:
    """Make the tables of ``metadata`` and fill them, unless a comment on ``table`` says that they are of this size."""
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT obj_description(to_regclass(:name))"), {"name": table}) == size:
            return
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    names = ", ".join(each.name for each in metadata.sorted_tables)
    await run_alone(engine, *inserts, f"VACUUM ANALYZE {names}", f"COMMENT ON TABLE {table} IS '{size}'")


@contextlib.contextmanager
def recorded(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that reach the driver, each with its parameters."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        found.append((sql, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def time_rounds(ways: Sequence[Way], rounds: int, calls: int, *, prime: bool = False) -> Rounds:
    """Return for each round the median seconds of each way; see :func:`time_parts`."""
    return (await time_parts(ways, rounds, calls, prime=prime))[0]


async def time_parts(
    ways: Sequence[Way], rounds: int, calls: int, *, prime: bool = False
) -> tuple[list[list[float]], list[list[float]]]:
    """Return for each round the median seconds of each way: of whole calls, and of calls without their reading.

    The ways take turns in an order that changes all the time. A way that does not tell its reading apart has NaN as its
    seconds without reading.

    Args:
        ways: what to time.
        rounds: how often to measure.
        calls: of each way in a round.
        prime: call a way once before each call that is timed, so that it does not pay for what another way drove out
            of the database's cache.
    """
    shuffler = random.Random(1)  # noqa: S311 - an order, not a secret
    medians, without = [], []
    gc.collect()
    gc.freeze()  # a way collects its own garbage, and does not walk what the benchmark holds
    try:
        for _ in range(rounds):
            seconds: list[list[float]] = [[] for _ in ways]
            fetching: list[list[float]] = [[] for _ in ways]
            for _ in range(calls):
                for index in shuffler.sample(range(len(ways)), len(ways)):
                    if prime:
                        await ways[index]()
                    gc.collect()
                    CLOCK.taken()
                    started = time.perf_counter()
                    await ways[index]()
                    whole = time.perf_counter() - started
                    read = CLOCK.taken()
                    seconds[index].append(whole)
                    fetching[index].append(whole - read if read else math.nan)
            medians.append([statistics.median(each) for each in seconds])
            without.append([statistics.median(each) for each in fetching])
    finally:
        gc.unfreeze()
    return medians, without


def milliseconds(medians: Rounds) -> list[float]:
    """Return the median of the rounds for each way."""
    return [statistics.median(column) * 1e3 for column in zip(*medians, strict=True)]


def ratio(medians: Rounds, ours: int, *beside: int) -> str:
    """Return the time of one way in units of the better of others: the median of the rounds, and their range."""
    overall = milliseconds(medians)
    better = min(beside, key=overall.__getitem__)
    return spread([each[ours] / each[better] for each in medians])


def spread(ratios: Sequence[float]) -> str:
    """Return the median of ratios, and their range."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def peak() -> float:
    """Return the most megabytes that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held when it forked
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def columns(entity: Any) -> dict[str, object]:
    """Return the column values that an object holds."""
    names = entity.__mapper__.column_attrs.keys()
    return {name: entity.__dict__[name] for name in names if name in entity.__dict__}


async def environment(engine: AsyncEngine) -> str:
    """Return versions and machine in two lines."""
    async with engine.connect() as connection:
        server = await connection.scalar(text("SHOW server_version"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", engine.dialect.driver))
    return (
        f"Python {platform.python_version()}, loadplan {__version__}, {packages}, PostgreSQL {server}, Unix socket\n"
        f"{processor()}"
    )


def processor() -> str:
    """Return the name of the processor, and how many cores there are."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()
