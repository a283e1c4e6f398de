"""Random plans of views bring what a lazy walk finds, whichever way their rows come.

Each example maps a schema of its own, fills it, and fetches a few plans by id, by ids, in a page, in a stream, in one
statement and by level. ``LOADPLAN_PROPERTY_EXAMPLES=n`` runs n examples instead of the default, half as many on
PostgreSQL. With ``CI`` in the environment the examples are the same in every run.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from generated_mappings import Mapping, mapped
from generated_rows import filled
from generated_views import Node, ViewScenario, ViewWalk, declare_view, read_view, view_scenarios
from hypothesis import HealthCheck, given, note, settings
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader, LoadPlan
from loadplan.running.plans import compile_plan
from random_cases import CASES, SAME_EACH_TIME
from support import recording

thorough = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=SAME_EACH_TIME,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
brief = settings(thorough, max_examples=max(1, CASES // 2))


@thorough
@given(scenario=view_scenarios())
async def test_views_are_what_a_lazy_walk_finds_on_sqlite(sqlite: AsyncEngine, scenario: ViewScenario) -> None:
    """On SQLite, where every level is a statement."""
    await hold(sqlite, scenario)


@brief
@given(scenario=view_scenarios())
async def test_views_are_what_a_lazy_walk_finds_on_postgresql(postgres: AsyncEngine, scenario: ViewScenario) -> None:
    """On PostgreSQL, where rows come within rows."""
    await hold(postgres, scenario)


async def hold(engine: AsyncEngine, scenario: ViewScenario) -> None:
    with mapped(scenario.schema) as (mapping, plain):
        async with filled(engine, mapping, scenario.rows):
            for node in scenario.nodes:
                await hold_one(engine, mapping, plain, node)


@contextlib.asynccontextmanager
async def unheard(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Make an engine on the same database that nobody listens to; of others SQLAlchemy remembers that somebody did."""
    silent = create_async_engine(engine.url)
    try:
        yield silent
    finally:
        await silent.dispose()


async def hold_one(engine: AsyncEngine, mapping: Mapping, plain: Mapping, node: Node) -> None:
    """Fetch one plan in every way, and compare all of them with the walk."""
    plan = declare_view(mapping, node)
    note(f"{plan!r}\n{node!r}")
    async with AsyncSession(engine) as session:

        def walk(session: Any) -> tuple[list[Any], list[Any]]:
            oracle = ViewWalk(plain, session)
            roots = oracle.roots(node.entity)
            return [oracle.read(node, each) for each in roots], [plain.identity(each)[1] for each in roots]

        expected, keys = await session.run_sync(walk)
    ids = [key[0] if len(key) == 1 else key for key in keys]
    kind, loader = mapping.classes[node.entity], Loader(engine)
    for way, found in {
        "all": await loader.fetch_all(plan, order_by=kind.rank),
        "few": await loader.fetch_all(plan, order_by=kind.rank, limit=50),
        "counted": await Loader(engine, max_rows=100_000).fetch_all(plan, order_by=kind.rank, limit=50),
        "ids": await loader.fetch_many(plan, ids),
        "stream": [each async for each in loader.stream(plan, order_by=kind.rank, batch_size=2)],
        "pages": await pages(loader, plan, kind.rank),
    }.items():
        assert [read_view(mapping.schema, node, each) for each in found] == expected, way
    if engine.dialect.name == "postgresql":
        async with unheard(engine) as silent:
            for time in ("first", "second", "third"):  # from the second time on as text, through the driver's cursor
                for way, found in {
                    "few": await Loader(silent).fetch_all(plan, order_by=kind.rank, limit=50),
                    "ids": await Loader(silent).fetch_many(plan, ids),
                }.items():
                    assert [read_view(mapping.schema, node, each) for each in found] == expected, (way, time)
    for number, key in enumerate(ids):
        with recording(engine) as statements:
            one = await loader.fetch(plan, key)
        note("\n\n".join(statements))
        assert read_view(mapping.schema, node, one) == expected[number], "one"
        assert len(statements) <= 1 + len(compile_plan(plan, engine.dialect).bringing(1).later)


async def pages(loader: Loader, plan: LoadPlan[Any], order: Any) -> list[Any]:
    """Walk all pages of two."""
    found, after = [], None
    while True:
        page = await loader.fetch_page(plan, order, 2, after=after)
        found += page.items
        after = page.next
        if after is None:
            return found
