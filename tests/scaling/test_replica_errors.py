"""What a standby refuses and cancels: one error that says why, and a pool that is whole afterwards."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from forum_checks import checked_out
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader, LoaderError
from replicas.forum import MEMBER, TOPIC, Member, Note, Topic
from replicas.replay import catch_up, wait_until_replayed, written_position

LOCK = 7042


@pytest.fixture
async def impatient(standby: AsyncEngine, watcher: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The standby, which lets no query hold up its replay."""
    async with watcher.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("ALTER SYSTEM SET max_standby_streaming_delay = 0"))
        await connection.execute(text("SELECT pg_reload_conf()"))
        yield standby
        await connection.execute(text("ALTER SYSTEM RESET max_standby_streaming_delay"))
        await connection.execute(text("SELECT pg_reload_conf()"))


async def vacuum_away(primary: AsyncEngine, watcher: AsyncEngine) -> None:
    """Remove rows that an open snapshot on the standby may still want, and wait until the standby did so too."""
    async with primary.begin() as connection:
        await connection.execute(delete(Note))
    async with primary.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM notes"))
    # 30 seconds and more, should replay not have read yet that it is to be impatient
    await wait_until_replayed(watcher, await written_position(primary), patience=60)


async def assert_whole(engine: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is out of the pool, both of its connections work, and the pool had nothing to complain of."""
    assert checked_out(engine) == 0
    topics = await asyncio.gather(*(Loader(engine).fetch(TOPIC, number) for number in (1, 2, 3, 4)))
    assert [len(topic.messages) for topic in topics] == [5, 5, 5, 5]
    assert checked_out(engine) == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def told_of_a_closed_connection(engine: AsyncEngine, words: str) -> str:
    """Return what the driver says: asyncpg has closed the connection, psycopg tells what the server said at its end."""
    return "terminating connection due to conflict with recovery" if engine.dialect.driver == "psycopg" else words


@pytest.mark.parametrize("session", [True, False])
async def test_a_lock_is_refused(standby: AsyncEngine, session: bool, caplog: pytest.LogCaptureFixture) -> None:
    """By loadplan where the transaction is its own, else by PostgreSQL, whose words come through."""
    if session:
        async with AsyncSession(standby) as caller:
            with pytest.raises(DBAPIError, match="cannot execute SELECT FOR UPDATE in a read-only transaction"):
                await Loader(caller).fetch(TOPIC, 1, for_update=True)
    else:
        with pytest.raises(LoaderError, match="for_update= needs your own transaction"):
            await Loader(standby).fetch(TOPIC, 1, for_update=True)
    await assert_whole(standby, caplog)


async def test_a_conflict_while_a_stream_waits_for_its_reader_ends_the_stream(
    primary: AsyncEngine, impatient: AsyncEngine, watcher: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends the connection of a transaction that is idle. The stream says so at its next batch."""
    seen: list[int] = []

    async def walk() -> None:
        async for topic in Loader(impatient).stream(TOPIC, order_by=Topic.id, batch_size=3):
            seen.append(topic.id)
            if len(seen) == 2:
                await vacuum_away(primary, watcher)

    told = told_of_a_closed_connection(impatient, "connection is closed")
    with pytest.raises(OperationalError if "conflict" in told else InterfaceError, match=told) as caught:
        await walk()
    assert caught.value.connection_invalidated
    assert seen == [1, 2, 3], "whole graphs up to the conflict, none after it"
    await assert_whole(impatient, caplog)


async def test_a_conflict_between_two_reads_of_the_cursor_ends_the_stream(
    primary: AsyncEngine, impatient: AsyncEngine, watcher: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver reads 50 rows ahead; here the next thing after the conflict is the cursor itself."""
    async with primary.begin() as connection:
        await connection.execute(insert(Member), [{"id": number, "name": "many"} for number in range(100, 400)])
    await catch_up(primary, watcher)
    seen: list[int] = []

    async def walk() -> None:
        async for member in Loader(impatient).stream(MEMBER, order_by=Member.id, batch_size=50):
            seen.append(member.id)
            if len(seen) == 2:
                await vacuum_away(primary, watcher)

    told = told_of_a_closed_connection(impatient, r"Cursor.fetch\(\): the underlying connection is closed")
    with pytest.raises(DBAPIError, match=told) as caught:
        await walk()
    assert caught.value.connection_invalidated
    assert len(seen) < 300
    await assert_whole(impatient, caplog)


@pytest.mark.parametrize("call", ["fetch_all", "stream"])
async def test_a_conflict_during_a_statement_is_the_error_of_postgresql(
    primary: AsyncEngine, impatient: AsyncEngine, watcher: AsyncEngine, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The fetch waits for a lock, inside its snapshot, when the rows go."""
    holds = func.pg_advisory_xact_lock_shared(LOCK).is_not(None)

    async def fetch() -> Any:
        if call == "fetch_all":
            return await Loader(impatient).fetch_all(TOPIC, holds)
        return [topic async for topic in Loader(impatient).stream(TOPIC, holds)]

    async with watcher.execution_options(isolation_level="AUTOCOMMIT").connect() as holder:
        await holder.execute(select(func.pg_advisory_lock(LOCK)))
        task = asyncio.create_task(fetch())
        await waiting_for_lock(holder)
        await vacuum_away(primary, watcher)
        with pytest.raises(DBAPIError, match="canceling statement due to conflict with recovery") as caught:
            await task
        await holder.execute(select(func.pg_advisory_unlock(LOCK)))
    assert getattr(caught.value.orig, "sqlstate", None) == "40001", "as for a transaction to try again"
    assert not caught.value.connection_invalidated
    await assert_whole(impatient, caplog)


async def waiting_for_lock(connection: Any) -> None:
    """Come back when somebody waits for the lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id AND NOT granted")
    async with asyncio.timeout(30):
        while not (await connection.execute(waiting, {"id": LOCK})).scalar():
            pass


async def test_a_standby_that_is_asked_for_serializable_says_so(standby: AsyncEngine) -> None:
    """An engine with ``isolation_level="SERIALIZABLE"`` keeps it; PostgreSQL has none on a standby.

    BEGIN itself fails, and asyncpg takes the connection to be in a transaction from then on: it must not be used
    again. So the engine is one that is thrown away.
    """
    strict = create_async_engine(standby.url, isolation_level="SERIALIZABLE")
    with pytest.raises(DBAPIError, match="cannot use serializable mode in a hot standby"):
        await Loader(strict).fetch(TOPIC, 1)
    with pytest.raises(DBAPIError):
        await Loader(strict).fetch(TOPIC, 1)
    await strict.dispose()
