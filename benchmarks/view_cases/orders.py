"""Orders with their lines, the product of each and its category: deep to-ones below a collection."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
from sqlalchemy import ForeignKey, Numeric, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from benchmarks.measure import ensure_filled
from benchmarks.view_cases.case import Case, Level, Rows
from loadplan import LoadPlan, load

LINES = 8
PRODUCTS = 2_000
CATEGORIES = 50


class Base(DeclarativeBase):
    """Of this graph's tables."""


class Category(Base):
    """Of products."""

    __tablename__ = "bench_view_category"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Product(Base):
    """What is sold."""

    __tablename__ = "bench_view_product"

    id: Mapped[int] = mapped_column(primary_key=True)
    category_id: Mapped[int | None] = mapped_column(ForeignKey(Category.id), index=True)
    name: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    category: Mapped[Category | None] = relationship()


class Order(Base):
    """The root, with eight lines."""

    __tablename__ = "bench_view_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    lines: Mapped[list["Line"]] = relationship(order_by="Line.id")


class Line(Base):
    """Of an order."""

    __tablename__ = "bench_view_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id), index=True)
    quantity: Mapped[int]
    product: Mapped[Product] = relationship()


@attrs.frozen
class CategoryRef:
    """A category."""

    id: int
    name: str


@attrs.frozen
class ProductRef:
    """A product; one in ten has no category."""

    id: int
    name: str
    price: Decimal
    category: CategoryRef | None


@attrs.frozen
class LineView:
    """A line."""

    quantity: int
    product: ProductRef


@attrs.frozen
class OrderView:
    """An order."""

    id: int
    customer: str
    lines: list[LineView]


async def fill(engine: AsyncEngine, orders: int) -> None:
    """Make the tables and their rows, unless they are there."""
    inserts = [
        f"INSERT INTO bench_view_category SELECT i, 'category ' || i FROM generate_series(1, {CATEGORIES}) i",
        f"INSERT INTO bench_view_product SELECT i, CASE WHEN i % 10 > 0 THEN i % {CATEGORIES} + 1 END,"
        f" 'product ' || i, (i % 500) + 0.99 FROM generate_series(1, {PRODUCTS}) i",
        f"INSERT INTO bench_view_order SELECT i, 'customer ' || i % 1000 FROM generate_series(1, {orders}) i",
        f"INSERT INTO bench_view_line SELECT i, (i - 1) / {LINES} + 1, i * 17 % {PRODUCTS} + 1, i % 9 + 1"
        f" FROM generate_series(1, {orders * LINES}) i",
    ]
    await ensure_filled(engine, Base.metadata, "bench_view_order", f"{orders} orders", inserts)


def options() -> Select[Any]:
    """What a repository writes: whole objects, in two statements."""
    return select(Order).options(selectinload(Order.lines).joinedload(Line.product).joinedload(Product.category))


def view(order: Order) -> OrderView:
    """Return the view of a mapped object."""
    return OrderView(
        order.id, order.customer, [LineView(each.quantity, _product(each.product)) for each in order.lines]
    )


def _product(product: Product) -> ProductRef:
    category = None if product.category is None else CategoryRef(product.category.id, product.category.name)
    return ProductRef(product.id, product.name, product.price, category)


LINE_COLUMNS = "l.quantity, p.id, p.name, p.price, c.id, c.name"
LINE_TABLES = """
bench_view_line l JOIN bench_view_product p ON p.id = l.product_id
LEFT JOIN bench_view_category c ON c.id = p.category_id"""

STATEMENT = f"""
SELECT o.id, o.customer,
    ARRAY(SELECT ROW({LINE_COLUMNS}) FROM {LINE_TABLES} WHERE l.order_id = o.id ORDER BY l.id)
FROM bench_view_order o {{roots}}"""


def build(rows: Rows) -> list[OrderView]:
    """Return views of nested rows."""
    return [
        OrderView(
            id_,
            customer,
            [
                LineView(quantity, ProductRef(key, name, price, None if at is None else CategoryRef(at, category)))
                for quantity, key, name, price, at, category in lines
            ],
        )
        for id_, customer, lines in rows
    ]


LEVELS = (
    Level(
        f"SELECT l.order_id, {LINE_COLUMNS} FROM {LINE_TABLES} WHERE l.order_id = ANY($1) ORDER BY l.id",
        lambda arrived: [row[0] for row in arrived[0]],
    ),
)


def build_levels(arrived: Sequence[Rows]) -> list[OrderView]:
    """Return views of the rows of two statements."""
    lines: defaultdict[int, list[LineView]] = defaultdict(list)
    for order_id, quantity, key, name, price, at, category in arrived[1]:
        found = None if at is None else CategoryRef(at, category)
        lines[order_id].append(LineView(quantity, ProductRef(key, name, price, found)))
    return [OrderView(id_, customer, lines[id_]) for id_, customer in arrived[0]]


CASE = Case(
    name="orders",
    roots=(1, 50, 1_000, 10_000),
    fill=fill,
    key=Order.id,
    sql_key="o.id",
    one=7,
    plan=LoadPlan(Order, into=OrderView),
    entities=LoadPlan(Order, load(Order.lines, load(Line.product, load(Product.category))), name="orders"),
    options=options,
    view=view,
    statement=STATEMENT,
    build=build,
    root_statement="SELECT o.id, o.customer FROM bench_view_order o {roots}",
    levels=LEVELS,
    build_levels=build_levels,
)
