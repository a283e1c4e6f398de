"""Finds the columns that identify an object, and tells whether one object may come in several rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Alias,
    Column,
    ColumnElement,
    CompoundSelect,
    Join,
    Select,
    String,
    Subquery,
    Table,
    TypeCoerce,
    UniqueConstraint,
    and_,
    case,
    cast,
    inspect,
    or_,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors

from loadplan.mapped.elements import element_of
from loadplan.mapped.mapping import columns_in_row, key_attributes, mapper_behind, primary_key


def may_repeat(mapper: Mapper[Any]) -> bool:
    """Tell whether one object of a class may come in several rows.

    An object comes in one row if the key of the mapping contains the primary key or a unique key of the table. The same
    is true if the tables of base classes are joined by their keys, and for a union of the tables of concrete classes.

    An object may come in several rows of a join, a query, any other union, or a table whose mapping has a narrower key.
    The same is true if the table of a subclass is joined by columns that are not its key.
    """
    chain: list[Mapper[Any]] = []
    for each in mapper.iterate_to_root():
        chain.append(each)
        if each.concrete:
            break
    base = chain[-1]
    if isinstance(base.local_table, Table) and not has_unique_key(base.local_table, set(base.primary_key)):
        return True
    if not all(isinstance(each.local_table, Table) or _is_of_concrete(each, each.local_table) for each in chain):
        return True
    if any(_is_joined_loosely(each) for each in (*chain, *mapper.self_and_descendants)):
        return True
    return not (isinstance(mapper.selectable, Table | Join) or _is_of_concrete(mapper, mapper.selectable))


def _is_joined_loosely(mapper: Mapper[Any]) -> bool:
    """Tell whether the table of a subclass may hold several rows for one row of the class above."""
    if mapper.inherits is None or mapper.concrete or mapper.local_table is mapper.inherits.local_table:
        return False
    table, condition = mapper.local_table, mapper.inherit_condition
    parts = () if condition is None else visitors.iterate(condition)
    compared = [each for each in parts if isinstance(each, Column)]
    columns = {own for own in table.columns if any(own.shares_lineage(each) for each in compared)}
    return isinstance(table, Table) and not has_unique_key(table, columns)


def _is_of_concrete(mapper: Mapper[Any], selectable: Any) -> bool:
    """Tell whether a selectable is a union of whole tables, each of them once, with a discriminator for each table."""
    if not shares_keys(mapper):
        return False
    union = selectable.element if isinstance(selectable, Alias | Subquery) else None
    if not isinstance(union, CompoundSelect):
        return False
    tables: list[Any] = []
    for part in union.selects:
        if not isinstance(part, Select) or part.whereclause is not None:
            return False
        froms = part.get_final_froms()
        if len(froms) != 1 or not isinstance(froms[0], Table):
            return False
        tables += froms
    return len(set(tables)) == len(tables)


def has_unique_key(table: object, columns: set[Any]) -> bool:
    """Tell whether ``columns`` contain all columns of a unique key of ``table``."""
    if not isinstance(table, Table):
        return False
    keys: list[set[Any]] = [set(table.primary_key.columns)]
    keys += [set(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
    keys += [set(index.columns) for index in table.indexes if index.unique and not index.dialect_kwargs]
    return any(key and key <= columns for key in keys)


def other_keys(mapper: Mapper[Any]) -> dict[str, ColumnElement[Any]]:
    """Return the key columns of a union's tables, if their names differ from the names of the class's key."""
    own = primary_key(mapper)
    found: dict[str, ColumnElement[Any]] = {}
    for sub in mapper.self_and_descendants:
        names = primary_key(sub)
        columns = columns_in_row(sub, mapper, frozenset(names)) if names != own and sub.concrete else None
        found |= {name: each for name, each in (columns or {}).items() if name not in {*own, *found}}
    return found


#: The name of the discriminator among the names of a key. No attribute has this name.
DISCRIMINATOR = "loadplan_type"

#: How the names begin that stand for the key of a row's own table.
_OWN_KEY = "loadplan_own_key_"


def shares_keys(mapper: Mapper[Any]) -> bool:
    """Tell whether rows of a class may have equal keys: the tables of concrete classes count for themselves.

    The discriminator then tells the rows apart.
    """
    return mapper.polymorphic_on is not None and any(sub.concrete for sub in mapper.self_and_descendants)


def key_names(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the names of the primary key, and :data:`DISCRIMINATOR` if the key alone does not tell rows apart.

    Only rows of a union may have equal keys. In a table, a discriminator may be NULL, and NULL equals nothing. If the
    tables of a union name their keys differently, the names stand for the key of each row's own table.
    """
    if not is_union_of_classes(mapper):
        return primary_key(mapper)
    if not other_keys(mapper):
        return (*primary_key(mapper), DISCRIMINATOR)
    width = max(len(each) for _, each in _own_keys(mapper))
    return (*(f"{_OWN_KEY}{index}" for index in range(width)), DISCRIMINATOR)


