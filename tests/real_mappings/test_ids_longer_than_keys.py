"""Ids with more digits or characters than their column: they are other keys, and a statement must not shorten them."""

import asyncio
import datetime
import decimal
from typing import Any

import pytest
import sqlalchemy as sa
from real import filled
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import LoadPlan

DAY = datetime.datetime(2026, 1, 2)


class Upper(sa.String):
    """A text type with code of its own."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else value.upper()


#: The type of the key, the stored key, and a longer id that PostgreSQL shortens to it.
KEYS: dict[str, tuple[sa.types.TypeEngine[Any], Any, Any]] = {
    "numbers": (sa.Numeric(10, 2), decimal.Decimal("1.23"), decimal.Decimal("1.234")),
    "numbers as floats": (sa.Numeric(10, 2, asdecimal=False), 1.23, 1.234),
    "larger numbers": (sa.Numeric(4, 2), decimal.Decimal("1.23"), decimal.Decimal("12345.67")),
    "texts": (sa.String(3), "abc", "abcd"),
    "chars": (sa.CHAR(3), "abc", "abcd"),
    "texts with code": (Upper(3), "ABC", "abcd"),
    "moments": (postgresql.TIMESTAMP(precision=0), DAY, DAY.replace(microsecond=200_000)),
    "times": (postgresql.TIME(precision=0), datetime.time(3), datetime.time(3, 0, 0, 200_000)),
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_longer_id_is_another_key(engine: AsyncEngine, name: str) -> None:
    """It finds nothing: alone, beside the key that it would be shortened to, in a batch, and as a part of a key."""
    kind, stored, longer = KEYS[name]
    if engine.dialect.name != "postgresql" and name in {"moments", "times"}:
        pytest.skip("types of PostgreSQL")

    class Base(DeclarativeBase):
        pass

    class Line(Base):
        __tablename__ = "longer_lines"
        key: Mapped[Any] = mapped_column(kind, primary_key=True, autoincrement=False)

    class Part(Base):
        __tablename__ = "longer_parts"
        key: Mapped[Any] = mapped_column(kind, primary_key=True, autoincrement=False)
        number: Mapped[int] = mapped_column(primary_key=True)

    class Address(Base):
        """Its keys do not go in arrays, because PostgreSQL's addresses are among them."""

        __tablename__ = "longer_addresses"
        key: Mapped[Any] = mapped_column(kind, primary_key=True, autoincrement=False)
        address: Mapped[Any] = mapped_column(
            sa.String(20).with_variant(postgresql.INET(), "postgresql"), primary_key=True
        )

    rows = [Line(key=stored), Part(key=stored, number=1), Address(key=stored, address="10.0.0.1")]
    async with filled(engine, Base.metadata, *rows) as loader:
        plan = LoadPlan(Line)
        assert (await loader.fetch(plan, stored)).key == stored
        assert await loader.fetch_or_none(plan, longer) is None
        assert await loader.fetch_many(plan, [longer], missing="skip") == []
        (only,) = await loader.fetch_many(plan, [stored, longer], missing="skip")
        assert only.key == stored
        batched = loader.batched()
        one, other = await asyncio.gather(batched.fetch(plan, stored), batched.fetch_or_none(plan, longer))
        assert (one.key, other) == (stored, None)
        for entity, rest in ((Part, 1), (Address, "10.0.0.1")):
            assert await loader.fetch_or_none(LoadPlan(entity), (longer, rest)) is None
            found = await loader.fetch_many(LoadPlan(entity), [(stored, rest), (longer, rest)], missing="skip")
            assert [each.key for each in found] == [stored]
