"""A writer that moves, deletes and inserts whole graphs never shows in the midst of one; by hand it does."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from fire_checks import listening
from fire_models import PLANS, STATEMENTS, Book, Chapter, Shelf, book_tags, seen, shelf_of, tears, times
from sqlalchemy import String, TypeDecorator, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, selectinload
from sqlalchemy.util import await_only

from loadplan import Loader, LoadPlan
from support import tables

Fetch = Callable[[Loader, LoadPlan[Any]], Awaitable[list[Any]]]


async def by_stream(loader: Loader, plan: LoadPlan[Any]) -> list[Any]:
    return [shelf async for shelf in loader.stream(plan, order_by=Shelf.id, batch_size=2)]


async def by_page(loader: Loader, plan: LoadPlan[Any]) -> list[Any]:
    return (await loader.fetch_page(plan, Shelf.id, 5)).items


async def by_one(loader: Loader, plan: LoadPlan[Any]) -> list[Any]:
    return [await loader.fetch_one(plan, Shelf.id == 1)]


async def by_id(loader: Loader, plan: LoadPlan[Any]) -> list[Any]:
    return [await loader.fetch(plan, 1)]


FETCHES: dict[str, Fetch] = {
    "fetch": by_id,
    "fetch_one": by_one,
    "fetch_many": lambda loader, plan: loader.fetch_many(plan, [1, 2, 3]),
    "fetch_all": lambda loader, plan: loader.fetch_all(plan, order_by=Shelf.id, limit=5),
    "fetch_all, unbounded": lambda loader, plan: loader.fetch_all(plan, order_by=Shelf.id),
    "fetch_page": by_page,
    "stream": by_stream,
}


async def move(connection: AsyncConnection, stamp: int) -> None:
    """Take books from shelf 1 to shelf 2, with all that speaks of them, and give both a new stamp."""
    await connection.execute(update(Book).where(Book.id.in_([100, 103])).values(shelf_id=2))
    for shelf in (1, 2):
        await connection.execute(update(Book).where(Book.shelf_id == shelf).values(stamp=stamp))
        count = select(text("count(*)")).where(Book.shelf_id == shelf).select_from(Book).scalar_subquery()
        await connection.execute(update(Shelf).where(Shelf.id == shelf).values(stamp=stamp, book_count=count))


async def lose_chapters(connection: AsyncConnection) -> None:
    """Take every chapter and tag from the books of shelves 1 and 3."""
    books = select(Book.id).where(Book.shelf_id.in_([1, 3]))
    await connection.execute(delete(Chapter).where(Chapter.book_id.in_(books)))
    await connection.execute(delete(book_tags).where(book_tags.c.book_id.in_(books)))
    await connection.execute(update(Book).where(Book.shelf_id.in_([1, 3])).values(chapter_count=0, tag_count=0))


@contextlib.contextmanager
def committing_after_each_statement(engine: AsyncEngine, neighbour: AsyncEngine) -> Iterator[list[int]]:
    """Commit a change of the whole graph right after each statement that a fetch sends.

    It is done inside the fetch's own greenlet, so the next statement of the fetch cannot be earlier.
    """
    written: list[int] = []

    async def write() -> None:
        async with neighbour.begin() as connection:
            if not written:
                await move(connection, stamp=77)
            elif len(written) == 1:
                await lose_chapters(connection)
            else:
                await connection.execute(update(Book).values(stamp=Book.stamp + 1))
                await connection.execute(update(Shelf).values(stamp=Shelf.stamp + 1))
        written.append(len(written))

    with listening(engine.sync_engine, "after_cursor_execute", lambda *_: await_only(write())):
        yield written


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("name", PLANS)
async def test_a_writer_after_every_statement_tears_nothing(
    changing_library: AsyncEngine, neighbour: AsyncEngine, name: str, fetch: str, kind: str
) -> None:
    bind: Any = changing_library if kind == "engine" else async_sessionmaker(changing_library)
    before = {shelf.id: seen(shelf) for shelf in await Loader(changing_library).fetch_all(PLANS[name])}
    with committing_after_each_statement(changing_library, neighbour) as written:
        shelves = await FETCHES[fetch](Loader(bind), PLANS[name])
    assert len(written) >= STATEMENTS[name]
    assert [tear for shelf in shelves for tear in tears(shelf)] == []
    assert {shelf.id: seen(shelf) for shelf in shelves} == {shelf.id: before[shelf.id] for shelf in shelves}


async def by_hand(engine: AsyncEngine) -> list[Shelf]:
    """Fetch shelf 1 as it is written without loadplan: READ COMMITTED, a statement a collection."""
    options = selectinload(Shelf.books).options(selectinload(Book.chapters), selectinload(Book.tags))
    async with AsyncSession(engine) as session:
        return list(await session.scalars(select(Shelf).where(Shelf.id == 1).options(options)))


async def test_by_hand_the_same_writer_tears_the_graph(changing_library: AsyncEngine, neighbour: AsyncEngine) -> None:
    """What the tests above look for is there to be found."""
    with committing_after_each_statement(changing_library, neighbour):
        shelves = await by_hand(changing_library)
    assert [tear for shelf in shelves for tear in tears(shelf)] == [
        "shelf 1 says 5 books and has 3",
        "book 101 is of stamp 77, its shelf of 1",
        "book 101 says 1 chapters and has 0",
        "book 102 is of stamp 77, its shelf of 1",
        "book 102 says 2 chapters and has 0",
        "book 102 says 3 tags and has 0",
        "book 104 is of stamp 77, its shelf of 1",
        "book 104 says 3 tags and has 0",
    ]


@pytest.mark.parametrize("name", ["entities", "by level"])
async def test_without_the_snapshot_the_same_writer_tears_the_graph(
    changing_library: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    with committing_after_each_statement(changing_library, neighbour):
        shelf = await Loader(changing_library, snapshot=False).fetch(PLANS[name], 1)
    assert tears(shelf)[:2] == ["shelf 1 says 5 books and has 3", "book 101 is of stamp 77, its shelf of 1"]


# --- one statement, executed again for more keys --------------------------------------------------------------------


class Plain(DeclarativeBase):
    pass


class Lowered(TypeDecorator[str]):
    """A type that the database may compare otherwise than Python does, so its keys go in chunks."""

    impl = String
    cache_ok = True


class Place(Plain):
    __tablename__ = "fire_places"
    code: Mapped[str] = mapped_column(Lowered, primary_key=True)
    stamp: Mapped[int]


class PlaceView:
    def __init__(self, code: str, stamp: int) -> None:
        self.code, self.stamp = code, stamp


@pytest.mark.parametrize("plan", [LoadPlan(Place)], ids=["entities"])
async def test_a_plan_of_one_statement_that_runs_for_two_chunks_is_one_snapshot(
    postgres: AsyncEngine, neighbour: AsyncEngine, plan: LoadPlan[Any]
) -> None:
    async with tables(postgres, Plain.metadata):
        codes = [f"p{number}" for number in range(501)]
        async with neighbour.begin() as connection:
            await connection.execute(insert(Place), [{"code": code, "stamp": 1} for code in codes])

        async def write() -> None:
            async with neighbour.begin() as connection:
                await connection.execute(update(Place).values(stamp=2))

        with listening(postgres.sync_engine, "after_cursor_execute", lambda *_: await_only(write())):
            places = await Loader(postgres).fetch_many(plan, codes)
        assert {place.stamp for place in places} == {1}


# --- many at once ---------------------------------------------------------------------------------------------------


async def rewrite(engine: AsyncEngine, chance: random.Random, stamp: int) -> None:
    """Change two shelves in one transaction: move books between them, or replace one of them by a new graph."""
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("SELECT pg_advisory_xact_lock(4711)"))
        first, second = chance.sample(range(1, 7), 2)
        if chance.random() < 0.5:
            moved = list(await session.scalars(select(Book.id).where(Book.shelf_id == first)))
            chosen = chance.sample(moved, len(moved) // 2)
            await session.execute(update(Book).where(Book.id.in_(chosen)).values(shelf_id=second))
        else:
            books = select(Book.id).where(Book.shelf_id == first).scalar_subquery()
            await session.execute(delete(Chapter).where(Chapter.book_id.in_(books)))
            await session.execute(delete(book_tags).where(book_tags.c.book_id.in_(books)))
            await session.execute(delete(Book).where(Book.shelf_id == first))
            await session.execute(delete(Shelf).where(Shelf.id == first))
            fresh = shelf_of(first, chance.randrange(6), stamp)
            for at, book in enumerate(fresh.books):
                book.id = 1_000_000 + 10 * stamp + at
                for chapter in book.chapters:
                    chapter.id = 100_000_000 + 100 * stamp + 10 * at + chapter.id % 10
            session.add(fresh)
            await session.flush()
        for shelf in (first, second):
            count = select(text("count(*)")).select_from(Book).where(Book.shelf_id == shelf).scalar_subquery()
            await session.execute(update(Book).where(Book.shelf_id == shelf).values(stamp=stamp))
            await session.execute(update(Shelf).where(Shelf.id == shelf).values(stamp=stamp, book_count=count))


@contextlib.asynccontextmanager
async def rewriting(engine: AsyncEngine, seed: int) -> AsyncIterator[list[int]]:
    """Rewrite shelves, one transaction after the other, while the block runs."""
    chance = random.Random(seed)  # noqa: S311 - which shelves, no secret
    done: list[int] = []

    async def write() -> None:
        while True:
            await rewrite(engine, chance, 2 + len(done))
            done.append(len(done))

    task = asyncio.create_task(write())
    try:
        yield done
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("name", PLANS)
async def test_readers_beside_a_writer_see_whole_graphs_alone(
    changing_library: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    loader = Loader(changing_library)
    chance = random.Random(1)  # noqa: S311
    kinds = [each for key, each in FETCHES.items() if key not in {"fetch", "fetch_one"}]
    states: set[int] = set()
    async with rewriting(neighbour, seed=1) as done:
        fetched = 0
        while fetched < times(150, 5000) or len(done) < times(40, 2000):
            many = await asyncio.gather(*(chance.choice(kinds)(loader, PLANS[name]) for _ in range(3)))
            fetched += 3
            for shelf in (shelf for shelves in many for shelf in shelves):
                assert tears(shelf) == []
                states.add(shelf.stamp)
    assert len(states) > 10
