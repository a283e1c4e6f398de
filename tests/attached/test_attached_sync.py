"""The same calls through ``SyncLoader``: a session that may send SQL at any time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from attached_models import ARTIST_PAGE, WORK_PAGE, Artist, Base, Step, Tag, Work, seed
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from loadplan import LoaderError, LoadPlan, NotLoaded, RowInSessionError, SyncLoader, load


@pytest.fixture
def sync_studio(tmp_path: Path) -> Iterator[Engine]:
    """The studio in a file."""

    async def fill() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/studio.db")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await seed(engine)
        await engine.dispose()

    asyncio.run(fill())
    engine = create_engine(f"sqlite:///{tmp_path}/studio.db")
    yield engine
    engine.dispose()


def test_a_graph_in_the_session_is_changed_and_saved(sync_studio: Engine) -> None:
    with Session(sync_studio) as session:
        work = SyncLoader(session).fetch_attached(WORK_PAGE, 1)
        assert work in session
        assert work.artist is not None
        work.artist.name = "Augusta"
        work.steps.append(Step(id=7, text="sign"))
        session.commit()
        assert [each.text for each in work.steps] == ["sketch", "paint", "sign"]  # expired, and loaded as mapped
        assert work.title == "First"
    assert SyncLoader(sync_studio).fetch(LoadPlan(Artist), 1).name == "Augusta"


def test_new_objects_are_sealed_and_those_of_the_session_are_not(sync_studio: Engine) -> None:
    """Reading those loaded before the fetch, and somebody may rely on that."""
    with Session(sync_studio) as session:
        ada = session.get_one(Artist, 1)
        artist = SyncLoader(session).fetch_attached(ARTIST_PAGE, 1)
        assert artist is ada
        assert ada.team[0].name == "Bob"
        with pytest.raises(NotLoaded) as caught:
            _ = ada.works[0].tags
        assert caught.value.message == "'Work.tags' is not part of plan 'artist page' (at Artist.works)"
        session.refresh(ada.works[0], ["tags"])
        assert {each.name for each in ada.works[0].tags} == {"red", "blue"}


def test_another_plan_adds_to_the_seal(sync_studio: Engine) -> None:
    with Session(sync_studio) as session:
        loader = SyncLoader(session)
        work = loader.fetch_attached(LoadPlan(Work, only=[Work.title], name="title"), 1)
        loader.fetch_attached(LoadPlan(Work, load(Work.tags), only=[Work.notes], name="tags"), 1)
        assert (work.title, work.notes, len(work.tags)) == ("First", "", 2)
        with pytest.raises(NotLoaded, match=r"plan 'title' .*, nor of plan 'tags'"):
            _ = work.steps
        work.tags.clear()
        session.delete(work)
        session.flush()
        assert session.get(Work, 1) is None


def test_detached_objects_are_extended(sync_studio: Engine) -> None:
    loader = SyncLoader(sync_studio)
    works = loader.fetch_all(LoadPlan(Work, only=[Work.title]), order_by=Work.id)
    assert loader.extend(works, load(Work.tags, load(Tag.works))) == works
    assert {each.name for each in works[0].tags} == {"red", "blue"}
    assert all(work in works for tag in works[0].tags for work in tag.works)
    assert inspect(works[0]).detached
    with pytest.raises(LoaderError):
        loader.fetch_attached(WORK_PAGE, 1)
    with Session(sync_studio) as session:
        held = session.get_one(Work, 1)
        with pytest.raises(RowInSessionError):
            session.add(works[0])
        assert held in session
