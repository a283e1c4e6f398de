"""The forum, on both databases."""

from collections.abc import AsyncIterator

import pytest
from requests_models import Base, seed
from sqlalchemy.ext.asyncio import AsyncEngine

from support import tables


@pytest.fixture
async def asked(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The forum on each database in turn."""
    async with tables(engine, Base.metadata):
        await seed(engine)
        yield engine
