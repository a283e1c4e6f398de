"""Shows plans on a read replica and behind a pooler. It starts its own servers, and takes a few seconds."""

import asyncio

from sqlalchemy import Connection, event, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader
from replicas.forum import LATEST, TOPIC, Message, make_forum
from replicas.pooler import find_pgbouncer, pgbouncer, pooled_engine
from replicas.replay import catch_up, wait_until_replayed, written_position
from replicas.routing import routed_sessions
from replicas.servers import primary_and_standby

TASKS = 200


def main() -> None:
    """Start the servers, show the plans, and stop the servers."""
    with primary_and_standby() as servers:
        asyncio.run(replicas(create_async_engine(servers.primary), create_async_engine(servers.standby)))
        print("\nPgBouncer in transaction mode")
        if find_pgbouncer() is None:
            print("  is not installed (Debian: apt-get install pgbouncer)")
            return
        with pgbouncer(servers.standby, servers.account) as url:
            asyncio.run(pooled(pooled_engine(url, pool_size=20)))


async def replicas(primary: AsyncEngine, standby: AsyncEngine) -> None:
    """Fetch from the standby, write on the primary, and read the written rows."""
    await make_forum(primary)
    await catch_up(primary, standby)
    print("Two servers, one plan")
    for name, engine in (("primary", primary), ("standby", standby)):
        topic = await Loader(engine).fetch(LATEST, 5)
        print(f"  {name}: {await standing(engine)}; {[message.text for message in topic.messages]}")

    print("\nRead your own writes")
    async with primary.begin() as connection:
        await connection.execute(insert(Message).values(id=1000, text="just written", topic_id=5, author_id=1))
    position = await written_position(primary)
    await wait_until_replayed(standby, position)
    topic = await Loader(standby).fetch(LATEST, 5)
    print(f"  replayed up to {position}: {topic.messages[0].text!r}")

    print("\nOne session for both")
    places = [(name, count_statements(engine)) for name, engine in (("primary", primary), ("standby", standby))]
    async with routed_sessions(primary, standby)() as session:
        await Loader(session).fetch(TOPIC, 5)
        print("  a read:", spoken(places))
        session.add(Message(id=1001, text="not committed yet", topic_id=5, author_id=1))
        topic = await Loader(session).fetch(TOPIC, 5)
        print("  a write and a read:", spoken(places), repr(topic.messages[-1].text))

    print("\nA lock on the standby")
    async with AsyncSession(standby) as session:
        try:
            await Loader(session).fetch(TOPIC, 5, for_update=True)
        except DBAPIError as error:
            print(f"  {error.orig}")
    await primary.dispose()
    await standby.dispose()


async def pooled(engine: AsyncEngine) -> None:
    """Fetch in many tasks through a few server connections."""
    loader = Loader(engine)
    pids: set[int] = set()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def note_server(connection: Connection, _cursor: object, sql: str, *_: object) -> None:
        if sql.startswith("SELECT topics"):
            pids.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    topics = await asyncio.gather(*(loader.fetch(TOPIC, 1 + number % 20) for number in range(TASKS)))
    print(f"  {len(topics)} graphs in as many tasks, through {len(pids)} connections of the standby")
    await engine.dispose()


async def standing(engine: AsyncEngine) -> str:
    """Return whether a server is a primary or a standby, in words."""
    async with engine.connect() as connection:
        in_recovery = (await connection.execute(text("SELECT pg_is_in_recovery()"))).scalar()
    return "follows" if in_recovery else "leads"


def count_statements(engine: AsyncEngine) -> list[str]:
    """Return a list. Every statement that an engine executes is added to it."""
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, sql: str, *_: object) -> None:
        seen.append(sql)

    event.listen(engine.sync_engine, "after_cursor_execute", note)
    return seen


def spoken(places: list[tuple[str, list[str]]]) -> str:
    """Return the number of statements that went to each server since the last call, in words."""
    said = ", ".join(f"{len(seen)} on the {name}" for name, seen in places)
    for _, seen in places:
        seen.clear()
    return said
