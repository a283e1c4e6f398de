"""What lives as long as the process: the engine, and a loader for each region."""

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
    """What a deployment decides.

    Attributes:
        url: of the database.
        cursor_key: secret that page cursors are signed with; the same in all processes of the service.
        api_keys: what each key may see, as codes of continents.
        pool_size: connections at most.
        max_rows: of one answer, where the request decides how much comes; of an export, for each batch.
        plans: to be checked at start-up.
        on_fetch: told of every fetch, by a log, a metric or a trace.
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
    """What the holder of an API key works with.

    Attributes:
        sessions: for writing; they see the region alone.
        loader: for reading; it is shared by all requests of the region.
        bounded: the same with ``max_rows``, where the request decides how much comes. Rows are counted as they come,
            so its views take a statement for each level, never one for all.
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
        """Return what a key gives access to; None if nobody has given out such a key."""
        return None if api_key is None else self._access.get(api_key)


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Check the plans, then serve until the block ends; the engine is disposed then.

    Raises:
        PlanError: with the problems of all plans, before anything is opened.
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
