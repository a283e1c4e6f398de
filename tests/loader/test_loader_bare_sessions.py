"""Sessions that nobody listens to lend their connection alone. With one listener the fetch has a session."""

from collections.abc import Iterator
from typing import Any

import pytest
from loader_models import Author, Post
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from loadplan import Loader, LoadPlan, load
from loadplan.running.own_connection import GuestConnection, OwnConnection
from loadplan.running.private_session import private_session

pytestmark = pytest.mark.asynchronous

PLAN = LoadPlan(Author, load(Author.posts), name="author")


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """What every ``Session`` loads, as ``loaded_as_persistent`` tells it."""
    found: list[Any] = []

    def listen(_session: Session, entity: object) -> None:
        found.append(entity)

    event.listen(Session, "loaded_as_persistent", listen)
    yield found
    event.remove(Session, "loaded_as_persistent", listen)


class Routing(Session):
    """It could choose another database."""

    def get_bind(self, *args: Any, **kw: Any) -> Any:
        return super().get_bind(*args, **kw)


async def opened(bind: Any) -> Any:
    """Return what a fetch would run on."""
    found: list[Any] = []

    def work(session: Any) -> None:
        found.append(session)

    loader = Loader(bind)
    private = private_session(bind, snapshot=True, bare=True)
    await loader._wait(lambda: private.run(work, [Author.__mapper__], statements=1, options=None))
    return found[0]


async def test_a_plain_sessionmaker_is_its_engine(blog: AsyncEngine) -> None:
    assert type(await opened(async_sessionmaker(blog))) is OwnConnection
    assert type(await opened(async_sessionmaker(blog, expire_on_commit=False, autoflush=False))) is OwnConnection
    assert isinstance(await opened(async_sessionmaker(blog, sync_session_class=Routing)), Routing)
    assert isinstance(await opened(async_sessionmaker(blog, twophase=True)), Session)
    assert isinstance(await opened(async_sessionmaker(binds={Author: blog})), Session)


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("plan", [PLAN, LoadPlan(Author, name="author alone")], ids=lambda plan: plan.name)
async def test_a_two_phase_sessionmaker_reads_in_one_phase(
    blog: AsyncEngine, plan: LoadPlan[Author], snapshot: bool
) -> None:
    """With psycopg, no two-phase transaction begins in autocommit; MariaDB takes no snapshot in one."""
    loader = Loader(async_sessionmaker(blog, twophase=True), snapshot=snapshot)
    assert (await loader.fetch(plan, 1)).id == 1
    assert [each.id async for each in loader.stream(plan, where=Author.id == 1)] == [1]


async def test_a_plain_session_lends_its_connection(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        assert type(await opened(session)) is GuestConnection
        event.listen(session.sync_session, "do_orm_execute", lambda state: None)
        assert isinstance(await opened(session), Session)
    async with AsyncSession(blog, sync_session_class=Routing) as session:
        assert isinstance(await opened(session), Session)
    async with AsyncSession(binds={Author: blog}) as session:
        assert isinstance(await opened(session), Session)


async def test_a_lent_connection_is_left_as_it_was(blog: AsyncEngine) -> None:
    async with blog.connect() as connection:
        assert (await Loader(connection).fetch(PLAN, 1)).id == 1
        assert not connection.in_transaction()
        async with connection.begin():
            assert (await Loader(connection).fetch(PLAN, 1)).id == 1
            assert connection.in_transaction()


async def test_a_fetch_after_a_savepoint_that_was_rolled_back(blog: AsyncEngine) -> None:
    async with blog.connect() as connection:
        transaction = await connection.begin()
        inner = await connection.begin_nested()
        assert (await Loader(connection).fetch(PLAN, 1)).id == 1
        await inner.rollback()
        assert (await Loader(connection).fetch(PLAN, 1)).id == 1
        await transaction.rollback()


async def test_flushed_work_is_seen(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        session.add(Post(id=4711, title="new", author_id=1))
        found = await Loader(session).fetch(PLAN, 1)
        assert 4711 in {each.id for each in found.posts}
        await session.rollback()


@pytest.mark.parametrize("kind", ["engine", "sessionmaker", "session"])
async def test_what_is_loaded_is_told_to_those_who_listen(blog: AsyncEngine, heard: list[Any], kind: str) -> None:
    async with AsyncSession(blog) as session:
        binds: dict[str, Any] = {"engine": blog, "sessionmaker": async_sessionmaker(blog), "session": session}
        found = await Loader(binds[kind]).fetch(PLAN, 1)
    assert {id(each) for each in heard} == {id(each) for each in (found, *found.posts)}
