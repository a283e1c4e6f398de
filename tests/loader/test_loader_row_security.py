"""Row-level security by a tenant that a listener sets for the transaction: no fetch ever escapes it."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loader_models import listening
from sqlalchemy import Connection, ForeignKey, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import tables


class Base(DeclarativeBase):
    pass


class Shop(Base):
    __tablename__ = "ldr_rls_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("ldr_rls_owners.id"))
    owner: Mapped["Owner | None"] = relationship()
    items: Mapped[list["Item"]] = relationship(order_by="Item.id")


class Item(Base):
    __tablename__ = "ldr_rls_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]
    shop_id: Mapped[int] = mapped_column(ForeignKey("ldr_rls_shops.id"))


class Owner(Base):
    __tablename__ = "ldr_rls_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[int]


PLANS = {
    "one statement": LoadPlan(Shop),
    "joined": LoadPlan(Shop, load(Shop.owner)),
    "two statements": LoadPlan(Shop, load(Shop.owner), load(Shop.items)),
}


@pytest.fixture
async def shops(postgres: AsyncEngine) -> AsyncIterator[tuple[AsyncEngine, str]]:
    """Two tenants' rows, and a role that may see those of the tenant in ``loadplan.tenant`` alone."""
    role = f"loadplan_reader_{uuid.uuid4().hex[:8]}"
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add_all([Owner(id=1, tenant=1), Owner(id=2, tenant=2)])
            await session.flush()
            session.add_all(
                [
                    Shop(id=1, tenant=1, owner_id=1, items=[Item(id=1, tenant=1), Item(id=2, tenant=2)]),
                    Shop(id=2, tenant=1, owner_id=2),
                    Shop(id=3, tenant=2, owner_id=2),
                ]
            )
            await session.commit()
        async with postgres.begin() as connection:
            await connection.execute(text(f"CREATE ROLE {role}"))
            for table in Base.metadata.tables:
                await connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
                await connection.execute(text(f"GRANT SELECT ON {table} TO {role}"))
                await connection.execute(
                    text(
                        f"CREATE POLICY tenants ON {table} "
                        "USING (tenant = nullif(current_setting('loadplan.tenant', true), '')::int)"
                    )
                )
        try:
            yield postgres, role
        finally:
            async with postgres.begin() as connection:
                await connection.execute(text(f"DROP OWNED BY {role}"))
                await connection.execute(text(f"DROP ROLE {role}"))


def become_tenant(role: str) -> Callable[..., None]:
    def after_begin(session: Session, transaction: Any, connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        connection.exec_driver_sql(f"SET LOCAL loadplan.tenant = '{session.info.get('tenant', 1)}'")

    return after_begin


def visible(shops: list[Shop]) -> list[tuple[int, int | None]]:
    return [(shop.id, shop.owner.id if "owner" in vars(shop) and shop.owner else None) for shop in shops]


EXPECTED = {
    "one statement": [(1, None), (2, None)],
    "joined": [(1, 1), (2, None)],
    "two statements": [(1, 1), (2, None)],
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("kind", ["engine", "sessionmaker", "session"])
async def test_a_tenant_set_when_the_transaction_begins_holds(
    shops: tuple[AsyncEngine, str], kind: str, name: str
) -> None:
    engine, role = shops
    with listening(Session, "after_begin", become_tenant(role)):
        if kind == "session":
            async with AsyncSession(engine) as session:
                found = await Loader(session).fetch_all(PLANS[name], order_by=Shop.id)
        else:
            bind: Any = engine if kind == "engine" else async_sessionmaker(engine)
            found = await Loader(bind).fetch_all(PLANS[name], order_by=Shop.id)
    assert visible(found) == EXPECTED[name]
    if name == "two statements":
        assert [[item.id for item in shop.items] for shop in found] == [[1], []]


@pytest.mark.parametrize("name", PLANS)
async def test_the_tenant_of_one_fetch_is_gone_with_it(shops: tuple[AsyncEngine, str], name: str) -> None:
    """Tenants take turns on one pool; a fetch without the listener is the owner of the tables again."""
    engine, role = shops
    for tenant, expected in ((1, [1, 2]), (2, [3]), (1, [1, 2])):
        maker = async_sessionmaker(engine, info={"tenant": tenant})
        with listening(Session, "after_begin", become_tenant(role)):
            found = await Loader(maker).fetch_all(PLANS[name], order_by=Shop.id)
        assert [shop.id for shop in found] == expected
    assert len(await Loader(engine).fetch_all(PLANS[name])) == 3


@pytest.mark.parametrize("name", PLANS)
async def test_a_tenant_set_by_the_engine_when_a_transaction_begins_holds(
    shops: tuple[AsyncEngine, str], name: str
) -> None:
    engine, role = shops

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        connection.exec_driver_sql("SET LOCAL loadplan.tenant = '2'")

    with listening(engine.sync_engine, "begin", begin):
        found = await Loader(engine).fetch_all(PLANS[name])
    assert [shop.id for shop in found] == [3]


@pytest.mark.parametrize("name", PLANS)
async def test_a_tenant_set_for_one_session_holds_for_the_loader_on_it(
    shops: tuple[AsyncEngine, str], name: str
) -> None:
    engine, role = shops
    async with AsyncSession(engine, info={"tenant": 2}) as session:
        event.listen(session.sync_session, "after_begin", become_tenant(role))
        found = await Loader(session).fetch_all(PLANS[name])
        assert [shop.id for shop in found] == [3]
