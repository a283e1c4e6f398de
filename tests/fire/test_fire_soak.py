"""Long runs: memory stays flat, caches stay bounded, and a plan that nobody holds is gone with all that it made."""

import contextlib
import gc
import linecache
import random
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from fire_models import Book, Chapter, Shelf, ShelfView, times
from sqlalchemy import URL, bindparam, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import LRUCache

from loadplan import Loader, LoadPlan, NotFound, TooManyRows, load

#: Statements that SQLAlchemy's asyncpg dialect keeps prepared on a connection, by default.
PREPARED = 100


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


async def prepared(engine: AsyncEngine) -> int:
    """Return how many statements the one connection of an engine has prepared."""
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one())


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


async def test_fifty_plans_again_and_again(one: AsyncEngine) -> None:
    """The short form takes every third of them."""
    loader, plans, chance = Loader(one), fifty_plans()[:: times(3, 1)], random.Random(3)  # noqa: S311
    for _ in range(2):  # shapes, statements and their plans on the server are made by then
        for plan in plans:
            await use(loader, plan, chance)
            await Loader(one, max_rows=10_000).fetch_many(plan, [1, 2, 3, 4, 5, 6])
    gc.collect()
    cache = one.sync_engine._compiled_cache
    assert isinstance(cache, LRUCache)
    sources, heard = generated(), listeners()
    objects = len(gc.get_objects())
    tracemalloc.start()
    try:
        for plan in plans:
            await use(loader, plan, chance)
        gc.collect()
        before, fetched = tracemalloc.get_traced_memory()[0], 0
        while fetched < times(800, 200_000):
            for plan in plans:
                fetched += await use(loader, plan, chance)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(cache) <= cache.capacity * (1 + cache.threshold)
    # a plan has a variant for one root, for few, for many and for counted rows; those that chance left out come late
    assert generated() - sources <= 2 * len(plans)
    assert max(now - then for now, then in zip(listeners(), heard, strict=True)) <= 2 * len(plans)
    assert all(variants <= 12 and shapes <= 8 for variants, shapes in remembered(plans))
    assert await prepared(one) <= PREPARED + 1
    assert grown < 1_000_000, f"{grown} bytes more after {fetched} fetches"
    assert len(gc.get_objects()) - objects < 5_000


async def test_conditions_of_ever_new_shapes_are_forgotten(one: AsyncEngine) -> None:
    loader = Loader(one)
    for plan in (LoadPlan(Shelf), LoadPlan(Shelf, into=ShelfView)):
        for number in range(70):
            await loader.fetch_all(plan, [Shelf.id > each for each in range(number)])
        ((_, shapes),) = remembered([plan])
        assert shapes <= 64


def made_for_one_request(kind: str, number: int) -> LoadPlan[Any]:
    if kind == "entities":
        return LoadPlan(Shelf, load(Shelf.books, load(Book.chapters)), name=f"request {number}")
    if kind == "views":
        return LoadPlan(Shelf, into=ShelfView, name=f"request {number}")
    book = attrs.make_class("RequestBook", {"id": attrs.field(type=int)})
    shelf = attrs.make_class("RequestShelf", {"id": attrs.field(type=int), "books": attrs.field(type=list[book])})
    return LoadPlan(Shelf, into=shelf, name=f"request {number}")


async def serve(loader: Loader, kind: str, requests: int) -> list[weakref.ref[Any]]:
    """Make a plan for each request, fetch with it in several ways, and forget it."""
    made = []
    for number in range(requests):
        plan = made_for_one_request(kind, number)
        await loader.fetch(plan, 1)
        await loader.fetch_many(plan, [1, 2])
        await loader.fetch_page(plan, size=2)
        async for _ in loader.stream(plan):
            pass
        made += [weakref.ref(each) for each in plan._derived.values()]
    return made


@pytest.mark.parametrize("kind", ["entities", "views", "views of its own"])
async def test_a_plan_that_is_made_for_one_request_is_gone_with_it(one: AsyncEngine, kind: str) -> None:
    loader = Loader(one)
    await serve(loader, kind, 30)
    gc.collect()
    before, sources, heard = len(gc.get_objects()), generated(), listeners()
    made = await serve(loader, kind, times(30, 5_000))
    assert made
    gc.collect()
    assert generated() == sources
    assert listeners() == heard
    assert len(gc.get_objects()) - before < 1_500
    alive = [each() for each in made if each() is not None]
    assert len(alive) <= 5 * len(loader_caches(one)), alive[:3]


def loader_caches(engine: AsyncEngine) -> Any:
    """SQLAlchemy's own cache of compiled statements may keep what it was asked with; it is bounded."""
    return engine.sync_engine._compiled_cache
