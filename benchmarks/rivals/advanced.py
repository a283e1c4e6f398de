"""advanced-alchemy: a repository an entity, with ``load=`` in the call as its documentation shows it.

``load=`` takes relationships, and makes of them ``selectinload`` for a collection and ``joinedload`` for a to-one; a
list within is a chain. It takes options of SQLAlchemy too, which is how columns and trees are asked for.
"""

# pyright: reportMissingImports=false

from collections.abc import Sequence
from typing import Any

from advanced_alchemy.filters import LimitOffset
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from atlas.models import Country
from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import Fetch, Rival, sqlalchemy_engine
from benchmarks.shop import Address, Category, City, Customer, Line, Order, Product, Region, Sheet


class OrderRepository(SQLAlchemyAsyncRepository[Any]):
    """Of orders."""

    model_type = Order


class CountryRepository(SQLAlchemyAsyncRepository[Any]):
    """Of countries, whose key has a name of its own."""

    model_type = Country
    id_attribute = "iso"


class SheetRepository(SQLAlchemyAsyncRepository[Any]):
    """Of sheets."""

    model_type = Sheet


class LineRepository(SQLAlchemyAsyncRepository[Any]):
    """Of lines."""

    model_type = Line


class ProductRepository(SQLAlchemyAsyncRepository[Any]):
    """Of products."""

    model_type = Product


class CategoryRepository(SQLAlchemyAsyncRepository[Any]):
    """Of categories."""

    model_type = Category


def way(graph: Graph, repository: type[SQLAlchemyAsyncRepository[Any]], load: Sequence[Any]) -> Fetch:
    """Return the way of a repository.

    Args:
        graph: what is fetched.
        repository: of the root.
        load: what it is told to load.
    """

    async def fetch(engine: AsyncEngine, ask: Ask) -> Values:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            entities = repository(session=session)
            if ask.key is not None:
                found = [await entities.get(ask.key, load=load)]
            else:
                page = LimitOffset(limit=ask.first, offset=0)
                found = await entities.get_many(page, order_by=(graph.key, False), load=load)
            with reading():
                return [graph.read(each, iter) for each in found]

    return fetch


RIVALS = (
    Rival(
        "advanced-alchemy",
        ("advanced-alchemy",),
        sqlalchemy_engine,
        {
            orders.ROW.name: way(orders.ROW, OrderRepository, ()),
            orders.GRAPH.name: way(orders.GRAPH, OrderRepository, [Order.customer, [Order.lines, Line.product]]),
            country.GRAPH.name: way(
                country.GRAPH,
                CountryRepository,
                [Country.capital, Country.currency, Country.languages, Country.neighbours, Country.cities],
            ),
            sheets.GRAPH.name: way(sheets.GRAPH, SheetRepository, sheets.options()),
            chain.GRAPH.name: way(
                chain.GRAPH,
                LineRepository,
                [[Line.order, Order.customer, Customer.address, Address.city, City.region, Region.country]],
            ),
            products.GRAPH.name: way(
                products.GRAPH, ProductRepository, [Product.reviews, Product.images, Product.tags]
            ),
            tree.GRAPH.name: way(tree.GRAPH, CategoryRepository, tree.options()),
            carriers.GRAPH.name: way(carriers.GRAPH, OrderRepository, [Order.carrier]),
        },
        cannot={
            top_five.GRAPH.name: "load= has no limit of each parent: only a relationship mapped for it would do",
        },
    ),
)
