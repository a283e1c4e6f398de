"""What results weigh in memory: mapped objects, entities, views and plain class instances. Part of ``compile_cost.py``.

It is what tracemalloc counts of so many objects held, for each holder in a process of its own: the objects, what they
hold and what holds them, in bytes an object. All holders hold the same values, in all columns.
"""

import argparse
import asyncio
import datetime as dt
import gc
import sys
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.report import Result
from benchmarks.shop import Customer, Line, Order
from loadplan import Loader, LoadPlan, load

WEIGHT = "bytes of "
KINDS = ("a customer, five columns", "an order with customer and lines")
PLAIN, MAPPED, ENTITY, VIEW = "class instance, by hand", "SQLAlchemy object", "loadplan entity", "loadplan view"
HOLDERS = (PLAIN, MAPPED, ENTITY, VIEW)


@attrs.frozen
class CustomerView:
    """A customer: all columns."""

    id: int
    address_id: int
    name: str
    email: str
    joined_at: dt.datetime


@attrs.frozen
class WholeLine:
    """A line: all columns."""

    id: int
    order_id: int
    product_id: int
    quantity: int
    price: Decimal


@attrs.frozen
class WholeOrder:
    """An order: all columns, so that its weight can be held beside that of an entity."""

    id: int
    customer_id: int
    carrier_id: int
    number: str
    status: str
    placed_at: dt.datetime
    total: Decimal
    customer: CustomerView
    lines: list[WholeLine]


async def hold(engine: AsyncEngine, kind: str, holder: str, number: int) -> Sequence[Any]:
    """Return so many objects of a kind."""
    flat = kind == KINDS[0]
    entity: Any = Customer if flat else Order
    loads: tuple[Any, ...] = () if flat else (load(Order.customer), load(Order.lines))
    if holder == ENTITY:
        return await Loader(engine).fetch_all(LoadPlan(entity, *loads), None, entity.id, number)
    if holder == VIEW:
        view: Any = CustomerView if flat else WholeOrder
        return await Loader(engine).fetch_all(LoadPlan(entity, into=view), None, entity.id, number)
    statement = select(entity).order_by(entity.id).limit(number)
    if holder == MAPPED:
        if not flat:
            statement = statement.options(joinedload(Order.customer), selectinload(Order.lines))
        async with AsyncSession(engine, expire_on_commit=False) as session:
            return (await session.scalars(statement)).all()
    return await by_hand(engine, flat, number)


async def by_hand(engine: AsyncEngine, flat: bool, number: int) -> list[Any]:
    """Return instances of the view classes, built of rows."""
    customers, orders, lines = (each.__table__ for each in (Customer, Order, Line))
    async with engine.connect() as connection:
        if flat:
            rows = await read(connection, select(customers).order_by(customers.c.id).limit(number))
            return [CustomerView(*row) for row in rows]
        joined = select(orders, customers).join(customers, customers.c.id == orders.c.customer_id)
        found = [whole_order(row) for row in await read(connection, joined.order_by(orders.c.id).limit(number))]
        places = {each.id: each for each in found}
        for row in await read(connection, select(lines).where(lines.c.order_id <= number).order_by(lines.c.id)):
            line = WholeLine(*row)
            places[line.order_id].lines.append(line)
    return found


def whole_order(row: tuple[Any, ...]) -> WholeOrder:
    """Return the order of a row, without its lines."""
    values = [*row[:7], CustomerView(*row[7:]), []]
    return WholeOrder(*values)


async def read(connection: AsyncConnection, statement: Select[Any]) -> list[tuple[Any, ...]]:
    """Return rows as plain tuples."""
    return [tuple(row) for row in await connection.execute(statement)]


async def weigh(url: str, kind: str, holder: str, number: int) -> None:
    """Hold so many objects, in the process that this function is alone in, and print what they take."""
    engine = create_async_engine(url)
    await hold(engine, kind, holder, number)  # every import and cache, such as what the driver keeps of freed records
    gc.collect()
    tracemalloc.start()
    held = await hold(engine, kind, holder, number)
    await asyncio.sleep(0)  # the event loop lets go of the driver's last answer with its next turn alone
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == number
    await engine.dispose()
    print(taken)


async def weight_of(engine: AsyncEngine, kind: str, holder: str, number: int) -> Result:
    """Return what so many objects take in a process of their own."""
    url = engine.url.render_as_string(hide_password=False)
    arguments = ("-m", "benchmarks.weights", kind, holder, url, str(number))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return Result(WEIGHT + kind, holder, number, megabytes=int(output) / 1e6)


def bytes_each(result: Result) -> float:
    """Return the bytes of one object."""
    assert result.megabytes is not None
    return result.megabytes * 1e6 / result.size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("holder", choices=HOLDERS)
    parser.add_argument("url", help="of a database that holds the shop")
    parser.add_argument("objects", type=int)
    options = parser.parse_args()
    asyncio.run(weigh(options.url, options.kind, options.holder, options.objects))
