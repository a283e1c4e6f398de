"""How the charts look: colours for light and dark pages, and files that are the same for the same figures."""

# pyright: reportMissingImports=false

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmarks.targets import DRIVERS

DRIVERS_BY_HAND = tuple(driver for drivers in DRIVERS.values() for driver in drivers)
WIDTH = 5.2  # inches: as wide as a phone at 72 points an inch, so that text keeps its size there


@attrs.frozen
class Theme:
    """Colours of a page.

    Attributes:
        name: end of the file's name.
        paper: behind everything.
        ink: text.
        faint: lines that lead the eye, and what could not be measured.
        ours: loadplan's entities.
        views: loadplan's views.
        hand: SQL by hand, the limit.
        options: SQLAlchemy with options by hand.
        other: everybody else.
        slower: end of the heat map's colours.
        faster: their other end.
    """

    name: str
    paper: str
    ink: str
    faint: str
    ours: str
    views: str
    hand: str
    options: str
    other: str
    slower: str
    faster: str


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1f2430",
    faint="#d5d9e0",
    ours="#3949ab",
    views="#00838f",
    hand="#8d6e00",
    options="#c2410c",
    other="#737b89",
    slower="#e8792b",
    faster="#2f80c4",
)
DARK = Theme(
    name="dark",
    paper="#1e2129",
    ink="#e6e8ee",
    faint="#434956",
    ours="#8c9eff",
    views="#4dd0e1",
    hand="#e3b341",
    options="#ff9e64",
    other="#9aa2b1",
    slower="#c8601a",
    faster="#2c77b8",
)

#: Settings that do not depend on the machine: matplotlib's own font, text as outlines, no random names.
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "loadplan",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": False,
}


def colour_of(rival: str, theme: Theme) -> str:
    """Return the colour that a rival has in every chart."""
    if rival.startswith("loadplan"):
        return theme.views if "view" in rival else theme.ours
    if rival.startswith(DRIVERS_BY_HAND):
        return theme.hand
    return theme.options if "options" in rival else theme.other


def save(name: str, folder: Path, draw: Callable[[Theme], Figure]) -> list[Path]:
    """Draw a chart for light and for dark pages, and write each as SVG and PNG.

    Args:
        name: of the files, without theme and ending.
        folder: for them.
        draw: makes the figure; called within the settings and the colours of a theme.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for theme in (LIGHT, DARK):
        colours: dict[Any, Any] = {f"{part}.color": theme.ink for part in ("text", "xtick", "ytick")}
        colours |= {"axes.labelcolor": theme.ink, "axes.edgecolor": theme.faint, "axes.facecolor": theme.paper}
        with mpl.rc_context({**SETTINGS, **colours}):
            figure = draw(theme)
            for ending, said in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
                path = folder / f"{name}-{theme.name}.{ending}"
                figure.savefig(path, facecolor=theme.paper, metadata=said, dpi=144)
                paths.append(path)
    return paths


def figure_of(height: float, panels: Sequence[float], title: str, below: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels below each other.

    Args:
        height: inches.
        panels: heights in proportion.
        title: what is compared with what.
        below: a line that says how to read it.
    """
    figure = Figure((WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, hspace=0.04))
    figure.suptitle(title, x=0.02, ha="left", weight="bold", fontsize=11)
    figure.supxlabel(below, x=0.02, ha="left", fontsize=8)
    axes = figure.subplots(len(panels), 1, height_ratios=list(panels), squeeze=False)
    return figure, [each[0] for each in axes]


def bare(axes: Axes) -> None:
    """Take away what a chart with labels on its marks does not need."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])


def apart(places: Sequence[float], distance: float) -> list[float]:
    """Return places moved as little as may be so that each is so far from the next, in the order that they had."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for _ in range(100):  # each turn halves what is left of an overlap
        for lower, upper in pairwise(order):
            missing = distance - (moved[upper] - moved[lower])
            if missing > 0:
                moved[lower] -= missing / 2
                moved[upper] += missing / 2
    return moved


def mixed(colour: str, other: str, share: float) -> tuple[float, ...]:
    """Return a colour with so much of another in it."""
    return tuple(one * (1 - share) + two * share for one, two in zip(to_rgb(colour), to_rgb(other), strict=True))


def readable_on(colour: Any, theme: Theme) -> str:
    """Return the colour of text on a background."""
    red, green, blue = to_rgb(colour)
    return "#12151c" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#f4f5f8"
