"""What a plan costs before it fetches, and what its results weigh. ``python -m benchmarks plan-cost``.

The plan is of the shop: an order with its customer, its lines, their products and the categories, by primary key. Each
run has a new engine with empty caches. The connection of the engine is already open. The steps:

- *declare*: make the plan, and check it against the mapping. For options, build them.
- *compile*: make statements of the plan. Only loadplan has this step: SQLAlchemy does it within the first fetch.
- *first fetch*: SQLAlchemy makes SQL of the statements, the server prepares them, and the graph comes.
- *second fetch*: uses everything that the first fetch has made. For views, loadplan makes the text that it sends later.
- *later fetches*: one of them. Options are built again each time, as a repository does in every call.
- *plan built in the call*: a later fetch with a plan that is declared again before it, as inside a request handler.

It also measures the memory of results: see ``weights.py``.
"""

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.measure import add_driver, database, environment, result_file
from benchmarks.report import Result, Run, write_json
from benchmarks.shop import Line, Order, Product, fill
from benchmarks.weights import HOLDERS, KINDS, bytes_each, weight_of
from loadplan import Loader, LoadPlan, load
from loadplan.running.keyed_roots import by_id
from loadplan.running.plans import compile_plan

COLD = "cost of a plan: "
STEPS = ("declare", "compile", "first fetch", "second fetch", "later fetches", "plan built in the call")
LATER = 10
OPTIONS, ENTITIES, VIEWS = "options by hand", "loadplan, entities", "loadplan, views"
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


# --- before the fetch -----------------------------------------------------------------------------------------------


def entity_plan(name: str) -> LoadPlan[Any]:
    """Return a plan; one with a name that no plan had is one that nobody has seen yet."""
    lines = load(Order.lines, load(Line.product, load(Product.category)))
    return LoadPlan(Order, load(Order.customer), lines, name=name)


def view_plan(name: str) -> LoadPlan[Any]:
    """Return the same of views."""
    return LoadPlan(Order, into=OrderView, name=name)


_numbers = count(1)


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
    for number in range(2 + 2 * LATER):
        if number:
            statement = by_options()
        async with AsyncSession(engine, expire_on_commit=False) as session:
            (await session.scalars(statement)).one()
        moments.append(time.perf_counter())
    return moments


async def plan_steps(engine: AsyncEngine, declare: Callable[[str], LoadPlan[Any]]) -> list[float]:
    """Return the moments between the steps of loadplan."""
    loader = Loader(engine)
    name = f"order {next(_numbers)}"
    moments = [time.perf_counter()]
    plan = declare(name)
    moments.append(time.perf_counter())
    by_id(compile_plan(plan, engine.sync_engine.dialect).bringing(1))
    moments.append(time.perf_counter())
    for _ in range(2 + LATER):
        await loader.fetch(plan, ONE)
        moments.append(time.perf_counter())
    for _ in range(LATER):
        await loader.fetch(declare(name), ONE)
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
    seconds = [later - earlier for earlier, later in pairwise(moments)]
    later, built = seconds[-2 * LATER : -LATER], seconds[-LATER:]
    return [*seconds[: -2 * LATER], statistics.median(later), statistics.median(built)]


async def measure_steps(engine: AsyncEngine, rounds: int) -> list[Result]:
    """Return what each step takes, the ways in turn."""
    taken: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for name in WAYS:
        await once(engine, name)  # every import, and what the mappers remember
    for _ in range(rounds):
        for name in WAYS:
            taken[name].append(await once(engine, name))
    return [
        Result(
            COLD + step,
            name,
            1,
            tuple(steps[place] for steps in taken[name]),
            note=SQLALCHEMY if (name, step) == (OPTIONS, "compile") else "",
        )
        for place, step in enumerate(STEPS)
        for name in WAYS
    ]


async def measure(engine: AsyncEngine, rounds: int, objects: int, orders: int) -> list[Result]:
    """Return all results, and print a line for each."""
    await fill(engine, max(objects * 5, orders))
    steps = await measure_steps(engine, rounds)
    for each in steps:
        print(f"{each.case:<30} {each.rival:<20} {each.milliseconds:>8.2f} ms", flush=True)
    weights = [await weight_of(engine, kind, holder, objects) for kind in KINDS for holder in HOLDERS]
    for each in weights:
        print(f"{each.case:<44} {each.rival:<24} {bytes_each(each):>8,.0f}", flush=True)
    return [*steps, *weights]


async def main(rounds: int, objects: int, orders: int, driver: str, path: Path) -> None:
    """Measure, print and write down."""
    async with database("benchmarks", driver) as engine:
        described = await environment(engine)
        print(described, end="\n\n")
        write_json(Run({"measured on": described}, await measure(engine, rounds, objects, orders)), path)
        print(f"\n{path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="how often each step is taken anew (default: 30)")
    parser.add_argument("--objects", type=int, default=10_000, help="how many are held (default: 10,000)")
    parser.add_argument("--to", type=Path, help="file of the results")
    add_driver(parser)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    options = parser.parse_args()
    to = options.to or result_file("compile_cost", options.driver)
    if options.smoke:
        asyncio.run(main(2, 200, 1_000, options.driver, to))
    else:
        asyncio.run(main(options.rounds, options.objects, ORDERS, options.driver, to))
