"""Turns an explanation into the text of a Mermaid flowchart."""

import re
from collections.abc import Iterator

from loadplan.explained.boxes import COLOURS, Box, boxes_of, legend_of, summary_of, walk
from loadplan.explained.explained import Explained

#: Characters that a label may contain. Mermaid reads others as marks, HTML or Markdown.
_PLAIN = re.compile(r"[^\w .,:'=+-]")


def to_mermaid(explanation: Explained) -> str:
    """Return the graph as a flowchart from left to right, with a legend of its statements.

    Escapes names. Boxes have no fill, so their text is readable on light and on dark pages.
    """
    root = boxes_of(explanation)
    ids = {id(box): f"n{number}" for number, box in enumerate(walk(root), start=1)}
    lines = [*_nodes(root, ids), *_arrows(root, ids), *_legend(explanation, _last_parent(root, ids)), *_colours(root)]
    return "\n".join(["flowchart LR", *(f"    {line}" for line in lines)]) + "\n"


def _nodes(root: Box, ids: dict[int, str]) -> Iterator[str]:
    for box in walk(root):
        heading = f"<b>{_escaped(box.entity)}</b>"
        yield f'{ids[id(box)]}["{_joined(heading, *map(_escaped, box.lines))}"]:::{_style(box.statement)}'


def _arrows(root: Box, ids: dict[int, str]) -> Iterator[str]:
    colours: list[str] = []
    for box in walk(root):
        for below in box.below:
            label = _joined(*map(_escaped, below.label[:-1]), f"{_escaped(below.label[-1])}, {below.statement}")
            yield f'{ids[id(box)]} -->|"{label}"| {ids[id(below)]}'
            colours.append(COLOURS[(below.statement - 1) % len(COLOURS)][0])
    for number, colour in enumerate(colours):
        yield f"linkStyle {number} stroke:{colour},stroke-width:2px"


def _legend(explanation: Explained, beside: str | None) -> Iterator[str]:
    """Yield a box with the title. Mermaid's own title would show names with their escapes.

    An invisible arrow moves it to the last column, where no other arrow can cross it.
    """
    title = f"<b>{_escaped(explanation.plan)}</b>"
    numbered = [f"{number}: {_escaped(name)}" for number, name in legend_of(explanation)]
    yield f'legend["{_joined(title, _escaped(summary_of(explanation)), *numbered)}"]'
    if beside is not None:
        yield f"{beside} ~~~ legend"
    yield "style legend fill:transparent,stroke:#88888888,text-align:left"


def _last_parent(root: Box, ids: dict[int, str]) -> str | None:
    """Return the parent of the boxes that are farthest from the root."""
    parent, level = None, [root]
    while below := [(box, each) for box in level for each in box.below]:
        parent, level = ids[id(below[-1][0])], [each for _, each in below]
    return parent


def _colours(root: Box) -> Iterator[str]:
    used = {_style(box.statement): COLOURS[(box.statement - 1) % len(COLOURS)][0] for box in walk(root)}
    for style, colour in used.items():
        yield f"classDef {style} fill:transparent,stroke:{colour},stroke-width:2px"


def _style(statement: int) -> str:
    return f"statement{(statement - 1) % len(COLOURS) + 1}"


def _joined(*lines: str) -> str:
    return "<br/>".join(lines)


def _escaped(text: str) -> str:
    """Return a name in which Mermaid's special characters are replaced by its number codes."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(text.split()))
