"""A wrong plan: every code LP101 to LP215 as the whole message a person reads."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from errors_models import Company, Customer, Line, Order, Tag
from sqlalchemy.orm import aliased, selectinload

from loadplan import Loader, LoadPlan, LoadPlanError, PlanError, load, on

unchecked: Any = load
plan_of: Any = LoadPlan

#: name: (what makes it, what it says)
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "LP101 a column expression": (
        lambda: plan_of(Order, unchecked(Order.__table__.c.id)),
        "LP101: load() needs a relationship, but got the SQL expression 'err_orders.id'\n"
        "  at: Order\n"
        "  hint: pass an attribute of the class, for example load(Order.customer).",
    ),
    "LP101 a number": (
        lambda: plan_of(Order, unchecked(42), name="page"),
        "LP101: load() needs a relationship, but got 42\n"
        "  at: page\n"
        "  hint: pass an attribute of the class, for example load(Order.customer).",
    ),
    "LP101 an alias": (
        lambda: LoadPlan(Order, load(aliased(Order).lines)),
        "LP101: load() got 'lines' of an alias\n  at: Order\n  hint: use the class itself: load(Order.lines).",
    ),
    "LP102 a bare relationship": (
        lambda: plan_of(Order, Order.lines),
        "LP102: a plan needs load(...) here, but got 'Order.lines'\n  at: Order\n  hint: write load(Order.lines).",
    ),
    "LP102 a string": (
        lambda: plan_of(Order, load(Order.lines, *["order"])),  # type: ignore[arg-type]
        "LP102: a plan needs load(...) here, but got 'order'\n  at: Order > lines\n  hint: write load(Line.order).",
    ),
    "LP101 a class": (
        lambda: LoadPlan(Order, unchecked(Customer)),
        "LP101: load() needs a relationship, but got the class 'Customer'\n"
        "  at: Order\n"
        "  hint: pass the relationship that leads to it: load(Order.customer).",
    ),
    "LP101 an option": (
        lambda: LoadPlan(Order, unchecked(selectinload(Order.lines))),
        "LP101: load() needs a relationship, but got a loader option of SQLAlchemy\n"
        "  at: Order\n"
        "  hint: write load(Order.lines). The plan chooses the loading strategy itself.",
    ),
    "LP102 an option": (
        lambda: plan_of(Order, selectinload(Order.lines)),
        "LP102: a plan needs load(...) here, but got a loader option of SQLAlchemy\n"
        "  at: Order\n"
        "  hint: write load(Order.lines). The plan chooses the loading strategy itself.",
    ),
    "LP103": (
        lambda: LoadPlan(Order, load(Order.customer, only=[Customer.name], defer=[Customer.kind])),
        "LP103: only= and defer= cannot be used together\n"
        "  at: Order > customer\n"
        "  hint: keep one of them: only= names the columns to load, defer= names the columns to leave "
        "out.",
    ),
    "LP104": (
        lambda: plan_of(Order, only=["total"]),
        "LP104: only= needs mapped columns, but got 'total'\n"
        "  at: Order\n"
        "  hint: name columns as attributes of the class, for example only=[Order.total].",
    ),
    "LP104 defer": (
        lambda: plan_of(Order, load(Order.customer, defer=[7])),  # type: ignore[list-item]
        "LP104: defer= needs mapped columns, but got 7\n"
        "  at: Order > customer\n"
        "  hint: name columns as attributes of the class, for example defer=[Customer.id, Customer.name].",
    ),
    "LP105": (
        lambda: plan_of(Order, unchecked(Order.lines, strategy="lazy")),
        "LP105: strategy='lazy' is unknown\n"
        "  at: Order > lines\n"
        "  hint: use 'joined', 'inner', 'selectin' or 'subquery', or remove strategy= and let the plan "
        "choose.",
    ),
    "LP106": (
        lambda: LoadPlan(Order, load(Order.lines, strategy="joined"), load(Order.lines, strategy="selectin")),
        "LP106: 'Order.lines' is loaded twice, with different strategy=\n"
        "  at: Order > lines\n"
        "  detail: the loads have strategy='joined' and strategy='selectin'. A plan loads each "
        "relationship once.\n"
        "  hint: give both the same strategy=, or keep one of them.",
    ),
    "LP200 no mapped class": (
        lambda: plan_of(dict, name="page"),
        "LP200: 'dict' is not a mapped class\n"
        "  at: page\n"
        "  hint: pass a mapped class first, for example LoadPlan(User).",
    ),
    "LP200 an object": (
        lambda: plan_of("Order"),
        "LP200: 'Order' is not a mapped class\n  hint: pass the class itself, without quotes: LoadPlan(Order).",
    ),
    "LP201 a near miss": (
        lambda: LoadPlan(Order, load("custmer"), name="order page"),
        "LP201: 'Order' has no relationship 'custmer'\n"
        "  at: order page > custmer\n"
        "  hint: did you mean 'customer'? Relationships of Order: customer, lines, tags.",
    ),
    "LP201 nothing near": (
        lambda: LoadPlan(Order, load(Order.lines, load("zzz"))),
        "LP201: 'Line' has no relationship 'zzz'\n  at: Order > lines > zzz\n  hint: Relationships of Line: order.",
    ),
    "LP201 no relationships at all": (
        lambda: LoadPlan(Tag, load("order")),
        "LP201: 'Tag' has no relationship 'order'\n  at: Tag > order\n  hint: Relationships of Tag: none.",
    ),
    "LP201 one level up": (
        lambda: LoadPlan(Customer, load(Order.lines)),
        "LP201: 'Customer' has no relationship 'Order.lines'\n"
        "  at: Customer > lines\n"
        "  detail: 'Order.lines' belongs to 'Order'.\n"
        "  hint: nest it: load(Customer.orders, load(Order.lines)).",
    ),
    "LP201 of another class altogether": (
        lambda: LoadPlan(Tag, load(Customer.orders)),
        "LP201: 'Tag' has no relationship 'Customer.orders'\n"
        "  at: Tag > orders\n"
        "  detail: 'Customer.orders' belongs to 'Customer'.\n"
        "  hint: Relationships of Tag: none.",
    ),
    "LP202 a column": (
        lambda: LoadPlan(Order, load(Order.total)),
        "LP202: 'Order.total' is a column, not a relationship\n"
        "  at: Order > total\n"
        "  hint: remove this load: columns load by themselves. To load only some of them, write "
        "only=[Order.total].",
    ),
    "LP202 a hybrid by name": (
        lambda: LoadPlan(Customer, load("loud")),
        "LP202: 'Customer.loud' is a hybrid property, not a relationship\n"
        "  at: Customer > loud\n"
        "  hint: remove this load. Load the relationships that the attribute reads.",
    ),
    "LP202 an association proxy by name": (
        lambda: LoadPlan(Order, load("tag_names")),
        "LP202: 'Order.tag_names' is an association proxy, not a relationship\n"
        "  at: Order > tag_names\n"
        "  hint: load the relationship that it reads: load(Order.tags).",
    ),
    "LP203 a relationship": (
        lambda: LoadPlan(Order, only=[Order.customer]),
        "LP203: 'Order.customer' is a relationship, not a column\n"
        "  at: Order\n"
        "  hint: write load(Order.customer) beside only= or defer=. Without this load, it is not loaded.",
    ),
    "LP203 a column of another class": (
        lambda: LoadPlan(Order, only=[Customer.name]),
        "LP203: 'Customer.name' is not a column of 'Order'\n"
        "  at: Order\n"
        "  hint: move it to the load of 'Customer': load(Order.customer, only=[Customer.name]).",
    ),
    "LP203 a query_expression": (
        lambda: LoadPlan(Customer, only=[Customer.shout]),
        "LP203: 'Customer.shout' is a query_expression, not a column\n"
        "  at: Customer\n"
        "  hint: leave it out: it is not a column of a table.",
    ),
    "LP204": (
        lambda: LoadPlan(Order, load(Order.lines, LoadPlan(Tag, name="tag"))),  # type: ignore[arg-type]
        "LP204: plan 'tag' loads 'Tag', but a plan of 'Line' is needed here\n"
        "  at: Order > lines\n"
        "  hint: nest a plan of 'Line', or move this one to a relationship that leads to 'Tag'.",
    ),
    "LP205 dynamic": (
        lambda: plan_of(Customer, unchecked(Customer.events), name="user page"),
        "LP205: 'Customer.events' cannot be eagerly loaded\n"
        "  at: user page > events\n"
        '  detail: it is mapped lazy="dynamic", which does not support object population.\n'
        '  hint: map it lazy="raise", or leave it out of the plan.',
    ),
    "LP205 write_only": (
        lambda: plan_of(Order, load(Order.customer, unchecked(Customer.archive))),
        "LP205: 'Customer.archive' cannot be eagerly loaded\n"
        "  at: Order > customer > archive\n"
        '  detail: it is mapped lazy="write_only", which does not support object population.\n'
        '  hint: map it lazy="raise", or leave it out of the plan.',
    ),
    "LP106 where": (
        lambda: LoadPlan(Customer, load(Customer.orders, where=Order.total > 3), load(Customer.orders)),
        "LP106: 'Customer.orders' is loaded twice, with different where=\n"
        "  at: Customer > orders\n"
        "  detail: the loads have where=Order.total > 3 and no where=. A plan loads each relationship "
        "once.\n"
        "  hint: give both the same where=, or keep one of them.",
    ),
    "LP107 limit": (
        lambda: LoadPlan(Customer, load(Customer.orders, order_by=Order.id, limit=0)),
        "LP107: limit=0 must be a whole number of 1 or more\n"
        "  at: Customer > orders\n"
        "  hint: limit= is the number of rows for each parent. Remove it to load all rows.",
    ),
    "LP108 where": (
        lambda: plan_of(Customer, unchecked(Customer.orders, where="total > 3")),
        "LP108: where= needs a SQL expression, but got 'total > 3'\n"
        "  at: Customer > orders\n"
        "  hint: write a condition with attributes of the class, for example where=Order.id > 3. For raw "
        "SQL, use sqlalchemy.text(...).",
    ),
    "LP203 a column of a subclass": (
        lambda: LoadPlan(Customer, only=[Company.vat]),
        "LP203: 'Company.vat' belongs to the subclass 'Company', but any 'Customer' may be at this place\n"
        "  at: Customer\n"
        "  hint: put it into a branch: on(Company, only=[Company.vat]).",
    ),
    "LP206": (
        lambda: LoadPlan(Customer, load(Customer.orders, order_by=Order.id, limit=2), name="page").options(),
        "LP206: loader options cannot express order_by= and limit= of 'Customer.orders'\n"
        "  at: page > Customer.orders\n"
        "  hint: fetch the plan with a Loader, or remove order_by= and limit=.",
    ),
    "LP210": (
        lambda: plan_of(Customer, on(Order)),
        "LP210: 'Order' is not a subclass of 'Customer'\n"
        "  at: Customer > on(Order)\n"
        "  hint: Subclasses of Customer: Company.",
    ),
    "LP211": (
        lambda: LoadPlan(Customer, load(Customer.orders, limit=2)),
        "LP211: limit= of 'Customer.orders' needs an order\n"
        "  at: Customer > orders\n"
        "  detail: without an order, the database may return different rows each time.\n"
        "  hint: add an order, for example order_by=Order.id.",
    ),
    "LP212": (
        lambda: LoadPlan(Order, load(Order.customer, order_by=Customer.name)),
        "LP212: order_by= is for collections, but 'Order.customer' is many-to-one\n"
        "  at: Order > customer\n"
        "  hint: remove order_by=.",
    ),
    "LP213": (
        lambda: LoadPlan(Customer, load(Customer.orders, depth=2)),
        "LP213: depth= needs a relationship from a class to itself, but 'Customer.orders' leads to "
        "'Order'\n"
        "  at: Customer > orders\n"
        "  hint: remove depth=, and nest one load(...) for each level.",
    ),
    "LP215": (
        lambda: LoadPlan(Customer, load(Customer.orders, where=Line.position > 1)),
        "LP215: where= of 'Customer.orders' uses 'err_lines', but only 'Order' is available here\n"
        "  at: Customer > orders\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write the condition with a relationship: Order.lines.any(Line.position > 1).",
    ),
    "LP209": (
        lambda: LoadPlan(Customer, load(Company.branches)),
        "LP209: 'Company.branches' belongs to the subclass 'Company', but any 'Customer' may be at this place\n"
        "  at: Customer > branches\n"
        "  hint: put it into a branch: on(Company, load(Company.branches)).",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_message(name: str) -> None:
    make, expected = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == expected
    assert caught.value.code == name[:5]
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("name", CASES)
def test_the_facts_pickle(name: str) -> None:
    with pytest.raises(LoadPlanError) as caught:
        CASES[name][0]()
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is PlanError
    assert str(again) == str(caught.value)
    assert again.problems == caught.value.problems  # type: ignore[attr-defined]
    assert (again.code, again.message, again.path, again.detail, again.hint) == (
        caught.value.code,
        caught.value.message,
        caught.value.path,
        caught.value.detail,
        caught.value.hint,
    )


def test_all_problems_come_at_once_in_the_order_of_the_plan() -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(
            Order,
            load("custmer"),
            load(Order.lines, load("ordr"), strategy="joined"),
            load(Order.customer, unchecked(Customer.events), only=[Customer.name, Order.total]),
            load(Order.lines, strategy="subquery"),
            only=[Order.customer],
            name="page",
        )
    error = caught.value
    assert sorted(problem.code for problem in error.problems) == ["LP106", "LP201", "LP201", "LP203", "LP203", "LP205"]
    assert str(error).startswith("6 problems in one plan\n\nLP")
    assert str(error).split("\n\n")[1:] == [problem.render() for problem in error.problems]
    assert error.code == error.problems[0].code


def test_problems_of_shape_and_of_meaning_come_together() -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(Order, Order.lines, load("custmer"), only=["x"])
    assert [problem.code for problem in caught.value.problems] == ["LP104", "LP102", "LP201"]


def test_one_mistake_is_one_problem_however_often_it_is_named() -> None:
    """The same relationship named twice is resolved once, and so is what is wrong below it."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Order, load(Order.lines, load("ordr")), load(Order.lines))
    assert [problem.code for problem in caught.value.problems] == ["LP201"]


@pytest.mark.parametrize(
    ("given", "meant"), [("Customer", "customer"), ("line", "lines"), ("TAGS", "tags"), ("costumer", "customer")]
)
def test_near_misses(given: str, meant: str) -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Order, load(given))
    assert caught.value.hint == f"did you mean '{meant}'? Relationships of Order: customer, lines, tags."


def test_check_collects_the_problems_of_all_plans() -> None:
    """Plans that are right are no problem; here all are, so check() says nothing."""
    from sqlalchemy.ext.asyncio import create_async_engine

    Loader(create_async_engine("sqlite+aiosqlite://")).check(
        LoadPlan(Order, load(Order.lines)), LoadPlan(Line), LoadPlan(Customer)
    )


def test_a_wrong_plan_inside_another_is_refused_where_it_is_written() -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Customer, load(Customer.orders, LoadPlan(Order, load("custmer"), name="inner")))
    assert caught.value.path == ("inner", "custmer")
