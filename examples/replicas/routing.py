"""One session for both servers: reads go to the replica, and to the primary from the first write on."""

from typing import Any

from sqlalchemy import Engine, UpdateBase
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session

ON_PRIMARY = "on_primary"
"""Key of ``session.info``: this session reads and writes on the primary."""


class RoutedSession(Session):
    """Chooses an engine for each statement.

    A session that has flushed, or executed an INSERT, UPDATE or DELETE, stays with the primary: only there can it
    see what it wrote. One that will lock rows, or must not read old ones, says so at its start with
    ``maker(info={ON_PRIMARY: True})``.

    Args:
        primary: for writes, and for what follows them.
        replica: for all other reads.
        options: of ``Session``.
    """

    def __init__(self, *, primary: Engine, replica: Engine, **options: Any) -> None:
        super().__init__(**options)
        self.primary = primary
        self.replica = replica

    def get_bind(self, mapper: Any = None, *, clause: Any = None, bind: Any = None, **arguments: Any) -> Any:
        """Return the engine for a statement.

        Source: SQLAlchemy's documentation on partitioning by ``get_bind`` tells a flush by ``Session._flushing``.
        """
        if bind is not None:
            return bind
        if self._flushing or isinstance(clause, UpdateBase):
            self.info[ON_PRIMARY] = True
        return self.primary if self.info.get(ON_PRIMARY) else self.replica


def routed_sessions(primary: AsyncEngine, replica: AsyncEngine) -> async_sessionmaker[Any]:
    """Return a sessionmaker whose sessions are routed. ``Loader(routed_sessions(...))`` reads from the replica."""
    return async_sessionmaker(
        sync_session_class=RoutedSession,
        primary=primary.sync_engine,
        replica=replica.sync_engine,
        expire_on_commit=False,
    )
