"""Many tasks, many threads, many event loops: everybody gets what they would get alone."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fire_checks import assert_whole, checked_out
from fire_models import PLANS, Book, Shelf, ShelfView, seen, times
from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from loadplan import Loader, LoaderError, LoadPlan, NotFound, load
from support import server_settings

NAME = "loadplan fire tasks"

names = pytest.mark.parametrize("name", PLANS)


@pytest.fixture
async def ten(library: AsyncEngine, postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """A pool of ten connections and no more."""
    arguments = server_settings(postgres_url, application_name=NAME)
    engine = create_async_engine(postgres_url, pool_size=10, max_overflow=0, connect_args=arguments)
    yield engine
    await engine.dispose()


async def test_two_hundred_tasks_on_one_loader_and_shared_plans(ten: AsyncEngine, neighbour: AsyncEngine) -> None:
    """Entities and views, one and many, pages, streams and failures, all at once."""
    loader = Loader(ten)
    alone = {name: {each.id: seen(each) for each in await loader.fetch_all(plan)} for name, plan in PLANS.items()}
    shelves = list(alone["entities"])
    assert all(each == alone["entities"] for each in alone.values())

    async def one(number: int) -> None:
        name = list(PLANS)[number % 3]
        plan, whole, id_ = PLANS[name], alone[name], shelves[number % len(shelves)]
        match number % 7:
            case 0:
                with pytest.raises(NotFound):
                    await loader.fetch(plan, 9999)
            case 1:
                found = await loader.fetch_many(plan, [id_, shelves[0]])
                assert [seen(each) for each in found] == [whole[id_], whole[shelves[0]]]
            case 2:
                found = (await loader.fetch_page(plan, Shelf.id.desc(), 3)).items
                assert [seen(each) for each in found] == [whole[each] for each in shelves[:-4:-1]]
            case 3:
                assert [seen(each) async for each in loader.stream(plan, order_by=Shelf.id, batch_size=2)] == [
                    whole[each] for each in shelves
                ]
            case 4:
                assert {each.id: seen(each) for each in await loader.fetch_all(plan)} == whole
            case _:
                assert seen(await loader.fetch(plan, id_)) == whole[id_]

    for _ in range(times(1, 100)):
        await asyncio.gather(*map(one, range(200)))
    await assert_whole(ten, neighbour, NAME)


def fresh_plans() -> dict[str, LoadPlan[Any]]:
    """Return plans that nobody has used yet."""
    chosen: dict[str, Any] = {"strategy": "selectin"}
    return {
        "entities": LoadPlan(Shelf, load(Shelf.books, load(Book.author), load(Book.chapters), load(Book.tags))),
        "by level": LoadPlan(
            Shelf,
            load(Shelf.books, load(Book.chapters, **chosen), load(Book.tags, **chosen), **chosen),
            into=ShelfView,
        ),
        "nested": LoadPlan(Shelf, into=ShelfView),
    }


@names
async def test_the_first_use_of_a_plan_by_fifty_tasks_at_once(ten: AsyncEngine, name: str) -> None:
    loader = Loader(ten)
    whole = seen(await loader.fetch(PLANS[name], 1))
    for _ in range(times(3, 100)):
        plan = fresh_plans()[name]
        found = await asyncio.gather(*(loader.fetch(plan, 1) for _ in range(50)))
        assert [seen(each) for each in found] == [whole] * 50
        assert len({id(each) for each in found}) == 50
    assert checked_out(ten) == 0


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """Do work in threads that begin at the same moment, and return what each returned."""
    together = threading.Barrier(number)

    def begin(index: int) -> Any:
        together.wait()
        return work(index)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


@names
async def test_the_first_use_of_a_plan_in_eight_threads_with_a_loop_each(
    library: AsyncEngine, postgres_url: URL, name: str
) -> None:
    whole = seen(await Loader(library).fetch(PLANS[name], 1))

    async def use(plan: LoadPlan[Any]) -> Any:
        engine = create_async_engine(postgres_url)
        try:
            return await Loader(engine).fetch(plan, 1)
        finally:
            await engine.dispose()

    for _ in range(times(2, 100)):
        plan = fresh_plans()[name]
        found = await asyncio.to_thread(in_threads, 8, lambda _, plan=plan: asyncio.run(use(plan)))
        assert [seen(each) for each in found] == [whole] * 8


async def test_loops_in_threads_with_engines_of_their_own(library: AsyncEngine, postgres_url: URL) -> None:
    """Each thread fetches by all plans, again and again, some of them made on the spot."""
    whole = seen(await Loader(library).fetch(PLANS["entities"], 2))
    shared = fresh_plans()

    async def use() -> int:
        engine = create_async_engine(postgres_url, pool_size=3)
        loader, right = Loader(engine), 0
        try:
            for _ in range(times(5, 500)):
                plans = [*shared.values(), *fresh_plans().values()]
                found = await asyncio.gather(*(loader.fetch(plan, 2) for plan in plans))
                right += sum(seen(each) == whole for each in found)
        finally:
            await engine.dispose()
        return right

    found = await asyncio.to_thread(in_threads, 4, lambda _: asyncio.run(use()))
    assert found == [times(5, 500) * 6] * 4


def test_plans_are_declared_and_checked_in_threads_at_once() -> None:
    """The mappers are configured by then; what a plan remembers is made by whichever thread is first."""

    def declare(index: int) -> Any:
        made = fresh_plans()
        Loader(create_async_engine("postgresql+asyncpg://nowhere/none")).check(*made.values())
        return [plan.explain("postgresql").statements for plan in made.values()]

    assert in_threads(8, declare) == [[1, 4, 1]] * 8


# --- one session, two tasks -----------------------------------------------------------------------------------------


async def settled(*awaited: Any) -> list[Any]:
    return await asyncio.gather(*awaited, return_exceptions=True)


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("kind", ["session", "connection"])
@names
async def test_one_session_in_two_tasks_is_refused_or_serialised(
    ten: AsyncEngine, name: str, kind: str, warm: bool
) -> None:
    """Whatever of the two comes first is served; the other one too, or it is told what is wrong."""
    whole = seen(await Loader(ten).fetch(PLANS["nested"], 1))
    if not warm:
        await ten.dispose()  # a connection that has to be made is what SQLAlchemy refuses a second task during
    for lag in range(6):
        async with AsyncSession(ten) if kind == "session" else ten.connect() as bind:
            loader = Loader(bind)

            async def late(loader: Loader = loader, lag: int = lag) -> Any:
                for _ in range(lag):
                    await asyncio.sleep(0)
                return await loader.fetch(PLANS[name], 1)

            found = await settled(loader.fetch(PLANS[name], 1), late(), late())
            assert any(not isinstance(each, BaseException) for each in found)
            for each in found:
                if isinstance(each, BaseException):
                    assert isinstance(each, LoaderError), repr(each)
                    assert each.message.endswith("of this Loader at the same time")
                else:
                    assert seen(each) == whole
            assert seen(await loader.fetch(PLANS[name], 1)) == whole
    assert checked_out(ten) == 0


async def test_what_is_said_of_one_session_in_two_tasks(ten: AsyncEngine) -> None:
    await ten.dispose()
    async with AsyncSession(ten) as session:
        loader = Loader(session)
        found = await settled(loader.fetch(PLANS["nested"], 1), loader.fetch(PLANS["nested"], 1))
    (error,) = (each for each in found if isinstance(each, BaseException))
    assert str(error) == (
        "LP408: two tasks use the AsyncSession of this Loader at the same time\n"
        "  detail: another task was running a statement or taking a connection.\n"
        "  hint: give each task its own session, or make the Loader with the engine or the sessionmaker."
    )
    assert error.__cause__ is not None


async def test_a_session_that_both_a_loader_and_its_owner_use(ten: AsyncEngine) -> None:
    """The owner's own statement beside a fetch: neither sees anything of the other's rows."""
    async with AsyncSession(ten) as session:
        await session.execute(select(1))
        loader = Loader(session)
        shelf, books = await asyncio.gather(
            loader.fetch(PLANS["entities"], 1),
            session.scalars(select(Book.id).where(Book.shelf_id == 2).order_by(Book.id)),
        )
    assert [each.id for each in shelf.books] == [100, 101, 102, 103, 104]
    assert list(books) == [200, 201, 202, 203, 204]


async def test_fetches_between_the_batches_of_a_stream_on_one_session(ten: AsyncEngine) -> None:
    """One task alone: the cursor of the stream stays where it is."""
    async with AsyncSession(ten) as session:
        loader = Loader(session)
        whole = {each.id: seen(each) for each in await loader.fetch_all(PLANS["nested"])}
        walked = []
        async for shelf in loader.stream(PLANS["entities"], order_by=Shelf.id, batch_size=1):
            walked.append(shelf.id)
            for name, plan in PLANS.items():
                assert seen(await loader.fetch(plan, 7 - shelf.id)) == whole[7 - shelf.id], name
        assert walked == [1, 2, 3, 4, 5, 6]
