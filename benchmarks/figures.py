"""Tables of growth, strategies and plans, as Markdown that pages take in. ``charts.py`` writes them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks import compile_cost, growth, weights
from benchmarks.report import Result, Run, by_case, lacking, read_json
from benchmarks.strategy_cases import ENTITIES, ENTITY_COLUMNS, NO_OTHER, OTHER, VIEW_COLUMNS, VIEWS
from benchmarks.strategy_costs import SAME, cell

DOCS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
"""Where the pages take charts and tables from."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, its first column to the left and the others to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join(['---', *['---:'] * (len(head) - 1)])} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def measured_on(run: Run) -> Iterator[str]:
    """Yield what it all ran on."""
    for line in run.environment.values():
        yield from (f"{each}  " for each in line.splitlines())
    yield ""


def milliseconds(number: float) -> str:
    """Return a time as text."""
    return f"{number:,.2f}" if number < 100 else f"{number:,.0f}"


def growth_page(run: Run) -> Iterator[str]:
    """Yield the tables of time and memory by the number of roots."""
    cases = by_case(run.results)
    yield from measured_on(run)
    for title, said in (
        ("Milliseconds; in brackets the statements", _time),
        ("Peak of a process in megabytes", _memory),
    ):
        yield f"{title}:\n"
        rows = []
        for (_, size), found in cases.items():
            by_name = {each.rival: each for each in found}
            rows.append([f"{size:,}", *(said(by_name[name]) for name in growth.WAYS)])
        yield from table(["orders", *growth.WAYS], rows)


def _time(result: Result) -> str:
    statements = "" if result.statements is None else f" ({result.statements:,})"
    return milliseconds(result.milliseconds) + statements


def _memory(result: Result) -> str:
    return "" if result.megabytes is None else f"{result.megabytes:,.0f}"


def plan_page(run: Run) -> Iterator[str]:
    """Yield the tables of what a plan costs, and of what results weigh."""
    found = {(each.case, each.rival): each for each in run.results}
    yield from measured_on(run)
    yield "Milliseconds of each step. A fetch is by primary key, on a new engine with an open connection:\n"
    rows = []
    for step in compile_cost.STEPS:
        steps = [found[compile_cost.COLD + step, name] for name in compile_cost.WAYS]
        texts = ["" if each.note == compile_cost.SQLALCHEMY else milliseconds(each.milliseconds) for each in steps]
        rows.append([step, *texts])
    yield from table(["step", *compile_cost.WAYS], rows)
    yield "Bytes of one object, with its values and all objects below it, as tracemalloc counts them:\n"
    rows = []
    for kind in weights.KINDS:
        held = [found[weights.WEIGHT + kind, holder] for holder in weights.HOLDERS]
        rows.append([kind, *(f"{weights.bytes_each(each):,.0f}" for each in held)])
    yield from table(["what", *weights.HOLDERS], rows)


def strategy_page(run: Run) -> Iterator[str]:
    """Yield the tables of the strategies: a ratio to the automatic choice in each cell."""
    yield from measured_on(run)
    for kind, names in ((ENTITIES, ENTITY_COLUMNS), (VIEWS, VIEW_COLUMNS)):
        yield f"Plans of {kind}, time / automatic choice:\n"
        cases = by_case(each for each in run.results if each.case.startswith(f"{kind}:"))
        reasons: dict[tuple[str, str], dict[str, None]] = {}
        rows = []
        for (case, size), found in cases.items():
            title = case.partition(": ")[2]
            by_name = {each.rival: each for each in found}
            cells = [cell(by_name[name], found[0]).replace("=", "auto") for name in names]
            rows.append([title, f"{size:,}", milliseconds(found[0].milliseconds), *cells])
            for name in names:
                if (note := by_name[name].note) and note not in {SAME, NO_OTHER}:
                    said = note if by_name[name].seconds else f"n/a, {note}"
                    reasons.setdefault((title, said), {})[name] = None
        yield from table(["graph", "roots", "automatic, ms", *names], rows)
        yield f"*{OTHER}* is n/a where there is none. What else the columns mean:\n"
        yield from (f"- {title}; {', '.join(names)}: {said}" for (title, said), names in reasons.items())
        yield ""


def _cells_of_growth(run: Run) -> Iterator[tuple[str, int, str]]:
    yield from ((case, size, name) for case, size in by_case(run.results) for name in growth.WAYS)


def _cells_of_plans(run: Run) -> Iterator[tuple[str, int, str]]:
    sizes = {each.case: each.size for each in run.results}
    cells = [(compile_cost.COLD + step, name) for step in compile_cost.STEPS for name in compile_cost.WAYS]
    cells += [(weights.WEIGHT + kind, holder) for kind in weights.KINDS for holder in weights.HOLDERS]
    yield from ((case, sizes.get(case, 0), name) for case, name in cells)


def _cells_of_strategies(run: Run) -> Iterator[tuple[str, int, str]]:
    for case, size in by_case(run.results):
        names = ENTITY_COLUMNS if case.startswith(f"{ENTITIES}:") else VIEW_COLUMNS
        yield from ((case, size, name) for name in names)


@attrs.frozen
class Page:
    """What is made of a file of results.

    Attributes:
        lines: makes the tables.
        cells: the results that tables and charts of this version need.
        part: the part of the suite that makes the file.
    """

    lines: Callable[[Run], Iterator[str]]
    cells: Callable[[Run], Iterator[tuple[str, int, str]]]
    part: str


PAGES = {
    "growth": Page(growth_page, _cells_of_growth, "growth"),
    "compile_cost": Page(plan_page, _cells_of_plans, "plan-cost"),
    "strategy_costs": Page(strategy_page, _cells_of_strategies, "strategies"),
}
"""What is made of each file of results."""


def runs_in(results: Path) -> dict[str, Run]:
    """Return the runs in the files of results, by the names of the files. Say which files an older version made."""
    runs = {}
    for name, page in PAGES.items():
        if not (path := results / f"{name}.json").exists():
            continue
        run = read_json(path)
        if not (lacks := lacking(run.results, page.cells(run))):
            runs[name] = run
            continue
        more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        print(
            f"{path} is of an older version of the benchmarks: it has no {lacks[0]}{more}. Nothing is drawn of it. "
            f"To make it again: python -m benchmarks {page.part} --to {path}",
            file=sys.stderr,
        )
    return runs


def write_tables(runs: Mapping[str, Run], to: Path) -> list[Path]:
    """Write the tables of runs, and return their files."""
    paths = []
    to.mkdir(parents=True, exist_ok=True)
    for name, run in runs.items():
        written = to / f"{name}.md"
        written.write_text("\n".join(PAGES[name].lines(run)).rstrip() + "\n", encoding="utf-8")
        paths.append(written)
    return paths
