"""Statements that compute values over the rows of each parent, such as a count, and do not read the rows."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from loadplan.mapped import mapping
from loadplan.mapped.repeats import may_repeat, row_key
from loadplan.resolved.tree import Edge
from loadplan.statements.linked import AnySelect, Linked
from loadplan.statements.selected import labelled, selecting


def grouped(edge: Edge, ties: Linked) -> tuple[Sequence[Any], Any, AnySelect]:
    """Return the key columns of the parents, the computed values, and a statement grouped by the keys.

    Args:
        edge: the edge with the aggregates.
        ties: the rows at its end with the keys of their parents.
    """
    assert edge.aggregation is not None  # noqa: S101 - the callers ask for aggregates
    rows, columns = ties.rows.where(*edge.shape.where), ties.columns
    kind = edge.aggregation.kind
    value: Any = edge.aggregation.expression if kind == "aggregate" else func.count()
    if ties.link.repeats or may_repeat(edge.target.mapper):  # count a row once, even if it is related to a parent twice
        held, key = labelled(columns, "key"), labelled(row_key(ties.target), "target")
        tables = mapping.tables_at(ties.target)
        read = list(dict.fromkeys(each for each in iterate(value) if getattr(each, "table", None) in tables))
        values = labelled(read, "value")
        pairs = selecting(rows, [*held, *key, *values]).distinct().subquery("pairs")
        stands_for: dict[Any, Any] = {each: pairs.c[label.name] for each, label in zip(read, values, strict=True)}

        def of_pairs(element: Any, **_: Any) -> Any:
            return stands_for.get(element)

        value = replacement_traverse(cast("ColumnElement[Any]", value), {}, of_pairs)
        rows = select(*pairs.c)
        columns = tuple(pairs.c[each.name] for each in held)
    if kind == "exists":
        value = func.count() > 0
    return columns, value, rows.group_by(*columns)
