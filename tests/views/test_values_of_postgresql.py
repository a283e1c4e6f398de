"""Values of PostgreSQL's own types are what SQLAlchemy has, at every place of a view, in one statement and by level."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from values_by_type import POSTGRESQL, Kind, hold


@pytest.fixture
async def postgres_types(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """PostgreSQL with a schema for types, on new connections.

    What asyncpg has learnt of types on a connection before decides what it can read there within a row.
    """
    engine = create_async_engine(postgres.url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS views_types"))
    yield engine
    await engine.dispose()


async def _has(engine: AsyncEngine, extension: str) -> bool:
    async with engine.connect() as connection:
        asked = "SELECT count(*) FROM pg_available_extensions WHERE name = :name"
        return bool(await connection.scalar(text(asked), {"name": extension}))


def _is_infinite(value: Any) -> bool:
    return "infinity" in str(value) and not isinstance(value, float)


@pytest.mark.parametrize("kind", POSTGRESQL, ids=str)
async def test_a_value_of_postgresql_is_what_an_entity_has(postgres_types: AsyncEngine, kind: Kind) -> None:
    if kind.extension is not None:
        if not await _has(postgres_types, kind.extension):
            pytest.skip(f"this server has no extension {kind.extension}")
        async with postgres_types.begin() as connection:
            await connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {kind.extension}"))
    if postgres_types.dialect.driver == "psycopg" and any(map(_is_infinite, kind.values)):
        kind = attrs.evolve(kind, values=[each for each in kind.values if not _is_infinite(each)])
        if not kind.values:
            pytest.skip("psycopg cannot read infinite dates")
    await hold(postgres_types, kind)
