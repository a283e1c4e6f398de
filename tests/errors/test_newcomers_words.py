"""Further mistakes of newcomers: words of other libraries, arguments at the wrong place, and the whole answer."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import attrs
import pytest
from errors_models import Customer, Line, Order
from pydantic import BaseModel
from sqlalchemy import and_, desc
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import joinedload

from loadplan import Budget, Loader, LoadPlan, LoadPlanError, count, load, source

plan_of: Any = LoadPlan
loads: Any = load
ORDER: Any = LoadPlan(Order, name="order")


class Model(BaseModel):
    id: int


class Dictionary(TypedDict):
    id: int


def row(**fields: Any) -> Any:
    """Return a view class with these fields."""
    return attrs.make_class("Row", {key: attrs.field(type=kind) for key, kind in fields.items()}, frozen=True)


OF_FETCH = (
    "Pass conditions, orders and limits of the roots to the fetch: fetch_all(plan, where=..., order_by=..., "
    "limit=...). Write those of a relationship into its load(...)."
)

#: name: (what is written, what the TypeError says)
WORDS: dict[str, tuple[Callable[[], object], str]] = {
    "where of a plan": (
        lambda: plan_of(Order, where=Order.total > 3),
        f"LoadPlan() has no argument 'where'. {OF_FETCH}",
    ),
    "limit of a plan": (lambda: plan_of(Order, limit=3), f"LoadPlan() has no argument 'limit'. {OF_FETCH}"),
    "filter of a plan": (lambda: plan_of(Order, filter=3), f"LoadPlan() has no argument 'filter'. {OF_FETCH}"),
    "sort of a plan": (lambda: plan_of(Order, sort="id"), f"LoadPlan() has no argument 'sort'. {OF_FETCH}"),
    "strategy of a plan": (
        lambda: plan_of(Order, strategy="joined"),
        "LoadPlan() has no argument 'strategy'. It belongs to one relationship: load(User.posts, strategy=...), "
        "load(Node.children, depth=...).",
    ),
    "columns of a plan": (lambda: plan_of(Order, columns=[]), "LoadPlan() has no argument 'columns'. Write only=."),
    "schema of a plan": (lambda: plan_of(Order, schema=Model), "LoadPlan() has no argument 'schema'. Write into=."),
    "options of a plan": (
        lambda: plan_of(Order, options=[]),
        "LoadPlan() has no argument 'options'. Write load(...) after the class: LoadPlan(User, load(User.posts)).",
    ),
    "a slip of a plan": (lambda: plan_of(Order, nmae="x"), "LoadPlan() has no argument 'nmae'. Did you mean name=?"),
    "filter of a load": (lambda: loads(Order.lines, filter=3), "load() has no argument 'filter'. Write where=."),
    "offset of a load": (
        lambda: loads(Order.lines, offset=3),
        "load() has no argument 'offset'. limit= loads the first rows of each parent.",
    ),
    "first of a load": (
        lambda: loads(Order.lines, first=3),
        "load() has no argument 'first'. Write limit= with order_by=.",
    ),
    "lazy of a load": (lambda: loads(Order.lines, lazy="joined"), "load() has no argument 'lazy'. Write strategy=."),
    "loads of a load": (
        lambda: loads(Customer.orders, loads=[load(Order.lines)]),
        "load() has no argument 'loads'. Write load(...) inside: load(User.posts, load(Post.tags)).",
    ),
    "a slip of a load": (lambda: loads(Order.lines, limt=3), "load() has no argument 'limt'. Did you mean limit=?"),
    "a word of nobody": (
        lambda: loads(Order.lines, xyzzy=3),
        "load() has no argument 'xyzzy'. Arguments: only, defer, where, order_by, limit, depth, strategy, into.",
    ),
    "a number as budget": (
        lambda: plan_of(Order, budget=100),
        "budget= takes a Budget, not 100. Write budget=Budget(rows=1_000, statements=3).",
    ),
    "text in a budget": (
        lambda: Budget(rows="5"),  # type: ignore[arg-type]
        "Budget(rows=) takes a whole number of 0 or more, not '5'.",
    ),
    "a class as name": (
        lambda: plan_of(Order, name=Order),
        "name= takes text, not the class 'Order'. Write name='order page'.",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_an_argument_that_there_is_not(name: str) -> None:
    write, expected = WORDS[name]
    with pytest.raises(TypeError) as caught:
        write()
    assert str(caught.value) == expected


#: name: (what is written, what the error says)
PLANS: dict[str, tuple[Callable[[], object], str]] = {
    "an order by the text of a name": (
        lambda: plan_of(Customer, load(Customer.orders, order_by=desc("total"))),
        "LP108: order_by= needs a SQL expression, but got an order by the text of a name\n"
        "  at: Customer > orders\n"
        "  hint: write order_by=Order.total.desc().",
    ),
    "a strategy as a function": (
        lambda: plan_of(Order, loads(Order.lines, strategy=joinedload)),
        "LP105: strategy=(the function 'joinedload') is unknown\n"
        "  at: Order > lines\n"
        "  hint: use 'joined', 'inner', 'selectin' or 'subquery', or remove strategy= and let the plan choose.",
    ),
    "into a TypedDict": (
        lambda: plan_of(Order, into=Dictionary),
        "LP304: 'Dictionary' cannot be filled from rows\n"
        "  at: Dictionary\n"
        "  hint: use a class of attrs, dataclasses, pydantic or msgspec, or a NamedTuple.",
    ),
    "a count without a type": (
        lambda: plan_of(Order, into=row(id=int, n=count(Order.lines))),
        "LP303: 'Row.n' is annotated with count(Order.lines) alone\n"
        "  at: Row\n"
        "  detail: an annotation names the type first.\n"
        "  hint: write n: Annotated[int, count(Order.lines)].",
    ),
    "a source of text": (
        lambda: plan_of(Order, into=row(id=int, who=Annotated[str, source("customer.name")])),
        "LP307: the source of 'Row.who' ends with 'customer.name', which is not a column or a SQL expression\n"
        "  at: Row\n"
        "  hint: write Annotated[str, source(Order.customer, Customer.name)].",
    ),
    "numbers of a collection": (
        lambda: plan_of(Customer, into=row(id=int, orders=list[int])),
        "LP304: 'Row.orders' is 'list[int]', but 'Customer.orders' leads to 'Order'\n"
        "  at: Row\n"
        "  hint: annotate it with a view class of 'Order', or read one column: Annotated[list[int], "
        "source(Customer.orders, Order.total)].",
    ),
    "a schema and its class swapped": (
        lambda: LoadPlan.for_schema(Model, Order),
        "LP200: 'Model' is not a mapped class\n"
        "  at: Order\n"
        "  hint: pass the mapped class first: LoadPlan.for_schema(Order, Model).",
    ),
    "paths within a class": (
        lambda: LoadPlan.for_paths(Order, ["lines"], allowed=Order),  # type: ignore[arg-type]
        "LP120: allowed= needs a LoadPlan, but got the class 'Order'\n"
        "  hint: make a plan of the class: LoadPlan(Order).",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_means_something_else(name: str) -> None:
    write, expected = PLANS[name]
    with pytest.raises(LoadPlanError) as caught:
        write()
    assert str(caught.value) == expected


#: name: (the call, what the error says)
CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an order in place of a condition": (
        lambda loader: loader.fetch_all(LoadPlan(Customer), Customer.name),
        "LP108: where= needs a condition, but got the column 'Customer.name'\n"
        "  at: Customer\n"
        "  hint: compare it: where=Customer.name == ... To sort, pass it as order_by=.",
    ),
    "two conditions": (
        lambda loader: loader.fetch_all(ORDER, Order.total > 3, Order.id == 1),
        "LP108: order_by= got a condition, the SQL expression 'err_orders.id = :id_1'\n"
        "  at: order\n"
        "  hint: put all conditions into one list: where=[Order.id == 1, ...]. To order by a condition, add "
        ".desc() or .asc().",
    ),
    "a condition made of two": (
        lambda loader: loader.fetch_page(ORDER, and_(Order.total > 3, Order.id == 1)),
        "LP108: order_by= got a condition, the SQL expression 'err_orders.total > :total_1 AND err_orders.id = :id_1'\n"
        "  at: order\n"
        "  hint: put all conditions into one list: where=[and_(Order.total > 3, Order.id == 1), ...]. To order by a "
        "condition, add .desc() or .asc().",
    ),
    "another word for missing": (
        lambda loader: loader.fetch_many(ORDER, [1], missing="ignore"),
        "LP408: missing='ignore' is not a way to answer for ids without a row\n"
        "  at: order\n"
        '  hint: use missing="raise" or missing="skip".',
    ),
    "an id from a path": (
        lambda loader: loader.fetch(ORDER, "17"),
        "LP404: '17' cannot be the primary key of 'Order'\n"
        "  at: order\n"
        "  detail: it takes int, not str.\n"
        "  hint: convert the text first: int('17').",
    ),
    "a call that explain does not know": (
        lambda loader: loader.explain(ORDER, call="page"),
        "LP408: call='page' is not a call to explain\n  hint: use 'fetch', 'count', 'exists' or 'extend'.",
    ),
    "a class to explain": (
        lambda loader: loader.explain(Order),
        "LP408: a fetch needs a LoadPlan, but got the class 'Order'\n"
        "  hint: make a plan of the class: LoadPlan(Order).",
    ),
    "a list of plans": (
        lambda loader: loader.check([ORDER]),
        "LP408: a fetch needs a LoadPlan, but got [LoadPlan(Order, name='order')]\n"
        "  hint: pass one plan, without brackets. loader.check takes several: check(*plans).",
    ),
    "a class to extend": (
        lambda loader: loader.extend(Order, load(Order.lines)),
        "LP416: extend() cannot use what it was given: the class 'Order' is not a mapped object\n"
        "  hint: pass one object, or a list of them.",
    ),
    "a model to extend": (
        lambda loader: loader.extend(Model(id=1), load(Order.lines)),
        "LP416: extend() cannot use what it was given: Model(id=1) is not a mapped object\n"
        "  hint: pass objects that a fetch returned.",
    ),
    "models to extend": (
        lambda loader: loader.extend([Model(id=1)], load(Line.order)),
        "LP416: extend() cannot use what it was given: Model(id=1) is not a mapped object\n"
        "  hint: pass objects that a fetch returned.",
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_means_something_else(sqlite: AsyncEngine, name: str) -> None:
    """Before any SQL: the tables are not even there."""
    call, expected = CALLS[name]

    async def done() -> None:
        if asyncio.iscoroutine(found := call(Loader(sqlite))):
            await found

    with pytest.raises(LoadPlanError) as caught:
        await done()
    assert str(caught.value) == expected


@pytest.mark.parametrize("order", [(Order.total > 3).desc(), (Order.total > 3).asc().nulls_last()], ids=["desc", "asc"])
async def test_an_order_by_a_condition_has_a_direction(sqlite: AsyncEngine, order: Any) -> None:
    """Then it is one, and no second condition: it gets as far as the tables that are not there."""
    with pytest.raises(OperationalError, match="no such table"):
        await Loader(sqlite).fetch_all(ORDER, order_by=order)
