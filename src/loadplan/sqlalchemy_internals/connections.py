"""Connections: the driver's own rows, and transactions."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine

#: Execution options of a statement whose rows are read by position. The ORM uses them for its own statements. Without
#: them, a result compares its columns with the columns of the statement, each time that a statement with the same text
#: was compiled before. For some types, this comparison warns.
BY_POSITION: Mapping[str, Any] = {"_result_disable_adapt_to_context": True}


def takes_text(connection: Connection) -> bool:
    """Tell whether loadplan may send a statement to a connection as text that it compiled before.

    The answer is False if a listener on the engine or the connection receives statements before they are text. The
    public API cannot list these listeners. It is also False if SQLAlchemy translates names of schemas.
    """
    dispatch: Any = connection.dispatch
    return not (
        dispatch.before_execute
        or dispatch.after_execute
        or connection.get_execution_options().get("schema_translate_map")
    )


def is_silent(connection: Connection) -> bool:
    """Tell whether a connection only sends a text, without listeners and without a log.

    The connection, its engine and its dialect never had a listener, its log is off, and SQLAlchemy translates no names
    of schemas. SQLAlchemy itself reads ``_has_events`` before it looks for listeners, and ``_echo`` before it logs.
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
    """Tell whether a connection is in a transaction that has not ended, so that loadplan may send a text to its driver.

    ``Connection.execute`` makes the same check before it sends a statement.
    """
    ours: Any = connection
    outer, inner = ours._transaction, ours._nested_transaction
    ends = ours._trans_context_manager is None and (inner is None or inner.is_active)
    return bool(ends and outer is not None and outer.is_active)


def rows_of_text(connection: Connection, sql: str, parameters: tuple[Any, ...] | dict[str, Any]) -> list[Any]:
    """Send a text through the cursor of a silent connection, and return the driver's own rows.

    ``exec_driver_sql`` also calls listeners, writes the log, and makes a result that knows its columns. This takes half
    of the time of a small statement. ``Connection._handle_dbapi_exception`` handles errors, as for every statement: the
    error becomes SQLAlchemy's, and SQLAlchemy takes a lost connection out of the pool, with all connections that are as
    old.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, parameters)
        rows = list(cursor.fetchall())
    except BaseException as error:
        dbapi: Any = connection.dialect.loaded_dbapi
        known = isinstance(error, dbapi.Error)  # any other error is raised unchanged
        connection._handle_dbapi_exception(error, sql if known else None, parameters, cursor, None)
    cursor.close()
    return rows


def chosen_isolation(engine: Engine) -> str | None:
    """Return the isolation level of an engine's transactions, or None if it is not known yet.

    SQLAlchemy stores ``create_engine(isolation_level=...)`` only in a private name of the dialect.
    """
    chosen = engine.get_execution_options().get("isolation_level")
    at_connect = getattr(engine.dialect, "_on_connect_isolation_level", None)
    found: str | None = chosen or at_connect or getattr(engine.dialect, "default_isolation_level", None)
    return found


def driver_rows(result: CursorResult[Any]) -> list[Any]:
    """Return the driver's own rows of a result, and close the result.

    ``CursorResult.cursor`` is the DBAPI cursor, and its strategy knows how to read it. The documentation names neither.
    With ``stream_results`` or ``yield_per``, SQLAlchemy has taken the first rows from the cursor already, and the
    strategy has them. loadplan puts the values into objects at once, so it needs no ``Row``. Making a ``Row`` takes as
    long as the driver takes for the row itself.
    """
    strategy: Any = result.cursor_strategy
    rows: list[Any] = strategy.fetchall(result, result.cursor)
    result.close()
    return rows
