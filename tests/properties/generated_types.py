"""Kinds of columns: of each the type, values that rows may hold, and a value that no row holds.

Kinds of keys have types that a database compares. ``alike`` names kinds whose values are equal to those of a key in
Python and in the database alike, though the type is another: a column that refers to the key may be of such a kind.
"""

import datetime
import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy import Dialect, TypeDecorator
from sqlalchemy.dialects import postgresql


class OwnText(TypeDecorator[str]):
    """Text that looks otherwise in the database."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else f"~{value}"

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else value[1:]


class OwnNumber(TypeDecorator[int]):
    """A number that is another in the database, and in another order."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else 1000 - value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else 1000 - value


class OwnUuid(TypeDecorator[uuid.UUID]):
    """A UUID that is text of the application's own, save on PostgreSQL; it binds objects and text."""

    impl = sa.CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(postgresql.UUID(as_uuid=False) if dialect.name == "postgresql" else sa.CHAR(36))

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(uuid.UUID(str(value)))

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return None if value is None else uuid.UUID(value)


class Plain(TypeDecorator[Any]):
    """A decorated type that changes nothing."""

    impl = sa.Integer
    cache_ok = True


class Color(enum.Enum):
    """Held by name."""

    RED = 1
    GREEN = 2
    BLUE = 3
    NONE = 4


@attrs.frozen
class Kind:
    """A kind of columns.

    Attributes:
        make: makes the type.
        values: a few, so that composite keys share parts; texts that only an exact comparison tells apart.
        nowhere: never the key of a row.
        alike: other kinds with the same values, in Python and in the database.
    """

    make: Callable[[], Any]
    values: tuple[Any, ...]
    nowhere: Any = None
    alike: tuple[str, ...] = ()


_NUMBERS = (1, 2, 3, -4)
_TEXTS = ("a", "A", "", "ä b")
_UUIDS = tuple(uuid.UUID(int=number << 64) for number in (1, 2, 3, 4))
_DAY = datetime.datetime(2024, 2, 29, 23, 59, 59, 250000)
_DAYS = tuple(_DAY + datetime.timedelta(days=number) for number in (0, 1, 366, -20_000))
_NEVER = datetime.datetime(1999, 1, 1)


def _enum_of_texts() -> Any:
    return sa.Enum(*_TEXTS, "nowhere", native_enum=False, length=20)


#: What a primary key may be made of.
KEY_KINDS: dict[str, Kind] = {
    "integer": Kind(sa.Integer, _NUMBERS, 999, ("big", "small", "plain")),
    "text": Kind(sa.String, _TEXTS, "nowhere", ("words", "unbounded")),
    "uuid": Kind(sa.Uuid, _UUIDS, uuid.UUID(int=999)),
    "own": Kind(OwnText, ("a", "A", "", "~"), "nowhere"),
    "own number": Kind(OwnNumber, _NUMBERS, 999),
    "own uuid": Kind(OwnUuid, _UUIDS, uuid.UUID(int=999)),
    "plain": Kind(Plain, _NUMBERS, 999, ("integer",)),
    "big": Kind(sa.BigInteger, (2**40, 2, 3, -(2**60)), 999),
    "decimal": Kind(lambda: sa.Numeric(10, 2), (Decimal("1.50"), Decimal("1.51"), Decimal(2), Decimal(-1)), Decimal(9)),
    "letters": Kind(lambda: sa.CHAR(3), ("abc", "ABC", "äbc", "xyz"), "non"),
    "words": Kind(_enum_of_texts, _TEXTS, "nowhere"),
    "color": Kind(lambda: sa.Enum(Color, native_enum=False), (Color.RED, Color.GREEN, Color.BLUE), Color.NONE),
    "date": Kind(sa.Date, tuple(each.date() for each in _DAYS), _NEVER.date()),
    "datetime": Kind(sa.DateTime, _DAYS, _NEVER),
    "time": Kind(sa.Time, tuple(datetime.time(number, 30, 0, number) for number in (1, 2, 3, 4)), datetime.time(9)),
    "interval": Kind(
        sa.Interval, tuple(datetime.timedelta(minutes=each) for each in (1, 2, 3, 4)), datetime.timedelta(days=9)
    ),
    "binary": Kind(sa.LargeBinary, (b"a", b"A", b"", b"\x00\xff"), b"nowhere"),
}

#: What further columns may be: every kind of key, and what no database compares.
KINDS: dict[str, Kind] = {
    **KEY_KINDS,
    "small": Kind(sa.SmallInteger, _NUMBERS),
    "unbounded": Kind(sa.Text, _TEXTS),
    "boolean": Kind(sa.Boolean, (True, False)),
    "float": Kind(sa.Float, (0.5, -1e10, 0.0)),
    "double": Kind(sa.Double, (0.1, 1e100)),
    "json": Kind(sa.JSON, ({"n": [1, None]}, [], "text", 0, False)),
    "pickled": Kind(sa.PickleType, ({"n": (1, None)}, frozenset({1}))),
    "array": Kind(
        lambda: sa.JSON().with_variant(postgresql.ARRAY(sa.Integer), "postgresql"),
        ([], [1, 2]),
    ),
}
