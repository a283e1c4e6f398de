"""Values of every type are the same at every place of a view, in one statement and by level, as SQLAlchemy has them."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from sqlalchemy import URL, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from values_by_type import PORTABLE, POSTGRESQL, GroupView, HolderView, Kind, SampleView, Shelf, same, shelf_of

from loadplan import Loader, LoadPlan
from support import recording, tables


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


@pytest.fixture
async def postgres_types(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """PostgreSQL with a schema for types, on new connections.

    What asyncpg has learnt of types on a connection before decides what it can read there within a row.
    """
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS views_types"))
    yield engine
    await engine.dispose()


async def _has(engine: AsyncEngine, extension: str) -> bool:
    async with engine.connect() as connection:
        asked = "SELECT count(*) FROM pg_available_extensions WHERE name = :name"
        return bool(await connection.scalar(text(asked), {"name": extension}))


@pytest.mark.parametrize("kind", PORTABLE, ids=str)
async def test_a_value_is_what_an_entity_has(engine: AsyncEngine, kind: Kind) -> None:
    if engine.dialect.name == "mariadb" and kind.name == "float":
        pytest.skip("a FLOAT of MariaDB has 32 bits")
    if engine.dialect.name == "mariadb" and kind.name == "unicode":  # a VARCHAR there, which has a length
        kind = attrs.evolve(kind, values=[each for each in kind.values if len(each) <= 190])
    await hold(engine, kind)


@pytest.mark.parametrize("kind", POSTGRESQL, ids=str)
async def test_a_value_of_postgresql_is_what_an_entity_has(postgres_types: AsyncEngine, kind: Kind) -> None:
    if kind.extension is not None:
        if not await _has(postgres_types, kind.extension):
            pytest.skip(f"this server has no extension {kind.extension}")
        async with postgres_types.begin() as connection:
            await connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {kind.extension}"))
    await hold(postgres_types, kind)


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
    assert len(statements) == (1 if kind.nests and engine.dialect.name == "postgresql" else 3)
    for way, views in flat.items():
        assert {each.id for each in views} == set(expected)
        for each in views:
            assert same(each.value, expected[each.id]), f"{way}: {each.value!r}, not {expected[each.id]!r}"
    for way, views in found.items():
        assert [each.id for each in views[0].samples] == list(expected)
        for each in (*views[0].samples, *(holder.best for holder in views if holder.best is not None)):
            assert same(each.value, expected[each.id]), f"{way}: {each.value!r}, not {expected[each.id]!r}"
        assert [holder.best and holder.best.id for holder in views] == [None, *list(expected)[:-1]]
