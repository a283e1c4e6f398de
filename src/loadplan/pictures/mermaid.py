"""Explanation -> the text of a Mermaid flowchart."""

import json
import re
from collections.abc import Iterable, Iterator

from loadplan.explain import Explanation
from loadplan.pictures.boxes import COLOURS, Box, boxes_of, legend_of, summary_of, walk

#: What a label may hold as it is; Mermaid reads marks, HTML and Markdown into the rest.
_PLAIN = re.compile(r"[^\w .,:'=+-]")


def to_mermaid(explanation: Explanation) -> str:
    """Return the graph as a flowchart from left to right, with a legend of its statements.

    Names are escaped. Boxes are filled by nothing, so text is readable in the colours of a light or a dark page.
    """
    root = boxes_of(explanation)
    ids = {id(box): f"n{number}" for number, box in enumerate(walk(root), start=1)}
    lines = ["---", f"title: {json.dumps(f'{explanation.plan}: {summary_of(explanation)}', ensure_ascii=False)}", "---"]
    lines.append("flowchart LR")
    lines += [f"    {line}" for line in (*_nodes(root, ids), *_arrows(root, ids), *_legend(explanation))]
    return "\n".join(lines) + "\n"


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


def _legend(explanation: Explanation) -> Iterator[str]:
    numbered = legend_of(explanation)
    yield 'subgraph legend["statements"]'
    for number, name in numbered:
        yield f'    s{number}["{number}: {_escaped(name)}"]:::{_style(number)}'
    yield "end"
    yield "style legend fill:transparent,stroke:#8888"
    for style, (colour, _) in zip(_styles(number for number, _ in numbered), COLOURS, strict=False):
        yield f"classDef {style} fill:transparent,stroke:{colour},stroke-width:2px"


def _styles(numbers: Iterable[int]) -> list[str]:
    return list(dict.fromkeys(map(_style, numbers)))


def _style(statement: int) -> str:
    return f"statement{(statement - 1) % len(COLOURS) + 1}"


def _joined(*lines: str) -> str:
    return "<br/>".join(lines)


def _escaped(text: str) -> str:
    """Return a name as Mermaid's own number codes where a character could mean something."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(text.split()))
