"""A long walk in bounded memory: ``loader.stream`` beside a stream by hand. ``python -m benchmarks stream``.

Whole graphs (an order, its lines, its invoice) of 10,000, 100,000 and 1,000,000 orders. By hand that is
``AsyncSession.stream_scalars`` with ``yield_per``, ``joinedload`` and ``selectinload``, the same batch size.

Each walk has a process of its own, so that the peaks of memory can be compared: the peak of the resident set, of which
the Python interpreter with SQLAlchemy is the floor. The two ways take turns; the figures to keep are the ratio of
orders a second, and that the peak does not grow.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator

from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship, selectinload

from benchmarks.measure import add_driver, database, ensure_filled, environment, peak, recorded, spread
from loadplan import Loader, LoadPlan, load

LINES = 2  # of an order
WAYS = ("by hand", "loadplan")


class Base(DeclarativeBase):
    """Of these tables."""


class Order(Base):
    """A root with a collection and a one-to-one."""

    __tablename__ = "bench_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    lines: Mapped[list["Line"]] = relationship(order_by="Line.id")
    invoice: Mapped["Invoice | None"] = relationship()


class Line(Base):
    """One of an order's lines."""

    __tablename__ = "bench_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), index=True)
    article: Mapped[str]
    quantity: Mapped[int]


class Invoice(Base):
    """The bill of an order."""

    __tablename__ = "bench_invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), unique=True)
    cents: Mapped[int]


PLAN = LoadPlan(Order, load(Order.lines), load(Order.invoice))


async def fill(engine: AsyncEngine, orders: int) -> None:
    """Make the tables and their rows, unless they are there."""
    inserts = [
        f"INSERT INTO bench_order SELECT i, 'customer ' || i % 1000 FROM generate_series(1, {orders}) i",
        f"INSERT INTO bench_line SELECT i, (i - 1) / {LINES} + 1, 'article ' || i % 500, i % 9 + 1"
        f" FROM generate_series(1, {orders * LINES}) i",
        f"INSERT INTO bench_invoice SELECT i, i, i % 100000 FROM generate_series(1, {orders}) i",
    ]
    await ensure_filled(engine, Base.metadata, "bench_order", f"{orders} orders", inserts)


def values(order: Order) -> object:
    """Return what the graph of an order holds."""
    return (
        order.id,
        order.customer,
        [(line.id, line.order_id, line.article, line.quantity) for line in order.lines],
        None if order.invoice is None else (order.invoice.id, order.invoice.order_id, order.invoice.cents),
    )


async def by_hand(engine: AsyncEngine, orders: int, batch: int) -> AsyncIterator[Order]:
    """Stream with SQLAlchemy alone."""
    statement = select(Order).where(Order.id <= orders).options(joinedload(Order.invoice), selectinload(Order.lines))
    async with AsyncSession(engine) as session:
        result = await session.stream_scalars(statement, execution_options={"yield_per": batch})
        async for order in result:
            yield order


def by_plan(engine: AsyncEngine, orders: int, batch: int) -> AsyncIterator[Order]:
    """Stream with loadplan."""
    return Loader(engine).stream(PLAN, Order.id <= orders, batch_size=batch)


def walk(way: str, engine: AsyncEngine, orders: int, batch: int) -> AsyncIterator[Order]:
    """Return the stream of one way."""
    return (by_plan if way == "loadplan" else by_hand)(engine, orders, batch)


async def measure_walk(url: str, way: str, orders: int, batch: int) -> None:
    """Walk once, in the process that this function is alone in, and print what it took as JSON."""
    engine = create_async_engine(url)
    async for _ in walk(way, engine, batch, batch):  # one batch, so that the floor has every import and cache in it
        pass
    floor, count, lines, cents = peak(), 0, 0, 0
    started = time.perf_counter()
    async for order in walk(way, engine, orders, batch):
        count += 1
        lines += len(order.lines)
        cents += order.invoice.cents if order.invoice else 0
    seconds = time.perf_counter() - started
    await engine.dispose()
    print(json.dumps({"seconds": seconds, "floor": floor, "peak": peak(), "found": [count, lines, cents]}))


async def in_process(engine: AsyncEngine, way: str, orders: int, batch: int) -> dict[str, float]:
    """Run a walk in a process of its own."""
    url = engine.url.render_as_string(hide_password=False)
    arguments = ("-m", "benchmarks.stream", "--walk", way, "--url", url, "--orders", str(orders), "--batch", str(batch))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    found: dict[str, float] = json.loads(output)
    return found


async def main(sizes: list[int], batch: int, rounds: int, driver: str) -> None:
    """Print what is compared with what, then a line a size and way."""
    async with database("benchmarks", driver) as engine:
        await fill(engine, max(sizes))
        graphs = []
        for way in WAYS:
            with recorded(engine) as sent:
                graphs.append([values(order) async for order in walk(way, engine, 3 * batch, batch)])
            print(f"{way}: {len(sent)} statements for {3 * batch:,} orders, {batch} a batch")
        assert graphs[0] == graphs[1], "the two ways bring different graphs"
        print(await environment(engine))
        print(
            f"\n{'orders':>9}  {'way':<8} {'orders/s':>8}  {'floor MB':>8} {'peak MB':>7}   speed, loadplan / by hand"
        )
        for orders in sizes:
            turns = 1 if orders > 100_000 else rounds
            runs = [[await in_process(engine, way, orders, batch) for way in WAYS] for _ in range(turns)]
            assert all(hand["found"] == ours["found"] for hand, ours in runs), "the walks find different graphs"
            for place, way in enumerate(WAYS):
                mine = [each[place] for each in runs]
                speed = orders / statistics.median(each["seconds"] for each in mine)
                floor, top = (max(each[key] for each in mine) for key in ("floor", "peak"))
                ratios = spread([hand["seconds"] / ours["seconds"] for hand, ours in runs]) if place else ""
                print(f"{orders:>9,}  {way:<8} {speed:>8,.0f}  {floor:>8.1f} {top:>7.1f}   {ratios}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="orders a walk")
    parser.add_argument("--batch", type=int, default=500, help="orders a batch (default: 500)")
    parser.add_argument("--rounds", type=int, default=3, help="walks a way up to 100,000 orders (default: 3)")
    add_driver(parser)
    for hidden in ("--walk", "--url", "--orders"):  # of the processes that it starts
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk:
        asyncio.run(measure_walk(options.url, options.walk, int(options.orders), options.batch))
    else:
        asyncio.run(main(options.sizes, options.batch, options.rounds, options.driver))
