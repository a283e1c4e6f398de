"""A graph is one snapshot on PostgreSQL, and one statement alone pays for no transaction; unless somebody listens."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from loader_models import AUTHOR, POST_PAGE, POSTS, Author, Base, Post, listening, seed
from sqlalchemy import URL, Connection, Engine, delete, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.util import await_only

from loadplan import Loader, LoadPlan, load
from support import tables


def bind_of(kind: str, engine: AsyncEngine) -> Any:
    return engine if kind == "engine" else async_sessionmaker(engine)


OWN = pytest.mark.parametrize("kind", ["engine", "sessionmaker"])


@contextlib.contextmanager
def after_each_statement(engine: AsyncEngine, ask: tuple[str, ...]) -> Iterator[list[tuple[object, ...]]]:
    """Ask the server something on the fetch's own connection, after each of its statements.

    ``after_cursor_execute`` is no hook that could tie state to a transaction, so it changes nothing about the fetch.
    """
    answers: list[tuple[object, ...]] = []
    asking = False

    def after(connection: Connection, *_: Any) -> None:
        nonlocal asking
        if not asking:
            asking = True
            answers.append(tuple(connection.exec_driver_sql(sql).scalar() for sql in ask))
            asking = False

    with listening(engine.sync_engine, "after_cursor_execute", after):
        yield answers


STATE = ("SHOW transaction_isolation", "SHOW transaction_read_only")
#: The same number twice in one transaction, two numbers where each statement is one of its own.
TRANSACTION = ("SELECT txid_current()", "SELECT txid_current()")


@contextlib.contextmanager
def writer_between_statements(engine: AsyncEngine, neighbour: AsyncEngine) -> Iterator[list[str]]:
    """Commit another post of author 2, and the loss of one, right after the first statement of a fetch."""
    written: list[str] = []

    async def write() -> None:
        async with neighbour.begin() as connection:
            await connection.execute(insert(Post).values(id=77, title="late", author_id=2))
            await connection.execute(delete(Post).where(Post.id == 13))

    def after(*_: Any) -> None:
        if not written:
            written.append("committed")
            await_only(write())

    with listening(engine.sync_engine, "after_cursor_execute", after):
        yield written


@OWN
async def test_a_writer_between_two_statements_cannot_tear_the_graph(
    blog_postgres: AsyncEngine, other_postgres: AsyncEngine, kind: str
) -> None:
    with writer_between_statements(blog_postgres, other_postgres) as written:
        author = await Loader(bind_of(kind, blog_postgres)).fetch(POSTS, 2)
    assert written == ["committed"]
    assert [post.id for post in author.posts] == [11, 12]
    assert [post.id for post in (await Loader(blog_postgres).fetch(POSTS, 2)).posts] == [11, 12, 77]


@OWN
async def test_without_the_snapshot_the_same_writer_shows(
    blog_postgres: AsyncEngine, other_postgres: AsyncEngine, kind: str
) -> None:
    with writer_between_statements(blog_postgres, other_postgres) as written:
        author = await Loader(bind_of(kind, blog_postgres), snapshot=False).fetch(POSTS, 2)
    assert written == ["committed"]
    assert [post.id for post in author.posts] == [11, 12, 77]


@OWN
async def test_several_statements_run_in_one_read_only_repeatable_read(blog_postgres: AsyncEngine, kind: str) -> None:
    with after_each_statement(blog_postgres, STATE) as shown:
        await Loader(bind_of(kind, blog_postgres)).fetch(POST_PAGE, 11)
    assert shown == [("repeatable read", "on")] * 3
    with after_each_statement(blog_postgres, TRANSACTION) as numbers:
        await Loader(bind_of(kind, blog_postgres)).fetch(POST_PAGE, 11)
    assert len({number for pair in numbers for number in pair}) == 1


@OWN
async def test_without_the_snapshot_nothing_is_set(blog_postgres: AsyncEngine, kind: str) -> None:
    with after_each_statement(blog_postgres, STATE) as shown:
        await Loader(bind_of(kind, blog_postgres), snapshot=False).fetch(POST_PAGE, 11)
    assert shown == [("read committed", "off")] * 3


@OWN
@pytest.mark.parametrize(
    "plan",
    [LoadPlan(Post), LoadPlan(Post, load(Post.author, load(Author.boss)))],
    ids=["root alone", "joined"],
)
async def test_a_single_statement_has_no_transaction_around_it(
    blog_postgres: AsyncEngine, kind: str, plan: LoadPlan[Post]
) -> None:
    with after_each_statement(blog_postgres, TRANSACTION) as numbers:
        await Loader(bind_of(kind, blog_postgres)).fetch(plan, 11)
    ((first, second),) = numbers
    assert first != second


@OWN
async def test_without_the_snapshot_no_statement_has_a_transaction_around_it(
    blog_postgres: AsyncEngine, kind: str
) -> None:
    with after_each_statement(blog_postgres, TRANSACTION) as numbers:
        await Loader(bind_of(kind, blog_postgres), snapshot=False).fetch(POST_PAGE, 11)
    assert len({number for pair in numbers for number in pair}) == 6


async def test_without_the_snapshot_a_stream_and_an_isolation_of_yours_keep_the_transaction(
    blog_postgres: AsyncEngine, postgres_url: URL
) -> None:
    with after_each_statement(blog_postgres, TRANSACTION) as numbers:
        found = [author async for author in Loader(blog_postgres, snapshot=False).stream(POSTS, batch_size=1)]
    assert len(found) > 1
    assert len({number for pair in numbers for number in pair}) == 1
    engine = create_async_engine(postgres_url, isolation_level="REPEATABLE READ")
    with after_each_statement(engine, TRANSACTION) as numbers:
        await Loader(engine, snapshot=False).fetch(POSTS, 2)
    await engine.dispose()
    assert len({number for pair in numbers for number in pair}) == 1


async def test_without_the_snapshot_a_listener_keeps_the_transaction(blog_postgres: AsyncEngine) -> None:
    with (
        listening(blog_postgres.sync_engine, "begin", _noop),
        after_each_statement(blog_postgres, TRANSACTION) as numbers,
    ):
        await Loader(blog_postgres, snapshot=False).fetch(POSTS, 2)
    assert len({number for pair in numbers for number in pair}) == 1


def _noop(*_: Any, **__: Any) -> None:
    """Listen without doing anything."""


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("session", "after_begin"),
        ("session", "after_transaction_create"),
        ("session", "do_orm_execute"),
        ("engine", "begin"),
        ("engine", "engine_connect"),
        ("engine", "before_execute"),
        ("engine", "before_cursor_execute"),
        ("every engine", "begin"),
    ],
)
async def test_a_single_statement_has_a_transaction_if_somebody_may_count_on_it(
    blog_postgres: AsyncEngine, target: str, name: str
) -> None:
    """Each of these listeners may send SET LOCAL, which holds inside a transaction alone."""
    targets: dict[str, Any] = {
        "session": Session,
        "engine": blog_postgres.sync_engine,
        "every engine": Engine,
    }
    with (
        listening(targets[target], name, _noop),
        after_each_statement(blog_postgres, TRANSACTION) as numbers,
    ):
        await Loader(blog_postgres).fetch(AUTHOR, 1)
    ((first, second),) = numbers
    assert first == second


async def test_a_listener_on_the_sessionmaker_keeps_the_transaction_too(blog_postgres: AsyncEngine) -> None:
    sync_maker = sessionmaker()
    event.listen(sync_maker, "after_begin", _noop)
    maker = async_sessionmaker(blog_postgres, sync_session_class=sync_maker.class_)
    with after_each_statement(blog_postgres, TRANSACTION) as numbers:
        await Loader(maker).fetch(AUTHOR, 1)
    ((first, second),) = numbers
    assert first == second


@pytest.mark.parametrize("plan", [AUTHOR, POSTS], ids=["one statement", "two statements"])
async def test_afterwards_the_connection_is_what_it_was(
    blog_postgres: AsyncEngine, postgres_url: URL, plan: Any
) -> None:
    """A pool of one: the connection that the fetch had writes in a default transaction again."""
    engine = create_async_engine(postgres_url, pool_size=1, max_overflow=0)
    with after_each_statement(engine, ("SELECT pg_backend_pid()",)) as seen:
        await Loader(engine).fetch(plan, 2)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar() == seen[0][0]
        assert (await connection.execute(text("SHOW transaction_isolation"))).scalar() == "read committed"
        assert (await connection.execute(text("SHOW transaction_read_only"))).scalar() == "off"
        await connection.execute(insert(Author).values(id=60, name="written"))
        await connection.rollback()
        assert (await connection.execute(select(Author.id).where(Author.id == 60))).scalar() is None
    await engine.dispose()


async def test_an_isolation_that_the_engine_was_given_is_not_weakened(blog_postgres: AsyncEngine) -> None:
    """An application that asks for SERIALIZABLE gets at least that for its graphs."""
    strict = blog_postgres.execution_options(isolation_level="SERIALIZABLE")
    with after_each_statement(strict, STATE[:1]) as shown:
        await Loader(strict).fetch(POSTS, 2)
    assert shown == [("serializable",)] * 2


async def test_on_sqlite_a_fetch_works_all_the_same(sqlite: AsyncEngine) -> None:
    """No snapshot is asked for where the database has no such words."""
    async with tables(sqlite, Base.metadata):
        await seed(sqlite)
        assert [post.id for post in (await Loader(sqlite).fetch(POSTS, 2)).posts] == [11, 12]
