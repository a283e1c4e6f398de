"""Roots ordered and chosen by columns of to-ones: lists, limits, pages both ways, streams and counts."""

from typing import Any

import attrs
import pytest
from real import filled
from sqlalchemy import ForeignKey, bindparam, event, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, with_loader_criteria

from loadplan import Loader, LoadPlan, PlanError, count, load, source
from support import recording


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "reached_countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Customer(Base):
    __tablename__ = "reached_customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    hidden: Mapped[bool]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("reached_customers.id"))
    country_id: Mapped[int | None] = mapped_column(ForeignKey(Country.id))
    boss: Mapped["Customer | None"] = relationship(remote_side="Customer.id")
    country: Mapped[Country | None] = relationship()
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")
    newest: Mapped["Order | None"] = relationship(viewonly=True, order_by="Order.id.desc()")


class Order(Base):
    __tablename__ = "reached_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey(Customer.id))
    number: Mapped[int]
    customer: Mapped[Customer | None] = relationship(back_populates="orders")


@attrs.frozen
class CustomerView:
    email: str


@attrs.frozen
class OrderView:
    id: int
    customer: CustomerView | None


ROWS = [
    "INSERT INTO reached_countries VALUES (1, 'NZ'), (2, 'AU')",
    "INSERT INTO reached_customers VALUES (1, 'b', false, NULL, 1), (2, 'a', false, 1, 2), (3, 'c', true, 2, NULL)",
    "INSERT INTO reached_orders VALUES (1, 1, 5), (2, 2, 6), (3, 3, 7), (4, NULL, 8), (5, 1, 9), (6, 2, 1)",
]

SEEN = Customer.hidden.is_(False)
EMAIL = source(Order.customer, Customer.email)

PLANS: dict[str, LoadPlan[Any]] = {
    "bare": LoadPlan(Order),
    "loaded": LoadPlan(Order, load(Order.customer)),
    "view": LoadPlan(Order, into=OrderView),
}

#: Where NULLs go is said, so that both databases agree.
ORDERS: dict[str, tuple[Any, list[int]]] = {
    "ascending": (EMAIL.nulls_last(), [2, 6, 1, 5, 3, 4]),
    "descending": (EMAIL.desc().nulls_first(), [4, 3, 1, 5, 2, 6]),
    "expression": (source(Order.customer, func.upper(Customer.email)).asc().nulls_first(), [4, 2, 6, 1, 5, 3]),
    "two steps": (source(Order.customer, Customer.country, Country.name).nulls_last(), [2, 6, 1, 5, 3, 4]),
    "itself": (source(Order.customer, Customer.boss, Customer.email).nulls_last(), [3, 2, 6, 1, 4, 5]),
    "criterion": (source(Order.customer.and_(SEEN), Customer.email).nulls_last(), [2, 6, 1, 5, 3, 4]),
    "several": ([EMAIL.desc().nulls_last(), Order.number.desc()], [3, 5, 1, 2, 6, 4]),
}


async def both_ways(loader: Loader, plan: LoadPlan[Any], size: int, order: Any) -> list[int]:
    """Return the ids of all pages, having walked back as well."""
    pages = [await loader.fetch_page(plan, order, size)]
    while pages[-1].next:
        pages.append(await loader.fetch_page(plan, order, size, after=pages[-1].next))
    back = [pages[-1]]
    while back[0].previous:
        back.insert(0, await loader.fetch_page(plan, order, size, before=back[0].previous))
    found = [each.id for page in pages for each in page.items]
    assert [each.id for page in back for each in page.items] == found
    return found


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("plan", PLANS)
async def test_roots_are_ordered_by_a_to_one(engine: AsyncEngine, plan: str, order: str) -> None:
    """A to-one that is not there has NULL; no root is lost or repeated."""
    wanted, (by, expected) = PLANS[plan], ORDERS[order]
    given = [*(by if isinstance(by, list) else [by]), Order.id]
    async with filled(engine, Base.metadata, *ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(wanted, order_by=given)] == expected
        assert [each.id for each in await loader.fetch_all(wanted, order_by=given, limit=3, offset=1)] == expected[1:4]
        assert [each.id async for each in loader.stream(wanted, order_by=given, batch_size=2)] == expected
        for size in (1, 4):
            assert await both_ways(loader, wanted, size, by) == expected


