"""The shop's rows: the same ones for the same sizes, made by the server."""

import attrs
from sqlalchemy import Column, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.measure import ensure_filled
from benchmarks.shop.mapping import Base, Carrier, Sheet

COUNTRIES, REGIONS, CITIES, TAGS = 40, 200, 1_000, 100
CARRIERS = 5
TREES, TREE = 4, 255
LINES, IMAGES, TAGGED = 4, 3, 3

#: SQL of a value by the prefix of a sheet's column; ``i`` is the row, ``{n}`` the column. One in eleven is NULL.
SHEET_VALUES = {
    "text": "'text ' || i * {n}",
    "count": "i * {n}",
    "amount": "(i * {n})::numeric / 100",
    "flag": "(i + {n}) % 2 = 0",
    "day": "date '2020-01-01' + (i + {n}) % 2000",
    "moment": "timestamptz '2020-01-01 00:00Z' + (i * {n}) * interval '1 minute'",
    "weight": "(i * {n})::float8 / 8",
    "code": "md5((i * {n})::text)::uuid",
    "big": "i::bigint * {n} * 1000003",
    "facts": "jsonb_build_object('row', i, 'column', {n})",
    "numbers": "ARRAY[i, {n}, i + {n}]",
}


@attrs.frozen
class Sizes:
    """How many rows there are; the smaller tables have fixed numbers.

    Attributes:
        orders: and four times as many lines.
        products: each with a sheet, three images and three tags.
        customers: each with an address.
        reviews: of all products together.
    """

    orders: int
    products: int
    customers: int
    reviews: int

    @classmethod
    def of(cls, orders: int, reviews: int | None = None) -> "Sizes":
        """Return the sizes that belong to a number of orders; five reviews a product unless said otherwise."""
        products = max(orders // 5, 1_000)
        return cls(orders, products, max(orders // 5, 1_000), products * 5 if reviews is None else reviews)


async def fill(engine: AsyncEngine, orders: int, reviews: int | None = None) -> Sizes:
    """Make the tables and their rows, unless they are there, and return how many there are.

    Args:
        engine: of the database.
        orders: decides the other numbers.
        reviews: how many, if not five a product: one million for the first few of many.
    """
    sizes = Sizes.of(orders, reviews)
    await ensure_filled(engine, Base.metadata, "shop_order", str(sizes), inserts(sizes))
    return sizes


def inserts(sizes: Sizes) -> list[str]:
    """Return the statements that fill the empty tables."""
    return [
        _insert("country", COUNTRIES, "'C' || i", "'country ' || i"),
        _insert("region", REGIONS, f"i % {COUNTRIES} + 1", "'region ' || i"),
        _insert("city", CITIES, f"i % {REGIONS} + 1", "'city ' || i", "(10000 + i)::text"),
        _insert("address", sizes.customers, f"i * 7 % {CITIES} + 1", "'street ' || i % 500", "i % 90 + 1"),
        _insert(
            "customer", sizes.customers, "i", "'customer ' || i", "'customer' || i || '@example.org'", _moment("i")
        ),
        _insert("carrier", CARRIERS, "'carrier ' || i", *_texts()),
        _insert(
            "order",
            sizes.orders,
            f"i * 13 % {sizes.customers} + 1",
            f"i % {CARRIERS} + 1",
            "to_char(i, 'FM000000000')",
            "(ARRAY['new', 'paid', 'sent', 'done'])[i % 4 + 1]",
            _moment("i"),
            "(i % 100000)::numeric / 100",
        ),
        *(
            _insert(
                "category",
                TREE,
                f"nullif({tree * TREE} + i / 2, {tree * TREE})",
                f"'category ' || {tree * TREE} + i",
                key=f"{tree * TREE} + i",
            )
            for tree in range(TREES)
        ),
        _insert("tag", TAGS, "'tag ' || i"),
        _insert(
            "product",
            sizes.products,
            f"i % {TREES * TREE} + 1",
            "'product ' || i",
            "repeat('what it is good for ', 10)",
            "(i % 10000)::numeric / 100 + 1",
        ),
        _insert("sheet", sizes.products, "i", *_sheet_values()),
        _insert(
            "line",
            sizes.orders * LINES,
            f"(i - 1) / {LINES} + 1",
            f"i::bigint * 31 % {sizes.products} + 1",
            "i % 5 + 1",
            "(i % 10000)::numeric / 100 + 1",
        ),
        _insert(
            "review",
            sizes.reviews,
            f"i % {sizes.products} + 1",
            f"CASE WHEN i % 7 > 0 THEN i * 3 % {sizes.customers} + 1 END",
            "i::bigint * 7919 % 100003",
            "'title ' || i",
            "repeat('x', 80)",
            _moment("i"),
        ),
        _insert(
            "image",
            sizes.products * IMAGES,
            f"(i - 1) / {IMAGES} + 1",
            "'https://example.org/' || i || '.webp'",
            "800 + i % 400",
            "600 + i % 300",
        ),
        f"INSERT INTO shop_product_tag SELECT i, (i * 7 + n * 31) % {TAGS} + 1"
        f" FROM generate_series(1, {sizes.products}) i, generate_series(1, {TAGGED}) n",
    ]


def _insert(table: str, count: int, *values: str, key: str = "i") -> str:
    return f"INSERT INTO shop_{table} SELECT {key}, {', '.join(values)} FROM generate_series(1, {count}) i"


def _moment(number: str) -> str:
    return f"timestamptz '2024-01-01 00:00Z' + {number} % 1000000 * interval '1 minute'"


def _texts() -> list[str]:
    """Return the texts of a carrier: words that do not repeat, so that the server cannot make them small."""
    words = "(SELECT string_agg(md5(i || ' {n} ' || w), ' ') FROM generate_series(1, {count}) w)"
    names = [each.name for each in _table(Carrier).columns][2:]
    return [words.format(n=number, count=120 if name == "terms" else 12) for number, name in enumerate(names)]


def _sheet_values() -> list[str]:
    def value(column: Column[object]) -> str:
        prefix, _, number = column.name.partition("_")
        sql = SHEET_VALUES[prefix].format(n=int(number))
        return f"CASE WHEN (i + {int(number)}) % 11 > 0 THEN {sql} END"

    return [value(column) for column in list(_table(Sheet).columns)[2:]]


def _table(entity: type[Base]) -> Table:
    table = entity.__table__
    assert isinstance(table, Table)
    return table
