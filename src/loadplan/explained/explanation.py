"""The explanation of a plan, which you can print: the tree, the strategies with their reasons, every statement."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from sqlalchemy import Dialect, Select

from loadplan.errors import counted
from loadplan.explained.explained import Explained, ExplainedEdge, ExplainedStatement
from loadplan.explained.mermaid import to_mermaid
from loadplan.explained.svg import to_svg
from loadplan.mapped import mapping
from loadplan.resolved.strategy import STEPS
from loadplan.resolved.tree import Edge, Place
from loadplan.running.plans import Compiled
from loadplan.statements.keys import CHUNK, Keys


@attrs.frozen
class Explanation(Explained):
    """How a plan is loaded. Print it to read it.

    Attributes:
        plan: the label of the plan.
        entity: name of the class that the graph starts at.
        columns: names of the loaded columns of the root; None for all columns that the mapping loads by default.
        edges: the relationships.
        sql: the statements, in the order in which they run.
        statements: how many statements a fetch takes, for up to 500 parents of each relationship.
        formula: the number of statements for any number of rows, as text.
    """

    def __str__(self) -> str:
        count = counted(self.statements, "statement")
        lines = [f"{self.plan}: {self.entity}{_columns(self.columns)}, {count} ({self.formula})"]
        lines += _edge_lines(self.edges, "")
        for number, statement in enumerate(self.sql, start=1):
            lines += ["", f"-- {number}. {statement.edge}", statement.sql]
        return "\n".join(lines)

    def to_mermaid(self) -> str:
        """Return a Mermaid flowchart. A box is an entity, an arrow is a relationship, and a colour is a statement."""
        return to_mermaid(self)

    def to_svg(self) -> str:
        """Return the graph as an SVG picture with a legend of its statements, for light and for dark pages."""
        return to_svg(self)


def named_statements(compiled: Compiled[Any]) -> list[tuple[str, Select[Any]]]:
    """Return (edge, statement) for every statement of a compiled plan, in the order in which they run."""
    return [(each.name, each.select) for each in (compiled.root, *compiled.later)]


def explain_plan(compiled: Compiled[Any]) -> Explanation:
    """Return the explanation of a compiled plan, for the number of roots that it was compiled for. Pure."""
    statements = (compiled.root, *compiled.later)
    numbers = {each.edge: number for number, each in enumerate(statements, start=1)}
    return Explanation(
        plan=compiled.tree.label,
        entity=compiled.tree.root.mapper.class_.__name__,
        columns=_read_columns(compiled, compiled.tree.root),
        edges=tuple(_edges(compiled, compiled.tree.root, 1, numbers)),
        sql=tuple(ExplainedStatement(each.name, sql_text(each.select, compiled.dialect)) for each in statements),
        statements=len(statements),
        formula=_formula(compiled),
    )


def _read_columns(compiled: Compiled[Any], place: Place) -> tuple[str, ...] | None:
    """Return the columns that are loaded at a place; None for all columns that the mapping loads by default."""
    names = tuple(dict.fromkeys(column.name for column in place.columns))
    is_whole = compiled.tree.of_entities and mapping.default_columns(place.mapper) == set(names)
    return None if is_whole else tuple(sorted(names)) if compiled.tree.of_entities else names


def _edges(
    compiled: Compiled[Any], place: Place, statement: int, numbers: Mapping[Edge | None, int]
) -> Iterator[ExplainedEdge]:
    for edge in place.edges:
        choice = compiled.chosen[edge]
        number = numbers.get(edge, statement)
        how = next((each.how for each in compiled.later if each.edge is edge), "")
        computed = edge.aggregation is not None
        yield ExplainedEdge(
            name=_edge_name(edge),
            target=edge.name if computed else edge.target.mapper.class_.__name__,
            cardinality=edge.aggregation.kind if edge.aggregation is not None else _cardinality(edge),
            strategy=choice.way.value,
            reason="; ".join(filter(None, [choice.reason, how])),
            columns=None if computed else _read_columns(compiled, edge.target),
            statement=number,
            edges=tuple(_edges(compiled, edge.target, number, numbers)),
        )


def _edge_name(edge: Edge) -> str:
    """Return the name of an edge: its relationship, or the view's field if that has another name."""
    if edge.aggregation is not None or edge.prop is None:
        return edge.field
    return edge.name if edge.field.endswith(f".{edge.key}") else f"{edge.field} by {edge.name}"


def _cardinality(edge: Edge) -> str:
    return "subclass" if edge.prop is None else edge.cardinality.value


def _formula(compiled: Compiled[Any]) -> str:
    """Return the formula for the number of statements, which depends on the number of roots."""
    words_for = {1: "one root", None: "more"}
    steps = [(words_for.get(roots) or f"up to {roots} roots", roots) for roots in STEPS]
    counts: dict[str, str] = {}  # for each count, the step with the most parents
    for words, roots in steps:
        counts.pop(count := _count(compiled.bringing(roots)), None)
        counts[count] = words
    if len(counts) == 1:
        count = next(iter(counts))
        return f"{count}, however many rows" if count.isdigit() else count
    return ", ".join(f"{count} for {words}" for count, words in counts.items())


def _count(compiled: Compiled[Any]) -> str:
    once, terms = 1, list[str]()
    for each in compiled.later:
        assert each.edge is not None  # noqa: S101 - only the roots have no edge
        parents = each.edge.owner.mapper.class_.__name__
        count = f"ceil({parents} / {CHUNK})" if _in_chunks(each.keys) else "1"
        if each.level_by_level:
            terms.append(f"levels of {each.edge.name}" if count == "1" else f"levels of {each.edge.name} * {count}")
        elif count == "1":
            once += 1
        else:
            terms.append(count)
    return " + ".join([str(once), *terms])


def _in_chunks(keys: Keys | None) -> bool:
    return keys is not None and not keys.as_arrays


def sql_text(statement: Select[Any], dialect: Dialect) -> str:
    """Return the text of a statement, with the names of its parameters."""
    make_dialect: Any = type(dialect)
    return str(statement.compile(dialect=make_dialect(paramstyle="named")))


def _columns(columns: tuple[str, ...] | None) -> str:
    return "" if columns is None else f" ({', '.join(columns)})"


def _edge_lines(edges: tuple[ExplainedEdge, ...], indent: str) -> Iterator[str]:
    for edge in edges:
        last = edge is edges[-1]
        title = f"{edge.name} -> {edge.target}{_columns(edge.columns)}"
        how = f"{edge.cardinality}, {edge.strategy}, statement {edge.statement}"
        yield f"{indent}{'└─' if last else '├─'} {title}: {how}"
        below = f"{indent}{'   ' if last else '│  '}"
        yield f"{below}{'│' if edge.edges else ' '}    {edge.reason}"
        yield from _edge_lines(edge.edges, below)
