"""The databases that cases run on, in one embedded server: the atlas, the shop, and a shop with many reviews."""

import contextlib
from collections.abc import AsyncIterator

import attrs
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from atlas.database import ensure_atlas
from benchmarks import shop
from benchmarks.measure import database, run_alone

SMALL = 100
REVIEWS = 1_000_000
FEW_REVIEWS = 20_000


@attrs.define
class Databases:
    """Databases that are filled when they are first asked for.

    Attributes:
        server: an engine on the server.
        orders: of the shop.
        reviews: of the shop with many of them.
        prefix: of the databases' names.
    """

    server: AsyncEngine
    orders: int
    reviews: int
    prefix: str = ""
    _filled: set[str] = attrs.field(factory=set)

    async def url(self, name: str) -> URL:
        """Return where "atlas", "shop" or "reviews" is, with its rows in it."""
        database_name = self.prefix + name
        exists = text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)")
        async with self.server.connect() as connection:
            found = await connection.scalar(exists, {"name": database_name})
        if not found:
            await run_alone(self.server, f'CREATE DATABASE "{database_name}"')
        url = self.server.url.set(database=database_name)
        if name not in self._filled:
            engine = create_async_engine(url)
            try:
                await self._fill(name, engine)
            finally:
                await engine.dispose()
            self._filled.add(name)
        return url

    async def _fill(self, name: str, engine: AsyncEngine) -> None:
        if name == "atlas":
            await ensure_atlas(engine)
        elif name == "shop":
            await shop.fill(engine, self.orders)
        else:
            await shop.fill(engine, SMALL, self.reviews)


@contextlib.asynccontextmanager
async def databases(orders: int, reviews: int, prefix: str = "") -> AsyncIterator[Databases]:
    """Start the server of the benchmarks."""
    async with database("benchmarks") as server:
        yield Databases(server, orders, reviews, prefix)
