"""SQLAlchemy alone: lazy loading, loader options built in the call, and the same built once."""

from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, selectinload

from benchmarks.cases import carriers
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.cases.top_five import BEST, read_best
from benchmarks.reading import reading
from benchmarks.rivals.by_hand import GRAPHS
from benchmarks.rivals.rival import Fetch, Rival, sqlalchemy_engine


def narrowed(statement: Select[Any], graph: Graph, ask: Ask) -> Select[Any]:
    """Return the statement for what is asked."""
    if ask.key is not None:
        return statement.where(graph.key == ask.key)
    return statement.order_by(graph.key).limit(ask.first)


def read(graph: Graph, entity: Any) -> Any:
    """Return what a job names of an entity that options have loaded."""
    return read_best(entity, entity.best_reviews) if graph.name == "best" else graph.read(entity, iter)


def lazily(graph: Graph) -> Fetch:
    """Return the way of a synchronous session in ``run_sync``, where attributes load when they are read."""

    def walk(session: Session, ask: Ask) -> Values:
        found = session.scalars(narrowed(select(graph.entity), graph, ask)).all()
        if graph.name == "best":
            return [read_best(each, _best(each.reviews)) for each in found]
        return [graph.read(each, iter) for each in found]

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine) as session:
            return await session.run_sync(walk, ask)

    return fetch


def _best(reviews: Any) -> Any:
    """Cut in Python what has come whole."""
    return sorted(reviews, key=lambda review: (review.score, review.id), reverse=True)[:BEST]


def in_the_call(graph: Graph) -> Fetch:
    """Return the way of a repository: a statement and its options, written out in the call."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            found = (await session.scalars(narrowed(graph.select(), graph, ask))).all()
            with reading():
                return [read(graph, each) for each in found]

    return fetch


def prebuilt(graph: Graph) -> Fetch:
    """Return the same with the statement and its options built once."""
    one = graph.select().where(graph.key == bindparam("key"))
    many = graph.select().order_by(graph.key).limit(bindparam("first", type_=None))

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            if ask.key is not None:
                found = (await session.scalars(one, {"key": ask.key})).all()
            else:
                found = (await session.scalars(many, {"first": ask.first})).all()
            with reading():
                return [read(graph, each) for each in found]

    return fetch


def selectin_carriers() -> Fetch:
    """Return the way of those who know that there are few carriers."""
    graph = carriers.GRAPH

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            statement = select(graph.entity).options(selectinload(graph.entity.carrier))
            found = (await session.scalars(narrowed(statement, graph, ask))).all()
            with reading():
                return [graph.read(each, iter) for each in found]

    return fetch


LAZY = Rival(
    "lazy loading",
    ("sqlalchemy",),
    sqlalchemy_engine,
    {graph.name: lazily(graph) for graph in GRAPHS},
    notes={"best": "loads all reviews, sorts in Python"},
    most={"orders": 50},
)
RECIPE = {"best": "a relationship to a window function, as documented: it ranks all reviews"}
IN_THE_CALL = Rival(
    "options in the call",
    ("sqlalchemy",),
    sqlalchemy_engine,
    {graph.name: in_the_call(graph) for graph in GRAPHS},
    notes=RECIPE,
)
PREBUILT = Rival(
    "options prebuilt",
    ("sqlalchemy",),
    sqlalchemy_engine,
    {graph.name: prebuilt(graph) for graph in GRAPHS},
    notes=RECIPE,
)
SELECTIN = Rival(
    "options, selectinload", ("sqlalchemy",), sqlalchemy_engine, {carriers.GRAPH.name: selectin_carriers()}
)

RIVALS = (LAZY, IN_THE_CALL, PREBUILT, SELECTIN)
