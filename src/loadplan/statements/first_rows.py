"""Statements for the first rows of each parent, with LATERAL or with a window function that numbers the rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Select, func, select, true
from sqlalchemy.sql.visitors import iterate

from loadplan.mapped import links
from loadplan.mapped.indexes import LearnedIndexes
from loadplan.mapped.links import Link, LinkKind, Served
from loadplan.mapped.ordering import Ordering
from loadplan.mapped.repeats import may_repeat, row_key, same_rows
from loadplan.resolved.tree import Edge
from loadplan.statements.keys import Keys
from loadplan.statements.linked import AnySelect, Linked
from loadplan.statements.selected import labelled, selecting


def why_no_lateral(
    link: Link,
    keys: Keys,
    where: Sequence[Any],
    order: Sequence[Ordering],
    dialect: Dialect,
    learned: LearnedIndexes,
) -> str | None:
    """Return the reason why LATERAL does not serve for the first rows of each parent; None if it serves.

    LATERAL reads an index once for each parent and stops after ``limit`` rows. It needs an index that has the parent's
    key and then the order. Without this index, it reads all rows of each parent. A window function costs no more then.

    Args:
        link: the columns that connect targets and parents.
        keys: the keys of the parents.
        where: conditions on the targets.
        order: the order of the targets.
        dialect: the dialect of the database. Only PostgreSQL has LATERAL over arrays.
        learned: indexes that the database has and the mapping does not.
    """
    if not keys.as_arrays:
        return f"{dialect.name} has no LATERAL over arrays"
    if any(isinstance(part, Select) for each in where for part in iterate(each)):
        # SQLAlchemy warns of a cartesian product if an EXISTS is inside of a LATERAL
        return "a condition contains a subquery"
    if link.kind is LinkKind.SECONDARY:
        return "the key and the order are in two tables, and no index spans both"
    if link.repeats or _served(keys, order, learned) is None:
        return "no index on the key and the order"
    return None


def why_lateral(keys: Keys, order: Sequence[Ordering], learned: LearnedIndexes) -> str:
    """Return the reason for LATERAL, as ``explain`` shows it."""
    why = "LATERAL: an index on the key and the order stops after the first rows of each parent"
    if _served(keys, order, learned) is Served.BY_DATABASE:
        why += f"; it is {Served.BY_DATABASE.value}"
    return why


def _served(keys: Keys, order: Sequence[Ordering], learned: LearnedIndexes) -> Served | None:
    return links.served_by(keys.columns, [each.expression for each in order], learned)


def walked_to(
    parents: Any, rows: AnySelect, values: Sequence[Any], order: Sequence[Ordering], limit: Any
) -> tuple[AnySelect, list[Any]]:
    """Return a statement that reads the first rows of each parent with LATERAL, and its columns for ``values``.

    Args:
        parents: the keys of the parents, as a table.
        rows: the statement of one parent's targets. It refers to a row of ``parents``.
        values: the expressions to select for each target.
        order: the order of the rows of each parent.
        limit: the most rows that a parent gets.
    """
    found = labelled(values, "value")
    ranks = labelled([each.expression for each in order], "order")
    statement = selecting(rows, [*found, *ranks]).order_by(*(each.clause for each in order))
    first = statement.limit(limit).lateral("first_rows")
    in_order = [each.on(first.c[rank.name]) for each, rank in zip(order, ranks, strict=True)]
    selected = [first.c[each.name] for each in found]
    return select(*parents.c, *selected).select_from(parents.join(first, true())).order_by(*in_order), selected


def numbered(
    edge: Edge, ties: Linked, rows: AnySelect, order: Sequence[Ordering], limit: Any
) -> tuple[AnySelect, list[Any], list[Any]]:
    """Return (statement of the first targets of each parent, columns of the parents' keys, order).

    A window function numbers the rows in a subquery that selects only keys. The statement joins the targets to it.

    Args:
        edge: the edge to load.
        ties: the targets of the edge with the keys of their parents.
        rows: the statement for the targets of all parents.
        order: the order of the rows of each parent.
        limit: the most rows that a parent gets.
    """
    mapper = edge.target.mapper
    repeats = may_repeat(mapper)
    held = labelled(ties.columns, "parent")
    key = labelled(row_key(ties.target), "target")
    if ties.link.repeats or repeats:
        # count a target once, at its first row, even if it is related to a parent twice
        ranks = labelled([each.expression for each in order], "order")
        copy = func.row_number().over(
            partition_by=[*ties.columns, *row_key(ties.target)], order_by=[each.clause for each in order]
        )
        copies = selecting(rows, [*held, *key, *ranks, copy.label("copy")]).subquery("copies")
        number = func.row_number().over(
            partition_by=[copies.c[each.name] for each in held],
            order_by=[each.on(copies.c[rank.name]) for each, rank in zip(order, ranks, strict=True)],
        )
        inner = select(*(copies.c[each.name] for each in (*held, *key)), number.label("number"))
        inner = inner.where(copies.c.copy == 1)
    else:
        number = func.row_number().over(partition_by=list(ties.columns), order_by=[each.clause for each in order])
        inner = selecting(rows, [*held, *key, number.label("number")])
    found = inner.subquery("numbered")
    met = same_rows(row_key(ties.target), [found.c[each.name] for each in key], mapper)
    start = select(ties.target).join_from(ties.target, found, met).where(found.c.number <= limit)
    in_order: list[Any] = [found.c.number]
    if repeats:  # an object has several rows: take only the rows that meet the conditions
        start = start.where(*edge.shape.where)
        in_order += [each.clause for each in order] if ties.link.kind is LinkKind.TARGET else []
    return start, [found.c[each.name] for each in held], in_order
