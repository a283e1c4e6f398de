"""Converts values from the driver as SQLAlchemy's types do, and finds values that a driver can read in a nested row.

asyncpg and psycopg decode a nested ``ROW(...)`` in binary by the types of its elements. They have decoders for the
types that are built into PostgreSQL. They have no decoder for a type that an application or an extension created, so
loadplan casts its values to a built-in type.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
from sqlalchemy import (
    ARRAY,
    BinaryExpression,
    Dialect,
    Function,
    FunctionFilter,
    Label,
    Null,
    Over,
    ScalarSelect,
    Text,
    WithinGroup,
    cast,
    types,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import FunctionElement

from loadplan.mapped.drivers import driver_of
from loadplan.mapped.elements import element_of

Processor: TypeAlias = Callable[[Any], Any]

#: Types whose values asyncpg and psycopg read in the same way inside and outside of a nested row.
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
    postgresql.INT4MULTIRANGE,
    postgresql.INT8MULTIRANGE,
    postgresql.NUMMULTIRANGE,
    postgresql.DATEMULTIRANGE,
    postgresql.TSMULTIRANGE,
    postgresql.TSTZMULTIRANGE,
    postgresql.OID,
)

#: Types that both drivers read as text in a plain row, and read wrongly in a nested row. In a nested row, loadplan
#: casts them to text.
_AS_TEXT = (
    types.Enum,
    postgresql.MACADDR,
    postgresql.MACADDR8,
    postgresql.MONEY,
    postgresql.TSVECTOR,
    postgresql.TSQUERY,
    postgresql.REGCLASS,
    postgresql.REGCONFIG,
    types.JSON.JSONPathType,
)

#: The numbers (OIDs) of PostgreSQL's types and their arrays. Result processors of numbers need them.
_DECIMAL, _DECIMALS, _FLOAT, _FLOATS = 1700, 1231, 701, 1022


def in_row(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect, *, origin: Any) -> Any | None:
    """Return an expression in a form that a driver can read inside a nested row, or None if no form exists.

    Args:
        expression: the expression to select.
        kind: the mapped type of the expression.
        dialect: the dialect of a driver that reads nested rows.
        origin: the expression before it was selected in a subquery. If SQLAlchemy does not know the type of
            ``expression``, the origin may show it.
    """
    if isinstance(kind, types.NullType):  # without a processor, the result is the driver's value
        return expression if is_of_builtin_type(origin) else None
    own = kind.dialect_impl(dialect).column_expression(expression)  # the type wraps its columns in a function
    expression = expression if own is None else own
    column = _column_type(kind, dialect)
    target = _cast_target(column, dialect)
    if target is not None:
        return cast(expression, target) if _is_decoded(target, dialect) else None
    if isinstance(column, ARRAY):
        item = _column_type(column.item_type, dialect)
        target = _cast_target(item, dialect)
        if not _is_decoded(target or item, dialect):
            return None
        return expression if target is None else cast(expression, ARRAY(target))
    return expression if _is_decoded(column, dialect) else None


def _column_type(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any]:
    """Return the type of a column without decorators and variants."""
    own = kind.dialect_impl(dialect)
    while isinstance(own, types.TypeDecorator):
        own = own.impl_instance
    plain = kind
    while isinstance(plain, types.TypeDecorator):
        plain = plain.impl_instance
    if isinstance(plain, types.CHAR) and isinstance(own, types.String):  # psycopg's dialect has one type for all text
        return plain
    return own


def _cast_target(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any] | None:
    """Return the type that a value is cast to, so that the driver can read it in a nested row; None for no cast."""
    if isinstance(kind, _AS_TEXT):
        return Text()
    if isinstance(kind, postgresql.HSTORE) and dialect.driver == "asyncpg":  # SQLAlchemy converts the text
        return Text()
    if isinstance(kind, postgresql.DOMAIN):
        base: types.TypeEngine[Any] = kind.data_type
        return _cast_target(base, dialect) or base
    # If the server's column is an enum, a domain or money, the driver reads it wrongly or refuses it, so it is cast to
    # text. CHAR keeps its blanks.
    return Text() if isinstance(kind, types.String) and not isinstance(kind, types.CHAR) else None


#: The description that psycopg's cursor gets for a type that it only reads as text.
NOT_IN_BINARY = "loadplan: psycopg has no binary reader for a type of this statement"


class Undecodable(Exception):  # noqa: N818 - a signal between graph and loader, which reads the rows another way
    """A driver cannot read a value in a nested row, because the column's real type is not the mapped type."""


