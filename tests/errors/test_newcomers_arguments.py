"""Arguments that a call does not have: the error says what to write, and the signatures stay as they are."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from errors_models import Order
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, SyncLoader

PLAN = LoadPlan(Order)

#: name: (the call, what it says)
CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "options of a fetch": (
        lambda loader: loader.fetch(PLAN, 1, options=[]),
        "fetch() has no argument 'options'. A plan says what to load: LoadPlan(User, load(User.posts)).",
    ),
    "the number of a page": (
        lambda loader: loader.fetch_page(PLAN, offset=20),
        "fetch_page() has no argument 'offset'. A page starts behind another one: pass after=page.next. To skip by "
        "number, write fetch_all(plan, offset=...).",
    ),
    "the size of a list": (
        lambda loader: loader.fetch_all(PLAN, size=3),
        "fetch_all() has no argument 'size'. Write limit=.",
    ),
    "the limit of a page": (
        lambda loader: loader.fetch_page(PLAN, limit=3),
        "fetch_page() has no argument 'limit'. Write size=.",
    ),
    "a filter by another name": (
        lambda loader: loader.count(PLAN, filter=Order.id == 1),
        "count() has no argument 'filter'. Write where=.",
    ),
    "a column by its name": (
        lambda loader: loader.fetch_one(PLAN, total=3),
        "fetch_one() has no argument 'total'. Arguments: plan, where, params, for_update, execution_options. To choose "
        "by a column, write a condition: where=Order.total == ...",
    ),
    "an id by its name": (
        lambda loader: loader.fetch(PLAN, order_id=3),
        "fetch() has no argument 'order_id'. Pass it as the id: fetch(plan, id).",
    ),
    "a condition for one id": (
        lambda loader: loader.fetch(PLAN, where=Order.id == 1),
        "fetch() has no argument 'where'. This call takes a primary key. To choose by a condition, write "
        "fetch_one(plan, where=...).",
    ),
    "a session for each call": (
        lambda loader: loader.fetch_all(PLAN, session=None),
        "fetch_all() has no argument 'session'. Give it to the loader: Loader(session).",
    ),
    "a near miss": (
        lambda loader: loader.fetch(PLAN, 1, parms={}),
        "fetch() has no argument 'parms'. Did you mean params=?",
    ),
    "no id": (
        lambda loader: loader.fetch(PLAN),
        "fetch() missing 1 required positional argument: 'id'. Write fetch(plan, id). For a condition, write "
        "fetch_one(plan, where=...).",
    ),
    "ids without a list": (
        lambda loader: loader.fetch_many(PLAN, 1, 2),
        "fetch_many() takes 3 positional arguments but 4 were given. Write fetch_many(plan, [1, 2]), with the ids in "
        "a list.",
    ),
    "conditions of a page without a list": (
        lambda loader: loader.fetch_page(PLAN, Order.id, 20, Order.id > 1, Order.id < 9),
        "fetch_page() takes from 2 to 4 positional arguments but 6 were given. Write fetch_page(plan, order_by, size, "
        "where=[...]), with all conditions in one list.",
    ),
    "conditions of a count without a list": (
        lambda loader: loader.count(PLAN, Order.id > 1, Order.id < 9),
        "count() takes from 2 to 3 positional arguments but 4 were given. Write count(plan, [...]), with all "
        "conditions in one list.",
    ),
    "conditions of exists without a list": (
        lambda loader: loader.exists(PLAN, Order.id > 1, Order.id < 9),
        "exists() takes from 2 to 3 positional arguments but 4 were given. Write exists(plan, [...]), with all "
        "conditions in one list.",
    ),
    "an argument of the loader": (
        lambda loader: loader.fetch(PLAN, 1, max_rows=3),
        "fetch() has no argument 'max_rows'. It belongs to the loader: Loader(engine, max_rows=3).",
    ),
    "a value of the loader that is not short": (
        lambda loader: loader.fetch_page(PLAN, cursor_key=b"key"),
        "fetch_page() has no argument 'cursor_key'. It belongs to the loader: Loader(engine, cursor_key=...).",
    ),
    "an engine by its name": (
        lambda loader: type(loader)(engine=None),
        "Loader() has no argument 'engine'. Pass it first, without a name: Loader(engine).",
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_whole_message(sqlite: AsyncEngine, name: str) -> None:
    call, said = CALLS[name]
    for loader in (Loader(sqlite), Loader(sqlite).batched()):
        if name == "an engine by its name" and type(loader) is not Loader:
            continue
        with pytest.raises(TypeError) as caught:
            await call(loader)
        assert str(caught.value) == said


def test_an_error_inside_a_call_stays_as_it_is() -> None:
    def broken() -> str:
        raise TypeError("from inside")

    class Text(dict[str, object]):
        def __iter__(self) -> Iterator[str]:
            return iter([broken()])

    loader = SyncLoader(create_engine("sqlite://"))
    with pytest.raises(TypeError, match=r"^from inside$"):
        loader.fetch_all(PLAN, execution_options=Text())
    with pytest.raises(TypeError, match=r"^stream\(\) has no argument 'size'. Write batch_size=\.$"):
        loader.stream(PLAN, size=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [each for each in inspect.signature(Loader).parameters if each != "bind"])
def test_each_argument_of_a_loader_names_the_loader(name: str) -> None:
    given: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        SyncLoader(create_engine("sqlite://")).fetch_all(PLAN, **given)
    hint = f"It belongs to the loader: SyncLoader(engine, {name}=None)."
    assert str(caught.value) == f"fetch_all() has no argument '{name}'. {hint}"


def test_signatures_and_kinds_stay() -> None:
    assert list(inspect.signature(Loader.fetch).parameters)[:3] == ["self", "plan", "id"]
    assert inspect.iscoroutinefunction(Loader.fetch)
    assert not inspect.iscoroutinefunction(SyncLoader.fetch)
    assert "bind" in inspect.signature(Loader).parameters
    assert Loader.fetch.__doc__
