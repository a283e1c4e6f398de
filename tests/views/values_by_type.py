"""Column types with values at their edges, and the classes and views that read them at every place of a graph.

``hold`` asserts that each way to a view gives the values of the entities.
"""

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import (
    ARRAY,
    CHAR,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    Uuid,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from loadplan import Loader, LoadPlan
from support import recording, tables


class Colour(enum.Enum):
    red = "R"
    deep_blue = "deep blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Money:
    amount: decimal.Decimal
    currency: str


class Shouting(TypeDecorator[str]):
    """Text that is in capitals in Python and in a wrapper in SQL."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.lower()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()


class NeverNull(TypeDecorator[str]):
    """NULL in SQL, a word in Python: the processor must be asked about NULL too."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str:
        return "nothing" if value is None else value


class Reversed(TypeDecorator[str]):
    """Text that SQL turns round on the way out, as encryption and geometry do."""

    impl = String
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return func.upper(column, type_=self)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else f"<{value}>"


class MoneyJson(TypeDecorator[Money]):
    """A value object over JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Any) -> Any:
        return None if value is None else {"amount": str(value.amount), "currency": value.currency}

    def process_result_value(self, value: Any, dialect: Any) -> Money | None:
        return None if value is None else Money(decimal.Decimal(value["amount"]), value["currency"])


class ColourLetter(TypeDecorator[str]):
    """A letter over an enum of the server."""

    impl = Enum(Colour, name="views_letter")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> Colour | None:
        return None if value is None else Colour(value)

    def process_result_value(self, value: Colour | None, dialect: Any) -> str | None:
        return None if value is None else value.value


class Cents(TypeDecorator[decimal.Decimal]):
    """Money as a whole number."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: decimal.Decimal | None, dialect: Any) -> int | None:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: int | None, dialect: Any) -> decimal.Decimal | None:
        return None if value is None else decimal.Decimal(value) / 100


class Tags(TypeDecorator[frozenset[str]]):
    """A set over an array of text."""

    impl = ARRAY(Text)
    cache_ok = True

    def process_bind_param(self, value: frozenset[str] | None, dialect: Any) -> list[str] | None:
        return None if value is None else sorted(value)

    def process_result_value(self, value: list[str] | None, dialect: Any) -> frozenset[str] | None:
        return None if value is None else frozenset(value)


@attrs.frozen
class Kind:
    """A type and values for it.

    Attributes:
        name: of the test.
        type: of the column.
        values: to insert; a ``literal_column`` where Python has no spelling for one.
        portable: whether SQLite has it.
        apart_on: drivers that cannot read it within a row. On the others, the graph must come in one statement.
        extension: of PostgreSQL, that it is in.
    """

    name: str
    type: TypeEngine[Any]
    values: Sequence[Any]
    portable: bool = True
    apart_on: tuple[str, ...] = ()
    extension: str | None = None

    def __str__(self) -> str:
        return self.name


def _sql(text: str) -> Any:
    return literal_column(text)


_D = decimal.Decimal
_UTC = datetime.UTC
_EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
_PLANES = ["", " ", "a", "\t\n\"'\\,(){}", "NULL", "é", "ß→𝄞", "\U0001f600", "\U000e0041\U0010fffd", "x" * 5000, "a  "]
_MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 59, 999999)
_JSON = [{"a": [1, None, {"b": "é"}], "n": 1.5}, [], {}, "text", 0, False, None, [None], {"x": 12345678901234567890}]

