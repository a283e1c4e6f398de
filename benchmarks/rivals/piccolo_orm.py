"""Piccolo: ``select`` with columns through foreign keys, as dictionaries, which is its fastest; and ``objects``.

It joins to-ones, and a many-to-many as JSON without an order. It has nothing for the many side of a foreign key: where
a graph has that, there is one query for each collection, grouped here by hand. Its objects have all columns, as mapped
objects of other libraries have them.
"""

# pyright: reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from piccolo.columns import Date, ForeignKey, Integer, Numeric, Text, Timestamptz
from piccolo.engine.postgres import PostgresEngine
from piccolo.table import Table, create_table_class
from sqlalchemy import URL

from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Ask, Values
from benchmarks.reading import reading
from benchmarks.rivals.rival import POOL, Rival


class Customer(Table, tablename="shop_customer"):
    """Who orders."""

    id = Integer(primary_key=True)
    address_id = Integer()
    name = Text()
    email = Text()
    joined_at = Timestamptz()


CLAUSES = {f"clause_{number:02}": Text() for number in range(1, 22)}
Carrier: Any = create_table_class(
    "Carrier",
    class_kwargs={"tablename": "shop_carrier"},
    class_members={"id": Integer(primary_key=True), "name": Text(), "terms": Text(), **CLAUSES},
)
"""Who brings it."""


class Order(Table, tablename="shop_order"):
    """What a customer bought at once."""

    id = Integer(primary_key=True)
    customer_id = ForeignKey(Customer)
    carrier_id = ForeignKey(Carrier)
    number = Text()
    status = Text()
    placed_at = Timestamptz()
    total = Numeric(digits=(12, 2))


class Product(Table, tablename="shop_product"):
    """What is sold."""

    id = Integer(primary_key=True)
    category_id = Integer()
    name = Text()
    description = Text()
    price = Numeric(digits=(12, 2))


class Line(Table, tablename="shop_line"):
    """Of an order."""

    id = Integer(primary_key=True)
    order_id = ForeignKey(Order)
    product_id = ForeignKey(Product)
    quantity = Integer()
    price = Numeric(digits=(12, 2))


class Category(Table, tablename="shop_category"):
    """A node."""

    id = Integer(primary_key=True)
    parent_id = ForeignKey("self", null=True)
    name = Text()


class Tag(Table, tablename="shop_tag"):
    """Of any number of products."""

    id = Integer(primary_key=True)
    name = Text()


class ProductTag(Table, tablename="shop_product_tag"):
    """Which tags a product has."""

    product_id = ForeignKey(Product, primary_key=True)
    tag_id = ForeignKey(Tag)


class Review(Table, tablename="shop_review"):
    """Of a product."""

    id = Integer(primary_key=True)
    product_id = ForeignKey(Product)
    customer_id = Integer(null=True)
    score = Integer()
    title = Text()
    body = Text()
    written_at = Timestamptz()


class Image(Table, tablename="shop_image"):
    """Of a product."""

    id = Integer(primary_key=True)
    product_id = ForeignKey(Product)
    url = Text()
    width = Integer()
    height = Integer()


class Sheet(Table, tablename="shop_sheet"):
    """Five columns of it; a class with all 60 selects no other ones."""

    id = Integer(primary_key=True)
    text_01 = Text(null=True)
    count_02 = Integer(null=True)
    amount_03 = Numeric(digits=(12, 2), null=True)
    day_05 = Date(null=True)


class Currency(Table, tablename="currency", schema="atlas"):
    """A currency."""

    code = Text(primary_key=True)
    name = Text()


class Language(Table, tablename="language", schema="atlas"):
    """A language."""

    code = Text(primary_key=True)
    name = Text()


class AtlasCountry(Table, tablename="country", schema="atlas"):
    """A country."""

    iso = Text(primary_key=True)
    name = Text()
    population = Integer()
    currency_code = ForeignKey(Currency)
    capital_id: Any = ForeignKey("AtlasCity")


class AtlasCity(Table, tablename="city", schema="atlas"):
    """A city."""

    geonameid = Integer(primary_key=True)
    name = Text()
    population = Integer()
    country_iso = ForeignKey(AtlasCountry)


class CountryLanguage(Table, tablename="country_language", schema="atlas"):
    """Which languages a country speaks."""

    country_iso = ForeignKey(AtlasCountry, primary_key=True)
    language_code = ForeignKey(Language)


