"""The studio, on both databases."""

from collections.abc import AsyncIterator

import pytest
from attached_models import Base, seed
from sqlalchemy.ext.asyncio import AsyncEngine

from support import tables


@pytest.fixture
async def studio(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The studio on each database in turn."""
    async with tables(engine, Base.metadata):
        await seed(engine)
        yield engine
