"""SQLite databases in memory as bytes: saved once, restored as often as somebody needs an equal one."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


async def saved(engine: AsyncEngine) -> bytes:
    """Return the whole database of an engine on aiosqlite."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        content: bytes = await driver._execute(driver._conn.serialize)
        return content


async def restored(content: bytes) -> AsyncEngine:
    """Return an engine on a new database with that content."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=sa.StaticPool)
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver._execute(driver._conn.deserialize, content)
    return engine
