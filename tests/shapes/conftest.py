"""The database of the shapes, empty or with random rows."""

from collections.abc import AsyncIterator

import pytest
from shapes_models import Base, insert_rows, random_rows
from sqlalchemy.ext.asyncio import AsyncEngine

from support import tables


@pytest.fixture
async def empty_shapes(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The tables on each database in turn, without rows."""
    async with tables(engine, Base.metadata):
        yield engine


@pytest.fixture
async def shapes(empty_shapes: AsyncEngine) -> AsyncEngine:
    """The tables with random rows."""
    await insert_rows(empty_shapes, random_rows())
    return empty_shapes
