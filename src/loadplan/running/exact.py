"""Orders whose values come back from the database exactly, so that a page finds the row of its cursor again. Pure.

The value of a column in Python may differ from the value that the database compares:

- SQLAlchemy rounds a ``Float(asdecimal=True)``, and a ``Numeric`` on SQLite, to some digits.
- psycopg reads a ``REAL`` from its text, which is rounded.
- An ``INTERVAL`` of a year becomes 365 days. PostgreSQL compares it as 360 days.
- An expression may have another type than SQLAlchemy supposes, or more digits: ``Line.price * Line.quantity``.
- SQLite keeps dates, times and UUIDs as text. ``CURRENT_TIMESTAMP`` writes another form than SQLAlchemy does.
- asyncpg reads an infinite date as the last or first date of Python.
- MariaDB and MySQL give text for an expression of a date and a parameter: ``coalesce(Task.due, date(2026, 1, 1))``.
"""

import datetime
import decimal
from typing import Any

import attrs
from sqlalchemy import (
    ColumnElement,
    Dialect,
    Double,
    Enum,
    Extract,
    Float,
    Integer,
    Numeric,
    TypeCoerce,
    cast,
    literal_column,
    type_coerce,
    types,
)
from sqlalchemy.sql.schema import Column

from loadplan.mapped.drivers import MYSQL_FAMILY, driver_of
from loadplan.mapped.elements import element_of
from loadplan.mapped.ordering import Ordering
from loadplan.mapped.stored import CONVERTED_ON_SQLITE, INTERVALS, AsStored, exact_float, without_months
from loadplan.mapped.values import refusal, type_on

#: Databases that sort an ENUM by its number and compare it as text, and that round a FLOAT when they show it.
_SHOW_OTHERWISE = MYSQL_FAMILY

_MOMENTS = (types.DateTime, types.Date, types.Time, types.Interval)


def comparable(ordering: Ordering, dialect: Dialect) -> Ordering:
    """Return an order whose expression compares as it sorts, and whose NULLs are in the place that the page needs.

    Its type gives the value that the database compares. If the default place of NULLs in a database is not known, the
    statement names the place.
    """
    ordering = attrs.evolve(ordering, expression=_exact(ordering.expression, dialect))
    if ordering.nulls_first is None and not ordering.knows_nulls(dialect) and not ordering.never_null:
        return attrs.evolve(ordering, nulls_first=ordering.puts_nulls_first(dialect))
    return ordering


def _exact(expression: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    kind = type_on(expression.type, dialect)
    if dialect.name in _SHOW_OTHERWISE and isinstance(kind, Enum) and kind.native_enum:
        if not _is_column(expression):  # expressions of ENUM columns are text, and are sorted as text
            return expression
        return type_coerce(expression, Integer) + literal_column("0", Integer)
    if dialect.name in _SHOW_OTHERWISE and isinstance(kind, _MOMENTS) and not _is_column(expression):
        return type_coerce(expression, AsStored())
    if dialect.name == "sqlite":
        return type_coerce(expression, AsStored()) if isinstance(kind, CONVERTED_ON_SQLITE) else expression
    if isinstance(kind, Float):  # a Numeric in SQLAlchemy 2.0, a separate type in 2.1
        return type_coerce(expression, Double())
    if isinstance(kind, Numeric):  # an expression may be of another type than SQLAlchemy supposes
        return type_coerce(expression, Numeric() if _is_column(expression) else AsStored())
    return type_coerce(expression, AsStored()) if isinstance(expression, Extract) else expression


def _is_column(expression: Any) -> bool:
    while isinstance(expression, TypeCoerce):
        expression = expression.clause
    return isinstance(element_of(expression), Column)


def exact_value(expression: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Return an expression whose value is equal to itself when it comes back in a cursor."""
    kind = type_on(expression.type, dialect)
    if dialect.name in _SHOW_OTHERWISE and isinstance(kind, Float):
        return type_coerce(exact_float(expression), expression.type)
    if dialect.name == "postgresql" and isinstance(kind, Float):
        return cast(expression, Double)
    if dialect.name == "postgresql" and isinstance(kind, INTERVALS):
        return type_coerce(without_months(expression), kind)
    return expression


def may_be_infinite(value: Any, dialect: Dialect) -> bool:
    """Tell whether a date or time in Python may stand for an infinite one, so that the driver would send another value.

    asyncpg reads both ``'infinity'`` and ``'9999-12-31'`` as ``date.max``, and sends ``date.max`` as ``'infinity'``.
    """
    if not driver_of(dialect).has_no_infinity:
        return False
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None) in (datetime.datetime.max, datetime.datetime.min)
    return isinstance(value, datetime.date) and value in (datetime.date.max, datetime.date.min)


def type_of_value(value: Any, ordering: Ordering) -> types.TypeEngine[Any]:
    """Return the type of a value of an order.

    For SQLAlchemy, a sum of integers has the type of an integer column. Databases give it a wider type.
    """
    kind: types.TypeEngine[Any] = ordering.expression.type
    if isinstance(kind, Integer) and not _is_column(ordering.expression):
        return Numeric() if isinstance(value, decimal.Decimal) else types.BigInteger()
    return kind


def refusal_of_cursor(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    """Return why a value from a cursor cannot be a value of an order, or None if it can."""
    if not isinstance(kind, AsStored):
        return refusal(value, kind, dialect)
    if dialect.name in _SHOW_OTHERWISE and isinstance(value, str | datetime.date | datetime.timedelta):
        return refusal(value, types.String(), dialect) if isinstance(value, str) else None
    if dialect.name != "sqlite":
        return refusal(value, Float(), dialect)
    known = types.String() if isinstance(value, str) else Float() if isinstance(value, float) else types.Integer()
    return refusal(value, known, dialect)
