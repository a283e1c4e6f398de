"""What a plan costs before it fetches, and what its results weigh. ``uv run python benchmarks/compile_cost.py``.

A plan of the shop: an order with its customer, its lines, the product of each and its category, by key. Each time anew,
on a new engine with empty caches, its connection open already:

- *declare*: the plan is written down, and checked against the mapping as it is; for options, they are built;
- *compile*: statements are made of it (loadplan alone: SQLAlchemy does that within the first fetch);
- *first fetch*: SQLAlchemy makes SQL of the statements, the server prepares them, the graph comes;
- *second fetch*: all of that is remembered. Options are built once more, as a repository does with every call.

Memory is what tracemalloc counts of so many objects held, for each way in a process of its own: the objects, what they
hold and what holds them, in bytes an object. All ways hold the same values.
"""

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from measure import database, environment
from report import HERE, Result, Run, write_json
from shop import Customer, Line, Order, Product, fill
from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from loadplan import Loader, LoadPlan, load
from loadplan.plans import compile_plan
from loadplan.roots import by_id

COLD = "cost of a plan: "
STEPS = ("declare", "compile", "first fetch", "second fetch")
OPTIONS, ENTITIES, VIEWS = "options by hand", "loadplan, entities", "loadplan, views"
WEIGHT = "bytes of "
KINDS = ("a customer, five columns", "an order with customer and lines")
PLAIN, MAPPED, ENTITY, VIEW = "class instance, by hand", "SQLAlchemy object", "loadplan entity", "loadplan view"
HOLDERS = (PLAIN, MAPPED, ENTITY, VIEW)
SQLALCHEMY = "SQLAlchemy does that within the first fetch"
ORDERS = 100_000
ONE = 7


@attrs.frozen
class CategoryRef:
    """A category."""

    id: int
    name: str


@attrs.frozen
class ProductRef:
    """A product."""

    id: int
    name: str
    category: CategoryRef


@attrs.frozen
class LineView:
    """A line."""

    id: int
    quantity: int
    price: Decimal
    product: ProductRef


@attrs.frozen
class CustomerView:
    """Who ordered: all columns."""

    id: int
    address_id: int
    name: str
    email: str
    joined_at: Any


@attrs.frozen
class CustomerRef:
    """Who ordered: what a list shows."""

    id: int
    name: str


@attrs.frozen
class OrderView:
    """An order."""

    id: int
    number: str
    customer: CustomerRef
    lines: list[LineView]


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
    placed_at: Any
    total: Decimal
    customer: CustomerView
    lines: list[WholeLine]


# --- before the fetch -----------------------------------------------------------------------------------------------


def entity_plan() -> LoadPlan[Any]:
    """Return a plan that nobody has seen yet."""
    lines = load(Order.lines, load(Line.product, load(Product.category)))
    return LoadPlan(Order, load(Order.customer), lines, name="order")


def view_plan() -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Order, into=OrderView, name="order view")


def by_options() -> Select[Any]:
    """Return the statement that a repository writes."""
    return (
        select(Order)
        .options(
            joinedload(Order.customer),
            selectinload(Order.lines).joinedload(Line.product).joinedload(Product.category),
        )
        .where(Order.id == ONE)
    )


async def options_steps(engine: AsyncEngine) -> list[float]:
    """Return the moments between the steps of SQLAlchemy alone."""
    moments = [time.perf_counter()]
    statement = by_options()
    moments += [time.perf_counter()] * 2
    for again in (False, True):
        if again:
            statement = by_options()
        async with AsyncSession(engine, expire_on_commit=False) as session:
            (await session.scalars(statement)).one()
        moments.append(time.perf_counter())
    return moments


async def plan_steps(engine: AsyncEngine, declare: Callable[[], LoadPlan[Any]]) -> list[float]:
    """Return the moments between the steps of loadplan."""
    loader = Loader(engine)
    moments = [time.perf_counter()]
    plan = declare()
    moments.append(time.perf_counter())
    by_id(compile_plan(plan, engine.sync_engine.dialect).bringing(1))
    moments.append(time.perf_counter())
    for _ in range(2):
        await loader.fetch(plan, ONE)
        moments.append(time.perf_counter())
    return moments


WAYS: dict[str, Callable[[AsyncEngine], Awaitable[list[float]]]] = {
    OPTIONS: options_steps,
    ENTITIES: partial(plan_steps, declare=entity_plan),
    VIEWS: partial(plan_steps, declare=view_plan),
}