class CountryNeighbour(Table, tablename="country_neighbour", schema="atlas"):
    """Which countries are next to it."""

    country_iso = ForeignKey(AtlasCountry, primary_key=True)
    neighbour_iso = ForeignKey(AtlasCountry)


TABLES: list[Any] = [
    each for each in vars().values() if isinstance(each, type) and issubclass(each, Table) and each is not Table
]


@contextlib.asynccontextmanager
async def connect(url: URL) -> AsyncIterator[None]:
    """Open its pool, and let the tables be there."""
    host = url.query.get("host", url.host)
    config = {"host": host, "port": url.port or 5432, "user": url.username, "database": url.database}
    engine = PostgresEngine(config={**config, "password": url.password})
    for table in TABLES:
        table._meta.db = engine
    await engine.start_connection_pool(min_size=1, max_size=POOL)
    try:
        yield
    finally:
        await engine.close_connection_pool()


def narrowed(query: Any, key: Any, ask: Ask) -> Any:
    """Return a query for what is asked."""
    return query.where(key == ask.key) if ask.key is not None else query.order_by(key).limit(ask.first)


async def order(_: None, ask: Ask) -> Values:
    """Fetch orders and nothing else."""
    found = await narrowed(Order.select(Order.id, Order.number, Order.status, Order.total), Order.id, ask)
    return [(each["id"], each["number"], each["status"], each["total"]) for each in found]


async def order_page(_: None, ask: Ask) -> Values:
    """Fetch orders with their customers, then the lines with their products."""
    columns = (Order.id, Order.number, Order.status, Order.total, Order.customer_id.id, Order.customer_id.name)
    found = await narrowed(Order.select(*columns), Order.id, ask)
    lines: defaultdict[int, list[Any]] = defaultdict(list)
    for each in await (
        Line.select(Line.order_id, Line.id, Line.quantity, Line.price, Line.product_id.id, Line.product_id.name)
        .where(Line.order_id.is_in([each["id"] for each in found]))
        .order_by(Line.id)
    ):
        product = (each["product_id.id"], each["product_id.name"])
        lines[each["order_id"]].append((each["id"], each["quantity"], each["price"], product))
    return [
        (
            each["id"],
            each["number"],
            each["status"],
            each["total"],
            (each["customer_id.id"], each["customer_id.name"]),
            lines[each["id"]],
        )
        for each in found
    ]


async def atlas_country(_: None, ask: Ask) -> Values:
    """Fetch a country with two to-ones, and three collections at once."""
    has, near, lives = CountryLanguage, CountryNeighbour, AtlasCity
    root, languages, neighbours, cities = await asyncio.gather(
        AtlasCountry.select(
            AtlasCountry.iso,
            AtlasCountry.name,
            AtlasCountry.population,
            AtlasCountry.capital_id.geonameid,
            AtlasCountry.capital_id.name,
            AtlasCountry.capital_id.population,
            AtlasCountry.currency_code.code,
            AtlasCountry.currency_code.name,
        ).where(AtlasCountry.iso == ask.key),
        has.select(has.language_code.code, has.language_code.name).where(has.country_iso == ask.key),
        near.select(near.neighbour_iso.iso, near.neighbour_iso.name)
        .where(near.country_iso == ask.key)
        .order_by(near.neighbour_iso.name, near.neighbour_iso.iso),
        lives.select(lives.name, lives.population)
        .where(lives.country_iso == ask.key)
        .order_by(lives.population, ascending=False)
        .order_by(lives.geonameid),
    )
    (each,) = root
    capital = (each["capital_id.name"], each["capital_id.population"])
    currency = (each["currency_code.code"], each["currency_code.name"])
    return [
        (
            each["iso"],
            each["name"],
            each["population"],
            None if each["capital_id.geonameid"] is None else capital,
            None if each["currency_code.code"] is None else currency,
            sorted((each["language_code.code"], each["language_code.name"]) for each in languages),
            [(each["neighbour_iso.iso"], each["neighbour_iso.name"]) for each in neighbours],
            [(each["name"], each["population"]) for each in cities],
        )
    ]


async def five_columns(_: None, ask: Ask) -> Values:
    """Fetch five columns."""
    found = await narrowed(Sheet.select(*(getattr(Sheet, name) for name in sheets.COLUMNS)), Sheet.id, ask)
    return [tuple(each[name] for name in sheets.COLUMNS) for each in found]


