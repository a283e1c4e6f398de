"""Statements that would have more columns or joins than a database allows."""

from typing import Any

import pytest
from oracle import fill
from sqlalchemy import ForeignKey, Integer
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


#: PostgreSQL allows 1,664 columns in a statement, and SQLite 2,000.
COLUMNS, WIDE = 420, 5

#: SQLite joins 64 tables at most, and MariaDB 61.
MANY = 66


def _class(name: str, **attributes: Any) -> Any:
    return type(name, (Base,), {"id": mapped_column(Integer, primary_key=True), **attributes})


Part = _class("Part", __tablename__="wide_parts")
Sheet = _class(
    "Sheet",
    __tablename__="wide_sheets",
    **{f"cell_{number}": mapped_column(Integer) for number in range(COLUMNS)},
)


def _references(target: Any, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in range(number):
        found[f"key_{each}"] = mapped_column(ForeignKey(target.id))
        found[f"to_{each}"] = relationship(target, foreign_keys=found[f"key_{each}"])
    return found


Machine = _class(
    "Machine",
    __tablename__="wide_machines",
    shop_id=mapped_column(ForeignKey("wide_shops.id"), index=True),
    **_references(Part, MANY),
)
Book = _class(
    "Book",
    __tablename__="wide_books",
    shop_id=mapped_column(ForeignKey("wide_shops.id"), index=True),
    **_references(Sheet, WIDE),
)


class Shop(Base):
    __tablename__ = "wide_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    machines = relationship(Machine, order_by=Machine.id)
    books = relationship(Book, order_by=Book.id)


def _to_ones(entity: Any, number: int) -> list[Any]:
    return [load(getattr(entity, f"to_{each}")) for each in range(number)]


@pytest.mark.not_on("mariadb", reason="a table has 64 keys at most")
async def test_too_many_joins_within_an_array(engine: AsyncEngine) -> None:
    """More to-ones than a statement may join stand below a collection: the collection takes its own statement."""
    plan = LoadPlan(Shop, load(Shop.machines, *_to_ones(Machine, MANY)))
    machines = [
        Machine(id=at, **{f"to_{number}": Part(id=100 * at + number) for number in range(MANY)}) for at in (1, 2)
    ]
    async with tables(engine, Base.metadata):
        await fill(engine, Shop(id=1, machines=machines))
        shop = await Loader(engine).fetch(plan, 1)
    for machine in shop.machines:
        found = [getattr(machine, f"to_{number}").id for number in range(MANY)]
        assert found == [100 * machine.id + number for number in range(MANY)]


@pytest.mark.not_on("mariadb", reason="a table has 64 keys at most")
@pytest.mark.parametrize("below", [False, True], ids=["roots", "array"])
async def test_more_columns_than_a_statement_may_have(engine: AsyncEngine, below: bool) -> None:
    """The to-ones whose columns no longer fit are select-in, in the statement of the roots and below a collection."""
    loads = _to_ones(Book, WIDE)
    async with tables(engine, Base.metadata):
        sheets = {f"to_{number}": Sheet(id=number + 1, cell_7=number) for number in range(WIDE)}
        await fill(engine, Shop(id=1, books=[Book(id=1, **sheets), Book(id=2)]))
        with recording(engine) as recorded:
            if below:
                books = (await Loader(engine).fetch(LoadPlan(Shop, load(Shop.books, *loads)), 1)).books
            else:
                books = await Loader(engine).fetch_many(LoadPlan(Book, *loads), [1, 2])
    assert [getattr(books[0], f"to_{number}").cell_7 for number in range(WIDE)] == [*range(WIDE)]
    assert [getattr(books[1], f"to_{number}") for number in range(WIDE)] == [None] * WIDE
    assert len(recorded.selects) == (4 if below else 3)  # three sheets are joined, two are not


@pytest.mark.not_on("mariadb", reason="a table has 64 keys at most")
@pytest.mark.parametrize("below", [False, True], ids=["roots", "collection"])
async def test_joins_that_the_plan_asks_for(engine: AsyncEngine, below: bool) -> None:
    """``strategy="joined"`` joins what the database allows. The rest is select-in, as ``explain`` says."""
    strategy: Any = "joined"
    loads = [load(getattr(Book, f"to_{each}"), strategy=strategy) for each in range(WIDE)]
    parts = [load(getattr(Machine, f"to_{each}"), strategy=strategy) for each in range(MANY)]
    async with tables(engine, Base.metadata):
        sheets = {f"to_{number}": Sheet(id=number + 1, cell_7=number) for number in range(WIDE)}
        machine = Machine(id=1, **{f"to_{number}": Part(id=number + 1) for number in range(MANY)})
        await fill(engine, Shop(id=1, books=[Book(id=1, **sheets), Book(id=2)], machines=[machine]))
        loader = Loader(engine)
        if below:
            plan = LoadPlan(Shop, load(Shop.books, *loads, strategy=strategy), load(Shop.machines, *parts))
            shop = (await loader.fetch_all(plan))[0]
            books, machines = shop.books, shop.machines
        else:
            plan = LoadPlan(Book, *loads)
            books = await loader.fetch_all(plan, order_by=Book.id)
            machines = await loader.fetch_all(LoadPlan(Machine, *parts))
            said = {edge.reason for edge in loader.explain(plan).edges if edge.strategy == "select-in"}
            assert said == {"the statement above would have more columns than the database allows"}
    assert [getattr(books[0], f"to_{number}").cell_7 for number in range(WIDE)] == [*range(WIDE)]
    assert [getattr(books[1], f"to_{number}") for number in range(WIDE)] == [None] * WIDE
    assert [getattr(machines[0], f"to_{number}").id for number in range(MANY)] == [*range(1, MANY + 1)]
