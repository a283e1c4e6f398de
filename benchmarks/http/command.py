"""Servers beside each other: requests a second, and how long one takes. ``python -m benchmarks http``.

Every contender is a process of its own, with one worker of uvicorn and a pool of connections. The load comes from this
process. Before anything is timed, all servers must answer with equal JSON. Then they take turns, in an order that
changes with every round; a server that is not asked does nothing.

*Requests a second* is the median of the rounds; *p50* and *p99* are of all requests of all rounds. Client, servers and
database share the machine's cores, so keep the ratios.
"""

import argparse
import asyncio
import contextlib
import gc
import importlib.util
import json
import platform
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from sqlalchemy import URL

from benchmarks.databases import SMALL, databases
from benchmarks.http.contenders import ASYNCPG, CONTENDERS, NEEDS, OPTIONS, PSYCOPG, Contender
from benchmarks.http.generator import Load, answers, load, percentile
from benchmarks.measure import processor
from benchmarks.progress import Progress
from benchmarks.report import HERE
from loadplan import __version__

PACKAGES = ("sqlalchemy", "asyncpg", "psycopg", "fastapi", "pydantic", "msgspec", "uvicorn", "tortoise-orm", "django")
LIST = 50
COMPARED = 5  # pages that all servers must answer alike, with the list


@attrs.frozen
class Case:
    """What is asked for.

    Attributes:
        name: in tables.
        paths: requested in turn.
    """

    name: str
    paths: tuple[str, ...]


@attrs.frozen
class Effort:
    """How much is done.

    Attributes:
        orders: in the shop.
        rounds: how often to measure.
        seconds: of load on each server in a round.
        connections: at a time.
    """

    orders: int = 10_000
    rounds: int = 7
    seconds: float = 2.0
    connections: int = 8


SMOKE = Effort(orders=SMALL, rounds=1, seconds=0.1, connections=2)


@attrs.frozen
class Served:
    """What one server did in one case.

    Attributes:
        case: its name.
        way, driver: of the contender.
        rates: requests a second in each round.
        p50, p99: seconds within which half of the requests, and 99 of 100, were answered.
        requests: all of them.
    """

    case: str
    way: str
    driver: str
    rates: tuple[float, ...]
    p50: float
    p99: float
    requests: int

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)


def cases_of(effort: Effort) -> tuple[Case, ...]:
    """Return the page of one order, a different one each time, and the list."""
    keys = random.Random(1).sample(range(1, effort.orders + 1), min(1_000, effort.orders))  # noqa: S311 - an order
    return (
        Case("one order", tuple(f"/orders/{key}" for key in keys)),
        Case(f"a list of {LIST}", (f"/orders?limit={LIST}",)),
    )


def present() -> tuple[list[Contender], list[str]]:
    """Return the contenders whose packages are installed, and the packages that are not."""
    absent = {
        package
        for contender in CONTENDERS
        for package in (*NEEDS[contender.way.module], contender.driver)
        if importlib.util.find_spec(package) is None
    }
    return [each for each in CONTENDERS if not absent & {*NEEDS[each.way.module], each.driver}], sorted(absent)


