"""Random plans over random mappings and rows hold what the contract promises, whatever they are.

Each example maps a schema of its own, fills it, and fetches a few plans. The oracle is :mod:`lazy_walk`.

``LOADPLAN_PROPERTY_EXAMPLES=n`` runs n examples, on PostgreSQL a quarter of that; see :mod:`random_cases`.
"""

import contextlib
import copy
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from generated_mappings import Mapping, mapped
from generated_plans import Bind, Fetch, Place, Scenario, declare, scenarios
from generated_rows import Key, filled
from hypothesis import HealthCheck, given, note, settings
from lazy_walk import Facts, Walk, compare, roots_of, statements_foretold
from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from loadplan import Loader, LoadPlan, NotFound
from random_cases import CASES, SAME_EACH_TIME
from support import recording

settings.register_profile(
    "loadplan",
    max_examples=CASES,
    deadline=None,
    derandomize=SAME_EACH_TIME,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
thorough = settings.get_profile("loadplan")
brief = settings(thorough, max_examples=max(1, CASES // 4))


@thorough
@given(scenario=scenarios())
async def test_a_plan_brings_what_a_lazy_walk_finds_on_sqlite(sqlite: AsyncEngine, scenario: Scenario) -> None:
    """On SQLite, where keys go in an expanding IN."""
    await hold(sqlite, scenario)


@brief
@given(scenario=scenarios())
async def test_a_plan_brings_what_a_lazy_walk_finds_on_postgresql(postgres: AsyncEngine, scenario: Scenario) -> None:
    """On PostgreSQL, where keys go in arrays."""
    await hold(postgres, scenario)


async def hold(engine: AsyncEngine, scenario: Scenario) -> None:
    """Assert every promise for every plan of a scenario."""
    with mapped(scenario.schema) as (mapping, plain):
        async with filled(engine, mapping, scenario.rows):
            for place, fetch in scenario.requests:
                await hold_one(engine, mapping, plain, place, fetch)


async def hold_one(engine: AsyncEngine, mapping: Mapping, plain: Mapping, place: Place, fetch: Fetch) -> None:
    """Fetch one plan and compare everything about the result with the walk."""
    plan = declare(mapping, place, name="random")
    note(f"{plan!r}\n{fetch!r}")
    async with AsyncSession(engine) as session:
        facts = await session.run_sync(lambda session: Walk(plain, session).of(place, fetch))
    async with bound(engine, fetch.bind) as loader:
        explanation = loader.explain(plan, roots=roots_of(fetch))
        with recording(engine) as statements:
            roots = await answer(loader, plan, mapping, fetch, facts)
    note("\n\n".join(statements))
    asked = bool(fetch.keys) or fetch.call == "fetch_all"
    # the database is asked once more whether ids without a row are equal to keys of rows that came
    again = fetch.call == "fetch_many" and bool(facts.missing) and bool(facts.roots)
    foretold = statements_foretold(explanation, facts) if asked else 0
    # a statement whose parents are found by their own keys is sent for parents that point nowhere, too
    most = explanation.statements if asked else 0
    assert foretold <= len(statements) <= max(foretold, most) + again
    if roots is None:
        return
    with recording(engine) as statements:
        for copied in (roots, pickle.loads(pickle.dumps(roots)), copy.deepcopy(roots), roots):
            objects = compare(mapping, copied, facts)
        async with AsyncSession(engine) as session:
            session.add_all(objects)
            await session.flush()
            compare(mapping, roots, facts, detached=False)
    assert not statements


async def answer(loader: Loader, plan: LoadPlan[Any], mapping: Mapping, fetch: Fetch, facts: Facts) -> list[Any] | None:
    """Return the roots of a fetch, or None if it must raise for want of one, and does."""
    if not facts.missing or fetch.call == "fetch_or_none" or fetch.skip_missing:
        return await call(loader, plan, mapping, fetch)
    with pytest.raises(NotFound) as caught:
        await call(loader, plan, mapping, fetch)
    assert caught.value.missing == (() if fetch.call == "fetch_one" else tuple(map(bare_key, facts.missing)))
    return None


async def call(loader: Loader, plan: LoadPlan[Any], mapping: Mapping, fetch: Fetch) -> list[Any]:
    """Make the call that a fetch describes, and return its roots."""
    ids = list(map(bare_key, fetch.keys))
    match fetch.call:
        case "fetch":
            return [await loader.fetch(plan, ids[0])]
        case "fetch_or_none":
            found = await loader.fetch_or_none(plan, ids[0])
            return [] if found is None else [found]
        case "fetch_one":
            columns = mapping.key(plan.entity.__name__)
            same_key = and_(*(column == value for column, value in zip(columns, fetch.keys[0], strict=True)))
            return [await loader.fetch_one(plan, where=same_key)]
        case "fetch_many":
            return await loader.fetch_many(plan, ids, missing="skip" if fetch.skip_missing else "raise")
        case "fetch_all":
            rank = plan.entity.rank
            return await loader.fetch_all(
                plan,
                where=None if fetch.rank is None else rank == fetch.rank,
                order_by=None if fetch.descending is None else rank.desc() if fetch.descending else rank,
                limit=fetch.limit,
                offset=fetch.offset,
            )


def bare_key(key: Key) -> object:
    """Return a key as an id to ask for."""
    return key[0] if len(key) == 1 else key


@contextlib.asynccontextmanager
async def bound(engine: AsyncEngine, bind: Bind) -> AsyncIterator[Loader]:
    """Make a loader on a bind of that kind."""
    match bind:
        case "engine":
            yield Loader(engine)
        case "sessionmaker":
            yield Loader(async_sessionmaker(engine))
        case "session":
            async with AsyncSession(engine) as session:
                yield Loader(session)
        case "connection":
            async with engine.connect() as connection:
                yield Loader(connection)
