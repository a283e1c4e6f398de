"""The library on PostgreSQL, and engines that no listener of the tests hears."""

from collections.abc import AsyncIterator

import attrs
import fire_hostile as hostile
import pytest
from fire_models import Base, empty, seed
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support import tables


@attrs.define
class Rows:
    """What is in the tables: the rows of ``seed``, or what a test left there."""

    fresh: bool = False


@pytest.fixture(scope="session")
async def rows(postgres: AsyncEngine) -> AsyncIterator[Rows]:
    """The tables, made once."""
    async with tables(postgres, Base.metadata):
        yield Rows()


@pytest.fixture
async def library(postgres: AsyncEngine, rows: Rows) -> AsyncEngine:
    """Six shelves of five books on PostgreSQL, for tests that read alone."""
    if not rows.fresh:
        await empty(postgres)
        await seed(postgres)
        rows.fresh = True
    return postgres


@pytest.fixture
async def changing_library(library: AsyncEngine, rows: Rows) -> AsyncEngine:
    """The same, for tests that change its rows."""
    rows.fresh = False
    return library


@pytest.fixture
async def neighbour(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """A second engine on the same database: for writers and watchers."""
    engine = create_async_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def things(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Two things, and one row of each of the others."""
    async with tables(postgres, hostile.Base.metadata):
        await hostile.seed(postgres)
        yield postgres
