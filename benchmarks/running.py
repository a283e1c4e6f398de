"""A case is run: all rivals bring equal values, are timed in turn, and what they send is counted on the wire.

The job of a case ends when every value that it names has been read: a rival fetches, and its result is walked and its
values put into tuples, inside the time. So lazy loading, whose reading is the work, stands beside those that bring all
at once; nobody wins by putting off what the caller is going to need. The walk is the same code for all whose objects
have attributes.

A call begins with a pool that has connections, and ends with the connection back in it.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from sqlalchemy import URL

from benchmarks.cases.case import Ask, Case, Values
from benchmarks.databases import Databases
from benchmarks.mariadb import Counter, counter
from benchmarks.measure import Way, time_parts
from benchmarks.progress import Progress
from benchmarks.relay import Relay, relay
from benchmarks.report import Result
from benchmarks.rivals.rival import Fetch, Rival
from benchmarks.targets import POSTGRESQL
from benchmarks.wire import Count


@attrs.frozen
class Effort:
    """How much is done.

    Attributes:
        rounds: how often to measure.
        calls: of each rival in a round, fewer where they are slow.
        roots: at most so many are asked for.
        tasks: at most so many at a time.
        seconds: that a round should not go beyond, as long as each rival has its call.
    """

    rounds: int = 7
    calls: int = 50
    roots: int = 10_000
    tasks: int = 50
    seconds: float = 2.5

    @property
    def case_seconds(self) -> float:
        """About how long a case takes: its rounds, and two more for comparing, counting and warming up.

        A tiny case is over when each rival has had its few calls.
        """
        return (self.rounds + 2) * self.seconds if self.calls > 1 else 1.5


SMOKE = Effort(rounds=1, calls=1, roots=3, tasks=4)
SLOW = 1.0  # seconds of a call that one warming up must do for


def sized(case: Case, effort: Effort) -> Case:
    """Return a case with no more roots than are wanted."""
    if case.tasks > 1:
        tasks = min(case.tasks, effort.tasks)
        return attrs.evolve(case, tasks=tasks, size=tasks)
    return case if case.key is not None else attrs.evolve(case, size=min(case.size, effort.roots))


def way_of(case: Case, fetch: Fetch, connection: Any) -> Way:
    """Return what is timed: one fetch, or as many tasks as the case has."""
    if case.tasks == 1:
        return partial(fetch, connection, case.ask)

    async def together() -> Values:
        found = await asyncio.gather(*(fetch(connection, Ask(key)) for key in range(1, case.tasks + 1)))
        return [root for roots in found for root in roots]

    return together


async def run_cases(
    cases: Sequence[Case], rivals: Sequence[Rival], data: Databases, effort: Effort, progress: Progress
) -> list[Result]:
    """Return what each rival took in each case, and the reasons of those that cannot, in the order of the cases.

    Cases on the same database follow each other, so that each rival connects once for counting and once for timing.

    Raises:
        AssertionError: two rivals bring different values.
    """
    cases = [sized(each, effort) for each in cases]
    found: dict[str, list[Result]] = {}
    for (name, delay, _), together in grouped(cases).items():
        progress.say(f"{name}: filling")
        url = await data.url(name)
        async with counting(url) as between:
            counts = await count_all(together, rivals, between, progress)
        async with contextlib.AsyncExitStack() as stack:
            if delay is not None:
                url = (await stack.enter_async_context(relay(url, delay))).url
            connections = await connect_all(rivals, url, stack)
            for case in together:
                timed = await time_case(case, rivals, connections, effort, progress)
                found[case.name] = [
                    result_of(case, rival, timed.get(rival.name, Timed()), counts.get((case.name, rival.name)))
                    for rival in rivals
                    if rival.way_to(case.graph.name, case.size) or rival.why_not(case.graph.name)
                ]
    return [result for case in cases for result in found[case.name]]


def grouped(cases: Sequence[Case]) -> dict[tuple[str, float | None, bool], list[Case]]:
    """Return cases by what they may share: database, delay, and whether a pool has more than one connection.

    SQLAlchemy's pool hands out its connections in turn: after many tasks, each of them would have to prepare the
    statements of the next case, and a call would not find what the call before it left.
    """
    found: dict[tuple[str, float | None, bool], list[Case]] = {}
    for case in cases:
        found.setdefault((case.data, case.delay, case.tasks > 1), []).append(case)
    return found


@attrs.frozen
class Timed:
    """The median seconds of each round.

    Attributes:
        seconds: of whole calls.
        fetching: of calls without their reading; empty if the rival does not tell the two apart.
    """

    seconds: tuple[float, ...] = ()
    fetching: tuple[float, ...] = ()


def result_of(case: Case, rival: Rival, timed: Timed, count: Count | None) -> Result:
    """Return the record of a rival."""
    name = case.graph.name
    result = Result(case.name, rival.name, case.size, timed.seconds, title=case.title, fetching=timed.fetching)
    if count is None:
        return attrs.evolve(result, note=rival.why_not(name) or "")
    return attrs.evolve(
        result,
        statements=count.statements,
        trips=count.trips,
        rows=count.rows,
        sent=count.sent,
        note=rival.notes.get(name, ""),
    )


async def connect_all(rivals: Sequence[Rival], url: URL, stack: contextlib.AsyncExitStack) -> list[Any]:
    """Connect rivals, those of one package together: a pool for each of them would be more than the server takes."""
    opened: dict[Any, Any] = {}
    for rival in rivals:
        shared = (rival.packages[0], rival.connect)
        if rival.ways and shared not in opened:
            opened[shared] = await stack.enter_async_context(rival.connect(url))
    return [opened.get((each.packages[0], each.connect)) for each in rivals]


def counting(url: URL) -> contextlib.AbstractAsyncContextManager[Relay | Counter]:
    """Return what counts calls: a relay on the wire for PostgreSQL, the server itself for MariaDB."""
    return relay(url, 0.0) if url.get_backend_name() == POSTGRESQL else counter(url)


async def time_case(
    case: Case, rivals: Sequence[Rival], connections: Sequence[Any], effort: Effort, progress: Progress
) -> dict[str, Timed]:
    """Compare what all bring, then time them in turn; return what each took, by the rival's name.

    When many tasks run at a time, one reads while others wait for the server. So their reading is not told apart.
    """
    progress.step(f"{case.name}: comparing")
    able = {
        rival.name: way_of(case, fetch, connection)
        for rival, connection in zip(rivals, connections, strict=True)
        if (fetch := rival.way_to(case.graph.name, case.size)) is not None
    }
    await compare(case, able)
    ways = list(able.values())
    progress.say(f"{case.name}: timing")
    medians, without = await time_parts(ways, 1, 1)
    once = sum(medians[0])
    if once > effort.seconds:
        more, more_without = await time_parts(ways, effort.rounds - 1, 1)
        medians, without = medians + more, without + more_without
    elif effort.calls > 1:
        calls = max(1, min(effort.calls, int(effort.seconds / once)))
        await time_parts(ways, 1, min(calls, 6))  # PostgreSQL plans a prepared statement anew five times
        medians, without = await time_parts(ways, effort.rounds, calls)
    found = {}
    for name, seconds, fetching in zip(able, zip(*medians, strict=True), zip(*without, strict=True), strict=True):
        is_apart = case.tasks == 1 and not any(map(math.isnan, fetching))
        found[name] = Timed(seconds, fetching if is_apart else ())
    return found


async def compare(case: Case, ways: Mapping[str, Way]) -> None:
    """Check that all ways bring equal values, and as many as were asked for."""
    expected: Values | None = None
    roots = 1 if case.key is not None else case.size
    for name, way in ways.items():
        found = await way()
        assert len(found) == roots, f"{case.name}: {name!r} brings {len(found)} roots instead of {roots}"
        expected = found if expected is None else expected
        assert found == expected, f"{case.name}: {name!r} brings other values than {next(iter(ways))!r}"


async def count_all(
    cases: Sequence[Case], rivals: Sequence[Rival], between: Relay | Counter, progress: Progress
) -> dict[tuple[str, str], Count]:
    """Count what a call of each rival sends and receives, once its caches are warm.

    The calls before it ask for types and prepare statements: two, or one where that is slow.
    """
    found = {}
    for rival in rivals:
        if not any(rival.way_to(case.graph.name, case.size) for case in cases):
            continue
        progress.say(f"counting: {rival.name}")
        async with rival.connect(between.url) as connection:
            for case in cases:
                fetch = rival.way_to(case.graph.name, case.size)
                if fetch is None:
                    continue
                way = way_of(case, fetch, connection)
                started = time.perf_counter()
                await way()
                if time.perf_counter() - started < SLOW:
                    await way()
                before = await between.seen()
                await way()
                found[case.name, rival.name] = (await between.seen()).less(before)
    return found
