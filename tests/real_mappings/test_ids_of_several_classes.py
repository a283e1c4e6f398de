"""Ids of one call that are numbers of several classes: PostgreSQL's drivers take the ids of a call as one array."""

import decimal
import enum
from typing import Any

import pytest
import sqlalchemy as sa
from real import filled
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import LoadPlan


class Size(enum.IntEnum):
    TWO = 2


#: The type of the key, the stored values, and ids for them in their order.
KEYS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "decimal": (
        sa.Numeric(10, 2, asdecimal=True),
        [decimal.Decimal("1.25"), decimal.Decimal(2), decimal.Decimal("2.5")],
        [1.25, 2, decimal.Decimal("2.5")],
    ),
    "float of a decimal": (sa.Numeric(20, 10, asdecimal=False), [1.1, 2.0, 2.5], [1.1, 2, 2.5]),
    "float": (sa.Double(), [1.1, 2.0, 2.5], [1.1, 2, decimal.Decimal("2.5")]),
    "integer": (sa.BigInteger(), [1, 2, 2**40], [1, Size.TWO, 2**40]),
}


@pytest.mark.parametrize("composite", [False, True], ids=["one column", "composite"])
@pytest.mark.parametrize("name", KEYS)
async def test_ids_of_several_classes(engine: AsyncEngine, name: str, composite: bool) -> None:
    """What ``fetch`` finds for each id, ``fetch_many`` finds for all of them."""
    kind, stored, ids = KEYS[name]

    class Base(DeclarativeBase):
        pass

    class Line(Base):
        __tablename__ = "ids_of_classes"
        key: Mapped[Any] = mapped_column(kind, primary_key=True, autoincrement=False)
        part: Mapped[int] = mapped_column(sa.Integer, primary_key=composite, default=1)

    given = [(each, 1) if composite else each for each in ids]
    async with filled(engine, Base.metadata, *(Line(key=each, part=1) for each in stored)) as loader:
        for asked in (given, given[::-1]):
            found = await loader.fetch_many(LoadPlan(Line), asked)
            alone = [await loader.fetch(LoadPlan(Line), each) for each in asked]
            assert [each.key for each in found] == [each.key for each in alone]
        assert [each.key for each in found] == stored[::-1]
