"""sqla-autoloads: ``sqla_select`` with paths as strings; its statements are cached by it.

Collections are asked for whole (``limit=None``) and with ``many_load="selectinload"``: its default is the first 50 rows
of each parent, without a word about the rest. With these settings a page of roots is a plain ``limit()``, for nothing
that is joined multiplies them.
"""

# pyright: reportMissingImports=false

from sqla_autoloads import get_node, init_node, sqla_select, unique_scalars
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import load_only

from atlas.models import Base as AtlasBase
from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import Fetch, Rival, sqlalchemy_engine
from benchmarks.shop import Base as ShopBase

init_node({**get_node(ShopBase), **get_node(AtlasBase)})  # once for all: it is a singleton


def way(graph: Graph, *loads: str) -> Fetch:
    """Return the way of some paths of relationships."""

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        statement = sqla_select(model=graph.entity, loads=loads, limit=None, many_load="selectinload")
        if ask.key is not None:
            statement = statement.where(graph.key == ask.key)
        else:
            statement = statement.order_by(graph.key).limit(ask.first)
        async with AsyncSession(engine, expire_on_commit=False) as session:
            found = unique_scalars(await session.execute(statement)).all()
            with reading():
                return [graph.read(each, iter) for each in found]

    return fetch


async def best(engine: AsyncEngine, ask: Ask) -> Values:
    """Fetch the first rows of each parent: LATERAL, as it is meant.

    A page of parents is a condition: the function that it has for pages takes ``limit`` for the page, and cannot say
    that of each parent.
    """
    graph = top_five.GRAPH
    statement = sqla_select(
        model=graph.entity, loads=("reviews",), limit=top_five.BEST, order_by=("score", "id"), optimization=True
    )
    page = select(graph.key).order_by(graph.key).limit(ask.first)
    statement = statement.where(graph.key.in_(page)).order_by(graph.key)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        found = unique_scalars(await session.execute(statement)).all()
        with reading():
            return [graph.read(each, iter) for each in found]


async def five_columns(engine: AsyncEngine, ask: Ask) -> Values:
    """Fetch some columns: an option of SQLAlchemy, for it has none of its own."""
    graph = sheets.GRAPH
    columns = load_only(*(getattr(graph.entity, name) for name in sheets.COLUMNS))
    statement = sqla_select(model=graph.entity).options(columns).order_by(graph.key).limit(ask.first)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        found = unique_scalars(await session.execute(statement)).all()
        with reading():
            return [graph.read(each, iter) for each in found]


RIVALS = (
    Rival(
        "sqla-autoloads",
        ("sqla-autoloads",),
        sqlalchemy_engine,
        {
            orders.ROW.name: way(orders.ROW),
            orders.GRAPH.name: way(orders.GRAPH, "customer", "lines.product"),
            sheets.GRAPH.name: five_columns,
            chain.GRAPH.name: way(chain.GRAPH, "order.customer.address.city.region.country"),
            products.GRAPH.name: way(products.GRAPH, "reviews", "images", "tags"),
            top_five.GRAPH.name: best,
            tree.GRAPH.name: way(tree.GRAPH, ".".join(["children"] * tree.BELOW)),
            carriers.GRAPH.name: way(carriers.GRAPH, "carrier"),
        },
        cannot={
            country.GRAPH.name: "a many-to-many of a class to itself: it joins those by one foreign key, 'self_key'",
        },
    ),
)
