"""What holds after every fetch, however it ended: nothing is out of the pool, nothing is open on the server."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

#: Connections of ours that are in a transaction, or still execute something; ``name`` is their application_name.
_BUSY = text(
    "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = :name AND pid <> pg_backend_pid() AND state <> 'idle'"
)


def checked_out(engine: AsyncEngine) -> int:
    """Connections that the pool has given out."""
    pool = engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout()


async def assert_whole(engine: AsyncEngine, watcher: AsyncEngine, name: str, *, patience: int = 2000) -> None:
    """Fail unless the pool has all its connections back and none of them is in a transaction.

    Args:
        engine: whose pool it is.
        watcher: asks the server; not through the pool.
        name: application_name of the connections.
        patience: how often the server is asked. A backend whose client is gone takes its time to notice.
    """
    assert checked_out(engine) == 0
    async with watcher.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for _ in range(patience):
            busy = (await connection.execute(_BUSY, {"name": name})).all()
            if not busy:
                return
    raise AssertionError(f"still open on the server: {busy}")


@contextlib.contextmanager
def listening(target: Any, name: str, listener: Callable[..., Any], **options: Any) -> Iterator[None]:
    """Listen to an event while the block runs."""
    event.listen(target, name, listener, **options)
    try:
        yield
    finally:
        event.remove(target, name, listener)
