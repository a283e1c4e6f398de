"""What a rival is: connections to a database, and the graphs that it can bring through them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import attrs
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.cases.case import Ask, Values

POOL = 10
"""Connections that each rival may open."""

Fetch: TypeAlias = Callable[[Any, Ask], Awaitable[Values]]
"""Fetches a graph through what ``Rival.connect`` made, and returns what was read of it."""


@attrs.frozen
class Rival:
    """One way to do the jobs.

    Attributes:
        name: in tables.
        packages: whose versions are stated. Rivals with the same first one and the same ``connect`` share what
            ``connect`` has made.
        connect: opens a pool of connections to the database of a URL.
        ways: the graphs that it can bring, by name.
        cannot: the reasons why it cannot bring others, by name. A graph that is in neither is no business of it: the
            rival is a variant of another one, for some graphs alone.
        notes: what is to be known of its figures, by the graph's name.
        most: roots beyond which it is left out, by the graph's name: a call would take as long as the rest of a run.
    """

    name: str
    packages: tuple[str, ...]
    connect: Callable[[URL], contextlib.AbstractAsyncContextManager[Any]]
    ways: Mapping[str, Fetch]
    cannot: Mapping[str, str] = attrs.field(factory=dict)
    notes: Mapping[str, str] = attrs.field(factory=dict)
    most: Mapping[str, int] = attrs.field(factory=dict)

    def way_to(self, graph: str, size: int) -> Fetch | None:
        """Return the way to so many roots of a graph, if it has one."""
        return self.ways.get(graph) if size <= self.most.get(graph, size) else None

    def why_not(self, graph: str) -> str | None:
        """Return why it has no way to a graph, or not to as many roots as are asked for; None if that is its nature."""
        if graph in self.most:
            return f"left out above {self.most[graph]:,} roots"
        return f"cannot: {self.cannot[graph]}" if graph in self.cannot else None


@contextlib.asynccontextmanager
async def sqlalchemy_engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """Connect as all rivals on SQLAlchemy do."""
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)
    try:
        yield engine
    finally:
        await engine.dispose()
