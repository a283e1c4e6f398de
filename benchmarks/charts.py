"""Charts and tables of the results that there are, for the pages. ``python -m benchmarks charts``.

Charts are for pages in light and in dark, as SVG and PNG; tables are Markdown.

The same files come of the same results, byte by byte, with one version of matplotlib.
"""

# pyright: reportMissingImports=false

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks import compile_cost, figures, growth, weights
from benchmarks.drawing import Theme, apart, bare, colour_of, figure_of, mixed, readable_on, save
from benchmarks.report import HERE, Result, by_case, read_json
from benchmarks.rival_charts import FULLY, case_chart, rival_chart
from benchmarks.strategy_cases import ENTITY_COLUMNS, VIEW_COLUMNS
from benchmarks.strategy_costs import SAME, cell, ratio_to

# --- growth ---------------------------------------------------------------------------------------------------------

BY_HAND = "asyncpg by hand"
GROWING = (growth.OPTIONS, growth.ENTITIES, growth.VIEWS, BY_HAND)


def growth_chart(results: Sequence[Result], theme: Theme) -> Figure:
    """Return two panels, both logarithmic: time and memory by the number of roots."""
    below = "by hand: the faster of one statement and one a level. Memory: the whole process"
    figure, (time, memory) = figure_of(7.6, (1.2, 1), "Time and memory by the number of orders fetched", below)
    points = {name: _growth_of(results, name) for name in GROWING}
    _lines(time, "Time of a fetch, and its SQL statements", points, lambda each: each.milliseconds, theme, counted=True)
    _lines(memory, "Peak of the process's memory", points, lambda each: each.megabytes or 0, theme, counted=False)
    time.set_yticks(*_ticks(((1, "1 ms"), (10, "10 ms"), (100, "100 ms"), (1_000, "1 s"), (10_000, "10 s")), time))
    memory.set_yticks(
        *_ticks(
            ((50, "50 MB"), (100, "100 MB"), (200, "200 MB"), (500, "500 MB"), (1_000, "1 GB"), (2_000, "2 GB")), memory
        )
    )
    return figure


def _growth_of(results: Sequence[Result], name: str) -> list[Result]:
    """Return the results of a line by size; by hand the faster of two."""
    names = {growth.NESTED, growth.LEVELS} if name == BY_HAND else {name}
    found: dict[int, Result] = {}
    for each in results:
        if each.rival in names and (each.size not in found or each.milliseconds < found[each.size].milliseconds):
            found[each.size] = each
    return [found[size] for size in sorted(found)]


def _statements(points: Sequence[Result]) -> str:
    """Return how many statements a way takes, from the fewest roots to the most."""
    counts = [each.statements for each in points if each.statements is not None]
    if not counts:
        return ""
    return f", {min(counts)} SQL" if min(counts) == max(counts) else f", {min(counts)} to {max(counts)} SQL"


def _ticks(wanted: Sequence[tuple[float, str]], axes: Axes) -> tuple[list[float], list[str]]:
    low, high = axes.get_ylim()
    within = [(value, label) for value, label in wanted if low <= value <= high]
    return [value for value, _ in within], [label for _, label in within]


def _lines(
    axes: Axes,
    title: str,
    points: dict[str, list[Result]],
    read: Callable[[Result], float],
    theme: Theme,
    *,
    counted: bool,
) -> None:
    axes.set_title(title, loc="left", fontsize=9, weight="bold")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    sizes = [each.size for each in points[GROWING[0]]]
    lines = {name: [read(each) for each in found] for name, found in points.items()}
    for name, values in lines.items():
        axes.plot(sizes, values, "o-", color=colour_of(name, theme), markersize=3.5, linewidth=1.8)
    low, high = min(map(min, lines.values())), max(map(max, lines.values()))
    axes.set_ylim(low / 1.3, high * 1.3)
    step = math.log10(high * 1.3 / (low / 1.3)) / 16
    ends = apart([math.log10(values[-1]) for values in lines.values()], step)
    for name, end in zip(lines, ends, strict=True):
        axes.annotate(
            f"{name}{_statements(points[name])}" if counted else name,
            (sizes[-1] * 1.35, 10**end),
            color=colour_of(name, theme),
            va="center",
            fontsize=7.5,
            annotation_clip=False,
        )
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 10 ** (0.55 * math.log10(sizes[-1] / sizes[0])))
    axes.set_xticks(sizes, [f"{size:,}" if size < 1_000 else f"{size // 1_000}k" for size in sizes])
    axes.grid(color=theme.faint, linewidth=0.6)
    axes.spines["bottom"].set_bounds(sizes[0], sizes[-1])


# --- strategies -----------------------------------------------------------------------------------------------------