async def product_page(_: None, ask: Ask) -> Values:
    """Fetch products, then three collections at once."""
    found = await narrowed(Product.select(Product.id, Product.name), Product.id, ask)
    ids = [each["id"] for each in found]
    arrived = await asyncio.gather(
        Review.select(Review.product_id, Review.id, Review.title, Review.score)
        .where(Review.product_id.is_in(ids))
        .order_by(Review.id),
        Image.select(Image.product_id, Image.id, Image.url).where(Image.product_id.is_in(ids)).order_by(Image.id),
        ProductTag.select(
            ProductTag.product_id, ProductTag.tag_id.id.as_alias("id"), ProductTag.tag_id.name.as_alias("name")
        )
        .where(ProductTag.product_id.is_in(ids))
        .order_by(ProductTag.tag_id.id),
    )
    collections = []
    for rows, names in zip(arrived, (("id", "title", "score"), ("id", "url"), ("id", "name")), strict=True):
        grouped: defaultdict[int, list[Any]] = defaultdict(list)
        for row in rows:
            grouped[row["product_id"]].append(tuple(row[name] for name in names))
        collections.append(grouped)
    return [(each["id"], each["name"], *(grouped[each["id"]] for grouped in collections)) for each in found]


async def best(_: None, ask: Ask) -> Values:
    """Fetch the first rows of each parent: one query a parent, all under way at once."""
    found = await narrowed(Product.select(Product.id, Product.name), Product.id, ask)
    reviews = await asyncio.gather(
        *(
            Review.select(Review.id, Review.title, Review.score)
            .where(Review.product_id == each["id"])
            .order_by(Review.score, Review.id, ascending=False)
            .limit(top_five.BEST)
            for each in found
        )
    )
    return [
        (each["id"], each["name"], [(review["id"], review["title"], review["score"]) for review in of])
        for each, of in zip(found, reviews, strict=True)
    ]


async def eight_levels(_: None, ask: Ask) -> Values:
    """Fetch a tree, a query a level."""
    root = await Category.select(Category.id, Category.name).where(Category.id == ask.key)
    children: defaultdict[int, list[Any]] = defaultdict(list)
    above = [ask.key]
    for _level in range(tree.BELOW):
        rows = await (
            Category.select(Category.id, Category.name, Category.parent_id)
            .where(Category.parent_id.is_in(above))
            .order_by(Category.id)
        )
        for row in rows:
            children[row["parent_id"]].append((row["id"], row["name"], children[row["id"]]))
        above = [row["id"] for row in rows]
    return [(each["id"], each["name"], children[each["id"]]) for each in root]


async def with_carriers(_: None, ask: Ask) -> Values:
    """Fetch orders with three columns of their carriers, in one statement."""
    carrier = Order.carrier_id
    found = await narrowed(Order.select(Order.id, Order.number, carrier.id, carrier.name, carrier.terms), Order.id, ask)
    return [
        (each["id"], each["number"], (each["carrier_id.id"], each["carrier_id.name"], each["carrier_id.terms"]))
        for each in found
    ]


async def order_object(_: None, ask: Ask) -> Values:
    """Fetch orders and nothing else, as objects."""
    found = await narrowed(Order.objects(), Order.id, ask)
    with reading():
        return [(each.id, each.number, each.status, each.total) for each in found]


async def order_page_objects(_: None, ask: Ask) -> Values:
    """Fetch orders with their customers, then the lines with their products, as objects."""
    found = await narrowed(Order.objects(Order.customer_id), Order.id, ask)
    wanted = Line.objects(Line.product_id).where(Line.order_id.is_in([each.id for each in found])).order_by(Line.id)
    lines = by_parent(await wanted, "order_id")
    with reading():
        return [_page_of(each, lines[each.id]) for each in found]


def _page_of(order: Any, lines: Any) -> Any:
    customer = order.customer_id
    return (
        order.id,
        order.number,
        order.status,
        order.total,
        (customer.id, customer.name),
        [(each.id, each.quantity, each.price, (each.product_id.id, each.product_id.name)) for each in lines],
    )


