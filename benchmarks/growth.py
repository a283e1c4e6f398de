"""How time and memory grow with the number of roots: 1 to 100,000. ``python -m benchmarks growth``.

Orders of the shop with their customer, their four lines and the product of each. Timed in turn within one run:

- *options by hand*: ``select().options(...)`` built in the call, mapped objects;
- *loadplan, entities* and *loadplan, views*: ``loader.fetch`` for one root, ``loader.fetch_all`` with a limit for more;
- *asyncpg, one statement* and *asyncpg, a level*: SQL by hand, the same view objects built by hand.

The ways that bring views must bring equal ones, and those that bring entities equal values, before anything is timed
(up to 10,000 roots: of more it would not be memory for one graph, but for five).
The peak of memory is that of a process of its own for each way and number: the resident set at its highest, with the
interpreter and every import in it.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import attrs
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.cases.orders import CustomerRef, LineView, ProductRef
from benchmarks.measure import (
    Way,
    add_driver,
    columns,
    database,
    environment,
    peak,
    recorded,
    result_file,
    time_rounds,
)
from benchmarks.report import Result, Run, write_json
from benchmarks.shop import Line, Order, fill
from loadplan import Loader, LoadPlan, load

CASE = "growth: orders with customer, lines and products"
OPTIONS, ENTITIES, VIEWS = "options by hand", "loadplan, entities", "loadplan, views"
NESTED, LEVELS = "asyncpg, one statement", "asyncpg, a level"
WAYS = (OPTIONS, ENTITIES, VIEWS, NESTED, LEVELS)
ROOTS = (1, 10, 100, 1_000, 10_000, 100_000)
ONE = 7  # the root to ask for where one is asked for
ORDERS = 100_000
COMPARED = 10_000  # roots up to which all ways are held beside each other; more of them are fetched by the same code
SECONDS = 4.0  # that a round should not go beyond


@attrs.frozen
class OrderView:
    """An order."""

    id: int
    number: str
    customer: CustomerRef
    lines: list[LineView]


PLAN = LoadPlan(Order, load(Order.customer), load(Order.lines, load(Line.product)), name="orders")
VIEW = LoadPlan(Order, into=OrderView, name="order views")

ONE_STATEMENT = """
SELECT o.id, o.number, c.id, c.name,
    ARRAY(SELECT ROW(l.id, l.quantity, l.price, p.id, p.name)
          FROM shop_line l JOIN shop_product p ON p.id = l.product_id WHERE l.order_id = o.id ORDER BY l.id)
FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id {roots}"""
ROOT_STATEMENT = """
SELECT o.id, o.number, c.id, c.name FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id {roots}"""
LINE_STATEMENT = """
SELECT l.order_id, l.id, l.quantity, l.price, p.id, p.name
FROM shop_line l JOIN shop_product p ON p.id = l.product_id WHERE l.order_id = ANY($1) ORDER BY l.id"""


def narrowed(sql: str, roots: int) -> tuple[str, int]:
    """Return a statement by hand for so many roots, and its parameter."""
    if roots == 1:
        return sql.format(roots="WHERE o.id = $1"), ONE
    return sql.format(roots="ORDER BY o.id LIMIT $1"), roots


async def by_options(engine: AsyncEngine, roots: int) -> Sequence[Order]:
    """Fetch with SQLAlchemy alone."""
    statement = select(Order).options(joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.product))
    statement = statement.where(Order.id == ONE) if roots == 1 else statement.order_by(Order.id).limit(roots)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        return (await session.scalars(statement)).all()


async def by_plan(loader: Loader, plan: LoadPlan[Any], roots: int) -> Sequence[Any]:
    """Fetch with loadplan."""
    return [await loader.fetch(plan, ONE)] if roots == 1 else await loader.fetch_all(plan, None, Order.id, roots)


async def nested(pool: Any, roots: int) -> Sequence[OrderView]:
    """Fetch with asyncpg, rows within rows."""
    sql, parameter = narrowed(ONE_STATEMENT, roots)
    async with pool.acquire() as connection:
        rows = await connection.fetch(sql, parameter)
    return [
        OrderView(
            order,
            number,
            CustomerRef(customer, name),
            [LineView(id_, quantity, price, ProductRef(*product)) for id_, quantity, price, *product in lines],
        )
        for order, number, customer, name, lines in rows
    ]


async def by_level(pool: Any, roots: int) -> Sequence[OrderView]:
    """Fetch with asyncpg, a statement for the orders and one for the lines."""
    sql, parameter = narrowed(ROOT_STATEMENT, roots)
    lines: defaultdict[int, list[LineView]] = defaultdict(list)
    async with pool.acquire() as connection:
        rows = await connection.fetch(sql, parameter)
        for order, id_, quantity, price, product, name in await connection.fetch(
            LINE_STATEMENT, [row[0] for row in rows]
        ):
            lines[order].append(LineView(id_, quantity, price, ProductRef(product, name)))
    return [
        OrderView(order, number, CustomerRef(customer, name), lines[order]) for order, number, customer, name in rows
    ]


def way_to(name: str, roots: int, engine: AsyncEngine, pool: Any) -> Way:
    """Return the way of that name."""
    loader = Loader(engine)
    ways: dict[str, Way] = {
        OPTIONS: partial(by_options, engine, roots),
        ENTITIES: partial(by_plan, loader, PLAN, roots),
        VIEWS: partial(by_plan, loader, VIEW, roots),
        NESTED: partial(nested, pool, roots),
        LEVELS: partial(by_level, pool, roots),
    }
    return ways[name]


async def make_pool(engine: AsyncEngine) -> Any:
    """Return a pool of asyncpg with one connection, like the one that the engine comes to have."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return await asyncpg.create_pool(url, min_size=1)


