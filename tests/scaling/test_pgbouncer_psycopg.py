"""psycopg behind PgBouncer in transaction mode: one setting keeps it from preparing statements."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from forum_checks import CALLS, checked_out, values
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from test_pgbouncer import TRACKS_STATEMENTS

from loadplan import Loader
from replicas.forum import TOPIC
from replicas.pooler import pgbouncer
from replicas.servers import Servers


@pytest.fixture(scope="module")
def psycopg_pooler(servers: Servers, pgbouncer_version: tuple[int, ...]) -> Iterator[URL]:
    """PgBouncer before the primary, which knows nothing of prepared statements, with three server connections."""
    more = "max_prepared_statements = 0" if pgbouncer_version >= TRACKS_STATEMENTS else ""
    with pgbouncer(servers.primary, servers.account, more=more) as url:
        yield url.set(drivername="postgresql+psycopg")


@pytest.fixture
async def psycopg_pooled(psycopg_pooler: URL, primary: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine that never prepares."""
    engine = create_async_engine(
        psycopg_pooler, pool_size=10, pool_timeout=120, connect_args={"prepare_threshold": None}
    )
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("call", CALLS)
async def test_sixty_tasks_get_their_graphs(psycopg_pooled: AsyncEngine, primary: AsyncEngine, call: str) -> None:
    expected = values(await CALLS[call](Loader(primary)))
    loader = Loader(psycopg_pooled)
    for _ in range(2):
        for found in await asyncio.gather(*(CALLS[call](loader) for _ in range(30))):
            assert values(found) == expected


async def test_afterwards_nothing_is_left_on_a_server_connection(psycopg_pooled: AsyncEngine) -> None:
    await asyncio.gather(*(Loader(psycopg_pooled).fetch(TOPIC, number) for number in range(1, 21)))
    held = [await psycopg_pooled.connect() for _ in range(3)]
    shown = text(
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'),"
        " (SELECT count(*) FROM pg_prepared_statements)"
    )
    rows = [tuple((await connection.execute(shown)).one()) for connection in held]
    for connection in held:
        await connection.close()
    assert set(rows) == {("read committed", "off", 0)}


async def test_a_lost_connection_leaves_the_pool(psycopg_pooled: AsyncEngine, primary: AsyncEngine) -> None:
    """The server ends the connection while a stream waits; the next fetch has a new one."""
    walk = Loader(psycopg_pooled).stream(TOPIC, batch_size=1)
    await anext(walk)
    async with primary.connect() as connection:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert len((await connection.execute(text(f"{end} AND pid <> pg_backend_pid()"))).all()) == 1
    with pytest.raises(DBAPIError) as caught:
        _ = [each async for each in walk]
    assert caught.value.connection_invalidated
    assert checked_out(psycopg_pooled) == 0
    assert (await Loader(psycopg_pooled).fetch(TOPIC, 5)).id == 5


async def test_a_cancelled_fetch_gives_its_connection_back(psycopg_pooled: AsyncEngine, primary: AsyncEngine) -> None:
    """A lock holds the fetch up until it is cancelled; the server ends the statement, and nobody waits any more."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    async def fetch() -> Any:
        async with AsyncSession(psycopg_pooled) as session:
            return await Loader(session).fetch(TOPIC, 5, for_update=True)

    async with primary.connect() as holder, primary.connect() as watcher:
        watcher = await watcher.execution_options(isolation_level="AUTOCOMMIT")
        await holder.execute(text("SELECT 1 FROM topics WHERE id = 5 FOR UPDATE"))
        task = asyncio.create_task(fetch())
        while not await watcher.scalar(waiting):
            pass  # each turn is a round trip
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await watcher.scalar(waiting):
            pass
    assert checked_out(psycopg_pooled) == 0
    assert (await fetch()).id == 5
