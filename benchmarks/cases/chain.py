"""A chain of six to-ones: the order, customer, address, city, region and country of a line."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, nested
from benchmarks.cases.whole import Whole
from benchmarks.shop import Address, City, Country, Customer, Line, Order, Region
from benchmarks.view_cases.case import Rows
from loadplan import LoadPlan, load


@attrs.frozen
class CountryRef:
    """The end."""

    name: str


@attrs.frozen
class RegionRef:
    """Fifth."""

    name: str
    country: CountryRef


@attrs.frozen
class CityRef:
    """Fourth."""

    name: str
    region: RegionRef


@attrs.frozen
class AddressRef:
    """Third."""

    street: str
    city: CityRef


@attrs.frozen
class CustomerRef:
    """Second."""

    name: str
    address: AddressRef


@attrs.frozen
class OrderRef:
    """First."""

    number: str
    customer: CustomerRef


@attrs.frozen
class LineView:
    """The root."""

    id: int
    quantity: int
    order: OrderRef


def read(line: Any, _many: Many) -> Any:
    """Return a value of each of the seven."""
    order = line.order
    customer = order.customer
    address = customer.address
    city = address.city
    region = city.region
    return (
        line.id,
        line.quantity,
        order.number,
        customer.name,
        address.street,
        city.name,
        region.name,
        region.country.name,
    )


def options() -> Sequence[ExecutableOption]:
    """One statement with six joins."""
    return (
        joinedload(Line.order)
        .joinedload(Order.customer)
        .joinedload(Customer.address)
        .joinedload(Address.city)
        .joinedload(City.region)
        .joinedload(Region.country),
    )


STATEMENT = """
SELECT l.id, l.quantity, o.number, c.name, a.street, t.name, r.name, k.name
FROM shop_line l
JOIN shop_order o ON o.id = l.order_id
JOIN shop_customer c ON c.id = o.customer_id
JOIN shop_address a ON a.id = c.address_id
JOIN shop_city t ON t.id = a.city_id
JOIN shop_region r ON r.id = t.region_id
JOIN shop_country k ON k.id = r.country_id {roots}"""


def build(rows: Rows) -> list[LineView]:
    """Return views of rows."""
    return [
        LineView(
            id_,
            quantity,
            OrderRef(
                number, CustomerRef(name, AddressRef(street, CityRef(city, RegionRef(region, CountryRef(country)))))
            ),
        )
        for id_, quantity, number, name, street, city, region, country in rows
    ]


WHOLE = (
    Whole(Line, "order"),
    Whole(Order, "customer"),
    Whole(Customer, "address"),
    Whole(Address, "city"),
    Whole(City, "region"),
    Whole(Region, "country"),
    Whole(Country),
)
"""From the root to the end."""

WHOLE_STATEMENT = f"""
SELECT {", ".join(each.columns(alias) for each, alias in zip(WHOLE, "locatrk", strict=True))}
{STATEMENT[STATEMENT.index("FROM") :]}"""


def build_whole(rows: Rows) -> list[Any]:
    """Return objects of whole rows, from the end to the root."""
    ends = [sum(each.width for each in WHOLE[:number]) for number in range(1, len(WHOLE) + 1)]
    steps = [(each.make, end - each.width, end) for each, end in zip(WHOLE, ends, strict=True)]
    (line, _, after), *middle, (country, start, _) = steps
    middle.reverse()
    made = []
    for row in rows:
        below = country(*row[start:])
        for make, begin, end in middle:
            below = make(*row[begin:end], below)
        made.append(line(*row[:after], below))
    return made


GRAPH = Graph(
    name="chain",
    entity=Line,
    key=Line.id,
    read=read,
    plan=LoadPlan(
        Line,
        load(
            Line.order,
            load(Order.customer, load(Customer.address, load(Address.city, load(City.region, load(Region.country))))),
        ),
        name="chain",
    ),
    views=LoadPlan(Line, into=LineView),
    options=options,
    by_hand={
        "one statement": nested(STATEMENT, "l.id", build),
        "whole rows": nested(WHOLE_STATEMENT, "l.id", build_whole),
    },
)

CASES = (Case("chain", "{:,} lines, each with a chain of six to-ones", GRAPH, 1_000),)
