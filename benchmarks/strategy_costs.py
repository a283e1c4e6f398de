"""What a strategy costs where it is wrong: the automatic choice beside every one that can be forced.

``python -m benchmarks strategies``. Each graph of ``strategy_cases.py`` is fetched as loadplan chooses, and
with each ``strategy=`` on its edges; for the first rows of each parent the other of LATERAL and window function is
brought about by what the mapping says of indexes. All ways take turns within a round, and must bring equal graphs
before anything is timed. The figure to keep is a way's time in units of the automatic choice's, round by round.

A way whose statements are those of the automatic choice is not timed: it is the same.
"""

import argparse
import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.measure import Way, add_driver, columns, database, environment, recorded, result_file, time_rounds
from benchmarks.report import Result, Run, write_json
from benchmarks.shop import fill
from benchmarks.strategy_cases import CASES, ENTITIES, StrategyCase
from loadplan import Loader
from loadplan.explained.explained import ExplainedEdge

AUTOMATIC = "automatic"
SAME = "the automatic choice"
ORDERS = 100_000
SMALL = 100  # orders, and the most roots then
SECONDS = 2.5  # that a round should not go beyond


def way_to(loader: Loader, case: StrategyCase, plan: Any, roots: int) -> Way:
    """Return the fetch of so many roots."""
    if roots == 1:
        return partial(loader.fetch, plan, case.one)
    key = plan.entity.id
    if case.sizes[-1] == roots and roots < 10:  # trees: their roots alone
        return partial(loader.fetch_all, plan, plan.entity.parent_id.is_(None), key, roots)
    return partial(loader.fetch_all, plan, order_by=key, limit=roots)


def statements_of(loader: Loader, plan: Any, roots: int) -> list[str]:
    """Return the texts that a plan sends."""
    return [each.sql for each in loader.explain(plan, roots=roots).sql]


def values(found: Any, edges: Sequence[ExplainedEdge]) -> Any:
    """Return what a graph holds, as values to compare; a view and an entity whose end is not known have nothing there.

    Args:
        found: a root or several, entities or views.
        edges: of entities, to follow.
    """
    if isinstance(found, list):
        return [values(each, edges) for each in found]
    if attrs.has(type(found)):
        return [values(getattr(found, each.name), ()) for each in attrs.fields(type(found))]
    if not edges and not hasattr(found, "__mapper__"):
        return found or []  # None is the end of a view's tree, of which another plan says that nothing is there
    below = {edge.name: values(getattr(found, edge.name.rpartition(".")[2]), edge.edges) for edge in edges}
    return [columns(found), below]


async def compare(loader: Loader, case: StrategyCase, ways: dict[str, Way]) -> None:
    """Check that all ways bring equal graphs."""
    edges = loader.explain(case.automatic).edges if case.kind == ENTITIES else ()
    expected = values(await ways[AUTOMATIC](), edges)
    assert expected, f"{case.name}: there are no roots"
    for name, way in ways.items():
        found = values(await way(), edges)
        assert found == expected, f"{case.name}, {case.kind}: {name!r} brings another graph"


async def count(engine: AsyncEngine, way: Way) -> list[str]:
    """Return the statements that a way sends."""
    with recorded(engine) as sent:
        await way()
    return [sql for sql, _ in sent]


