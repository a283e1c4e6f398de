"""A task is cancelled, or its time is over, at every point where a fetch waits: no connection is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fire_checks import assert_whole
from fire_models import PLANS, Shelf, seen
from fire_steps import Steps, cancel_current
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader, LoadPlan
from support import breaking_streams, named_driver

NAME = "loadplan fire cancelled"


@pytest.fixture
async def engine(request: pytest.FixtureRequest, library: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    url, arguments = named_driver(request.param, postgres_url, NAME)
    with breaking_streams(request):
        engine = create_async_engine(url, pool_size=2, max_overflow=0, pool_timeout=5, connect_args=arguments)
        yield engine
        await engine.dispose()


Call = Callable[[AsyncEngine, LoadPlan[Any]], Awaitable[Any]]


async def fetch(engine: AsyncEngine, plan: LoadPlan[Any]) -> Any:
    return [seen(await Loader(engine).fetch(plan, 1))]


async def stream(engine: AsyncEngine, plan: LoadPlan[Any]) -> Any:
    return [seen(each) async for each in Loader(engine).stream(plan, order_by=Shelf.id, batch_size=2)]


async def in_session(engine: AsyncEngine, plan: LoadPlan[Any]) -> Any:
    async with AsyncSession(engine) as session:
        return [seen(await Loader(session).fetch(plan, 1))]


async def on_connection(engine: AsyncEngine, plan: LoadPlan[Any]) -> Any:
    async with engine.connect() as connection:
        return [seen(await Loader(connection).fetch(plan, 1))]


CASES = [
    *((name, call) for name in PLANS for call in (fetch, in_session)),
    ("entities", stream),
    ("by level", stream),
    ("by level", on_connection),
]
cases = pytest.mark.parametrize(("name", "call"), CASES, ids=[f"{name}-{call.__name__}" for name, call in CASES])
warmth = pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])


async def cancelled_at(at: tuple[int, ...], call: Call, engine: AsyncEngine, plan: LoadPlan[Any]) -> int:
    """Run a call that is cancelled at some of its waits; return how many it has."""
    steps = Steps(at, cancel_current())
    try:
        await steps.run(call(engine, plan))  # type: ignore[arg-type]
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        while task.cancelling():
            task.uncancel()
        assert steps.count >= at[0]
    else:
        assert not at or steps.count < at[0]  # a cancellation is never swallowed
    return steps.count


@pytest.mark.parametrize("more", [(), (1,), (1, 2)], ids=["once", "twice", "thrice"])
@warmth
@cases
async def test_a_task_that_is_cancelled_at_its_nth_wait(
    engine: AsyncEngine, neighbour: AsyncEngine, name: str, call: Call, warm: bool, more: tuple[int, ...]
) -> None:
    """And again at the waits right behind it, which are those of the tidying up."""
    plan = PLANS[name]
    whole = await call(engine, plan)

    async def ready() -> None:
        if warm:
            assert await call(engine, plan) == whole
        else:
            await engine.dispose()

    await ready()
    waits = await cancelled_at((), call, engine, plan)
    at_once = warm or engine.dialect.driver == "psycopg"  # psycopg does not wait for what has come already
    assert waits >= (1 if at_once else 5)
    for at in range(1, waits + 1):
        await ready()
        await cancelled_at((at, *(at + each for each in more)), call, engine, plan)
        await assert_whole(engine, neighbour, NAME)
    assert await call(engine, plan) == whole


@cases
async def test_a_time_limit_that_ends_at_the_nth_wait(
    engine: AsyncEngine, neighbour: AsyncEngine, name: str, call: Call
) -> None:
    """The caller sees the TimeoutError of ``asyncio.timeout`` and nothing else; or the graph, if it was there."""
    plan = PLANS[name]
    whole = await call(engine, plan)
    waits = await cancelled_at((), call, engine, plan)
    ended = 0
    for at in range(1, waits + 1):
        try:
            async with asyncio.timeout(None) as limit:
                now = asyncio.get_running_loop().time()
                steps = Steps((at,), lambda limit=limit, now=now: limit.reschedule(now))  # type: ignore[misc]
                assert await steps.run(call(engine, plan)) == whole  # type: ignore[arg-type]
        except TimeoutError:
            ended += 1
        await assert_whole(engine, neighbour, NAME)
    assert ended
    assert await call(engine, plan) == whole


@pytest.mark.parametrize("name", ["entities", "by level"])
async def test_a_stream_that_is_left_at_any_root_gives_its_connection_back(
    engine: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    for left_at in range(1, 7):
        walk = Loader(engine).stream(PLANS[name], order_by=Shelf.id, batch_size=2)
        for _ in range(left_at):
            await anext(walk)
        await walk.aclose()
        await assert_whole(engine, neighbour, NAME)
