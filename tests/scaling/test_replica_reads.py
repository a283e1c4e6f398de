"""A streaming standby serves plans: the same graphs, one snapshot, and what was written a moment ago."""

import asyncio
from typing import Any

import pytest
from forum_checks import CALLS, checked_out, values
from sqlalchemy import event, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.util import await_only

from loadplan import Loader
from replicas.forum import LATEST, MEMBER, TOPIC, Message, Topic
from replicas.replay import catch_up, wait_until_replayed, written_position
from replicas.servers import Servers
from support import recording


def message(number: int, topic: int = 5) -> dict[str, Any]:
    return {"id": number, "text": "late", "topic_id": topic, "author_id": 1}


async def test_it_is_a_standby(standby: AsyncEngine) -> None:
    async with standby.connect() as connection:
        assert (await connection.execute(text("SELECT pg_is_in_recovery()"))).scalar() is True
        with pytest.raises(DBAPIError, match="cannot execute INSERT in a read-only transaction"):
            await connection.execute(insert(Topic).values(id=99, title="no", opened_by_id=1))


@pytest.mark.parametrize("call", CALLS)
async def test_both_servers_give_the_same_graph(primary: AsyncEngine, standby: AsyncEngine, call: str) -> None:
    expected = values(await CALLS[call](Loader(primary)))
    assert expected
    assert values(await CALLS[call](Loader(standby))) == expected
    assert checked_out(standby) == 0


async def test_the_plans_ask_what_the_page_says_they_do(standby: AsyncEngine) -> None:
    """The calls above would prove little if their statements were plainer than their names."""
    with recording(standby) as statements:
        for call in CALLS.values():
            await call(Loader(standby))
    for words in ("= ANY (", "LATERAL", "WITH RECURSIVE", "unnest(", "ORDER BY"):
        assert any(words in sql for sql in statements), words


@pytest.mark.parametrize("snapshot", [True, False])
async def test_a_graph_is_one_snapshot_while_the_standby_replays(
    primary: AsyncEngine, standby: AsyncEngine, watcher: AsyncEngine, snapshot: bool
) -> None:
    """Another message is committed, and replayed on the standby, between the two statements of a fetch."""
    shown: list[tuple[Any, ...]] = []

    async def write() -> None:
        async with primary.begin() as connection:
            await connection.execute(insert(Message).values(message(999)))
        await catch_up(primary, watcher)

    def after(connection: Any, *_: Any) -> None:
        if not shown:
            shown.append(())
            settings = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
            shown[0] = tuple(connection.exec_driver_sql(settings).one())
            await_only(write())

    event.listen(standby.sync_engine, "after_cursor_execute", after)
    topic = await Loader(standby, snapshot=snapshot).fetch(TOPIC, 5)
    assert shown == [("repeatable read" if snapshot else "read committed", "on")]
    assert (999 in [each.id for each in topic.messages]) is not snapshot
    assert 999 in [each.id for each in (await Loader(standby).fetch(TOPIC, 5)).messages]


async def test_a_write_is_read_once_its_position_is_replayed(
    primary: AsyncEngine, standby: AsyncEngine, watcher: AsyncEngine
) -> None:
    """Replay is held up, so that the wait has something to wait for."""
    async with watcher.execution_options(isolation_level="AUTOCOMMIT").connect() as control:
        await control.execute(text("SELECT pg_wal_replay_pause()"))
        paused = text("SELECT pg_get_wal_replay_pause_state()")
        async with asyncio.timeout(30):
            while (await control.execute(paused)).scalar() != "paused":  # replay pauses at its next look
                pass
        async with AsyncSession(primary) as session, session.begin():
            session.add(Message(**message(998)))
        position = await written_position(primary)
        with pytest.raises(TimeoutError):
            await wait_until_replayed(standby, position, patience=0.05)
        assert 998 not in [each.id for each in (await Loader(standby).fetch(TOPIC, 5)).messages]
        assert 998 in [each.id for each in (await Loader(primary).fetch(TOPIC, 5)).messages]

        waiting = asyncio.create_task(wait_until_replayed(standby, position))
        await control.execute(text("SELECT pg_wal_replay_resume()"))
        await waiting
    assert 998 in [each.id for each in (await Loader(standby).fetch(TOPIC, 5)).messages]
    assert checked_out(standby) == 0


async def test_waiting_for_a_server_that_replays_nothing_says_so(primary: AsyncEngine) -> None:
    with pytest.raises(RuntimeError, match="it is not a standby"):
        await wait_until_replayed(primary, await written_position(primary))


async def test_a_driver_that_knows_both_servers_finds_the_standby(servers: Servers, standby: AsyncEngine) -> None:
    """``target_session_attrs`` of the driver: one engine that goes to a standby if there is one."""
    both = [servers.primary.query["host"], servers.standby.query["host"]]
    if standby.dialect.driver == "psycopg":
        arguments: dict[str, Any] = {"host": ",".join(map(str, both))}
    else:
        arguments = {"host": both, "port": [5432, 5432]}
    arguments["target_session_attrs"] = "prefer-standby"
    engine = create_async_engine(f"{standby.url.drivername}://postgres@/postgres", connect_args=arguments)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT pg_is_in_recovery()"))).scalar() is True
    assert values(await Loader(engine).fetch(LATEST, 3)) == values(await Loader(standby).fetch(LATEST, 3))
    await engine.dispose()


async def test_a_single_statement_can_have_a_read_only_transaction(primary: AsyncEngine) -> None:
    """For databases that serve READ ONLY transactions from replicas: an engine that says so, and a listener."""
    engine = create_async_engine(primary.url, execution_options={"postgresql_readonly": True})
    event.listen(engine.sync_engine, "begin", lambda _connection: None)
    shown: list[Any] = []

    def after(connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith("SELECT members"):
            shown.append(connection.exec_driver_sql("SHOW transaction_read_only").scalar())

    event.listen(engine.sync_engine, "after_cursor_execute", after)
    await Loader(engine).fetch(MEMBER, 1)
    assert shown == ["on"]
    await engine.dispose()
