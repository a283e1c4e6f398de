"""Private sessions for a fetch inside the caller's transaction. The listeners of the caller's session apply."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import contextlib
from functools import lru_cache
from typing import Any

import attrs
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapper, Session

from loadplan.running.binds import plain_session
from loadplan.running.own_connection import GuestConnection, Opened
from loadplan.running.refusals import closed_session, one_task_at_a_time
from loadplan.running.session import Mappers, PrivateSession, databases_of
from loadplan.running.shards import in_shard, stay_on_shard
from loadplan.sqlalchemy_internals import copy_listeners, is_closed, is_flushing


@attrs.frozen(eq=False)
class GuestOfConnection(PrivateSession):
    """A session on the caller's connection. If no listener needs the session, it is only the connection."""

    connection: AsyncConnection | Connection
    bare: bool = False

    @property
    def in_transaction_of_caller(self) -> bool:
        """True if it runs inside a transaction that the caller began."""
        return self.connection.in_transaction()

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds a class."""
        return self.connection.dialect

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return one_task_at_a_time(type(self.connection).__name__)

    def _start(self, mappers: Mappers, statements: int | None) -> Opened:
        given = self.connection
        connection = given.sync_connection if isinstance(given, AsyncConnection) else given
        if self.bare and connection is not None:
            return GuestConnection(connection)
        return Session(
            connection,
            autoflush=False,
            expire_on_commit=False,
            join_transaction_mode="rollback_only",
        )


@attrs.frozen(eq=False)
class GuestOfSession(PrivateSession):
    """A session on the connections that the caller's session has, or would take, inside its transaction."""

    given: AsyncSession | Session
    shard: str | None = None

    @property
    def session(self) -> Session:
        """The caller's session; for an ``AsyncSession``, its ``sync_session``."""
        return plain_session(self.given)

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds a class."""
        return self.session.get_bind(mapper=mapper, **in_shard(self.shard)).dialect

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return (number, dialect) of the database of each class; None if one database has all classes."""
        return None if self.shard is not None else databases_of(self.session, mappers)

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return one_task_at_a_time("AsyncSession" if isinstance(self.given, AsyncSession) else "Session")

    def _start(self, mappers: Mappers, statements: int | None) -> Opened:
        caller = self._flushed()
        kind: Any = type(caller)
        guest = _guest_class(kind)
        joined = _join(guest.__new__(guest), caller, self.shard)
        if self.shard is not None:
            stay_on_shard(joined, self.shard)
        return joined

    def _flushed(self) -> Session:
        """Flush the caller's session if it has autoflush, and return it.

        A listener for ``before_flush`` can fetch with a ``SyncLoader``: as in SQLAlchemy, nothing is flushed then. An
        ``AsyncSession`` cannot be here during its own flush, so there the flush belongs to another task.

        Raises:
            LoaderError: LP408, the session is closed.
        """
        caller = self.session
        if is_closed(caller):
            raise closed_session(self.given)
        if caller.autoflush and not (isinstance(self.given, Session) and is_flushing(caller)):
            caller.flush()
        return caller


class BareGuest(GuestOfSession):
    """The connection that the caller's session has, or would take, if no listener needs the session."""

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return (number, dialect) of the database of each class; None if one database has all classes."""
        return None

    def _start(self, mappers: Mappers, statements: int | None) -> Opened:
        return GuestConnection(self._flushed().connection())


@lru_cache(maxsize=256)
def _guest_class(session_class: Any) -> type[Session]:
    """Return a subclass of the caller's session class that uses the caller's connections.

    Listeners on the caller's class apply to a subclass, and ``isinstance`` in them is true. The caller's session still
    chooses the bind (``binds``, an overridden ``get_bind``), and returns the connection of its transaction.
    """

    def get_bind(self: Any, mapper: Any = None, *, clause: Any = None, bind: Any = None, **kw: Any) -> Any:
        if bind is not None:  # a listener chose it: use the caller's connection of this engine
            return self._loadplan_caller.connection({"bind": bind}) if isinstance(bind, Engine) else bind
        return self._loadplan_caller.connection({"mapper": mapper, "clause": clause, **kw, **self._loadplan_in_shard})

    def connection(self: Any, bind_arguments: Any = None, execution_options: Any = None) -> Any:
        given = dict(bind_arguments or {})
        if isinstance(given.get("bind"), Engine):
            given["bind"] = get_bind(self, bind=given["bind"])
        return Session.connection(self, given, execution_options)

    names = {"get_bind": get_bind, "connection": connection, "__module__": __name__}
    return type(session_class.__name__, (session_class,), names)


def _join(session: Session, caller: Session, shard: str | None) -> Session:
    """Make ``session`` a guest of ``caller``. It gets the caller's connections, listeners, ``info`` and attributes.

    This does not call ``__init__`` of the application's subclass, which may need arguments that only the application
    knows. The caller already has the attributes that ``__init__`` sets.
    """
    Session.__init__(session, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only")
    ours = vars(session)
    ours["_loadplan_caller"] = caller
    ours["_loadplan_in_shard"] = in_shard(shard)
    ours["info"] = caller.info
    if hasattr(caller, "execution_options"):  # since SQLAlchemy 2.1
        ours["execution_options"] = caller.execution_options
    for name, value in vars(caller).items():
        if not hasattr(Session, name):
            ours.setdefault(name, value)
    copy_listeners(caller, session)
    return session
