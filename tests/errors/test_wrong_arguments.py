"""Arguments that a call or a plan once took and did not understand: each is refused, with the one thing to write."""

import copy
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from errors_models import ByColour, Colour, Company, Customer, Line, Order
from sqlalchemy import create_engine, desc, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, selectinload, sessionmaker

from loadplan import (
    Loader,
    LoaderError,
    LoadPlan,
    LoadPlanError,
    PlanError,
    SyncLoader,
    aggregate,
    count,
    exists,
    load,
    on,
    source,
)

ORDER = LoadPlan(Order, name="order")
plan_of: Any = LoadPlan
load_of: Any = load
source_of: Any = source

#: name: (what is written, what it says)
CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a lock by a word": (
        lambda loader: loader.fetch(ORDER, 1, for_update="skip_locked"),
        "LP408: for_update='skip_locked' is not a way to lock\n"
        "  at: order\n"
        "  hint: write for_update={'skip_locked': True}.",
    ),
    "a lock by a word that is none": (
        lambda loader: loader.fetch_all(ORDER, for_update={"skip": True}),
        "LP408: for_update={'skip': True} is not a way to lock\n"
        "  at: order\n"
        "  hint: use for_update=True, or a mapping of nowait, read, skip_locked, key_share, as "
        "for_update={'nowait': True}.",
    ),
}

#: name: (what is written, the first line of the error)
MADE: dict[str, tuple[Callable[[], Any], str]] = {
    "a relationship beside a view": (
        lambda: plan_of(Order, Order.customer, into=ByColour),
        "LP102: a plan needs load(...) here, but got 'Order.customer'",
    ),
    "an annotation beside a view": (
        lambda: plan_of(Order, count(Order.lines), into=ByColour),
        "LP102: a plan needs load(...) here, but got count(Order.lines)",
    ),
    "a load for a path": (
        lambda: plan_of(Order, load(Order.customer)).narrowed_to(load(Order.customer)),
        "LP120: load(Order.customer) is not a path of names",
    ),
    "an attribute for paths": (
        lambda: plan_of(Order, load(Order.customer)).narrowed_to(Order.customer),
        "LP120: Order.customer is not a path of names",
    ),
    "a relationship for a strategy": (
        lambda: plan_of(Order, load_of(Order.customer, strategy=Order.lines)),
        "LP105: ",
    ),
}


#: name: (what is written, how the error begins)
EXPRESSIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a lock by a condition": (
        lambda loader: loader.batched().fetch(ORDER, 1, for_update=Order.id == 1),
        "LP408: for_update=<sqlalchemy.sql.elements.BinaryExpression",
    ),
    "an attribute for the ids without a row": (
        lambda loader: loader.fetch_many(ORDER, [1], missing=Order.customer),
        "LP408: missing=<sqlalchemy.orm.attributes.InstrumentedAttribute",
    ),
    "an attribute for a total": (
        lambda loader: loader.fetch_page(ORDER, Order.id, total=Order.lines),
        "LP408: total=<sqlalchemy.orm.attributes.InstrumentedAttribute",
    ),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
async def test_an_expression_for_a_word(sqlite: AsyncEngine, name: str) -> None:
    """An expression answers ``==`` with another expression, or with an error of its own."""
    call, expected = EXPRESSIONS[name]
    with pytest.raises(LoadPlanError) as caught:
        await call(Loader(sqlite))
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("name", MADE)
def test_a_plan_that_is_made_of_other_things(name: str) -> None:
    """They end in errors of loadplan, and not in an AttributeError deep in it."""
    written, said = MADE[name]
    with pytest.raises(PlanError) as caught:
        written()
    assert said in str(caught.value)


@pytest.mark.parametrize("name", CALLS)
async def test_a_call(sqlite: AsyncEngine, name: str) -> None:
    """Before any SQL: the tables are not even there."""
    call, expected = CALLS[name]
    with pytest.raises(LoadPlanError) as caught:
        await call(Loader(sqlite))
    assert str(caught.value) == expected


