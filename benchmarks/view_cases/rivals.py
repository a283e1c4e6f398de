"""The ways to a graph that are timed against each other."""

from collections.abc import Callable
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from benchmarks.measure import Way
from benchmarks.view_cases.case import Case
from loadplan import Loader

ONE_STATEMENT, BY_LEVEL, LOADPLAN, OPTIONS = range(4)
WAYS = ("asyncpg, one statement", "asyncpg, a level", "loadplan", "options, objects")


def ways_to(case: Case, roots: int, pool: Any, engine: AsyncEngine) -> list[Way]:
    """Return the four ways to so many roots of a graph, in the order of ``WAYS``. All bring a list of views.

    Args:
        case: the graph.
        roots: 1 for the one with the key ``case.one``; else the first so many by key.
        pool: of asyncpg.
        engine: on the same database.
    """
    return [
        one_statement(case, roots, pool),
        by_level(case, roots, pool),
        by_plan(case, roots, Loader(engine)),
        by_options(case, roots, engine),
    ]


def _narrowed(case: Case, roots: int, sql: str) -> tuple[str, Any]:
    """Return a statement by hand for so many roots, and its parameter."""
    if roots == 1:
        return sql.format(roots=f"WHERE {case.sql_key} = $1"), case.one
    return sql.format(roots=f"ORDER BY {case.sql_key} LIMIT $1"), roots


def one_statement(case: Case, roots: int, pool: Any) -> Way:
    """Return the way of SQL by hand, the graph in one statement."""
    sql, parameter = _narrowed(case, roots, case.statement)

    async def fetch() -> list[Any]:
        async with pool.acquire() as connection:
            rows = await connection.fetch(sql, parameter)
        return case.build(rows)

    return fetch


def by_level(case: Case, roots: int, pool: Any) -> Way:
    """Return the way of SQL by hand, a statement for each level and collection."""
    sql, parameter = _narrowed(case, roots, case.root_statement)

    async def fetch() -> list[Any]:
        async with pool.acquire() as connection:
            arrived = [await connection.fetch(sql, parameter)]
            for level in case.levels:
                arrived.append(await connection.fetch(level.sql, level.keys(arrived)))
        return case.build_levels(arrived)

    return fetch


def by_plan(case: Case, roots: int, loader: Loader) -> Way:
    """Return loadplan's way."""

    async def fetch_one() -> list[Any]:
        return [await loader.fetch(case.plan, case.one)]

    async def fetch_all() -> list[Any]:
        return await loader.fetch_all(case.plan, order_by=case.key, limit=roots)

    return fetch_one if roots == 1 else fetch_all


def by_options(case: Case, roots: int, engine: AsyncEngine) -> Way:
    """Return the way of mapped objects: options written out in the call, then views of what they bring."""
    narrow: Callable[[Any], Any] = (
        (lambda statement: statement.where(case.key == case.one))
        if roots == 1
        else (lambda statement: statement.order_by(case.key).limit(roots))
    )

    async def fetch() -> list[Any]:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            found = await session.scalars(narrow(case.options()))
            return [case.view(each) for each in found]

    return fetch


async def make_pool(url: Any) -> Any:
    """Return a pool of asyncpg with its defaults: 10 connections, each reset by a statement when it comes back."""
    return await asyncpg.create_pool(url.set(drivername="postgresql").render_as_string(hide_password=False))
