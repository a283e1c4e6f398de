"""Binds the keys of parents: as one array for each column on PostgreSQL, otherwise as IN lists in chunks."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Dialect,
    and_,
    any_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.types import TypeEngine

from loadplan.mapped import mapping
from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.stored import unlimited
from loadplan.mapped.telling import EXACT_TYPES, binds_anew, binds_with_sql
from loadplan.mapped.values import type_on
from loadplan.resolved.tree import Place

#: The most keys in one IN list. SQLAlchemy's selectinload uses the same number. SQLite takes 32,766 parameters at most.
CHUNK = 500

_NAME = "loadplan_keys"


@attrs.frozen(eq=False)
class Keys:
    """Columns that hold keys, and how a statement binds keys for them.

    Attributes:
        columns: the columns whose values must be among the keys.
        as_arrays: True for one array parameter for each column and any number of keys; False for an expanding IN.
        partitioned: whether the mapping declares the table as partitioned.
        items: for each column, the type that binds its values.
        one_by_one: whether each key of a chunk has its own condition.
    """

    columns: tuple[ColumnElement[Any], ...]
    as_arrays: bool
    partitioned: bool = False
    items: tuple[TypeEngine[Any], ...] = ()
    one_by_one: bool = False

    @property
    def width(self) -> int:
        """The number of columns of a key."""
        return len(self.columns)

    @property
    def condition(self) -> ColumnElement[bool]:
        """The condition that the columns are among the keys.

        In a partitioned table, each column is also compared alone. PostgreSQL then skips the partitions that hold
        none of the keys, and sends the conditions to remote partitions. With a row value, it does neither.
        """
        if self.one_by_one:
            return or_(*map(self._equal_to, range(CHUNK)))
        if not self.as_arrays:
            return self._row().in_(bindparam(_NAME, expanding=True))
        if self.width == 1:
            return self.columns[0] == any_(self._arrays()[0])
        among_rows = tuple_(*self.columns).in_(select(*self.rows().c))
        if not self.partitioned:
            return among_rows
        each_by_itself = (column == any_(array) for column, array in zip(self.columns, self._arrays(), strict=True))
        return and_(*each_by_itself, among_rows)

    def _equal_to(self, place: int) -> ColumnElement[bool]:
        """Return the condition that the columns are equal to the key at a place of the chunk."""
        names = (_name_of(place, index) for index in range(self.width))
        parts = zip(self.columns, names, self.items, strict=True)
        return and_(*(column == bindparam(name, type_=item) for column, name, item in parts))

    def _row(self) -> ColumnElement[Any]:
        """Return one column unchanged, and several columns as a row value that binds keys by ``items``."""
        return self.columns[0] if self.width == 1 else tuple_(*self.columns, types=self.items)

    def rows(self) -> Any:
        """Return the keys as a table with one column for each key column. Only for keys that are bound as arrays."""
        names = [f"key_{index}" for index in range(self.width)]
        return func.unnest(*self._arrays()).table_valued(*names).render_derived(name=_NAME)

    def _arrays(self) -> list[BindParameter[Any]]:
        return [bindparam(f"{_NAME}_{index}", type_=ARRAY(each)) for index, each in enumerate(self.items)]

    def bind(self, keys: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield the parameters for each execution of the statement: one for arrays, one for each chunk of an IN list.

        Args:
            keys: distinct keys. If ``width`` is 1, each is a scalar, otherwise a tuple of this length.
        """
        if self.as_arrays:
            columns = [keys] if self.width == 1 else zip(*keys, strict=True)
            yield {f"{_NAME}_{index}": list(column) for index, column in enumerate(columns)}
            return
        for start in range(0, len(keys), CHUNK):
            chunk = list(keys[start : start + CHUNK])
            yield dict(self._named(chunk)) if self.one_by_one else {_NAME: chunk}

    def _named(self, chunk: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        """Yield the parameters of a chunk. The last key fills the places that are left."""
        for place in range(CHUNK):
            for index, value in enumerate(chunk[min(place, len(chunk) - 1)]):
                yield _name_of(place, index), value


def keys_of(columns: Sequence[ColumnElement[Any]], dialect: Dialect) -> Keys:
    """Return the keys of ``columns``, bound in the way that suits a database.

    A type may bind with its own SQL (``bind_expression``). SQLAlchemy does not apply it within an IN of row values, so
    each key then has its own condition.
    """
    as_arrays = dialect.name == "postgresql" and all(isinstance(each.type, EXACT_TYPES) for each in columns)
    items = tuple(type_of_keys(each.type, dialect) for each in columns)
    one_by_one = len(columns) > 1 and not as_arrays and any(binds_with_sql(each.type, dialect) for each in columns)
    return Keys(tuple(columns), as_arrays, any(map(_is_partitioned, columns)), items, one_by_one)


def type_of_keys(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the type that binds keys of a type, whatever their length and digits are.

    PostgreSQL would shorten or round a longer key, and then find another row. An application's own type stays.
    """
    here = type_on(kind, dialect)
    return here if dialect.name != "postgresql" or binds_anew(here, dialect) else unlimited(here)


def _name_of(place: int, index: int) -> str:
    return f"{_NAME}_{place}_{index}"


def _is_partitioned(column: ColumnElement[Any]) -> bool:
    """Tell whether the table of a column is declared with ``postgresql_partition_by``."""
    table = getattr(column, "table", None)
    return "postgresql_partition_by" in getattr(getattr(table, "element", table), "dialect_kwargs", ())


#: Databases that do not allow a LIMIT in the subquery of an IN. They allow it in a derived table inside the subquery.
_NO_LIMIT_IN_SUBQUERY = MYSQL_FAMILY


def selecting_keys(statement: Any, columns: Sequence[Any], place: Place) -> Any:
    """Return a statement that selects the columns of keys.

    If a class is mapped to a union, SQLAlchemy reads it for ``select_from(Class)`` only if an attribute is selected.
    Keys of subclasses are columns of the union, and no attributes of the class.
    """
    statement = statement.correlate(None)
    if not mapping.is_read_elsewhere(place.mapper):
        return statement.with_only_columns(*columns)
    keys = [column.label(f"key_{index}") for index, column in enumerate(columns)]
    attribute = getattr(place.entity, mapping.primary_key(place.mapper)[0]).label("of_class")
    rows = statement.with_only_columns(*keys, attribute).subquery()
    return select(*(rows.c[key.name] for key in keys))


def among(columns: Sequence[ColumnElement[Any]], statement: Any, dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that columns are among the rows of a statement, which may have a LIMIT."""
    statement = statement.correlate(None)
    if dialect.name in _NO_LIMIT_IN_SUBQUERY:
        statement = select(*statement.subquery("loadplan_rows").c)
    return row_of(columns).in_(statement)


def row_of(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """Return one column unchanged, and several columns as a row value."""
    return columns[0] if len(columns) == 1 else tuple_(*columns)
