"""What these tests share: a filled database, and the walk by lazy loading that says which values are right."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from sqlalchemy import MetaData, Select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from loadplan import Loader, LoadPlan
from support import tables

R = TypeVar("R")


@contextlib.asynccontextmanager
async def filled(engine: AsyncEngine, metadata: MetaData, *rows: object) -> AsyncIterator[Loader]:
    """Create tables, store rows, and yield a loader on the engine.

    Args:
        engine: of the database.
        metadata: of the tables, which are dropped in the end.
        *rows: mapped objects, stored in one session, or SQL statements, executed in their order.
    """
    async with tables(engine, metadata):
        for sql in (each for each in rows if isinstance(each, str)):
            async with engine.begin() as connection:
                await connection.execute(text(sql))
        async with AsyncSession(engine) as session:
            session.add_all([each for each in rows if not isinstance(each, str)])
            await session.commit()
        yield Loader(engine)


async def lazily(engine: AsyncEngine, statement: Select[Any], read: Callable[[Any], R]) -> list[R]:
    """Return what ``read`` finds on each object of a statement, where every relationship loads lazily."""

    def walk(session: Session) -> list[R]:
        return [read(each) for each in session.scalars(statement).unique()]

    async with AsyncSession(engine) as session:
        return await session.run_sync(walk)


async def paged(loader: Loader, plan: LoadPlan[Any], size: int, **arguments: Any) -> list[Any]:
    """Return the roots of all pages, one after the other."""
    found: list[Any] = []
    after = None
    for _ in range(12):
        page = await loader.fetch_page(plan, size=size, after=after, **arguments)
        found += page.items
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")
