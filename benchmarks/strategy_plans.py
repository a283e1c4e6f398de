"""The graphs of ``strategy_costs.py``: plans of entities and of views that take a strategy."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import attrs

from benchmarks.shop import Carrier, Category, City, Customer, Line, Order, Product
from loadplan import LoadPlan, load

Forced: TypeAlias = Literal["joined", "inner", "selectin", "subquery"]
"""What ``strategy=`` takes."""


# --- six to-ones ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Named:
    """The end of the chain."""

    id: int
    name: str


@attrs.frozen
class RegionView:
    """A region."""

    name: str
    country: Named


@attrs.frozen
class CityView:
    """A city."""

    name: str
    region: RegionView


@attrs.frozen
class AddressView:
    """An address."""

    street: str
    city: CityView


@attrs.frozen
class CustomerView:
    """A customer."""

    name: str
    address: AddressView


@attrs.frozen
class OrderOfLine:
    """The order of a line."""

    number: str
    customer: CustomerView


@attrs.frozen
class LineView:
    """A line, with all that it leads to."""

    id: int
    order: OrderOfLine


CHAIN = ("order", "customer", "address", "city", "region", "country")


def chain(strategy: Forced | None, into: type | None = None) -> LoadPlan[Any]:
    """Return the plan from a line to the country."""
    attributes, entity = [], Line
    for name in CHAIN:
        attributes.append(getattr(entity, name))
        entity = attributes[-1].property.mapper.class_
    below: tuple[Any, ...] = ()
    for attribute in reversed(attributes):
        below = (load(attribute, *below, strategy=strategy),)
    return _plan(Line, below[0], into)


# --- a few wide parents ---------------------------------------------------------------------------------------------


def carriers(strategy: Forced | None) -> LoadPlan[Any]:
    """Return the plan of orders with one of five wide carriers."""
    return LoadPlan(Order, load(Order.carrier, strategy=strategy), name="carriers")


@attrs.frozen
class CityOfRegion:
    """A city with its region."""

    id: int
    name: str
    region: Named


def regions(strategy: Forced | None, into: type | None = None) -> LoadPlan[Any]:
    """Return the plan of cities with one of 200 narrow regions."""
    return _plan(City, load(City.region, strategy=strategy), into)


@attrs.frozen
class OrderOf:
    """An order with its customer."""

    id: int
    number: str
    customer: Named


def customers(strategy: Forced | None, into: type | None = None) -> LoadPlan[Any]:
    """Return the plan of orders, each of another customer."""
    return _plan(Order, load(Order.customer, strategy=strategy), into)


def _plan(entity: type, edge: Any, into: type | None) -> LoadPlan[Any]:
    name = entity.__name__.lower()
    return LoadPlan(entity, edge, into=into, name=name) if into else LoadPlan(entity, edge, name=name)


def _wide_views() -> type:
    """Return the view of an order with all columns of its carrier."""
    names = [column.key for column in Carrier.__table__.columns]
    carrier = type("CarrierView", (), {"__annotations__": {n: int if n == "id" else str for n in names}})
    order = type("OrderView", (), {"__annotations__": {"id": int, "number": str, "carrier": attrs.frozen(carrier)}})
    return attrs.frozen(order)


WideOrder = _wide_views()


def wide_views(strategy: Forced | None) -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Order, load(Order.carrier, strategy=strategy), into=WideOrder, name="carriers")


# --- three siblings -------------------------------------------------------------------------------------------------


@attrs.frozen
class ReviewView:
    """A review."""

    id: int
    score: int
    title: str


@attrs.frozen
class ImageView:
    """An image."""

    url: str
    width: int
    height: int


@attrs.frozen
class ProductView:
    """A product with all that hangs on it."""

    id: int
    name: str
    reviews: list[ReviewView]
    images: list[ImageView]
    tags: list[Named]


def siblings(strategy: Forced | None) -> LoadPlan[Any]:
    """Return the plan of three collections beside each other."""
    attributes: Sequence[Any] = (Product.reviews, Product.images, Product.tags)
    return LoadPlan(Product, *(load(each, strategy=strategy) for each in attributes), name="siblings")


def sibling_views(strategy: Forced | None) -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Product, *siblings(strategy).loads, into=ProductView, name="siblings")


# --- deep -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class SoldView:
    """A product with its category."""

    id: int
    name: str
    category: Named


@attrs.frozen
class SoldLine:
    """A line."""

    id: int
    quantity: int
    price: Decimal
    product: SoldView


@attrs.frozen
class SoldOrder:
    """An order."""

    id: int
    number: str
    lines: list[SoldLine]


@attrs.frozen
class Buyer:
    """A customer with all orders."""

    id: int
    name: str
    orders: list[SoldOrder]


def deep(collections: Forced | None, to_ones: Forced | None) -> LoadPlan[Any]:
    """Return the plan of two collections below each other, and two to-ones below those."""
    product = load(Line.product, load(Product.category, strategy=to_ones), strategy=to_ones)
    lines = load(Order.lines, product, strategy=collections)
    return LoadPlan(Customer, load(Customer.orders, lines, strategy=collections), name="deep")


def deep_views(collections: Forced | None, to_ones: Forced | None = None) -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Customer, *deep(collections, to_ones).loads, into=Buyer, name="deep")


# --- the first few of each parent -----------------------------------------------------------------------------------


@attrs.frozen
class Best:
    """A product with its best reviews."""

    id: int
    name: str
    reviews: list[ReviewView]


def first(order: Any, strategy: Forced | None = None) -> LoadPlan[Any]:
    """Return the plan of the first three reviews of each product."""
    return LoadPlan(Product, load(Product.reviews, order_by=order, limit=3, strategy=strategy), name="first three")


def first_views(order: Any, strategy: Forced | None = None) -> LoadPlan[Any]:
    """Return the same of views."""
    reviews = load(Product.reviews, order_by=order, limit=3, strategy=strategy)
    return LoadPlan(Product, reviews, into=Best, name="first three")


# --- a tree ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class Branch:
    """A category with what is below it; None where the plan ends."""

    id: int
    name: str
    children: "list[Branch] | None" = None


@attrs.frozen
class Whole:
    """A category with all that is below it."""

    id: int
    name: str
    children: "list[Whole]"


def tree(depth: int | Literal["all"], strategy: Forced | None = None) -> LoadPlan[Any]:
    """Return the plan of the categories below others."""
    return LoadPlan(Category, load(Category.children, depth=depth, strategy=strategy), name="tree")


def tree_views(strategy: Forced | None = None) -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Category, load(Category.children, depth=7, strategy=strategy), into=Branch, name="tree")


def whole_tree_views() -> LoadPlan[Any]:
    """Return the plan of views of whole trees."""
    return LoadPlan(Category, load(Category.children, depth="all"), into=Whole, name="tree")