#: name: (what is written, what it says)
UNKNOWN: dict[str, tuple[Callable[[], object], str]] = {
    "a path within or_()": (
        lambda: or_(Order.total > 3, source_of(Order.customer, Customer.name == "Ada")),
        "LP112: source(Order.customer, Customer.name == 'Ada') cannot be a part of a SQL expression\n"
        "  detail: write a path alone, in where= or order_by= of a fetch.\n"
        "  hint: for a condition among others, write Order.customer.has(Customer.name == 'Ada').",
    ),
    "a path within desc()": (
        lambda: desc(source_of(Line.order, Order.customer, Customer.name)),
        "LP112: source(Line.order, Order.customer, Customer.name) cannot be a part of a SQL expression\n"
        "  detail: write a path alone, in where= or order_by= of a fetch.\n"
        "  hint: for a direction, write source(Line.order, Order.customer, Customer.name).desc().",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_argument_that_is_not_there(name: str) -> None:
    write, expected = UNKNOWN[name]
    with pytest.raises(PlanError) as caught:
        write()
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("given", "name", "hint"),
    [
        (load(Order.lines), "joinedload", "nest the loads: load(Order.lines, load(...))."),
        (load(Order.lines), "options", "nest the loads: load(Order.lines, load(...))."),
        (load(Order.lines), "filter", "write where= inside: load(Order.lines, where=...)."),
        (load(Order.lines), "desc", "write order_by= inside: load(Order.lines, order_by=...)."),
        (load(Order.lines), "load_only", "write only= inside: load(Order.lines, only=[...])."),
        (load(Order.lines), "join", 'write load(Order.lines, strategy="joined").'),
        (load(Order.lines), "of_type", "write load(Order.lines, on(Video)), or load(Order.lines.of_type(Video))."),
        (
            load(Order.lines),
            "offset",
            "for the first rows of each parent, write load(Order.lines, order_by=..., limit=3).",
        ),
        (
            load(Order.lines),
            "noload",
            "leave the relationship out of the plan. Code that reads it then gets NotLoaded.",
        ),
        (on(Order), "options", "nest the loads: on(Order, load(...))."),
        (on(Order), "limit", "write it into the load around: load(User.posts, on(Order), where=...)."),
        (ORDER, "selectinload", "write plan.also(load(...))."),
        (ORDER, "on", "write plan.also(on(...))."),
        (ORDER, "load_only", "write only= inside: LoadPlan(Order, only=[...])."),
        (ORDER, "params", "pass params= with the fetch: fetch(plan, id, params={...})."),
        (count(Order.lines), "filter", "write where= inside: count(Order.lines, where=...)."),
        (
            aggregate(Order.lines, func.max(Line.position)),
            "filter",
            "write where= inside: aggregate(Order.lines, func.max(Line.position), where=...).",
        ),
        (ORDER, "fetch", "a loader fetches: Loader(engine).fetch(plan, id)."),
        (ORDER, "load", "write plan.also(load(...))."),
        (
            source(Order.customer, Customer.name),
            "ilike",
            "write the condition inside the path: source(Order.customer, Customer.name.ilike(...)).",
        ),
        (
            SyncLoader(create_engine("sqlite://")),
            "first",
            "write fetch_all(plan, where=..., order_by=..., limit=1), which returns a list of one or none.",
        ),
        (
            SyncLoader(create_engine("sqlite://")),
            "batched",
            "only Loader has batches, because they combine tasks. For several ids, write fetch_many(plan, ids).",
        ),
    ],
)
def test_a_method_of_another_library(given: object, name: str, hint: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(given, name)
    assert str(caught.value) == f"'{type(given).__name__}' object has no attribute '{name}'\n  hint: {hint}"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (lambda path: path > 3, "write the comparison inside the path: source(Order.customer, Customer.name > 3)."),
        (
            lambda path: path <= Order.total,
            "write the comparison inside the path: source(Order.customer, Customer.name <= Order.total).",
        ),
        (
            lambda path: path & source(Order.total),
            "pass a list if all must hold: where=[source(Order.customer, Customer.name), source(Order.total)].",
        ),
        (
            lambda path: path | (Order.total > 3),
            "use has() beside other conditions: Order.customer.has(Customer.name) | (Order.total > 3).",
        ),
        (lambda path: ~path, "write 'not' inside the path: source(Order.customer, ~Customer.name)."),
    ],
)
def test_an_operator_on_a_path(written: Callable[[Any], object], hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        written(source(Order.customer, Customer.name))
    assert str(caught.value) == f"a 'Source' is not a SQL expression\n  hint: {hint}"


def test_names_that_nobody_means_are_plain_attribute_errors() -> None:
    assert not hasattr(ORDER, "__wrapped__")
    with pytest.raises(AttributeError, match=r"^'Load' object has no attribute 'nonsense'$"):
        load_of(Order.lines).nonsense  # noqa: B018
    for each in (ORDER, load(Order.lines), on(Order), source(Order.customer, Customer.name).desc()):
        assert copy.copy(each) == each
        assert not hasattr(each, "filter")


#: name: (what is written, the hint that it gets)
HINTS: dict[str, tuple[Callable[[], object], str]] = {
    "options in a chain": (
        lambda: plan_of(Customer, selectinload(Customer.orders).joinedload(Order.lines)),
        "write load(Customer.orders, load(Order.lines)). The plan chooses the loading strategy itself.",
    ),
    "a subclass beside on(...)": (lambda: plan_of(Customer, Company), "write on(Company)."),
    "a class two relationships away": (
        lambda: plan_of(Customer, Line),
        "write load(Customer.orders, load(Order.lines)).",
    ),
    "the name of a column as order": (lambda: load_in(order_by="total"), "write order_by=Order.total."),
    "an order in words of SQL": (lambda: load_in(order_by="total DESC"), "write order_by=Order.total.desc()."),
    "a name that the class does not have": (
        lambda: load_in(order_by="totl"),
        "did you mean 'total'? Columns of Order: customer_id, id, total.",
    ),
    "a path chooses related rows": (
        lambda: load_in(where=source(Order.customer, Customer.name == "Ada")),
        "write the condition with the relationship: where=Order.customer.has(Customer.name == 'Ada').",
    ),
    "a count orders related rows": (
        lambda: load_in(order_by=count(Order.lines)),
        "count(...) is for fields of views. Use a subquery: "
        "order_by=select(func.count()).where(Line.order_id == Order.id).scalar_subquery().",
    ),
    "an exists of loadplan as condition": (
        lambda: load_in(where=exists(Order.lines)),
        "write Order.lines.any() to choose rows that have related rows.",
    ),
    "a load of a deferred column": (
        lambda: plan_of(Dated, load_of(Dated.text)),
        "the mapping defers this column. To load it with the others, nest LoadPlan(Dated, only=[Dated.text]).",
    ),
    "a deferred column beside loads": (
        lambda: plan_of(Dated, Dated.text),
        "write LoadPlan(Dated, only=[Dated.text]).",
    ),
    "properties of a mapper": (
        lambda: plan_of(Dated, only=[*Dated.__mapper__.column_attrs][:1]),
        "name columns as attributes of the class, for example only=[Dated.id].",
    ),
    "a Python property": (lambda: plan_of(Dated, only=[Dated.age]), "name the columns that it reads instead."),
}


_COMPUTED = (
    "name the attributes that it reads instead. In GraphQL, declare them once: "
    "selected_plan(info, plan, reads={'Type.field': ['first_name', 'last_name']})."
)
HINTS |= {
    "a request for a hybrid": (lambda: LoadPlan(Customer).narrowed_to(["loud"]), _COMPUTED),
    "a request for a property": (lambda: LoadPlan(Dated).narrowed_to(["age"]), _COMPUTED),
    "a request for what is not there": (
        lambda: LoadPlan(Customer, only=[Customer.name]).narrowed_to(["nam"]),
        "did you mean 'name'? Allowed at the root: name.",
    ),
    "SQL deep in a response model": (
        lambda: LoadPlan.for_schema(Customer, CustomerOut),
        "build the model itself: LoadPlan(Customer, into=CustomerOut).",
    ),
}


@attrs.frozen
class OrderOut:
    id: int
    size: Annotated[int, count(Order.lines)]


@attrs.frozen
class CustomerOut:
    name: str
    orders: list[OrderOut]


def load_in(**words: Any) -> object:
    return LoadPlan(Customer, load_of(Customer.orders, **words))


class Base(DeclarativeBase):
    pass


class Dated(Base):
    __tablename__ = "err_dated"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(deferred=True)

    @property
    def age(self) -> int:
        return 3


@pytest.mark.parametrize("name", HINTS)
def test_a_hint_speaks_of_the_classes_of_the_plan(name: str) -> None:
    write, hint = HINTS[name]
    with pytest.raises(PlanError) as caught:
        write()
    assert caught.value.hint == hint


async def test_a_deferred_column_beside_the_others(sqlite: AsyncEngine) -> None:
    async with sqlite.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(sqlite) as session, session.begin():
        session.add(Dated(id=1, text="long"))
    found = await Loader(sqlite).fetch(LoadPlan(Dated, LoadPlan(Dated, only=[Dated.text])), 1)
    assert (found.id, found.text) == (1, "long")


def test_a_member_of_an_enum_prints_as_code() -> None:
    assert repr(load("x", where=[ByColour.id == Colour.RED])) == "load('x', where=ByColour.id == Colour.RED)"


async def test_what_the_hints_say_can_be_written(sqlite: AsyncEngine) -> None:
    async with sqlite.begin() as connection:
        await connection.run_sync(Order.metadata.create_all)
    async with AsyncSession(sqlite) as session, session.begin():
        lines = [Line(position=1), Line(position=2)]
        session.add(Customer(id=1, name="Ada", orders=[Order(id=1), Order(id=2, lines=lines)]))
    number = select(func.count()).where(Line.order_id == Order.id).scalar_subquery()
    name = select(Customer.name).where(Customer.id == Order.customer_id).scalar_subquery()
    plan = LoadPlan(Customer, load(Customer.orders, where=Order.lines.any(), order_by=[name, number]))
    assert [each.id for each in (await Loader(sqlite).fetch(plan, 1)).orders] == [2]
    found = await Loader(sqlite).fetch_all(ORDER, order_by=number.desc())
    assert [each.id for each in found] == [2, 1]


BINDS: dict[str, tuple[Callable[[], object], str]] = {
    "SyncLoader and a URL": (
        lambda: SyncLoader("postgresql://ada:secret@localhost/app"),  # type: ignore[arg-type]
        "LP408: a SyncLoader cannot use 'postgresql://ada:***@localhost/app'\n"
        "  hint: make an engine of the URL: SyncLoader(create_engine(url)).",
    ),
    "SyncLoader and a class": (
        lambda: SyncLoader(Session),  # type: ignore[arg-type]
        "LP408: a SyncLoader cannot use the class 'Session'\n"
        "  hint: pass an object, not the class, for example Session(engine).",
    ),
    "SyncLoader and a session of a scope": (
        lambda: SyncLoader(scoped_session(sessionmaker())),  # type: ignore[arg-type]
        "LP408: a SyncLoader cannot use an object of 'scoped_session'\n"
        "  hint: call it, which returns the Session of this scope: SyncLoader(scoped()).",
    ),
    "Loader and a session of a scope": (
        lambda: Loader(async_scoped_session(async_sessionmaker(), scopefunc=int)),  # type: ignore[arg-type]
        "LP408: a Loader cannot use an object of 'async_scoped_session'\n"
        "  hint: call it, which returns the AsyncSession of this scope: Loader(scoped()).",
    ),
    "what is told of fetches": (
        lambda: SyncLoader(create_engine("sqlite://"), on_fetch="log"),  # type: ignore[arg-type]
        "LP408: on_fetch='log' is not a function\n  hint: pass a function that takes a FetchRecord.",
    ),
}


@pytest.mark.parametrize("name", BINDS)
def test_a_loader_that_cannot_be_made(name: str) -> None:
    make, expected = BINDS[name]
    with pytest.raises(LoaderError) as caught:
        make()
    assert str(caught.value) == expected


def test_the_synchronous_loader_speaks_of_synchronous_sessions() -> None:
    """Also where the words came from the asynchronous one."""
    engine = create_engine("sqlite://")
    Order.metadata.create_all(engine)
    with pytest.raises(LoaderError) as caught:
        SyncLoader(engine).fetch(ORDER, 1, for_update=True)
    assert str(caught.value) == (
        "LP408: for_update= needs your own transaction, but this SyncLoader opens a separate one\n"
        "  at: order\n"
        "  detail: the lock would end when the fetch returns.\n"
        "  hint: make the SyncLoader with the Session or Connection that changes the row afterwards."
    )
    with pytest.raises(LoaderError) as caught:
        SyncLoader(engine).fetch_attached(ORDER, 1)
    assert str(caught.value.hint) == ("make the loader with the session: SyncLoader(session).fetch_attached(plan, id).")
    with Session(engine) as session:
        with pytest.raises(LoaderError) as caught:
            SyncLoader(session).extend(Order(id=1), load(Order.customer))
        assert caught.value.hint == "session.flush() first."
        customer = Customer(id=1, orders=[Order(id=1)])
        session.add(customer)
        session.flush()
        fetched = SyncLoader(session).fetch(ORDER, 1)
        with pytest.raises(LoadPlanError, match=r"SyncLoader\(session\)\.fetch_attached\(plan, id\)"):
            session.add(fetched)
        assert customer in session
    engine.dispose()
