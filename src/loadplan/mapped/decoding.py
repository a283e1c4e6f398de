"""Values out of the driver: what SQLAlchemy's types make of them, and what a driver can read inside of a row.

asyncpg and psycopg decode a nested ``ROW(...)`` in binary by the types of its elements. They know the types that are
built into PostgreSQL. A type that an application or an extension made has no decoder there: loadplan casts it to one
that has.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, Dialect, Text, cast, types
from sqlalchemy.dialects import postgresql

from loadplan.mapped.drivers import driver_of

Processor: TypeAlias = Callable[[Any], Any]

#: Types whose values asyncpg and psycopg read inside of a row as they read them outside.
_DECODED = (
    types.Integer,
    types.Numeric,
    types.Float,
    types.String,
    types.Boolean,
    types.Date,
    types.DateTime,
    types.Time,
    types.Uuid,
    types.LargeBinary,
    types.JSON,
    types.Interval,
    postgresql.INTERVAL,
    postgresql.INET,
    postgresql.CIDR,
    postgresql.INT4RANGE,
    postgresql.INT8RANGE,
    postgresql.NUMRANGE,
    postgresql.DATERANGE,
    postgresql.TSRANGE,
    postgresql.TSTZRANGE,
)

#: Numbers of PostgreSQL's types and their arrays, which result processors of numbers ask for.
_DECIMAL, _DECIMALS, _FLOAT, _FLOATS = 1700, 1231, 701, 1022


def in_row(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any | None:
    """Return an expression as a driver can read it inside of a row, or None if it cannot.

    Args:
        expression: of that type.
        kind: as mapped.
        dialect: of a driver that reads rows within rows.
    """
    own = kind.dialect_impl(dialect).column_expression(expression)  # of a type that wraps its columns in a function
    expression = expression if own is None else own
    column = _column_type(kind, dialect)
    target = _cast_target(column)
    if target is not None:
        return cast(expression, target) if _is_decoded(target) else None
    if isinstance(column, ARRAY):
        item = _column_type(column.item_type, dialect)
        target = _cast_target(item)
        if not _is_decoded(target or item):
            return None
        return expression if target is None else cast(expression, ARRAY(target))
    return expression if _is_decoded(column) else None


def _column_type(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any]:
    """Return the type of the column itself, under any decorators and variants."""
    own = kind.dialect_impl(dialect)
    while isinstance(own, types.TypeDecorator):
        own = own.impl_instance
    plain = kind
    while isinstance(plain, types.TypeDecorator):
        plain = plain.impl_instance
    if isinstance(plain, types.CHAR) and isinstance(own, types.String):  # psycopg's dialect has one type for all text
        return plain
    return own


def _cast_target(kind: types.TypeEngine[Any]) -> types.TypeEngine[Any] | None:
    """Return what a type that the server was taught is cast to, to be read."""
    if isinstance(kind, types.Enum):
        return Text()
    if isinstance(kind, postgresql.DOMAIN):
        base: types.TypeEngine[Any] = kind.data_type
        return _cast_target(base) or base
    if isinstance(kind, postgresql.MACADDR | postgresql.MACADDR8):  # the driver takes the bytes of one for text
        return Text()
    # text is what the driver takes garbage for, or refuses, where the server's column is an enum, a domain or money;
    # CHAR keeps its blanks
    return Text() if isinstance(kind, types.String) and not isinstance(kind, types.CHAR) else None


#: What psycopg's cursor is made to say of a type that it reads as text alone.
NOT_IN_BINARY = "loadplan: psycopg has no binary reader for a type of this statement"


class Undecodable(Exception):  # noqa: N818 - a signal between graph and loader, which reads the rows another way
    """The driver met a value within a row whose type it cannot read there, whatever the mapping says of it."""


def read_whole(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any:
    """Return an expression as it stands in a row that a driver reads as a whole in binary: enums and the like as text.

    Args:
        expression: of that type.
        kind: as mapped.
        dialect: of the driver.
    """
    if not driver_of(dialect).in_binary:
        return expression
    column = _column_type(kind, dialect)
    item = _column_type(column.item_type, dialect) if isinstance(column, ARRAY) else column
    target = None if isinstance(item, types.String) and not isinstance(item, types.Enum) else _cast_target(item)
    if target is None:
        return expression
    return cast(expression, target if item is column else ARRAY(target))


def is_undecodable(error: Exception) -> bool:
    """Tell whether an error of the driver says so. The connection and its transaction are none the worse for it."""
    return any(words in str(error) for words in ("no decoder for composite type element", NOT_IN_BINARY))


def _is_decoded(kind: types.TypeEngine[Any]) -> bool:
    return isinstance(kind, _DECODED) and not isinstance(kind, postgresql.BIT)


def processor(kind: types.TypeEngine[Any], dialect: Dialect) -> Processor | None:
    """Return what SQLAlchemy does to values of a type that come from the driver, within a row or not; None for nothing.

    Args:
        kind: as mapped.
        dialect: of the driver.
    """
    if not driver_of(dialect).raw:
        return kind.dialect_impl(dialect).result_processor(dialect, None)
    own, column = kind.dialect_impl(dialect), _column_type(kind, dialect)
    if isinstance(column, ARRAY):
        item = _column_type(column.item_type, dialect)
        return own.result_processor(dialect, _FLOATS if isinstance(item, types.Float) else _DECIMALS)
    if not isinstance(column, types.Numeric | types.Float):
        return own.result_processor(dialect, None)
    of_decimal, of_float = own.result_processor(dialect, _DECIMAL), own.result_processor(dialect, _FLOAT)
    if of_decimal is None and of_float is None:
        return None
    # the driver gives what the server's column is, whatever the mapping calls it
    if of_decimal is None:
        return lambda value: of_float(value) if of_float and isinstance(value, float) else value
    return lambda value: (of_float(value) if of_float else value) if isinstance(value, float) else of_decimal(value)