async def time_case(engine: AsyncEngine, case: StrategyCase, roots: int, rounds: int, calls: int) -> list[Result]:
    """Compare the ways to so many roots, time them, and return a result for each."""
    loader = Loader(engine)
    usual = statements_of(loader, case.automatic, roots)
    ways = {AUTOMATIC: way_to(loader, case, case.automatic, roots)}
    notes: dict[str, str] = {}
    automatic = await count(engine, ways[AUTOMATIC])
    for name, choice in case.forced.items():
        if isinstance(choice, str):
            notes[name] = choice
            continue
        way = way_to(loader, case, choice.plan, roots)
        if choice.context is not None:
            with choice.context():
                await way()  # compiles the plan, which keeps what it has become
            sent = await count(engine, way)
            if sent == automatic:  # another way was chosen than those that this one is the other of
                notes[name] = SAME
                continue
        elif statements_of(loader, choice.plan, roots) == usual:
            notes[name] = SAME
            continue
        ways[name] = way
        notes[name] = choice.note
    await compare(loader, case, ways)
    seconds = sum((await time_rounds(list(ways.values()), 1, 1))[0])
    calls = max(1, min(calls, int(SECONDS / seconds)))
    await time_rounds(list(ways.values()), 1, min(calls, 6))  # PostgreSQL plans a prepared statement anew five times
    medians = await time_rounds(list(ways.values()), rounds, calls)
    timed = dict(zip(ways, zip(*medians, strict=True), strict=True))
    title = f"{case.kind}: {case.name}"
    found = []
    for name in (AUTOMATIC, *case.forced):
        number = len(await count(engine, ways[name])) if name in ways else None
        found.append(Result(title, name, roots, timed.get(name, ()), number, note=notes.get(name, "")))
    silent = [each.rival for each in found[1:] if not (each.seconds or each.note)]
    assert found[0].seconds, f"{title}: nothing was timed"
    assert not silent, f"{title}: nothing is said of {', '.join(silent)}"
    return found


def line(results: Sequence[Result]) -> str:
    """Return the results of one case and number of roots as a line: milliseconds, then ratios."""
    automatic = results[0]
    cells = [f"{each.rival} {cell(each, automatic)}" for each in results[1:]]
    return f"{automatic.case}, {automatic.size:,} roots: {automatic.milliseconds:.2f} ms; " + ", ".join(cells)


def ratio_to(result: Result, automatic: Result) -> float | None:
    """Return a way's time in units of the automatic choice's, or None where nothing was timed."""
    if result.note == SAME:
        return 1.0
    if not result.seconds:
        return None
    ratios = sorted(result.ratios(automatic))
    return ratios[len(ratios) // 2]


def cell(result: Result, automatic: Result) -> str:
    """Return a ratio as text; ``=`` is the automatic choice itself, ``n/a`` a way that there is not."""
    if result.note == SAME:
        return "="
    found = ratio_to(result, automatic)
    return "n/a" if found is None else f"{found:.2f}"


async def measure(
    engine: AsyncEngine, rounds: int, calls: int, orders: int = ORDERS, only: Sequence[str] = ()
) -> list[Result]:
    """Return the results of all cases, and print a line for each as it comes."""
    await fill(engine, orders)
    results = []
    for case in CASES:
        if only and not any(word in f"{case.kind}: {case.name}" for word in only):
            continue
        for roots in case.sizes:
            if orders == SMALL < roots:
                continue
            found = await time_case(engine, case, roots, rounds, calls)
            print(line(found), flush=True)
            results += found
    return results


async def main(rounds: int, calls: int, orders: int, only: Sequence[str], driver: str, path: Path) -> None:
    """Measure, print and write down."""
    async with database("benchmarks", driver) as engine:
        described = await environment(engine)
        print(described)
        print(f"{rounds} rounds of up to {calls} calls a way, in turn\n")
        results = await measure(engine, rounds, calls, orders, only)
        write_json(Run({"measured on": described}, results), path)
        print(f"\n{path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"rows of the shop (default: {ORDERS:,})")
    parser.add_argument("--rounds", type=int, default=7, help="how often to measure (default: 7)")
    parser.add_argument("--calls", type=int, default=30, help="calls of each way in a round, fewer where slow")
    parser.add_argument("--only", nargs="+", default=(), help="cases whose name holds one of these words")
    parser.add_argument("--to", type=Path, help="file of the results")
    add_driver(parser)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.calls, options.orders = 1, 1, SMALL
    to = options.to or result_file("strategy_costs", options.driver)
    asyncio.run(main(options.rounds, options.calls, options.orders, options.only, options.driver, to))
