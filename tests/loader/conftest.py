"""The blog, on both databases or on PostgreSQL alone."""

from collections.abc import AsyncIterator

import pytest
from loader_models import Base, seed
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support import tables


@pytest.fixture
async def blog(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The blog on each database in turn."""
    async with tables(engine, Base.metadata):
        await seed(engine)
        yield engine


@pytest.fixture
async def blog_postgres(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The blog on PostgreSQL."""
    async with tables(postgres, Base.metadata):
        await seed(postgres)
        yield postgres


@pytest.fixture
async def other_postgres(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """A second engine on the same PostgreSQL database: a neighbour whom no listener of the first one hears."""
    engine = create_async_engine(postgres_url)
    yield engine
    await engine.dispose()
