"""Views: loadplan beside SQL by hand and beside mapped objects. ``python -m benchmarks views``.

Four graphs: posts with author, tags, comments and their authors; the world atlas; orders with lines, products and
categories; and one table of 60 columns of which five are used. Each is asked for by key (one root), and as the first
so many roots by key. Timed in turn within one run:

- *asyncpg, one statement*: ``ARRAY(SELECT ROW(...))`` by hand and the same view objects built by hand;
- *asyncpg, a level*: a statement for the roots and for each collection, by hand, and the objects by hand;
- *loadplan*: ``loader.fetch`` and ``loader.fetch_all`` of ``LoadPlan(..., into=...)``;
- *options, objects*: ``select().options(...)`` built in the call, mapped objects, and the views made of those.

The faster one of the two by asyncpg is *the limit*. Both take their connections from a pool of asyncpg with its
defaults, which resets a connection by a statement of its own when it comes back. All ways must return equal views
before anything is timed. The figures to keep are the ratios.

Then the same through a relay that holds up each direction by half a millisecond and counts round trips; and the peak
of memory, each way in a process of its own.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from benchmarks.measure import Rounds, database, environment, milliseconds, peak, spread, time_rounds
from benchmarks.relay import Relay, relay
from benchmarks.view_cases import blog, orders, wide, world
from benchmarks.view_cases.case import Case
from benchmarks.view_cases.rivals import BY_LEVEL, LOADPLAN, ONE_STATEMENT, OPTIONS, WAYS, make_pool, ways_to
from loadplan import Loader

CASES = (blog.CASE, world.CASE, orders.CASE, wide.CASE)

SECONDS = 5.0  # that a round should not go beyond
TARGET = 1.3  # of loadplan's time in units of the limit
FACTOR = 4.0  # by which loadplan should be faster than mapped objects, where the limit is
DELAY = 0.0005  # seconds that the relay takes in each direction


@attrs.frozen
class Timing:
    """What was measured of one graph and number of roots.

    Attributes:
        case: the graph.
        roots: asked for.
        statements: that loadplan takes.
        medians: for each round the median seconds of each way.
    """

    case: str
    roots: int
    statements: int
    medians: Rounds

    def ratios(self, way: int, beside: int) -> list[float]:
        """Return the time of one way in units of another, round by round."""
        return [each[way] / each[beside] for each in self.medians]

    @property
    def limit(self) -> int:
        """The faster one of the two ways by asyncpg."""
        overall = milliseconds(self.medians)
        return min(ONE_STATEMENT, BY_LEVEL, key=overall.__getitem__)

    @property
    def over_limit(self) -> float:
        """Loadplan's time in units of the limit."""
        return statistics.median(self.ratios(LOADPLAN, self.limit))

    @property
    def verdict(self) -> str:
        """Whether the two targets are met."""
        near = self.over_limit <= TARGET
        possible = statistics.median(self.ratios(OPTIONS, self.limit)) >= FACTOR
        fast = statistics.median(self.ratios(OPTIONS, LOADPLAN)) >= FACTOR
        return f"{'yes' if near else 'no'}, {('yes' if fast else 'no') if possible else '-'}"


@attrs.frozen
class Trip:
    """What a way takes over a network.

    Attributes:
        case: the graph.
        roots: asked for.
        trips: round trips of each way.
        seconds: of each way.
    """

    case: str
    roots: int
    trips: Sequence[int]
    seconds: Sequence[float]


@attrs.frozen
class Memory:
    """What a result takes.

    Attributes:
        way: to it.
        floor: megabytes at the peak before, with every import and cache.
        peak: megabytes at the peak.
    """

    way: str
    floor: float
    peak: float


async def compare(case: Case, ways: Sequence[Any]) -> None:
    """Check that all ways bring equal views."""
    found = [await way() for way in ways]
    for name, views in zip(WAYS, found, strict=True):
        assert views == found[0], f"{case.name}: {name!r} brings other views than {WAYS[0]!r}"
    assert found[0], f"{case.name}: there are no roots"


async def time_case(case: Case, roots: int, pool: Any, engine: AsyncEngine, rounds: int, calls: int) -> Timing:
    """Compare the ways to so many roots, then time them."""
    ways = ways_to(case, roots, pool, engine)
    await compare(case, ways)
    seconds = sum((await time_rounds(ways, 1, 1))[0])
    calls = max(1, min(calls, int(SECONDS / seconds)))
    await time_rounds(ways, 1, min(calls, 6))  # PostgreSQL plans a prepared statement anew five times
    medians = await time_rounds(ways, rounds, calls, prime=roots < 200)
    statements = Loader(engine).explain(case.plan, roots=roots).statements
    return Timing(case.name, roots, statements, medians)


async def count_trips(case: Case, roots: int, through: Relay, calls: int) -> Trip:
    """Count the round trips of each way through a relay, and time them there."""
    engine = create_async_engine(through.url)
    pool = await make_pool(through.url)
    try:
        ways = ways_to(case, roots, pool, engine)
        await compare(case, ways)
        for way in (
            ways * 2
        ):  # a pool hands out the connection that came back last, which has its statements prepared then
            await way()
        trips = []
        for way in ways:
            before = await through.trips()
            await way()
            trips.append(await through.trips() - before)
        seconds = sum((await time_rounds(ways, 1, 1))[0])
        medians = await time_rounds(ways, 1, max(1, min(calls, int(SECONDS / seconds))))
        return Trip(case.name, roots, trips, medians[0])
    finally:
        await pool.close()
        await engine.dispose()


