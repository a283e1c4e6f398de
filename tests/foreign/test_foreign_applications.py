"""Random plans over the mappings of public applications give what a lazy walk gives.

The short form runs with every ``pytest``. ``python -m tests.foreign`` runs the long one.
"""

import contextlib
import os
import random
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from foreign_building import NAMES, Application, live
from foreign_comparing import Comparison
from foreign_databases import restored, saved
from foreign_drawing import Drawer, size_of
from foreign_filling import Filler, insert_all
from foreign_histories import History, differences
from foreign_known import judged
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import PlanError

LONG = os.environ.get("LOADPLAN_FOREIGN") == "long"
SEEDS = range(1, 4) if LONG else range(1, 2)
PLANS = 40 if LONG else 6
HISTORIES = 40 if LONG else 6


@pytest.mark.parametrize("name", NAMES)
async def test_random_plans_on_sqlite(name: str) -> None:
    """Entities, copies, views, counts, pages and streams."""
    found: list[tuple[str, str]] = []
    plans: list[str] = []
    refused: Counter[str] = Counter()
    relationships = 0
    for seed in SEEDS:
        chance = random.Random(f"{name} {seed}")  # noqa: S311
        with quiet(), live(name) as application:
            engine = await filled(application, seed)
            for _ in range(PLANS):
                comparison = await compared(engine, application, chance, refused)
                if comparison is not None:
                    relationships += size_of(comparison.plan)
                    found += [(name, each.line) for each in comparison.differences]
                    plans += [str(each) for each in comparison.differences]
                    refused.update(each.partition(":")[2][:7] for each in comparison.refused)
            await engine.dispose()
    print(f"{name}: {len(SEEDS) * PLANS} plans with {relationships} relationships, refused: {dict(refused)}")
    new, stale = judged("applications", found)
    assert not new, "\n".join(each for each in plans if any(each.startswith(one.partition(": ")[2]) for one in new))
    assert relationships > PLANS // 3
    if LONG:
        assert not [each for each in stale if each.startswith(f"{name}:")]


async def compared(engine: AsyncEngine, application: Application, chance: random.Random, refused: Counter[str]) -> Any:
    """Draw a plan, compare everything about it, and return the comparison. None if no such plan can be."""
    drawer, mapper = Drawer(chance), chance.choice(application.mappers)
    try:
        plan = drawer.plan(mapper)
    except PlanError as error:
        refused[str(error)[:5]] += 1
        return None
    comparison = Comparison(engine, plan)
    column = chance.choice(drawer.comparable(mapper.class_))
    await comparison.all([column.desc() if chance.random() < 0.5 else column])
    return comparison


@pytest.mark.parametrize("name", NAMES)
async def test_histories_on_sqlite(name: str) -> None:
    """Fetch, change, flush: all rows are as after the same changes in plain SQLAlchemy."""
    found, ends = [], Counter[str]()
    chance = random.Random(f"history {name}")  # noqa: S311
    with quiet(), live(name) as application:
        engine = await filled(application, 1)
        rows = await saved(engine)
        await engine.dispose()
        for _ in range(HISTORIES):
            history = History.drawn(chance, chance.choice(application.mappers))
            difference, end = await differences(history, lambda: restored(rows), application.metadata)
            ends[end.partition(" '")[0]] += 1
            if difference is not None:
                found.append((name, f"history of {history.plan.entity.__name__}: {difference} {history.steps}"))
    print(f"{name}: {dict(ends)}")
    new, _ = judged("applications", found)
    assert not new, "\n".join(new)
    assert ends["same"] > HISTORIES // 3


async def filled(application: Application, seed: int) -> AsyncEngine:
    """Return a database in memory with the rows of a seed."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=sa.StaticPool)
    rows = Filler(application, random.Random(f"{application.name} rows {seed}")).rows()  # noqa: S311
    async with engine.begin() as connection:
        await connection.run_sync(application.metadata.create_all)
        await connection.run_sync(insert_all, application, rows)
    return engine


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """SQLAlchemy warns of much in other people's mappings: overlapping relationships, cartesian products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
