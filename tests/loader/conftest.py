"""The blog, on both databases or on PostgreSQL alone; and every test through both loaders."""

from collections.abc import AsyncIterator

import pytest
from both_loaders import AwaitedSyncLoader
from loader_models import Base, seed
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support import tables


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with ``Loader`` and with ``SyncLoader``, unless it is about ``Loader`` alone."""
    alone = metafunc.definition.get_closest_marker("asynchronous") or not hasattr(metafunc.module, "Loader")
    metafunc.parametrize("loader_class", ["Loader"] if alone else ["Loader", "SyncLoader"], indirect=True)


@pytest.fixture(autouse=True)
def loader_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """In the test's module ``Loader`` is the one loader, and then the other."""
    name: str = request.param
    if name == "SyncLoader":
        monkeypatch.setattr(request.module, "Loader", AwaitedSyncLoader)
    return name


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
