"""Connections: each one goes back to the pool, whole, however a fetch ends; many tasks may share a loader."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loader_models import AUTHOR, BINDS, POST_PAGE, POSTS, Author, Post, bound
from sqlalchemy import URL, AsyncAdaptedQueuePool, Integer, cast, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import IdentityError, Loader, NotFound
from support import lost_cursors_allowed

LOCK = 7041


@pytest.fixture
async def small(blog_postgres: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """The blog through a pool of five connections and no more."""
    engine = create_async_engine(postgres_url, pool_size=5, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture(params=BINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def checked_out(engine: AsyncEngine) -> int:
    pool = engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout()


async def assert_whole(engine: AsyncEngine) -> None:
    """No connection is out, and every one of the pool is usable: neither in a transaction nor set to anything."""
    assert checked_out(engine) == 0
    connections = [await engine.connect() for _ in range(5)]
    try:
        for connection in connections:
            shown = await connection.execute(
                select(func.current_setting("transaction_isolation"), func.current_setting("transaction_read_only"))
            )
            assert tuple(shown.one()) == ("read committed", "off")
            await connection.rollback()
    finally:
        for connection in connections:
            await connection.close()


async def test_after_success(small: AsyncEngine, kind: str) -> None:
    async with bound(kind, small) as bind:
        await Loader(bind).fetch(POST_PAGE, 11)
        await Loader(bind).fetch(AUTHOR, 1)
        assert checked_out(small) == (1 if kind in {"session", "connection"} else 0)
    await assert_whole(small)


async def test_after_not_found(small: AsyncEngine, kind: str) -> None:
    async with bound(kind, small) as bind:
        for plan in (POST_PAGE, AUTHOR):
            with pytest.raises(NotFound):
                await Loader(bind).fetch(plan, 99)  # type: ignore[arg-type]
    await assert_whole(small)


async def test_an_impossible_id_takes_no_connection_at_all(small: AsyncEngine, kind: str) -> None:
    taken: list[object] = []
    async with bound(kind, small) as bind:
        event.listen(small.sync_engine, "checkout", lambda *args: taken.append(args))
        with pytest.raises(IdentityError):
            await Loader(bind).fetch(POST_PAGE, "abc")
        with pytest.raises(IdentityError):
            await Loader(bind).fetch_many(POST_PAGE, [1, None])
    assert taken == []
    await assert_whole(small)


@pytest.mark.parametrize("plan", [AUTHOR, POSTS], ids=["one statement", "two statements"])
async def test_after_a_database_error(small: AsyncEngine, kind: str, plan: Any) -> None:
    async with bound(kind, small) as bind:
        with pytest.raises(DBAPIError):
            await Loader(bind).fetch_all(plan, cast(Author.name, Integer) == 1)
    await assert_whole(small)


async def many_authors(engine: AsyncEngine) -> None:
    """More rows than the driver reads from a cursor at once, which are 50."""
    async with engine.begin() as connection:
        await connection.execute(insert(Author), [{"id": number, "name": "many"} for number in range(100, 300)])


async def test_after_a_database_error_in_the_midst_of_a_stream(small: AsyncEngine, kind: str) -> None:
    """It comes up while rows are read from the cursor, and is SQLAlchemy's error there too, with its sqlstate."""
    await many_authors(small)
    wrong = 1 / (Author.id - 250) < 2
    async with bound(kind, small) as bind:
        with pytest.raises(DBAPIError, match="division by zero") as caught:
            _ = [author async for author in Loader(bind).stream(AUTHOR, wrong, order_by=Author.id, batch_size=10)]
    assert getattr(caught.value.orig, "sqlstate", None) == "22012"
    assert not caught.value.connection_invalidated
    await assert_whole(small)


async def test_after_the_server_ends_the_connection_of_a_stream(
    small: AsyncEngine, other_postgres: AsyncEngine
) -> None:
    """One error, of the read that failed; not of the rollback that no longer can."""
    await many_authors(small)
    ours = text(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'idle in transaction' AND (query LIKE '%ldr_authors%' OR query LIKE 'FETCH %')"
    )

    async def walk() -> None:
        async for author in Loader(small).stream(AUTHOR, order_by=Author.id, batch_size=10):
            if author.id == 100:
                async with other_postgres.connect() as connection:
                    assert (await connection.execute(ours)).scalar() == 1

    # in psycopg's words, and in asyncpg's
    ended = r"terminating connection|Cursor.fetch\(\): the underlying connection is closed"
    with lost_cursors_allowed(), pytest.raises(DBAPIError, match=ended) as caught:
        await walk()
    assert caught.value.connection_invalidated
    await assert_whole(small)


