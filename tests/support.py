"""What tests share: recording the SQL that runs, databases made for one test, and the errors read aloud."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.ext.asyncio import AsyncEngine


class Statements(list[str]):
    """The SQL texts that ran while recording, in order; SELECTs alone unless asked otherwise."""

    @property
    def selects(self) -> list[str]:
        return [sql for sql in self if sql.lstrip().upper().startswith(("SELECT", "WITH"))]


@contextlib.contextmanager
def recording(engine: AsyncEngine) -> Iterator[Statements]:
    """Record every statement that reaches the driver through ``engine`` while the block runs."""
    statements = Statements()

    def before(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        statements.append(sql)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    try:
        yield statements
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)


@contextlib.asynccontextmanager
async def tables(engine: AsyncEngine, metadata: MetaData) -> AsyncIterator[AsyncEngine]:
    """Create the tables of ``metadata`` for the block, and drop them after it."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        yield engine
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
        if engine.dialect.driver == "psycopg":  # its connections keep statements that speak of dropped enums
            await engine.dispose()
