"""MariaDB through both of its drivers, with the collation that it takes by itself: text is equal without case."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import tables


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "mdb_parents"
    name: Mapped[str] = mapped_column(primary_key=True)
    rank: Mapped[int | None]
    children: Mapped[list["Child"]] = relationship(order_by="Child.id")


class Child(Base):
    __tablename__ = "mdb_children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent: Mapped[str] = mapped_column(ForeignKey("mdb_parents.name"), index=True)


NAMES = [f"name {number}" for number in range(10)]
PLAN = LoadPlan(Parent, load(Parent.children))


@pytest.fixture(params=["mariadb+aiomysql", "mariadb+asyncmy", "mysql+aiomysql"])
async def family(request: pytest.FixtureRequest, mariadb_url: URL) -> AsyncIterator[AsyncEngine]:
    """Ten parents with two children each; every third has no rank."""
    engine = create_async_engine(mariadb_url.set(drivername=request.param))
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            for number, name in enumerate(NAMES):
                children = [Child(id=number * 10 + each) for each in (1, 2)]
                session.add(Parent(name=name, rank=number if number % 3 else None, children=children))
            await session.commit()
        yield engine
    await engine.dispose()


@pytest.mark.parametrize("size", [1, 2, 5, 20])
async def test_a_stream_goes_on_after_its_first_batch(family: AsyncEngine, size: int) -> None:
    found = [each async for each in Loader(family).stream(PLAN, order_by=Parent.name, batch_size=size)]
    assert [each.name for each in found] == NAMES
    assert all(len(each.children) == 2 for each in found)


async def test_many_ids_are_found_as_one_is(family: AsyncEngine) -> None:
    loader = Loader(family)
    assert (await loader.fetch(PLAN, "NAME 3")).name == "name 3"
    many = await loader.fetch_many(PLAN, ["NAME 3", "name 3", "Name 4", "none"], missing="skip")
    assert [each.name for each in many] == ["name 3", "name 3", "name 4"]


async def test_pages_have_nulls_where_they_were_asked_for(family: AsyncEngine) -> None:
    loader = Loader(family)
    for order, expected in (
        (Parent.rank.nulls_last(), [1, 2, 4, 5, 7, 8, None, None, None, None]),
        (Parent.rank.desc().nulls_first(), [None, None, None, None, 8, 7, 5, 4, 2, 1]),
    ):
        found, after = [], None
        while True:
            page = await loader.fetch_page(PLAN, order, 3, after=after)
            found += [each.rank for each in page.items]
            if (after := page.next) is None:
                break
        assert found == expected
