"""Streams on MariaDB read keys first: roots whose key is partly NULL, and tables of one union with equal keys."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, String, Table, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import polymorphic_union, registry

from loadplan import Loader, LoadPlan
from support import recording, tables

mapping = registry()
halves = Table("nullkey_halves", mapping.metadata, Column("x", Integer), Column("y", String(5)), Column("n", Integer))
rivers = Table(
    "nullkey_rivers", mapping.metadata, Column("river_id", Integer, primary_key=True), Column("name", String(9))
)
towns = Table(
    "nullkey_towns", mapping.metadata, Column("town_id", Integer, primary_key=True), Column("name", String(9))
)


class Half:
    """Stands for a view of the database, with a key that somebody chose."""


class Spot:
    pass


class River(Spot):
    pass


class Town(Spot):
    pass


mapping.map_imperatively(Half, halves, primary_key=[halves.c.x, halves.c.y])
spots = polymorphic_union({"river": rivers, "town": towns}, "type", "spots")
base = mapping.map_imperatively(Spot, spots, polymorphic_on=spots.c.type, polymorphic_identity="spot")
for cls, table in ((River, rivers), (Town, towns)):
    mapping.map_imperatively(cls, table, inherits=base, concrete=True, polymorphic_identity=cls.__name__.lower())

ROWS = [
    "INSERT INTO nullkey_halves VALUES (1, 'a', 1), (NULL, 'b', 2), (3, 'c', 3), (4, 'd', 4)",
    "INSERT INTO nullkey_halves VALUES (5, NULL, 5), (NULL, NULL, 6)",
    "INSERT INTO nullkey_rivers VALUES (1, 'Aare'), (2, 'Inn')",
    "INSERT INTO nullkey_towns VALUES (1, 'Bern'), (2, 'Chur')",
]


@pytest.fixture
async def spotted(mariadb: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(mariadb, mapping.metadata) as engine:
        async with engine.begin() as connection:
            for each in ROWS:
                await connection.execute(text(each))
        yield engine


async def test_a_root_whose_key_is_partly_null_is_in_the_stream(spotted: AsyncEngine) -> None:
    """NULL equals nothing in a list of keys, so such a root takes a statement. Nothing of the order is lost."""
    half: Any = Half
    with recording(spotted) as statements:
        found = [each.n async for each in Loader(spotted).stream(LoadPlan(half), order_by=half.n, batch_size=2)]
    assert found == [1, 2, 3, 4, 5]
    assert len(statements.selects) == 5  # the keys; 1; 2; 3 and 4; 5


@pytest.mark.parametrize("size", [1, 3])
async def test_tables_of_one_union_may_have_equal_keys(spotted: AsyncEngine, size: int) -> None:
    """The key of a river is NULL in the rows of towns. All four come, in their order."""
    spot: Any = Spot
    stream = Loader(spotted).stream(LoadPlan(spot), order_by=spot.name, batch_size=size)
    assert [each.name async for each in stream] == ["Aare", "Bern", "Chur", "Inn"]
