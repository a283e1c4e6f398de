"""Reads your own writes from a standby: notes the position of the WAL after a commit, and waits for its replay.

The standby is asked again and again until it has replayed this position, or until the caller's time limit. PostgreSQL
can also wait when you commit: with ``synchronous_commit = remote_apply``, a commit returns when the standbys in
``synchronous_standby_names`` have replayed it.
"""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_WRITTEN = text("SELECT CAST(pg_current_wal_lsn() AS text)")
_REPLAYED = text("SELECT pg_last_wal_replay_lsn() >= CAST(CAST(:position AS text) AS pg_lsn)")


async def written_position(primary: AsyncEngine) -> str:
    """Return the position up to which the primary has written its WAL, as ``"0/3000148"``. Call it after the commit.

    With ``synchronous_commit = off``, a commit returns before its WAL is written. This position may then be too early.
    """
    async with primary.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        position: str = (await connection.execute(_WRITTEN)).scalar_one()
    return position


async def wait_until_replayed(standby: AsyncEngine, position: str, *, patience: float = 10.0) -> None:
    """Wait until the standby has replayed the WAL up to ``position``.

    Args:
        standby: an engine on one standby. Behind a load balancer, the next connection may reach another standby.
        position: the position from :func:`written_position`.
        patience: the most seconds to wait.

    Raises:
        TimeoutError: the standby has not replayed the position yet. Read from the primary in this case.
        RuntimeError: the server has never been a standby.
    """
    waiting = standby.execution_options(isolation_level="AUTOCOMMIT")
    async with asyncio.timeout(patience), waiting.connect() as connection:
        replayed = None
        while not replayed:
            replayed = (await connection.execute(_REPLAYED, {"position": position})).scalar_one()
            if replayed is None:
                raise RuntimeError("this server does not replay WAL, so it is not a standby")


async def catch_up(primary: AsyncEngine, standby: AsyncEngine) -> None:
    """Wait until the standby shows everything that was committed on the primary before this call."""
    await wait_until_replayed(standby, await written_position(primary))
