"""How a fetch's own transaction begins: one snapshot for several statements, in the words of each database."""

from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy import Connection, Engine

from loadplan.sqlalchemy_internals import chosen_isolation


@attrs.frozen
class Beginning:
    """The steps on a new connection before the first statement.

    Attributes:
        options: execution options of the connection; None for none.
        statement: sent first; None for none.
    """

    options: Mapping[str, Any] | None = None
    statement: str | None = None

    def on(self, connection: Connection) -> None:
        """Begin."""
        if self.options is not None:
            connection.execution_options(**self.options)
        if self.statement is not None:
            connection.exec_driver_sql(self.statement)


_AS_IT_COMES = Beginning()


def beginning(engine: Engine, statements: int, *, snapshot: bool, hooks: bool) -> Beginning:
    """Return how a transaction begins.

    Args:
        engine: of the connection.
        statements: that the transaction may hold.
        snapshot: whether they are to see one state.
        hooks: whether somebody may tie state to the transaction.
    """
    name = engine.dialect.name
    if name == "postgresql":
        return _on_postgresql(engine, statements, snapshot=snapshot, hooks=hooks)
    if name in {"mysql", "mariadb"} and statements > 1 and snapshot:
        return _on_mariadb(engine, hooks=hooks)
    return _AS_IT_COMES


def _on_postgresql(engine: Engine, statements: int, *, snapshot: bool, hooks: bool) -> Beginning:
    """Take one snapshot for several statements, and no transaction for a single one.

    asyncpg sends ``BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`` where it would send ``BEGIN``, and so does
    psycopg: the snapshot costs nothing. BEGIN and ROLLBACK around one statement would cost two round trips.
    """
    if statements == 1:
        return _AS_IT_COMES if hooks else Beginning({"isolation_level": "AUTOCOMMIT"})
    if not snapshot:
        return _AS_IT_COMES
    if chosen_isolation(engine) == "SERIALIZABLE":  # this level includes a snapshot
        return Beginning({"postgresql_readonly": True})
    return Beginning({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})


def _on_mariadb(engine: Engine, *, hooks: bool) -> Beginning:
    """Take a snapshot when the transaction starts; under REPEATABLE READ, the default, alone is there one.

    ``START TRANSACTION`` costs one round trip. It commits what a listener may have done in the transaction that
    SQLAlchemy began. So if anybody listens, the first statement takes the snapshot instead.
    """
    isolation = chosen_isolation(engine)
    if isolation == "SERIALIZABLE":  # each read locks its rows, so they do not change
        return _AS_IT_COMES
    return Beginning(
        None if isolation == "REPEATABLE READ" else {"isolation_level": "REPEATABLE READ"},
        None if hooks else "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
