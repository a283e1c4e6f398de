"""``limit=``: the first rows of each parent, in one statement for all parents."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect, and_, func, select, true
from sqlalchemy.orm import aliased

from loadplan import links, mapping
from loadplan.entities.keys import Keys
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

    LATERAL walks an index once a parent and stops after ``limit`` rows; that takes an index that starts with the
    parent's key and goes on with the order. Without one each of those walks reads all rows of its parent, and one pass
    that numbers them costs no more.

    Args:
        linked: a statement of the target and its parent's key, filtered, for all parents.
        edge: with a limit.
        link: how target and parent are tied.
        keys: of the parents.
        target: what is selected.
        order: total.
        dialect: PostgreSQL alone has LATERAL over arrays.
    """
    columns = [each.expression for each in order]
    if keys.as_arrays and links.index_serves([*keys.columns, *columns]):
        how = "LATERAL: an index on the key and the order stops after the first rows of each parent"
        return _by_lateral(linked, edge, link, keys, target, order, how)
    reason = "no index on the key and the order" if keys.as_arrays else f"{dialect.name} has no LATERAL over arrays"
    return _by_window(linked, edge, link, keys, target, order, f"window function: {reason}")


def _by_lateral(
    linked: Any, edge: Edge, link: Link, keys: Keys, target: Any, order: Sequence[Ordering], how: str
) -> FirstRows:
    parents = keys.rows()
    met = and_(*(left == right for left, right in zip(keys.columns, parents.c, strict=True)))
    ranks = [each.expression.label(f"order_{index}") for index, each in enumerate(order)]
    kept = _kept_columns(edge, link, target)
    rows = (
        linked.with_only_columns(*kept, *ranks, maintain_column_froms=True)
        .where(met)
        .order_by(*(each.clause for each in order))
        .limit(edge.shape.limit)
        .lateral("first_rows")
    )
    joined = parents.join(rows, true())
    in_order = [each.on(rows.c[f"order_{index}"]) for index, each in enumerate(order)]
    statement, entity = _read(edge, link, target, rows, joined, tuple(parents.c))
    return FirstRows(statement.order_by(*in_order), entity, how)


def _by_window(
    linked: Any, edge: Edge, link: Link, keys: Keys, target: Any, order: Sequence[Ordering], how: str
) -> FirstRows:
    # a target may be tied to a parent twice, by two rows of an association table: those two share a rank
    numbering = func.row_number() if link.kind is LinkKind.TARGET else func.dense_rank()
    number = numbering.over(partition_by=list(keys.columns), order_by=[each.clause for each in order])
    held = [column.label(f"parent_{index}") for index, column in enumerate(keys.columns)]
    kept = _kept_columns(edge, link, target)
    rows = (
        linked.with_only_columns(*kept, *held, number.label("number"), maintain_column_froms=True)
        .where(keys.condition)
        .subquery("first_rows")
    )
    parents = tuple(rows.c[f"parent_{index}"] for index in range(keys.width))
    statement, entity = _read(edge, link, target, rows, rows, parents)
    return FirstRows(statement.where(rows.c.number <= edge.shape.limit).order_by(rows.c.number), entity, how)


def _reads_numbered_rows(edge: Edge, link: Link) -> bool:
    """Tell whether the numbered rows can stand for the target's own table: all its columns are plain and there."""
    return link.kind is not LinkKind.PARENT and mapping.is_one_table(edge.target.mapper)


def _kept_columns(edge: Edge, link: Link, target: Any) -> list[Any]:
    if _reads_numbered_rows(edge, link):
        # all of them: criteria of the session reach the alias too, and may speak of a column that the plan leaves out
        return [getattr(target, prop.key) for prop in mapping.column_attributes(edge.target.mapper)]
    names = mapping.primary_key(edge.target.mapper)
    return [getattr(target, name).label(f"target_{index}") for index, name in enumerate(names)]


def _read(edge: Edge, link: Link, target: Any, rows: Any, source: Any, parents: Sequence[Any]) -> tuple[Any, Any]:
    """Return a statement that reads the target off the numbered rows, or joins it to them by primary key."""
    if _reads_numbered_rows(edge, link):
        entity: Any = aliased(target, rows)
        return select(entity, *parents).select_from(source), entity
    names = mapping.primary_key(edge.target.mapper)
    met = and_(*(getattr(target, name) == rows.c[f"target_{index}"] for index, name in enumerate(names)))
    return select(target, *parents).select_from(source).join(target, met), target
