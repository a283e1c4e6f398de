"""The tables and indexes that a plan needs: one index for every edge that finds rows by keys."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy import Column, Table
from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan.mapped import links, mapping
from loadplan.mapped.indexes import NOTHING_LEARNED
from loadplan.mapped.links import LinkKind, table_column
from loadplan.mapped.ordering import Ordering
from loadplan.resolved.tree import Shape, edges_below, tables_read
from loadplan.running.plans import Compiled
from loadplan.statements.linked import collection_order


@attrs.frozen(eq=False)
class NeededIndex:
    """An index that an edge needs.

    Attributes:
        edge: name of the edge.
        table: the table that needs the index.
        keys: columns that hold the parents' keys.
        order: columns and directions that sort the rows of each parent; empty without a limit.
        limit: the limit of the edge.
        known: whether the mapping has this index.
    """

    edge: str
    table: Table
    keys: tuple[Column[Any], ...]
    order: tuple[Ordering, ...] = ()
    limit: int | None = None
    known: bool = True

    @property
    def order_columns(self) -> tuple[Column[Any], ...]:
        """The columns of the order."""
        found = (table_column(each.expression) for each in self.order)
        return tuple(each for each in found if each is not None)


def tables_of_plan(compiled: Compiled[Any]) -> set[Table]:
    """Return the tables that a compiled plan reads, with association tables."""
    return {table for _, table in tables_read(compiled.tree)}


def needed_indexes(compiled: Compiled[Any]) -> Iterator[NeededIndex]:
    """Yield the index that each edge of a compiled plan needs. The index of a primary key counts, too."""
    for edge in edges_below(compiled.tree.root):
        if edge.prop is None:
            continue
        prop, parent, shape = edge.prop, edge.owner.mapper, edge.shape
        link = links.link(prop, parent)
        columns = link.columns if link.kind is not LinkKind.PARENT else _far_columns(prop)
        keys = tuple(column for column in map(table_column, columns) if column is not None)
        tables = {column.table for column in keys}
        if not keys or len(keys) != len(columns) or len(tables) != 1:
            continue
        table = tables.pop()
        assert isinstance(table, Table)  # noqa: S101 - table_column returns no others
        order = _walked_order(prop, parent, shape, table) if shape.limit is not None else ()
        known = links.served_by(keys, [each.expression for each in order], NOTHING_LEARNED) is not None
        yield NeededIndex(edge.name, table, keys, order, shape.limit if order else None, known)


def _walked_order(
    prop: RelationshipProperty[Any], parent: Mapper[Any], shape: Shape, table: Table
) -> tuple[Ordering, ...]:
    """Return the order of the first rows of each parent, if one index of ``table`` could have keys and order."""
    order = collection_order(prop, shape, mapping.target_entity(parent, prop.key))
    columns = [table_column(each.expression) for each in order]
    if any(column is None or column.table is not table for column in columns):
        return ()
    while len(order) > 1 and columns[-1] is not None and columns[-1].primary_key:
        order.pop()  # few rows tie in the order, so the database can sort them
        columns.pop()
    return tuple(order)


def _far_columns(prop: RelationshipProperty[Any]) -> Sequence[Any]:
    pairs = prop.local_remote_pairs or ()
    return [remote for _, remote in pairs] if prop.secondary is None and not prop.entity.is_aliased_class else []
