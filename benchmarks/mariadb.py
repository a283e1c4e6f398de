"""MariaDB for the cases: a server of the run's own, the rows of the shop in it, and the counts that it keeps itself."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from json import dumps
from typing import Any

import attrs
from sqlalchemy import ARRAY, URL, String, Table, Uuid, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles

from benchmarks.shop import Base
from benchmarks.targets import MARIADB
from benchmarks.wire import Count
from embedded_mariadb import mariadb_server

BATCH = 5_000
"""Rows of one INSERT."""

COLLATION = "utf8mb4_nopad_bin"
"""Compares text letter by letter, as PostgreSQL does."""

WARM = ("--innodb-buffer-pool-size=1G",)
"""All rows stay in memory, as they do in the PostgreSQL of the benchmarks."""


@compiles(String, "mysql", MARIADB)
def text_of_some_length(kind: String, _compiler: Any, **_: Any) -> str:
    """Give text columns a length: the mapping of the shop names none."""
    return f"VARCHAR({kind.length or 255})"


@compiles(JSONB, "mysql", MARIADB)
@compiles(ARRAY, "mysql", MARIADB)
def documents(_kind: Any, _compiler: Any, **_: Any) -> str:
    """Hold documents and arrays as JSON."""
    return "JSON"


@compiles(Uuid, "mysql", MARIADB)
def uuid_as_text(_kind: Any, _compiler: Any, **_: Any) -> str:
    """Hold UUIDs as text: MariaDB's own type refuses those without a version, and the shop's are hashes."""
    return "CHAR(36)"


@contextlib.contextmanager
def server() -> Iterator[URL]:
    """Run a MariaDB while the block does.

    Raises:
        RuntimeError: MariaDB is not installed.
    """
    with mariadb_server(WARM) as url:
        yield url


async def fill(source: AsyncEngine, server_url: URL, name: str) -> URL:
    """Make a database with the rows of a shop in PostgreSQL, and return where it is."""
    url = server_url.set(database=name)
    admin = create_async_engine(server_url)
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE `{name}` COLLATE {COLLATION}"))
    await admin.dispose()
    engine = create_async_engine(url, connect_args={"init_command": "SET foreign_key_checks = 0"})
    try:
        async with engine.begin() as to:
            await to.run_sync(Base.metadata.create_all)
        async with source.connect() as out_of, engine.begin() as to:
            for table in Base.metadata.sorted_tables:
                await copy(table, out_of, to)
        async with engine.connect() as connection:
            names = ", ".join(each.name for each in Base.metadata.sorted_tables)
            await connection.execute(text(f"ANALYZE TABLE {names}"))
    finally:
        await engine.dispose()
    return url


async def copy(table: Table, out_of: AsyncConnection, to: AsyncConnection) -> None:
    """Copy the rows of a table."""
    arrays = [each.name for each in table.columns if isinstance(each.type, ARRAY)]
    result = await out_of.stream(select(table).order_by(*table.primary_key))
    async for rows in result.mappings().partitions(BATCH):
        await to.execute(insert(table), [{**row, **as_text(row, arrays)} for row in rows])


def as_text(row: Any, names: list[str]) -> dict[str, str | None]:
    """Return the arrays of a row as the text of JSON."""
    return {name: None if row[name] is None else dumps(row[name]) for name in names}


@attrs.frozen
class Counter:
    """Reads what the server has counted of all connections but this one.

    Attributes:
        url: of the database.
    """

    url: URL
    _connection: AsyncConnection

    async def seen(self) -> Count:
        """Return what the server has counted so far. One question is one round trip."""
        rows = await self._connection.execute(text(STATUS))
        found = {name: int(value) for name, value in rows.tuples()}
        reads, questions = found["COM_SELECT"], found["QUESTIONS"]
        return Count(questions, reads, questions - reads, found["ROWS_SENT"], found["BYTES_SENT"])


STATUS = """
SELECT g.variable_name, g.variable_value - s.variable_value
FROM information_schema.global_status g JOIN information_schema.session_status s USING (variable_name)
WHERE g.variable_name IN ('COM_SELECT', 'QUESTIONS', 'ROWS_SENT', 'BYTES_SENT')"""


@contextlib.asynccontextmanager
async def counter(url: URL) -> AsyncIterator[Counter]:
    """Connect to what counts."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield Counter(url, connection)
    finally:
        await engine.dispose()
