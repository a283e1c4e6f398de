"""What can go wrong when a plan runs: LP401 to LP408 as whole messages, and every exception pickles."""

import copy
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from errors_models import Base, Customer, Line, Order
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import (
    IdentityError,
    Loader,
    LoaderError,
    LoadPlan,
    LoadPlanError,
    MultipleFound,
    NotFound,
    NotLoaded,
    PartialCollectionError,
    PlanError,
    Problem,
    load,
)
from support import tables

PAGE = LoadPlan(Order, load(Order.lines), name="order page")


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add(Customer(id=1, orders=[Order(id=1, lines=[Line(position=7)]), Order(id=2)]))
            await session.commit()
        yield engine


async def test_not_found_by_id(shop: AsyncEngine) -> None:
    with pytest.raises(NotFound) as caught:
        await Loader(shop).fetch(PAGE, 99)
    assert str(caught.value) == "LP402: no 'Order' has the primary key 99\n  at: order page"
    assert caught.value.missing == (99,)


async def test_not_found_by_a_composite_id(shop: AsyncEngine) -> None:
    with pytest.raises(NotFound) as caught:
        await Loader(shop).fetch(LoadPlan(Line), {"order_id": 1, "position": 2})
    assert str(caught.value) == ("LP402: no 'Line' has the primary key {'order_id': 1, 'position': 2}\n  at: Line")


async def test_not_found_by_many_ids(shop: AsyncEngine) -> None:
    with pytest.raises(NotFound) as caught:
        await Loader(shop).fetch_many(PAGE, [1, 97, 98])
    assert str(caught.value) == "LP402: no 'Order' has one of the primary keys 97, 98\n  at: order page"
    with pytest.raises(NotFound) as caught:
        await Loader(shop).fetch_many(PAGE, range(1, 11))
    assert str(caught.value) == (
        "LP402: no 'Order' has one of the primary keys 3, 4, 5, 6, 7 and 3 more\n  at: order page"
    )
    assert caught.value.missing == tuple(range(3, 11))


async def test_not_found_and_too_many_by_a_condition(shop: AsyncEngine) -> None:
    with pytest.raises(NotFound) as not_found:
        await Loader(shop).fetch_one(PAGE, Order.id > 99)
    assert str(not_found.value) == "LP402: no 'Order' matches the condition\n  at: order page"
    assert not_found.value.missing == ()
    with pytest.raises(MultipleFound) as multiple:
        await Loader(shop).fetch_one(PAGE, Order.id > 0)
    assert str(multiple.value) == (
        "LP403: more than one 'Order' matches the condition\n"
        "  at: order page\n"
        "  hint: narrow the condition, or use fetch_all(..., limit=1) to take any one of them."
    )


async def test_not_loaded(shop: AsyncEngine) -> None:
    order = await Loader(shop).fetch(PAGE, 1)
    with pytest.raises(NotLoaded) as caught:
        _ = order.tags
    assert str(caught.value) == (
        "LP401: 'Order.tags' is not part of plan 'order page' (at its root)\n  hint: add load(Order.tags) to the plan"
    )


PROBLEM = Problem("LP999", "a 'message'", ("here", "there"), "found so.", "do this.")


@pytest.mark.parametrize(
    "error",
    [
        LoadPlanError(PROBLEM),
        PlanError([PROBLEM, Problem("LP998", "another")]),
        NotLoaded(PROBLEM),
        NotFound(PROBLEM, (1, "two", (3, 4))),
        MultipleFound(PROBLEM),
        IdentityError(PROBLEM),
        LoaderError(PROBLEM),
        PartialCollectionError(PROBLEM),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_exception_pickles_and_copies(error: LoadPlanError) -> None:
    """Across processes, as a task queue or a process pool sends it."""
    ways: list[Any] = [
        *(pickle.loads(pickle.dumps(error, number)) for number in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(error),
        copy.deepcopy(error),
    ]
    for again in ways:
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.problem == error.problem
        assert getattr(again, "missing", None) == getattr(error, "missing", None)
        assert getattr(again, "problems", None) == getattr(error, "problems", None)
        assert (again.code, again.path, again.detail, again.hint) == (
            "LP999",
            ("here", "there"),
            "found so.",
            "do this.",
        )


def test_not_loaded_keeps_its_facts() -> None:
    """Across processes too."""
    error = NotLoaded(PROBLEM, "page", ("User.posts",), Problem, "comments", "load(Post.comments)")
    for each in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (each.plan, each.path, each.entity, each.attribute, each.add) == (
            "page",
            ("User.posts",),
            Problem,
            "comments",
            "load(Post.comments)",
        )


def test_a_problem_is_rendered_with_what_it_knows() -> None:
    assert Problem("LP1", "message").render() == "LP1: message"
    assert PROBLEM.render() == "LP999: a 'message'\n  at: here > there\n  detail: found so.\n  hint: do this."
    assert hash(PROBLEM) == hash(Problem("LP999", "a 'message'", ("here", "there"), "found so.", "do this."))


def test_every_error_is_one_of_ours_and_none_is_an_attribute_or_key_error() -> None:
    import loadplan

    errors = [getattr(loadplan, name) for name in loadplan.__all__]
    errors = [each for each in errors if isinstance(each, type) and issubclass(each, Exception)]
    warnings = [each for each in errors if issubclass(each, Warning)]
    assert [each.__name__ for each in warnings] == ["OverBudgetWarning"]
    errors = [each for each in errors if each not in warnings]
    assert len(errors) >= 8
    assert all(issubclass(each, LoadPlanError) for each in errors)
    assert not any(issubclass(each, AttributeError | LookupError | ValueError) for each in errors)
