"""SQL by hand through asyncpg, and view objects built by hand: the limit.

The faster one of these ways is what Python and the driver can do on this machine. They take their connections from a
pool of asyncpg, whose reset of a connection that comes back is its default: a statement of its own.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import URL

from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Graph, HandWritten, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import POOL, Fetch, Rival

GRAPHS = (
    orders.ROW,
    orders.GRAPH,
    country.GRAPH,
    sheets.GRAPH,
    chain.GRAPH,
    products.GRAPH,
    top_five.GRAPH,
    tree.GRAPH,
    carriers.GRAPH,
)
"""What every rival is asked for."""


WHOLE = "whole rows"
"""The way that brings all columns, as entities have them."""

Connect: TypeAlias = Callable[[URL], contextlib.AbstractAsyncContextManager[Any]]
"""Opens a pool of a driver."""


@contextlib.asynccontextmanager
async def connect(url: URL) -> AsyncIterator[Any]:
    """Open a pool of asyncpg."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=POOL) as pool:
        yield pool


def way(graph: Graph, fetch: HandWritten) -> Fetch:
    """Return the way of some SQL by hand."""

    async def run(pool: Any, ask: Ask) -> Values:
        async with pool.acquire() as connection:
            found = await fetch(connection, ask)
        with reading():
            return [graph.read(each, iter) for each in found]

    return run


def rivals_by(driver: str, connect: Connect) -> tuple[Rival, ...]:
    """Return the ways by hand through a driver of PostgreSQL."""
    return tuple(
        Rival(
            f"{driver}, {name}",
            (driver,),
            connect,
            {graph.name: way(graph, graph.by_hand[name]) for graph in GRAPHS if name in graph.by_hand},
        )
        for name in ("one statement", "a level", "LATERAL", "window", WHOLE)
    )


RIVALS = rivals_by("asyncpg", connect)