PORTABLE = [
    Kind("small", SmallInteger(), [-32768, 0, 32767]),
    Kind("integer", Integer(), [-(2**31), 0, 2**31 - 1]),
    Kind("big", BigInteger(), [-(2**63), 0, 2**63 - 1]),
    Kind("boolean", Boolean(), [True, False]),
    Kind("numeric", Numeric(12, 4), [_D("1.5"), _D("-99999999.9999"), _D("0")]),
    Kind("numeric as float", Numeric(12, 4, asdecimal=False), [_D("1.5"), 2.25, 0]),
    Kind("float", Float(), [1.5, -0.0, 1e300, math.pi]),
    Kind("float as decimal", Float(asdecimal=True), [1.5, 2.0]),
    Kind("float as decimal with scale", Float(asdecimal=True, decimal_return_scale=3), [1.23456]),
    Kind("double", Double(), [1.5, 1e-300]),
    Kind("text", Text(), _PLANES),
    Kind("string", String(6000), _PLANES),
    Kind("unicode", Unicode(), _PLANES),
    Kind("char", CHAR(5), ["a", "ab  c", ""]),
    Kind("date", Date(), [datetime.date.min, datetime.date.max, datetime.date(2024, 2, 29)]),
    Kind("timestamp", DateTime(), [datetime.datetime.min, _MOMENT]),
    Kind("time", Time(), [datetime.time.min, datetime.time.max]),
    Kind("interval", Interval(), [datetime.timedelta(days=-3, seconds=5, microseconds=7), datetime.timedelta(0)]),
    Kind("uuid", Uuid(), [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
    Kind("uuid as text", Uuid(as_uuid=False), [str(uuid.UUID(int=5))]),
    Kind("bytes", LargeBinary(), [b"", b"\x00\xff\x5c", bytes(range(256))]),
    Kind("json", JSON(), _JSON),
    Kind("json without null", JSON(none_as_null=True), _JSON[:4]),
    Kind("enum", Enum(Colour, name="views_colour"), list(Colour)),
    Kind(
        "enum by value",
        Enum(Colour, name="views_colour_value", values_callable=lambda kind: [each.value for each in kind]),
        list(Colour),
    ),
    Kind("enum as text", Enum(Colour, native_enum=False, length=20), list(Colour)),
    Kind("enum of strings", Enum("one", "two", "it's", name="views_words"), ["one", "it's"]),
    Kind("int enum", Enum(Level, name="views_level"), list(Level)),
    Kind("pickle", PickleType(), [{"a": (1, 2)}, Colour.red, None]),
    Kind("decorator", Shouting(), ["hello", ""]),
    Kind("decorator of null", NeverNull(), ["hello", None]),
    Kind("decorator with column expression", Reversed(), ["hello", ""]),
    Kind("decorator over json", MoneyJson(), [Money(_D("1500.0000"), "EUR")]),
    Kind("decorator over enum", ColourLetter(), ["R", "deep blue"]),
    Kind("decorator over integer", Cents(), [_D("12.34"), _D("0")]),
    Kind("variant", String().with_variant(postgresql.JSONB(), "postgresql"), ["text", ""]),
    Kind("variant of a decorator", Shouting().with_variant(NeverNull(), "postgresql"), ["text", None]),
]

_RANGES = [
    Kind("int4range", postgresql.INT4RANGE(), [Range(1, 5), Range(None, None), Range(empty=True)], portable=False),
    Kind("int8range", postgresql.INT8RANGE(), [Range(1, 2**40), Range(3, None)], portable=False),
    Kind("numrange", postgresql.NUMRANGE(), [Range(_D("1.50"), _D(2), bounds="[]")], portable=False),
    Kind("daterange", postgresql.DATERANGE(), [Range(datetime.date(2024, 1, 1), None)], portable=False),
    Kind("tsrange", postgresql.TSRANGE(), [Range(_MOMENT, None)], portable=False),
    Kind("tstzrange", postgresql.TSTZRANGE(), [Range(None, _MOMENT.replace(tzinfo=_UTC))], portable=False),
    Kind("datemultirange", postgresql.DATEMULTIRANGE(), [[Range(datetime.date(2024, 1, 1), None)]], portable=False),
    Kind("nummultirange", postgresql.NUMMULTIRANGE(), [[Range(_D("1.50"), _D(2), bounds="[]")]], portable=False),
    Kind("multirange", postgresql.INT4MULTIRANGE(), [[Range(1, 3), Range(7, 9)], []], portable=False),
]

POSTGRESQL = [
    Kind(
        "any numeric",
        Numeric(),
        [_D("NaN"), _D("1e-100"), _D("1500.0000"), _D("1E+20"), _D("Infinity")],
        portable=False,
    ),
    Kind("any numeric as float", Numeric(asdecimal=False), [_D("NaN"), _D("1e-100")], portable=False),
    Kind("float edges", Float(), [math.nan, math.inf, -math.inf], portable=False),
    Kind("real", REAL(), [1.1, math.nan, math.inf], portable=False),
    Kind("real as decimal", REAL(asdecimal=True), [1.1], portable=False),
    Kind(
        "timestamptz",
        DateTime(timezone=True),
        [_MOMENT.replace(tzinfo=_UTC), _MOMENT.replace(tzinfo=_EAST), _sql("'infinity'"), _sql("'-infinity'")],
        portable=False,
    ),
    Kind("timestamp edges", DateTime(), [_sql("'infinity'"), _sql("'-infinity'")], portable=False),
    Kind("date edges", Date(), [_sql("'infinity'"), _sql("'-infinity'")], portable=False),
    Kind("timetz", Time(timezone=True), [datetime.time(12, 0, tzinfo=_EAST)], portable=False),
    Kind("pg interval", postgresql.INTERVAL(), [_sql("'1 year 2 mons 3 days 04:05:06.7'")], portable=False),
    Kind("jsonb", postgresql.JSONB(), [*_JSON, _sql("'{\"a\": 1.50}'::jsonb")], portable=False),
    Kind("pg json", postgresql.JSON(), _JSON, portable=False),
    Kind("json path", postgresql.JSONPATH(), ["$.a"], portable=False),
    Kind("array of integers", ARRAY(Integer), [[], [1, None, -3]], portable=False),
    Kind("array of text", ARRAY(Text), [[], ["", None, 'a"b,{}', "é"]], portable=False),
    Kind("array of numerics", ARRAY(Numeric(10, 3)), [[_D("1.500"), None]], portable=False),
    Kind("array of floats of numerics", ARRAY(Numeric(asdecimal=False)), [[_D("1.500"), None]], portable=False),
    Kind("array of floats", ARRAY(Float), [[1.5, None, math.inf]], portable=False),
    Kind("array of decimals of floats", ARRAY(Float(asdecimal=True)), [[1.5, None]], portable=False),
    Kind("array of two dimensions", ARRAY(Integer, dimensions=2), [[[1, 2], [3, None]], []], portable=False),
    Kind("array of tuples", ARRAY(Integer, as_tuple=True, dimensions=1), [(1, 2), ()], portable=False),
    Kind("nested tuples", ARRAY(Integer, as_tuple=True, dimensions=2), [((1, 2), (3, 4))], portable=False),
    Kind("array from zero", ARRAY(Integer, zero_indexes=True), [[1, 2]], portable=False),
    Kind("array of enums", ARRAY(Enum(Colour, name="views_colours")), [list(Colour), [], [None]], portable=False),
    Kind(
        "array of enum words", ARRAY(Enum("a", "b,c", name="views_array_words")), [["a", "b,c", None]], portable=False
    ),
    Kind("array of uuids", ARRAY(Uuid), [[uuid.UUID(int=1), None]], portable=False),
    Kind("array of json", ARRAY(postgresql.JSONB), [[{"a": None}, [1]], []], portable=False),
    Kind("array of times", ARRAY(DateTime(timezone=True)), [[_MOMENT.replace(tzinfo=_UTC)]], portable=False),
    Kind("array of bytes", ARRAY(LargeBinary), [[b"\x00"]], portable=False),
    Kind("array of decorated", ARRAY(Shouting()), [["a", None]], portable=False),
    Kind("array of cents", ARRAY(Cents()), [[_D("1.5"), None]], portable=False),
    Kind("array of ranges", ARRAY(postgresql.INT4RANGE), [[Range(1, 2)]], portable=False),
    Kind("array of intervals", ARRAY(Interval), [[datetime.timedelta(days=1)]], portable=False),
    Kind("pg array", postgresql.ARRAY(String), [["a", None]], portable=False),
    Kind("decorated array", Tags(), [frozenset({"a", "b"}), frozenset()], portable=False),
    Kind("enum in a schema", Enum(Colour, name="views_there", schema="views_types"), list(Colour), portable=False),
    Kind("pg enum", postgresql.ENUM(Colour, name="views_pg"), list(Colour), portable=False),
    Kind("domain", postgresql.DOMAIN("views_positive", Integer), [1, 2**31 - 1], portable=False),
    Kind("domain of numeric", postgresql.DOMAIN("views_price", Numeric(10, 2)), [_D("1.50")], portable=False),
    Kind("domain of text", postgresql.DOMAIN("views_email", Text), ["a@b"], portable=False),
    Kind(
        "domain of json", postgresql.DOMAIN("views_document", postgresql.JSONB), [_sql("'{\"a\": 1}'")], portable=False
    ),
    Kind("inet", postgresql.INET(), ["192.168.0.1", "::1", "10.0.0.0/8"], portable=False),
    Kind("cidr", postgresql.CIDR(), ["10.0.0.0/8"], portable=False),
    Kind("macaddr", postgresql.MACADDR(), ["08:00:2b:01:02:03"], portable=False),
    Kind("array of macaddr", ARRAY(postgresql.MACADDR), [["08:00:2b:01:02:03", None]], portable=False),
    Kind("macaddr8", postgresql.MACADDR8(), ["08:00:2b:01:02:03:04:05"], portable=False),
    Kind("money", postgresql.MONEY(), ["$1,000.00"], portable=False),
    Kind("bit", postgresql.BIT(4), [_sql("B'0101'")], portable=False, apart_on=("psycopg",)),
    Kind(
        "varying bit",
        postgresql.BIT(varying=True),
        [_sql("B'01'"), _sql("B''")],
        portable=False,
        apart_on=("psycopg",),
    ),
    Kind("tsvector", postgresql.TSVECTOR(), [_sql("to_tsvector('simple', 'a b')")], portable=False),
    Kind("hstore", postgresql.HSTORE(), [{"a": "1", "b": None}, {}], portable=False, extension="hstore"),
    Kind("tsquery", postgresql.TSQUERY(), [_sql("to_tsquery('simple', 'a & b')")], portable=False),
    Kind("regclass", postgresql.REGCLASS(), ["pg_class"], portable=False),
    Kind("regconfig", postgresql.REGCONFIG(), ["english"], portable=False),
    Kind("oid", postgresql.OID(), [42, 2**32 - 1], portable=False),
    Kind(
        "array of tsvectors", ARRAY(postgresql.TSVECTOR), [_sql("ARRAY[to_tsvector('simple', 'a b')]")], portable=False
    ),
    Kind("citext", postgresql.CITEXT(), ["Abc", ""], portable=False, extension="citext"),
    Kind("array of citext", ARRAY(postgresql.CITEXT), [["Abc"]], portable=False, extension="citext"),
    *_RANGES,
]


@attrs.frozen
class Shelf:
    """Three classes in a row, with a value of one type at every place.

    Attributes:
        metadata: of their tables.
        group: has many holders.
        holder: has many samples, and one that it likes best.
        sample: has the value.
    """

    metadata: MetaData
    group: type[Any]
    holder: type[Any]
    sample: type[Any]


def shelf_of(kind: Kind) -> Shelf:
    """Map the classes for a type, with tables of its own: connections remember statements and types."""
    prefix = f"views_{kind.name.replace(' ', '_')}"

    class Base(DeclarativeBase):
        pass

    class Group(Base):
        __tablename__ = f"{prefix}_groups"
        id = mapped_column(Integer, primary_key=True)
        holders = relationship("Holder", order_by="Holder.id")

    class Holder(Base):
        __tablename__ = f"{prefix}_holders"
        id = mapped_column(Integer, primary_key=True)
        group_id = mapped_column(ForeignKey(f"{prefix}_groups.id"), index=True)
        best_id = mapped_column(ForeignKey(f"{prefix}_samples.id", use_alter=True, name=f"{prefix}_best"))
        best = relationship("Sample", foreign_keys=best_id)
        samples = relationship("Sample", order_by="Sample.id", foreign_keys="Sample.holder_id")

    class Sample(Base):
        __tablename__ = f"{prefix}_samples"
        id = mapped_column(Integer, primary_key=True)
        holder_id = mapped_column(ForeignKey(f"{prefix}_holders.id"), index=True)
        value = mapped_column(kind.type, nullable=True)

    return Shelf(Base.metadata, Group, Holder, Sample)


@attrs.frozen
class SampleView:
    id: int
    value: Any


@attrs.frozen
class HolderView:
    id: int
    best: SampleView | None
    samples: list[SampleView]


@attrs.frozen
class GroupView:
    id: int
    holders: list[HolderView]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are of one type and equal, NaN to NaN and minus zero to minus zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isnan(one) and math.isnan(other) if math.isnan(one) else repr(one) == repr(other)
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


async def _fill(engine: AsyncEngine, shelf: Shelf, kind: Kind) -> dict[int, Any]:
    """Insert every value and NULL; return what SQLAlchemy gives for each, by key."""
    async with engine.begin() as connection:
        await connection.execute(insert(shelf.group.__table__), {"id": 1})
        await connection.execute(insert(shelf.holder.__table__), {"id": 1, "group_id": 1})
        for number, value in enumerate(kind.values, start=1):
            await connection.execute(insert(shelf.sample.__table__).values(id=number, holder_id=1, value=value))
        await connection.execute(insert(shelf.sample.__table__).values(id=len(kind.values) + 1, holder_id=1))
        for number in range(2, len(kind.values) + 2):
            holder = {"id": number, "group_id": 1, "best_id": number - 1}
            await connection.execute(insert(shelf.holder.__table__), holder)
    async with AsyncSession(engine) as session:
        return {each.id: each.value for each in await session.scalars(select(shelf.sample))}


async def hold(engine: AsyncEngine, kind: Kind) -> None:
    """Assert that every place of every way has the values of the entities."""
    shelf = shelf_of(kind)
    async with tables(engine, shelf.metadata):
        expected = await _fill(engine, shelf, kind)
        whole = LoadPlan(shelf.group, into=GroupView)
        with recording(engine) as statements:
            nested = await Loader(engine).fetch(whole, 1)
        by_level = await Loader(engine, max_rows=10_000).fetch(whole, 1)
        holders = LoadPlan(shelf.holder, into=HolderView)
        samples = LoadPlan(shelf.sample, into=SampleView)
        loader = Loader(engine)
        key = shelf.holder.id
        found = {
            "nested": nested.holders,
            "by level": by_level.holders,
            "roots": await loader.fetch_all(holders, order_by=key),
            "few roots": await loader.fetch_all(holders, order_by=key, limit=50),
            "one root": [await loader.fetch(holders, each) for each in range(1, len(kind.values) + 2)],
            "stream": [each async for each in loader.stream(holders, order_by=key)],
            "page": (await loader.fetch_page(holders, order_by=key)).items,
            "many": await loader.fetch_many(holders, range(1, len(kind.values) + 2)),
        }
        flat = {
            "all": await loader.fetch_all(samples),
            "one": [await loader.fetch(samples, each) for each in expected],
            "stream": [each async for each in loader.stream(samples)],
            "many": await loader.fetch_many(samples, list(expected)),
        }
    assert len(statements) == (
        1 if engine.dialect.name == "postgresql" and engine.dialect.driver not in kind.apart_on else 3
    )
    for way, views in flat.items():
        assert {each.id for each in views} == set(expected)
        for each in views:
            assert same(each.value, expected[each.id]), f"{way}: {each.value!r}, not {expected[each.id]!r}"
    for way, views in found.items():
        assert [each.id for each in views[0].samples] == list(expected)
        for each in (*views[0].samples, *(holder.best for holder in views if holder.best is not None)):
            assert same(each.value, expected[each.id]), f"{way}: {each.value!r}, not {expected[each.id]!r}"
        assert [holder.best and holder.best.id for holder in views] == [None, *list(expected)[:-1]]
