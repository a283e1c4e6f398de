"""Connections that stand in for a session if no listener needs the session."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from sqlalchemy import Connection, CursorResult, Engine, Executable

from loadplan.running.snapshot import Beginning
from loadplan.sqlalchemy_internals import is_in_plain_transaction

Opened: TypeAlias = Any
"""The object that a fetch runs on: a ``Session``, or an :class:`OwnConnection` if that is enough."""


#: The mark of a statement that cannot run in a server-side cursor, such as ``EXPLAIN``.
_AT_ONCE = "loadplan_at_once"

#: Execution options of this statement. An engine may have ``stream_results`` or ``yield_per`` for all its statements.
AT_ONCE: Mapping[str, Any] = {"stream_results": False, "yield_per": None, _AT_ONCE: True}


def without_cursor(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of a statement, and set :data:`AT_ONCE` again where a listener has changed them."""
    return {**options, **AT_ONCE} if options.get(_AT_ONCE) else options


class OwnConnection:
    """Has the methods of a session that a fetch needs, on a connection of an engine.

    Args:
        engine: the engine of the connection.
        beginning: the steps that begin its transaction.
    """

    def __init__(self, engine: Engine, beginning: Beginning) -> None:
        self._connection = engine.connect()
        try:
            beginning.on(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def connection(self, bind_arguments: Mapping[str, Any]) -> Connection:
        """Return the connection. It is the same for every class, because one database holds them all."""
        return self._connection

    def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any],
        *,
        execution_options: Mapping[str, Any] = MappingProxyType({}),
        bind_arguments: object = None,
    ) -> CursorResult[Any]:
        """Execute a statement. ``bind_arguments`` have no effect, because one database holds every class."""
        return self._connection.execute(statement, parameters, execution_options=execution_options)

    def get_bind(self, **_: Any) -> Connection:
        """Return the connection. It is the same for every class, because one database holds them all."""
        return self._connection

    def close(self) -> None:
        """End the transaction, and give the connection back."""
        self._connection.close()

    @property
    def sends_at_once(self) -> bool:
        """True if the driver may get a statement as text."""
        return True


class GuestConnection(OwnConnection):
    """Has the methods of a session that a fetch needs, on a connection of the caller, which stays open.

    Args:
        connection: the caller's connection. If it has no transaction, the fetch begins one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = None if connection.in_transaction() else connection.begin()

    def close(self) -> None:
        """End the transaction of the fetch, if there is one."""
        if self._begun is not None:
            self._begun.rollback()

    @property
    def sends_at_once(self) -> bool:
        """True if the driver may get a statement as text. It must not if the transaction has failed."""
        return is_in_plain_transaction(self._connection)
