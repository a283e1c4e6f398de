"""Few parents: 10,000 orders and the five carriers that bring them, 12 kB each."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, levelled, nested
from benchmarks.cases.whole import Whole
from benchmarks.shop import Carrier, Order
from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan, load


@attrs.frozen
class CarrierRef:
    """Who brings it, and on what terms: about 4 kB."""

    id: int
    name: str
    terms: str


@attrs.frozen
class OrderView:
    """The root."""

    id: int
    number: str
    carrier: CarrierRef


def read(order: Any, _many: Many) -> Any:
    """Return an order with three values of its carrier."""
    carrier = order.carrier
    return order.id, order.number, (carrier.id, carrier.name, carrier.terms)


def options() -> Sequence[ExecutableOption]:
    """One statement: the carrier of each order comes with it."""
    return (joinedload(Order.carrier),)


JOINED = """
SELECT o.id, o.number, c.id, c.name, c.terms
FROM shop_order o JOIN shop_carrier c ON c.id = o.carrier_id {roots}"""

CARRIERS = Level(
    "SELECT c.id, c.name, c.terms FROM shop_carrier c WHERE c.id = ANY($1)",
    lambda arrived: list({row[2] for row in arrived[0]}),
)


def build(rows: Rows) -> list[OrderView]:
    """Return views of joined rows."""
    return [OrderView(id_, number, CarrierRef(*carrier)) for id_, number, *carrier in rows]


def build_levels(arrived: Sequence[Rows]) -> list[OrderView]:
    """Return views of the rows of two statements; orders share their carriers."""
    carriers = {row[0]: CarrierRef(*row) for row in arrived[1]}
    return [OrderView(id_, number, carriers[carrier]) for id_, number, carrier in arrived[0]]


WHOLE, WHOLE_CARRIER = Whole(Order, "carrier"), Whole(Carrier)

WHOLE_CARRIERS = Level(
    f"SELECT {WHOLE_CARRIER.columns('c')} FROM shop_carrier c WHERE c.id = ANY($1)",
    CARRIERS.keys,
)


def build_whole(arrived: Sequence[Rows]) -> list[Any]:
    """Return objects of the whole rows of two statements; orders share their carriers."""
    carriers = {row[0]: WHOLE_CARRIER.make(*row) for row in arrived[1]}
    return [WHOLE.make(*row, carriers[row[2]]) for row in arrived[0]]


GRAPH = Graph(
    name="carriers",
    entity=Order,
    key=Order.id,
    read=read,
    plan=LoadPlan(Order, load(Order.carrier), name="orders with carriers"),
    views=LoadPlan(Order, into=OrderView),
    options=options,
    by_hand={
        "one statement": nested(JOINED, "o.id", build),
        "a level": levelled(
            "SELECT o.id, o.number, o.carrier_id FROM shop_order o {roots}", "o.id", (CARRIERS,), build_levels
        ),
        "whole rows": levelled(
            f"SELECT {WHOLE.columns('o')} FROM shop_order o {{roots}}", "o.id", (WHOLE_CARRIERS,), build_whole
        ),
    },
)

SELECTIN = LoadPlan(Order, load(Order.carrier, strategy="selectin"), name="orders, then carriers")
"""The same with the one word that docs/strategies.md gives for it."""

VIEWS_SELECTIN = LoadPlan(Order, load(Order.carrier, strategy="selectin"), into=OrderView)

CASES = (Case("few-parents", "{:,} orders with 5 distinct carriers", GRAPH, 10_000),)