def read_whole(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any:
    """Return an expression in a form that a driver can read if it reads the whole row in binary format.

    Args:
        expression: the expression to select. It becomes text if the driver has no decoder for its type.
        kind: the mapped type of the expression.
        dialect: the dialect of the driver.
    """
    if not driver_of(dialect).in_binary:
        return expression
    column = _column_type(kind, dialect)
    item = _column_type(column.item_type, dialect) if isinstance(column, ARRAY) else column
    target = (
        None if isinstance(item, types.String) and not isinstance(item, types.Enum) else _cast_target(item, dialect)
    )
    if target is None:
        return expression
    return cast(expression, target if item is column else ARRAY(target))


def is_undecodable(error: Exception) -> bool:
    """Tell whether a driver's error means that it could not read a nested value. The connection stays usable."""
    return any(words in str(error) for words in ("no decoder for composite type element", NOT_IN_BINARY))


def _is_decoded(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    if isinstance(kind, postgresql.BIT):  # psycopg can read this type only as text
        return dialect.driver == "asyncpg"
    return isinstance(kind, _DECODED)


_NAMES = """
abs age array_length ascii avg bit_length bool_and bool_or btrim cardinality cbrt ceil ceiling char_length chr
clock_timestamp concat concat_ws corr cos covar_pop covar_samp date_part date_trunc degrees div every exp extract
floor format initcap isfinite json_agg json_array_length json_build_array json_build_object jsonb_agg
jsonb_array_length jsonb_build_array jsonb_build_object left length ln log lower lpad ltrim make_date make_interval
make_time make_timestamp md5 mod num_nonnulls num_nulls octet_length percent_rank percentile_cont pi position power
quote_ident quote_literal radians random regexp_replace regr_slope repeat replace reverse right round row_number
row_to_json rpad rtrim sign sin split_part sqrt starts_with stddev stddev_pop stddev_samp string_agg strpos substr
substring tan timezone to_char to_date to_hex to_json to_jsonb to_number to_timestamp translate trunc upper var_pop
var_samp variance width_bucket
"""

#: Functions without a type in SQLAlchemy. In PostgreSQL, their type does not depend on their arguments: a number, text,
#: a date or time, an interval, a boolean, JSON.
_BUILTIN = frozenset(_NAMES.split())

#: Functions that return a value of the type of their argument.
_GIVES_ARGUMENT = frozenset({"coalesce", "greatest", "least", "max", "min", "nullif", "sum"})


def is_of_builtin_type(expression: Any) -> bool:
    """Tell whether an expression without a type in SQLAlchemy has a PostgreSQL type that drivers read in nested rows.

    asyncpg reads most built-in types by their number, also in nested rows. It reads some of them wrongly: it takes the
    bytes of ``money`` for text. An application's function may return any type, so the answer for it is False.
    """
    element = element_of(expression)
    while isinstance(element, Label | Grouping | FunctionFilter | WithinGroup | Over):
        element = element.func if isinstance(element, FunctionFilter) else element.element
    if isinstance(element, ScalarSelect):
        columns = list(element.element.selected_columns)
        return len(columns) == 1 and _is_known(columns[0])
    if isinstance(element, FunctionElement):
        if not isinstance(element, Function) or element.packagenames:
            return False
        name = element.name.lower()
        arguments = list(element.clauses)
        return name in _BUILTIN or (name in _GIVES_ARGUMENT and all(map(_is_known, arguments)))
    if isinstance(element, BinaryExpression):
        return element.operator in _ARITHMETIC and _is_known(element.left) and _is_known(element.right)
    return False


_ARITHMETIC = frozenset({operator.add, operator.sub, operator.mul, operator.truediv, operator.mod})


def _is_known(expression: Any) -> bool:
    """Tell whether drivers read an expression's type in nested rows.

    SQLAlchemy, or the name of the function, tells the type.
    """
    kind = expression.type
    if isinstance(kind, types.NullType):
        return isinstance(expression, Null) or is_of_builtin_type(expression)
    return isinstance(kind, _DECODED) and not isinstance(kind, types.String)


@attrs.frozen(eq=False)
class OfFloats:
    """Converts the floats of a column, and returns every other value unchanged.

    A ``Numeric`` column needs it: the driver turns ``numeric`` into decimals by itself, and ``float8`` into floats.
    Generated code checks the class of each value itself, and calls ``process`` only for floats.

    Attributes:
        process: converts a float into the column's value.
    """

    process: Processor

    def __call__(self, value: Any) -> Any:
        """Return the column's value."""
        return self.process(value) if isinstance(value, float) else value


@attrs.frozen(eq=False)
class OfOthers:
    """Converts the values of a column that are not floats, and returns floats unchanged.

    A ``Float`` column needs it: the driver's floats are right, but where the server's column is ``numeric``, the driver
    gives decimals. Generated code checks the class of each value itself, and does not call ``process`` for floats.

    Attributes:
        process: converts any other value into the column's value.
    """

    process: Processor

    def __call__(self, value: Any) -> Any:
        """Return the column's value."""
        return value if isinstance(value, float) else self.process(value)


def processor(kind: types.TypeEngine[Any], dialect: Dialect) -> Processor | None:
    """Return the function that converts a driver's values of a type; None if it leaves them unchanged.

    Args:
        kind: the mapped type.
        dialect: the dialect of the driver.
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
    # the driver reads the type of the server's column, not the type of the mapping
    if of_decimal is None:
        assert of_float is not None  # noqa: S101 - one of them is there
        return OfFloats(of_float)
    if of_float is None:
        return OfOthers(of_decimal)
    return lambda value: of_float(value) if isinstance(value, float) else of_decimal(value)
