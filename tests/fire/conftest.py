"""The library on PostgreSQL, and engines that no listener of the tests hears."""

from collections.abc import AsyncIterator

import pytest
from fire_models import Base, seed
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support import tables


@pytest.fixture
async def library(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Six shelves of five books on PostgreSQL."""
    async with tables(postgres, Base.metadata):
        await seed(postgres)
        yield postgres


@pytest.fixture
async def neighbour(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """A second engine on the same database: for writers and watchers."""
    engine = create_async_engine(postgres_url)
    yield engine
    await engine.dispose()