def is_of_row(name: str) -> bool:
    """Tell whether a name of :func:`key_names` stands for a value of the row that no attribute has."""
    return name == DISCRIMINATOR or name.startswith(_OWN_KEY)


def is_union_of_classes(mapper: Mapper[Any]) -> bool:
    """Tell whether the rows of a class are a union of the tables of concrete classes."""
    return shares_keys(mapper) and not isinstance(mapper.selectable, Table | Join)


def key_part(entity: Any, name: str) -> Any:
    """Return the expression of a class or an alias for a name that :func:`key_names` or an attribute has."""
    if not is_of_row(name):
        return getattr(entity, name)
    mapper = mapper_behind(entity)
    discriminator = _column_of(entity, mapper.polymorphic_on)
    if name == DISCRIMINATOR:
        return discriminator
    index = int(name.removeprefix(_OWN_KEY))  # a shorter key repeats its last column
    parts = {sub: key[min(index, len(key) - 1)] for sub, key in _own_keys(mapper)}
    has_one_type = len({repr(each.type) for each in parts.values()}) == 1
    columns = {sub: _column_of(entity, each) for sub, each in parts.items()}
    own = primary_key(mapper)
    columns[mapper] = getattr(entity, own[min(index, len(own) - 1)])  # it tells SQLAlchemy which class is selected
    whens = []
    for identity, sub in mapper.polymorphic_map.items():
        owner = next((each for each in sub.iterate_to_root() if each in columns), None)
        if owner is not None:
            column = columns[owner]
            whens.append((discriminator == identity, column if has_one_type else cast(column, String)))
    return case(*whens)


def _own_keys(mapper: Mapper[Any]) -> list[tuple[Mapper[Any], list[ColumnElement[Any]]]]:
    """Return each class of a union that has a separate table, and the columns of the union that hold its key."""
    found = []
    for sub in mapper.self_and_descendants:
        names = primary_key(sub)
        columns = columns_in_row(sub, mapper, frozenset(names)) if sub is mapper or sub.concrete else None
        if columns:
            found.append((sub, [columns[name] for name in names]))
    return found


def _column_of(entity: Any, column: Any) -> Any:
    """Return a column of a union as a column of the class itself, or of an alias of the class."""
    if entity is mapper_behind(entity).class_:
        return column
    return inspect(entity).selectable.corresponding_column(column)


def row_key(entity: Any) -> list[Any]:
    """Return the columns whose values identify a row of a class.

    The tables of concrete subclasses may use the same id for different objects, and may name their keys differently.
    """
    mapper = mapper_behind(entity)
    key = key_attributes(entity)
    if shares_keys(mapper):
        key.append(mapper.polymorphic_on)
    return [*key, *other_keys(mapper).values()] if entity is mapper.class_ else key


def same_rows(ours: Sequence[Any], theirs: Sequence[Any], mapper: Mapper[Any]) -> ColumnElement[bool]:
    """Return the condition that two keys of a class belong to one object. In it, NULL equals NULL."""
    return and_(
        *(
            one == other if is_never_null(mapper, one) else one.is_not_distinct_from(other)
            for one, other in zip(ours, theirs, strict=True)
        )
    )


def is_object(mapper: Mapper[Any]) -> ColumnElement[bool] | None:
    """Return the condition that a row has an object: a part of its key is not NULL. None if every row has an object."""
    key = key_attributes(mapper.class_)
    if any(is_never_null(mapper, each) for each in key):
        return None
    if not (mapper.allow_partial_pks or other_keys(mapper)):
        return and_(*(each.is_not(None) for each in key))
    return or_(*(each.is_not(None) for each in (*key, *other_keys(mapper).values())))


def is_never_null(mapper: Mapper[Any], expression: Any) -> bool:
    """Tell whether a column holds a value in each row of a class.

    A NOT NULL column of a table has a value in each row of that table. In a union, or on the outer side of a join, it
    may still be NULL.
    """
    column = element_of(expression)
    while isinstance(column, TypeCoerce):
        column = column.clause
    if getattr(column, "nullable", True):
        return False
    if not isinstance(mapper.selectable, Table | Join):  # a union's columns do not show NOT NULL of its tables
        return False
    table = getattr(column, "table", None)
    return any(table in _solid_tables(each.local_table) for each in mapper.iterate_to_root())


def may_be_null_in_key(mapper: Mapper[Any], name: str) -> bool:
    """Tell whether an attribute of the primary key may be NULL.

    SQLAlchemy allows NULL there if another part of the key is not NULL.
    """
    is_composite = len(mapper.primary_key) > 1 and mapper.allow_partial_pks
    return is_composite and not is_never_null(mapper, getattr(mapper.class_, name))


def _solid_tables(selectable: Any) -> set[Any]:
    """Return the tables that have a row in each row of a selectable. The outer sides of joins are not among them."""
    if isinstance(selectable, Table):
        return {selectable}
    if not isinstance(selectable, Join) or selectable.full:
        return set()
    left = _solid_tables(selectable.left)
    return left if selectable.isouter else left | _solid_tables(selectable.right)
