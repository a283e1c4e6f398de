"""Databases: PostgreSQL out of a wheel (or the server at LOADPLAN_TEST_DSN), SQLite in memory, and MariaDB."""

import gc
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, ForeignKeyConstraint, StaticPool, String, Unicode, UniqueConstraint, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles

import embedded_mariadb
from random_cases import AGAIN, SAME_EACH_TIME, SEED
from support import engines_asked_for

#: The fixture of each engine by the name that it has in the ids of tests.
FIXTURES = {"postgresql": "asyncpg", "psycopg": "psycopg", "sqlite": "sqlite", "mariadb": "mariadb"}

#: Engines of every run.
ALWAYS = ("postgresql", "sqlite")

#: Folders and files whose tests run on another engine as well, each time.
MORE = {
    "results": ("psycopg",),
    "loader/test_learned_indexes.py": ("psycopg",),
    "loader/test_loader_analyze.py": ("psycopg", "mariadb"),
    "loader/test_loader_calls.py": ("psycopg", "mariadb"),
    "loader/test_loader_for_update.py": ("psycopg", "mariadb"),
    "loader/test_loader_session_kinds.py": ("psycopg", "mariadb"),
    "loader/test_loader_snapshot.py": ("psycopg",),
    "real_mappings/test_ids_longer_than_keys.py": ("psycopg",),
    "results/test_result_detached.py": ("psycopg", "mariadb"),
    "shapes/test_shapes_exact_pages.py": ("mariadb",),
    "shapes/test_shapes_limit.py": ("psycopg", "mariadb"),
    "shapes/test_shapes_many_parents.py": ("mariadb",),
    "shapes/test_shapes_pages.py": ("mariadb",),
    "shapes/test_shapes_stream.py": ("psycopg", "mariadb"),
    "shapes/test_shapes_trees.py": ("mariadb",),
    "views/test_values_at_random.py": ("psycopg",),
    "views/test_values_by_type.py": ("psycopg", "mariadb"),
    "views/test_views_edges.py": ("mariadb",),
}

#: Files with a fixture ``engine`` of their own, which takes these as its parameter: drivers of PostgreSQL. Also files
#: that are about one driver.
ONLY = {
    "examples/test_telemetry.py": ("postgresql",),
    "fire/test_fire_broken_connections.py": ("postgresql", "psycopg"),
    "fire/test_fire_cancellation.py": ("postgresql", "psycopg"),
    "fire/test_fire_server_restarts.py": ("postgresql", "psycopg"),
    "scaling/test_pgbouncer.py": ("postgresql",),
    "scaling/test_pgbouncer_psycopg.py": ("psycopg",),
}


def engines_of(file: Path) -> list[str]:
    """Return the engines that the tests of a file run on; ``LOADPLAN_TEST_ENGINES`` names further ones."""
    names = engines_asked_for(FIXTURES)
    unknown = sorted(set(names) - set(FIXTURES))
    if unknown:
        raise pytest.UsageError(f"LOADPLAN_TEST_ENGINES: {unknown[0]} is none of all, {', '.join(FIXTURES)}")
    folder = file.parent.name
    if (only := ONLY.get(f"{folder}/{file.name}")) is not None:
        return list(only)
    wanted = {*ALWAYS, *MORE.get(folder, ()), *MORE.get(f"{folder}/{file.name}", ()), *names}
    return [each for each in FIXTURES if each in wanted]


@pytest.hookimpl(tryfirst=True)  # before the plugin of Hypothesis reads the option
def pytest_configure(config: pytest.Config) -> None:
    """Draw new random cases from the number of this run; ``--hypothesis-seed`` has precedence."""
    if not SAME_EACH_TIME and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SEED


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say how to run the same random cases again. It is the first line, so you have it if you stop the run, too."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not SAME_EACH_TIME and reporter is not None and not hasattr(session.config, "workerinput"):
        reporter.write_line(f"random cases: {AGAIN}")


