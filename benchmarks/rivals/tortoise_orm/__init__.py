"""Tortoise ORM: ``select_related`` for to-ones, ``prefetch_related`` for collections, on asyncpg."""

# pyright: reportMissingImports=false

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import URL
from tortoise import Tortoise
from tortoise.query_utils import Prefetch

from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import POOL, Fetch, Rival
from benchmarks.rivals.tortoise_orm.atlas_models import City, Country
from benchmarks.rivals.tortoise_orm.shop_models import Category, Line, Order, Product, Sheet


def configuration(url: URL) -> dict[str, Any]:
    """Return the configuration for a database, with a pool, on the driver that the URL names."""
    credentials = {
        "host": url.query.get("host", url.host),
        "port": url.port or 5432,
        "user": url.username,
        "password": url.password,
        "database": url.database,
        "minsize": 1,
        "maxsize": POOL,
    }
    return {
        "connections": {
            "default": {"engine": f"tortoise.backends.{url.get_driver_name()}", "credentials": credentials},
        },
        "apps": {
            "shop": {"models": ["benchmarks.rivals.tortoise_orm.shop_models"], "default_connection": "default"},
            "atlas": {"models": ["benchmarks.rivals.tortoise_orm.atlas_models"], "default_connection": "default"},
        },
        "use_tz": True,
    }


@contextlib.asynccontextmanager
async def connect(url: URL) -> AsyncIterator[None]:
    """Open its pool."""
    await Tortoise.init(config=configuration(url))
    try:
        yield
    finally:
        await Tortoise.close_connections()


def way(graph: Graph, query: Any) -> Fetch:
    """Return the way of a query.

    Args:
        graph: what is fetched.
        query: returns the query of all roots, built anew by each call.
    """
    key = graph.key.key

    async def fetch(_: None, ask: Ask) -> Values:
        if ask.key is not None:
            found = [await query().get(**{key: ask.key})]
        else:
            found = await query().order_by(key).limit(ask.first)
        with reading():
            return [graph.read(each, iter) for each in found]

    return fetch


async def best(_: None, ask: Ask) -> Values:
    """Fetch the first rows of each parent: one query a parent, all under way at once."""
    found: Any = await Product.all().order_by("id").limit(ask.first)
    reviews = await asyncio.gather(*(each.reviews.order_by("-score", "-id").limit(top_five.BEST) for each in found))
    with reading():
        return [top_five.read_best(*each) for each in zip(found, reviews, strict=True)]


RIVALS = (
    Rival(
        "Tortoise ORM",
        ("tortoise-orm",),
        connect,
        {
            orders.ROW.name: way(orders.ROW, Order.all),
            orders.GRAPH.name: way(
                orders.GRAPH,
                lambda: (
                    Order.all()
                    .select_related("customer")
                    .prefetch_related(Prefetch("lines", Line.all().select_related("product")))
                ),
            ),
            country.GRAPH.name: way(
                country.GRAPH,
                lambda: (
                    Country.all()
                    .select_related("capital", "currency")
                    .prefetch_related(
                        "languages",
                        Prefetch("neighbours", Country.all().order_by("name", "iso")),
                        Prefetch(
                            "cities",
                            City.all()
                            .only("geonameid", "name", "population", "latitude", "longitude", "timezone", "country_id")
                            .order_by("-population", "geonameid"),
                        ),
                    )
                ),
            ),
            sheets.GRAPH.name: way(sheets.GRAPH, lambda: Sheet.all().only(*sheets.COLUMNS)),
            chain.GRAPH.name: way(
                chain.GRAPH, lambda: Line.all().select_related("order__customer__address__city__region__country")
            ),
            products.GRAPH.name: way(
                products.GRAPH, lambda: Product.all().prefetch_related("reviews", "images", "tags")
            ),
            top_five.GRAPH.name: best,
            tree.GRAPH.name: way(
                tree.GRAPH, lambda: Category.all().prefetch_related("__".join(["children"] * tree.BELOW))
            ),
            carriers.GRAPH.name: way(carriers.GRAPH, lambda: Order.all().prefetch_related("carrier")),
        },
        notes={top_five.GRAPH.name: "a prefetch has no limit of each parent: one query a parent, all at once"},
    ),
)
