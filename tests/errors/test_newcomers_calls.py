"""Mistakes that a newcomer makes in a call of a loader, and the whole text of the answer."""

from collections.abc import Callable
from typing import Any

import pytest
from errors_models import Customer, Order
from sqlalchemy import bindparam, create_engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from loadplan import Loader, LoaderError, LoadPlan, LoadPlanError, load


def wrong(value: Any) -> Any:
    """What a type checker would refuse."""
    return value


SINCE = LoadPlan(Customer, load(Customer.orders, where=Order.total >= bindparam("since")), name="since")

#: name: (what is fetched, what it says)
FETCHES: dict[str, tuple[Callable[[AsyncEngine], Any], str]] = {
    "a condition as id": (
        lambda sqlite: Loader(sqlite).fetch(LoadPlan(Order), Order.id == 1),
        "LP404: the SQL expression 'err_orders.id = :id_1' cannot be the primary key of 'Order'\n"
        "  at: Order\n"
        "  detail: it takes int, not BinaryExpression.\n"
        "  hint: this is a condition. Use fetch_one(plan, ...) or fetch_one_or_none(plan, ...) for one row, or "
        "fetch_all(plan, ...) for "
        "many.",
    ),
    "a list as id": (
        lambda sqlite: Loader(sqlite).fetch(LoadPlan(Order), [1, 2]),
        "LP404: [1, 2] cannot be the primary key of 'Order'\n"
        "  at: Order\n"
        "  detail: it takes int, not list.\n"
        "  hint: for many ids, use fetch_many(plan, ids).",
    ),
    "an object as id": (
        lambda sqlite: Loader(sqlite).fetch(LoadPlan(Order), Order(id=1)),
        "LP404: an object of 'Order' cannot be the primary key of 'Order'\n"
        "  at: Order\n"
        "  detail: it takes int, not Order.\n"
        "  hint: pass the id of the object, not the object.",
    ),
    "one id for many": (
        lambda sqlite: Loader(sqlite).fetch_many(LoadPlan(Order), "abc"),
        "LP404: 'abc' is one value, not a list of ids\n"
        "  at: Order\n"
        "  hint: put it into a list: fetch_many(plan, [id]).",
    ),
    "a number for many ids": (
        lambda sqlite: Loader(sqlite).fetch_many(LoadPlan(Order), wrong(1)),
        "LP404: 1 is not a list of ids\n"
        "  at: Order\n"
        "  detail: reading it raises TypeError.\n"
        "  hint: put the ids into a list: fetch_many(plan, [id]).",
    ),
    "a class in place of a plan": (
        lambda sqlite: Loader(sqlite).fetch(wrong(Order), 1),
        "LP408: a fetch needs a LoadPlan, but got the class 'Order'\n"
        "  hint: make a plan of the class: LoadPlan(Order).",
    ),
    "a select in place of a plan": (
        lambda sqlite: Loader(sqlite).fetch_all(wrong(select(Order))),
        "LP408: a fetch needs a LoadPlan, but got a select()\n"
        "  hint: declare what to load in a LoadPlan. Conditions go into the fetch: fetch_all(plan, "
        "where=...).",
    ),
    "a load in place of a plan": (
        lambda sqlite: Loader(sqlite).fetch_all(wrong(load(Order.lines))),
        "LP408: a fetch needs a LoadPlan, but got load(Order.lines)\n"
        "  hint: put the load into a plan: LoadPlan(User, load(User.posts)).",
    ),
    "a keyword as condition": (
        lambda sqlite: Loader(sqlite).fetch_all(LoadPlan(Order), wrong({"id": 1})),
        "LP108: where= needs a SQL expression, but got {'id': 1}\n  at: Order\n  hint: write where=Order.id == 1.",
    ),
    "a comparison by Python": (
        lambda sqlite: Loader(sqlite).fetch_one(LoadPlan(Order), wrong(Order.total is None)),
        "LP108: where= needs a SQL expression, but got False\n"
        "  at: Order\n"
        "  hint: Python evaluated this, so the database never sees it. Write Order.id.is_(None) for 'is "
        "None', ~(...) for 'not', Order.id.in_([...]) for 'in', & for 'and', | for 'or'. "
        "If you compare a source(...), put the comparison into it: source(Order.customer, Customer.name == ...). "
        "If you compare a count(...), write a subquery.",
    ),
    "an order by a related column": (
        lambda sqlite: Loader(sqlite).fetch_all(LoadPlan(Order), order_by=Customer.name),
        "LP215: order_by= of 'Order' uses 'err_customers', but only 'Order' is available here\n"
        "  at: Order\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write order_by=source(Order.customer, Customer.name).",
    ),
    "a condition on a related column": (
        lambda sqlite: Loader(sqlite).fetch_all(LoadPlan(Order), Customer.name == "Ada"),
        "LP215: where= of 'Order' uses 'err_customers', but only 'Order' is available here\n"
        "  at: Order\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write the condition with a relationship: Order.customer.has(Customer.name == 'Ada').",
    ),
    "parameters as a list": (
        lambda sqlite: Loader(sqlite).fetch_all(SINCE, params=wrong([3])),
        "LP405: params= needs a mapping of names to values, but got [3]\n"
        "  at: since\n"
        "  hint: pass a dictionary: params={'name': value}.",
    ),
    "a parameter without a value": (
        lambda sqlite: Loader(sqlite).fetch_all(SINCE),
        "LP405: parameter 'since' has no value\n"
        "  at: since\n"
        "  hint: pass the value with the fetch: params={'since': ...}.",
    ),
    "a parameter of another name": (
        lambda sqlite: Loader(sqlite).fetch_all(SINCE, params={"sinse": 3, "since": 3}),
        "LP405: the plan has no parameter 'sinse'\n  at: since\n  hint: did you mean 'since'? Parameters: since.",
    ),
    "a parameter of another type": (
        lambda sqlite: Loader(sqlite).fetch_all(SINCE, params={"since": "3"}),
        "LP405: '3' cannot be the value of parameter 'since'\n  at: since\n  detail: it takes int, not str.",
    ),
    "a limit below zero": (
        lambda sqlite: Loader(sqlite).fetch_all(LoadPlan(Order), limit=-1),
        "LP107: limit=-1 must be a whole number of 0 or more\n"
        "  at: Order\n"
        "  hint: limit= is the number of roots to fetch. Remove it to fetch all roots.",
    ),
    "a parameter for a plan without parameters": (
        lambda sqlite: Loader(sqlite).fetch_all(LoadPlan(Order), params={"since": 3}),
        "LP405: the plan has no parameter 'since'\n"
        "  at: Order\n"
        "  hint: remove params=, or use the value in a condition of the plan, with bindparam('since').",
    ),
    "the id before the plan": (
        lambda sqlite: Loader(sqlite).fetch(1, LoadPlan(Order)),
        "LP408: a fetch needs a LoadPlan, but got 1\n"
        "  hint: the plan is the first argument, and the id is the second: fetch(plan, 1).",
    ),
    "a page of no size": (
        lambda sqlite: Loader(sqlite).fetch_page(LoadPlan(Order), size=0),
        "LP107: size=0 must be a whole number of 1 or more\n"
        "  at: Order\n"
        "  hint: size= is the number of roots on a page.",
    ),
    "a page number as cursor": (
        lambda sqlite: Loader(sqlite).fetch_page(LoadPlan(Order), after="2"),
        "LP407: the cursor does not belong to this listing\n"
        "  at: Order\n"
        "  detail: it was changed or cut short, or made for another order or with another cursor_key.\n"
        "  hint: pass Page.next as after= or Page.previous as before=, with the same order_by=, or start "
        "at page one.",
    ),
    "a lock on an engine": (
        lambda sqlite: Loader(sqlite).fetch(LoadPlan(Order), 1, for_update=True),
        "LP408: for_update= needs your own transaction, but this Loader opens a separate one\n"
        "  at: Order\n"
        "  detail: the lock would end when the fetch returns.\n"
        "  hint: make the Loader with the AsyncSession or AsyncConnection that changes the row "
        "afterwards.",
    ),
}