async def waiting_for_lock(watcher: Any) -> None:
    """Come back when somebody waits for the lock that the test holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id AND NOT granted")
    for _ in range(10_000):
        if (await watcher.execute(waiting, {"id": LOCK})).scalar():
            return
    pytest.fail("nobody came to wait for the lock")


@pytest.mark.parametrize("plan", [AUTHOR, POSTS], ids=["one statement", "two statements"])
async def test_after_a_task_is_cancelled(small: AsyncEngine, other_postgres: AsyncEngine, kind: str, plan: Any) -> None:
    """The fetch is in the middle of a statement, waiting for a lock, when its task is cancelled."""

    async def fetch() -> None:
        async with bound(kind, small) as bind:
            await Loader(bind).fetch_all(plan, func.pg_advisory_xact_lock(LOCK).is_not(None))

    async with other_postgres.connect() as holder:
        await holder.execute(select(func.pg_advisory_xact_lock(LOCK)))
        task = asyncio.create_task(fetch())
        await waiting_for_lock(holder)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await assert_whole(small)
    assert (await Loader(small).fetch(POST_PAGE, 11)).id == 11


async def test_after_a_task_is_cancelled_while_it_waits_for_a_connection(small: AsyncEngine) -> None:
    held = [await small.connect() for _ in range(5)]
    task = asyncio.create_task(Loader(small).fetch(POST_PAGE, 11))
    for _ in range(5):
        await asyncio.sleep(0)  # let the task run up to the pool
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for connection in held:
        await connection.close()
    await assert_whole(small)


async def test_a_pool_that_stays_empty_is_a_timeout_and_nothing_is_lost(
    blog_postgres: AsyncEngine, postgres_url: URL
) -> None:
    engine = create_async_engine(postgres_url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    async with engine.connect():
        with pytest.raises(PoolTimeoutError):
            await Loader(engine).fetch(POST_PAGE, 11)
    assert checked_out(engine) == 0
    assert (await Loader(engine).fetch(POST_PAGE, 11)).id == 11
    await engine.dispose()


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
async def test_two_hundred_tasks_share_one_loader(small: AsyncEngine, kind: str) -> None:
    """Every task gets its own graph, whole and right, through five connections."""
    async with small.begin() as connection:
        await connection.execute(insert(Author), [{"id": number, "name": f"n{number}"} for number in range(1000, 1100)])
        await connection.execute(
            insert(Post),
            [
                {"id": number * 10 + part, "title": f"t{number}", "author_id": number}
                for number in range(1000, 1100)
                for part in range(number % 4)
            ],
        )
    async with bound(kind, small) as bind:
        loader = Loader(bind)
        wanted = [1000 + number % 100 for number in range(200)]
        authors = await asyncio.gather(*(loader.fetch(POSTS, number) for number in wanted))
    assert [author.id for author in authors] == wanted
    for author in authors:
        assert author.name == f"n{author.id}"
        assert [post.id for post in author.posts] == [author.id * 10 + part for part in range(author.id % 4)]
        assert all(post.author is author for post in author.posts)
    assert len({id(author) for author in authors}) == 200
    await assert_whole(small)


async def test_mixed_calls_share_one_loader(small: AsyncEngine) -> None:
    """Different calls and plans at once, failures among them, disturb each other in nothing."""
    loader = Loader(small)

    async def fails() -> str:
        with pytest.raises(NotFound):
            await loader.fetch(POST_PAGE, 99)
        return "not found"

    jobs: list[Any] = []
    for _ in range(20):
        jobs += [loader.fetch(POST_PAGE, 11), loader.fetch_many(AUTHOR, [3, 1]), fails(), loader.fetch_all(POSTS)]
    answers = await asyncio.gather(*jobs)
    for page, authors, failed, everybody in zip(answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True):
        assert [tag.id for tag in page.tags] == [1, 2]
        assert [author.id for author in authors] == [3, 1]
        assert failed == "not found"
        assert {author.id: len(author.posts) for author in everybody} == {1: 0, 2: 2, 3: 1}
    await assert_whole(small)
