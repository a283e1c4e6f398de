"""A database for the atlas, on the embedded server that all tests share."""

import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from embedded_postgres import start


@pytest.fixture(scope="session")
async def atlas_url() -> AsyncIterator[URL]:
    """Make an empty database of the atlas tests' own; each process that runs tests has another."""
    server = start("tests")
    name = f"loadplan_atlas_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name)
    finally:
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        await admin.dispose()


@pytest.fixture
async def atlas_engine(atlas_url: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(atlas_url)
    yield engine
    await engine.dispose()
