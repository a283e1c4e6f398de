"""One session for both servers. It reads from the replica, and after its first write from the primary."""

from typing import Any

from sqlalchemy import Engine, UpdateBase
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session

ON_PRIMARY = "on_primary"
"""The key of ``session.info`` for a session that also reads from the primary."""


class RoutedSession(Session):
    """Chooses an engine for each statement.

    A session that has flushed, or executed an INSERT, UPDATE or DELETE, stays with the primary. Only the primary shows
    its changes. If a session will lock rows, or must not read old rows, make it with
    ``maker(info={ON_PRIMARY: True})``.

    Args:
        primary: the engine for writes, and for reads after the first write.
        replica: the engine for all other reads.
        options: options of ``Session``.
    """

    def __init__(self, *, primary: Engine, replica: Engine, **options: Any) -> None:
        super().__init__(**options)
        self.primary = primary
        self.replica = replica

    def get_bind(self, mapper: Any = None, *, clause: Any = None, bind: Any = None, **arguments: Any) -> Any:
        """Return the engine for a statement.

        Source: SQLAlchemy's documentation on partitioning by ``get_bind`` recognizes a flush by ``Session._flushing``.
        """
        if bind is not None:
            return bind
        if self._flushing or isinstance(clause, UpdateBase):
            self.info[ON_PRIMARY] = True
        return self.primary if self.info.get(ON_PRIMARY) else self.replica


def routed_sessions(primary: AsyncEngine, replica: AsyncEngine) -> async_sessionmaker[Any]:
    """Return a sessionmaker of :class:`RoutedSession`. ``Loader(routed_sessions(...))`` reads from the replica."""
    return async_sessionmaker(
        sync_session_class=RoutedSession,
        primary=primary.sync_engine,
        replica=replica.sync_engine,
        expire_on_commit=False,
    )
