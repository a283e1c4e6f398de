"""A database for the atlas, on the embedded server that all tests share."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from embedded_postgres import start


@pytest.fixture(scope="session")
async def atlas_url() -> URL:
    """Make an empty database of the atlas tests' own."""
    server = start("tests")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text("DROP DATABASE IF EXISTS atlas_tests WITH (FORCE)"))
        await connection.execute(text("CREATE DATABASE atlas_tests"))
    await admin.dispose()
    return server.set(database="atlas_tests")


@pytest.fixture
async def atlas_engine(atlas_url: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(atlas_url)
    yield engine
    await engine.dispose()
