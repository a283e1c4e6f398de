"""loadplan: entities, and views."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.cases import carriers
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.rivals.by_hand import GRAPHS
from benchmarks.rivals.rival import Fetch, Rival, sqlalchemy_engine
from loadplan import Loader, LoadPlan


def way(graph: Graph, plan: LoadPlan[Any]) -> Fetch:
    """Return the way of a plan."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        loader = Loader(engine)
        if ask.key is not None:
            found = [await loader.fetch(plan, ask.key)]
        else:
            found = await loader.fetch_all(plan, order_by=graph.key, limit=ask.first)
        return [graph.read(each, iter) for each in found]

    return fetch


NOTE = 'the override: strategy="selectin"'

ENTITIES = Rival(
    "loadplan, entities", ("loadplan",), sqlalchemy_engine, {graph.name: way(graph, graph.plan) for graph in GRAPHS}
)
VIEWS = Rival(
    "loadplan, views", ("loadplan",), sqlalchemy_engine, {graph.name: way(graph, graph.views) for graph in GRAPHS}
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

RIVALS = (ENTITIES, VIEWS, SELECTIN, VIEWS_SELECTIN)
