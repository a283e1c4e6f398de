"""Habits from lists, other libraries and Python's own types: pages as lists, calls without arguments, counts in SQL."""

import copy
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from errors_models import Base, Company, Customer, Line, Order
from sqlalchemy import create_engine, not_, or_
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from loadplan import (
    Budget,
    Loader,
    LoaderError,
    LoadPlan,
    Page,
    PlanError,
    SyncLoader,
    aggregate,
    count,
    exists,
    keep_default,
    load,
    on,
    source,
)
from loadplan.pytest_plugin import Statements, assert_plan

PLAN: Any = LoadPlan(Order, load(Order.lines), name="order")
LOAD: Any = load(Order.lines)
PAGE: Any = Page([1, 2], "next", None)
plan_of: Any = LoadPlan
loads: Any = load
branch: Any = on
counts: Any = count
paths: Any = source
maxima: Any = aggregate
default: Any = keep_default
asserted: Any = assert_plan
RECORDED: Any = Statements()
ITEMS = "a 'Page' is not a list\n  hint: read page.items, the list of the roots."
FETCH = "a 'LoadPlan' only says what to load\n  hint: a loader fetches: Loader(engine).fetch(plan, id)."
SUBQUERY = "select(func.count()).where(Line.order_id == Order.id).scalar_subquery()"


def counted(sign: str) -> str:
    return (
        "count(Order.lines) is for fields of views. It is not a SQL expression\n"
        f"  hint: write a subquery: {SUBQUERY} {sign} 1."
    )