def strategy_chart(kind: str, results: Sequence[Result], theme: Theme) -> Figure:
    """Return a heat map: the time of each strategy in units of the automatic choice's, a row a case."""
    names = ENTITY_COLUMNS if kind == "entities" else VIEW_COLUMNS
    rows = list(by_case(each for each in results if each.case.startswith(f"{kind}:")).items())
    title = f"{kind.capitalize()}: time of a forced strategy / automatic"
    below = "auto: the choice itself; below 1 (blue) the forced one is faster, above (orange) slower"
    figure, (axes,) = figure_of(1.25 + 0.27 * (len(rows) + len({case for (case, _), _ in rows})), (1,), title, below)
    place = 0.0
    ticks, labels = [], []
    for number, ((case, size), found) in enumerate(rows):
        if number == 0 or rows[number - 1][0][0] != case:
            axes.text(-0.5, place, case.partition(": ")[2], va="center", ha="left", fontsize=8.5, weight="bold")
            place += 1
        by_name = {each.rival: each for each in found}
        for column, name in enumerate(names):
            _cell(axes, column, place, by_name[name], found[0], theme)
        ticks.append(place)
        labels.append(f"{size:,} roots" if size > 1 else "1 root")
        place += 1
    axes.set_yticks(ticks, labels)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(place - 0.5, -0.6)
    bare(axes)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names])
    axes.xaxis.tick_top()
    return figure


def _cell(axes: Axes, column: float, place: float, result: Result, automatic: Result, theme: Theme) -> None:
    ratio = ratio_to(result, automatic)
    if ratio is None:
        axes.text(column, place, "n/a", ha="center", va="center", color=theme.other, fontsize=8)
        return
    strength = min(1.0, abs(math.log2(ratio)) / 2)
    colour = mixed(theme.paper, theme.slower if ratio > 1 else theme.faster, strength)
    axes.add_patch(
        Rectangle((column - 0.47, place - 0.45), 0.94, 0.9, facecolor=colour, edgecolor=theme.faint, linewidth=0.5)
    )
    text = "auto" if result.note == SAME else cell(result, automatic)
    axes.text(column, place, text, ha="center", va="center", color=readable_on(colour, theme), fontsize=8.5)


# --- what a plan costs ----------------------------------------------------------------------------------------------


def plan_chart(results: Sequence[Result], theme: Theme) -> Figure:
    """Return two panels: milliseconds of each step on an engine with empty caches, and bytes of what is held."""
    below = "one order by key, new engine; tracemalloc, values included"
    figure, (steps, bytes_) = figure_of(6.4, (1.35, 1), "What a plan costs once, and what its results weigh", below)
    _grouped(
        steps,
        "Milliseconds of each step",
        [
            (each.case.removeprefix(compile_cost.COLD), each.rival, each.milliseconds)
            for each in results
            if each.seconds and each.note != compile_cost.SQLALCHEMY
        ],
        theme,
        lambda number: f"{number:.2f} ms" if number < 10 else f"{number:.0f} ms",
    )
    _grouped(
        bytes_,
        "Bytes of one, with all below it",
        [
            (each.case.removeprefix(weights.WEIGHT), each.rival, weights.bytes_each(each))
            for each in results
            if each.megabytes
        ],
        theme,
        lambda number: f"{number:,.0f}",
    )
    return figure


def _grouped(
    axes: Axes, title: str, marks: Sequence[tuple[str, str, float]], theme: Theme, said: Callable[[float], str]
) -> None:
    axes.set_title(title, loc="left", fontsize=9, weight="bold")
    place, ticks, labels, before = 0.0, [], [], None
    for group, name, number in marks:
        if group != before:
            axes.text(0, place, group, va="center", fontsize=8.5, style="italic")
            place, before = place + 1, group
        axes.barh(place, number, 0.72, color=colour_of(name, theme))
        axes.text(number, place, f" {said(number)}", va="center", fontsize=8)
        ticks.append(place)
        labels.append(name)
        place += 1
    axes.set_yticks(ticks, labels)
    axes.set_xlim(0, max(number for *_, number in marks) * 1.25)
    axes.set_ylim(place - 0.4, -0.6)
    bare(axes)


# --- files ----------------------------------------------------------------------------------------------------------


def main(results: Path, to: Path) -> None:
    """Draw what there are results of, and write the tables."""
    paths = []
    if (path := results / "cases.json").exists():
        of_cases = by_case(read_json(path).results)
        shown_fully = [found for (name, _), found in of_cases.items() if name in FULLY]
        paths += save("rivals", to, partial(rival_chart, shown_fully))
        paths += save("cases", to, partial(case_chart, list(of_cases.values())))
    runs = figures.runs_in(results)
    if "growth" in runs:
        paths += save("growth", to, partial(growth_chart, runs["growth"].results))
    if "strategy_costs" in runs:
        for kind in ("entities", "views"):
            paths += save(f"strategies-{kind}", to, partial(strategy_chart, kind, runs["strategy_costs"].results))
    if "compile_cost" in runs:
        paths += save("plan-cost", to, partial(plan_chart, runs["compile_cost"].results))
    print(*paths, *figures.write_tables(runs, to), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE, help="folder of the results")
    parser.add_argument("--to", type=Path, default=figures.DOCS, help="folder for charts and tables")
    options = parser.parse_args()
    main(options.results, options.to)
