"""Hints name the classes, columns and relationships of the place, also before any mapper is configured."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import attrs
import pytest
from errors_models import Base, Company, Customer, Line, Order
from sqlalchemy import ForeignKey, bindparam, desc, func, inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, defer, load_only, mapped_column, relationship, selectinload

from loadplan import Loader, LoadPlan, LoadPlanError, PlanError, aggregate, count, load, on, source

plan_of: Any = LoadPlan
loads: Any = load
branch: Any = on
ORDER: Any = LoadPlan(Order, name="order")


def row(**fields: Any) -> Any:
    return attrs.make_class("Row", {key: attrs.field(type=kind) for key, kind in fields.items()}, frozen=True)


#: name: (what is written, its hint)
HINTS: dict[str, tuple[Callable[[], object], str]] = {
    "the name of a relationship": (
        lambda: plan_of(Order, "lines"),
        "write load(Order.lines), or name='lines' to name the plan.",
    ),
    "a path with dots": (
        lambda: plan_of(Customer, "orders.lines"),
        "write load(Customer.orders, load(Order.lines)), or name='orders.lines' to name the plan.",
    ),
    "a path of Django": (
        lambda: plan_of(Customer, loads("orders__lines")),
        "nest one load in the other: load(Customer.orders, load(Order.lines)).",
    ),
    "a name within a load": (lambda: plan_of(Customer, loads(Customer.orders, "lines")), "write load(Order.lines)."),
    "a wrong name within a load": (
        lambda: plan_of(Customer, loads(Customer.orders, "line")),
        "did you mean 'lines'? Relationships of Order: customer, lines, tags.",
    ),
    "load_only": (lambda: plan_of(Order, load_only(Order.id, Order.total)), "write only=[Order.id, Order.total]."),
    "defer of SQLAlchemy": (lambda: plan_of(Order, defer(Order.total)), "write defer=[Order.total]."),
    "load_only of related rows": (
        lambda: plan_of(Customer, selectinload(Customer.orders).load_only(Order.total)),
        "write load(Customer.orders, only=[Order.total]). The plan chooses the loading strategy itself.",
    ),
    "an order by desc of a name": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by=desc("total"))),
        "write order_by=Order.total.desc().",
    ),
    "an order by a column of a to-one": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by="-customer__name")),
        "write order_by=source(Order.customer, Customer.name).desc().",
    ),
    "the direction alone": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by=[Order.total, "desc"])),
        "write the direction on the column: order_by=Order.id.desc().",
    ),
    "an order as a dictionary": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by={"total": "desc", "id": "asc"})),
        "write order_by=[Order.total.desc(), Order.id].",
    ),
    "a condition as a dictionary": (
        lambda: plan_of(Customer, loads(Customer.orders, where={"total": 3, "customer_id": None})),
        "write where=[Order.total == 3, Order.customer_id.is_(None)].",
    ),
    "an id in a load": (
        lambda: plan_of(Customer, loads(Customer.orders, where=3)),
        "write where=Order.id == 3.",
    ),
    "an order in a load by name": (
        lambda: plan_of(Customer, loads("orders", loads("lines", order_by="-position"))),
        "write order_by=Line.position.desc().",
    ),
    "a column in a load by name": (
        lambda: plan_of(Customer, loads("orders", only=["total"])),
        "name columns as attributes of the class, for example only=[Order.total].",
    ),
    "a column of a subclass": (
        lambda: plan_of(Order, loads(Order.customer.of_type(Company), only=["vat"])),
        "name columns as attributes of the class, for example only=[Company.vat].",
    ),
    "an order by a number": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by=3)),
        "name the column, for example order_by=Order.id.",
    ),
    "an order in and_()": (
        lambda: plan_of(Customer, load(Customer.orders.and_(Order.id.desc()))),
        "to sort, pass it as order_by=. To choose rows, compare the column, for example where=Post.id > 3.",
    ),
    "an order among conditions in and_()": (
        lambda: plan_of(Customer, load(Customer.orders, where=(Order.total > 1) & Order.id.desc())),
        "to sort, pass it as order_by=. To choose rows, compare the column, for example where=Post.id > 3.",
    ),
    "an order in and_() of a count": (
        lambda: plan_of(Customer, into=row(id=int, n=Annotated[int, count(Customer.orders.and_(Order.id.desc()))])),
        "to sort, pass it as order_by=. To choose rows, compare the column, for example where=Post.id > 3.",
    ),
    "the type of the class itself": (
        lambda: plan_of(Customer, load(Customer.orders.of_type(Order))),
        "remove of_type(...): 'Order' has no subclasses.",
    ),
    "a relationship as a column": (
        lambda: plan_of(Order, defer=[Order.lines]),
        "write load(Order.lines) beside only= or defer=. Without this load, it is not loaded.",
    ),
    "the name of a relationship as a column": (
        lambda: plan_of(Order, defer=["lines"]),
        "name columns as attributes of the class, for example defer=[Order.id, Order.customer_id].",
    ),
    "a function as a column": (
        lambda: plan_of(Order, only=[func.abs(Order.total)]),
        "name columns as attributes of the class, for example only=[Order.id, Order.customer_id].",
    ),
    "a mapper": (lambda: plan_of(inspect(Order)), "pass the class itself: LoadPlan(Order)."),
    "attributes in place of names": (
        lambda: plan_of(Order, load(Order.lines)).narrowed_to([Order.lines]),
        'write "lines".',
    ),
    "a class in a list": (lambda: plan_of([Order]), "pass one class, without brackets: LoadPlan(Order)."),
    "a relationship of another class": (
        lambda: plan_of(Customer, Order.lines),
        "write load(Customer.orders, load(Order.lines)).",
    ),
    "a relationship of a subclass": (
        lambda: plan_of(Customer, Company.branches),
        "write on(Company, load(Company.branches)).",
    ),
    "a class in a load": (
        lambda: plan_of(Customer, loads(Line)),
        "pass the relationship that leads to it: load(Customer.orders, load(Order.lines)).",
    ),
    "load without parentheses": (
        lambda: plan_of(Line, load, Line.order),
        "call it, with a relationship: load(Line.order).",
    ),
    "the name of a column as a condition": (
        lambda: plan_of(Customer, loads(Customer.orders, where="total")),
        "write where=Order.total == ...",
    ),
    "a parameter as a limit": (
        lambda: plan_of(Customer, loads(Customer.orders, order_by=Order.id, limit=bindparam("n"))),
        "write the number itself. It is a part of the statement, and no parameter.",
    ),
    "a branch by name": (
        lambda: plan_of(Customer, branch("Company")),
        "pass the class itself, without quotes: on(Company).",
    ),
    "a declarative base": (
        lambda: plan_of(Base),
        "'Base' is a base of mapped classes. Pass one of these classes, which has a table.",
    ),
    "the property of a relationship": (
        lambda: plan_of(Order, loads(inspect(Order).relationships["lines"])),
        "pass the attribute of the class: load(Order.lines).",
    ),
    "a function that is not called": (
        lambda: plan_of(Order, into=row(id=int, n=Annotated[int, aggregate(Order.lines, func.max)])),
        "write aggregate(Order.lines, func.max(Line.order_id)).",
    ),
    "a count of a class": (
        lambda: plan_of(Order, into=row(id=int, n=Annotated[int, count(Line)])),  # type: ignore[arg-type]
        "write count(Order.lines).",
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_a_plan(name: str) -> None:
    write, hint = HINTS[name]
    with pytest.raises(PlanError) as caught:
        write()
    assert caught.value.hint == hint


#: name: (the call, its message and hint)
CALLS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "three conditions": (
        lambda loader: loader.fetch_all(ORDER, Order.id == 1, Order.id, Order.total > 3),
        "limit= needs a whole number, but got the SQL expression 'err_orders.total > :total_1'",
        "put all conditions into one list, where=[Post.id > 3, Post.published], and orders into order_by=[...].",
    ),
    "an order as the size of a page": (
        lambda loader: loader.fetch_page(ORDER, Order.total, Order.id.desc()),
        "size= needs a whole number, but got the SQL expression 'err_orders.id DESC'",
        "put all conditions into one list, where=[Post.id > 3, Post.published], and orders into order_by=[...].",
    ),
    "a path to many rows": (
        lambda loader: loader.fetch_all(ORDER, where=source(Order.lines, Line.position == 1)),
        "where= cannot use source(Order.lines, Line.position == 1)",
        "write Order.lines.any(Line.position == 1).",
    ),
    "an order by many rows": (
        lambda loader: loader.fetch_all(ORDER, order_by=source(Order.lines, Line.position)),
        "order_by= cannot use source(Order.lines, Line.position)",
        "order by one value: select(func.max(Line.position)).where(Line.order_id == Order.id).scalar_subquery().",
    ),
    "a path of text": (
        lambda loader: loader.fetch_all(ORDER, order_by=source("customer", "name")),
        "order_by= cannot use source('customer', 'name')",
        "write order_by=source(Order.customer, Customer.name).",
    ),
    "a path that ends with a class": (
        lambda loader: loader.fetch_all(ORDER, where=source(Order.customer, Customer)),
        "where= cannot use source(Order.customer, Customer)",
        "write where=source(Order.customer, Customer.name == ...).",
    ),
    "a path that does not start": (
        lambda loader: loader.fetch_all(ORDER, order_by=source(Customer.name)),
        "order_by= cannot use source(Customer.name)",
        "write order_by=source(Order.customer, Customer.name).",
    ),
    "a path of one column": (
        lambda loader: loader.fetch_all(ORDER, order_by=source(Order.total)),
        "order_by= cannot use source(Order.total)",
        "write order_by=Order.total.",
    ),
    "a path with an aggregate": (
        lambda loader: loader.fetch_all(ORDER, order_by=source(Order.customer, func.max(Customer.id))),
        "order_by= cannot use source(Order.customer, func.max(Customer.id))",
        "write order_by=source(Order.customer, Customer.id).",
    ),
    "ids in brackets of their own": (
        lambda loader: loader.fetch_many(ORDER, [[1], [2]]),
        "[1] cannot be the primary key of 'Order'",
        "write the ids into one list, without inner brackets: fetch_many(plan, [1, 2]).",
    ),
    "a condition in place of ids": (
        lambda loader: loader.fetch_many(ORDER, Order.total == 1),
        "the SQL expression 'err_orders.total = :total_1' is not a list of ids",
        "for a condition, write fetch_all(plan, where=...).",
    ),
    "a path with an order in and_()": (
        lambda loader: loader.fetch_all(ORDER, order_by=source(Order.customer.and_(Customer.id.desc()), Customer.name)),
        "where= got an order, the SQL expression 'err_customers.id DESC'",
        "to sort, pass it as order_by=. To choose rows, compare the column, for example where=Post.id > 3.",
    ),
    "a load as a condition": (
        lambda loader: loader.fetch_all(ORDER, load(Order.lines)),
        "where= needs a SQL expression, but got load(Order.lines)",
        "a plan says what to load: LoadPlan(User, load(User.posts)).",
    ),
    "a direction that is not called": (
        lambda loader: loader.fetch_all(ORDER, order_by=Order.total.desc),
        "order_by= needs a SQL expression, but got the method 'Order.total.desc'",
        "call it: order_by=Order.total.desc().",
    ),
    "an alias of the class": (
        lambda loader: loader.fetch_all(ORDER, where=aliased(Order).id == 1),
        "where= of 'Order' uses 'an alias of err_orders', but only 'Order' is available here",
        "use the attributes of 'Order' itself, not of an alias.",
    ),
    "an id as a condition": (
        lambda loader: loader.fetch_one(ORDER, 1),
        "where= needs a SQL expression, but got 1",
        "write where=Order.id == 1. To fetch by primary key, write fetch(plan, 1).",
    ),
    "the name of a plan": (
        lambda loader: loader.fetch("order", 1),
        "a fetch needs a LoadPlan, but got 'order'",
        "pass the plan itself, not a name. The id is the second argument: fetch(plan, id).",
    ),
    "an object in place of the plan": (
        lambda loader: loader.fetch(Order(id=1), 1),
        "a fetch needs a LoadPlan, but got an object of 'Order'",
        "pass a plan. To load more onto an object, write extend(object, load(...)).",
    ),
    "a page as a cursor": (
        lambda loader: loader.fetch_page(ORDER, after=2),
        "a cursor is text, but got an object of 'int'",
        "pass Page.next as after= or Page.previous as before=. For the first page, leave both out.",
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call(sqlite: AsyncEngine, name: str) -> None:
    """Before any SQL: the tables are not even there."""
    call, message, hint = CALLS[name]
    with pytest.raises(LoadPlanError) as caught:
        await call(Loader(sqlite))
    assert (caught.value.message, caught.value.hint) == (message, hint)


#: name: (the call, what the TypeError says)
ARGUMENTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a lookup of Django": (
        lambda loader: loader.count(Customer, name__icontains="a"),
        "count() has no argument 'name__icontains'. Arguments: plan, where, params, execution_options. To choose by a "
        "column, write a condition: where=Customer.name.icontains(...)",
    ),
    "a comparison of Django": (
        lambda loader: loader.count(ORDER, total__gte=3),
        "count() has no argument 'total__gte'. Arguments: plan, where, params, execution_options. To choose by a "
        "column, write a condition: where=Order.total >= ...",
    ),
    "a relationship of Django": (
        lambda loader: loader.count(ORDER, customer__name="Ada"),
        "count() has no argument 'customer__name'. Arguments: plan, where, params, execution_options. To choose by "
        "related rows, write a condition: where=Order.customer.has(...)",
    ),
    "a direction": (
        lambda loader: loader.fetch_all(ORDER, order_by=Order.id, desc=True),
        "fetch_all() has no argument 'desc'. Write the direction on the column: order_by=User.name.desc().",
    ),
    "several ids": (
        lambda loader: loader.fetch(ORDER, ids=[1, 2]),
        "fetch() has no argument 'ids'. For several ids, write fetch_many(plan, ids).",
    ),
    "a parameter of the plan": (
        lambda loader: loader.fetch(ORDER, 1, since=3),
        "fetch() has no argument 'since'. Arguments: plan, id, params, for_update, execution_options. For a parameter "
        "of the plan, write params={'since': ...}.",
    ),
    "parameters without their word": (
        lambda loader: loader.fetch(ORDER, 1, {"since": 3}),
        "fetch() takes 3 positional arguments but 4 were given. Write params={...} for the parameters of the plan.",
    ),
    "a load behind the id": (
        lambda loader: loader.fetch(ORDER, 1, load(Order.lines)),
        "fetch() takes 3 positional arguments but 4 were given. A plan says what to load: LoadPlan(User, "
        "load(User.posts)).",
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_an_argument(sqlite: AsyncEngine, name: str) -> None:
    call, said = ARGUMENTS[name]
    with pytest.raises(TypeError) as caught:
        await call(Loader(sqlite))
    assert str(caught.value) == said


def fresh_shop() -> tuple[Any, Any]:
    """Two classes whose mappers nobody has configured yet."""

    class Fresh(DeclarativeBase):
        kept: ClassVar[list[type]] = []

    class Shop(Fresh):
        __tablename__ = "err_place_shops"
        id: Mapped[int] = mapped_column(primary_key=True)
        secret: Mapped[str] = mapped_column(deferred=True)
        goods: Mapped[list["Ware"]] = relationship(back_populates="shop")

    class Ware(Fresh):
        __tablename__ = "err_place_wares"
        id: Mapped[int] = mapped_column(primary_key=True)
        price: Mapped[int]
        shop_id: Mapped[int] = mapped_column(ForeignKey("err_place_shops.id"))
        shop: Mapped[Shop] = relationship(back_populates="goods")

    return Shop, Ware


#: name: (what is written about the two classes, its hint)
FIRST: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "an order as text": (
        lambda shop, _: plan_of(shop, loads(shop.goods, order_by="-price")),
        "write order_by=Ware.price.desc().",
    ),
    "a class as a load": (lambda shop, ware: plan_of(shop, ware), "write load(Shop.goods)."),
    "columns as text": (
        lambda shop, _: plan_of(shop, loads(shop.goods, only=["price"])),
        "name columns as attributes of the class, for example only=[Ware.price].",
    ),
    "a deferred column as a load": (
        lambda shop, _: plan_of(shop, shop.secret),
        "write LoadPlan(Shop, only=[Shop.secret]).",
    ),
    "an id as a condition": (
        lambda shop, _: plan_of(shop, loads(shop.goods, where=3)),
        "write where=Ware.id == 3.",
    ),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_plan_of_a_process_has_the_same_hints(name: str) -> None:
    write, hint = FIRST[name]
    shop, ware = fresh_shop()
    assert not inspect(shop, raiseerr=True).configured
    with pytest.raises(PlanError) as caught:
        write(shop, ware)
    assert caught.value.hint == hint


def test_a_branch_is_named_by_the_subclass() -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(Customer, load(Customer.orders, load(Order.customer.of_type(Company), limit=1)))
    assert caught.value.hint == "remove limit=."
