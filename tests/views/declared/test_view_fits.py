"""Which annotations values of a SQL type fit: what is right is never refused, what is wrong is."""

import datetime
import decimal
import enum
import ipaddress
import uuid
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Protocol, SupportsInt, TypedDict, TypeVar

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Uuid,
    func,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType, UserDefinedType

from loadplan.resolved.fitting import misfit
from loadplan.view_classes.annotations import read_annotation


class Mood(enum.Enum):
    CALM = "calm"


class Grade(enum.IntEnum):
    ONE = 1


class Level(enum.StrEnum):
    LOW = "low"


class Email(str):
    __slots__ = ()


class Shape(TypedDict):
    width: int


class Model(pydantic.BaseModel):
    width: int


@attrs.frozen
class Money:
    amount: int


class MoneyType(TypeDecorator[Money]):
    impl = Integer
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Money:
        return Money(value)


class KnownMoney(MoneyType):
    cache_ok = True

    @property
    def python_type(self) -> type[Money]:
        return Money


class Trimmed(TypeDecorator[str]):
    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.strip()


class Point(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "POINT"


class Percent(Integer):
    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: decimal.Decimal(value) / 100


class HasUpper(Protocol):
    size: int

    def upper(self) -> str: ...


T = TypeVar("T")
UserId = NewType("UserId", int)
OwnerId = NewType("OwnerId", UserId)

#: (SQL type, annotation): of a class that converts nothing.
RIGHT: list[tuple[Any, Any]] = [
    (Integer(), int),
    (Integer(), float),
    (Integer(), complex),
    (Integer(), object),
    (Integer(), Any),
    (Integer(), T),
    (Integer(), int | str),
    (Integer(), UserId),
    (Integer(), OwnerId),
    (Integer(), Annotated[int, annotated_types.Gt(0)]),
    (Integer(), Annotated[int, msgspec.Meta(gt=0)]),
    (Integer(), pydantic.PositiveInt),
    (Integer(), Literal[1, 2]),
    (Integer(), Hashable),
    (Integer(), SupportsInt),
    (BigInteger(), int),
    (SmallInteger(), int),
    (Boolean(), bool),
    (Boolean(), int),
    (Boolean(), Literal[True]),
    (String(), str),
    (String(), HasUpper),
    (String(), Sequence[str]),
    (String(), Literal["a", "b"]),
    (String(), Email),
    (Text(), str),
    (Trimmed(), str),
    (Numeric(), decimal.Decimal),
    (Numeric(asdecimal=False), float),
    (Float(), float),
    (Double(), float),
    (Float(asdecimal=True), decimal.Decimal),
    (Date(), datetime.date),
    (DateTime(), datetime.datetime),
    (DateTime(), datetime.date),
    (Time(), datetime.time),
    (Interval(), datetime.timedelta),
    (postgresql.INTERVAL(), datetime.timedelta),
    (LargeBinary(), bytes),
    (Uuid(), uuid.UUID),
    (Uuid(as_uuid=False), str),
    (postgresql.UUID(as_uuid=True), uuid.UUID),
    (Enum(Mood), Mood),
    (Enum(Mood), Literal[Mood.CALM]),
    (Enum(Level), Level),
    (Enum(Level), str),
    (Enum(Grade), int),
    (Enum("a", "b", name="ab"), str),
    (Enum("a", "b", name="ab"), Literal["a", "b"]),
    (JSON(), dict[str, Any]),
    (JSON(), list[int]),
    (JSON(), Shape),
    (JSON(), Mapping[str, int]),
    (JSON(), str),
    (JSON(), Model),
    (postgresql.JSONB(), Shape),
    (postgresql.HSTORE(), dict[str, str]),
    (PickleType(), Money),
    (ARRAY(Integer), list[int]),
    (ARRAY(Integer), list),
    (ARRAY(Integer), Sequence[int]),
    (ARRAY(Integer), Collection[int]),
    (ARRAY(Integer), Iterable[int]),
    (ARRAY(Integer), list[UserId]),
    (ARRAY(Integer), list[Any]),
    (ARRAY(Integer), list[int | None]),
    (ARRAY(Integer), Any),
    (ARRAY(Integer, dimensions=2), list[list[int]]),
    (ARRAY(Integer, as_tuple=True), tuple[int, ...]),
    (ARRAY(Integer, as_tuple=True), tuple[int, int]),
    (ARRAY(Enum(Mood)), list[Mood]),
    (ARRAY(MoneyType()), list[Money]),
    (postgresql.ARRAY(String), list[str]),
    (postgresql.INET(), ipaddress.IPv4Address | ipaddress.IPv6Address),
    (postgresql.INET(), Any),
    (postgresql.INT4RANGE(), postgresql.Range[int]),
    (postgresql.TSVECTOR(), str),
    (postgresql.CITEXT(), str),
    (postgresql.DOMAIN("positive", Integer), int),
    (MoneyType(), Money),
    (MoneyType(), int),
    (KnownMoney(), Money),
    (Point(), tuple[float, float]),
    (Percent(), decimal.Decimal),
    (NullType(), int),
    (func.now().type, datetime.datetime),
    (func.length("x").type, int),
    (func.avg(1).type, float),
    (func.count().type, int),
]

#: The same of a class that does.
RIGHT_FOR_PYDANTIC: list[tuple[Any, Any]] = [
    *RIGHT,
    (String(), Level),
    (String(), Mood),
    (Integer(), Grade),
    (String(), pydantic.SecretStr),
    (String(), pydantic.HttpUrl),
    (String(), pydantic.AnyUrl),
    (String(), ipaddress.IPv4Address),
    (String(), uuid.UUID),
    (Numeric(), float),
    (Float(), decimal.Decimal),
    (Integer(), decimal.Decimal),
    (Date(), datetime.datetime),
    (ARRAY(Integer), set[int]),
    (ARRAY(Integer), frozenset[int]),
    (ARRAY(Integer), tuple[int, ...]),
    (ARRAY(Integer), tuple[int, int]),
    (ARRAY(Numeric), list[float]),
    (ARRAY(String), list[Level]),
    (Numeric(), Annotated[float, pydantic.Field(ge=0)]),
]

#: Wrong of any class.
WRONG: list[tuple[Any, Any, str]] = [
    (Integer(), str, "an Integer holds int"),
    (Integer(), datetime.date, "an Integer holds int"),
    (Integer(), list[int], "an Integer holds int"),
    (Integer(), Literal["a"], "an Integer holds int"),
    (String(), int, "a String holds str"),
    (Trimmed(), int, "a Trimmed holds str"),
    (Enum(Mood), str, "an Enum holds Mood"),
    (Enum(Mood), Level, "an Enum holds Mood"),
    (Enum(Mood), Literal["calm"], "an Enum holds Mood"),
    (LargeBinary(), int, "a LargeBinary holds bytes"),
    (ARRAY(Integer), int, "an ARRAY holds list"),
    (ARRAY(Integer), list[str], "an ARRAY holds list"),
    (ARRAY(Integer), dict[str, int], "an ARRAY holds list"),
]

#: Wrong of a class that converts nothing.
WRONG_AS_IT_IS: list[tuple[Any, Any, str]] = [
    *WRONG,
    (DateTime(), datetime.time, "a DateTime holds datetime"),
    (Interval(), int, "an Interval holds timedelta"),
    (Integer(), bool, "an Integer holds int"),
    (Integer(), decimal.Decimal, "an Integer holds int"),
    (Integer(), Grade, "an Integer holds int"),
    (String(), Level, "a String holds str"),
    (String(), uuid.UUID, "a String holds str"),
    (Numeric(), float, "a Numeric holds Decimal"),
    (Float(), decimal.Decimal, "a Float holds float"),
    (Date(), datetime.datetime, "a Date holds date"),
    (Uuid(), str, "a Uuid holds UUID"),
    (Uuid(as_uuid=False), uuid.UUID, "a Uuid holds str"),
    (KnownMoney(), int, "a KnownMoney holds Money"),
    (ARRAY(Integer), set[int], "an ARRAY holds list"),
    (ARRAY(Integer), tuple[int, ...], "an ARRAY holds list"),
    (ARRAY(Numeric), list[float], "an ARRAY holds list"),
]


def shown(case: Any) -> str:
    return repr(case)


def why_not(kind: Any, annotation: Any, *, lenient: bool) -> str | None:
    return misfit(kind, read_annotation(annotation, {}).given, lenient=lenient)


@pytest.mark.parametrize("case", RIGHT, ids=shown)
def test_right(case: tuple[Any, Any]) -> None:
    """Fits as it is."""
    assert why_not(*case, lenient=False) is None


@pytest.mark.parametrize("case", RIGHT_FOR_PYDANTIC, ids=shown)
def test_right_for_pydantic(case: tuple[Any, Any]) -> None:
    """Fits, or is made to."""
    assert why_not(*case, lenient=True) is None


@pytest.mark.parametrize("case", WRONG, ids=shown)
def test_wrong_even_for_pydantic(case: tuple[Any, Any, str]) -> None:
    """No conversion helps."""
    kind, annotation, reason = case
    assert why_not(kind, annotation, lenient=True) == reason


@pytest.mark.parametrize("case", WRONG_AS_IT_IS, ids=shown)
def test_wrong(case: tuple[Any, Any, str]) -> None:
    """A value would not be what the annotation says."""
    kind, annotation, reason = case
    assert why_not(kind, annotation, lenient=False) == reason
