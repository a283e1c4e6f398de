"""A primary and its standby, with the forum of examples/replicas on them."""

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from replicas.forum import Base, make_forum
from replicas.pooler import find_pgbouncer
from replicas.replay import catch_up
from replicas.servers import Servers, primary_and_standby


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The two servers, for the whole run of a process."""
    with primary_and_standby() as servers:
        yield servers


@pytest.fixture
async def primary(servers: Servers, drivername: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the primary, with a new forum."""
    engine = create_async_engine(servers.primary.set(drivername=drivername))
    await make_forum(engine)
    yield engine
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


@pytest.fixture
async def standby(servers: Servers, primary: AsyncEngine, drivername: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the standby, which has the forum; two connections at most."""
    engine = create_async_engine(servers.standby.set(drivername=drivername), pool_size=2, max_overflow=0)
    await catch_up(primary, engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def watcher(servers: Servers) -> AsyncIterator[AsyncEngine]:
    """A second engine on the standby: it takes nothing from the pool of the first."""
    engine = create_async_engine(servers.standby)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def pgbouncer_version() -> tuple[int, ...]:
    """The version of the PgBouncer that is installed; without one the test is skipped."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return tuple(int(part) for part in said.stdout.split()[1].split("."))
