"""What a second event loop and a closed session do: an error that names the cause, and no connection left behind."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import URL, NullPool, create_engine, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from loadplan import Loader, LoaderError, LoadPlan, SyncLoader
from support import tables


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "loops_notes"
    id: Mapped[int] = mapped_column(primary_key=True)


PLAN = LoadPlan(Note)


async def many(loader: Loader) -> list[Note]:
    """Fetch more often at the same time than the pool has connections, and raise what one fetch raises."""
    found = await asyncio.gather(*(loader.fetch_all(PLAN) for _ in range(20)), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return []


def in_another_thread(work: Callable[[], None]) -> None:
    """Do work in a thread, where no event loop runs, and raise what it raises."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


async def test_an_engine_of_another_event_loop_is_named(postgres: AsyncEngine, postgres_url: URL) -> None:
    def work() -> None:
        engine = create_async_engine(postgres_url)
        loader = Loader(engine)
        with closing(asyncio.new_event_loop()) as first, closing(asyncio.new_event_loop()) as second:
            assert first.run_until_complete(loader.fetch_all(PLAN)) == []
            waits = engine.dialect.driver == "psycopg"
            if waits:  # its connections serve all loops; the queue of the pool serves one
                assert second.run_until_complete(loader.fetch_all(PLAN)) == []
                first.run_until_complete(many(loader))
            with pytest.raises(LoaderError, match=r"LP408: the engine of this loader was used in another event loop"):
                second.run_until_complete(many(loader) if waits else loader.fetch_all(PLAN))
            first.run_until_complete(engine.dispose())

    async with tables(postgres, Base.metadata):
        in_another_thread(work)


async def test_a_connection_that_another_loop_left_is_explained(postgres: AsyncEngine, postgres_url: URL) -> None:
    """The driver then says that another operation is in progress, as if a second task used the session."""
    if postgres.dialect.driver != "asyncpg":
        pytest.skip("only asyncpg leaves a connection in the middle of a statement")
    hints: list[str | None] = []

    def work() -> None:
        engine = create_async_engine(postgres_url)

        async def fetched() -> list[Note]:
            async with AsyncSession(engine) as session:
                return await Loader(session).fetch_all(PLAN)

        with closing(asyncio.new_event_loop()) as first:
            assert first.run_until_complete(fetched()) == []
            for _ in range(2):
                with closing(asyncio.new_event_loop()) as other:
                    try:
                        other.run_until_complete(fetched())
                    except LoaderError as error:
                        hints.append(error.hint)
            first.run_until_complete(engine.dispose())

    async with tables(postgres, Base.metadata):
        in_another_thread(work)
    assert len(hints) == 2
    assert all(hint is not None and "poolclass=NullPool" in hint for hint in hints)


async def test_an_engine_without_a_pool_serves_every_event_loop(postgres: AsyncEngine, postgres_url: URL) -> None:
    def work() -> None:
        loader = Loader(create_async_engine(postgres_url, poolclass=NullPool))
        for _ in range(2):
            with closing(asyncio.new_event_loop()) as loop:
                assert loop.run_until_complete(loader.fetch_all(PLAN)) == []

    async with tables(postgres, Base.metadata):
        in_another_thread(work)


async def test_a_closed_session_is_refused_and_takes_no_connection(engine: AsyncEngine) -> None:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            loader = Loader(session)
            assert await loader.fetch_all(PLAN) == []
        with pytest.raises(LoaderError, match=r"LP408: the AsyncSession of this loader is closed"):
            await loader.fetch_all(PLAN)
        assert not session.in_transaction()
        await session.scalar(select(literal(1)))  # used anew, it is open again
        assert await loader.fetch_all(PLAN) == []
        await session.close()


async def test_a_session_that_was_closed_before_the_first_fetch_is_refused(engine: AsyncEngine) -> None:
    """A repository leaves the block of its session before anybody asks it for something."""
    async with AsyncSession(engine) as session:
        loader = Loader(session)
    with pytest.raises(LoaderError, match=r"LP408: the AsyncSession of this loader is closed"):
        await loader.fetch_all(PLAN)
    assert not session.in_transaction()


@pytest.mark.parametrize("used", [True, False], ids=["used", "not used"])
def test_a_closed_synchronous_session_is_refused(used: bool) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        loader = SyncLoader(session)
        if used:
            assert loader.fetch_all(PLAN) == []
    with pytest.raises(LoaderError, match=r"LP408: the Session of this loader is closed"):
        loader.fetch_all(PLAN)
    engine.dispose()