@pytest.mark.parametrize("into", [None, OrderView], ids=["entity", "view"])
async def test_what_the_plan_or_the_session_hides_has_null(engine: AsyncEngine, into: Any) -> None:
    """The order is that of what the result shows."""

    class Hiding(Session):
        pass

    @event.listens_for(Hiding, "do_orm_execute")
    def hide(state: Any) -> None:
        if state.is_select:
            state.statement = state.statement.options(with_loader_criteria(Customer, SEEN))

    order = [EMAIL.nulls_first(), Order.id]
    async with filled(engine, Base.metadata, *ROWS) as loader:
        by_plan: LoadPlan[Any] = LoadPlan(Order, load(Order.customer, where=SEEN), into=into)
        assert [each.id for each in await loader.fetch_all(by_plan, order_by=order)] == [3, 4, 2, 6, 1, 5]
        hiding = Loader(async_sessionmaker(engine, sync_session_class=Hiding))
        plan: LoadPlan[Any] = LoadPlan(Order, load(Order.customer), into=into)
        assert await both_ways(hiding, plan, 1, order) == [3, 4, 2, 6, 1, 5]
        assert await hiding.count(plan, source(Order.customer, Customer.email == "c")) == 0


#: Plans that load the to-one in every way, or not at all.
WAYS: dict[str, LoadPlan[Any]] = {
    **PLANS,
    "rows repeated": LoadPlan(Order, load(Order.customer, load(Customer.orders, strategy="joined"))),
    "several subqueries": LoadPlan(Order, load(Order.customer, load(Customer.orders, strategy="subquery"))),
    "own statement": LoadPlan(Order, load(Order.customer, load(Customer.country), strategy="selectin")),
    "whole path": LoadPlan(Order, load(Order.customer, load(Customer.country), load(Customer.boss))),
    "column left out": LoadPlan(Order, load(Order.customer, only=[Customer.id])),
}

BEHIND = source(Order.customer.and_(Customer.id > 1), Customer.country, Country.name)
FIRST = source(Order.customer, Customer.hidden).nulls_first()

#: Orders, the roots in that order, and whether PostgreSQL joins the rows or asks a subquery for each root.
JOINED: dict[str, tuple[Any, list[int], bool]] = {
    **{name: (*ORDERS[name], True) for name in ("expression", "two steps", "itself", "criterion")},
    "hidden on the way": (BEHIND.nulls_last(), [2, 6, 1, 3, 4, 5], True),
    "two columns": ([FIRST, EMAIL], [4, 2, 6, 1, 5, 3], True),
    "collation": (source(Order.customer, Customer.email.collate("C")).desc().nulls_last(), [3, 1, 5, 2, 6, 4], True),
    "a condition may fail": (
        source(Order.customer.and_(6 / (Customer.id - 4) < 0), Customer.email).nulls_last(),
        [2, 6, 1, 5, 3, 4],
        False,
    ),
    "conditions": (
        source(
            Order.customer.and_(or_(~Customer.hidden, Customer.id.in_([3])), Customer.email.is_not(None)),
            Customer.email,
        ).nulls_last(),
        [2, 6, 1, 5, 3, 4],
        True,
    ),
    "may fail": (source(Order.customer, 6 / (Customer.id - 4)).nulls_last(), [3, 2, 6, 1, 5, 4], False),
    "first of several": (source(Order.customer, Customer.newest, Order.number).desc(), [4, 1, 5, 3, 2, 6], False),
}


async def test_postgresql_joins_the_rows_of_an_order(postgres: AsyncEngine) -> None:
    """Each way to load the to-one gives the same roots. A value that may fail is computed for rows of roots only."""
    without_orders = "INSERT INTO reached_customers VALUES (4, 'd', false, NULL, NULL)"  # 6 / (4 - 4) would fail
    async with filled(postgres, Base.metadata, *ROWS, without_orders) as loader:
        for order, (by, expected, joins) in JOINED.items():
            given = [*(by if isinstance(by, list) else [by]), Order.id]
            for name in WAYS if order == "two columns" else ("bare", "whole path"):
                plan = WAYS[name]
                with recording(postgres) as statements:
                    assert [each.id for each in await loader.fetch_all(plan, order_by=given)] == expected
                    some = await loader.fetch_all(plan, order_by=given, limit=3, offset=1)
                assert [each.id for each in some] == expected[1:4]
                of_roots = [each for each in statements.selects if "reached_orders.id ASC" in each]
                assert len(of_roots) >= 2
                assert all(("ORDER BY (SELECT" not in each) == joins for each in of_roots)
                if name in {"bare", "whole path"}:
                    assert [each.id async for each in loader.stream(plan, order_by=given, batch_size=4)] == expected
                if name in {"bare", "rows repeated", "whole path"}:
                    assert await both_ways(loader, plan, 4, by) == expected


