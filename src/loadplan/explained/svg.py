"""Turns an explanation into an SVG picture: a tree from left to right.

Every parent is at half the height of the boxes below it, and every level has its own column. One walk over the tree
finds all positions, so this module needs no library. Libraries that draw any graph need a program outside of Python.
"""

import re
import unicodedata
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

import attrs

from loadplan.explained.boxes import COLOURS, Box, boxes_of, legend_of, summary_of
from loadplan.explained.explained import Explained

#: Lengths in pixels, before the picture is scaled.
_MARGIN = 24
_HEADING = 30
_LINE = 17
_BETWEEN = 18
_TRUNK = 18
_ARROW = 26
_LABEL_HEIGHT = 52
_TOP = 84
_CORNER = 8

_STYLE = """\
.page { fill: #ffffff; stroke: #d5dae1 }
.box { fill: #f7f8fa; stroke-width: 1.5 }
.trunk { fill: none; stroke: #8a94a3; stroke-width: 1.5 }
.arrow { fill: none; stroke-width: 2 }
text { fill: #1b2430; font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace }
.title { font-size: 17px; font-weight: 600 }
.entity { font-weight: 600 }
.small { font-size: 11px }
.muted { fill: #556070 }
.number { font-size: 11px; font-weight: 700; fill: #ffffff; text-anchor: middle }
"""
_DARK = """\
.page { fill: #161b22; stroke: #3a424e }
.box { fill: #1f2630 }
.trunk { stroke: #7d8896 }
text { fill: #e8edf3 }
.muted { fill: #a5b0be }
.number { fill: #10151c }
"""


@attrs.frozen(eq=False)
class _Placed:
    """A box and the position of the middle of its left side."""

    box: Box
    level: int
    y: float
    below: "tuple[_Placed, ...]"


@attrs.frozen(eq=False)
class _Column:
    """A level of the tree: the left edge of its boxes, and the width of the widest box."""

    x: float
    width: float


