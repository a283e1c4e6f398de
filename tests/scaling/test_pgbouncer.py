"""Behind PgBouncer in transaction mode: what loadplan needs works with two settings, and what fails without them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from forum_checks import CALLS, values
from sqlalchemy import URL, Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader
from replicas.forum import MEMBER, TOPIC, Topic
from replicas.pooler import pgbouncer, pooled_engine
from replicas.servers import Servers

#: PgBouncer keeps track of named statements from here on, if ``max_prepared_statements`` is not 0.
TRACKS_STATEMENTS = (1, 21)


@pytest.fixture(scope="module")
def plain_pooler(servers: Servers, pgbouncer_version: tuple[int, ...]) -> Iterator[URL]:
    """PgBouncer before the primary, which knows nothing of prepared statements, with three server connections."""
    more = "max_prepared_statements = 0" if pgbouncer_version >= TRACKS_STATEMENTS else ""
    with pgbouncer(servers.primary, servers.account, more=more) as url:
        yield url


@pytest.fixture(params=["pool", "no pool"])
async def pooled(request: pytest.FixtureRequest, plain_pooler: URL, primary: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An engine with the settings of the example, with a pool of connections and without."""
    options: dict[str, Any] = {"pool_size": 10} if request.param == "pool" else {"poolclass": NullPool}
    engine = pooled_engine(plain_pooler, **options)
    yield engine
    await engine.dispose()


def named() -> str:
    """Name a statement as SQLAlchemy's page on asyncpg suggests."""
    return f"__asyncpg_{uuid.uuid4()}__"


async def statements_left_behind(url: URL) -> int:
    """Count the prepared statements on all three server connections, each held by a transaction."""
    engine = pooled_engine(url)
    count = text("SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements WHERE name <> '')")
    held = [await engine.connect() for _ in range(3)]
    rows = [(await connection.execute(count)).one() for connection in held]
    for connection in held:
        await connection.close()
    await engine.dispose()
    assert len({pid for pid, _ in rows}) == 3
    return sum(left for _, left in rows)


@pytest.mark.parametrize("call", CALLS)
async def test_sixty_tasks_get_their_graphs_through_three_server_connections(
    pooled: AsyncEngine, primary: AsyncEngine, plain_pooler: URL, call: str
) -> None:
    before = await statements_left_behind(plain_pooler)
    expected = values(await CALLS[call](Loader(primary)))
    loader = Loader(pooled)
    for found in await asyncio.gather(*(CALLS[call](loader) for _ in range(60))):
        assert values(found) == expected
    assert await statements_left_behind(plain_pooler) == before


