"""SQL by hand through psycopg, and view objects built by hand: the limit of runs on that driver.

The statements are those of asyncpg: a raw cursor takes ``$1`` as it is. Values come in binary, so that rows within rows
are tuples with numbers and dates. Connections are in autocommit mode, as those of asyncpg are.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import attrs
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL

from benchmarks.rivals.by_hand import rivals_by
from benchmarks.rivals.rival import POOL


@attrs.frozen
class Connection:
    """A connection of psycopg with the one call that statements by hand make."""

    _connection: AsyncConnection[Any]

    async def fetch(self, sql: str, parameter: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement with one parameter."""
        async with AsyncRawCursor(self._connection) as cursor:
            await cursor.execute(sql.encode(), [parameter], binary=True)
            return await cursor.fetchall()


@attrs.frozen
class Pool:
    """A pool of psycopg with the call of asyncpg's."""

    _pool: AsyncConnectionPool[AsyncConnection[Any]]

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        async with self._pool.connection() as connection:
            yield Connection(connection)


@contextlib.asynccontextmanager
async def connect(url: URL) -> AsyncIterator[Pool]:
    """Open a pool of psycopg."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with AsyncConnectionPool(dsn, min_size=1, max_size=POOL, kwargs={"autocommit": True}, open=False) as pool:
        yield Pool(pool)


RIVALS = rivals_by("psycopg", connect)
