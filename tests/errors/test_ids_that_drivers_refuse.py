"""Ids that a driver cannot bind for a type of PostgreSQL, or for a time: loadplan refuses them before any SQL runs.

A driver's error ends the transaction of the caller. asyncpg may leave the connection unusable.
"""

import datetime
import enum
import ipaddress
import uuid
import zoneinfo
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, mapped_column

from loadplan import IdentityError, Loader, LoadPlan
from support import recording, tables

UTC, BERLIN = datetime.UTC, zoneinfo.ZoneInfo("Europe/Berlin")
NOON = datetime.time(12)


class Colour(enum.Enum):
    RED = "red"


NEEDS_ZONE = "the column keeps a time zone, and the value has none."
NEEDS_NONE = "the column keeps no time zone, and the value has one."
NO_OFFSET = "its time zone has no offset without a date."

#: The type of a key, ids that it refuses with the reason, and ids that it takes.
KINDS: dict[str, tuple[sa.types.TypeEngine[Any], list[tuple[Any, str]], list[Any]]] = {
    "time with zone": (
        sa.Time(timezone=True),
        [(NOON, NEEDS_ZONE), (NOON.replace(tzinfo=BERLIN), NO_OFFSET), ("12:00", "it takes datetime.time, not str.")],
        [NOON.replace(tzinfo=UTC)],
    ),
    "time": (sa.Time(), [(NOON.replace(tzinfo=UTC), NEEDS_NONE), (NOON.replace(tzinfo=BERLIN), NO_OFFSET)], [NOON]),
    "moment with zone": (
        sa.DateTime(timezone=True),
        [(datetime.datetime(2026, 1, 2), NEEDS_ZONE)],
        [datetime.datetime(2026, 1, 2, tzinfo=BERLIN)],
    ),
    "moment": (
        sa.DateTime(),
        [(datetime.datetime(2026, 1, 2, tzinfo=UTC), NEEDS_NONE)],
        [datetime.datetime(2026, 1, 2)],
    ),
    "address": (
        postgresql.INET(),
        [
            (1, "it takes an IP address, not int."),
            (True, "it takes an IP address, not bool."),
            (uuid.UUID(int=1), "it takes an IP address, not UUID."),
            (Colour.RED, "it takes an IP address, not Colour."),
            ("10.0.0", "it takes an IP address, and this text is not one."),
        ],
        ["10.0.0.1", "10.0.0.1/8", "::1", ipaddress.ip_address("10.0.0.1"), ipaddress.ip_interface("10.0.0.1/8")],
    ),
    "network": (
        postgresql.CIDR(),
        [
            (b"10", "it takes an IP network, not bytes."),
            ("10.0.0.1/8", "it takes an IP network, and this text is not one."),
        ],
        ["10.0.0.0/8", ipaddress.ip_network("10.0.0.0/8")],
    ),
    "mac": (
        postgresql.MACADDR(),
        [(1, "it takes a MAC address, not int."), ("08:00", "it takes a MAC address, and this text is not one.")],
        ["08:00:2b:01:02:03", "08002b-010203"],
    ),
    "bits": (
        postgresql.BIT(4),
        [(5, "it takes a text of bits, not int."), ("12", "it takes a text of bits, and this text is not one.")],
        [],  # a text or an object of the driver, depending on the version of SQLAlchemy
    ),
    "oid": (postgresql.OID(), [(-1, "it does not fit 32 bits."), ("1", "it takes int, not str.")], [1, 2**32 - 1]),
    "range": (
        postgresql.INT4RANGE(),
        [(1, "it takes a range, not int."), ("1", "it takes a range, and this text is not one.")],
        [postgresql.Range(1, 3)],
    ),
}


@pytest.fixture(params=["asyncpg", "psycopg"])
def server(request: pytest.FixtureRequest) -> AsyncEngine:
    """Each driver of PostgreSQL."""
    found: AsyncEngine = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("name", KINDS)
async def test_ids_that_drivers_refuse(server: AsyncEngine, name: str) -> None:
    """The error says what the column takes. The right ids still find nothing, without an error."""
    kind, wrong, right = KINDS[name]

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "ids_of_drivers"
        id = mapped_column(kind, primary_key=True, autoincrement=False)

    async with tables(server, Base.metadata):
        loader, plan = Loader(server), LoadPlan(Row)
        for given, detail in wrong:
            with recording(server) as statements:
                with pytest.raises(IdentityError) as alone:
                    await loader.fetch(plan, given)
                with pytest.raises(IdentityError) as together:
                    await loader.fetch_many(plan, [given])
            assert statements == []
            assert alone.value.detail == together.value.detail == detail
        for given in right:
            assert await loader.fetch_or_none(plan, given) is None
            assert await loader.fetch_many(plan, [given], missing="skip") == []


async def test_a_period_that_sqlite_cannot_store(sqlite: AsyncEngine) -> None:
    """SQLAlchemy stores the moment that is so long after 1970, and there is no such moment."""

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "ids_of_drivers"
        id = mapped_column(sa.Interval(), primary_key=True)

    async with tables(sqlite, Base.metadata):
        assert await Loader(sqlite).fetch_or_none(LoadPlan(Row), datetime.timedelta(days=1)) is None
        with pytest.raises(IdentityError) as refused:
            await Loader(sqlite).fetch(LoadPlan(Row), datetime.timedelta.max)
        assert refused.value.detail == "it is out of range."
