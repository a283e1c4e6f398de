"""Random plans over the mappings of public applications give what a lazy walk gives.

The short form runs with every ``pytest``. ``python -m tests.foreign`` runs the long one.
"""

import contextlib
import os
import random
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

import pytest
import sqlalchemy as sa
from foreign_building import NAMES, Application, live
from foreign_comparing import Comparison
from foreign_databases import restored, saved
from foreign_drawing import Drawer, size_of
from foreign_filling import Filler, Values, insert_all
from foreign_histories import History, differences
from foreign_known import judged
from foreign_records import Record, code_in, keep
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import PlanError
from random_cases import CASES

LONG = os.environ.get("LOADPLAN_FOREIGN") == "long"
SEEDS = range(1, 4) if LONG else range(1, 2)
PLANS = int(os.environ.get("LOADPLAN_FOREIGN_PLANS", "40")) if LONG else max(3, min(6, CASES // 3))
HISTORIES = PLANS if LONG else max(3, min(6, CASES // 3))

#: On PostgreSQL the short form looks at one application, whose columns are of most types.
ON_POSTGRESQL = NAMES if LONG else ["fief"]


@pytest.mark.parametrize("name", NAMES)
async def test_random_plans_on_sqlite(name: str) -> None:
    """Entities, copies, views, counts, pages and streams."""

    @contextlib.asynccontextmanager
    async def engine_of(application: Application, seed: int) -> AsyncIterator[AsyncEngine]:
        engine = await filled(application, seed)
        yield engine
        await engine.dispose()

    await hold_plans(name, engine_of)


@pytest.mark.parametrize("name", ON_POSTGRESQL)
async def test_random_plans_on_postgresql(name: str, postgres: AsyncEngine) -> None:
    """The same on PostgreSQL, where keys go in arrays and small graphs come in one statement."""

    @contextlib.asynccontextmanager
    async def engine_of(application: Application, seed: int) -> AsyncIterator[AsyncEngine]:
        try:
            await fill(postgres, application, seed)
            yield postgres
        finally:
            async with postgres.begin() as connection:
                await connection.run_sync(application.metadata.drop_all)

    await hold_plans(name, engine_of)


EngineOf: TypeAlias = Callable[[Application, int], contextlib.AbstractAsyncContextManager[AsyncEngine]]


async def hold_plans(name: str, engine_of: EngineOf) -> None:
    """Compare random plans of an application with the lazy walk; a difference that nobody knows of fails."""
    record = Record()
    plans: list[str] = []
    for seed in SEEDS:
        chance = random.Random(f"{name} {seed}")  # noqa: S311
        with quiet(), live(name) as application:
            async with engine_of(application, seed) as engine:
                for _ in range(PLANS):
                    comparison = await compared(engine, application, chance, record)
                    if comparison is not None:
                        plans += [str(each) for each in comparison.differences]
    keep(record)
    print(f"{name}: {record}, refused: {dict(record.refused)}")
    new, _ = judged("applications", record.differences)
    assert not new, "\n".join(each for each in plans if any(each.startswith(one.partition(": ")[2]) for one in new))
    assert record.relationships > PLANS // 3


async def compared(engine: AsyncEngine, application: Application, chance: random.Random, record: Record) -> Any:
    """Draw a plan, compare everything about it, and return the comparison. None if no such plan can be."""
    drawer, mapper = Drawer(chance), chance.choice(application.mappers)
    try:
        plan = drawer.plan(mapper)
    except PlanError as error:
        record.refused[code_in(str(error).splitlines()[0])] += 1
        return None
    comparison = Comparison(engine, plan)
    column = chance.choice(drawer.comparable(mapper.class_))
    await comparison.all([column.desc() if chance.random() < 0.5 else column])
    refused = Counter(map(code_in, comparison.refused))
    differences = [(application.name, each.line) for each in comparison.differences]
    walked = not comparison.walked
    record.add(Record(1, size_of(plan), comparison.compared, refused, walked, differences))
    return comparison


@pytest.mark.parametrize("name", NAMES)
async def test_histories_on_sqlite(name: str) -> None:
    """Fetch, change, flush: all rows are as after the same changes in plain SQLAlchemy."""
    with quiet(), live(name) as application:
        engine = await filled(application, 1)
        rows = await saved(engine)
        await engine.dispose()

        @contextlib.asynccontextmanager
        async def database() -> AsyncIterator[AsyncEngine]:
            engine = await restored(rows)
            yield engine
            await engine.dispose()

        await hold_histories(name, application, database)


@pytest.mark.parametrize("name", ON_POSTGRESQL)
async def test_histories_on_postgresql(name: str, postgres: AsyncEngine) -> None:
    """The same on PostgreSQL, which checks every key."""
    with quiet(), live(name) as application:

        @contextlib.asynccontextmanager
        async def database() -> AsyncIterator[AsyncEngine]:
            async with postgres.begin() as connection:
                for table in application.metadata.tables.values():  # keys are checked at the commit
                    await connection.execute(sa.delete(table))
                await connection.run_sync(insert_all, application, rows)
            yield postgres

        try:
            rows = await fill(postgres, application, 1)
            await hold_histories(name, application, database)
        finally:
            async with postgres.begin() as connection:
                await connection.run_sync(application.metadata.drop_all)


async def hold_histories(
    name: str, application: Application, database: Callable[[], contextlib.AbstractAsyncContextManager[AsyncEngine]]
) -> None:
    """Compare the rows after random changes; ``database`` gives equal ones."""
    record, ends = Record(), Counter[str]()
    chance = random.Random(f"history {name}")  # noqa: S311
    for _ in range(HISTORIES):
        history = History.drawn(chance, chance.choice(application.mappers))
        difference, end = await differences(history, database, application.metadata)
        ends[end.partition(" '")[0]] += 1
        if difference is not None:
            line = f"history of {history.plan.entity.__name__}: {difference} {history.steps}"
            record.differences.append((name, line))
    record.compared["histories"] = ends["same"] + ends["differs"]
    keep(record)
    print(f"{name}: {dict(ends)}")
    new, _ = judged("applications", record.differences)
    assert not new, "\n".join(new)
    assert ends["same"] > HISTORIES // 3


async def filled(application: Application, seed: int) -> AsyncEngine:
    """Return a database in memory with the rows of a seed."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=sa.StaticPool)
    await fill(engine, application, seed)
    return engine


async def fill(engine: AsyncEngine, application: Application, seed: int) -> dict[str, list[Values]]:
    """Create the tables of an application, store the rows of a seed, and return them."""
    application.metadata.info["timezones"] = engine.dialect.name == "postgresql"
    rows = Filler(application, random.Random(f"{application.name} rows {seed}")).rows()  # noqa: S311
    async with engine.begin() as connection:
        await connection.run_sync(application.metadata.create_all)
        await connection.run_sync(insert_all, application, rows)
    return rows


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """SQLAlchemy warns of much in other people's mappings: overlapping relationships, cartesian products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
