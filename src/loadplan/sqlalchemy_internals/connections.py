"""Connections: rows as the driver made them, and transactions."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine

#: Execution options of a statement whose rows are read by position. The ORM uses them for its own statements. Without
#: them, a result compares its columns with the columns of the statement, each time that a statement with the same text
#: was compiled before. For some types, this comparison warns.
BY_POSITION: Mapping[str, Any] = {"_result_disable_adapt_to_context": True}


def takes_text(connection: Connection) -> bool:
    """Tell whether a statement may go to a connection as text, compiled before.

    It must not if somebody listens to statements before they are text, on the engine or the connection; the public API
    cannot list these listeners. It must not either if SQLAlchemy translates names of schemas.
    """
    dispatch: Any = connection.dispatch
    return not (
        dispatch.before_execute
        or dispatch.after_execute
        or connection.get_execution_options().get("schema_translate_map")
    )


def is_silent(connection: Connection) -> bool:
    """Tell whether a connection does nothing with a text but send it.

    Nobody ever listened to it, its engine or its dialect, nobody reads its log, and SQLAlchemy translates no names of
    schemas. ``_has_events`` is what SQLAlchemy itself asks before it looks for listeners, and ``_echo``
    before it logs.
    """
    ours: Any = connection
    return not (
        ours._has_events
        or ours.engine._has_events
        or ours.dialect._has_events
        or ours._echo
        or connection.get_execution_options().get("schema_translate_map")
    )


def is_in_plain_transaction(connection: Connection) -> bool:
    """Tell whether a connection is in a transaction that nothing ended, so that a text may go to its driver.

    ``Connection.execute`` asks the same before it sends anything.
    """
    ours: Any = connection
    outer, inner = ours._transaction, ours._nested_transaction
    ends = ours._trans_context_manager is None and (inner is None or inner.is_active)
    return bool(ends and outer is not None and outer.is_active)


def rows_of_text(connection: Connection, sql: str, parameters: tuple[Any, ...] | dict[str, Any]) -> list[Any]:
    """Return all rows of a text as the driver made them, through the cursor of a silent connection.

    ``exec_driver_sql`` also serves listeners, the log, and a result that knows its columns. That is half of the time of
    a small statement. ``Connection._handle_dbapi_exception`` handles errors, as for every statement: the error becomes
    SQLAlchemy's, and a lost connection is taken out of the pool with all others of its age.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, parameters)
        rows = list(cursor.fetchall())
    except BaseException as error:
        dbapi: Any = connection.dialect.loaded_dbapi
        known = isinstance(error, dbapi.Error)  # the statement does not have this name, so its value stays as it is
        connection._handle_dbapi_exception(error, sql if known else None, parameters, cursor, None)
    cursor.close()
    return rows


def chosen_isolation(engine: Engine) -> str | None:
    """Return the isolation level that transactions of an engine have, as far as it is known by now.

    ``create_engine(isolation_level=...)`` is kept in a private name of the dialect alone.
    """
    chosen = engine.get_execution_options().get("isolation_level")
    at_connect = getattr(engine.dialect, "_on_connect_isolation_level", None)
    found: str | None = chosen or at_connect or getattr(engine.dialect, "default_isolation_level", None)
    return found


def driver_rows(result: CursorResult[Any]) -> list[Any]:
    """Return all rows of a result as the driver made them, and close it.

    ``CursorResult.cursor`` is the DBAPI cursor, which the documentation does not name. Rows that go into objects at
    once need no ``Row`` around them; making those takes as long as the driver does for the rows themselves.
    """
    cursor: Any = result.cursor
    rows: list[Any] = cursor.fetchall()
    result.close()
    return rows