async def test_a_lock_holds_the_roots_of_an_order(postgres: AsyncEngine) -> None:
    """The joined rows of the order are not locked: another transaction changes them meanwhile."""
    async with filled(postgres, Base.metadata, *ROWS), postgres.begin() as holder, postgres.begin() as other:
        found = await Loader(holder).fetch_all(
            LoadPlan(Order), order_by=[EMAIL.nulls_last(), Order.id], for_update=True
        )
        assert [each.id for each in found] == [2, 6, 1, 5, 3, 4]
        await other.execute(text("UPDATE reached_customers SET email = 'z' WHERE id = 1"))
        free = await other.execute(text("SELECT id FROM reached_orders FOR UPDATE SKIP LOCKED"))
        assert not free.all()


async def test_roots_are_chosen_by_a_to_one(engine: AsyncEngine) -> None:
    """The path ends with the condition."""
    plan = LoadPlan(Order)
    of_nz = source(Order.customer, Customer.country, Country.name == "NZ")
    async with filled(engine, Base.metadata, *ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(plan, of_nz, order_by=Order.id)] == [1, 5]
        assert await loader.count(plan, of_nz) == 2
        assert not await loader.exists(plan, source(Order.customer, Customer.email == "z"))
        assert (await loader.fetch_one(plan, [source(Order.customer, Customer.email == "b"), Order.number > 5])).id == 5
        page = await loader.fetch_page(plan, EMAIL, 1, where=of_nz, total="exact")
        assert (page.total, [each.id for each in page.items]) == (2, [1])


async def test_the_next_value_asks_with_the_same_statement(engine: AsyncEngine) -> None:
    """Also where a parameter, a list of values and an order with a value stand at the end of paths."""
    async with filled(engine, Base.metadata, *ROWS) as loader:
        plan = LoadPlan(Order)

        async def ids(condition: Any, order: Any = Order.id, **params: Any) -> list[int]:
            found = await loader.fetch_all(plan, where=condition, order_by=order, params=params or None)
            return [each.id for each in found]

        with recording(engine) as statements:
            for email, expected in {"a": [2, 6], "b": [1, 5], "c": [3], "d": []}.items():
                assert await ids(source(Order.customer, Customer.email == email)) == expected
            assert len(set(statements.selects)) == 1
        for country, expected in {"NZ": [1, 5], "AU": [2, 6]}.items():
            assert await ids(source(Order.customer, Customer.country, Country.name == country)) == expected
            given = [source(Order.customer, Customer.country, Country.name == bindparam("name")), Order.id > 0]
            assert await ids(given, name=country) == expected
        for emails, expected in ((["a", "c"], [2, 3, 6]), (["b"], [1, 5]), ([], [])):
            assert await ids([Order.id > 1, source(Order.customer, Customer.email.in_(emails)), Order.id < 7]) == [
                each for each in expected if each > 1
            ]
        for number, expected in ((1, [4, 1, 5, 2, 6, 3]), (2, [4, 2, 6, 1, 5, 3])):
            nearest = source(Order.customer, func.abs(Customer.id - number)).asc().nulls_first()
            assert await ids(Order.id > 0, [nearest, source(Order.customer, Customer.id), Order.id]) == expected


async def test_a_to_one_that_nothing_holds_to_one_row_orders_by_its_first(engine: AsyncEngine) -> None:
    """The newest order of each customer: 5 of the first, 6 of the second, 3 of the third."""
    order = source(Customer.newest, Order.number).desc()
    async with filled(engine, Base.metadata, *ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(LoadPlan(Customer), order_by=order)] == [1, 3, 2]


REFUSED: list[tuple[str, Any, str]] = [
    ("order_by", source(Order.customer), "it needs a relationship and a column."),
    ("order_by", source(Order.number), "it needs a relationship and a column."),
    ("order_by", source(Order.customer, Customer.orders, Order.number), "'Customer.orders' leads to many rows."),
    ("order_by", source(Order.customer, Country.name), "'Country.name' is not a column of 'Customer'."),
    ("order_by", source(Customer.country, Country.name), "'Customer.country' is not a relationship of 'Order'."),
    ("order_by", source(Order.customer, "email"), "'email' is not a column of 'Customer'."),
    (
        "order_by",
        source(Order.customer, Customer.email.desc()),
        "its last item has a direction, which belongs after the path.",
    ),
    (
        "order_by",
        source(Order.customer, func.max(Customer.id)),
        "'func.max(Customer.id)' is an aggregate, which has one value for many rows.",
    ),
    (
        "order_by",
        source(Order.customer, count(Customer.orders)),
        "'count(Customer.orders)' is not a column or a SQL expression of 'Customer'.",
    ),
    (
        "where",
        source(Order.customer, func.max(Customer.id) > 2),
        "'func.max(Customer.id) > 2' is an aggregate, which has one value for many rows.",
    ),
    ("where", EMAIL, "it does not end with a condition."),
    ("where", source(Order.customer, SEEN).desc(), "it does not end with a condition."),
]


