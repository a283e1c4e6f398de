"""Checks whether a Python value can be bound to an SQL type. loadplan checks ids with it before any SQL runs."""

import contextlib
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Dialect, types
from sqlalchemy.dialects import postgresql

from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.values_of_postgresql import CHECKS
from loadplan.sqlalchemy_internals import variants_of

#: The number of bits of PostgreSQL's integer types. SQLite stores 64 bits in every integer column.
_INTEGER_BITS: tuple[tuple[type[types.Integer], int], ...] = (
    (types.SmallInteger, 16),
    (types.BigInteger, 64),
    (types.Integer, 32),
)


#: The most digits before and after the point of a number in PostgreSQL. Source: its manual, "Numeric Types".
_DIGITS, _DECIMALS = 131_072, 16_383

#: The most dimensions of an array in PostgreSQL. Source: MAXDIM in its source code.
_DIMENSIONS = 6


def refusal(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    """Return the reason why ``value`` cannot be a value of ``kind``, or None if it can.

    The value is never converted first: ``"42"`` is not an integer. A type that does not declare its Python values takes
    every value.

    Args:
        value: the value, not None.
        kind: the column's type.
        dialect: the dialect of the database, which decides the range of integers.

    Returns:
        A clause for a sentence, for example ``"it takes int, not str"``.
    """
    try:
        return _refusal(value, type_on(kind, dialect), dialect)
    except Exception as error:  # methods of the caller's value may raise any error
        return f"looking at it raises {type(error).__name__}"


def _refusal(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    if binds_by_itself(kind):
        return _refusal_by_type(value, kind, dialect)
    for known, check in _CHECKS:
        if isinstance(kind, known):
            return check(value, kind, dialect)
    return _refusal_by_type(value, kind, dialect)


def are_of_sqlalchemy(code: Iterable[Any]) -> bool:
    """Tell whether SQLAlchemy itself defines all of these functions or classes."""
    return all(each.__module__.startswith("sqlalchemy.") for each in code)


def binds_by_itself(kind: types.TypeEngine[Any]) -> bool:
    """Tell whether a type converts values with its own code. Then only this code knows which values it takes."""
    own: Any = type(kind)
    code = own if isinstance(kind, types.TypeDecorator) else own.bind_processor
    return not are_of_sqlalchemy([code])


def type_on(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any]:
    """Return the type for a database: the variant that ``with_variant`` names for it, otherwise the type itself."""
    return variants_of(kind).get(dialect.name, kind)


def stored_type(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any]:
    """Return the type of the stored value of a column: a decorated type without its decorators."""
    kind = type_on(kind, dialect)
    while isinstance(kind, types.TypeDecorator) and binds_by_itself(kind):
        kind = kind.load_dialect_impl(dialect)
    return kind


def _refusal_by_type(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    """Let the type convert the value, as the statement will; then check whether the column can hold the result."""
    try:
        processor: Any = kind.dialect_impl(dialect).bind_processor(dialect)
        bound = value if processor is None else processor(value)
        made = made_by_decorators(value, kind, dialect)
    except Exception as error:  # the user's type may raise any error for a wrong value
        return f"{type(kind).__name__} refuses it: {error}"
    if bound is None or made is None:
        return None
    return _refusal_of_made(made, stored_type(kind, dialect), dialect)


def made_by_decorators(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any:
    """Return the value after the conversions of the decorators around a type; None if loadplan cannot run them."""
    if not (isinstance(kind, types.TypeDecorator) and binds_by_itself(kind)):
        return None
    if type(kind).bind_processor is not types.TypeDecorator.bind_processor:
        return None
    with contextlib.suppress(NotImplementedError):  # the decorator converts only results
        value = kind.process_bind_param(value, dialect)
    inner = kind.load_dialect_impl(dialect)
    if isinstance(inner, types.TypeDecorator) and binds_by_itself(inner) and value is not None:
        return made_by_decorators(value, inner, dialect)
    return value


def _refusal_of_made(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> str | None:
    """Return the reason why a column cannot hold the value that a decorator made, or None if it can.

    SQLAlchemy and drivers take more types than a column returns: text for a UUID or an enum, a bool for a number.
    """
    if isinstance(kind, types.Uuid) and isinstance(value, str | uuid.UUID):
        return _uuid(str(value), types.Uuid(as_uuid=False), dialect)
    if isinstance(kind, types.Enum) and isinstance(value, str) and not isinstance(value, enum.Enum):
        return None if value in kind.enums else _none_of(kind.enums)
    if isinstance(kind, types.Integer) and isinstance(value, bool):
        return None
    return next((check(value, kind, dialect) for known, check in _CHECKS if isinstance(kind, known)), None)


def _wrong_type(value: object, wanted: str) -> str:
    return f"it takes {wanted}, not {type(value).__name__}"


def _integer(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return _wrong_type(value, "int")
    bits = 64
    if dialect.name in {"postgresql", *MYSQL_FAMILY}:
        bits = next(bits for known, bits in _INTEGER_BITS if isinstance(kind, known))
    least, most = -(1 << bits - 1), 1 << bits - 1
    if getattr(kind, "unsigned", False) and dialect.name in MYSQL_FAMILY:
        least, most = 0, 1 << bits
    return None if least <= value < most else f"it does not fit {bits} bits"


def _text(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, str):
        return _wrong_type(value, "str")
    if "\0" in value and dialect.name == "postgresql":
        return "PostgreSQL's text cannot hold a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which is not valid text"
    return None


def _enum(value: Any, kind: types.Enum, dialect: Dialect) -> str | None:
    if kind.enum_class is not None:
        is_named = isinstance(value, str) and _member_for(value, kind, dialect) is not None
        return None if is_named or isinstance(value, kind.enum_class) else _wrong_type(value, kind.enum_class.__name__)
    if not isinstance(value, str):
        return _wrong_type(value, "str")
    return None if value in kind.enums else _none_of(kind.enums)


def as_key(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any:
    """Return a value that a caller gives for a key as the statement binds it, or unchanged.

    A member of an enum takes the place of its text. On PostgreSQL, keys go in one array. psycopg refuses an array of an
    int and a float, or of an int and an ``IntEnum``. asyncpg sends all binary digits of a float to a ``Numeric``.
    """
    kind = type_on(kind, dialect)
    if dialect.name == "postgresql" and isinstance(value, int | float | decimal.Decimal) and not binds_by_itself(kind):
        return _as_number(value, kind)
    return _as_member(value, kind, dialect)


def _as_number(value: Any, kind: types.TypeEngine[Any]) -> Any:
    """Return a number in the class of a column's other numbers."""
    if isinstance(kind, types.Float):  # a Numeric in SQLAlchemy 2.0, a separate type in 2.1
        return float(value)
    if isinstance(kind, types.Numeric):
        return decimal.Decimal(float.__repr__(value) if isinstance(value, float) else value)
    return int(value) if isinstance(kind, types.Integer) and isinstance(value, int) else value


def _as_member(value: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> Any:
    """Return the member of an enum for which SQLAlchemy accepts a text. Return any other value unchanged."""
    if not isinstance(kind, types.Enum) or kind.enum_class is None or not isinstance(value, str):
        return value
    return value if isinstance(value, kind.enum_class) else _member_for(value, kind, dialect) or value


def _member_for(text: str, kind: types.Enum, dialect: Dialect) -> enum.Enum | None:
    """Return the member of an enum for a text, which is usually its name; None if no member fits."""
    bind: Any = kind.dialect_impl(dialect).bind_processor(dialect)
    try:
        bound = text if bind is None else bind(text)
    except LookupError:
        return None
    members: list[enum.Enum] = [] if kind.enum_class is None else list(kind.enum_class.__members__.values())
    if len(members) != len(kind.enums):  # ``kind.enums`` has no aliases
        members = list(dict.fromkeys(members))
    return dict(zip(kind.enums, members, strict=False)).get(bound)


def _none_of(known: Iterable[str]) -> str:
    return f"it must be one of {', '.join(map(repr, known))}"


def _uuid(value: Any, kind: Any, dialect: Dialect) -> str | None:
    wanted: type = uuid.UUID if kind.as_uuid else str
    if not isinstance(value, wanted):
        return _wrong_type(value, "uuid.UUID" if kind.as_uuid else "str")
    if wanted is str:
        try:
            uuid.UUID(str(value))
        except ValueError:
            return "it is not a UUID"
    return None


def _float(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        return _wrong_type(value, "float, int or Decimal")
    try:
        is_infinite = value.is_infinite() if isinstance(value, decimal.Decimal) else math.isinf(value)
        is_too_large = math.isinf(float(value)) and not is_infinite
    except (OverflowError, ValueError):  # too large, or a signaling NaN
        is_too_large = True
    if dialect.name in MYSQL_FAMILY and not math.isfinite(value):
        return "the database holds only finite numbers"
    if is_too_large or (dialect.name == "postgresql" and not _fits_numeric(value)):  # psycopg sends it as a numeric
        return "it does not fit 64 bits"
    return None


def _number(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        return _wrong_type(value, "Decimal, int or float")
    if isinstance(value, float) and not math.isfinite(value):
        return "it is not a finite number"
    if dialect.name in MYSQL_FAMILY and isinstance(value, decimal.Decimal) and not value.is_finite():
        return "the database holds only finite numbers"
    if dialect.name == "postgresql" and not _fits_numeric(value):
        return f"PostgreSQL's numeric holds {_DIGITS} digits before the point and {_DECIMALS} behind it"
    return None


def _fits_numeric(value: int | float | decimal.Decimal) -> bool:
    if isinstance(value, int):
        bool(value < 0)  # drivers call it, and a value from outside may raise an error
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
    if dialect.name in MYSQL_FAMILY and value.tzinfo is not None:
        return "the database keeps no time zone, and the value has one"
    if dialect.name == "postgresql" and (reason := _zone(value.tzinfo is not None, bool(kind.timezone))):
        return reason
    if value.tzinfo is not None:
        try:
            value.astimezone(datetime.UTC)
        except (OverflowError, ValueError):
            return "it is out of range in UTC"
    return None


def _time(value: Any, kind: types.Time, dialect: Dialect) -> str | None:
    if not isinstance(value, datetime.time):
        return _wrong_type(value, "datetime.time")
    if value.tzinfo is not None and value.utcoffset() is None:
        return "its time zone has no offset without a date"
    if dialect.name in MYSQL_FAMILY and value.tzinfo is not None:
        return "the database keeps no time zone, and the value has one"
    return _zone(value.tzinfo is not None, bool(kind.timezone)) if dialect.name == "postgresql" else None


def _interval(value: Any, kind: Any, dialect: Dialect) -> str | None:
    if not isinstance(value, datetime.timedelta):
        return _wrong_type(value, "datetime.timedelta")
    if dialect.name != "postgresql":  # SQLAlchemy stores the moment that is so long after its epoch
        try:
            _ = datetime.datetime(1970, 1, 1) + value
        except OverflowError:
            return "it is out of range"
    return None


def _zone(has_one: bool, keeps_one: bool) -> str | None:
    if has_one == keeps_one:
        return None
    if keeps_one:
        return "the column keeps a time zone, and the value has none"
    return "the column keeps no time zone, and the value has one"


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
            return "its rows must have the same length"
        level = [each for row in rows for each in row]
    return f"it has more than {_DIMENSIONS} levels"


def _anything(value: Any, kind: Any, dialect: Dialect) -> str | None:
    return None


def _instance_of(wanted: type | tuple[type, ...], name: str) -> Callable[[Any, Any, Dialect], str | None]:
    return lambda value, kind, dialect: None if isinstance(value, wanted) else _wrong_type(value, name)


_CHECKS: tuple[tuple[Any, Callable[[Any, Any, Dialect], str | None]], ...] = (
    # SQLAlchemy's own decorators: their values have another type than the one that they decorate
    ((types.Interval, postgresql.INTERVAL), _interval),
    (types.PickleType, _anything),
    (types.ARRAY, _array),
    (types.Integer, _integer),
    (types.Enum, _enum),
    (types.String, _text),
    (types.Uuid, _uuid),
    (types.Float, _float),  # a Numeric in SQLAlchemy 2.0, a separate type in 2.1
    (types.Numeric, _number),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Time, _time),
    (types.Boolean, _instance_of(bool, "bool")),
    (types.LargeBinary, _instance_of((bytes, bytearray, memoryview), "bytes")),
    *CHECKS,
)