@contextlib.contextmanager
def serving(contender: Contender, url: URL) -> Iterator[int]:
    """Start a server, and yield its port. A connection waits until the server accepts it."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(1_024)
        port: int = opened.getsockname()[1]
        address = url.set(drivername=f"postgresql+{contender.driver}").render_as_string(hide_password=False)
        command = [sys.executable, "-m", "benchmarks.http.serve", contender.way.module, contender.way.kind, address]
        server = subprocess.Popen(  # noqa: S603 - this very Python
            [*command, str(opened.fileno())], pass_fds=[opened.fileno()]
        )
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


async def compare(ports: dict[Contender, int], cases: Sequence[Case]) -> None:
    """Check that all servers answer alike.

    Raises:
        AssertionError: one answers otherwise than the first.
    """
    paths = [path for case in cases for path in case.paths[:COMPARED]]
    first, *others = ports
    expected = await answers(ports[first], paths)
    for each in others:
        found = await answers(ports[each], paths)
        for path, mine, theirs in zip(paths, found, expected, strict=True):
            assert mine == theirs, f"{path}: {each.name!r} answers {mine!r}, and {first.name!r} {theirs!r}"


async def measure(url: URL, contenders: Sequence[Contender], effort: Effort, progress: Progress) -> list[Served]:
    """Start all servers, compare what they answer, and time them in turn."""
    cases = cases_of(effort)
    found: dict[tuple[Case, Contender], list[Load]] = {(case, each): [] for case in cases for each in contenders}
    shuffler = random.Random(1)  # noqa: S311 - an order, not a secret
    with contextlib.ExitStack() as stack:
        ports = {each: stack.enter_context(serving(each, url)) for each in contenders}
        progress.say("comparing what the servers answer")
        await compare(ports, cases)
        for case in cases:
            for each in contenders:  # caches are filled, and PostgreSQL has settled on a plan
                await load(ports[each], case.paths, effort.connections, effort.seconds / 2)
        gc.freeze()
        for case in cases:
            for number in range(effort.rounds):
                progress.step(f"{case.name}: round {number + 1}")
                for each in shuffler.sample(contenders, len(contenders)):
                    gc.collect()
                    loaded = await load(ports[each], case.paths, effort.connections, effort.seconds)
                    found[case, each].append(loaded)
        gc.unfreeze()
    return [served(case, each, loads) for (case, each), loads in found.items()]


def served(case: Case, contender: Contender, loads: Sequence[Load]) -> Served:
    """Return the figures of a server in a case."""
    seconds = [taken for each in loads for taken in each.seconds]
    rates = tuple(each.rate for each in loads)
    p50, p99 = (percentile(seconds, share) for share in (0.50, 0.99))
    return Served(case.name, contender.way.name, contender.driver, rates, p50, p99, len(seconds))


def page(found: Sequence[Served]) -> str:
    """Return the tables as Markdown: for each case a row a way, with the drivers side by side."""
    return "\n".join(_table(case, found) for case in dict.fromkeys(each.case for each in found))


def _table(case: str, found: Sequence[Served]) -> str:
    of = {(each.way, each.driver): each for each in found if each.case == case}
    drivers = [driver for driver in (ASYNCPG, PSYCOPG) if any(driver == each for _, each in of)]
    names = [f"{driver}: {figure}" for driver in drivers for figure in ("requests/s", "ratio", "p50 ms", "p99 ms")]
    lines = [f"### Over HTTP: {case}", "", f"| | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for way in dict.fromkeys(way for way, _ in of):
        cells = [cell for driver in drivers for cell in _cells(of.get((way, driver)), of.get((OPTIONS.name, driver)))]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cells(one: Served | None, beside: Served | None) -> tuple[str, str, str, str]:
    """Return requests a second, the ratio of them to options by hand round by round, and the percentiles."""
    if one is None:
        return ("-", "-", "-", "-")
    ratio = "-"
    if beside is not None:
        ratio = f"{statistics.median(mine / theirs for mine, theirs in zip(one.rates, beside.rates, strict=True)):.2f}"
    return (f"{one.rate:,.0f}", ratio, f"{one.p50 * 1e3:.2f}", f"{one.p99 * 1e3:.2f}")


def environment(effort: Effort, busy: float) -> dict[str, str]:
    """Return versions, machine and settings.

    Args:
        effort: of measuring.
        busy: share of the time for which this process, the client, computed.
    """
    installed = ", ".join(f"{name} {version(name)}" for name in PACKAGES if importlib.util.find_spec(module_of(name)))
    return {
        "versions": f"Python {platform.python_version()}, loadplan {__version__}, {installed}",
        "machine": f"{processor()}, {platform.system()} {platform.machine()}; client, servers and database share it",
        "servers": "uvicorn, one worker each; event loop and parser: "
        + " and ".join(each for each in ("uvloop", "httptools") if importlib.util.find_spec(each)),
        "measured": f"{effort.rounds} rounds of {effort.seconds:g} s a server, {effort.connections} connections,"
        f" {effort.orders:,} orders",
        "client": f"computes for {busy:.0%} of the time, on a core of its own where there is one",
    }


def module_of(package: str) -> str:
    """Return the module by which a package is imported."""
    return {"tortoise-orm": "tortoise"}.get(package, package)


async def main(effort: Effort, path: Path, prefix: str) -> None:
    """Measure, print and write down."""
    console = Console(highlight=False)
    contenders, absent = present()
    if absent:
        console.print(f"not installed: {', '.join(absent)}; `uv run --group benchmarks` has them", style="red")
    progress = Progress(console, len(cases_of(effort)) * effort.rounds)
    async with databases(effort.orders, 0, prefix) as data:
        url = await data.url("shop")
        wall, computed = time.perf_counter(), time.process_time()
        found = await measure(url, contenders, effort, progress)
        busy = (time.process_time() - computed) / (time.perf_counter() - wall)
    about = environment(effort, busy)
    for name, value in about.items():
        console.print(f"{name}: {value}")
    console.print(page(found), markup=False, soft_wrap=True)
    write(about, found, path)
    console.print(str(path))


def write(about: dict[str, str], found: Sequence[Served], path: Path) -> None:
    """Write results and tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"environment": about, "results": [attrs.asdict(each) for each in found]}
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    default = Effort()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=default.orders, help="orders of the shop")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="how often to measure")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="of load on each server in a round")
    parser.add_argument("--connections", type=int, default=default.connections, help="at a time")
    parser.add_argument("--to", type=Path, default=HERE / "http.json", help="file of the results")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    asked = parser.parse_args()
    chosen = SMOKE if asked.smoke else Effort(asked.orders, asked.rounds, asked.seconds, asked.connections)
    asyncio.run(main(chosen, asked.to, "smoke_" if asked.smoke else ""))