async def product_page_objects(_: None, ask: Ask) -> Values:
    """Fetch products, then three collections at once, as objects."""
    found = await narrowed(Product.objects(), Product.id, ask)
    ids = [each.id for each in found]
    arrived = await asyncio.gather(
        Review.objects().where(Review.product_id.is_in(ids)).order_by(Review.id),
        Image.objects().where(Image.product_id.is_in(ids)).order_by(Image.id),
        ProductTag.objects(ProductTag.tag_id).where(ProductTag.product_id.is_in(ids)).order_by(ProductTag.tag_id.id),
    )
    reviews, images, tags = (by_parent(rows, "product_id") for rows in arrived)
    with reading():
        return [
            (
                each.id,
                each.name,
                [(review.id, review.title, review.score) for review in reviews[each.id]],
                [(image.id, image.url) for image in images[each.id]],
                [(tied.tag_id.id, tied.tag_id.name) for tied in tags[each.id]],
            )
            for each in found
        ]


async def best_objects(_: None, ask: Ask) -> Values:
    """Fetch the first rows of each parent as objects: one query a parent, all under way at once."""
    found = await narrowed(Product.objects(), Product.id, ask)
    reviews = await asyncio.gather(
        *(
            Review.objects()
            .where(Review.product_id == each.id)
            .order_by(Review.score, Review.id, ascending=False)
            .limit(top_five.BEST)
            for each in found
        )
    )
    with reading():
        return [top_five.read_best(each, of) for each, of in zip(found, reviews, strict=True)]


async def eight_levels_objects(_: None, ask: Ask) -> Values:
    """Fetch a tree as objects, a query a level."""
    root = await Category.objects().where(Category.id == ask.key)
    children: defaultdict[int, list[Any]] = defaultdict(list)
    above = root
    for _level in range(tree.BELOW):
        wanted = Category.objects().where(Category.parent_id.is_in([each.id for each in above])).order_by(Category.id)
        above = await wanted
        for each in above:
            children[each.parent_id].append(each)
    with reading():
        return [_tree_of(each, children) for each in root]


def _tree_of(category: Any, children: Any) -> Any:
    return category.id, category.name, [_tree_of(each, children) for each in children[category.id]]


async def with_carrier_objects(_: None, ask: Ask) -> Values:
    """Fetch orders with their carriers as objects, in one statement."""
    found = await narrowed(Order.objects(Order.carrier_id), Order.id, ask)
    with reading():
        return [
            (each.id, each.number, (each.carrier_id.id, each.carrier_id.name, each.carrier_id.terms)) for each in found
        ]


def by_parent(rows: Any, key: str) -> defaultdict[int, list[Any]]:
    """Return objects in lists, by the key of their parent."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for each in rows:
        found[getattr(each, key)].append(each)
    return found


BY_HAND = "has no collections of a foreign key: a query for each, grouped by hand"
ONE_BY_ONE = "has no collections of a foreign key: one query a parent, all at once"

RIVALS = (
    Rival(
        "Piccolo",
        ("piccolo",),
        connect,
        {
            orders.ROW.name: order,
            orders.GRAPH.name: order_page,
            country.GRAPH.name: atlas_country,
            sheets.GRAPH.name: five_columns,
            products.GRAPH.name: product_page,
            top_five.GRAPH.name: best,
            tree.GRAPH.name: eight_levels,
            carriers.GRAPH.name: with_carriers,
        },
        cannot={
            chain.GRAPH.name: "names joins by their whole path: PostgreSQL cuts that at 63 bytes, and two are the same",
        },
        notes={
            orders.GRAPH.name: BY_HAND,
            country.GRAPH.name: BY_HAND,
            products.GRAPH.name: BY_HAND,
            tree.GRAPH.name: BY_HAND,
            top_five.GRAPH.name: ONE_BY_ONE,
        },
    ),
    Rival(
        "Piccolo, objects",
        ("piccolo",),
        connect,
        {
            orders.ROW.name: order_object,
            orders.GRAPH.name: order_page_objects,
            products.GRAPH.name: product_page_objects,
            top_five.GRAPH.name: best_objects,
            tree.GRAPH.name: eight_levels_objects,
            carriers.GRAPH.name: with_carrier_objects,
        },
        notes={
            orders.GRAPH.name: BY_HAND,
            products.GRAPH.name: BY_HAND,
            tree.GRAPH.name: BY_HAND,
            top_five.GRAPH.name: ONE_BY_ONE,
        },
    ),
)
