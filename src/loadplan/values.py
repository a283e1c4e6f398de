"""Can this Python value be bound to that SQL type? Asked of ids before any SQL runs."""

import datetime
import decimal
import math
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, types
from sqlalchemy.dialects import postgresql

#: Bits of PostgreSQL's integer types. SQLite stores 64 whatever the column is called.
_INTEGER_BITS: tuple[tuple[type[types.Integer], int], ...] = (
    (types.SmallInteger, 16),
    (types.BigInteger, 64),
    (types.Integer, 32),
)


#: Digits that a number of PostgreSQL may have. Source: its manual, "Numeric Types".
_DIGITS, _DECIMALS = 131_072, 16_383

#: Dimensions that an array of PostgreSQL may have: MAXDIM of its sources.
_DIMENSIONS = 6


#: Dialects that speak to MariaDB or MySQL.
_MYSQL = frozenset({"mysql", "mariadb"})


def refusal(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    """Return why ``value`` cannot be a value of ``kind``, or None if it can.

    A value is taken as it is, never converted: ``"42"`` is no integer. Types that say nothing about their
    Python values are believed.

    Args:
        value: not None.
        kind: the column's type.
        dialect: decides the range of integers.

    Returns:
        A clause for a sentence, as ``"it takes int, not str"``.
    """
    try:
        return _refusal(value, kind, dialect)
    except Exception as error:  # a value from outside may raise whatever it likes when it is looked at
        return f"looking at it raises {type(error).__name__}"


def _refusal(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    for known, check in _CHECKS:
        if isinstance(kind, known):
            return check(value, kind, dialect)
    return _refusal_by_decorator(value, kind, dialect) if isinstance(kind, types.TypeDecorator) else None


def _refusal_by_decorator(value: Any, kind: types.TypeDecorator[Any], dialect: Dialect) -> str | None:
    try:
        bound = kind.process_bind_param(value, dialect)
    except NotImplementedError:
        bound = value
    except Exception as error:  # what a user's type raises on a wrong value is its own affair
        return f"{type(kind).__name__} refuses it: {error}"
    return None if bound is None else refusal(bound, kind.impl_instance, dialect)


def _wrong_type(value: object, wanted: str) -> str:
    return f"it takes {wanted}, not {type(value).__name__}"


def _integer(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return _wrong_type(value, "int")
    bits = 64
    if dialect.name in {"postgresql", *_MYSQL}:
        bits = next(bits for known, bits in _INTEGER_BITS if isinstance(kind, known))
    return None if -(1 << bits - 1) <= value < 1 << bits - 1 else f"it does not fit {bits} bits"


def _text(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, str):
        return _wrong_type(value, "str")
    if "\0" in value and dialect.name == "postgresql":
        return "PostgreSQL's text holds no NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which is no text"
    return None


def _enum(value: Any, kind: types.Enum, dialect: Dialect) -> str | None:
    if kind.enum_class is not None:
        return None if isinstance(value, kind.enum_class) else _wrong_type(value, kind.enum_class.__name__)
    if not isinstance(value, str):
        return _wrong_type(value, "str")
    return None if value in kind.enums else f"it is none of {', '.join(map(repr, kind.enums))}"


def _uuid(value: Any, kind: Any, dialect: Dialect) -> str | None:
    wanted: type = uuid.UUID if kind.as_uuid else str
    if not isinstance(value, wanted):
        return _wrong_type(value, "uuid.UUID" if kind.as_uuid else "str")
    if wanted is str:
        try:
            uuid.UUID(str(value))
        except ValueError:
            return "it is no UUID"
    return None


def _float(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        return _wrong_type(value, "float, int or Decimal")
    try:
        is_infinite = value.is_infinite() if isinstance(value, decimal.Decimal) else math.isinf(value)
        is_too_large = math.isinf(float(value)) and not is_infinite
    except (OverflowError, ValueError):  # too large, or a signaling NaN
        is_too_large = True
    if dialect.name in _MYSQL and not math.isfinite(value):
        return "the database has finite numbers alone"
    if is_too_large or (dialect.name == "postgresql" and not _fits_numeric(value)):  # psycopg sends it as a numeric
        return "it does not fit 64 bits"
    return None


def _number(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        return _wrong_type(value, "Decimal, int or float")
    if isinstance(value, float) and not math.isfinite(value):
        return "it is not a finite number"
    if dialect.name in _MYSQL and isinstance(value, decimal.Decimal) and not value.is_finite():
        return "the database has finite numbers alone"
    if dialect.name == "postgresql" and not _fits_numeric(value):
        return f"PostgreSQL's numeric holds {_DIGITS} digits before the point and {_DECIMALS} behind it"
    return None


def _fits_numeric(value: int | float | decimal.Decimal) -> bool:
    if isinstance(value, int):
        bool(value < 0)  # drivers ask, and one from outside may raise
        return value.bit_length() <= _DIGITS * math.log2(10)
    if isinstance(value, decimal.Decimal) and value.is_finite():
        exponent = value.as_tuple().exponent
        return value.is_zero() or (value.adjusted() < _DIGITS and isinstance(exponent, int) and -exponent <= _DECIMALS)
    return not (isinstance(value, decimal.Decimal) and value.is_snan())


def _date(value: Any, kind: Any, dialect: Dialect) -> str | None:
    right = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return None if right else _wrong_type(value, "datetime.date")


def _datetime(value: Any, kind: types.DateTime, dialect: Dialect) -> str | None:
    if not isinstance(value, datetime.datetime):
        return _wrong_type(value, "datetime.datetime")
    if dialect.name in _MYSQL and value.tzinfo is not None:
        return "the database keeps no time zone, and the value has one"
    if dialect.name == "postgresql" and (value.tzinfo is not None) != bool(kind.timezone):
        return f"the column is {'with' if kind.timezone else 'without'} time zone, the value is not"
    if value.tzinfo is not None:
        try:
            value.astimezone(datetime.UTC)
        except (OverflowError, ValueError):
            return "it is out of range in UTC"
    return None


def _array(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, list | tuple | set | frozenset):
        return _wrong_type(value, "list")
    level = list(value)
    for _ in range(_DIMENSIONS):
        rows = [each for each in level if isinstance(each, list | tuple)]
        if not rows:
            return next(
                (reason for each in level if each is not None and (reason := refusal(each, kind.item_type, dialect))),
                None,
            )
        if len(rows) < len(level) or len({len(row) for row in rows}) > 1:
            return "its rows are not rows of one length"
        level = [each for row in rows for each in row]
    return f"it has more than {_DIMENSIONS} levels"


def _anything(value: Any, kind: Any, dialect: Dialect) -> str | None:
    return None


def _instance_of(wanted: type | tuple[type, ...], name: str) -> Callable[[Any, Any, Dialect], str | None]:
    return lambda value, kind, dialect: None if isinstance(value, wanted) else _wrong_type(value, name)


_CHECKS: tuple[tuple[Any, Callable[[Any, Any, Dialect], str | None]], ...] = (
    # decorators of SQLAlchemy's own, whose values are not those of the type that they decorate
    ((types.Interval, postgresql.INTERVAL), _instance_of(datetime.timedelta, "datetime.timedelta")),
    (types.PickleType, _anything),
    (types.ARRAY, _array),
    (types.Integer, _integer),
    (types.Enum, _enum),
    (types.String, _text),
    (types.Uuid, _uuid),
    (types.Float, _float),  # a Numeric in SQLAlchemy 2.0, a type of its own in 2.1
    (types.Numeric, _number),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Time, _instance_of(datetime.time, "datetime.time")),
    (types.Boolean, _instance_of(bool, "bool")),
    (types.LargeBinary, _instance_of((bytes, bytearray, memoryview), "bytes")),
)
