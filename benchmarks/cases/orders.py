"""Orders with their customer, their lines and the product of each: one, 50, 1,000 and 10,000 of them.

The same graph is fetched over a slow network, and by 50 tasks at a time.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, first_column, levelled, nested
from benchmarks.cases.whole import Whole
from benchmarks.shop import Customer, Line, Order, Product
from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan, load


@attrs.frozen
class CustomerRef:
    """Who ordered."""

    id: int
    name: str


@attrs.frozen
class ProductRef:
    """What was ordered."""

    id: int
    name: str


@attrs.frozen
class LineView:
    """How much of it."""

    id: int
    quantity: int
    price: Decimal
    product: ProductRef


@attrs.frozen
class OrderView:
    """An order as its page shows it."""

    id: int
    number: str
    status: str
    total: Decimal
    customer: CustomerRef
    lines: list[LineView]


@attrs.frozen
class OrderRow:
    """An order and nothing else."""

    id: int
    number: str
    status: str
    total: Decimal


def read(order: Any, many: Many) -> Any:
    """Return what an order's page shows."""
    customer = order.customer
    return (
        order.id,
        order.number,
        order.status,
        order.total,
        (customer.id, customer.name),
        [(each.id, each.quantity, each.price, (each.product.id, each.product.name)) for each in many(order.lines)],
    )


def options() -> Sequence[ExecutableOption]:
    """Two statements: orders with customers, lines with products."""
    return joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.product)


ROOTS = """
SELECT o.id, o.number, o.status, o.total, c.id, c.name
FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id {roots}"""

NESTED = """
SELECT o.id, o.number, o.status, o.total, c.id, c.name, ARRAY(
    SELECT ROW(l.id, l.quantity, l.price, p.id, p.name)
    FROM shop_line l JOIN shop_product p ON p.id = l.product_id WHERE l.order_id = o.id ORDER BY l.id)
FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id {roots}"""

LINES = Level(
    "SELECT l.order_id, l.id, l.quantity, l.price, p.id, p.name"
    " FROM shop_line l JOIN shop_product p ON p.id = l.product_id WHERE l.order_id = ANY($1) ORDER BY l.id",
    first_column,
)


def build_nested(rows: Rows) -> list[OrderView]:
    """Return views of nested rows."""
    return [
        OrderView(
            id_,
            number,
            status,
            total,
            CustomerRef(customer, name),
            [LineView(line, quantity, price, ProductRef(key, of)) for line, quantity, price, key, of in lines],
        )
        for id_, number, status, total, customer, name, lines in rows
    ]


def build_levels(arrived: Sequence[Rows]) -> list[OrderView]:
    """Return views of the rows of two statements."""
    lines: defaultdict[int, list[LineView]] = defaultdict(list)
    for order_id, line, quantity, price, key, name in arrived[1]:
        lines[order_id].append(LineView(line, quantity, price, ProductRef(key, name)))
    return [
        OrderView(id_, number, status, total, CustomerRef(customer, name), lines[id_])
        for id_, number, status, total, customer, name in arrived[0]
    ]


WHOLE_ROW = Whole(Order)
WHOLE = Whole(Order, "customer", "lines")
WHOLE_CUSTOMER, WHOLE_LINE, WHOLE_PRODUCT = Whole(Customer), Whole(Line, "product"), Whole(Product)

WHOLE_ROOTS = f"""
SELECT {WHOLE.columns("o")}, {WHOLE_CUSTOMER.columns("c")}
FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id {{roots}}"""

WHOLE_LINES = Level(
    f"SELECT {WHOLE_LINE.columns('l')}, {WHOLE_PRODUCT.columns('p')}"
    " FROM shop_line l JOIN shop_product p ON p.id = l.product_id WHERE l.order_id = ANY($1) ORDER BY l.id",
    first_column,
)


def build_whole(arrived: Sequence[Rows]) -> list[Any]:
    """Return objects of the whole rows of two statements."""
    order, line = WHOLE.width, WHOLE_LINE.width
    lines: defaultdict[int, list[Any]] = defaultdict(list)
    for row in arrived[1]:
        lines[row[1]].append(WHOLE_LINE.make(*row[:line], WHOLE_PRODUCT.make(*row[line:])))
    return [WHOLE.make(*row[:order], WHOLE_CUSTOMER.make(*row[order:]), lines[row[0]]) for row in arrived[0]]


GRAPH = Graph(
    name="orders",
    entity=Order,
    key=Order.id,
    read=read,
    plan=LoadPlan(Order, load(Order.customer), load(Order.lines, load(Line.product)), name="order page"),
    views=LoadPlan(Order, into=OrderView),
    options=options,
    by_hand={
        "one statement": nested(NESTED, "o.id", build_nested),
        "a level": levelled(ROOTS, "o.id", (LINES,), build_levels),
        "whole rows": levelled(WHOLE_ROOTS, "o.id", (WHOLE_LINES,), build_whole),
    },
)

ROW = Graph(
    name="order",
    entity=Order,
    key=Order.id,
    read=lambda order, many: (order.id, order.number, order.status, order.total),
    plan=LoadPlan(Order, name="order"),
    views=LoadPlan(Order, into=OrderRow),
    options=lambda: (),
    by_hand={
        "one statement": nested(
            "SELECT o.id, o.number, o.status, o.total FROM shop_order o {roots}",
            "o.id",
            lambda rows: [OrderRow(*row) for row in rows],
        ),
        "whole rows": nested(
            f"SELECT {WHOLE_ROW.columns('o')} FROM shop_order o {{roots}}",
            "o.id",
            lambda rows: [WHOLE_ROW.make(*row) for row in rows],
        ),
    },
)

KEY = 7

CASES = (
    Case("row", "one row by its key, nothing below it", ROW, key=KEY),
    Case("one", "one order by its key, with customer, lines and products", GRAPH, key=KEY),
    Case("list-50", "a list of {:,} orders, with the same", GRAPH, 50),
    Case("list-1000", "{:,} orders, with the same", GRAPH, 1_000),
    Case("list-10000", "{:,} orders, with the same", GRAPH, 10_000),
)

NETWORK = tuple(
    Case(f"delay-{milliseconds}", f"{{:,}} orders, {milliseconds} ms of delay each way", GRAPH, 50, delay=delay)
    for milliseconds, delay in ((0, 0.0), (1, 0.001), (5, 0.005))
)

TASKS = (Case("tasks-50", "{:,} tasks at a time, an order each, a pool of 10", GRAPH, 50, tasks=50),)
