"""Django's ORM, its asynchronous interface, on psycopg with its pool.

``select_related`` for to-ones, ``prefetch_related`` for collections. Its documentation says how the interface works:
the query itself runs in a thread, one at a time for all tasks of an event loop.

Source: docs.djangoproject.com/en/5.2/topics/async/
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.models import Prefetch
from sqlalchemy import URL

from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Graph, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import POOL, Fetch, Rival

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}},
    INSTALLED_APPS=["benchmarks.rivals.django_orm.apps.ShopConfig"],
    USE_TZ=True,
)
django.setup()

from benchmarks.rivals.django_orm.models import (  # noqa: E402 - models can be made after setup() alone
    AtlasCity,
    AtlasCountry,
    Category,
    Line,
    Order,
    Product,
    Review,
    Sheet,
)

_numbers = itertools.count(1)


def add_database(url: URL) -> str:
    """Give the database of a URL an alias of its own, with a pool."""
    alias = f"benchmark_{next(_numbers)}"
    added = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.query.get("host", url.host),
        "PORT": str(url.port or 5432),
        "USER": url.username,
        "PASSWORD": url.password or "",
        "NAME": url.database,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": POOL}},
    }
    connections.settings = connections.configure_settings({**connections.settings, alias: added})
    return alias


@contextlib.asynccontextmanager
async def connect(url: URL) -> AsyncIterator[str]:
    """Give the database an alias, and close its pool in the end."""
    alias = add_database(url)

    def open_pool() -> None:
        pool = connections[alias].pool
        pool.open()
        pool.wait()  # if a call came before the first connection, the pool would open one more at some later time

    def close() -> None:
        connections[alias].close()
        connections[alias].close_pool()

    await sync_to_async(open_pool)()
    try:
        yield alias
    finally:
        await sync_to_async(close)()


def everything(related: Any) -> Any:
    """Return the objects of a collection that was prefetched."""
    return related.all()


def way(graph: Graph, query: Any) -> Fetch:
    """Return the way of a query.

    Args:
        graph: what is fetched.
        query: returns the query of all roots, built anew by each call.
    """

    async def fetch(alias: str, ask: Ask) -> Values:
        wanted = query().using(alias)
        if ask.key is not None:
            found = [await wanted.aget(pk=ask.key)]
        else:
            found = [each async for each in wanted.order_by("pk")[: ask.first]]
        with reading():
            return [graph.read(each, everything) for each in found]

    return fetch


async def best(alias: str, ask: Ask) -> Values:
    """Fetch the first rows of each parent: a prefetch of a slice, which becomes a window function."""
    reviews = Prefetch("reviews", Review.objects.order_by("-score", "-id")[: top_five.BEST], to_attr="best")
    wanted = Product.objects.using(alias).prefetch_related(reviews).order_by("pk")[: ask.first]
    found = [each async for each in wanted]
    with reading():
        return [top_five.read_best(each, vars(each)["best"]) for each in found]


RIVALS = (
    Rival(
        "Django",
        ("django", "psycopg"),
        connect,
        {
            orders.ROW.name: way(orders.ROW, Order.objects.all),
            orders.GRAPH.name: way(
                orders.GRAPH,
                lambda: Order.objects.select_related("customer").prefetch_related(
                    Prefetch("lines", Line.objects.select_related("product"))
                ),
            ),
            country.GRAPH.name: way(
                country.GRAPH,
                lambda: AtlasCountry.objects.select_related("capital", "currency").prefetch_related(
                    "languages",
                    Prefetch("neighbours", AtlasCountry.objects.order_by("name", "iso")),
                    Prefetch("cities", AtlasCity.objects.defer("alternate_names")),
                ),
            ),
            sheets.GRAPH.name: way(sheets.GRAPH, lambda: Sheet.objects.only(*sheets.COLUMNS)),
            chain.GRAPH.name: way(
                chain.GRAPH, lambda: Line.objects.select_related("order__customer__address__city__region__country")
            ),
            products.GRAPH.name: way(
                products.GRAPH, lambda: Product.objects.prefetch_related("reviews", "images", "tags")
            ),
            top_five.GRAPH.name: best,
            tree.GRAPH.name: way(
                tree.GRAPH, lambda: Category.objects.prefetch_related("__".join(["children"] * tree.BELOW))
            ),
            carriers.GRAPH.name: way(carriers.GRAPH, lambda: Order.objects.prefetch_related("carrier")),
        },
    ),
)
