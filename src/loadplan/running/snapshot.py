"""Begins the transaction of a fetch: one snapshot for several statements, with the SQL of each database."""

from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy import Connection, Engine

from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.sqlalchemy_internals import chosen_isolation


@attrs.frozen
class Beginning:
    """The steps on a new connection before the first statement.

    Attributes:
        options: execution options of the connection; None for none.
        statement: the first statement; None for none.
    """

    options: Mapping[str, Any] | None = None
    statement: str | None = None

    def on(self, connection: Connection) -> None:
        """Begin the transaction on a new connection."""
        if self.options is not None:
            connection.execution_options(**self.options)
        if self.statement is not None:
            connection.exec_driver_sql(self.statement)


_AS_IT_COMES = Beginning()


def beginning(engine: Engine, statements: int | None, *, snapshot: bool, hooks: bool) -> Beginning:
    """Return the steps that begin the transaction of a fetch.

    Args:
        engine: the engine of the connection.
        statements: the most statements in the transaction; None if they need a transaction, as a cursor does.
        snapshot: whether the statements must see one snapshot.
        hooks: whether a listener may set something for the transaction.
    """
    name = engine.dialect.name
    if name == "postgresql":
        return _on_postgresql(engine, statements, snapshot=snapshot, hooks=hooks)
    if name in MYSQL_FAMILY and statements != 1 and snapshot:
        return _on_mariadb(engine, hooks=hooks)
    return _AS_IT_COMES


def _on_postgresql(engine: Engine, statements: int | None, *, snapshot: bool, hooks: bool) -> Beginning:
    """Take one snapshot for several statements. Open no transaction if the statements do not need one.

    asyncpg and psycopg send ``BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`` instead of ``BEGIN``, so the snapshot
    costs nothing. BEGIN and ROLLBACK cost two round trips. A single statement needs neither of them. Several statements
    need neither if the caller wants no common snapshot: at READ COMMITTED, each statement takes its own snapshot.
    """
    chosen = engine.get_execution_options()
    hooks = hooks or any(chosen.get(name) for name in ("stream_results", "yield_per"))  # their cursor needs one
    is_apart = not snapshot and statements is not None and chosen_isolation(engine) == "READ COMMITTED"
    if statements == 1 or is_apart:
        return _AS_IT_COMES if hooks else Beginning({"isolation_level": "AUTOCOMMIT"})
    if not snapshot:
        return _AS_IT_COMES
    if chosen_isolation(engine) == "SERIALIZABLE":  # SERIALIZABLE includes a snapshot
        return Beginning({"postgresql_readonly": True})
    return Beginning({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})


def _on_mariadb(engine: Engine, *, hooks: bool) -> Beginning:
    """Take a snapshot when the transaction starts. This needs REPEATABLE READ, which is the default.

    ``START TRANSACTION`` costs one round trip, and commits what a listener may have done in the transaction that
    SQLAlchemy began. So if there is a listener, the first statement takes the snapshot instead.
    """
    isolation = chosen_isolation(engine)
    if isolation == "SERIALIZABLE":  # each read locks its rows, so they do not change
        return _AS_IT_COMES
    return Beginning(
        None if isolation == "REPEATABLE READ" else {"isolation_level": "REPEATABLE READ"},
        None if hooks else "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
