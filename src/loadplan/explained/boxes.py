"""An explanation as a tree of boxes, with the colours of its statements. Both kinds of pictures draw it."""

from collections.abc import Iterator

import attrs

from loadplan.errors import counted
from loadplan.explained.explained import Explained, ExplainedEdge

#: (on light, on dark) for each statement in turn. People with colour vision deficiencies can tell them apart, too. The
#: number of the statement is always next to its colour.
COLOURS = (
    ("#2563c9", "#7fb0ff"),
    ("#b45309", "#f5b26b"),
    ("#0f7b6c", "#5fd0bd"),
    ("#a21caf", "#e79af0"),
    ("#4d7c0f", "#aeda6a"),
    ("#be123c", "#ff95a8"),
    ("#5b4bd1", "#b3a8ff"),
    ("#64748b", "#b6c2d1"),
)

#: The number of columns that a box lists. If a class has more, the box says how many more.
MOST_COLUMNS = 12


@attrs.frozen(eq=False)
class Box:
    """One place of the graph.

    Attributes:
        entity: name of the class.
        lines: the loaded columns; empty if all are loaded.
        statement: number of the statement that loads it.
        edge: the relationship that leads to it; None for the root.
        below: the boxes that its relationships lead to.
    """

    entity: str
    lines: tuple[str, ...]
    statement: int
    edge: ExplainedEdge | None
    below: "tuple[Box, ...]"

    @property
    def label(self) -> tuple[str, ...]:
        """The lines next to the arrow that leads to the box: relationship, cardinality, strategy."""
        if self.edge is None:
            return ()
        owner, dot, key = self.edge.name.partition(".")
        return (key if dot and owner.isidentifier() else self.edge.name, self.edge.cardinality, self.edge.strategy)


def boxes_of(explanation: Explained) -> Box:
    """Return the root of the tree of boxes."""
    below = tuple(map(_box, explanation.edges))
    return Box(explanation.entity, _lines(explanation.columns), 1, None, below)


def legend_of(explanation: Explained) -> list[tuple[int, str]]:
    """Return number and name of each statement."""
    return [(number, statement.edge) for number, statement in enumerate(explanation.sql, start=1)]


def summary_of(explanation: Explained) -> str:
    """Return the line below the title."""
    return f"{explanation.entity}, {counted(explanation.statements, 'statement')} ({explanation.formula})"


def walk(box: Box) -> Iterator[Box]:
    """Yield a box and all boxes below it, parents first."""
    yield box
    for each in box.below:
        yield from walk(each)


def _box(edge: ExplainedEdge) -> Box:
    return Box(edge.target, _lines(edge.columns), edge.statement, edge, tuple(map(_box, edge.edges)))


def _lines(columns: tuple[str, ...] | None) -> tuple[str, ...]:
    if columns is None or len(columns) <= MOST_COLUMNS:
        return columns or ()
    more = len(columns) - MOST_COLUMNS + 1
    return (*columns[: MOST_COLUMNS - 1], f"and {more} more")
