"""Keeps the engine and a loader for each region as long as the process runs."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from fastapi_atlas import plans
from fastapi_atlas.tenants import Region, region_sessions
from loadplan import FetchRecord, Loader, LoadPlan


@attrs.frozen
class Settings:
    """The settings of a deployment.

    Attributes:
        url: the URL of the database.
        cursor_key: the secret that signs page cursors. All processes of the service use the same secret.
        api_keys: for each API key, the codes of the continents that it may see.
        pool_size: the most connections.
        max_rows: the most rows of an answer whose size the request decides. For an export, the most rows of each batch.
        plans: the plans to check at start-up.
        on_fetch: called after every fetch, for example for a log, a metric or a trace.
    """

    url: URL
    cursor_key: bytes = attrs.field(repr=False)
    api_keys: Mapping[str, Region] = attrs.field(repr=False)
    pool_size: int = 5
    max_rows: int = 5_000
    plans: tuple[LoadPlan[Any], ...] = plans.ALL
    on_fetch: Callable[[FetchRecord], object] | None = None


@attrs.frozen(eq=False)
class Access:
    """The sessions and loaders for the requests with an API key.

    Attributes:
        sessions: makes sessions for writing. They see only the region.
        loader: the loader for reading. All requests of the region share it.
        bounded: a loader with ``max_rows``, for answers whose size the request decides. It counts rows as they arrive,
            so its views take a statement for each level, never one statement for all levels.
    """

    sessions: async_sessionmaker[AsyncSession]
    loader: Loader
    bounded: Loader


@attrs.frozen(eq=False)
class Service:
    """The opened service."""

    engine: AsyncEngine
    _access: Mapping[str, Access]

    def access(self, api_key: str | None) -> Access | None:
        """Return the sessions and loaders for an API key; None if the key is not known."""
        return None if api_key is None else self._access.get(api_key)


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Check the plans, then open the service. Dispose of the engine at the end of the block.

    Raises:
        PlanError: a plan does not resolve. The error lists the problems of all plans. Nothing is open then.
    """
    engine = create_async_engine(settings.url, pool_size=settings.pool_size, max_overflow=0)
    try:
        Loader(engine).check(*settings.plans)
        regions = {region: _access(settings, engine, region) for region in set(settings.api_keys.values())}
        yield Service(engine, {key: regions[region] for key, region in settings.api_keys.items()})
    finally:
        await engine.dispose()


def _access(settings: Settings, engine: AsyncEngine, region: Region) -> Access:
    sessions = region_sessions(engine, region)
    return Access(
        sessions,
        loader=Loader(sessions, cursor_key=settings.cursor_key, on_fetch=settings.on_fetch),
        bounded=Loader(sessions, max_rows=settings.max_rows, on_fetch=settings.on_fetch),
    )