#: name: (what is written, what the TypeError says)
TYPE_ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "the first item of a page": (lambda: PAGE[0], ITEMS),
    "a loop over a page": (lambda: [each for each in PAGE], ITEMS),  # noqa: C416 - the loop that people write
    "a page in parts": (lambda: [*PAGE], ITEMS),
    "an item in a page": (lambda: 1 in PAGE, ITEMS),
    "the length of a page": (lambda: len(PAGE), ITEMS),
    "a plan that is called": (lambda: PLAN(1), FETCH),
    "a plan as a list": (lambda: PLAN[0], FETCH),
    "a plan and a load": (lambda: PLAN + LOAD, "a 'LoadPlan' has no operators\n  hint: write plan.also(load(...))."),
    "a load that is called": (
        lambda: LOAD(Line.order),
        "a 'Load' is a value, and you cannot call it\n  hint: nest the loads: load(Order.lines, load(Line.order)).",
    ),
    "the first rows of a load": (
        lambda: LOAD[:3],
        "a 'Load' has no items\n"
        "  hint: for the first rows of each parent, write load(Order.lines, order_by=..., limit=3).",
    ),
    "two loads": (
        lambda: LOAD | LOAD,
        "a 'Load' has no operators\n"
        "  hint: pass both loads to the plan: LoadPlan(..., load(Order.lines), load(Order.lines)).",
    ),
    "a count that is compared": (lambda: counts(Order.lines) > 1, counted(">")),
    "a count that is compared with >=": (lambda: counts(Order.lines) >= 1, counted(">=")),
    "exists that is negated": (
        lambda: ~counts(Order.lines),
        "count(Order.lines) is for fields of views. It is not a SQL expression\n"
        "  hint: in a condition, write User.posts.any(...), Post.author.has(...) or ~User.posts.any().",
    ),
    "a loader that is called": (
        lambda: SyncLoader(create_engine("sqlite://"))(PLAN, 1),  # type: ignore[operator]
        "a 'SyncLoader' is not a function\n  hint: write fetch(plan, id) or another call of the loader.",
    ),
    "a plan without a class": (
        lambda: plan_of(),
        "LoadPlan() missing 1 required positional argument: 'entity'. Write LoadPlan(User, load(User.posts)).",
    ),
    "a load of nothing": (
        lambda: loads(),
        "load() missing 1 required positional argument: 'relationship'. Write load(User.posts), and nest other loads "
        "in it: load(User.posts, load(Post.tags)).",
    ),
    "a load by a keyword": (
        lambda: loads(relation=Order.lines),
        "load() missing 1 required positional argument: 'relationship'. Write load(User.posts), and nest other loads "
        "in it: load(User.posts, load(Post.tags)).",
    ),
    "a condition of a branch": (
        lambda: branch(Company, where=Company.vat == "1"),
        "on() got an unexpected keyword argument 'where'. Write on(Manager, load(Manager.reports), "
        "only=[Manager.level]). Conditions belong to load(...).",
    ),
    "a condition of a count": (
        lambda: counts(Order.lines, Line.position > 1),
        "count() takes 1 positional argument but 2 were given. Write count(Post.comments), or count(Post.comments, "
        "where=Comment.approved).",
    ),
    "an aggregate without a function": (
        lambda: maxima(Order.lines),
        "aggregate() missing 1 required positional argument: 'expression'. Write aggregate(Post.comments, "
        "func.max(Comment.created_at)).",
    ),
    "a condition of a source": (
        lambda: paths(Order.customer, where=Customer.name == "Ada"),
        "source() got an unexpected keyword argument 'where'. Write source(Post.author, User.name), with the "
        "condition inside: source(Post.author, User.age > 18).",
    ),
    "a word that a budget does not have": (
        lambda: Budget(row=3),  # type: ignore[call-arg]
        "Budget() got an unexpected keyword argument 'row'. Write Budget(rows=1_000, statements=3).",
    ),
    "names without a list": (
        lambda: PLAN.narrowed_to("id", "total"),
        'narrowed_to() takes 2 positional arguments but 3 were given. Write plan.narrowed_to(["title", '
        '"author.name"]), with all names in one list.',
    ),
    "paths without a plan": (
        lambda: plan_of.for_paths(Order, ["lines"]),
        "for_paths() missing 1 required keyword-only argument: 'allowed'. Write LoadPlan.for_paths(User, "
        '["posts.title"], allowed=USER_API).',
    ),
    "a schema without a schema": (
        lambda: plan_of.for_schema(Order),
        "for_schema() missing 1 required positional argument: 'schema'. Write LoadPlan.for_schema(Post, PostOut).",
    ),
    "an explanation for no database": (
        lambda: PLAN.explain(),
        "explain() missing 1 required positional argument: 'dialect'. Write plan.explain(\"postgresql\"), or "
        "loader.explain(plan).",
    ),
    "an explanation for a loader": (
        lambda: PLAN.explain(SyncLoader(create_engine("sqlite://"))),
        "explain() takes the name of a database, a dialect or an engine, not a 'SyncLoader'",
    ),
    "a default that is called": (
        lambda: default(),
        "keep_default is a value\n  hint: write Annotated[bool, keep_default], without parentheses.",
    ),
    "a slip in assert_plan": (
        lambda: asserted(PLAN, statement=1),
        "assert_plan() got an unexpected keyword argument 'statement'. Write assert_plan(PLAN, statements=2).",
    ),
    "the first statement": (
        lambda: RECORDED[0],
        "'Statements' is not a list\n  hint: write list(statements)[0], or statements.texts[0].",
    ),
    "a plan that is pickled": (
        lambda: pickle.dumps(PLAN),
        "a 'LoadPlan' cannot be pickled, because it holds mapped attributes\n"
        "  hint: keep it in a constant of a module, and import the constant where you need it.",
    ),
    "a load that is pickled": (
        lambda: pickle.dumps(LOAD),
        "a 'Load' cannot be pickled, because it holds mapped attributes\n"
        "  hint: keep it in a constant of a module, and import the constant where you need it.",
    ),
    "a relationship as an argument of a plan": (
        lambda: plan_of(Order, lines=True),
        "LoadPlan() has no argument 'lines'. Write load(Order.lines) after the class: LoadPlan(Order, "
        "load(Order.lines)).",
    ),
    "a column as an argument of a plan": (
        lambda: plan_of(Order, total=3),
        "LoadPlan() has no argument 'total'. Write fetch_all(plan, where=Order.total == ...) to choose by the column.",
    ),
    "Prisma's include": (
        lambda: plan_of(Order, include={"lines": True}),
        "LoadPlan() has no argument 'include'. Write only= for columns, and load(...) after the class: "
        "LoadPlan(User, load(User.posts)).",
    ),
    "Django's prefetch_related": (
        lambda: plan_of(Order, prefetch_related=["lines"]),
        "LoadPlan() has no argument 'prefetch_related'. Write load(...) after the class: LoadPlan(User, "
        "load(User.posts)).",
    ),
    "the name of a load": (
        lambda: loads(Order.lines, name="lines"),
        "load() has no argument 'name'. It belongs to the plan: LoadPlan(User, ..., name=...).",
    ),
    "Django's queryset": (
        lambda: loads(Order.lines, queryset=1),
        "load() has no argument 'queryset'. Write where= and order_by=.",
    ),
}


