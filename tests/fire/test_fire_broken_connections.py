"""The connection is cut, stalls or crawls at every message of a fetch: a whole graph or one error, and a whole pool."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fire_checks import assert_whole
from fire_models import LONG, PLANS, STATEMENTS, Shelf, seen
from fire_relay import Fault, Relay, engine_through, relay_to
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan
from support import breaking_streams

NAME = "loadplan fire relay"

#: What a driver and SQLAlchemy say of a connection that is gone; nothing else may come out.
LOST = (DBAPIError, OSError)


async def stream(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return [seen(shelf) async for shelf in loader.stream(plan, order_by=Shelf.id, batch_size=2)]


async def fetch(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return [seen(await loader.fetch(plan, 1))]


Fetch = Callable[[Loader, LoadPlan[Any]], Awaitable[Any]]
CASES: list[tuple[str, Fetch]] = [*((name, fetch) for name in PLANS), ("entities", stream), ("by level", stream)]
cases = pytest.mark.parametrize(("name", "call"), CASES, ids=[f"{name}-{call.__name__}" for name, call in CASES])


@pytest.fixture
async def relay(library: AsyncEngine, postgres_url: URL) -> AsyncIterator[Relay]:
    async with relay_to(postgres_url) as relay:
        yield relay


@pytest.fixture
async def engine(request: pytest.FixtureRequest, relay: Relay, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    with breaking_streams(request):
        engine = engine_through(relay, postgres_url, NAME, request.param)
        yield engine
        await engine.dispose()


def places(count: int, seed: int, few: int) -> list[int]:
    """Return the messages to make a fault at: all of them, or the first, the last and some between."""
    if LONG or count <= few:
        return list(range(1, count + 1))
    between = random.Random(seed).sample(range(2, count), few - 2)  # noqa: S311 - which messages, no secret
    return sorted({1, count, *between})


async def recovered(engine: AsyncEngine, call: Fetch, plan: LoadPlan[Any], whole: Any, *, timeouts: int = 0) -> None:
    """Fail unless the pool is soon as good as new: each of its two connections may have to be found dead first.

    Args:
        engine: whose pool it is.
        call: with which it is tried.
        plan: to fetch.
        whole: what must come.
        timeouts: how often the driver's own may end the fetch, on a machine that is slower than that.
    """
    attempts = 3
    while attempts:
        try:
            assert await call(Loader(engine), plan) == whole
        except TimeoutError:
            timeouts -= 1
            if timeouts < 0:
                raise
        except DBAPIError as error:
            assert error.connection_invalidated  # noqa: PT017
            attempts -= 1
        else:
            return
    raise AssertionError("the pool does not recover")


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("by_server", [True, False], ids=["server", "driver"])
@cases
async def test_a_connection_that_breaks_at_a_message(
    relay: Relay,
    engine: AsyncEngine,
    neighbour: AsyncEngine,
    name: str,
    call: Fetch,
    by_server: bool,
    warm: bool,
) -> None:
    """Cold: from the connecting on. Warm: from BEGIN on, with statements that are prepared already."""
    plan, loader = PLANS[name], Loader(engine)
    whole = await call(loader, plan)

    async def ready() -> None:
        relay.arm()
        if warm:
            await recovered(engine, call, plan, whole)
        else:
            await engine.dispose()

    await ready()
    relay.arm()
    assert await call(loader, plan) == whole
    count = relay.counts[by_server]
    assert count >= STATEMENTS[name]
    failures = 0
    faults = [Fault.CUT, Fault.HALF, Fault.CLOSE]
    at_places = places(count, seed=count, few=6)
    together = itertools.product(at_places, faults) if LONG else zip(at_places, itertools.cycle(faults), strict=False)
    for at, fault in together:
        await ready()
        relay.arm(fault, at, by_server=by_server)
        try:
            assert await call(loader, plan) == whole
        except LOST as error:
            assert not (warm and isinstance(error, DBAPIError)) or error.connection_invalidated  # noqa: PT017
            failures += 1
        relay.arm()
        await assert_whole(engine, neighbour, NAME)
        await recovered(engine, call, plan, whole)
    assert failures


@cases
async def test_a_connection_that_crawls_brings_the_whole_graph(
    relay: Relay, engine: AsyncEngine, name: str, call: Fetch
) -> None:
    """Every message comes in pieces of three bytes."""
    whole = await call(Loader(engine), PLANS[name])
    await engine.dispose()
    relay.arm(crumbs=3)
    assert await call(Loader(engine), PLANS[name]) == whole


async def stalled(url: URL, call: Fetch, plan: LoadPlan[Any], at: int, whole: Any, neighbour: AsyncEngine) -> str:
    """Stall at a message, cancel the fetch there, and return what came of it."""
    name = f"{NAME} {at}"
    async with relay_to(url) as relay:
        engine = engine_through(relay, url, name)
        relay.arm(Fault.STALL, at)
        task = asyncio.ensure_future(call(Loader(engine), plan))
        stalls = asyncio.ensure_future(relay.reached.wait())
        await asyncio.wait([task, stalls], return_when=asyncio.FIRST_COMPLETED)
        if stalls.done():
            task.cancel()
        stalls.cancel()
        try:
            outcome = "whole" if await task == whole else "torn"
        except asyncio.CancelledError:
            outcome = "cancelled"
        relay.drop_all()
        await assert_whole(engine, neighbour, name)
        relay.arm()
        await recovered(engine, call, plan, whole)
        await engine.dispose()
        return outcome


@cases
async def test_a_connection_that_stalls_and_a_task_that_is_cancelled_for_it(
    relay: Relay, engine: AsyncEngine, neighbour: AsyncEngine, postgres_url: URL, name: str, call: Fetch
) -> None:
    """From the connecting on. Nothing comes back from the server any more, not even to the cancellation."""
    plan = PLANS[name]
    whole = await call(Loader(engine), plan)
    await engine.dispose()
    relay.arm()
    await call(Loader(engine), plan)
    at = places(relay.counts[True], seed=1, few=6)
    found: list[str] = []
    for start in range(0, len(at), 10):
        part = at[start : start + 10]
        found += await asyncio.gather(*(stalled(postgres_url, call, plan, each, whole, neighbour) for each in part))
    assert set(found) == {"cancelled"}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@cases
async def test_a_connection_that_stalls_and_the_driver_s_own_timeout(
    relay: Relay, neighbour: AsyncEngine, postgres_url: URL, name: str, call: Fetch, warm: bool
) -> None:
    """``command_timeout`` is the driver's: the fetch ends with its TimeoutError, once.

    Where it is the end of the transaction that stalls, the graph is there already, and comes; the connection goes.
    """
    plan = PLANS[name]
    engine = engine_through(relay, postgres_url, NAME, command_timeout=0.2, timeout=0.5)
    whole = await call(Loader(neighbour), plan)
    await recovered(engine, call, plan, whole, timeouts=20)
    if not warm:
        await engine.dispose()
    relay.arm()
    await call(Loader(engine), plan)
    raised = 0
    for at in places(relay.counts[True], seed=2, few=3)[:: 1 if LONG else 2]:
        if not warm:
            await engine.dispose()
        relay.arm(Fault.STALL, at)
        try:
            assert await call(Loader(engine), plan) == whole
        except (TimeoutError, DBAPIError):
            raised += 1
        relay.drop_all()
        relay.arm()
        await assert_whole(engine, neighbour, NAME)
        await recovered(engine, call, plan, whole, timeouts=20)
    assert raised
    await engine.dispose()
