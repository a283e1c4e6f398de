"""The columns by which a relationship ties its target rows to their parents, with constraints and indexes."""

import enum
from collections.abc import Sequence
from typing import Any, cast

import attrs
from sqlalchemy import Column, ColumnElement, Index, PrimaryKeyConstraint, Table, UniqueConstraint, and_, types
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql.visitors import iterate

from loadplan.mapped.elements import element_of
from loadplan.mapped.indexes import LearnedIndexes
from loadplan.mapped.mapping import (
    attribute_of,
    column_attributes,
    columns_behind,
    default_columns,
    is_read_elsewhere,
    reverse_of,
    tables_in,
)
from loadplan.mapped.repeats import has_unique_key, is_of_row, is_union_of_classes, key_names, key_part, may_repeat
from loadplan.mapped.telling import EXACT_TYPES, is_exact
from loadplan.sqlalchemy_internals import keyed_by, variants_of


class LinkKind(enum.Enum):
    """The table with the key columns that connect targets and their parents."""

    TARGET = "columns of the target"
    SECONDARY = "columns of the association table"
    PARENT = "the parent's primary key, through a join"


@attrs.frozen(eq=False)
class Link:
    """The columns by which loadplan assigns the rows of a separate statement to their parents.

    Attributes:
        kind: which table ``columns`` belong to.
        attributes: names of the parent's attributes whose values ``columns`` must equal, pair by pair. Names that no
            attribute has are in ``mapped/repeats.py``, and ``key_part`` returns their expressions.
        columns: the columns that the statement selects next to the target, to compare with the parents' values.
        repeats: whether several rows may connect one target with one parent.
        compares_text: whether a pair of columns holds text. Some databases ignore case when they compare text.
    """

    kind: LinkKind
    attributes: tuple[str, ...]
    columns: tuple[ColumnElement[Any], ...]
    repeats: bool = False
    compares_text: bool = False


def link(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> Link:
    """Return the shortest link between parents of class ``parent`` and their targets.

    If ``primaryjoin`` only says that columns are equal, the link needs the target's table, and the association table if
    there is one. Otherwise the link is a join with the parent, by its primary key. Examples are an expression in
    ``primaryjoin``, and values that Python and SQL compare differently.
    """
    pairs = _equated_pairs(prop)
    if pairs is None or not all(_same_in_python(*pair) for pair in pairs):
        return link_by_join(parent)
    return link_in_database(prop, parent)


def link_in_database(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> Link:
    """Return the shortest link for a join or a subquery, in which only the database compares keys.

    If the mapping gives two columns different collations, ``primaryjoin`` compares them as it is written. SQLite uses
    the collation of the first column. Source: https://www.sqlite.org/datatype3.html#collation
    """
    by_join = link_by_join(parent)
    pairs = _equated_pairs(prop)
    if pairs is None or prop.entity.is_aliased_class:
        return by_join
    if any(_collation(local) != _collation(remote) for local, remote in pairs):
        return by_join
    attributes = tuple(attribute_of(parent, local) for local, _ in pairs)
    loadable = {each.key for each in column_attributes(parent)}
    if not all(key in loadable for key in attributes):
        return by_join
    kind = LinkKind.TARGET if prop.secondary is None else LinkKind.SECONDARY
    if kind is LinkKind.TARGET and any(attribute_of(prop.mapper, remote) is None for _, remote in pairs):
        return by_join
    return Link(
        kind,
        tuple(key for key in attributes if key is not None),
        tuple(remote for _, remote in pairs),
        kind is LinkKind.SECONDARY and not _pairs_are_unique(prop),
        any(
            isinstance(kind, types.String)
            for local, _ in pairs
            for kind in (local.type, *variants_of(local.type).values())
        ),
    )


def link_by_join(parent: Mapper[Any]) -> Link:
    """Return the link that works for every relationship: a join with the parent, by its primary key.

    Concrete classes may share keys. The discriminator then belongs to the link.
    """
    names = key_names(parent)
    return Link(LinkKind.PARENT, names, tuple(key_part(parent.class_, name) for name in names), repeats=True)


def needs_row_of_union(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> bool:
    """Tell whether a relationship is joined to the parents' rows, which the mapping reads from a union.

    In a condition or an order, SQLAlchemy then adapts this union to the rows that are selected, and pairs wrong rows.
    """
    if not (is_read_elsewhere(parent) and is_union_of_classes(parent)):
        return False
    return link_in_database(prop, parent).kind is LinkKind.PARENT


def key_columns(prop: RelationshipProperty[Any], parent: Mapper[Any]) -> frozenset[str]:
    """Return the parent's key attributes, which loadplan needs to load this relationship."""
    keys = {attribute_of(parent, local) for local, _ in _pairs(prop)} | set(link(prop, parent).attributes)
    return frozenset(key for key in keys if key is not None and not is_of_row(key))


def far_key_columns(prop: RelationshipProperty[Any]) -> frozenset[str]:
    """Return the target's key attributes (its foreign keys), which loadplan needs to find the parent."""
    keys = {attribute_of(prop.mapper, remote) for _, remote in _pairs(prop)}
    return frozenset(key for key in keys if key is not None)


def collection_key_columns(prop: RelationshipProperty[Any]) -> frozenset[str]:
    """Return the target's columns that make the key of a dictionary collection.

    The result is all columns if SQLAlchemy cannot tell which.
    """
    target = prop.mapper
    everything = default_columns(target)
    names = keyed_by(prop)
    columns = [columns_behind(target, name) for name in names] if names is not None else [None]
    return frozenset().union(*(everything if each is None else each for each in columns))


def _pairs(prop: RelationshipProperty[Any]) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]]:
    return cast("list[tuple[ColumnElement[Any], ColumnElement[Any]]]", list(prop.local_remote_pairs or ()))


def _equated_pairs(
    prop: RelationshipProperty[Any],
) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]] | None:
    """Return pairs (parent's column, far column) if ``primaryjoin`` only says that they are equal, otherwise None."""
    spoken = _columns_in(prop.primaryjoin)  # for a many-to-many, these pairs include the pairs of secondaryjoin
    pairs = [(local, remote) for local, remote in _pairs(prop) if local in spoken and remote in spoken]
    if not pairs or not prop.primaryjoin.compare(and_(*(local == remote for local, remote in pairs))):
        return None
    return pairs


