"""Plans and loads are values: equal, hashable, immutable, printed as the code that builds them; also() merges."""

import threading
from typing import Any

import attrs
import pytest
from errors_models import Company, Customer, Line, Order, Tag
from sqlalchemy import func
from sqlalchemy.ext.asyncio import create_async_engine

from loadplan import Loader, LoadPlan, PlanError, load

NAMES: dict[str, Any] = {each.__name__: each for each in (LoadPlan, load, Customer, Company, Order, Line, Tag)}
NAMES["func"] = func

PLANS: dict[str, tuple[Any, str]] = {
    "bare": (lambda: LoadPlan(Order), "LoadPlan(Order)"),
    "named": (lambda: LoadPlan(Order, name="the 'page'"), "LoadPlan(Order, name=\"the 'page'\")"),
    "only": (lambda: LoadPlan(Order, only=[Order.id, Order.total]), "LoadPlan(Order, only=[Order.id, Order.total])"),
    "only nothing": (lambda: LoadPlan(Order, only=[]), "LoadPlan(Order, only=[])"),
    "defer": (lambda: LoadPlan(Order, defer=(Order.total,)), "LoadPlan(Order, defer=[Order.total])"),
    "by name": (lambda: LoadPlan(Order, load("lines")), "LoadPlan(Order, load('lines'))"),
    "deep": (
        lambda: LoadPlan(
            Customer,
            load(Customer.orders, load(Order.lines), load(Order.tags, only=[Tag.name], strategy="subquery")),
            only=[Customer.name],
            name="deep",
        ),
        "LoadPlan(Customer, load(Customer.orders, load(Order.lines), "
        "load(Order.tags, only=[Tag.name], strategy='subquery')), only=[Customer.name], name='deep')",
    ),
    "nested plan": (
        lambda: LoadPlan(Order, load(Order.customer, LoadPlan(Customer, only=[Customer.name]))),
        "LoadPlan(Order, load(Order.customer, LoadPlan(Customer, only=[Customer.name])))",
    ),
    "functions, one of them in a schema": (
        lambda: LoadPlan(
            Customer, load(Customer.orders, where=func.abs(Order.total) == 3, order_by=func.app.count(Order.id).desc())
        ),
        "LoadPlan(Customer, load(Customer.orders, where=func.abs(Order.total) == 3, "
        "order_by=func.app.count(Order.id).desc()))",
    ),
    "a subclass": (
        lambda: LoadPlan(Company, load(Company.branches), load(Company.orders)),
        "LoadPlan(Company, load(Company.branches), load(Company.orders))",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_equal_plans_are_equal_and_have_one_hash(name: str) -> None:
    make, _ = PLANS[name]
    first, second = make(), make()
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    assert {first: "found"}[second] == "found"
    assert first.loads == second.loads
    assert {*first.loads} == {*second.loads}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_prints_as_the_code_that_builds_it(name: str) -> None:
    make, expected = PLANS[name]
    plan = make()
    assert repr(plan) == expected
    again = eval(repr(plan), NAMES)  # noqa: S307
    assert again == plan
    assert hash(again) == hash(plan)


@pytest.mark.parametrize("name", PLANS)
def test_different_plans_differ(name: str) -> None:
    plan = PLANS[name][0]()
    assert [other for other in PLANS if PLANS[other][0]() == plan] == [name]
    assert plan != repr(plan)
    assert plan != None  # noqa: E711


def test_loads_are_values_too() -> None:
    assert load(Order.lines) == load(Order.lines)
    assert hash(load(Order.lines)) == hash(load(Order.lines))
    assert load(Order.lines) != load(Order.tags)
    assert load(Order.lines) != load(Order.lines, strategy="joined")
    assert load(Order.lines, only=[Line.position]) != load(Order.lines, defer=[Line.position])
    assert load(Order.lines, load(Line.order)) != load(Order.lines)
    assert repr(load(Order.lines, load(Line.order), strategy="joined")) == (
        "load(Order.lines, load(Line.order), strategy='joined')"
    )


def test_using_a_plan_does_not_change_what_it_equals() -> None:
    """What a plan remembers once it is resolved and compiled is no part of the value."""
    used, fresh = PLANS["deep"][0](), PLANS["deep"][0]()
    Loader(create_async_engine("sqlite+aiosqlite://")).explain(used)
    assert used == fresh
    assert hash(used) == hash(fresh)
    assert repr(used) == repr(fresh)


def test_nothing_can_be_set_or_deleted() -> None:
    plan, item = PLANS["deep"][0](), load(Order.lines)
    for value, field in ((plan, "name"), (plan, "loads"), (plan, "new"), (item, "strategy"), (item, "new")):
        with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
            setattr(value, field, None)
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        del plan.name
    assert isinstance(plan.loads, tuple)
    assert isinstance(plan.only, tuple)


def test_lists_that_were_passed_in_can_change_afterwards() -> None:
    columns = [Order.total]
    plan = LoadPlan(Order, only=columns)
    columns.append(Order.customer_id)
    assert repr(plan) == "LoadPlan(Order, only=[Order.total])"


def test_also_adds_and_leaves_the_plan_as_it_was() -> None:
    plan = LoadPlan(Order, load(Order.lines), only=[Order.total], name="page")
    more = plan.also(load(Order.customer))
    assert repr(plan) == "LoadPlan(Order, load(Order.lines), only=[Order.total], name='page')"
    assert more == LoadPlan(Order, load(Order.lines), load(Order.customer), only=[Order.total], name="page")
    assert plan.also() == plan


def test_also_merges_what_is_named_twice() -> None:
    plan = LoadPlan(Customer, load(Customer.orders, load(Order.lines), only=[Order.total]))
    more = plan.also(load(Customer.orders, load(Order.tags), only=[Order.customer_id]))
    explained = Loader(create_async_engine("sqlite+aiosqlite://")).explain(more)
    (orders,) = explained.edges
    assert [edge.name for edge in orders.edges] == ["Order.lines", "Order.tags"]
    assert orders.columns is None or set(orders.columns) == {"id", "total", "customer_id"}
    assert explained.statements == 4


def test_also_takes_over_a_strategy_that_only_one_of_them_gives() -> None:
    plan = LoadPlan(Order, load(Order.lines)).also(load(Order.lines, strategy="joined"))
    explained = Loader(create_async_engine("sqlite+aiosqlite://")).explain(plan)
    assert [edge.strategy for edge in explained.edges] == ["left join"]


def test_also_with_another_strategy_cannot_hold() -> None:
    plan = LoadPlan(Order, load(Order.lines, strategy="joined"), name="page")
    with pytest.raises(PlanError) as caught:
        plan.also(load(Order.lines, strategy="subquery"))
    assert str(caught.value) == (
        "LP106: 'Order.lines' is loaded twice, with different strategy=\n"
        "  at: page > lines\n"
        "  detail: the loads have strategy='joined' and strategy='subquery'. A plan loads each "
        "relationship once.\n"
        "  hint: give both the same strategy=, or keep one of them."
    )
    assert plan.also(load(Order.lines, strategy="joined")).name == "page"


def test_also_with_a_whole_plan() -> None:
    tags = LoadPlan(Order, load(Order.tags))
    more = LoadPlan(Order, load(Order.lines)).also(tags)
    explained = Loader(create_async_engine("sqlite+aiosqlite://")).explain(more)
    assert {edge.name for edge in explained.edges} == {"Order.lines", "Order.tags"}


def test_threads_may_use_a_plan_for_the_first_time_together() -> None:
    """All of them get the same answer; none meets a half-made one."""
    loader = Loader(create_async_engine("sqlite+aiosqlite://"))
    for _ in range(10):
        plan = PLANS["deep"][0]()
        start = threading.Barrier(8)
        answers: list[str] = []

        def explain(plan: Any = plan, start: Any = start, answers: Any = answers) -> None:
            start.wait()
            answers.append(str(loader.explain(plan)))

        threads = [threading.Thread(target=explain) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8
        assert len(set(answers)) == 1
