"""Graphs of the forum as plain values, and every way of asking for them."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader
from replicas.forum import LATEST, MEMBER, NOTES, THREADS, TOPIC, Member, Topic


def values(found: Any) -> Any:
    """Return what is loaded of a graph, all the way down. The forum's plans have no cycles."""
    if isinstance(found, list):
        return [values(each) for each in found]
    state = inspect(found, raiseerr=False)
    if state is None:
        return found
    return {key: values(value) for key, value in state.dict.items() if key in state.mapper.attrs}


async def streamed(loader: Loader) -> list[Topic]:
    return [topic async for topic in loader.stream(TOPIC, order_by=Topic.id, batch_size=6)]


async def paged(loader: Loader) -> list[Topic]:
    first = await loader.fetch_page(TOPIC, Topic.title.desc(), size=7)
    second = await loader.fetch_page(TOPIC, Topic.title.desc(), size=7, after=first.next)
    return [*first.items, *second.items]


CALLS: dict[str, Callable[[Loader], Awaitable[Any]]] = {
    "one statement": lambda loader: loader.fetch(MEMBER, 2),
    "two statements": lambda loader: loader.fetch(TOPIC, 5),
    "many by key": lambda loader: loader.fetch_many(TOPIC, [7, 3, 5]),
    "lateral": lambda loader: loader.fetch_all(LATEST, order_by=Topic.id),
    "recursive": lambda loader: loader.fetch_all(THREADS, order_by=Topic.id),
    "unnest": lambda loader: loader.fetch_all(NOTES, order_by=Member.id),
    "pages": paged,
    "stream": streamed,
}
"""Each of them, by what it asks of the database."""


def checked_out(engine: AsyncEngine) -> int:
    pool = engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout()
