"""Opens a database by its URL, with an installed driver, synchronous or asynchronous."""

import asyncio
import importlib.util
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

R = TypeVar("R")

#: Drivers by the module that each imports, in the order in which they are tried.
_DRIVERS = {
    "postgresql": {"asyncpg": "asyncpg", "psycopg": "psycopg", "psycopg2": "psycopg2", "pg8000": "pg8000"},
    "sqlite": {"pysqlite": "sqlite3"},
    "mysql": {"aiomysql": "aiomysql", "asyncmy": "asyncmy", "pymysql": "pymysql", "mysqldb": "MySQLdb"},
    "mariadb": {"aiomysql": "aiomysql", "asyncmy": "asyncmy", "pymysql": "pymysql", "mysqldb": "MySQLdb"},
}

#: Names of databases that people write in URLs, but that SQLAlchemy does not know.
_NAMES = {"postgres": "postgresql"}


class DatabaseError(Exception):
    """A database cannot be opened. The text says why, and what to do."""


def url_of(given: str) -> URL:
    """Return the URL of a database, with a driver that is installed.

    Raises:
        DatabaseError: the text is not a URL, or no driver of that database is installed.
    """
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise DatabaseError(f"this is not the URL of a database\n  hint: {_instead_of_url(given)}") from error
    backend, _, driver = url.drivername.partition("+")
    backend = _NAMES.get(backend, backend)
    if driver or backend not in _DRIVERS:
        return url.set(drivername=f"{backend}+{driver}" if driver else backend)
    installed = [name for name, module in _DRIVERS[backend].items() if importlib.util.find_spec(module) is not None]
    if not installed:
        names = " or ".join(_DRIVERS[backend])
        raise DatabaseError(f"no driver for {backend} is installed\n  hint: install {names}.")
    return url.set(drivername=f"{backend}+{installed[0]}")


def _instead_of_url(given: str) -> str:
    if not given:
        return "the URL is empty: set the environment variable that you named."
    if given.startswith("$"):
        return f'your shell did not replace {given}: write "{given}", with double quotes.'
    return "write postgresql://user:password@host/name, for example."


def with_database(given: str, work: Callable[[Connection], R]) -> R:
    """Call ``work`` with a connection to a database, in a transaction that is rolled back at the end.

    Raises:
        DatabaseError: the database cannot be opened.
    """
    url = url_of(given)
    try:
        if url.get_dialect().is_async:
            return asyncio.run(_with_async_database(url, work))
        engine = create_engine(url, poolclass=NullPool)
    except (NoSuchModuleError, ModuleNotFoundError, ArgumentError) as error:
        raise DatabaseError(f"'{url.drivername}' cannot be used: {error}") from error
    try:
        connection = engine.connect()
    except (SQLAlchemyError, OSError) as error:
        raise _unreachable(url, error) from error
    with connection:
        return work(connection)


async def _with_async_database(url: URL, work: Callable[[Connection], R]) -> R:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        try:
            connection = await engine.connect()
        except (SQLAlchemyError, OSError) as error:
            raise _unreachable(url, error) from error
        try:
            return await connection.run_sync(work)
        finally:
            await connection.close()
    finally:
        await engine.dispose()


def _unreachable(url: URL, error: Exception) -> DatabaseError:
    said = str(getattr(error, "orig", None) or error)
    return DatabaseError(f"cannot connect to {url.render_as_string(hide_password=True)}: {said}")