def asks_parent_further(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether ``secondaryjoin`` uses columns of the parent. Normally, only ``primaryjoin`` does.

    SQLAlchemy itself treats these columns in two ways. A join compares with the row of one parent, but a lazy load
    compares with the rows of all parents.
    """
    if prop.secondaryjoin is None:
        return False
    tables = {getattr(each, "table", None) for each in _columns_in(prop.secondaryjoin)}
    return bool(tables & ({*prop.parent.tables} - {*prop.mapper.tables} - tables_in(prop.secondary)))


def leads_to_second_mapper(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a relationship leads to a mapper with ``non_primary=True``, which reads another table or alias.

    Only SQLAlchemy 2.0 has these mappers. They are deprecated since 1.3 in favour of ``aliased(Class, selectable)``.
    """
    return bool(getattr(prop.mapper, "non_primary", False))


def _columns_in(expression: ColumnElement[Any]) -> set[ColumnElement[Any]]:
    return {
        cast("ColumnElement[Any]", element) for element in iterate(expression) if element.__visit_name__ == "column"
    }


def _same_in_python(left: ColumnElement[Any], right: ColumnElement[Any]) -> bool:
    """Tell whether two columns are equal in SQL exactly where their Python values are equal.

    This is False for types that the database converts before it compares them: it pads a CHAR, drops the time of a
    timestamp, or rounds a number. It is also False for text with a collation in the mapping.
    """
    variants = [variants_of(column.type) for column in (left, right)]
    pairs = [(left.type, right.type)]
    pairs += [
        (variants[0].get(name, left.type), variants[1].get(name, right.type)) for name in {*variants[0], *variants[1]}
    ]
    return all(
        _exactness(one) == _exactness(other) is not None and not (_is_folded(one) or _is_folded(other))
        for one, other in pairs
    )


def _collation(column: ColumnElement[Any]) -> str | None:
    return getattr(column.type, "collation", None)


def _is_folded(kind: Any) -> bool:
    """Tell whether the database may treat different texts of a type as equal, for example if it ignores case."""
    return bool(getattr(kind, "collation", None)) or type(kind).__name__ == "CITEXT"


def _exactness(kind: Any) -> tuple[Any, ...] | None:
    """Return a value that is equal for two types if their values compare exactly; None if a type's values do not."""
    if not is_exact(kind):
        return None
    family = next(each for each in EXACT_TYPES if isinstance(kind, each))
    if isinstance(kind, types.Enum):
        return types.Enum, kind.enum_class, tuple(kind.enums)
    if isinstance(kind, types.CHAR):
        return types.CHAR, kind.length
    if isinstance(kind, types.Numeric):  # Float is a Numeric
        return types.Numeric, isinstance(kind, types.Float), kind.asdecimal
    words = ("as_uuid", "timezone")
    return (family, *(getattr(kind, word, None) for word in words))


def _pairs_are_unique(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a constraint forbids the association table to hold one pair twice."""
    return has_unique_key(prop.secondary, {remote for _, remote in _pairs(prop)})


def is_single(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a constraint allows a parent only one target: a unique key within the far columns.

    ``uselist=False`` alone is not a constraint, because the rows may contradict it. The answer is also False if one
    target may come in several rows, and for a union of concrete classes, which may use the same key.
    """
    if prop.uselist or prop.secondary is not None or may_repeat(prop.mapper) or is_union_of_classes(prop.mapper):
        return False
    remote = {column for _, column in _pairs(prop)}
    return bool(remote) and has_unique_key(next(iter(remote)).table, remote)


def back_reference(prop: RelationshipProperty[Any]) -> str | None:
    """Return the target's many-to-one that must lead back to the parent, or None.

    Its key columns are the same columns by which the target was found, so it cannot lead to another row.
    """
    reverse = reverse_of(prop)
    if (
        reverse is None
        or prop.direction is not RelationshipDirection.ONETOMANY
        or reverse.direction is not RelationshipDirection.MANYTOONE
        or reverse.uselist
        or {(remote, local) for local, remote in _pairs(prop)} != set(_pairs(reverse))
        or not (_equated_pairs(reverse) or reverse.primaryjoin.compare(prop.primaryjoin))
    ):
        return None
    return reverse.key


class Served(enum.Enum):
    """The source that names an index for the rows of one parent: the mapping or the database."""

    BY_MAPPING = "an index"
    BY_DATABASE = "an index that the database has and the mapping does not"


def served_by(
    keys: Sequence[ColumnElement[Any]], order: Sequence[ColumnElement[Any]], learned: LearnedIndexes
) -> Served | None:
    """Return the source that names an index on these keys followed by this order; None if no index is known.

    The index may lack the primary key at the end of the order. The database then sorts rows that are equal otherwise.

    Args:
        keys: the columns that hold the parents' keys.
        order: the columns that sort the rows of each parent.
        learned: the indexes that loaders learned about the database.
    """
    plain = [table_column(column) for column in (*keys, *order)]
    first = plain[0]
    if first is None or any(column is None or column.table is not first.table for column in plain):
        return None
    table = first.table
    wanted = [column.name for column in plain if column is not None]
    while len(wanted) > len(keys) + 1 and wanted[-1] in table.primary_key.columns:
        wanted.pop()
    if any(names[: len(wanted)] == wanted for names in indexed_columns(table)):
        return Served.BY_MAPPING
    return Served.BY_DATABASE if learned.serve(table, wanted[: len(keys)], wanted[len(keys) :]) else None


def indexed_columns(table: Table) -> list[list[str]]:
    """Return the columns of each index that the mapping declares on a table, also for primary and unique keys."""
    indexed = [[column.name for column in index.columns] for index in table.indexes if _is_whole_tree(index)]
    unique = [each for each in table.constraints if isinstance(each, PrimaryKeyConstraint | UniqueConstraint)]
    return indexed + [[column.name for column in each.columns] for each in unique]


#: Arguments of an index that change neither its rows nor their order.
_HARMLESS = frozenset(
    f"postgresql_{word}" for word in ("include", "concurrently", "with", "tablespace", "nulls_not_distinct")
)


def _is_whole_tree(index: Index) -> bool:
    """Tell whether an index is a B-tree over all rows. The database can read only this kind of index in order."""
    return len(index.columns) > 0 and set(index.dialect_kwargs) <= _HARMLESS


def table_column(column: Any) -> Column[Any] | None:
    """Return the column of a table behind an attribute or an expression; None if it is not a plain column."""
    element = element_of(column)
    table = getattr(element, "table", None)
    return table.c.get(element.key) if isinstance(table, Table) else None
