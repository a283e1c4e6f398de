"""Long runs: memory stays flat, caches stay bounded, and a plan that nobody holds is gone with all that it made."""

import asyncio
import contextlib
import gc
import linecache
import random
import resource
import statistics
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from fire_models import LONG, Book, Chapter, Shelf, ShelfView, times
from sqlalchemy import URL, bindparam, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import LRUCache

from loadplan import Loader, LoadPlan, NotFound, TooManyRows, load
from loadplan.objects.seal import _seal
from loadplan.resolved.sharing import MOST_PLANS, NOTE
from loadplan.sqlalchemy_internals import notes_of

#: Statements that SQLAlchemy's asyncpg dialect keeps prepared on a connection, by default: 100, and half as many again
#: before its cache is cut back.
PREPARED = 150


#: Connections of the soak, and tasks that share them.
CONNECTIONS = 3


@pytest.fixture
async def few(library: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine with a few connections."""
    engine = create_async_engine(postgres_url, pool_size=CONNECTIONS, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture
async def one(library: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine with one connection."""
    engine = create_async_engine(postgres_url, pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


def fifty_plans() -> list[LoadPlan[Any]]:
    """Return 25 plans of entities and 25 of views, all different."""
    chosen: list[Any] = [None, "selectin"]
    plans: list[LoadPlan[Any]] = []
    for limit in (None, 1, 2, 3, 4):
        for number in range(5):
            below = [load(Book.author), load(Book.chapters), load(Book.tags)][: number % 4]
            plans.append(LoadPlan(Shelf, load(Shelf.books, *below, limit=limit), name=f"entities {number} {limit}"))
            view: Any = load(
                Shelf.books,
                load(Book.chapters, strategy=chosen[number % 2], where=Chapter.id > number),
                limit=limit,
                strategy=chosen[number // 2 % 2],
            )
            plans.append(LoadPlan(Shelf, view, into=ShelfView, name=f"views {number} {limit}"))
    return plans


async def use(loader: Loader, plan: LoadPlan[Any], chance: random.Random) -> int:
    """Fetch in every way, with other values each time; return how many fetches that were."""
    id_, size = chance.randint(1, 6), chance.randint(1, 5)
    ids = chance.sample(range(1, 7), size)
    await loader.fetch(plan, id_)
    await loader.fetch_many(plan, ids)
    await loader.fetch_all(plan, Shelf.id > id_, Shelf.id.desc(), limit=size)
    await loader.fetch_all(plan, [Shelf.stamp == size, Shelf.id.in_(ids)])
    await loader.fetch_all(plan, Shelf.id >= bindparam("id"), params={"id": id_})
    page = await loader.fetch_page(plan, Shelf.stamp, size)
    await loader.fetch_page(plan, Shelf.stamp, size, after=page.next)
    async for _ in loader.stream(plan, Shelf.id <= id_, batch_size=size):
        pass
    with pytest.raises(NotFound):
        await loader.fetch(plan, 1000 + chance.randrange(10**6))
    with contextlib.suppress(TooManyRows):
        await Loader(loader._bind, max_rows=chance.randint(1, 40)).fetch_many(plan, ids)
    return 10


def generated() -> int:
    """Return how many sources of generated code are kept."""
    return sum(name.startswith("<loadplan") for name in linecache.cache)


def listeners() -> tuple[int, int]:
    """Return how many listeners SQLAlchemy keeps account of."""
    registry: Any = event.registry
    return len(registry._key_to_collection), len(registry._collection_to_key)


def remembered(plans: list[LoadPlan[Any]]) -> list[tuple[int, int]]:
    """Return for each plan: its variants, and the shapes of conditions that they remember."""
    found = []
    for plan in plans:
        compiled = [each for each in plan._derived.values() if hasattr(each, "variants")]
        inner = [each for one in compiled for each in one.variants.values() if hasattr(each, "variants")]
        shapes = [len(each.variants.get("shapes", ())) for each in (*compiled, *inner)]
        found.append((sum(len(each.variants) for each in (*compiled, *inner)), max(shapes)))
    return found


@attrs.frozen
class Reading:
    """What is held at one moment, after a collection of garbage.

    Attributes:
        fetched: fetches so far.
        resident: bytes of this process in memory.
        blocks: blocks that Python's allocator has given out.
        objects: objects that the garbage collector knows.
        compiled: statements in SQLAlchemy's cache.
        sources: of generated code.
        heard: event listeners that SQLAlchemy keeps account of.
        prepared: statements prepared on each connection of the pool.
    """

    fetched: int
    resident: int
    blocks: int
    objects: int
    compiled: int
    sources: int
    heard: tuple[int, int]
    prepared: list[int]


def resident() -> int:
    """Return how many bytes of this process are in memory; Linux alone tells."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() if pages.exists() else 0


async def read(engine: AsyncEngine, fetched: int) -> Reading:
    """Take a reading."""
    prepared = []
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = await stack.enter_async_context(engine.connect())
            prepared.append(
                (await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one()
            )
    gc.collect()
    cache: Any = engine.sync_engine._compiled_cache
    assert isinstance(cache, LRUCache)
    return Reading(
        fetched=fetched,
        resident=resident(),
        blocks=sys.getallocatedblocks(),
        objects=len(gc.get_objects()),
        compiled=len(cache),
        sources=generated(),
        heard=listeners(),
        prepared=prepared,
    )


def slope(readings: list[Reading], name: str) -> float:
    """Return how much of something is added by a fetch: the line of least squares through the readings."""
    points = [(reading.fetched, getattr(reading, name)) for reading in readings]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


async def test_fifty_plans_again_and_again(few: AsyncEngine) -> None:
    """Three tasks on three connections, with other values every time. The short form takes every third plan."""
    loader, plans, chance = Loader(few), fifty_plans()[:: times(3, 1)], random.Random(3)  # noqa: S311
    counted = Loader(few, max_rows=10_000)
    for plan in plans:  # a plan has a variant for one root, for few, for many and for counted rows
        for each in (loader, counted):
            await each.fetch(plan, 1)
            await each.fetch_many(plan, [1, 2, 3, 4, 5, 6])

    async def use_all() -> int:
        order = chance.sample(plans, len(plans))
        return sum([await use(loader, plan, chance) for plan in order])

    fetched, readings = 0, [await read(few, 0)]
    for _ in range(times(2, 40)):
        until = fetched + times(300, 5_000)
        while fetched < until:
            fetched += sum(await asyncio.gather(*(use_all() for _ in range(CONNECTIONS))))
        readings.append(await read(few, fetched))
        if LONG:
            print(readings[-1], flush=True)  # for whoever watches it with -s
    cache: Any = few.sync_engine._compiled_cache
    for reading in readings:
        assert reading.compiled <= cache.capacity * (1 + cache.threshold)
        assert max(reading.prepared) <= PREPARED + 1
    first, last = readings[0], readings[-1]
    assert last.sources - first.sources <= 2 * len(plans)
    assert max(now - then for now, then in zip(last.heard, first.heard, strict=True)) <= 3 * len(plans)
    assert all(variants <= 16 and shapes <= 8 for variants, shapes in remembered(plans))
    if LONG:  # what is made once, late, is no slope
        settled = readings[len(readings) // 4 :]
        assert abs(slope(settled, "resident")) < 10, [reading.resident for reading in readings]
        assert slope(settled, "blocks") < 0.01, [reading.blocks for reading in readings]
        assert slope(settled, "objects") < 0.01, [reading.objects for reading in readings]
    else:
        assert last.objects - readings[1].objects < 8_000


async def test_conditions_of_ever_new_shapes_are_forgotten(one: AsyncEngine) -> None:
    loader = Loader(one)
    for plan in (LoadPlan(Shelf), LoadPlan(Shelf, into=ShelfView)):
        for number in range(70):
            await loader.fetch_all(plan, [Shelf.id > each for each in range(number)])
        ((_, shapes),) = remembered([plan])
        assert shapes <= 64


def collect() -> int:
    """Collect garbage until nothing is left, and return the number of objects: what goes may let go of more.

    Seals are kept for unpickling, up to a number: each plan of a new name has its own.
    """
    assert _seal.cache_info().currsize <= 4096
    _seal.cache_clear()
    left = len(gc.get_objects())
    while True:
        gc.collect()
        now = len(gc.get_objects())
        if now >= left:
            return now
        left = now


#: What is looked for, of the things that the last requests made.
LAST = 200


def made_for_one_request(kind: str, number: int) -> LoadPlan[Any]:
    if kind == "entities":
        return LoadPlan(Shelf, load(Shelf.books, load(Book.chapters)), name=f"request {number}")
    if kind == "views":
        return LoadPlan(Shelf, into=ShelfView, name=f"request {number}")
    book = attrs.make_class("RequestBook", {"id": attrs.field(type=int)})
    shelf = attrs.make_class("RequestShelf", {"id": attrs.field(type=int), "books": attrs.field(type=list[book])})
    return LoadPlan(Shelf, into=shelf, name=f"request {number}")


async def serve(loader: Loader, kind: str, requests: int) -> list[weakref.ref[Any]]:
    """Make a plan for each request, fetch with it in several ways, and forget it; return what the last ones made."""
    made: list[weakref.ref[Any]] = []
    for number in range(requests):
        plan = made_for_one_request(kind, number)
        await loader.fetch(plan, 1)
        await loader.fetch_many(plan, [1, 2])
        await loader.fetch_page(plan, size=2)
        async for _ in loader.stream(plan):
            pass
        made = [*made, *(weakref.ref(each) for each in plan._derived.values() if hasattr(type(each), "__weakref__"))][
            -LAST:
        ]
    return made


@pytest.mark.parametrize("kind", ["entities", "views", "views of its own"])
async def test_a_plan_that_is_made_for_one_request_is_gone_with_it(one: AsyncEngine, kind: str) -> None:
    """The last plans of a class are remembered, for equal ones; with those gone nothing is left."""
    loader = Loader(one)
    await serve(loader, kind, MOST_PLANS + times(2, 400))  # SQLAlchemy's own caches are full by then
    before, sources, heard = collect(), generated(), listeners()
    made = await serve(loader, kind, MOST_PLANS + times(2, 3_000))
    assert made
    after = collect()
    assert generated() == sources
    assert listeners() == heard
    assert after - before < 1_500
    assert len(notes_of(Shelf.__mapper__).pop(NOTE)) == MOST_PLANS
    collect()
    alive = [each() for each in made if each() is not None]
    assert len(alive) <= 5 * len(loader_caches(one)), alive[:3]


def loader_caches(engine: AsyncEngine) -> Any:
    """SQLAlchemy's own cache of compiled statements may keep what it was asked with; it is bounded."""
    return engine.sync_engine._compiled_cache