@pytest.mark.parametrize("name", FETCHES)
async def test_a_fetch(sqlite: AsyncEngine, name: str) -> None:
    """Before any SQL: the tables are not even there."""
    fetch, expected = FETCHES[name]
    with pytest.raises(LoadPlanError) as caught:
        await fetch(sqlite)
    assert str(caught.value) == expected


#: name: (what a loader is made with, what it says)
BINDS: dict[str, tuple[Callable[[], object], str]] = {
    "the session's class": (
        lambda: AsyncSession,
        "LP408: a Loader cannot use the class 'AsyncSession'\n"
        "  hint: pass an object, not the class, for example AsyncSession(engine).",
    ),
    "a URL": (
        lambda: "postgresql+asyncpg://localhost/app",
        "LP408: a Loader cannot use 'postgresql+asyncpg://localhost/app'\n"
        "  hint: make an engine of the URL: Loader(create_async_engine(url)).",
    ),
    "an engine that is not asynchronous": (
        lambda: create_engine("sqlite://"),
        "LP408: a Loader cannot use Engine(sqlite://)\n"
        "  hint: use SyncLoader, or give it an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection.",
    ),
    "a session that is not asynchronous": (
        lambda: Session(),
        "LP408: a Loader cannot use an object of 'Session'\n"
        "  hint: use SyncLoader, or give it an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection.",
    ),
    "the engine within an AsyncEngine": (
        lambda: create_async_engine("sqlite+aiosqlite://").sync_engine,
        "LP408: a Loader cannot use Engine(sqlite+aiosqlite://)\n"
        "  hint: pass the AsyncEngine itself, not its sync_engine: Loader(engine).",
    ),
    "the session within an AsyncSession": (
        lambda: AsyncSession(create_async_engine("sqlite+aiosqlite://")).sync_session,
        "LP408: a Loader cannot use an object of 'Session'\n"
        "  hint: pass the AsyncSession itself, not its sync_session: Loader(session).",
    ),
    "a function that makes sessions": (
        lambda: lambda: AsyncSession(),
        "LP408: a Loader cannot use a lambda\n  hint: call it, and pass what it returns.",
    ),
    "nothing": (
        lambda: None,
        "LP408: a Loader cannot use None\n"
        "  hint: pass an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection.",
    ),
}


@pytest.mark.parametrize("name", BINDS)
def test_a_loader(name: str) -> None:
    make, expected = BINDS[name]
    with pytest.raises(LoaderError) as caught:
        Loader(wrong(make()))
    shown = str(caught.value)
    assert shown == expected


def test_a_cursor_key_that_is_text(sqlite: AsyncEngine) -> None:
    with pytest.raises(LoaderError) as caught:
        Loader(sqlite, cursor_key=wrong("secret"))
    assert str(caught.value) == (
        "LP408: cursor_key= needs bytes or a cipher, but got a str\n  hint: encode the text: cursor_key=text.encode()."
    )
