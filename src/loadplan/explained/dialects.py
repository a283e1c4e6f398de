"""Explains plans for a database that you only name. It needs no engine, no driver and no connection."""

from typing import Any

from sqlalchemy import URL, Dialect, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan.declared.spec import Plan
from loadplan.explained.explanation import Explanation, explain_plan
from loadplan.running.keyed_roots import by_id
from loadplan.running.plans import compile_plan

#: The dialect with an asynchronous driver, by the name of a database or driver. This imports no driver.
_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "asyncpg": "postgresql+asyncpg",
    "psycopg": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
    "aiosqlite": "sqlite+aiosqlite",
    "mysql": "mysql+aiomysql",
    "mariadb": "mariadb+aiomysql",
    "aiomysql": "mysql+aiomysql",
    "asyncmy": "mysql+asyncmy",
}


def explain_for(plan: Plan[Any], dialect: str | Dialect | Engine | AsyncEngine) -> Explanation:
    """Return how a plan is loaded by primary key on a kind of database. Opens no connection, and needs no driver.

    Args:
        plan: the plan to explain.
        dialect: a name such as ``"postgresql"`` or ``"postgresql+psycopg"``, a SQLAlchemy dialect, or an engine with
            the dialect.

    Raises:
        PlanError: the plan does not resolve.
        ValueError: SQLAlchemy does not know a dialect of that name.
    """
    return explain_plan(by_id(compile_plan(plan, dialect_of(dialect)).bringing(1)).graph)


def dialect_of(given: str | Dialect | Engine | AsyncEngine) -> Dialect:
    """Return the dialect that a name, a dialect or an engine means.

    Raises:
        TypeError: the value is none of these.
        ValueError: SQLAlchemy does not know a dialect of that name.
    """
    if isinstance(given, Engine | AsyncEngine):
        return given.dialect
    if isinstance(given, Dialect):
        return given
    what: object = given
    if not isinstance(what, str):
        kind = type(what).__name__
        raise TypeError(f"explain() takes the name of a database, a dialect or an engine, not a '{kind}'")
    try:
        return URL.create(_DRIVERS.get(given, given)).get_dialect()()
    except (NoSuchModuleError, ArgumentError, ValueError) as error:
        raise ValueError(
            f"SQLAlchemy knows no dialect '{given}'; write 'postgresql' or 'sqlite', for example"
        ) from error
