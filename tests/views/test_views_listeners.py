"""Listeners of the session and views: all statements pass by them, and what they decide holds."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
from sqlalchemy import Connection, ForeignKey, event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from loadplan import Loader, LoadPlan, RelatedNotFound, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "vls_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]


class Item(Base):
    __tablename__ = "vls_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]
    shop_id: Mapped[int] = mapped_column(ForeignKey("vls_shops.id"), index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("vls_owners.id"))
    owner: Mapped[Owner] = relationship()


class Shop(Base):
    __tablename__ = "vls_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]
    owner_id: Mapped[int] = mapped_column(ForeignKey("vls_owners.id"))
    owner: Mapped[Owner] = relationship()
    items: Mapped[list[Item]] = relationship(order_by=Item.id)


@attrs.frozen
class OwnerView:
    id: int


@attrs.frozen
class ItemView:
    id: int
    owner: OwnerView | None


@attrs.frozen
class ShopView:
    id: int
    owner: OwnerView | None
    items: list[ItemView]


@attrs.frozen
class StrictItem:
    id: int
    owner: OwnerView


@attrs.frozen
class StrictShop:
    id: int
    owner: OwnerView


@attrs.frozen
class ShopOfStrictItems:
    id: int
    items: list[StrictItem]


PLAN = LoadPlan(Shop, into=ShopView, name="shops")
BY_LEVEL = LoadPlan(
    Shop,
    load(Shop.owner, strategy="selectin"),
    load(Shop.items, load(Item.owner, strategy="selectin"), strategy="selectin"),
    into=ShopView,
    name="shops",
)
PLANS = {"nested": PLAN, "by level": BY_LEVEL}


@pytest.fixture
async def shops(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Shops 1 and 2 of tenant 1, the second with an owner of tenant 2; items of both tenants in the first."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([Owner(id=1, tenant=1), Owner(id=2, tenant=2)])
            await session.flush()
            session.add_all([Shop(id=1, tenant=1, owner_id=1), Shop(id=2, tenant=1, owner_id=2)])
            session.add(Shop(id=3, tenant=2, owner_id=2))
            await session.flush()
            items = [(1, 1, 1), (2, 2, 1), (3, 1, 2)]
            session.add_all([Item(id=key, tenant=tenant, shop_id=1, owner_id=owner) for key, tenant, owner in items])
            await session.commit()
        yield engine


ALL = [
    ShopView(1, OwnerView(1), [ItemView(1, OwnerView(1)), ItemView(2, OwnerView(1)), ItemView(3, OwnerView(2))]),
    ShopView(2, OwnerView(2), []),
    ShopView(3, OwnerView(2), []),
]

#: What tenant 1 may see.
OF_ONE = [ShopView(1, OwnerView(1), [ItemView(1, OwnerView(1)), ItemView(3, None)]), ShopView(2, None, [])]


def only_tenant_1(state: ORMExecuteState) -> None:
    for kind in (Shop, Item, Owner):
        state.statement = state.statement.options(with_loader_criteria(kind, kind.tenant == 1))


@pytest.mark.parametrize("name", PLANS)
async def test_every_statement_passes_by_the_listeners(shops: AsyncEngine, name: str) -> None:
    """Whatever reaches the driver was seen by ``do_orm_execute``: nothing goes round the session."""
    seen: list[str] = []
    session = async_sessionmaker(shops)
    plan = PLANS[name]

    class Own(Session):
        pass

    event.listen(Own, "do_orm_execute", lambda state: seen.append(str(state.statement)))
    session = async_sessionmaker(shops, sync_session_class=Own)
    loader, counted = Loader(session), Loader(session, max_rows=1000)
    calls: list[Callable[[], Any]] = [
        lambda: loader.fetch(plan, 1),
        lambda: loader.fetch_or_none(plan, 99),
        lambda: loader.fetch_many(plan, [1, 2]),
        lambda: loader.fetch_all(plan),
        lambda: loader.fetch_all(plan, limit=2),
        lambda: loader.fetch_one(plan, where=Shop.id == 1),
        lambda: loader.fetch_page(plan, size=2),
        lambda: counted.fetch_all(plan),
        lambda: _consume(loader.stream(plan)),
    ]
    for call in calls:
        seen.clear()
        with recording(shops) as sent:
            await call()
        assert len(sent.selects) == len(sent) == len(seen) > 0


async def _consume(stream: Any) -> list[Any]:
    return [each async for each in stream]


@pytest.mark.parametrize("name", PLANS)
async def test_a_listener_that_answers_itself_is_believed(shops: AsyncEngine, name: str) -> None:
    """A cache of frozen results: the second fetch sends nothing."""
    cache: dict[Any, Any] = {}

    def cached(state: ORMExecuteState) -> Any:
        key = (str(state.statement), repr(sorted((state.parameters or {}).items(), key=repr)))
        if key not in cache:
            cache[key] = state.invoke_statement().freeze()
        return cache[key]()

    class Own(Session):
        pass

    event.listen(Own, "do_orm_execute", cached)
    loader = Loader(async_sessionmaker(shops, sync_session_class=Own))
    for fetch in (
        lambda: loader.fetch_all(PLANS[name], order_by=Shop.id),
        lambda: loader.fetch_all(PLANS[name], order_by=Shop.id, limit=9),
        lambda: loader.fetch_many(PLANS[name], [1, 2, 3]),
    ):
        assert await fetch() == ALL
        with recording(shops) as sent:
            assert await fetch() == ALL
        assert not sent


@pytest.mark.parametrize("name", PLANS)
async def test_a_listener_that_changes_statements_after_another_one_answered(shops: AsyncEngine, name: str) -> None:
    """Criteria of one listener and the answer of a second one: what the second one runs has the criteria."""

    class Own(Session):
        pass

    event.listen(Own, "do_orm_execute", only_tenant_1)
    event.listen(Own, "do_orm_execute", lambda state: state.invoke_statement())
    loader = Loader(async_sessionmaker(shops, sync_session_class=Own))
    assert await loader.fetch_all(PLANS[name], order_by=Shop.id) == OF_ONE
    assert [await loader.fetch_or_none(PLANS[name], key) for key in (1, 2, 3)] == [*OF_ONE, None]


@pytest.mark.parametrize("name", PLANS)
async def test_a_listener_may_change_parameters(shops: AsyncEngine, name: str) -> None:
    """The id that the caller asked for is replaced by another one."""

    def redirect(state: ORMExecuteState) -> Any:
        if state.parameters and state.parameters.get("loadplan_id_0") == 77:
            return state.invoke_statement(params={"loadplan_id_0": 1})
        return None

    class Own(Session):
        pass

    event.listen(Own, "do_orm_execute", redirect)
    assert await Loader(async_sessionmaker(shops, sync_session_class=Own)).fetch(PLANS[name], 77) == ALL[0]


@pytest.mark.parametrize("name", PLANS)
async def test_a_listener_may_send_statements_to_another_schema(postgres: AsyncEngine, name: str) -> None:
    """``schema_translate_map`` that a listener sets reaches every statement, and every subquery in it."""
    metadata = Base.metadata
    async with postgres.begin() as connection:
        await connection.execute(text("CREATE SCHEMA vls_other"))
        mapped = await connection.execution_options(schema_translate_map={None: "vls_other"})
        await mapped.run_sync(metadata.create_all)
    try:
        async with postgres.begin() as connection:
            await connection.execute(text("INSERT INTO vls_other.vls_owners VALUES (5, 1)"))
            await connection.execute(text("INSERT INTO vls_other.vls_shops VALUES (1, 1, 5)"))
            await connection.execute(text("INSERT INTO vls_other.vls_items VALUES (7, 1, 1, 5)"))

        def elsewhere(state: ORMExecuteState) -> None:
            state.update_execution_options(schema_translate_map={None: "vls_other"})

        class Own(Session):
            pass

        event.listen(Own, "do_orm_execute", elsewhere)
        expected = ShopView(1, OwnerView(5), [ItemView(7, OwnerView(5))])
        for bind in (
            async_sessionmaker(postgres, sync_session_class=Own),
            postgres.execution_options(schema_translate_map={None: "vls_other"}),
        ):
            loader = Loader(bind)
            assert await loader.fetch(PLANS[name], 1) == expected
            assert await loader.fetch_all(PLANS[name]) == [expected]
            assert [each async for each in loader.stream(PLANS[name])] == [expected]
    finally:
        async with postgres.begin() as connection:
            await connection.execute(text("DROP SCHEMA vls_other CASCADE"))


@pytest.mark.parametrize("strategy", [None, "selectin", "joined"])
async def test_a_required_row_that_is_hidden_is_an_error(shops: AsyncEngine, strategy: Any) -> None:
    """At the root and within a collection, joined, nested, and by level."""

    class Own(Session):
        pass

    event.listen(Own, "do_orm_execute", only_tenant_1)
    loader = Loader(async_sessionmaker(shops, sync_session_class=Own))
    plan = LoadPlan(Shop, load(Shop.owner, strategy=strategy), into=StrictShop, name="strict")
    assert await loader.fetch(plan, 1) == StrictShop(1, OwnerView(1))
    with pytest.raises(RelatedNotFound) as caught:
        await loader.fetch(plan, 2)
    assert caught.value.code == "LP410"
    assert "'StrictShop.owner'" in str(caught.value)
    assert "'Shop.owner'" in str(caught.value)
    with pytest.raises(RelatedNotFound):
        await loader.fetch_all(plan)
    below = LoadPlan(Shop, load(Shop.items, load(Item.owner, strategy=strategy)), into=ShopOfStrictItems)
    for fetch in (lambda: loader.fetch(below, 1), lambda: loader.fetch_all(below)):
        with pytest.raises(RelatedNotFound, match=r"'StrictItem\.owner'"):
            await fetch()


@pytest.mark.parametrize("name", PLANS)
async def test_row_level_security_holds_in_every_statement(postgres: AsyncEngine, name: str) -> None:
    """A role that may see the rows of one tenant alone; no listener adds anything to a statement."""
    role = f"loadplan_reader_{uuid.uuid4().hex[:8]}"

    def become(session: Session, transaction: Any, connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")

    async with tables(postgres, Base.metadata):
        async with postgres.begin() as connection:
            await connection.execute(text("INSERT INTO vls_owners VALUES (1, 1), (2, 2)"))
            await connection.execute(text("INSERT INTO vls_shops VALUES (1, 1, 1), (2, 1, 2), (3, 2, 2)"))
            await connection.execute(text("INSERT INTO vls_items VALUES (1, 1, 1, 1), (2, 2, 1, 1), (3, 1, 1, 2)"))
            await connection.execute(text(f"CREATE ROLE {role}"))
            for table in Base.metadata.tables:
                await connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
                await connection.execute(text(f"GRANT SELECT ON {table} TO {role}"))
                await connection.execute(text(f"CREATE POLICY tenants ON {table} USING (tenant = 1)"))
        try:
            assert await Loader(postgres).fetch_all(PLANS[name], order_by=Shop.id) == ALL

            class Own(Session):
                pass

            event.listen(Own, "after_begin", become)
            loader = Loader(async_sessionmaker(postgres, sync_session_class=Own))
            assert await loader.fetch_all(PLANS[name], order_by=Shop.id) == OF_ONE
            assert [await loader.fetch_or_none(PLANS[name], key) for key in (1, 2, 3)] == [*OF_ONE, None]
            assert [each async for each in loader.stream(PLANS[name], order_by=Shop.id)] == OF_ONE
            assert (await loader.fetch_page(PLANS[name], Shop.id, 9)).items == OF_ONE
            with pytest.raises(RelatedNotFound):
                await loader.fetch(LoadPlan(Shop, into=StrictShop), 2)
        finally:
            async with postgres.begin() as connection:
                await connection.execute(text(f"DROP OWNED BY {role}"))
                await connection.execute(text(f"DROP ROLE {role}"))


async def test_views_see_what_the_caller_flushed_and_lock_the_root_alone(shops: AsyncEngine) -> None:
    """Inside of the caller's transaction, on the caller's connection."""
    async with AsyncSession(shops) as session:
        shop = await session.get_one(Shop, 1)
        shop.owner_id = 2
        session.add(Item(id=9, tenant=1, shop_id=2, owner_id=1))
        found = await Loader(session).fetch_all(PLAN, order_by=Shop.id)
        assert found[0].owner == OwnerView(2)
        assert found[1].items == [ItemView(9, OwnerView(1))]
        with recording(shops) as sent:
            locked = await Loader(session).fetch(PLAN, 1, for_update=True)
            skipped = await Loader(session).fetch_all(PLAN, Shop.id == 1, for_update={"skip_locked": True})
        assert [locked] == skipped == found[:1]
        if shops.dialect.name == "postgresql":
            assert [sql for sql in sent if "FOR UPDATE OF vls_shops" in sql]
        assert (await session.scalars(select(Shop).where(Shop.id == 1))).one().owner_id == 2
        await session.rollback()
