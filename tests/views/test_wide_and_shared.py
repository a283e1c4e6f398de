"""Wide rows that many roots may share come by key; a column that is also the key of a parent is selected once."""

from typing import Any

import attrs
import pytest
from sqlalchemy import ForeignKey, LargeBinary, String, Text, bindparam, insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from loadplan.running.plans import compile_plan
from support import recording, tables

POSTGRES = create_async_engine("postgresql+asyncpg://")
SQLITE = create_async_engine("sqlite+aiosqlite://")


class Base(DeclarativeBase):
    pass


class Carrier(Base):
    __tablename__ = "vws_carriers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String)
    terms: Mapped[str] = mapped_column(Text)
    logo: Mapped[bytes | None] = mapped_column(LargeBinary)
    license: Mapped["License | None"] = relationship(back_populates="carrier")


class License(Base):
    __tablename__ = "vws_licenses"
    id: Mapped[int] = mapped_column(primary_key=True)
    carrier_id: Mapped[int] = mapped_column(ForeignKey(Carrier.id), unique=True)
    text: Mapped[str] = mapped_column(Text)
    small_print: Mapped[str] = mapped_column(Text)
    carrier: Mapped[Carrier] = relationship(back_populates="license")


class Order(Base):
    __tablename__ = "vws_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    carrier_id: Mapped[int | None] = mapped_column(ForeignKey(Carrier.id), index=True)
    carrier: Mapped[Carrier | None] = relationship()
    lines: Mapped[list["Line"]] = relationship(order_by="Line.id")


class Line(Base):
    __tablename__ = "vws_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), index=True)


@attrs.frozen
class CarrierRef:
    name: str


@attrs.frozen
class CarrierCard:
    name: str
    terms: str
    logo: bytes | None


@attrs.frozen
class OrderWithRef:
    carrier: CarrierRef | None


@attrs.frozen
class OrderWithCard:
    id: int
    carrier: CarrierCard | None


#: Three that share a carrier, and one without.
ORDERS = [{"n": number, "c": 1 if number < 3 else None} for number in range(4)]

ENTITIES = LoadPlan(Order, load(Order.carrier))
NARROW = LoadPlan(Order, load(Order.carrier, only=[Carrier.name, Carrier.terms]))
JOINED = LoadPlan(Order, load(Order.carrier, strategy="joined"))
ONE_TO_ONE = LoadPlan(Carrier, load(Carrier.license))


@pytest.mark.parametrize(
    ("plan", "bind", "statements"),
    [
        # of 1, 100, 101 and any number of roots
        (ENTITIES, POSTGRES, [1, 1, 2, 2]),
        (LoadPlan(Order, into=OrderWithCard), POSTGRES, [1, 1, 2, 2]),
        (LoadPlan(Order, into=OrderWithRef), POSTGRES, [1, 1, 1, 1]),
        (NARROW, POSTGRES, [1, 1, 1, 1]),
        (JOINED, POSTGRES, [1, 1, 1, 1]),
        (ONE_TO_ONE, POSTGRES, [1, 1, 1, 1]),  # nobody shares one
        (ENTITIES, SQLITE, [1, 1, 1, 1]),
    ],
)
def test_wide_rows_come_by_key_where_many_may_share_them(
    plan: LoadPlan[Any], bind: AsyncEngine, statements: list[int]
) -> None:
    loader = Loader(bind)
    assert [loader.explain(plan, roots=roots).statements for roots in (1, 100, 101, None)] == statements


def test_a_bound_on_rows_counts_as_before() -> None:
    assert Loader(POSTGRES, max_rows=10).explain(ENTITIES).statements == 1


async def test_shared_rows_are_one_object(postgres: AsyncEngine) -> None:
    async with tables(postgres, Base.metadata):
        async with postgres.begin() as connection:
            await connection.execute(insert(Carrier).values(id=1, name="a", terms="t"))
            await connection.execute(insert(Order).values(id=bindparam("n"), carrier_id=bindparam("c")), ORDERS)
        with recording(postgres) as statements:
            orders = await Loader(postgres).fetch_all(ENTITIES, order_by=Order.id)
        assert len(statements.selects) == 2
        assert [each.carrier and each.carrier.id for each in orders] == [1, 1, 1, None]
        assert len({id(each.carrier) for each in orders}) == 2
        cards = await Loader(postgres).fetch_all(LoadPlan(Order, into=OrderWithCard), order_by=Order.id)
        assert cards[0].carrier == CarrierCard("a", "t", None)
        assert cards[3].carrier is None


def test_a_key_that_is_a_column_of_the_row_is_selected_once() -> None:
    dialect = postgresql.asyncpg.dialect()
    compiled = compile_plan(LoadPlan(Order, load(Order.lines)), dialect).bringing(None)
    assert [column.name for column in compiled.later[0].select.selected_columns] == ["id", "order_id"]
    without = compile_plan(LoadPlan(Order, load(Order.lines, only=[Line.id])), dialect).bringing(None)
    names = [column.name for column in without.later[0].select.selected_columns]
    assert sorted(names) == ["id", "order_id"]
