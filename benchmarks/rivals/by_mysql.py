"""SQL by hand through aiomysql or asyncmy, and view objects built by hand: the limit of runs on MariaDB.

The statements are those of PostgreSQL, with a list of keys in place of an array. MariaDB has no rows within rows and
no LATERAL, so those ways are left out.
"""

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
from sqlalchemy import URL

from benchmarks.cases import carriers, chain, orders, products, sheets, top_five, tree
from benchmarks.rivals.by_hand import WHOLE, way
from benchmarks.rivals.rival import POOL, Rival

WAYS = {
    "one statement": (orders.ROW, chain.GRAPH, carriers.GRAPH, tree.GRAPH, sheets.GRAPH),
    "a level": (orders.GRAPH, products.GRAPH, carriers.GRAPH),
    "window": (top_five.GRAPH,),
    WHOLE: (orders.ROW, orders.GRAPH, chain.GRAPH, carriers.GRAPH, products.GRAPH),
}
"""Graphs by the way that MariaDB takes as it is written for PostgreSQL."""


@attrs.frozen
class Connection:
    """A connection with the one call that statements by hand make."""

    _connection: Any

    async def fetch(self, sql: str, parameter: Any) -> Any:
        """Return the rows of a statement with one parameter; the driver writes a list as ``(1, 2, 3)``."""
        text = sql.replace("= ANY($1)", "IN %(given)s").replace("$1", "%(given)s")
        given = tuple(parameter) if isinstance(parameter, list) else parameter  # asyncmy takes no list
        async with self._connection.cursor() as cursor:
            await cursor.execute(text, {"given": given})
            return await cursor.fetchall()


@attrs.frozen
class Pool:
    """A pool with the call of asyncpg's."""

    _pool: Any

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        async with self._pool.acquire() as connection:
            yield Connection(connection)


def connect_by(driver: str) -> Callable[[URL], contextlib.AbstractAsyncContextManager[Pool]]:
    """Return what opens a pool of a driver."""
    create_pool = importlib.import_module(driver).create_pool

    @contextlib.asynccontextmanager
    async def connect(url: URL) -> AsyncIterator[Pool]:
        where: dict[str, Any] = {"host": url.host, "port": url.port or 3306, "user": url.username, "db": url.database}
        where |= {name: value for name, value in url.query.items() if name in {"unix_socket", "charset"}}
        pool = await create_pool(**where, password=url.password or "", minsize=1, maxsize=POOL, autocommit=True)
        try:
            yield Pool(pool)
        finally:
            pool.close()
            await pool.wait_closed()

    return connect


def rivals_of(driver: str) -> tuple[Rival, ...]:
    """Return the ways by hand through a driver."""
    connect = connect_by(driver)
    return tuple(
        Rival(
            f"{driver}, {name}",
            (driver,),
            connect,
            {graph.name: way(graph, graph.by_hand[name]) for graph in graphs},
        )
        for name, graphs in WAYS.items()
    )
