"""A connection where a session would add nothing: no objects, and nobody who listens."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine

from loadplan.running.snapshot import Beginning

Opened: TypeAlias = Any
"""What a fetch runs on: a ``Session``, or for views an :class:`OwnConnection` where that will do."""


class OwnConnection:
    """What views ask of a session, of an engine's connection alone.

    Args:
        engine: where it comes from.
        beginning: how its transaction begins.
    """

    def __init__(self, engine: Engine, beginning: Beginning) -> None:
        self._connection = engine.connect()
        try:
            beginning.on(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def connection(self, bind_arguments: Mapping[str, Any]) -> Connection:
        """Return the connection; one database holds every class."""
        return self._connection

    def get_bind(self, **_: Any) -> Connection:
        """Return the connection; one database holds every class."""
        return self._connection

    def close(self) -> None:
        """End the transaction, and give the connection back."""
        self._connection.close()
