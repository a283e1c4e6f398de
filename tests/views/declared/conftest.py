"""The blog that views are declared over, on each database."""

from collections.abc import AsyncIterator

import pytest
import staff_models
from sqlalchemy.ext.asyncio import AsyncEngine
from views_models import Base, insert_rows

from loadplan import Loader
from support import tables


@pytest.fixture
async def blog(engine: AsyncEngine) -> AsyncIterator[Loader]:
    """A loader on the blog's tables with rows: PostgreSQL, then SQLite."""
    async with tables(engine, Base.metadata):
        await insert_rows(engine)
        yield Loader(engine)


@pytest.fixture
async def small_blog(sqlite: AsyncEngine) -> AsyncIterator[Loader]:
    """The same on SQLite alone, for what no database has a say in."""
    async with tables(sqlite, Base.metadata):
        await insert_rows(sqlite)
        yield Loader(sqlite)


@pytest.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[Loader]:
    """A loader on the tables with inheritance: PostgreSQL, then SQLite."""
    async with tables(engine, staff_models.Base.metadata):
        await staff_models.insert_staff(engine)
        yield Loader(engine)