async def test_a_snapshot_is_one_transaction_on_one_server_connection(pooled: AsyncEngine) -> None:
    """While other tasks come and go on the same connections of the pooler."""
    seen: dict[int, list[tuple[Any, ...]]] = {}
    ask = "SELECT pg_backend_pid(), pg_current_snapshot()::text, current_setting('transaction_isolation')"

    def after(connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(("SELECT topics", "SELECT messages")):
            of_client = seen.setdefault(id(connection.connection.dbapi_connection), [])
            of_client.append(tuple(connection.exec_driver_sql(ask).one()))

    event.listen(pooled.sync_engine, "after_cursor_execute", after)
    await asyncio.gather(*(Loader(pooled).fetch(TOPIC, number) for number in range(1, 21)))
    pairs = [each for shown in seen.values() for each in zip(shown[::2], shown[1::2], strict=True)]
    assert len(pairs) == 20, "a fetch has two statements, one after the other on its client connection"
    assert all(first == second for first, second in pairs)
    assert {isolation for (_, _, isolation), _ in pairs} == {"repeatable read"}
    assert len({pid for (pid, _, _), _ in pairs}) == 3, "all of the pooler's connections served"


async def test_afterwards_a_server_connection_is_what_it_was(pooled: AsyncEngine) -> None:
    """REPEATABLE READ and READ ONLY go with BEGIN, never with SET SESSION: the next client finds nothing of them."""
    await asyncio.gather(*(Loader(pooled).fetch(TOPIC, number) for number in range(1, 21)))
    held = [await pooled.connect() for _ in range(3)]
    shown = text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
    assert {tuple((await connection.execute(shown)).one()) for connection in held} == {("read committed", "off")}
    for connection in held:
        await connection.close()


async def test_streams_that_take_turns_keep_their_cursors(pooled: AsyncEngine) -> None:
    """A stream is one transaction, so its cursor stays; it also keeps a server connection until its end."""
    streams = [Loader(pooled).stream(TOPIC, order_by=Topic.id, batch_size=2) for _ in range(3)]
    seen: list[list[int]] = [[], [], []]
    for _ in range(20):
        for stream, ids in zip(streams, seen, strict=True):
            ids.append((await anext(stream)).id)
    assert seen == [list(range(1, 21))] * 3
    for stream in streams:
        await stream.aclose()


async def test_a_session_locks_changes_and_reads_its_own_rows(pooled: AsyncEngine) -> None:
    async with AsyncSession(pooled) as session, session.begin():
        topic = await Loader(session).fetch(TOPIC, 5, for_update=True)
        topic.title = "through the pooler"
        session.add(topic)
        await session.flush()
        assert (await Loader(session).fetch(TOPIC, 5)).title == "through the pooler"
    assert (await Loader(pooled).fetch(TOPIC, 5)).title == "through the pooler"


async def test_a_replica_behind_a_pooler_serves_the_same(
    servers: Servers, standby: AsyncEngine, pgbouncer_version: tuple[int, ...]
) -> None:
    with pgbouncer(servers.standby, servers.account) as url:
        engine = pooled_engine(url)
        for call in CALLS.values():
            assert values(await call(Loader(engine))) == values(await call(Loader(standby)))
        await engine.dispose()


# --- what does not work, and why the settings are what they are -----------------------------------------------------


async def test_without_the_settings_a_statement_is_looked_for_where_it_is_not(
    plain_pooler: URL, primary: AsyncEngine
) -> None:
    """A statement that one server connection has prepared is executed on another."""
    engine = create_async_engine(plain_pooler, pool_size=10)
    loader = Loader(engine)
    results = await asyncio.gather(*(loader.fetch(TOPIC, 1) for _ in range(60)), return_exceptions=True)
    errors = [result for result in results if isinstance(result, DBAPIError)]
    assert errors
    assert all("prepared statement" in str(error.orig) for error in errors)
    await engine.dispose()


async def test_statements_with_names_are_left_behind(plain_pooler: URL, primary: AsyncEngine) -> None:
    """Names of their own keep statements from being mistaken for each other, but nobody drops them."""
    before = await statements_left_behind(plain_pooler)
    engine = create_async_engine(plain_pooler, poolclass=NullPool, connect_args={"prepared_statement_name_func": named})
    await asyncio.gather(*(Loader(engine).fetch(TOPIC, 1) for _ in range(60)))
    await engine.dispose()
    assert await statements_left_behind(plain_pooler) >= before + 60


async def test_a_pooler_that_tracks_statements_needs_no_settings(
    servers: Servers, primary: AsyncEngine, pgbouncer_version: tuple[int, ...]
) -> None:
    if pgbouncer_version < TRACKS_STATEMENTS:
        pytest.skip("this pgbouncer is older than 1.21 and has no max_prepared_statements")
    with pgbouncer(servers.primary, servers.account, more="max_prepared_statements = 200") as url:
        engine = create_async_engine(url, pool_size=10)
        for call in CALLS.values():
            expected = values(await call(Loader(primary)))
            for found in await asyncio.gather(*(call(Loader(engine)) for _ in range(60))):
                assert values(found) == expected
        await engine.dispose()


@pytest.mark.parametrize("both", [True, False])
async def test_one_of_the_two_settings_alone_reads_rows_by_columns_that_were(servers: Servers, both: bool) -> None:
    """No pooler needed: SQLAlchemy keeps a statement without a name, which the server forgets and plans anew.

    A named one is refused by the server after an ALTER TABLE ("cached statement plan is invalid"), and SQLAlchemy
    prepares it again. Without a name nobody notices that the type in the description is the old one.
    """
    sizes: dict[str, Any] = {"statement_cache_size": 0} | ({"prepared_statement_cache_size": 0} if both else {})
    engine = create_async_engine(servers.primary, pool_size=1, max_overflow=0, connect_args=sizes)
    ddl = create_async_engine(servers.primary)

    async def read() -> Any:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT value FROM changing"))).scalar()

    async with ddl.begin() as connection:
        await connection.execute(text("CREATE TABLE changing AS SELECT 7 AS value"))
    assert await read() == 7
    async with ddl.begin() as connection:
        await connection.execute(text("ALTER TABLE changing ALTER value TYPE text USING 'abcd'"))
    assert await read() == ("abcd" if both else int.from_bytes(b"abcd"))
    async with ddl.begin() as connection:
        await connection.execute(text("DROP TABLE changing"))
    await ddl.dispose()
    await engine.dispose()


async def test_a_single_statement_with_a_name_wants_a_transaction(plain_pooler: URL, primary: AsyncEngine) -> None:
    """With names and a pool, AUTOCOMMIT fails now and then; a listener for ``begin`` gives each statement its own."""
    sizes = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    engine = create_async_engine(
        plain_pooler, pool_size=10, connect_args={**sizes, "prepared_statement_name_func": named}
    )
    loader = Loader(engine)

    async def errors() -> list[BaseException]:
        found = await asyncio.gather(*(loader.fetch(MEMBER, 1) for _ in range(200)), return_exceptions=True)
        return [each for each in found if isinstance(each, BaseException)]

    alone = await errors()
    assert alone
    assert all("does not exist" in str(error) for error in alone)

    @event.listens_for(engine.sync_engine, "begin")
    def keep_the_transaction(_connection: Connection) -> None:
        """Listen: loadplan then leaves single statements in a transaction."""

    assert await errors() == []
    await engine.dispose()
