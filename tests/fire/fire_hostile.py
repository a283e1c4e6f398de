"""A table with a column of every kind, and values that nobody sane would send."""

import datetime
import decimal
import enum
import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Time,
    Uuid,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Thing(Base):
    """One column of each kind; each may be the key of a page or a parameter's other side."""

    __tablename__ = "fire_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    text: Mapped[str | None]
    number: Mapped[decimal.Decimal | None] = mapped_column(Numeric)
    ratio: Mapped[float | None] = mapped_column(Float)
    flag: Mapped[bool | None] = mapped_column(Boolean)
    day: Mapped[datetime.date | None] = mapped_column(Date)
    moment: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))
    naive: Mapped[datetime.datetime | None] = mapped_column(DateTime())
    clock: Mapped[datetime.time | None] = mapped_column(Time)
    span: Mapped[datetime.timedelta | None] = mapped_column(Interval)
    mark: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    color: Mapped[Color | None] = mapped_column(Enum(Color, name="fire_color"))
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    numbers: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("fire_things.id"))
    parts: Mapped[list["Part"]] = relationship(order_by="Part.id")


class Part(Base):
    __tablename__ = "fire_parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int] = mapped_column(ForeignKey("fire_things.id"), index=True)
    name: Mapped[str]


class Named(Base):
    __tablename__ = "fire_named"
    name: Mapped[str] = mapped_column(primary_key=True)


class Pair(Base):
    __tablename__ = "fire_pairs"
    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[str] = mapped_column(String, primary_key=True)


class Marked(Base):
    __tablename__ = "fire_marked"
    mark: Mapped[uuid.UUID] = mapped_column(primary_key=True)


MARK = uuid.UUID(int=7)

#: By column: a value that is right, and in one of the rows.
RIGHT: dict[str, Any] = {
    "id": 1,
    "small": 7,
    "big": 1 << 40,
    "text": "one",
    "number": decimal.Decimal("1.50"),
    "ratio": 0.5,
    "flag": True,
    "day": datetime.date(2024, 2, 29),
    "moment": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    "naive": datetime.datetime(2024, 2, 29, 12),
    "clock": datetime.time(12, 30),
    "span": datetime.timedelta(days=2, seconds=3),
    "mark": MARK,
    "color": Color.RED,
    "raw": b"\0\1",
    "numbers": [1, 2],
}


async def seed(engine: AsyncEngine) -> None:
    """Rows 1 (all of ``RIGHT``) and 2 (NULL but for the key); one part; a name, a pair and a mark."""
    async with AsyncSession(engine) as session:
        session.add_all([Thing(**RIGHT), Thing(id=2)])
        await session.flush()
        session.add_all([Part(id=1, thing_id=1, name="one"), Named(name="one"), Pair(left=1, right="one")])
        session.add(Marked(mark=MARK))
        await session.commit()


# --- values ---------------------------------------------------------------------------------------------------------


class Refusal(Exception):  # noqa: N818 - what an evil object raises; nothing of ours
    """Raised by the evil objects below: it must not come out."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise Refusal


class EvilObject:
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = __repr__ = __str__ = __iter__ = __len__ = __bool__ = __int__ = __index__ = __contains__ = _refuse


class EvilInt(int):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = __repr__ = __str__ = __iter__ = __bool__ = __int__ = __index__ = __format__ = _refuse


class EvilStr(str):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = __repr__ = __str__ = __iter__ = __len__ = __contains__ = encode = __format__ = _refuse


class EvilTuple(tuple):  # type: ignore[type-arg]
    __iter__ = __len__ = __eq__ = __hash__ = __repr__ = __getitem__ = _refuse


class EvilList(list):  # type: ignore[type-arg]
    __iter__ = __len__ = __eq__ = __hash__ = __repr__ = __getitem__ = _refuse


class EvilDict(dict):  # type: ignore[type-arg]
    __iter__ = __len__ = __eq__ = __hash__ = __repr__ = __getitem__ = keys = items = _refuse


class EvilRepr:
    """Its repr is a text that answers no question."""

    def __repr__(self) -> str:
        return EvilStr("evil")


class EvilClass:
    """Raises when it is asked what it is."""

    @property
    def __class__(self) -> Any:
        raise Refusal


class WrongHash:
    """Equal to everything, and of a hash that collides."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


INJECTIONS = [
    "1; DROP TABLE fire_things; --",
    "' OR '1'='1",
    "one' --",
    '"; SELECT pg_sleep(100); --',
    "%(id)s",
    ":id",
    "$1",
    "\\'; --",
    "one\n--",
    "{0}",
    "%s",
]


def strange() -> list[Any]:
    """Return values of every kind, made anew: some of them are consumed by being read."""
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    circle: list[Any] = []
    circle.append(circle)
    return [
        None,
        True,
        0,
        -1,
        2**31 - 1,
        2**31,
        -(2**31) - 1,
        2**63 - 1,
        2**63,
        10**5000,
        -(10**400),
        0.0,
        1.0,
        float("nan"),
        float("inf"),
        1e308,
        complex(1, 2),
        decimal.Decimal("NaN"),
        decimal.Decimal("sNaN"),
        decimal.Decimal("Infinity"),
        decimal.Decimal("1E+200000"),
        decimal.Decimal("1E-200000"),
        "",
        "1",
        "one",
        "one ",
        "\0",
        "o\0ne",
        "\ud800",
        "one\udfff",
        "x" * 10_000_000,
        *INJECTIONS,
        b"one",
        b"\xff" * 1000,
        bytearray(b"one"),
        memoryview(b"one"),
        [],
        [1],
        (1, 2),
        (),
        {},
        {"id": 1},
        {"left": 1, "right": "one"},
        {"left": 1},
        {1: 2},
        {1},
        frozenset({1}),
        nested,
        circle,
        range(3),
        iter([1]),
        object(),
        type,
        len,
        Ellipsis,
        NotImplemented,
        datetime.date.max,
        datetime.date.min,
        datetime.datetime.max,
        datetime.datetime.min,
        datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-23))),
        datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=23))),
        datetime.time.max,
        datetime.time(1, tzinfo=datetime.UTC),
        datetime.timedelta.max,
        datetime.timedelta.min,
        uuid.UUID(int=0),
        str(MARK),
        Color.RED,
        Color,
        EvilObject(),
        EvilInt(1),
        EvilInt(10**30),
        EvilStr("one"),
        EvilStr("\0"),
        EvilTuple((1,)),
        EvilTuple((1, "one")),
        EvilList([1]),
        EvilDict({"id": 1}),
        EvilRepr(),
        EvilClass(),
        WrongHash(),
        Thing.id,
        Thing.id == 1,
        Thing,
        *RIGHT.values(),
    ]