def values(orders: Sequence[Order]) -> list[Any]:
    """Return what entities hold, as values to compare."""
    return [
        (columns(each), columns(each.customer), [(columns(line), columns(line.product)) for line in each.lines])
        for each in orders
    ]


async def compare(ways: dict[str, Way], roots: int) -> None:
    """Check that all ways bring the same."""
    expected = await ways[NESTED]()
    assert len(expected) == roots, "there are too few orders"
    for name in (VIEWS, LEVELS):
        assert await ways[name]() == expected, f"{name!r} brings other views"
    entities = values(await ways[OPTIONS]())
    assert values(await ways[ENTITIES]()) == entities, "loadplan brings other entities"
    assert [each[0]["id"] for each in entities] == [each.id for each in expected]


async def memory_of(engine: AsyncEngine, way: str, roots: int) -> float:
    """Return the most megabytes that a process holds which fetches once, in a way."""
    url = engine.url.render_as_string(hide_password=False)
    arguments = ("-m", "benchmarks.growth", "--memory", way, "--url", url, "--roots", str(roots))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return float(output)


async def measure_memory(url: str, way: str, roots: int) -> None:
    """Hold so many roots, in the process that this function is alone in, and print its peak."""
    engine = create_async_engine(url)
    pool = await make_pool(engine)
    held = await way_to(way, roots, engine, pool)()
    assert len(held) == roots
    await pool.close()
    await engine.dispose()
    print(peak())


async def run_size(engine: AsyncEngine, pool: Any, roots: int, rounds: int, calls: int) -> list[Result]:
    """Return the results of all ways to so many roots."""
    ways = {name: way_to(name, roots, engine, pool) for name in WAYS}
    if roots <= COMPARED:
        await compare(ways, roots)
    each = list(ways.values())
    seconds = sum((await time_rounds(each, 1, 1))[0])
    calls = max(1, min(calls, int(SECONDS / seconds)))
    await time_rounds(each, 1, min(calls, 6))  # PostgreSQL plans a prepared statement anew five times
    timed = zip(*await time_rounds(each, rounds, calls), strict=True)
    found = []
    for name, medians in zip(WAYS, timed, strict=True):
        megabytes = await memory_of(engine, name, roots)
        sent = None
        if name in {OPTIONS, ENTITIES, VIEWS}:
            with recorded(engine) as statements:
                await ways[name]()
            sent = len(statements)
        found.append(Result(CASE, name, roots, medians, sent, megabytes=megabytes))
    return found


async def measure(engine: AsyncEngine, roots: Sequence[int], orders: int, rounds: int, calls: int) -> list[Result]:
    """Return the results of all numbers of roots, and print a line for each as it comes."""
    await fill(engine, max(*roots, orders))
    pool = await make_pool(engine)
    results: list[Result] = []
    for number in roots:
        found = await run_size(engine, pool, number, rounds, calls)
        print(line(found), flush=True)
        results += found
    await pool.close()
    return results


def line(results: Sequence[Result]) -> str:
    """Return the results of one number of roots as a line."""
    cells = [f"{each.rival} {each.milliseconds:,.2f} ms, {each.megabytes:,.0f} MB" for each in results]
    return f"{results[0].size:>7,} roots: " + "; ".join(cells)


async def main(roots: Sequence[int], orders: int, rounds: int, calls: int, driver: str, path: Path) -> None:
    """Measure, print and write down."""
    async with database("benchmarks", driver) as engine:
        described = await environment(engine)
        print(described)
        print(f"{rounds} rounds of up to {calls} calls a way, in turn\n")
        write_json(Run({"measured on": described}, await measure(engine, roots, orders, rounds, calls)), path)
        print(f"\n{path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=int, nargs="+", default=ROOTS, help="numbers of roots")
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure (default: 5)")
    parser.add_argument("--calls", type=int, default=50, help="calls of each way in a round, fewer where slow")
    parser.add_argument("--to", type=Path, help="file of the results")
    add_driver(parser)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    for hidden in ("--memory", "--url"):  # of the processes that it starts
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    to = options.to or result_file("growth", options.driver)
    if options.memory:
        asyncio.run(measure_memory(options.url, options.memory, options.roots[0]))
    elif options.smoke:
        asyncio.run(main((1, 100), 100, 1, 2, options.driver, to))
    else:
        asyncio.run(main(options.roots, ORDERS, options.rounds, options.calls, options.driver, to))
