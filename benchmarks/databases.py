"""The databases that cases run on, in one embedded server: the atlas, the shop, and a shop with many reviews.

PostgreSQL makes the rows. A run on MariaDB copies them from there, so that both have the same ones.
"""

import contextlib
from collections.abc import AsyncIterator

import attrs
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from atlas.database import ensure_atlas
from benchmarks import mariadb, shop
from benchmarks.measure import database, run_alone
from benchmarks.targets import DEFAULT, MARIADB, Target

SMALL = 100
REVIEWS = 1_000_000
FEW_REVIEWS = 20_000


@attrs.define
class Databases:
    """Databases that are filled when they are first asked for.

    Attributes:
        server: an engine on PostgreSQL.
        orders: of the shop.
        reviews: of the shop with many of them.
        prefix: of the databases' names.
        target: the database and driver that rivals connect to.
        copies: the URL of MariaDB, if that is the target.
    """

    server: AsyncEngine
    orders: int
    reviews: int
    prefix: str = ""
    target: Target = DEFAULT
    copies: URL | None = None
    _filled: set[str] = attrs.field(factory=set)
    _copied: dict[str, URL] = attrs.field(factory=dict)

    async def url(self, name: str) -> URL:
        """Return where "atlas", "shop" or "reviews" is on the target, with its rows in it."""
        url = await self._original(name)
        if self.copies is not None:
            if name not in self._copied:
                source = create_async_engine(url)
                try:
                    self._copied[name] = await mariadb.fill(source, self.copies, name)
                finally:
                    await source.dispose()
            url = self._copied[name]
        return url.set(drivername=self.target.drivername)

    async def version(self) -> str:
        """Return the name and version of the target's database."""
        if self.copies is None:
            async with self.server.connect() as connection:
                return f"PostgreSQL {await connection.scalar(text('SHOW server_version'))}"
        engine = create_async_engine(self.copies)
        try:
            async with engine.connect() as connection:
                return f"MariaDB {await connection.scalar(text('SELECT VERSION()'))}"
        finally:
            await engine.dispose()

    async def _original(self, name: str) -> URL:
        """Return where the rows are in PostgreSQL, which are made if they are missing."""
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
async def databases(orders: int, reviews: int, prefix: str = "", target: Target = DEFAULT) -> AsyncIterator[Databases]:
    """Start the servers of the benchmarks.

    Raises:
        RuntimeError: the target is MariaDB, and it is not installed.
    """
    async with contextlib.AsyncExitStack() as stack:
        copies = stack.enter_context(mariadb.server()) if target.database == MARIADB else None
        server = await stack.enter_async_context(database("benchmarks"))
        yield Databases(server, orders, reviews, prefix, target, copies)
