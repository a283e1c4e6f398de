"""Rows with every type that pages can be ordered by, with ties, NULLs and extreme values in each."""

import datetime
import decimal
import enum
import random
import uuid
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Numeric, TypeDecorator, types
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    """Neither the names nor the values are in the order of the declaration."""

    RED = "z"
    AMBER = "a"
    GREEN = "m"


class Cents(TypeDecorator[decimal.Decimal]):
    """Decimals stored as whole cents."""

    impl = types.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else decimal.Decimal(value) / 100


class Row(Base):
    __tablename__ = "shg_rows"
    region: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int]
    maybe: Mapped[int | None]
    text: Mapped[str | None]
    colour: Mapped[Colour | None]
    amount: Mapped[decimal.Decimal | None] = mapped_column(Numeric(12, 2))
    ratio: Mapped[float | None]
    moment: Mapped[datetime.datetime | None]
    instant: Mapped[datetime.datetime | None] = mapped_column(types.DateTime(timezone=True))
    day: Mapped[datetime.date | None]
    clock: Mapped[datetime.time | None]
    token: Mapped[uuid.UUID | None]
    flag: Mapped[bool | None]
    blob: Mapped[bytes | None]
    cents: Mapped[decimal.Decimal | None] = mapped_column(Cents)
    marks: Mapped[list["Mark"]] = relationship(order_by="Mark.id")

    @hybrid_property
    def doubled(self) -> Any:
        return self.maybe * 2


class Mark(Base):
    __tablename__ = "shg_marks"
    __table_args__ = (ForeignKeyConstraint(["row_region", "row_number"], ["shg_rows.region", "shg_rows.number"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    row_region: Mapped[str]
    row_number: Mapped[int]


COLUMNS = (
    "small",
    "maybe",
    "text",
    "colour",
    "amount",
    "ratio",
    "moment",
    "instant",
    "day",
    "clock",
    "token",
    "flag",
    "blob",
    "cents",
)

_UTC = datetime.UTC
VALUES: dict[str, list[Any]] = {
    "small": [0, -1, 5],
    "maybe": [None, 0, -(2**31), 2**31 - 1],
    "text": [None, "", "a", "B", "ä", "a'\\\n"],
    "colour": [None, *Colour],
    "amount": [None, decimal.Decimal("0.10"), decimal.Decimal("-3.00"), decimal.Decimal("1234567.89")],
    "ratio": [None, 0.1, -1e300, 5e-324, 1 / 3],
    "moment": [None, datetime.datetime(2024, 1, 1), datetime.datetime(1, 1, 1), datetime.datetime.max],
    "instant": [
        None,
        datetime.datetime(2024, 1, 1, tzinfo=_UTC),
        datetime.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=_UTC),
    ],
    "day": [None, datetime.date.min, datetime.date.max],
    "clock": [None, datetime.time(0), datetime.time(23, 59, 59, 999999)],
    "token": [None, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID(int=1 << 60)],
    "flag": [None, True, False],
    "blob": [None, b"", b"\x00", b"\xff\x00"],
    "cents": [None, decimal.Decimal("0.01"), decimal.Decimal("-7.5")],
}


def random_row(rnd: random.Random, number: int) -> dict[str, Any]:
    """A row with a composite key, whose every value is likely to tie."""
    return {"region": rnd.choice("ab"), "number": number} | {key: rnd.choice(VALUES[key]) for key in COLUMNS}
