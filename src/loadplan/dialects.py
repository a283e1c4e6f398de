"""Plans explained for a kind of database that is only named: no engine, no driver, no connection."""

from typing import Any

from sqlalchemy import URL, Dialect, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan.explain import Explanation, explain_plan
from loadplan.plans import compile_plan
from loadplan.roots import by_id
from loadplan.spec import LoadPlan

#: The asynchronous driver of a database, where that is not the one SQLAlchemy takes by itself. No driver is imported.
_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "mariadb": "mariadb+aiomysql",
    "mysql": "mysql+aiomysql",
}


def explain_for(plan: LoadPlan[Any], dialect: str | Dialect | Engine | AsyncEngine) -> Explanation:
    """Return how a plan is loaded by primary key on a kind of database. Opens nothing, and needs no driver.

    Args:
        plan: what to explain.
        dialect: ``"postgresql"``, ``"sqlite"`` and the like, with a driver or without; a SQLAlchemy dialect or an
            engine, whose dialect is taken.

    Raises:
        PlanError: the plan does not resolve.
        ValueError: SQLAlchemy knows no dialect of that name.
    """
    return explain_plan(by_id(compile_plan(plan, dialect_of(dialect)).bringing(1)).graph)


def dialect_of(given: str | Dialect | Engine | AsyncEngine) -> Dialect:
    """Return the dialect that a name, a dialect or an engine means.

    Raises:
        ValueError: SQLAlchemy knows none of that name.
    """
    if isinstance(given, Engine | AsyncEngine):
        return given.dialect
    if isinstance(given, Dialect):
        return given
    try:
        return URL.create(_DRIVERS.get(given, given)).get_dialect()()
    except (NoSuchModuleError, ArgumentError, ValueError) as error:
        raise ValueError(
            f"SQLAlchemy knows no dialect '{given}'; write 'postgresql' or 'sqlite', for example"
        ) from error
