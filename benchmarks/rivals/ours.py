"""loadplan: entities, and views."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from benchmarks.cases import carriers, orders, sheets, top_five
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.reading import reading
from benchmarks.rivals.by_hand import GRAPHS
from benchmarks.rivals.everyone import NAMED_COLUMNS
from benchmarks.rivals.rival import Fetch, Rival, sqlalchemy_engine
from loadplan import Loader, LoadPlan, load


async def fetched(loader: Loader, graph: Graph, plan: LoadPlan[Any], ask: Ask) -> Values:
    """Fetch what is asked for, and read it."""
    if ask.key is not None:
        found = [await loader.fetch(plan, ask.key)]
    else:
        found = await loader.fetch_all(plan, order_by=graph.key, limit=ask.first)
    with reading():
        return [graph.read(each, iter) for each in found]


def way(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        return await fetched(Loader(engine), graph, plan, ask)

    return fetch


def way_of_maker(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan and a sessionmaker that nobody listens to."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        return await fetched(Loader(async_sessionmaker(engine)), graph, plan, ask)

    return fetch


def way_of_session(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan and a session of the caller's, opened and closed in the call."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine) as session:
            return await fetched(Loader(session), graph, plan, ask)

    return fetch


@contextlib.asynccontextmanager
async def session_at_work(url: URL) -> AsyncIterator[AsyncSession]:
    """Open a session that is in a transaction already, as in a request that has done something before."""
    async with sqlalchemy_engine(url) as engine, AsyncSession(engine) as session:
        await session.connection()
        yield session


def way_at_work(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan and a session that is in a transaction already."""

    async def fetch(session: AsyncSession, ask: Ask) -> Values:
        return await fetched(Loader(session), graph, plan, ask)

    return fetch


def rebuilt(declared: Any) -> Any:
    """Return a plan, or what hangs below it, written down once more."""
    loads = map(rebuilt, declared.loads)
    if isinstance(declared, LoadPlan):
        return LoadPlan(declared.entity, *loads, into=declared.into, name=declared.name)
    return load(declared.relationship, *loads)


def way_of_handler(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan that is written down in the call, as inside a request handler."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        return await fetched(Loader(engine), graph, rebuilt(plan), ask)

    return fetch


NOTE = 'the override: strategy="selectin"'

#: Graphs whose plan of entities reads columns that the job does not name, and has no condition, order or limit.
_WHOLE = tuple(graph for graph in GRAPHS if graph not in (sheets.GRAPH, top_five.GRAPH))

ENTITIES = Rival(
    "loadplan, entities", ("loadplan",), sqlalchemy_engine, {graph.name: way(graph, graph.plan) for graph in GRAPHS}
)
VIEWS = Rival(
    "loadplan, views", ("loadplan",), sqlalchemy_engine, {graph.name: way(graph, graph.views) for graph in GRAPHS}
)
NAMED = Rival(
    NAMED_COLUMNS,
    ("loadplan",),
    sqlalchemy_engine,
    {graph.name: way(graph, LoadPlan.for_schema(graph.entity, graph.views.into)) for graph in _WHOLE},
)
SELECTIN = Rival(
    'loadplan, entities, "selectin"',
    ("loadplan",),
    sqlalchemy_engine,
    {carriers.GRAPH.name: way(carriers.GRAPH, carriers.SELECTIN)},
    notes={carriers.GRAPH.name: NOTE},
)
VIEWS_SELECTIN = Rival(
    'loadplan, views, "selectin"',
    ("loadplan",),
    sqlalchemy_engine,
    {carriers.GRAPH.name: way(carriers.GRAPH, carriers.VIEWS_SELECTIN)},
    notes={carriers.GRAPH.name: NOTE},
)

#: Small graphs, where it counts what surrounds the rows.
_SMALL = (orders.ROW, orders.GRAPH)


def _otherwise(name: str, make: Callable[[Graph, LoadPlan[Any]], Fetch]) -> list[Rival]:
    """Return entities and views of small graphs, fetched in another way."""
    return [
        Rival(
            f"loadplan, {kind}, {name}",
            ("loadplan",),
            sqlalchemy_engine,
            {graph.name: make(graph, graph.plan if kind == "entities" else graph.views) for graph in _SMALL},
        )
        for kind in ("entities", "views")
    ]


AT_WORK = [
    Rival(
        f"loadplan, {kind}, session at work",
        ("loadplan",),
        session_at_work,
        {orders.ROW.name: way_at_work(orders.ROW, plan)},
        notes={orders.ROW.name: "the session is in a transaction before the call and after it"},
    )
    for kind, plan in (("entities", orders.ROW.plan), ("views", orders.ROW.views))
]

RIVALS = (
    *(ENTITIES, NAMED, VIEWS, SELECTIN, VIEWS_SELECTIN),
    *_otherwise("sessionmaker", way_of_maker),
    *_otherwise("session", way_of_session),
    *AT_WORK,
    *_otherwise("plan in the call", way_of_handler),
)