async def once(engine: AsyncEngine, name: str) -> list[float]:
    """Return the seconds of each step of a way, on an engine of its own whose connection is open."""
    fresh = create_async_engine(engine.url)
    try:
        async with fresh.connect() as connection:
            await connection.execute(text("SELECT 1"))
        gc.collect()
        moments = await WAYS[name](fresh)
    finally:
        await fresh.dispose()
    return [later - earlier for earlier, later in pairwise(moments)]


async def measure_steps(engine: AsyncEngine, rounds: int) -> list[Result]:
    """Return what each step takes, the ways in turn."""
    taken: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for name in WAYS:
        await once(engine, name)  # every import, and what the mappers remember
    for _ in range(rounds):
        for name in WAYS:
            taken[name].append(await once(engine, name))
    return [
        Result(COLD + step, name, 1, column, note=SQLALCHEMY if (name, step) == (OPTIONS, "compile") else "")
        for place, step in enumerate(STEPS)
        for name in WAYS
        for column in [[steps[place] for steps in taken[name]]]
    ]


# --- what results weigh ---------------------------------------------------------------------------------------------


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
            rows = await connection.execute(select(customers).order_by(customers.c.id).limit(number))
            return [CustomerView(*row) for row in rows]
        joined = select(orders, customers).join(customers, customers.c.id == orders.c.customer_id)
        found = [
            WholeOrder(*row[:7], CustomerView(*row[7:]), [])
            for row in await connection.execute(joined.order_by(orders.c.id).limit(number))
        ]
        places = {each.id: each for each in found}
        for row in await connection.execute(select(lines).where(lines.c.order_id <= number).order_by(lines.c.id)):
            line = WholeLine(*row)
            places[line.order_id].lines.append(line)
    return found


async def weigh(url: str, kind: str, holder: str, number: int) -> None:
    """Hold so many objects, in the process that this function is alone in, and print what they take."""
    engine = create_async_engine(url)
    await hold(engine, kind, holder, 10)  # every import and cache
    gc.collect()
    tracemalloc.start()
    held = await hold(engine, kind, holder, number)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == number
    await engine.dispose()
    print(taken)


async def weight_of(engine: AsyncEngine, kind: str, holder: str, number: int) -> Result:
    """Return what so many objects take in a process of their own."""
    url = engine.url.render_as_string(hide_password=False)
    arguments = (__file__, "--weigh", kind, "--holder", holder, "--url", url, "--objects", str(number))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return Result(WEIGHT + kind, holder, number, unit="objects", megabytes=int(output) / 1e6)


def bytes_each(result: Result) -> float:
    """Return the bytes of one object."""
    assert result.megabytes is not None
    return result.megabytes * 1e6 / result.size


async def measure(engine: AsyncEngine, rounds: int, objects: int) -> list[Result]:
    """Return all results, and print a line for each."""
    await fill(engine, max(objects * 5, ORDERS))
    steps = await measure_steps(engine, rounds)
    for each in steps:
        print(f"{each.case:<30} {each.rival:<20} {each.milliseconds:>8.2f} ms", flush=True)
    weights = [await weight_of(engine, kind, holder, objects) for kind in KINDS for holder in HOLDERS]
    for each in weights:
        print(f"{each.case:<44} {each.rival:<24} {bytes_each(each):>8,.0f}", flush=True)
    return [*steps, *weights]


async def main(rounds: int, objects: int, path: Path) -> None:
    """Measure, print and write down."""
    async with database("bench2") as engine:
        described = await environment(engine)
        print(described, end="\n\n")
        write_json(Run({"measured on": described}, await measure(engine, rounds, objects)), path)
        print(f"\n{path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="how often each step is taken anew (default: 30)")
    parser.add_argument("--objects", type=int, default=10_000, help="how many are held (default: 10,000)")
    parser.add_argument("--to", type=Path, default=HERE / "compile_cost.json", help="file of the results")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    for hidden in ("--weigh", "--holder", "--url"):  # of the processes that it starts
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        asyncio.run(weigh(options.url, options.weigh, options.holder, options.objects))
    elif options.smoke:
        asyncio.run(main(2, 200, options.to))
    else:
        asyncio.run(main(options.rounds, options.objects, options.to))
