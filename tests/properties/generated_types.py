"""Kinds of columns: of each the type, values that rows may hold, and a value that no row holds.

Kinds of keys have types that a database compares. A column that refers to a key may be of another kind. ``alike`` names
kinds whose values are equal to those of the key in Python and in the database. ``elsewhere`` names kinds whose values
are equal in the database alone, and says which. Each kind of key has a decorated twin, and either may refer to the
other.
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


class Spelled(sa.types.UserDefinedType[str]):
    """A type whose name in the database is the application's own business."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(30)"


def decorated(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return what makes the same type with a decorator around it that changes nothing."""

    class Decorated(TypeDecorator[Any]):
        impl = sa.String
        cache_ok = True

        def __init__(self) -> None:
            self.impl = make()

        def coerce_compared_value(self, op: Any, value: Any) -> Any:
            return self

    return Decorated


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
        elsewhere: other kinds with equal values in the database, and what makes a value of theirs of one of ours.
    """

    make: Callable[[], Any]
    values: tuple[Any, ...]
    nowhere: Any = None
    alike: tuple[str, ...] = ()
    elsewhere: dict[str, Callable[[Any], Any]] = attrs.field(factory=dict)

    def value_in(self, other: str, value: Any) -> Any:
        """Return the value of another kind that is equal to one of this kind in the database."""
        return self.elsewhere[other](value) if other in self.elsewhere and value is not None else value


_NUMBERS = (1, 2, 3, -4)
_TEXTS = ("a", "A", "", "ä b")
_UUIDS = tuple(uuid.UUID(int=number << 64) for number in (1, 2, 3, 4))
_DAY = datetime.datetime(2024, 2, 29, 23, 59, 59, 250000)
_DAYS = tuple(_DAY + datetime.timedelta(days=number) for number in (0, 1, 366, -20_000))
_NEVER = datetime.datetime(1999, 1, 1)


def _enum_of_texts() -> Any:
    return sa.Enum(*_TEXTS, "nowhere", native_enum=False, length=20)


def _other_number(value: int) -> int:
    return 1000 - value


_PLAIN_KEYS: dict[str, Kind] = {
    "integer": Kind(sa.Integer, _NUMBERS, 999, ("big", "small", "plain"), {"own number": _other_number}),
    "text": Kind(sa.String, _TEXTS, "nowhere", ("words", "unbounded", "unicode", "varchar", "spelled")),
    "uuid": Kind(sa.Uuid, _UUIDS, uuid.UUID(int=999), ("capital uuid",)),
    "text uuid": Kind(lambda: sa.Uuid(as_uuid=False), tuple(map(str, _UUIDS)), str(uuid.UUID(int=999))),
    "hex uuid": Kind(lambda: sa.Uuid(native_uuid=False), _UUIDS, uuid.UUID(int=999)),
    "own": Kind(OwnText, ("a", "A", "", "~"), "nowhere", elsewhere={"text": "~{}".format, "unbounded": "~{}".format}),
    "own number": Kind(OwnNumber, _NUMBERS, 999, elsewhere={"integer": _other_number, "big": _other_number}),
    "own uuid": Kind(OwnUuid, _UUIDS, uuid.UUID(int=999)),
    "plain": Kind(Plain, _NUMBERS, 999, ("integer",)),
    "big": Kind(sa.BigInteger, (2**40, 2, 3, -(2**60)), 999),
    "decimal": Kind(
        lambda: sa.Numeric(10, 2),
        (Decimal("1.50"), Decimal("1.51"), Decimal(2), Decimal(-1)),
        Decimal(9),
        elsewhere={"double": float},
    ),
    "letters": Kind(lambda: sa.CHAR(3), ("abc", "ABC", "äbc", "xyz"), "non", ("text",)),
    "unicode": Kind(lambda: sa.Unicode(20), _TEXTS, "nowhere", ("text", "unicode text")),
    "varchar": Kind(lambda: sa.VARCHAR(20), _TEXTS, "nowhere", ("text",)),
    "spelled": Kind(Spelled, _TEXTS, "nowhere", ("text",)),
    "words": Kind(_enum_of_texts, _TEXTS, "nowhere"),
    "color": Kind(
        lambda: sa.Enum(Color, native_enum=False),
        (Color.RED, Color.GREEN, Color.BLUE),
        Color.NONE,
        elsewhere={"text": lambda value: value.name},
    ),
    "native color": Kind(
        lambda: sa.Enum(Color, name="properties_color"), (Color.RED, Color.GREEN, Color.BLUE), Color.NONE
    ),
    "date": Kind(sa.Date, tuple(each.date() for each in _DAYS), _NEVER.date()),
    "datetime": Kind(sa.DateTime, _DAYS, _NEVER, ("timestamp",)),
    "time": Kind(sa.Time, tuple(datetime.time(number, 30, 0, number) for number in (1, 2, 3, 4)), datetime.time(9)),
    "interval": Kind(
        sa.Interval, tuple(datetime.timedelta(minutes=each) for each in (1, 2, 3, 4)), datetime.timedelta(days=9)
    ),
    "binary": Kind(sa.LargeBinary, (b"a", b"A", b"", b"\x00\xff"), b"nowhere"),
}

#: What a primary key may be made of: each kind, and the same with a decorator around it.
KEY_KINDS: dict[str, Kind] = {
    each: kind
    for name, plain in _PLAIN_KEYS.items()
    for each, kind in (
        (name, attrs.evolve(plain, alike=(*plain.alike, f"decorated {name}"))),
        (f"decorated {name}", attrs.evolve(plain, make=decorated(plain.make), alike=(*plain.alike, name))),
    )
}


def _on_postgresql(kind: Any, there: Any) -> Callable[[], Any]:
    """Return what makes a type that PostgreSQL does not know by that name, with what it has instead."""
    return lambda: kind().with_variant(there(), "postgresql")


#: What further columns may be: every kind of key, and what no database compares.
KINDS: dict[str, Kind] = {
    **KEY_KINDS,
    "small": Kind(sa.SmallInteger, _NUMBERS),
    "unbounded": Kind(sa.Text, _TEXTS),
    "unicode text": Kind(sa.UnicodeText, _TEXTS),
    "capital uuid": Kind(_on_postgresql(sa.Uuid, sa.UUID), _UUIDS),
    "timestamp": Kind(sa.TIMESTAMP, _DAYS),
    "boolean": Kind(sa.Boolean, (True, False)),
    "float": Kind(sa.Float, (0.5, -1e10, 0.0)),
    "double": Kind(sa.Double, (0.1, 1e100)),
    "number": Kind(lambda: sa.Numeric(10, 2, asdecimal=False), (1.5, -2.0)),
    "decimal of a float": Kind(lambda: sa.Float(asdecimal=True), (Decimal("1.5"), Decimal("-0.25"))),
    "json": Kind(sa.JSON, ({"n": [1, None]}, [], "text", 0, False)),
    "pickled": Kind(sa.PickleType, ({"n": (1, None)}, frozenset({1}))),
    "array": Kind(
        lambda: sa.JSON().with_variant(sa.ARRAY(sa.Integer), "postgresql"),
        ([], [1, 2]),
    ),
    "zoned": Kind(lambda: sa.DateTime(timezone=True), (_DAY.replace(tzinfo=datetime.UTC),)),
    **{
        f"capital {make.__name__.lower()}": Kind(make, _PLAIN_KEYS[like].values)
        for like, make in (
            ("integer", sa.BIGINT),
            ("integer", sa.SMALLINT),
            ("integer", sa.INTEGER),
            ("text", sa.TEXT),
            ("date", sa.DATE),
            ("time", sa.TIME),
        )
    },
    "capital char": Kind(lambda: sa.CHAR(3), ("abc", "äbc")),
    "capital numeric": Kind(lambda: sa.NUMERIC(10, 2), (Decimal("1.50"),)),
    "capital decimal": Kind(lambda: sa.DECIMAL(10, 2), (Decimal("1.50"),)),
    "capital real": Kind(sa.REAL, (0.5, -2.0)),
    "capital float": Kind(sa.FLOAT, (0.5, 1e10)),
    "capital double": Kind(_on_postgresql(sa.DOUBLE, sa.DOUBLE_PRECISION), (0.5, 1e100)),
    "capital boolean": Kind(sa.BOOLEAN, (True, False)),
    "capital datetime": Kind(_on_postgresql(sa.DATETIME, sa.DateTime), _DAYS),
    "capital blob": Kind(_on_postgresql(sa.BLOB, sa.LargeBinary), (b"", b"\x00")),
    "capital binary": Kind(_on_postgresql(sa.BINARY, sa.LargeBinary), (b"", b"\x00")),
    "capital varbinary": Kind(_on_postgresql(sa.VARBINARY, sa.LargeBinary), (b"", b"\x00")),
    "capital clob": Kind(_on_postgresql(sa.CLOB, sa.Text), _TEXTS),
    "capital nchar": Kind(_on_postgresql(lambda: sa.NCHAR(3), lambda: sa.CHAR(3)), ("abc",)),
    "capital nvarchar": Kind(_on_postgresql(lambda: sa.NVARCHAR(20), lambda: sa.String(20)), _TEXTS),
}

#: Types of ``sqlalchemy.types`` that no column of a table has.
NOT_IN_TABLES: dict[str, str] = {
    "NullType": "a table cannot be made with it",
    "MatchType": "the type of an expression",
    "TupleType": "the type of an expression",
    "TypeEngine": "the base of all types",
    "TypeDecorator": "the base of decorated types, of which there are many here",
    "UserDefinedType": "the base of types of one's own: Spelled is one",
    "Variant": "what with_variant made in older versions",
}
