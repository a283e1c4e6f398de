"""Mistakes that a newcomer makes in a plan, and the whole text of the answer: what is wrong, and what to do."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from errors_models import Customer, Line, Order
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.orm import aliased

from loadplan import LoadPlan, PlanError, aggregate, count, load, source

unchecked: Any = load
plan_of: Any = LoadPlan


def wrong(value: Any) -> Any:
    """What a type checker would refuse."""
    return value


def row(name: str, **fields: Any) -> Any:
    """Return a view class with these fields."""
    return attrs.make_class(name, {key: attrs.field(type=kind) for key, kind in fields.items()}, frozen=True)


@attrs.frozen
class OrderRow:
    id: int


@attrs.frozen
class CountDefault:
    id: int
    n: int = wrong(count(Order.lines))


class PydanticDefault(BaseModel):
    id: int
    n: int = wrong(count(Order.lines))


#: name: (what is written, what it says)
PLANS: dict[str, tuple[Callable[[], object], str]] = {
    "where is None": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=Order.total is None)),
        "LP108: where= needs a SQL expression, but got False\n"
        "  at: Customer > orders\n"
        "  hint: Python evaluated this, so the database never sees it. Write Order.id.is_(None) for 'is "
        "None', ~(...) for 'not', Order.id.in_([...]) for 'in', & for 'and', | for 'or'.",
    ),
    "where not": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=not Order.total)),
        "LP108: where= needs a SQL expression, but got False\n"
        "  at: Customer > orders\n"
        "  hint: Python evaluated this, so the database never sees it. Write Order.id.is_(None) for 'is "
        "None', ~(...) for 'not', Order.id.in_([...]) for 'in', & for 'and', | for 'or'.",
    ),
    "where in a list": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=Order.total in [1, 2])),
        "LP108: where= needs a SQL expression, but got False\n"
        "  at: Customer > orders\n"
        "  hint: Python evaluated this, so the database never sees it. Write Order.id.is_(None) for 'is "
        "None', ~(...) for 'not', Order.id.in_([...]) for 'in', & for 'and', | for 'or'.",
    ),
    "where as a dictionary": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where={"total": 3})),
        "LP108: where= needs a SQL expression, but got {'total': 3}\n"
        "  at: Customer > orders\n"
        "  hint: write where=Order.total == 3.",
    ),
    "where as a function": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=lambda order: order.total > 3)),
        "LP108: where= needs a SQL expression, but got a lambda\n"
        "  at: Customer > orders\n"
        "  hint: pass the expression itself, not a function or a class. Write a condition with "
        "attributes of the class, for example where=Order.id > 3.",
    ),
    "where as a select": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=select(Order))),
        "LP108: where= needs a SQL expression, but got a select()\n"
        "  at: Customer > orders\n"
        "  hint: use the subquery in a condition: Post.id.in_(select(...)), or select(...).exists().",
    ),
    "None among conditions": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, where=[Order.total > 3, None])),
        "LP108: where= needs a SQL expression, but got None\n"
        "  at: Customer > orders\n"
        "  hint: remove None from where=. To leave out where=, pass None alone or nothing.",
    ),
    "order as text with a direction": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, order_by="-total")),
        "LP108: order_by= needs a SQL expression, but got '-total'\n"
        "  at: Customer > orders\n"
        "  hint: write order_by=Order.total.desc().",
    ),
    "order as text()": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, order_by=text("total desc"))),
        "LP108: order_by= needs a SQL expression, but got text('total desc')\n"
        "  at: Customer > orders\n"
        "  hint: text(...) hides the direction from loadplan. Order by attributes of the class, for "
        "example order_by=Order.id.desc().",
    ),
    "a list of loads": (
        lambda: plan_of(Order, [load(Order.lines), load(Order.tags)]),
        "LP102: a plan needs load(...) here, but got [load(Order.lines), load(Order.tags)]\n"
        "  at: Order\n"
        "  hint: pass the loads one by one, without brackets. If you have a list, unpack it: *loads.",
    ),
    "the name as second argument": (
        lambda: plan_of(Order, "order page"),
        "LP102: a plan needs load(...) here, but got 'order page'\n"
        "  at: Order\n"
        "  hint: write name='order page' to name the plan.",
    ),
    "a load that is None": (
        lambda: plan_of(Order, load(Order.lines) if Order is Line else None),
        "LP102: a plan needs load(...) here, but got None\n"
        "  at: Order\n"
        "  hint: leave it out. If a load depends on a condition, collect the loads in a list and unpack "
        "it: *loads.",
    ),
    "a class as load": (
        lambda: plan_of(Order, Customer),
        "LP102: a plan needs load(...) here, but got the class 'Customer'\n"
        "  at: Order\n"
        "  hint: write load(Order.customer).",
    ),
    "a column as load": (
        lambda: plan_of(Order, Order.total),
        "LP102: a plan needs load(...) here, but got 'Order.total'\n"
        "  at: Order\n"
        "  hint: columns load by themselves. To load only some of them, write only=[Order.total].",
    ),
    "a condition as load": (
        lambda: plan_of(Order, Order.total > 3),
        "LP102: a plan needs load(...) here, but got the SQL expression 'err_orders.total > :total_1'\n"
        "  at: Order\n"
        "  hint: conditions go into where=, orders into order_by=: load(User.posts, "
        "where=Post.published).",
    ),
    "a view class as load": (
        lambda: plan_of(Order, OrderRow),
        "LP102: a plan needs load(...) here, but got the class 'OrderRow'\n"
        "  at: Order\n"
        "  hint: if 'OrderRow' is your view class, write into=OrderRow.",
    ),
    "a count as load": (
        lambda: plan_of(Order, count(Order.lines)),
        "LP102: a plan needs load(...) here, but got count(Order.lines)\n"
        "  at: Order\n"
        "  hint: annotate a field of a view class with it: Annotated[int, count(Order.lines)].",
    ),
    "a list within a load": (
        lambda: LoadPlan(Order, unchecked([Order.lines, Order.tags])),
        "LP101: load() needs a relationship, but got [Order.lines, Order.tags]\n"
        "  at: Order\n"
        "  hint: write one load(...) for each relationship.",
    ),
    "a load within a load": (
        lambda: LoadPlan(Order, unchecked(load(Order.lines))),
        "LP101: load() needs a relationship, but got load(Order.lines)\n"
        "  at: Order\n"
        "  hint: name a relationship first. A nested load(...) comes after it: load(User.posts, "
        "load(Post.tags)).",
    ),
    "a plan in place of a relationship": (
        lambda: LoadPlan(Order, unchecked(LoadPlan(Customer))),
        "LP101: load() needs a relationship, but got LoadPlan(Customer)\n"
        "  at: Order\n"
        "  hint: name the relationship first, then the plan: load(Post.author, CUSTOMER_PLAN).",
    ),
    "a path with dots": (
        lambda: LoadPlan(Customer, load("orders.lines")),
        "LP201: 'Customer' has no relationship 'orders.lines'\n"
        "  at: Customer > orders.lines\n"
        "  hint: nest one load in the other: load(Customer.orders, load(Order.lines)).",
    ),
    "a path with dots that leads nowhere": (
        lambda: LoadPlan(Customer, load("orders.linse")),
        "LP201: 'Customer' has no relationship 'orders.linse'\n"
        "  at: Customer > orders.linse\n"
        "  detail: 'Order' has no relationship 'linse'.\n"
        "  hint: did you mean 'lines'? Relationships of Order: customer, lines, tags.",
    ),
    "two levels at once": (
        lambda: LoadPlan(Customer, load(Line.order)),
        "LP201: 'Customer' has no relationship 'Line.order'\n"
        "  at: Customer > order\n"
        "  detail: 'Line.order' belongs to 'Line'.\n"
        "  hint: nest it: load(Customer.orders, load(Order.lines, load(Line.order))).",
    ),
    "columns as text": (
        lambda: plan_of(Order, load(Order.customer, only=["name"])),
        "LP104: only= needs mapped columns, but got 'name'\n"
        "  at: Order > customer\n"
        "  hint: name columns as attributes of the class, for example only=[Customer.name].",
    ),
    "a column of a target in only": (
        lambda: LoadPlan(Line, only=[Customer.name]),
        "LP203: 'Customer.name' is not a column of 'Line'\n"
        "  at: Line\n"
        "  hint: move it to the load of 'Customer': load(Line.order, load(Order.customer, "
        "only=[Customer.name])).",
    ),
    "a table": (
        lambda: plan_of(Order.__table__),
        "LP200: the table 'err_orders' is not a mapped class\n  hint: pass the class that is mapped to 'err_orders'.",
    ),
    "an object": (
        lambda: plan_of(Order(id=1)),
        "LP200: an object of 'Order' is not a mapped class\n"
        "  hint: pass the class, not an object of it: LoadPlan(Order).",
    ),
    "an alias": (
        lambda: plan_of(aliased(Order)),
        "LP200: an alias of 'Order' is not a mapped class\n  hint: pass the class itself: LoadPlan(Order).",
    ),
    "an attribute in place of the class": (
        lambda: plan_of(Order.lines),
        "LP200: 'Order.lines' is not a mapped class\n  hint: start with the class: LoadPlan(Order, load(Order.lines)).",
    ),
    "a select in place of the class": (
        lambda: plan_of(select(Order)),
        "LP200: a select() is not a mapped class\n"
        "  hint: pass the class itself: LoadPlan(Order). Conditions go into the fetch: fetch_all(plan, where=...).",
    ),
    "the class as text": (
        lambda: plan_of("Order"),
        "LP200: 'Order' is not a mapped class\n  hint: pass the class itself, without quotes: LoadPlan(Order).",
    ),
    "a view class in place of the class": (
        lambda: plan_of(OrderRow),
        "LP200: 'OrderRow' is not a mapped class\n"
        "  hint: pass a mapped class first. If 'OrderRow' is your view class, write into=OrderRow.",
    ),
    "a plan of a plan": (
        lambda: plan_of(LoadPlan(Order)),
        "LP200: LoadPlan(Order) is not a mapped class\n"
        "  hint: this is a plan already. To add to it, write plan.also(load(...)).",
    ),
    "a load without a class": (
        lambda: plan_of(load(Order.lines)),
        "LP200: load(Order.lines) is not a mapped class\n"
        "  hint: pass the mapped class first, then the loads: LoadPlan(Order, load(Order.lines)).",
    ),
    "a strategy of SQLAlchemy": (
        lambda: plan_of(Order, unchecked(Order.lines, strategy="selectinload")),
        "LP105: strategy='selectinload' is unknown\n"
        "  at: Order > lines\n"
        "  hint: use 'joined', 'inner', 'selectin' or 'subquery', or remove strategy= and let the plan "
        "choose.",
    ),
    "a limit as text": (
        lambda: LoadPlan(Customer, unchecked(Customer.orders, order_by=Order.id, limit="5")),
        "LP107: limit='5' must be a whole number of 1 or more\n"
        "  at: Customer > orders\n"
        "  hint: limit= is the number of rows for each parent. Remove it to load all rows.",
    ),
    "a depth of nothing": (
        lambda: LoadPlan(Customer, load(Customer.orders, depth=0)),
        "2 problems in one plan\n"
        "\n"
        'LP107: depth=0 must be a whole number of 1 or more, or "all"\n'
        "  at: Customer > orders\n"
        '  hint: depth= is the number of levels to load. Write depth="all" to load the whole tree.\n'
        "\n"
        "LP213: depth= needs a relationship from a class to itself, but 'Customer.orders' leads to "
        "'Order'\n"
        "  at: Customer > orders\n"
        "  hint: remove depth=, and nest one load(...) for each level.",
    ),
    "order by a to-one's column": (
        lambda: LoadPlan(Customer, load(Customer.orders, order_by=Line.position)),
        "LP215: order_by= of 'Customer.orders' uses 'err_lines', but only 'Order' is available here\n"
        "  at: Customer > orders\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: order by a subquery, for example order_by=select(func.count()).where(Line.order_id == "
        "Order.id).scalar_subquery().",
    ),
    "order by a to-one": (
        lambda: LoadPlan(Customer, load(Customer.orders, order_by=Order.customer)),
        "LP215: order_by= of 'Customer.orders' uses 'err_customers', but only 'Order' is available here\n"
        "  at: Customer > orders\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write order_by=source(Order.customer, Customer.name).",
    ),
    "SQLAlchemy's count in an annotation": (
        lambda: plan_of(Order, into=row("V", n=Annotated[int, func.count(Line.position)])),
        "LP307: 'V.n' is annotated with a SQL expression, which is not a source\n"
        "  at: V\n"
        "  hint: make it a source: Annotated[int, count(Order.lines)].",
    ),
    "into an entity": (
        lambda: plan_of(Order, into=Customer),
        "LP304: 'Customer' is a mapped class, not a view class\n"
        "  at: Customer\n"
        "  hint: write a class with the fields that you read. To load mapped objects, remove into=.",
    ),
    "into a list": (
        lambda: plan_of(Order, into=list[OrderRow]),
        "LP304: 'list[OrderRow]' is a collection, but into= needs the class of one row\n"
        "  at: list[OrderRow]\n"
        "  hint: pass the class of one row: into=OrderRow. fetch_all returns a list of it.",
    ),
    "a bare name through a relationship": (
        lambda: plan_of(Order, into=row("Row", customer_name=str)),
        "LP303: 'Order' has no 'customer_name' for 'Row.customer_name'\n"
        "  at: Row\n"
        "  hint: read it through the relationship: Annotated[str, source(Order.customer, Customer.name)].",
    ),
    "bare names through a collection": (
        lambda: plan_of(Order, into=row("Row", tags_name=list[str])),
        "LP303: 'Order' has no 'tags_name' for 'Row.tags_name'\n"
        "  at: Row\n"
        "  hint: read it through the relationship: Annotated[list[str], source(Order.tags, Tag.name)].",
    ),
    "a bare count": (
        lambda: plan_of(Order, into=row("Row", lines_count=int)),
        "LP303: 'Order' has no 'lines_count' for 'Row.lines_count'\n"
        "  at: Row\n"
        "  hint: read it through the relationship: Annotated[int, count(Order.lines)].",
    ),
    "a count as a default": (
        lambda: plan_of(Order, into=CountDefault),
        "LP307: 'CountDefault.n' has count(Order.lines) as its default\n"
        "  at: CountDefault\n"
        "  detail: only the annotation can tell loadplan where a value comes from.\n"
        "  hint: move it into the annotation: n: Annotated[int, count(Order.lines)].",
    ),
    "a count as a default of pydantic": (
        lambda: plan_of(Order, into=PydanticDefault),
        "LP307: 'PydanticDefault.n' has count(Order.lines) as its default\n"
        "  at: PydanticDefault\n"
        "  detail: only the annotation can tell loadplan where a value comes from.\n"
        "  hint: move it into the annotation: n: Annotated[int, count(Order.lines)].",
    ),
    "a count of a column": (
        lambda: plan_of(Order, into=row("Row", n=Annotated[int, count(Line.position)])),
        "LP307: count() of 'Row.n' needs a relationship of 'Order', but got 'Line.position'\n"
        "  at: Row\n"
        "  hint: write count(Order.lines).",
    ),
    "a count of its own column": (
        lambda: plan_of(Order, into=row("Row", n=Annotated[int, count(Order.total)])),
        "LP307: count() of 'Row.n' needs a relationship, but 'Order.total' is a column\n"
        "  at: Row\n"
        "  hint: use a relationship of Order: customer, lines, tags.",
    ),
    "an aggregate without a function": (
        lambda: plan_of(Order, into=row("Row", n=Annotated[int, aggregate(Order.lines, Line.position)])),
        "LP307: aggregate() of 'Row.n' needs a function, but got 'Line.position'\n"
        "  at: Row\n"
        "  hint: write aggregate(Order.lines, func.max(Line.position)).",
    ),
    "a source that skips a step": (
        lambda: plan_of(Line, into=row("Row", n=Annotated[str, source(Customer.name)])),
        "LP307: 'Row.n' is read from 'Line', which has no 'Customer.name'\n"
        "  at: Row\n"
        "  hint: write Annotated[str, source(Line.order, Order.customer, Customer.name)].",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan(name: str) -> None:
    make, expected = PLANS[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == expected
