"""``analyze``: what ran, what it brought, and the index that is missing."""

from collections.abc import AsyncIterator

import attrs
import pytest
from sqlalchemy import ForeignKey, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Analysis, IdentityError, Loader, LoadPlan, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Shop(Base):
    __tablename__ = "anl_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey("anl_cities.id"))
    city: Mapped["City"] = relationship()
    orders: Mapped[list["Order"]] = relationship(order_by="Order.id")


class City(Base):
    __tablename__ = "anl_cities"
    id: Mapped[int] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "anl_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("anl_shops.id"))


@attrs.frozen
class OrderId:
    id: int


@attrs.frozen
class ShopOrders:
    id: int
    orders: list[OrderId]


PAGE = LoadPlan(Shop, load(Shop.city), load(Shop.orders, strategy="selectin"), name="shop page")
VIEW = LoadPlan(Shop, into=ShopOrders)


@pytest.fixture
async def shops(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Shops 1 to 5,000 with three orders each, and no index on the orders' key."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            await session.execute(insert(City), [{"id": 1}])
            await session.execute(insert(Shop), [{"id": number, "city_id": 1} for number in range(1, 5001)])
            await session.execute(insert(Order), [{"shop_id": number % 5000 + 1} for number in range(15000)])
            await session.commit()
        if engine.dialect.name == "postgresql":
            async with engine.connect() as connection:
                alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await alone.execute(text("ANALYZE anl_orders"))
        yield engine


async def test_it_says_what_ran_and_what_it_brought(shops: AsyncEngine) -> None:
    loader = Loader(shops)
    analysis = await loader.analyze(PAGE, 7)
    assert [(each.edge, each.rows) for each in analysis.statements] == [("Shop", 1), ("Shop.orders", 3)]
    assert analysis.rows == 4
    assert all(each.milliseconds > 0 for each in analysis.statements)
    assert analysis.milliseconds == sum(each.milliseconds for each in analysis.statements)


@pytest.mark.parametrize("plan", [PAGE, VIEW], ids=["entities", "views"])
async def test_it_runs_the_statements_that_explain_foretells(shops: AsyncEngine, plan: LoadPlan[Shop]) -> None:
    loader = Loader(shops)
    with recording(shops) as sent:
        await loader.fetch(plan, 7)
    analysis = await loader.analyze(plan, 7)
    assert [each.sql for each in analysis.statements] == list(sent)
    assert [each.edge for each in analysis.statements] == [each.edge for each in loader.explain(plan).sql]


@pytest.mark.parametrize("plan", [PAGE, VIEW], ids=["entities", "views"])
async def test_the_index_that_it_names_mends_the_scan(shops: AsyncEngine, plan: LoadPlan[Shop]) -> None:
    if shops.dialect.name != "postgresql":
        pytest.skip("SQLite tells no rows of a scan, and MariaDB has an index on every foreign key")
    loader = Loader(shops)
    scans = [scan for each in (await loader.analyze(plan, 7)).statements for scan in each.scans]
    assert [(scan.table, scan.rows) for scan in scans] == [("anl_orders", 15000)]
    assert scans[0].index == "CREATE INDEX ON anl_orders (shop_id);"
    async with shops.begin() as connection:
        await connection.execute(text(scans[0].index))
    after = await loader.analyze(plan, 7)
    assert [each.scans for each in after.statements] == [() for _ in after.statements]


async def test_its_text_is_for_people(shops: AsyncEngine) -> None:
    analysis: Analysis = await Loader(shops).analyze(PAGE, 7)
    head, *lines = str(analysis).splitlines()
    assert head.startswith("shop page: 2 statements, 4 rows, ")
    assert lines[0].startswith("1. Shop: 1 rows")
    if shops.dialect.name == "postgresql":
        assert lines[-2:] == [
            "   reads all of 'anl_orders' (15,000 rows)",
            "   hint: CREATE INDEX ON anl_orders (shop_id);",
        ]


async def test_the_databases_own_plan_is_there(shops: AsyncEngine) -> None:
    plan = (await Loader(shops).analyze(PAGE, 7)).statements[1].plan
    if shops.dialect.name == "mariadb":
        assert plan["query_block"]["r_loops"] == 1
    else:
        assert plan["Plan"]["Actual Rows"] == 3 if shops.dialect.name == "postgresql" else plan == ["SCAN anl_orders"]


async def test_a_wrong_id_runs_nothing(shops: AsyncEngine) -> None:
    with recording(shops) as sent, pytest.raises(IdentityError):
        await Loader(shops).analyze(PAGE, "seven")
    assert sent == []
