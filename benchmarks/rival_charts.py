"""Charts of the cases: each rival's time in units of SQL by hand, a bar each."""

# pyright: reportMissingImports=false

import statistics
from collections.abc import Sequence
from textwrap import TextWrapper
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.drawing import Theme, bare, colour_of, figure_of
from benchmarks.report import Result
from benchmarks.tables import limit_of

FULLY = ("one", "list-50", "list-1000")
"""Cases that are shown with all rivals."""

BESIDE = ("options in the call", "loadplan, entities", "loadplan, views")
"""Rivals that are shown in all cases."""

TITLE = TextWrapper(44, break_on_hyphens=False)
"""Cuts a title to what fits above a panel."""

Cases: TypeAlias = Sequence[Sequence[Result]]
"""Results of each case."""


def over(result: Result, limit: Result) -> float:
    """Return a time in units of the limit's: the median of the rounds."""
    return statistics.median(result.ratios(limit))


def rival_chart(cases: Cases, theme: Theme) -> Figure:
    """Return a panel a case, with all rivals, the fastest one on top."""
    return _chart(cases, theme, "Time of a fetch, in units of SQL by hand")


def case_chart(cases: Cases, theme: Theme) -> Figure:
    """Return a panel a case, with loadplan and options by hand alone."""
    chosen = [[each for each in results if each.rival in BESIDE or each is limit_of(results)] for results in cases]
    return _chart(chosen, theme, "loadplan and options by hand, in units of SQL by hand")


def _chart(cases: Cases, theme: Theme, title: str) -> Figure:
    heights = [len(results) + 0.6 + len(TITLE.wrap(results[0].title)) for results in cases]
    limits = dict.fromkeys(limit.rival.partition(",")[0] for results in cases if (limit := limit_of(results)))
    below = (
        f"1 = {' or '.join(limits)}, objects built by hand; shorter is faster; a bar with a gap is longer than drawn"
    )
    figure, panels = figure_of(0.9 + 0.2 * sum(heights), heights, title, below)
    for axes, results in zip(panels, cases, strict=True):
        _bars(axes, results, theme)
    return figure


def _bars(axes: Axes, results: Sequence[Result], theme: Theme) -> None:
    limit = limit_of(results)
    assert limit is not None, f"{results[0].case}: nobody did it by hand"
    able = sorted((each for each in results if each.seconds), key=lambda each: over(each, limit))
    unable = [each for each in results if not each.seconds]
    lengths = [over(each, limit) for each in able]
    end = _end(lengths)
    axes.set_title("\n".join(TITLE.wrap(results[0].title)), loc="left", fontsize=9, weight="bold")
    for place, (each, length) in enumerate(zip(able, lengths, strict=True)):
        axes.barh(place, min(length, end), 0.72, color=colour_of(each.rival, theme))
        if length > end:  # a gap near its end says that it goes on
            axes.barh(place, end * 0.02, 0.8, end * 0.92, color=theme.paper)
        label = f" {length:.1f} x, {_milliseconds(each.milliseconds)}"
        axes.text(min(length, end), place, label, va="center", fontsize=8)
    for place, each in enumerate(unable, start=len(able)):
        short = each.note.partition(":")[0]  # "cannot", or "left out" with the number of roots
        axes.text(0, place, f" {short}", va="center", color=theme.other, style="italic", fontsize=8)
    axes.set_yticks(range(len(results)), [each.rival for each in (*able, *unable)])
    axes.set_xlim(0, end * 1.45)
    axes.set_ylim(len(results) - 0.4, -0.6)
    bare(axes)


def _end(lengths: Sequence[float]) -> float:
    """Return where the longest bar ends: one that is far longer than all others is cut, so that those can be told."""
    *others, longest = sorted(lengths)
    return max(others) * 1.25 if others and longest > 2.5 * max(others) else longest


def _milliseconds(number: float) -> str:
    return f"{number:,.2f} ms" if number < 10 else f"{number:,.0f} ms"
