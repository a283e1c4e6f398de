"""A declarative base for each database, as ``binds={Base: engine}`` has it, and tables without a class."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, foreign, mapped_column, relationship

from loadplan import Loader, LoadPlan, PlanError, load, source
from support import recording


class People(DeclarativeBase):
    pass


class Sales(DeclarativeBase):
    pass


class Customer(People):
    __tablename__ = "bases_customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[list["Order"]] = relationship(
        lambda: Order, primaryjoin=lambda: foreign(Order.customer_id) == Customer.id, viewonly=True
    )
    tags: Mapped[list["Tag"]] = relationship(secondary=lambda: TAGGED, viewonly=True)
    tag: Mapped["Tag | None"] = relationship(secondary=lambda: TAGGED, uselist=False, viewonly=True)
    notes: Mapped[list["Note"]] = relationship(viewonly=True)


class Tag(People):
    __tablename__ = "bases_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Note(People):
    __tablename__ = "bases_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))


TAGGED = Table(
    "bases_tagged",
    People.metadata,
    Column("customer_id", ForeignKey(Customer.id), primary_key=True),
    Column("tag_id", ForeignKey(Tag.id), primary_key=True),
)


class Order(Sales):
    __tablename__ = "bases_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int]
    customer: Mapped[Customer | None] = relationship(
        Customer, primaryjoin=lambda: foreign(Order.customer_id) == Customer.id, viewonly=True
    )


PLAIN = Table("bases_plain", MetaData(), Column("id", Integer, primary_key=True))


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    first, second = (create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    for engine, base in ((first, People), (second, Sales)):
        async with engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
    async with first.begin() as connection:
        await connection.execute(insert(Customer), [{"id": 1}, {"id": 2}])
        await connection.execute(insert(Note), [{"id": 1, "customer_id": 2}])
    async with second.begin() as connection:
        await connection.execute(insert(Order), [{"id": 1, "customer_id": 1}, {"id": 2, "customer_id": 1}])
    yield first, second
    await first.dispose()
    await second.dispose()


async def test_a_statement_that_reads_the_other_base(databases: tuple[AsyncEngine, AsyncEngine]) -> None:
    """A class of another base, and a table without a class, are found in conditions, orders and loads."""
    first, second = databases
    loader = Loader(async_sessionmaker(binds={People: first, Sales: second, TAGGED: second, PLAIN: second}))
    plan, other = LoadPlan(Customer), aliased(Order)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("where= of 'Customer' reads 'Order'", lambda: loader.fetch_all(plan, where=Customer.orders.any())),
        (
            "where= of 'Customer' reads 'Order'",
            lambda: loader.fetch_one(plan, where=Customer.id.in_(select(Order.customer_id))),
        ),
        (
            "where= of 'Customer' reads 'Order'",
            lambda: loader.count(plan, where=Customer.id.in_(select(other.customer_id))),
        ),
        (
            "order_by= of 'Customer' reads 'Order'",
            lambda: loader.fetch_all(plan, order_by=select(func.count(Order.id)).scalar_subquery()),
        ),
        (
            "order_by= of 'Order' reads 'Customer'",
            lambda: loader.fetch_all(LoadPlan(Order), order_by=source(Order.customer, Customer.id)),
        ),
        (
            "order_by= of 'Customer' reads 'bases_tagged'",
            lambda: loader.fetch_all(plan, order_by=source(Customer.tag, Tag.id)),
        ),
        (
            "where= of 'Customer' reads 'bases_plain'",
            lambda: loader.fetch_all(plan, where=Customer.id.in_(select(PLAIN.c.id))),
        ),
        ("the statement 'Customer.tags' of 'Tag' reads 'bases_tagged'", lambda: _all_with(loader, load(Customer.tags))),
        (
            "the statement 'Customer.orders' of 'Order' reads 'Customer'",
            lambda: _all_with(loader, load(Customer.orders, where=Order.id.in_(select(Customer.id)))),
        ),
    ]
    with recording(first) as in_first, recording(second) as in_second:
        for words, call in calls:
            with pytest.raises(PlanError, match=f"LP215: {words}, which is in another database") as caught:
                await call()
            assert ("sort the objects in Python" in str(caught.value)) is words.startswith("order_by=")
    assert (in_first.selects, in_second.selects) == ([], [])
    found = await _all_with(loader, load(Customer.orders))
    assert [len(each.orders) for each in found] == [2, 0]


async def _all_with(loader: Loader, *loads: Any) -> list[Customer]:
    return await loader.fetch_all(LoadPlan(Customer, *loads), order_by=Customer.id)


async def test_what_binds_do_not_name_is_where_the_statement_is(databases: tuple[AsyncEngine, AsyncEngine]) -> None:
    """SQLAlchemy asks only for the bind of the class that a statement selects, and so does loadplan."""
    first, second = databases
    loader = Loader(async_sessionmaker(binds={Customer: first, Tag: first, Order: second}))
    found = await loader.fetch_all(LoadPlan(Customer, load(Customer.tags)), where=Customer.notes.any())
    assert [(each.id, each.tags) for each in found] == [(2, [])]