async def measure_memory(url: str, way: str, roots: int) -> None:
    """Hold so many roots, in the process that this function is alone in, and print what it took as JSON."""
    engine = create_async_engine(url)
    case = blog.CASE

    async def fetch(roots: int) -> Sequence[Any]:
        if way == "mapped objects":
            async with AsyncSession(engine, expire_on_commit=False) as session:
                return (await session.scalars(case.options().order_by(case.key).limit(roots))).all()
        plan = case.plan if way == "views" else case.entities
        return await Loader(engine).fetch_all(plan, order_by=case.key, limit=roots)

    await fetch(min(roots, 200))  # every import and cache
    floor = peak()
    held = await fetch(roots)
    assert len(held) == roots
    await engine.dispose()
    print(json.dumps({"floor": floor, "peak": peak()}))


async def memory_of(engine: AsyncEngine, way: str, roots: int) -> Memory:
    """Measure the memory of a way in a process of its own."""
    url = engine.url.render_as_string(hide_password=False)
    arguments = ("-m", "benchmarks.views", "--memory", way, "--url", url, "--size", str(roots))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return Memory(way, **json.loads(output))


def time_table(timings: Sequence[Timing]) -> Table:
    """Return what the ways take."""
    table = make_table("Median milliseconds; SQL: statements of loadplan", "graph", "roots", "SQL", *WAYS)
    for each in timings:
        times = (f"{found:,.2f}" if found < 100 else f"{found:,.0f}" for found in milliseconds(each.medians))
        table.add_row(each.case, f"{each.roots:,}", str(each.statements), *times)
    return table


def ratio_table(timings: Sequence[Timing]) -> Table:
    """Return how the ways compare."""
    names = ("loadplan / limit", "options / loadplan", "options / limit", f"at most {TARGET}, at least {FACTOR:.0f}")
    table = make_table("Ratios: median (range of the rounds)", "graph", "roots", *names)
    for each in timings:
        pairs = ((LOADPLAN, each.limit), (OPTIONS, LOADPLAN), (OPTIONS, each.limit))
        ratios = (spread(each.ratios(*pair)) for pair in pairs)
        table.add_row(each.case, f"{each.roots:,}", *ratios, each.verdict)
    return table


def make_table(title: str, *names: str) -> Table:
    """Return an empty table, its first column to the left and the others to the right."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="left" if name == names[0] else "right", no_wrap=True)
    return table


def trip_table(trips: Sequence[Trip]) -> Table:
    """Return the round trips."""
    title = f"Round trips, and milliseconds with {DELAY * 1e3} ms of delay in each direction"
    table = make_table(title, "graph", "roots", *WAYS)
    for each in trips:
        cells = [f"{count}, {seconds * 1e3:.1f} ms" for count, seconds in zip(each.trips, each.seconds, strict=True)]
        table.add_row(each.case, f"{each.roots:,}", *cells)
    return table


def memory_table(memories: Sequence[Memory], roots: int) -> Table:
    """Return the peaks of memory."""
    title = f"Peak of the resident set in megabytes, {roots:,} posts held"
    table = make_table(title, "result", "before", "peak", "more")
    for each in memories:
        table.add_row(each.way, f"{each.floor:.0f}", f"{each.peak:.0f}", f"{each.peak - each.floor:.0f}")
    return table


def numbers_of_roots(case: Case, size: int) -> list[int]:
    """Return the numbers of roots to ask for; those beyond ``size`` become that."""
    return sorted({min(each, size) for each in case.roots})


async def main(size: int, rounds: int, calls: int, only: Sequence[str]) -> None:
    """Print what is compared with what, then the three tables."""
    console = Console(width=max(Console().width, 120))
    cases = [case for case in CASES if case.name in only]
    async with database("benchmarks") as engine:
        for case in cases:
            await case.fill(engine, max(size, 200))
        console.print(await environment(engine), highlight=False)
        console.print(f"{rounds} rounds of up to {calls} calls a way, in turn; asyncpg's pool with its defaults\n")
        pool = await make_pool(engine.url)
        timings = []
        started = time.perf_counter()
        for case in cases:
            for roots in numbers_of_roots(case, size):
                timings.append(await time_case(case, roots, pool, engine, rounds, calls))
                seconds = time.perf_counter() - started
                console.print(f"{case.name}, {roots:,} roots: done after {seconds:.0f} s", style="dim")
        await pool.close()
        console.print()
        console.print(time_table(timings), ratio_table(timings), sep="\n")
        async with relay(engine.url, DELAY) as through:
            asked = [(case, roots) for case in cases for roots in numbers_of_roots(case, min(size, 1_000))]
            console.print(trip_table([await count_trips(case, roots, through, calls) for case, roots in asked]))
        if blog.CASE in cases:
            results = ("views", "entities of loadplan", "mapped objects")
            console.print(memory_table([await memory_of(engine, way, size) for way in results], size))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="roots of the largest fetch (default: 10,000)")
    parser.add_argument("--rounds", type=int, default=7, help="how often to measure (default: 7)")
    parser.add_argument(
        "--calls", type=int, default=50, help="calls of each way in a round, fewer where they are slow (default: 50)"
    )
    names = [case.name for case in CASES]
    parser.add_argument("--graphs", nargs="+", choices=names, default=names, help="which ones (default: all)")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    for hidden in ("--memory", "--url"):  # of the processes that it starts
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        asyncio.run(measure_memory(options.url, options.memory, options.size))
    elif options.smoke:
        asyncio.run(main(2, 1, 2, options.graphs))
    else:
        asyncio.run(main(options.size, options.rounds, options.calls, options.graphs))
