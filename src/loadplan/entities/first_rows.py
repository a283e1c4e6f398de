"""``limit=``: the first rows of each parent, in one statement for all parents."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect, Integer, and_, func, literal_column, select, true
from sqlalchemy.orm import aliased

from loadplan import mapping
from loadplan.keys import Keys
from loadplan.linked import WHY_LATERAL, why_no_lateral
from loadplan.links import Link, LinkKind
from loadplan.ordering import Ordering
from loadplan.tree import Edge


@attrs.frozen(eq=False)
class FirstRows:
    """A statement of the first rows of each parent.

    Attributes:
        statement: selects ``entity``, then the parent's key.
        entity: the target, or an alias of it that reads the numbered rows.
        how: LATERAL or window function, and why.
    """

    statement: Any
    entity: Any
    how: str


def first_rows(
    linked: Any, edge: Edge, link: Link, keys: Keys, target: Any, order: Sequence[Ordering], dialect: Dialect
) -> FirstRows:
    """Return the statement of an edge with a limit.

    Args:
        linked: a statement of the target and its parent's key, filtered, for all parents.
        edge: with a limit.
        link: how target and parent are tied.
        keys: of the parents.
        target: what is selected.
        order: total.
        dialect: of the database.
    """
    reason = why_no_lateral(link, keys, edge.shape.where, order, dialect)
    if reason is None:
        return _by_lateral(linked, edge, link, keys, target, order, WHY_LATERAL)
    return _by_window(linked, edge, link, keys, target, order, f"window function: {reason}")


def _by_lateral(
    linked: Any, edge: Edge, link: Link, keys: Keys, target: Any, order: Sequence[Ordering], how: str
) -> FirstRows:
    prefix = mapping.free_prefix(edge.target.mapper)
    parents = keys.rows()
    met = and_(*(left == right for left, right in zip(keys.columns, parents.c, strict=True)))
    ranks = [each.expression.label(f"{prefix}order_{index}") for index, each in enumerate(order)]
    kept = _kept_columns(edge, link, target)
    rows = (
        linked.with_only_columns(*kept, *ranks, maintain_column_froms=True)
        .where(met)
        .order_by(*(each.clause for each in order))
        .limit(_literal(edge.shape.limit))
        .correlate(parents)  # and not the target itself, which may stand beside
        .lateral("first_rows")
    )
    joined = parents.join(rows, true())
    in_order = [each.on(rows.c[f"{prefix}order_{index}"]) for index, each in enumerate(order)]
    statement, entity = _read(edge, link, target, rows, joined, tuple(parents.c))
    return FirstRows(statement.order_by(*in_order), entity, how)


def _by_window(
    linked: Any, edge: Edge, link: Link, keys: Keys, target: Any, order: Sequence[Ordering], how: str
) -> FirstRows:
    prefix = mapping.free_prefix(edge.target.mapper)
    held = [column.label(f"{prefix}parent_{index}") for index, column in enumerate(keys.columns)]
    kept = _kept_columns(edge, link, target)
    if link.repeats:
        rows = _each_target_once(linked, edge, keys, target, order, [*kept, *held])
        parents = [rows.c[column.key] for column in held]
        ranks = [each.on(rows.c[f"{prefix}order_{index}"]) for index, each in enumerate(order)]
        number = func.row_number().over(partition_by=parents, order_by=ranks)
        once = rows.c[f"{prefix}copy"] == 1
        rows = select(*rows.c, number.label(f"{prefix}number")).where(once).subquery("first_rows")
    else:
        number = func.row_number().over(partition_by=list(keys.columns), order_by=[each.clause for each in order])
        rows = (
            linked.with_only_columns(*kept, *held, number.label(f"{prefix}number"), maintain_column_froms=True)
            .where(keys.condition)
            .subquery("first_rows")
        )
    statement, entity = _read(edge, link, target, rows, rows, tuple(rows.c[column.key] for column in held))
    last = rows.c[f"{prefix}number"] <= _literal(edge.shape.limit)
    return FirstRows(statement.where(last).order_by(rows.c[f"{prefix}number"]), entity, how)


def _each_target_once(
    linked: Any, edge: Edge, keys: Keys, target: Any, order: Sequence[Ordering], columns: Sequence[Any]
) -> Any:
    """Return the rows with a count of each target's copies: an association table may tie it to a parent twice."""
    prefix = mapping.free_prefix(edge.target.mapper)
    ranks = [each.expression.label(f"{prefix}order_{index}") for index, each in enumerate(order)]
    key = mapping.row_key(target)
    copy = func.row_number().over(partition_by=[*keys.columns, *key], order_by=[each.clause for each in order])
    copies = linked.with_only_columns(*columns, *ranks, copy.label(f"{prefix}copy"), maintain_column_froms=True)
    return copies.where(keys.condition).subquery("copies")


def _literal(number: int | None) -> Any:
    """Return a number as SQL text: with a parameter PostgreSQL would plan anew for each execution."""
    return literal_column(str(number), Integer)


def _reads_numbered_rows(edge: Edge, link: Link) -> bool:
    """Tell whether the numbered rows can stand for the target's own table: all its columns are plain and there."""
    return link.kind is not LinkKind.PARENT and mapping.is_one_table(edge.target.mapper)


def _kept_columns(edge: Edge, link: Link, target: Any) -> list[Any]:
    prefix = mapping.free_prefix(edge.target.mapper)
    if _reads_numbered_rows(edge, link):
        # all of them: criteria of the session reach the alias too, and may speak of a column that the plan leaves out
        return [getattr(target, prop.key) for prop in mapping.column_attributes(edge.target.mapper)]
    return [column.label(f"{prefix}target_{index}") for index, column in enumerate(mapping.row_key(target))]


def _read(edge: Edge, link: Link, target: Any, rows: Any, source: Any, parents: Sequence[Any]) -> tuple[Any, Any]:
    """Return a statement that reads the target off the numbered rows, or joins it to them by primary key."""
    prefix = mapping.free_prefix(edge.target.mapper)
    if _reads_numbered_rows(edge, link):
        entity: Any = aliased(target, rows)
        return select(entity, *parents).select_from(source), entity
    key = enumerate(mapping.row_key(target))
    met = and_(*(column == rows.c[f"{prefix}target_{index}"] for index, column in key))
    return select(target, *parents).join_from(target, source, met), target  # what is joined goes on from the target