def to_svg(explanation: Explained) -> str:
    """Return the graph as a picture with a legend of its statements. The picture contains no fonts and no scripts."""
    root = boxes_of(explanation)
    placed, tree_height = _place(root, 0, _TOP)
    columns = _columns(root)
    legend = legend_of(explanation)
    title, summary = explanation.plan, summary_of(explanation)
    entry = max(_width(name, 11) for _, name in legend) + 54
    texts = [_MARGIN + _width(title, 17), _MARGIN + _width(summary, 11), _MARGIN + entry - 24]
    width = round(max(columns[-1].x + columns[-1].width, *texts) + _MARGIN)
    across = max(1, int((width - _MARGIN) // entry))
    rows = -(-len(legend) // across)
    legend_top = _TOP + tree_height + _BETWEEN * 2
    height = round(legend_top + 24 + rows * 22 + _MARGIN / 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label={quoteattr(_plain(f"{title}: {summary}"))}>',
        f"<style>\n{_style_sheet(len(legend))}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="{_CORNER}"/>',
        _text(_MARGIN, 36, title, "title"),
        _text(_MARGIN, 58, summary, "small muted"),
        *_tree(placed, columns),
        _text(_MARGIN, legend_top, "statements", "small muted"),
    ]
    for index, (number, name) in enumerate(legend):
        x, y = _MARGIN + index // rows * entry, legend_top + 22 + index % rows * 22
        lines += [*_badge(x, y, number), _text(x + 30, y + 4, name, "small")]
    return "\n".join([*lines, "</svg>"]) + "\n"


# --- positions ------------------------------------------------------------------------------------------------------


def _place(box: Box, level: int, top: float) -> tuple[_Placed, float]:
    """Return a box with its position below ``top``, and the height of the box with all boxes below it."""
    own = max(_box_height(box), _LABEL_HEIGHT if level else 0)
    below: list[_Placed] = []
    y = top
    for each in box.below:
        placed, height = _place(each, level + 1, y)
        below.append(placed)
        y += height + _BETWEEN
    taken = y - _BETWEEN - top if below else 0.0
    if own > taken:  # center the boxes below on the height of this taller box
        below = [_moved(each, (own - taken) / 2) for each in below]
    middle = (below[0].y + below[-1].y) / 2 if below else top + own / 2
    middle = min(max(middle, top + own / 2), top + max(own, taken) - own / 2)
    return _Placed(box, level, middle, tuple(below)), max(own, taken)


def _moved(placed: _Placed, by: float) -> _Placed:
    return attrs.evolve(placed, y=placed.y + by, below=tuple(_moved(each, by) for each in placed.below))


def _columns(root: Box) -> list[_Column]:
    columns: list[_Column] = []
    level: tuple[Box, ...] = (root,)
    x = float(_MARGIN)
    while level:
        labels = max((_label_width(box) for box in level), default=0)
        x += labels + _TRUNK * 2 + _ARROW if columns else 0
        columns.append(_Column(x, max(map(_box_width, level))))
        x += columns[-1].width
        level = tuple(below for box in level for below in box.below)
    return columns


def _box_height(box: Box) -> float:
    return _HEADING + (len(box.lines) * _LINE + 9 if box.lines else 0)


def _box_width(box: Box) -> float:
    return max(96, _width(box.entity, 13) + 58, *(_width(line, 11) + 24 for line in box.lines), 0)


def _label_width(box: Box) -> float:
    name, *rest = box.label or ("",)
    return max(_width(name, 13), *(_width(each, 11) for each in rest), 0)


def _width(text: str, size: int) -> float:
    """Return the width of a text in a monospaced font.

    A letter is 0.61 times as wide as its size. A wide letter, such as a Chinese one, is twice as wide.
    """
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in _plain(text)) * size * 0.61


# --- drawing --------------------------------------------------------------------------------------------------------


def _tree(placed: _Placed, columns: list[_Column]) -> Iterator[str]:
    column = columns[placed.level]
    if placed.below:
        yield from _branches(placed, columns)
    yield from _drawn_box(placed.box, column.x, placed.y)
    for below in placed.below:
        yield from _tree(below, columns)


def _branches(placed: _Placed, columns: list[_Column]) -> Iterator[str]:
    column, following = columns[placed.level], columns[placed.level + 1]
    start = column.x + _box_width(placed.box)
    trunk = column.x + column.width + _TRUNK
    ends = [placed.y, *(each.y for each in placed.below)]
    yield f'<path class="trunk" d="M{start:g} {placed.y:g}H{trunk:g}M{trunk:g} {min(ends):g}V{max(ends):g}"/>'
    for each in placed.below:
        edge = each.box.edge
        name, *rest = each.box.label
        colour = _colour(each.box.statement)
        tip = following.x - 2
        yield f"<g><title>{_escaped('' if edge is None else f'{edge.name}: {edge.reason}')}</title>"
        yield f'<path class="arrow line{colour}" d="M{trunk:g} {each.y:g}H{tip - 6:g}"/>'
        yield f'<path class="fill{colour}" d="M{tip:g} {each.y:g}l-9 -5v10z"/>'
        yield _text(trunk + _TRUNK / 2, each.y - 7, name)
        for row, line in enumerate(rest):
            yield _text(trunk + _TRUNK / 2, each.y + 14 + row * 13, line, "small muted")
        yield "</g>"


def _drawn_box(box: Box, x: float, y: float) -> Iterator[str]:
    width, height = _box_width(box), _box_height(box)
    top = y - height / 2
    colour = _colour(box.statement)
    yield (
        f'<rect class="box line{colour}" x="{x:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="{_CORNER}"/>'
    )
    yield _text(x + 12, top + 20, box.entity, "entity")
    yield from _badge(x + width - 30, top + 15, box.statement)
    if box.lines:
        yield f'<path class="trunk" d="M{x + 12:g} {top + _HEADING:g}H{x + width - 12:g}"/>'
    for row, line in enumerate(box.lines):
        yield _text(x + 12, top + _HEADING + 16 + row * _LINE, line, "small")


def _badge(x: float, y: float, number: int) -> Iterator[str]:
    yield f'<rect class="fill{_colour(number)}" x="{x:g}" y="{y - 8:g}" width="20" height="16" rx="{_CORNER}"/>'
    yield _text(x + 10, y + 4, str(number), "number")


def _text(x: float, y: float, text: str, classes: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f'<text{named} x="{x:g}" y="{y:g}">{_escaped(text)}</text>'


def _style_sheet(statements: int) -> str:
    used = list(enumerate(COLOURS[:statements], start=1))
    light = "".join(_coloured(number, colour) for number, (colour, _) in used)
    dark = "".join(_coloured(number, colour) for number, (_, colour) in used)
    return f"{_STYLE}{light}@media (prefers-color-scheme: dark) {{\n{_DARK}{dark}}}\n"


def _coloured(number: int, colour: str) -> str:
    return f".line{number} {{ stroke: {colour} }} .fill{number} {{ fill: {colour} }}\n"


def _colour(statement: int) -> int:
    return (statement - 1) % len(COLOURS) + 1


#: Characters that XML 1.0 cannot contain, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _plain(text: str) -> str:
    return " ".join(_UNWRITABLE.sub("\ufffd", text).split())


def _escaped(text: str) -> str:
    return escape(_plain(text))
