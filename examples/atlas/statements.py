"""Records the SQL that an engine sends: its text, its rows and its time."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True)
class Statement:
    """One statement that ran: the SQL as it was sent, the number of rows, and the time that the driver took."""

    sql: str
    rows: int
    seconds: float


@contextmanager
def watch(engine: AsyncEngine) -> Generator[list[Statement], None, None]:
    """Collect the statements that the engine sends inside the ``with`` block. Only one task must use the engine."""
    statements: list[Statement] = []
    started = 0.0

    def before(*_: Any) -> None:
        nonlocal started
        started = time.perf_counter()

    def after(_connection: Connection, cursor: Any, sql: str, *_: Any) -> None:
        statements.append(Statement(sql, cursor.rowcount, time.perf_counter() - started))

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
    try:
        yield statements
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
        event.remove(engine.sync_engine, "after_cursor_execute", after)
