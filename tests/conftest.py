"""Databases: PostgreSQL out of a wheel (or the server at LOADPLAN_TEST_DSN), and SQLite in memory."""

import os
import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, StaticPool, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@pytest.fixture(scope="session")
def server_url() -> URL:
    """The PostgreSQL server that the tests may make databases in."""
    if dsn := os.environ.get("LOADPLAN_TEST_DSN"):
        return make_url(dsn).set(drivername="postgresql+asyncpg")
    import embedded_postgres

    return embedded_postgres.start("tests")


@pytest.fixture(scope="session")
async def postgres_url(server_url: URL) -> AsyncIterator[URL]:
    """A database of this run's own."""
    name = f"loadplan_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(server_url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield server_url.set(database=name)
    finally:
        async with admin.connect() as connection:
            await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        await admin.dispose()


@pytest.fixture(scope="session")
async def postgres(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine on real PostgreSQL through asyncpg."""
    engine = create_async_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def sqlite() -> AsyncIterator[AsyncEngine]:
    """An engine on a SQLite database in memory, through aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    yield engine
    await engine.dispose()


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """Both databases, one after the other: for behaviour that is portable."""
    name = "postgres" if request.param == "postgresql" else "sqlite"
    found: AsyncEngine = request.getfixturevalue(name)
    return found