@pytest.mark.parametrize(("word", "given", "detail"), REFUSED)
async def test_a_path_to_no_one_value_is_refused(sqlite: AsyncEngine, word: str, given: Any, detail: str) -> None:
    with pytest.raises(PlanError) as caught:
        await Loader(sqlite).fetch_all(LoadPlan(Order), **{word: given})
    assert (caught.value.code, caught.value.detail) == ("LP112", detail)


async def test_the_hint_for_another_table_names_the_path(sqlite: AsyncEngine) -> None:
    with pytest.raises(PlanError) as caught:
        await Loader(sqlite).fetch_all(LoadPlan(Order), order_by=Customer.email.desc().nulls_last())
    hint = "write order_by=source(Order.customer, Customer.email).desc().nulls_last()."
    assert (caught.value.code, caught.value.problem.hint) == ("LP215", hint)


HINTS: dict[str, tuple[Any, str]] = {
    "a direction within the path": (
        source(Order.customer, Customer.email.desc().nulls_last()),
        "write the direction after the path: order_by=source(Order.customer, Customer.email).desc().nulls_last().",
    ),
    "a path within a path": (
        source(Order.customer, source(Customer.country, Country.name).desc()),
        "write one path: order_by=source(Order.customer, Customer.country, Country.name).desc().",
    ),
    "a count within a path": (
        source(Order.customer, count(Customer.orders)),
        "count(...) is for fields of views. End the path with a subquery: "
        "select(func.count()).where(Order.customer_id == Customer.id).scalar_subquery().",
    ),
}


@pytest.mark.parametrize("name", HINTS)
async def test_the_hint_for_a_wrong_end_names_the_right_one(sqlite: AsyncEngine, name: str) -> None:
    given, hint = HINTS[name]
    with pytest.raises(PlanError) as caught:
        await Loader(sqlite).fetch_all(LoadPlan(Order, name="orders"), order_by=given)
    assert (caught.value.code, caught.value.path, caught.value.problem.hint) == ("LP112", ("orders",), hint)


async def test_a_subquery_at_the_end_of_a_path_counts(engine: AsyncEngine) -> None:
    """The hint for a count says so. Customer 3 has one order, and the others have two."""
    number = select(func.count()).where(Order.customer_id == Customer.id).scalar_subquery()
    order = [source(Order.customer, number).asc().nulls_first(), Order.id]
    async with filled(engine, Base.metadata, *ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(LoadPlan(Order), order_by=order)] == [4, 3, 1, 2, 5, 6]


@pytest.mark.parametrize("word", ["where", "order_by"])
async def test_a_condition_on_the_way_speaks_of_its_own_rows(sqlite: AsyncEngine, word: str) -> None:
    """With the table of the roots in it, each country would be paired with each order."""
    mixed = Customer.country.and_(Country.id <= Order.id)
    end = Country.name == "NZ" if word == "where" else Country.name
    with pytest.raises(PlanError) as caught:
        await Loader(sqlite).fetch_all(LoadPlan(Order, name="orders"), **{word: source(Order.customer, mixed, end)})
    message = "where= of 'Customer.country' uses 'reached_orders', but only 'Country' is available here"
    assert (caught.value.code, caught.value.message, caught.value.path) == ("LP215", message, ("orders",))


async def test_an_aggregate_orders_no_rows(sqlite: AsyncEngine) -> None:
    """On SQLite, it would leave all rows but one out of the first rows of each customer."""
    plan = LoadPlan(Customer, name="customers")
    with pytest.raises(PlanError) as caught:
        await Loader(sqlite).fetch_all(plan, order_by=func.max(Customer.id).desc())
    assert str(caught.value) == (
        "LP108: order_by= cannot use func.max(Customer.id).desc()\n"
        "  at: customers\n"
        "  detail: it is an aggregate, which has one value for many rows. An order needs a value for each row.\n"
        "  hint: order by a value of each row: order_by=Customer.id.desc()."
    )
    with pytest.raises(PlanError, match="LP108: where= cannot use"):
        await Loader(sqlite).fetch_all(plan, where=func.count() > 2)
    with pytest.raises(PlanError, match="at: customers > orders"):
        LoadPlan(Customer, load(Customer.orders, order_by=func.max(Order.id), limit=2), name="customers")
    numbered = func.sum(Order.number).over(partition_by=Order.customer_id)
    LoadPlan(Customer, load(Customer.orders, order_by=numbered))  # a window function has a value for each row