@pytest.mark.parametrize("name", TYPE_ERRORS)
def test_what_a_value_cannot_do(name: str) -> None:
    write, expected = TYPE_ERRORS[name]
    with pytest.raises(TypeError) as caught:
        write()
    assert str(caught.value) == expected


#: name: (an object, the attribute that is read, the hint)
NAMES: dict[str, tuple[Any, str, str | None]] = {
    "results of a page": (PAGE, "results", "read page.items, the list of the roots."),
    "data of a page": (PAGE, "data", "read page.items, the list of the roots."),
    "the number of a page": (
        PAGE,
        "page_number",
        "a page has no number and no size. page.next is the cursor of the next page.",
    ),
    "the count of a page": (PAGE, "count", 'write fetch_page(plan, ..., total="exact"), then read page.total.'),
    "whether a page is the last": (PAGE, "has_next", "page.next is None on the last page."),
    "the cursor of a page": (
        PAGE,
        "end_cursor",
        "page.next is the cursor of the next page: fetch_page(plan, ..., after=page.next).",
    ),
    "a slip on a page": (PAGE, "itmes", "did you mean 'items'?"),
    "the SQL of recorded statements": (RECORDED, "sql", "write statements.texts for the SQL of all statements."),
    "a private name": (PAGE, "_itmes", None),
    "an attribute of the entity": (
        PLAN,
        "lines",
        "a plan only says what to load. Read 'lines' from the result of loader.fetch(plan, id).",
    ),
    "a slip on a plan": (PLAN, "narowed_to", "did you mean 'narrowed_to'?"),
    "a slip on a loader": (SyncLoader(create_engine("sqlite://")), "fetchall", "did you mean 'fetch_all'?"),
    "the session of a loader": (
        SyncLoader(create_engine("sqlite://")),
        "close",
        "a loader holds nothing open. Close the session or the engine that you gave to it.",
    ),
    "Django's get_or_404": (
        SyncLoader(create_engine("sqlite://")),
        "get_or_404",
        "fetch(plan, id) raises NotFound if there is no row, and fetch_or_none(plan, id) returns None.",
    ),
    "the order of a count": (
        counts(Order.lines),
        "desc",
        f"in a condition or an order, write a subquery: {SUBQUERY}.desc(...).",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_there_is_not(name: str) -> None:
    given, attribute, hint = NAMES[name]
    with pytest.raises(AttributeError) as caught:
        getattr(given, attribute)
    said = f"'{type(given).__name__}' object has no attribute '{attribute}'"
    assert str(caught.value) == (said if hint is None else f"{said}\n  hint: {hint}")


def test_an_empty_page_is_true_as_before() -> None:
    assert Page([], None, None)


@pytest.mark.parametrize("given", [PLAN, LOAD, on(Company), source(Order.total), count(Order.lines)], ids=repr)
def test_a_copy_of_a_value_is_the_value(given: Any) -> None:
    assert copy.copy(given) is given
    assert copy.deepcopy([given])[0] is given


@pytest.mark.parametrize("write", [lambda given: not_(given), lambda given: or_(given, Order.total > 1)])
def test_an_aggregate_within_sql(write: Callable[[Any], object]) -> None:
    with pytest.raises(PlanError) as caught:
        write(exists(Order.lines))
    assert str(caught.value) == (
        "LP108: exists(Order.lines) cannot be a part of a SQL expression\n"
        "  detail: it is for fields of views.\n"
        "  hint: write a condition of SQLAlchemy, such as Order.lines.any(...) or .has(...)."
    )


async def test_a_loader_in_a_with_statement(sqlite: AsyncEngine) -> None:
    said = "is not a context manager\n  hint: write loader = {}(engine), without 'with'. A loader holds nothing open."
    loader: Any = Loader(sqlite)
    with pytest.raises(TypeError, match=r"^a 'Loader'") as caught:
        async with loader:
            pass
    assert str(caught.value) == f"a 'Loader' {said.format('Loader')}"
    loader = SyncLoader(create_engine("sqlite://"))
    with pytest.raises(TypeError) as caught, loader:
        pass
    assert str(caught.value) == f"a 'SyncLoader' {said.format('SyncLoader')}"


def session_of_a_request() -> Iterator[Session]:
    yield Session()


async def sessions() -> AsyncIterator[AsyncSession]:
    yield AsyncSession()


#: name: (what a loader is made with, the hint)
BINDS: dict[str, tuple[Callable[[], object], str]] = {
    "the class of sessionmakers": (
        lambda: async_sessionmaker,
        "pass an object, not the class, for example async_sessionmaker(engine).",
    ),
    "a plan": (lambda: PLAN, "give the plan to the fetch: Loader(engine).fetch(plan, id)."),
    "a loader": (
        lambda: SyncLoader(create_engine("sqlite://")),
        "pass the engine or the session, not an object of loadplan.",
    ),
    "a declarative base": (
        lambda: Base,
        "pass an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection.",
    ),
    "a generator": (sessions, "take the session that it yields, and pass it: Loader(session)."),
    "a function that yields": (
        lambda: session_of_a_request,
        "take the session that it yields, and pass it: Loader(session).",
    ),
    "a context manager": (
        lambda: asynccontextmanager(sessions)(),
        "enter it, and pass the value: async with ... as connection: Loader(connection).",
    ),
}


@pytest.mark.parametrize("name", BINDS)
def test_a_bind_that_is_not_there_yet(name: str) -> None:
    make, hint = BINDS[name]
    with pytest.raises(LoaderError) as caught:
        Loader(make())  # type: ignore[arg-type]
    assert caught.value.hint == hint


async def test_a_session_without_an_engine() -> None:
    for bind in (async_sessionmaker(), AsyncSession()):
        with pytest.raises(LoaderError) as caught:
            await Loader(bind).fetch(PLAN, 1)
        kind = type(bind).__name__
        assert caught.value.message == f"the {kind} of this loader has no engine"
        assert caught.value.hint == f"make it with an engine: {kind}(engine)."
    for sync_bind in (sessionmaker(), Session()):
        with pytest.raises(LoaderError, match=rf"LP408: the {type(sync_bind).__name__} of this loader has no engine"):
            SyncLoader(sync_bind).count(Order)


async def test_connections_that_are_closed_or_not_open_yet(sqlite: AsyncEngine) -> None:
    with pytest.raises(LoaderError) as caught:
        await Loader(sqlite.connect()).fetch(PLAN, 1)
    assert str(caught.value) == (
        "LP408: the AsyncConnection of this loader is not open yet\n"
        "  hint: write async with engine.connect() as connection, and make Loader(connection) in it."
    )
    async with sqlite.connect() as connection:
        loader = Loader(connection)
    with pytest.raises(LoaderError) as caught:
        await loader.fetch(PLAN, 1)
    assert str(caught.value) == (
        "LP408: the AsyncConnection of this loader is closed\n"
        "  hint: fetch before it is closed, or make the Loader with the engine or the sessionmaker."
    )
    session = AsyncSession(sqlite, close_resets_only=False)
    await session.close()
    with pytest.raises(LoaderError, match="LP408: the AsyncSession of this loader is closed"):
        await Loader(session).fetch(PLAN, 1)


@pytest.mark.parametrize("given", [Order, [PLAN]], ids=["a class", "a list"])
def test_what_is_not_a_plan_is_named_by_assert_plan(given: Any) -> None:
    with pytest.raises(LoaderError, match=r"LP408: a fetch needs a LoadPlan, but got"):
        asserted(given, statements=1)
