"""``session.add`` of a fetched graph, where the session has one of its rows already."""

import gc
import pickle

import pytest
from attached_models import ARTIST_PAGE, WORK_PAGE, Artist, Label, Work
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, RowInSessionError, load

AUTHOR = LoadPlan(Work, load(Work.artist), name="author")


async def test_the_error_names_the_row_and_the_ways_on(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        me = await session.get_one(Artist, 1)
        work = await Loader(session).fetch(AUTHOR, 1)
        work.title = "new"
        with pytest.raises(RowInSessionError) as caught:
            session.add(work)
        assert str(caught.value) == (
            "LP415: 'Artist' 1 is in this session already, as another object\n"
            "  at: author\n"
            "  detail: the 'Work' that you add leads to it, and it cannot be there twice.\n"
            "  hint: use session.merge(obj), which copies your changes onto the session's objects, or load the graph "
            "with Loader(session).fetch_attached(plan, id) before you change it."
        )
        assert inspect(work).detached
        assert list(session) == [me]
        merged = await session.merge(work)
        assert merged.artist is me
        await session.commit()
    assert (await Loader(studio).fetch(LoadPlan(Work), 1)).title == "new"


async def test_the_object_itself_and_pickled_ones(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        held = await session.get_one(Label, (1, "de"))
        label = pickle.loads(pickle.dumps(await Loader(studio).fetch(LoadPlan(Label), (1, "de"))))
        with pytest.raises(RowInSessionError) as caught:
            session.add(label)
        assert caught.value.message == "'Label' (1, 'de') is in this session already, as another object"
        assert caught.value.detail == "it cannot be there twice."
        assert held in session


async def test_a_graph_goes_in_where_nothing_of_it_is(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(studio).fetch(WORK_PAGE, 1)
        session.add(work)
        session.add(work)
        assert work.artist in session
        work.title = "new"
        await session.commit()
    async with AsyncSession(studio) as session:
        await session.get_one(Artist, 1)
        gc.collect()  # nobody holds it any more, so it is not in the session
        work = await Loader(studio).fetch(AUTHOR, 1)
        assert work.title == "new"
        session.add(work)


async def test_two_graphs_that_share_a_row(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    first, second = await loader.fetch(AUTHOR, 1), await loader.fetch(AUTHOR, 2)
    async with AsyncSession(studio) as session:
        session.add(first)
        with pytest.raises(RowInSessionError):
            session.add(second)
        assert second not in session
        assert first.artist in session
    async with AsyncSession(studio) as session:
        first, second = await loader.fetch_many(AUTHOR, [1, 2])
        session.add_all([first, second])


async def test_a_fetched_row_below_an_object_of_the_session(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        ada = await Loader(session).fetch_attached(ARTIST_PAGE, 1)
        third = await Loader(session).fetch(LoadPlan(Work), 3)
        ada.works.append(third)
        first = await Loader(session).fetch(LoadPlan(Work), 1)
        with pytest.raises(RowInSessionError):
            ada.works.append(first)
        await session.rollback()
