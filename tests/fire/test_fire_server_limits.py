"""The server ends a statement or a session that takes too long: one error with its sqlstate, and a whole pool."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fire_checks import assert_whole, listening
from fire_models import PLANS, Shelf
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.util import await_only

from loadplan import Loader
from support import server_settings

NAME = "loadplan fire limits"

#: Setting of the server, and the sqlstate that it ends a statement with which waits for a lock.
WAITING = {"statement_timeout": "57014", "lock_timeout": "55P03"}

TABLES = ["fire_shelves", "fire_books", "fire_authors", "fire_chapters", "fire_book_tags", "fire_tags"]

names = pytest.mark.parametrize("name", PLANS)


def limited(url: URL, **settings: str) -> AsyncEngine:
    arguments = server_settings(url, application_name=NAME, **settings)
    return create_async_engine(url, pool_size=2, max_overflow=0, connect_args=arguments)


async def assert_usable(engine: AsyncEngine) -> None:
    """Fail unless every connection of the pool answers. A whole graph might take longer than these servers wait."""
    engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as one, engine.connect() as two:
        assert [(await each.execute(text("SELECT 1"))).scalar() for each in (one, two)] == [1, 1]


@pytest.fixture(params=WAITING)
async def impatient(request: pytest.FixtureRequest, library: AsyncEngine, postgres_url: URL) -> AsyncIterator[Any]:
    """An engine whose server waits 120 ms for a lock, and the sqlstate of what it raises then."""
    engine = limited(postgres_url, **{request.param: "120ms"})
    yield engine, WAITING[request.param]
    await engine.dispose()


@pytest.mark.parametrize("table", TABLES)
@names
async def test_a_statement_that_waits_for_a_table_too_long(
    impatient: tuple[AsyncEngine, str], neighbour: AsyncEngine, name: str, table: str
) -> None:
    """Each table of the plan in turn is locked, so each of its statements is the one that waits."""
    engine, sqlstate = impatient
    loader, plan = Loader(engine), PLANS[name]
    async with neighbour.begin() as holder:
        await holder.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError) as caught:
            await loader.fetch(plan, 1)
        if name != "nested":
            with pytest.raises(DBAPIError):
                _ = [each async for each in loader.stream(plan)]
    assert getattr(caught.value.orig, "sqlstate", None) == sqlstate
    await assert_whole(engine, neighbour, NAME)
    await assert_usable(engine)


@pytest.fixture
async def hasty(library: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine whose server ends a session that does nothing in a transaction for 250 ms."""
    engine = limited(postgres_url, idle_in_transaction_session_timeout="250ms")
    yield engine
    await engine.dispose()


async def until_nobody_is_there(neighbour: AsyncEngine) -> None:
    """Come back when the server has ended every session of ours that is in a transaction."""
    ours = text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"
        " AND state LIKE 'idle in transaction%'"
    )
    async with neighbour.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for _ in range(100_000):
            if not (await connection.execute(ours, {"name": NAME})).scalar():
                return
    pytest.fail("the server is patient")


@pytest.mark.parametrize("name", ["entities", "by level"])
async def test_a_session_that_is_ended_between_two_statements(
    hasty: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    loader = Loader(hasty)
    with (
        listening(hasty.sync_engine, "after_cursor_execute", lambda *_: await_only(until_nobody_is_there(neighbour))),
        pytest.raises(DBAPIError) as caught,
    ):
        await loader.fetch(PLANS[name], 1)
    assert caught.value.connection_invalidated
    await assert_whole(hasty, neighbour, NAME)
    await assert_usable(hasty)


@pytest.mark.parametrize("name", ["entities", "by level"])
async def test_a_stream_whose_reader_takes_too_long(hasty: AsyncEngine, neighbour: AsyncEngine, name: str) -> None:
    async def walk() -> None:
        async for _ in Loader(hasty).stream(PLANS[name], order_by=Shelf.id, batch_size=1):
            await until_nobody_is_there(neighbour)

    with pytest.raises(DBAPIError) as caught:
        await walk()
    assert caught.value.connection_invalidated
    await assert_whole(hasty, neighbour, NAME)
    await assert_usable(hasty)


@names
async def test_a_session_of_the_caller_that_is_ended_between_two_fetches(
    hasty: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    async with AsyncSession(hasty) as session:
        await Loader(session).fetch(PLANS[name], 1)
        await until_nobody_is_there(neighbour)
        with pytest.raises(DBAPIError) as caught:
            await Loader(session).fetch(PLANS[name], 1)
    assert caught.value.connection_invalidated
    await assert_whole(hasty, neighbour, NAME)
