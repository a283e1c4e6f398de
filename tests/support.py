"""What tests share: recording the SQL that runs, databases made for one test, and the errors read aloud."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest
from sqlalchemy import URL, Enum, MetaData, TypeDecorator, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import Load, LoadPlan
from loadplan.running.key_walk import walks_by_keys

#: Options for a pytest that a test starts. To import Hypothesis and Faker would take longer than all the rest.
LIGHT_PYTEST = "-p no:hypothesispytest -p no:faker"


class Statements(list[str]):
    """The SQL texts that ran while recording, in order; SELECTs alone unless asked otherwise."""

    @property
    def selects(self) -> list[str]:
        return [sql for sql in self if sql.lstrip().upper().startswith(("SELECT", "WITH"))]


@contextlib.contextmanager
def recording(engine: AsyncEngine) -> Iterator[Statements]:
    """Record every statement that reaches the driver through ``engine`` while the block runs."""
    statements = Statements()

    def before(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        statements.append(sql)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    try:
        yield statements
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)


@contextlib.asynccontextmanager
async def tables(engine: AsyncEngine, metadata: MetaData) -> AsyncIterator[AsyncEngine]:
    """Create the tables of ``metadata`` for the block, and drop them after it."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        yield engine
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
        if _keeps_statements(engine, metadata):
            await engine.dispose()


def _keeps_statements(engine: AsyncEngine, metadata: MetaData) -> bool:
    """Tell whether connections of the pool keep statements that name enums which are dropped."""
    if engine.dialect.driver == "psycopg":
        return True
    kinds = [column.type for table in metadata.tables.values() for column in table.columns]
    stored = [each.impl_instance if isinstance(each, TypeDecorator) else each for each in kinds]
    return engine.dialect.driver == "asyncpg" and any(isinstance(each, Enum) for each in stored)


def by_keys(plan: LoadPlan[Any]) -> LoadPlan[Any]:
    """Return a plan whose first relationships take statements of their own, where a driver would nest their rows."""
    loads = (attrs.evolve(each, strategy="selectin") if isinstance(each, Load) else each for each in plan.loads)
    return LoadPlan(plan.entity, *loads, only=plan.only, defer=plan.defer, name=plan.name)


def in_one(engine: AsyncEngine, by_level: int) -> int:
    """Return how many statements a small graph takes: one where the driver reads rows within rows, else one a level."""
    return 1 if engine.dialect.driver in {"asyncpg", "psycopg"} else by_level


def batches_of_roots(engine: AsyncEngine, batches: int) -> int:
    """Return how many statements bring the roots of a stream: one cursor, or their keys and then each batch."""
    return 1 + batches if walks_by_keys(engine.dialect) else 1


def named_driver(engine: str, url: URL, name: str) -> tuple[URL, dict[str, Any]]:
    """Return the URL of a driver, by its name in the ids of tests, and the arguments that name its connections."""
    if engine == "psycopg":
        return url.set(drivername="postgresql+psycopg"), {"application_name": name}
    return url, {"server_settings": {"application_name": name}}


def skip_streams_of_psycopg(request: pytest.FixtureRequest) -> None:
    """Skip a test that breaks a stream on psycopg: it warns, of what it cannot close, in whichever test comes later."""
    if request.param == "psycopg" and "stream" in request.node.name:
        pytest.skip("psycopg warns when the server cursor of a lost connection is collected")


async def execute(url: URL, *statements: str) -> None:
    """Run statements on a database, each in a transaction of its own."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for each in statements:
                await connection.execute(text(each))
    finally:
        await engine.dispose()