def pytest_collection_finish() -> None:
    """Keep the collected tests out of garbage collection.

    They stay until the end, and a full collection would look at a million objects of them. Many tests ask for one.
    """
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the fixtures ``engine`` and ``drivername`` on each engine of this run.

    All fixtures of PostgreSQL stand on ``drivername``. A test that names ``engine`` alone has the driver from there.
    """
    engines = engines_of(metafunc.definition.path)
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines, indirect=True)
    file = metafunc.definition.path
    own = f"{file.parent.name}/{file.name}" in ONLY
    drivers = [] if own else [each for each in engines if each in {"postgresql", "psycopg"}]
    names = set(metafunc.fixturenames)
    if "drivername" in names and not ("engine" in names and "postgres" not in names) and len(drivers) > 1:
        metafunc.parametrize("drivername", drivers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server_url() -> URL:
    """The PostgreSQL server that the tests may make databases in."""
    if dsn := os.environ.get("LOADPLAN_TEST_DSN"):
        return make_url(dsn).set(drivername="postgresql+asyncpg")
    import embedded_postgres

    return embedded_postgres.start("tests")


@pytest.fixture(scope="session")
async def database_url(server_url: URL) -> AsyncIterator[URL]:
    """A database of this run's own, through asyncpg."""
    name = f"loadplan_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(server_url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield server_url.set(database=name)
    finally:
        async with admin.connect() as connection:
            await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        await admin.dispose()


@pytest.fixture(scope="session")
async def asyncpg(database_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine on real PostgreSQL through asyncpg: for what is about that driver."""
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def psycopg(database_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine on the same database through psycopg: for what is about that driver."""
    engine = create_async_engine(database_url.set(drivername="postgresql+psycopg"))
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def drivername(request: pytest.FixtureRequest) -> str:
    """The first part of a URL of PostgreSQL: asyncpg, and in some runs psycopg as well."""
    return f"postgresql+{FIXTURES[getattr(request, 'param', 'postgresql')]}"


@pytest.fixture(scope="session")
def postgres_url(database_url: URL, drivername: str) -> URL:
    """The database of this run, for tests with engines of their own."""
    return database_url.set(drivername=drivername)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, drivername: str) -> AsyncEngine:
    """An engine on real PostgreSQL, through the driver of ``drivername``."""
    found: AsyncEngine = request.getfixturevalue(drivername.partition("+")[2])
    return found


@pytest.fixture
async def sqlite() -> AsyncIterator[AsyncEngine]:
    """An engine on a SQLite database in memory, through aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[URL]:
    """A MariaDB of this run's own; without MariaDB the test is skipped."""
    if embedded_mariadb.find_mariadb() is None:
        pytest.skip(embedded_mariadb.MISSING)
    with embedded_mariadb.mariadb_server() as url:
        yield url


@pytest.fixture(scope="session")
async def mariadb(mariadb_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine on real MariaDB through aiomysql; text is compared letter by letter, as on the other databases."""
    zero = "sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')"  # a row with the key 0 keeps it
    init = f"SET {zero}, max_recursive_iterations = 1000000"
    engine = create_async_engine(mariadb_url.set(database="exact"), connect_args={"init_command": init})
    yield engine
    await engine.dispose()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """All databases and drivers of this run, one after the other: for behaviour that is portable.

    ``@pytest.mark.not_on("mariadb", reason="...")`` leaves one out, for a test whose tables it cannot hold.
    """
    for mark in request.node.iter_markers("not_on"):
        if request.param in mark.args:
            pytest.skip(f"not on {request.param}: {mark.kwargs['reason']}")
    found: AsyncEngine = request.getfixturevalue(FIXTURES[request.param])
    return found


@compiles(ForeignKeyConstraint, "mysql", "mariadb")
def foreign_key_that_an_index_serves(constraint: ForeignKeyConstraint, compiler: Any, **kw: Any) -> str | None:
    """Leave out foreign keys that MariaDB refuses: it wants an index on the same columns, and checks at once."""
    if constraint.deferrable:
        return None
    wanted = [element.column for element in constraint.elements]
    table = constraint.referred_table
    keys = [*table.indexes, *(each for each in table.constraints if isinstance(each, UniqueConstraint))]
    served = any(list(each.columns)[: len(wanted)] == wanted for each in (table.primary_key, *keys))
    text: str | None = compiler.visit_foreign_key_constraint(constraint, **kw) if served else None
    return text


@compiles(Unicode, "mysql", "mariadb")
@compiles(String, "mysql", "mariadb")
def text_of_some_length(kind: String, compiler: Any, **kw: Any) -> str:
    """Give text columns a length where the database wants one: most models of the tests name none."""
    return f"VARCHAR({kind.length or 190})"
