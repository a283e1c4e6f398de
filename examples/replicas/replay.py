"""Read your own writes from a standby: note where the WAL stands after the commit, wait until it has been replayed.

Polled, one round trip after another, and never for longer than the caller has patience. PostgreSQL can also do the
waiting on the other side: a commit with ``synchronous_commit = remote_apply`` returns when the standbys named in
``synchronous_standby_names`` have replayed it.
"""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_WRITTEN = text("SELECT CAST(pg_current_wal_lsn() AS text)")
_REPLAYED = text("SELECT pg_last_wal_replay_lsn() >= CAST(CAST(:position AS text) AS pg_lsn)")


async def written_position(primary: AsyncEngine) -> str:
    """Return how far the WAL of the primary is written, as ``"0/3000148"``: ask after the commit.

    With ``synchronous_commit = off`` a commit returns before its WAL is written; this position may then be too early.
    """
    async with primary.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        position: str = (await connection.execute(_WRITTEN)).scalar_one()
    return position


async def wait_until_replayed(standby: AsyncEngine, position: str, *, patience: float = 10.0) -> None:
    """Come back when the standby has replayed the WAL up to ``position``.

    Args:
        standby: an engine on one standby. Behind a load balancer the next connection may be to another one.
        position: from :func:`written_position`.
        patience: seconds.

    Raises:
        TimeoutError: it is not there yet; read from the primary, then.
        RuntimeError: the server has never been a standby.
    """
    waiting = standby.execution_options(isolation_level="AUTOCOMMIT")
    async with asyncio.timeout(patience), waiting.connect() as connection:
        replayed = None
        while not replayed:
            replayed = (await connection.execute(_REPLAYED, {"position": position})).scalar_one()
            if replayed is None:
                raise RuntimeError("this server replays no WAL: it is no standby")


async def catch_up(primary: AsyncEngine, standby: AsyncEngine) -> None:
    """Wait until the standby shows all that was committed on the primary before this call."""
    await wait_until_replayed(standby, await written_position(primary))
