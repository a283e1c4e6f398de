"""``fetch_attached``: the graph of a plan in the caller's own session."""

import pickle
from typing import Any

import pytest
from attached_models import ARTIST_PAGE, WORK_PAGE, Artist, Label, Remark, Sculptor, Sheet, Size, Step, Tag, Work
from sqlalchemy import delete, event, func, inspect, select, update
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import load_only, raiseload, with_loader_criteria
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.exc import StaleDataError

from loadplan import Loader, LoaderError, LoadPlan, NotFound, NotLoaded, PlanError, load, on
from support import recording


def refused(entity: Any, name: str) -> str:
    """Return what the error says of an attribute that cannot be read."""
    with pytest.raises(NotLoaded) as caught:
        getattr(entity, name)
    return caught.value.message


async def test_the_graph_is_in_the_session_and_complete(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert work in session
        assert work.artist is not None
        assert work.artist in session
        assert [each.title for each in work.artist.works] == ["First", "Second"]
        assert work.artist.works[0] is work
        assert {each.name for each in work.tags} == {"red", "blue"}
        assert {lang: each.text for lang, each in work.labels.items()} == {"de": "Erstes", "en": "First"}
        assert [each.text for each in work.labels["de"].remarks] == ["gut"]
        assert [(each.position, each.text) for each in work.steps] == [(0, "sketch"), (1, "paint")]
        assert work.sheet is not None
        assert work.sheet.work is work
        assert work.size == Size(1, 2)
        assert not session.dirty
        assert not session.new


async def test_it_takes_the_statements_of_a_fetch(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        with recording(studio) as detached:
            await Loader(session).fetch(WORK_PAGE, 1)
        with recording(studio) as attached:
            await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert list(attached) == list(detached)


async def test_a_change_of_each_kind_is_saved(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        work.title = "Changed"
        work.details["b"] = 2
        work.size = Size(7, 8)
        work.labels["fr"] = Label(lang="fr", text="Premier")
        del work.labels["en"]
        work.steps.insert(0, Step(id=9, text="think"))
        work.tags = {each for each in work.tags if each.name == "red"}
        work.sheet = None
        await session.commit()
    work = await Loader(studio).fetch(WORK_PAGE, 1)
    assert (work.title, work.details, work.size, work.version) == ("Changed", {"a": 1, "b": 2}, Size(7, 8), 2)
    assert {lang: each.text for lang, each in work.labels.items()} == {"de": "Erstes", "fr": "Premier"}
    assert [(each.position, each.text) for each in work.steps] == [(0, "think"), (1, "sketch"), (2, "paint")]
    assert {each.name for each in work.tags} == {"red"}
    assert work.sheet is None
    async with AsyncSession(studio) as session:
        assert await session.scalar(select(func.count()).select_from(Sheet)) == 0


async def test_objects_of_the_session_are_used_and_keep_what_they_hold(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        ada = await session.get_one(Artist, 1)
        first = await session.get_one(Work, 1)
        await session.refresh(ada, ["works"])
        works = ada.works
        async with studio.begin() if studio.dialect.name != "sqlite" else session.begin_nested() as other:
            on = other if studio.dialect.name != "sqlite" else session
            await on.execute(update(Work.__table__).where(Work.__table__.c.id == 1).values(notes="by another"))
        first.title = "mine"
        with session.no_autoflush:
            work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert work is first
        assert work.artist is ada
        assert ada.works is works
        assert (work.title, work.notes) == ("mine", "")
        assert {each.name for each in work.tags} == {"red", "blue"}
        assert inspect(work).attrs.title.history.added == ["mine"]
        assert set(session.dirty) == {work}


async def test_refresh_brings_fresh_values_of_what_nobody_changed(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        tags, steps, labels = work.tags, work.steps, work.labels
        table = Work.__table__
        await session.execute(
            update(table).where(table.c.id == 1).values(notes="fresh", title="theirs", details={"c": 3})
        )
        await session.execute(delete(Step.__table__).where(Step.__table__.c.id == 1))
        await session.execute(delete(Remark.__table__))
        await session.execute(delete(Sheet.__table__))
        work.title = "mine"
        gone = next(each for each in work.tags if each.name == "red")
        work.tags.discard(gone)
        with session.no_autoflush:
            assert await Loader(session).fetch_attached(WORK_PAGE, 1) is work
            assert (work.notes, len(work.steps), len(work.labels["de"].remarks)) == ("", 2, 1)
            await Loader(session).fetch_attached(WORK_PAGE, 1, refresh=True)
        assert (work.title, work.notes, work.details, work.sheet) == ("mine", "fresh", {"c": 3}, None)
        assert work.tags is tags
        assert work.labels is labels
        assert work.labels["de"].remarks == []
        assert [each.text for each in work.steps] == ["paint"]
        assert work.steps is not steps
        work.details["d"] = 4
        await session.commit()
    work = await Loader(studio).fetch(WORK_PAGE, 1)
    assert (work.title, work.notes, work.details) == ("mine", "fresh", {"c": 3, "d": 4})
    assert {each.name for each in work.tags} == {"blue"}


async def test_a_version_is_not_refreshed_below_a_change(studio: AsyncEngine) -> None:
    """The change was made to the old version: the flush has to see that somebody else was faster."""
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        table = Work.__table__
        await session.execute(update(table).where(table.c.id == 1).values(version=5))
        work.title = "mine"
        with session.no_autoflush:
            await Loader(session).fetch_attached(WORK_PAGE, 1, refresh=True)
        with pytest.raises(StaleDataError):
            await session.flush()
        await session.rollback()
        work = await Loader(session).fetch_attached(WORK_PAGE, 1, refresh=True)
        work.title = "now"
        await session.commit()


async def test_what_the_plan_does_not_name_raises_where_the_greenlet_is_missing(studio: AsyncEngine) -> None:
    plan = LoadPlan(Work, load(Work.artist, only=[Artist.name]), only=[Work.title], name="title")
    async with AsyncSession(studio) as session:
        ada = await session.get_one(Artist, 1)
        work = await Loader(session).fetch_attached(plan, 1)
        assert work.artist is ada
        assert refused(work, "notes") == "'Work.notes' is not part of plan 'title' (at its root)"
        assert refused(work, "tags") == "'Work.tags' is not part of plan 'title' (at its root)"
        assert refused(ada, "works") == "'Artist.works' is not part of plan 'title' (at Work.artist)"
        assert refused(ada, "biography") == "'Artist.biography' is not part of plan 'title' (at Work.artist)"
        assert {each.name for each in await work.awaitable_attrs.tags} == {"red", "blue"}
        assert await work.awaitable_attrs.notes == ""
        await session.refresh(ada, ["works"])
        assert [each.title for each in ada.works] == ["First", "Second"]
        assert await session.run_sync(lambda _: ada.biography) == "long"
        assert await session.run_sync(lambda _: [each.text for each in work.steps]) == ["sketch", "paint"]


async def test_what_a_commit_expired_raises_and_a_second_fetch_brings_it(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        ada = await session.get_one(Artist, 1)
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        work.title = "Changed"
        await session.commit()
        assert refused(work, "title") == "'Work.title' has expired since it was loaded"
        assert refused(work, "tags") == "'Work.tags' has expired since it was loaded"
        assert refused(ada, "name") == "'Artist.name' has expired since it was loaded"
        assert await session.run_sync(lambda _: work.notes) == ""
        again = await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert again is work
        assert again.title == "Changed"
        assert {each.name for each in again.tags} == {"red", "blue"}
        assert again.artist is ada
        assert ada.name == "Ada"


async def test_a_key_that_was_set_brings_its_row_with_the_next_fetch(studio: AsyncEngine) -> None:
    async with AsyncSession(studio, expire_on_commit=False) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert work.artist is not None
        assert work.artist.name == "Ada"
        work.artist_id = 2
        await session.commit()
        await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert work.artist.name == "Bob"
        assert not session.dirty


async def test_deleted_objects_and_missing_rows(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await session.get_one(Work, 2)
        await session.delete(work)
        with session.no_autoflush:
            assert await Loader(session).fetch_attached(ARTIST_PAGE, 1) is not None
            assert await Loader(session).fetch_attached(LoadPlan(Work), 2) is work
        assert work in session.deleted
        artist = await Loader(session).fetch_attached(ARTIST_PAGE, 1)  # flushes
        with pytest.raises(NotFound):
            await Loader(session).fetch_attached(LoadPlan(Work), 2)
        await Loader(session).fetch_attached(ARTIST_PAGE, 1, refresh=True)
        assert [each.id for each in artist.works] == [1]


async def test_changes_that_wait_for_a_collection_are_in_it(studio: AsyncEngine) -> None:
    async with AsyncSession(studio, autoflush=False) as session:
        ada, second = await session.get_one(Artist, 1), await session.get_one(Work, 2)
        draft = Work(id=7, title="Draft", artist=ada)
        session.add(draft)
        second.artist = None
        artist = await Loader(session).fetch_attached(ARTIST_PAGE, 1)
        assert artist is ada
        assert [each.title for each in artist.works] == ["First", "Draft"]
        await session.flush()
        assert await session.scalar(select(func.count()).select_from(Work).where(Work.artist_id == 1)) == 2


async def test_partly_loaded_objects_are_completed(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await session.scalar(select(Work).where(Work.id == 1).options(load_only(Work.title), raiseload("*")))
        assert work is not None
        found = await Loader(session).fetch_attached(LoadPlan(Work, load(Work.tags), name="tags"), 1)
        assert found is work
        assert (work.notes, len(work.tags), work.size) == ("", 2, Size(1, 2))
        work.details["x"] = 1
        assert work in session.dirty
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):  # as the statement that loaded it said
            await work.awaitable_attrs.steps


async def test_classes_of_an_inheritance(studio: AsyncEngine) -> None:
    plan = LoadPlan(Artist, load(Artist.team, on(Sculptor), load(Artist.boss)), load(Artist.boss), name="team")
    async with AsyncSession(studio) as session:
        bob = await session.get_one(Artist, 2)
        ada = await Loader(session).fetch_attached(plan, 1)
        assert ada.team == [bob]
        assert bob.boss is ada
        assert isinstance(bob, Sculptor)
        assert bob.stone == "marble"
        assert ada.boss is None


async def test_parts_views_and_other_binds_are_refused(studio: AsyncEngine) -> None:
    class Title:
        title: str

    async with AsyncSession(studio) as session:
        loader = Loader(session)
        parts = LoadPlan(
            Artist, load(Artist.works, load(Work.tags, where=Tag.name == "red"), limit=1), name="some works"
        )
        with pytest.raises(PlanError) as caught:
            await loader.fetch_attached(parts, 1)
        assert [each.code for each in caught.value.problems] == ["LP221", "LP221"]
        assert caught.value.problems[0].message == "'Artist.works' would hold only some of its rows in your session"
        assert not session.in_transaction()
    for bind in (studio, async_sessionmaker(studio)):
        with pytest.raises(LoaderError) as refusal:
            await Loader(bind).fetch_attached(ARTIST_PAGE, 1)
        assert refusal.value.code == "LP408"
    async with studio.connect() as connection:
        with pytest.raises(LoaderError):
            await Loader(connection).fetch_attached(ARTIST_PAGE, 1)


async def test_events_are_told_of_what_came(studio: AsyncEngine) -> None:
    told: list[tuple[str, int]] = []

    def loaded(target: Any, context: Any) -> None:
        told.append(("load", target.id))

    def refreshed(target: Any, context: Any, attrs: Any) -> None:
        told.append(("refresh", target.id))

    def persistent(session: Any, target: Any) -> None:
        told.append(("persistent", target.id))

    event.listen(Work, "load", loaded)
    event.listen(Work, "refresh", refreshed)
    try:
        async with AsyncSession(studio) as session:
            held = await session.get_one(Work, 1)
            event.listen(session.sync_session, "loaded_as_persistent", persistent)
            told.clear()
            await Loader(session).fetch_attached(ARTIST_PAGE.also(load(Artist.works, load(Work.sheet))), 1)
            assert held in session
    finally:
        event.remove(Work, "load", loaded)
        event.remove(Work, "refresh", refreshed)
    assert sorted(told) == [("load", 2), ("persistent", 1), ("persistent", 1), ("persistent", 2), ("refresh", 1)]


async def test_mapped_lazy_settings_hold_where_loading_is_allowed(studio: AsyncEngine) -> None:
    """Plain SQLAlchemy raises MissingGreenlet; the many-to-one that the session has needs no SQL."""
    async with AsyncSession(studio) as session:
        work = await session.get_one(Work, 1)
        with pytest.raises((MissingGreenlet, StatementError)):
            _ = work.tags
        ada = await session.get_one(Artist, 1)
        await Loader(session).fetch_attached(LoadPlan(Work), 1)
        assert work.artist is ada
        assert "SQL" not in refused(work, "tags")


async def test_a_rolled_back_session_goes_on(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        work.title = "never"
        await session.rollback()
        assert "has expired" in refused(work, "title")
        await Loader(session).fetch_attached(WORK_PAGE, 1)
        assert work.title == "First"


async def test_criteria_hold(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:

        def only_first(state: Any) -> None:
            criteria = with_loader_criteria(Work, Work.title == "First")
            state.statement = state.statement.options(criteria)

        event.listen(session.sync_session, "do_orm_execute", only_first)
        artist = await Loader(session).fetch_attached(ARTIST_PAGE, 1)
        assert [each.title for each in artist.works] == ["First"]
        with pytest.raises(NotFound):
            await Loader(session).fetch_attached(WORK_PAGE, 2)


async def test_locks_need_no_other_session(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session, session.begin():
        with recording(studio) as statements:
            await Loader(session).fetch_attached(WORK_PAGE, 1, for_update=True)
        if studio.dialect.name == "postgresql":
            assert "FOR UPDATE OF att_works" in statements[0]


async def test_who_locks_a_row_sees_its_values(studio: AsyncEngine) -> None:
    """Also where the session had the row before; ``refresh=False`` says otherwise, and changes of the session stay."""
    async with AsyncSession(studio, autoflush=False) as session, session.begin():
        work = await session.get_one(Work, 1)
        work.notes = "mine"
        values = {"title": "of somebody else", "notes": "lost"}
        await session.execute(update(Work.__table__).where(Work.id == 1).values(values))  # type: ignore[arg-type]
        loader = Loader(session)
        for keeps in (
            {},
            {"for_update": False},
            {"for_update": True, "refresh": False},
            {"for_update": {"nowait": True}, "refresh": False},
        ):
            assert await loader.fetch_attached(WORK_PAGE, 1, **keeps) is work  # type: ignore[arg-type]
            assert (work.title, work.notes) == ("First", "mine")
        await loader.fetch_attached(WORK_PAGE, 1, for_update=True)
        assert (work.title, work.notes) == ("of somebody else", "mine")


async def test_a_value_changed_in_place_stays(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await session.get_one(Work, 1)
        work.details["mine"] = True
        flag_modified(work, "title")
        with session.no_autoflush:
            await Loader(session).fetch_attached(WORK_PAGE, 1, refresh=True)
        assert work.details == {"a": 1, "mine": True}
        await session.commit()
    assert (await Loader(studio).fetch(WORK_PAGE, 1)).details == {"a": 1, "mine": True}


async def test_an_object_of_which_little_is_loaded_is_deleted_with_its_children(studio: AsyncEngine) -> None:
    """The unit of work loads what it has to see, in its greenlet."""
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(LoadPlan(Work, only=[Work.title]), 1)
        await session.delete(work)
        await session.commit()
        assert await session.scalar(select(func.count()).select_from(Step)) == 0
        assert await session.scalar(select(func.count()).select_from(Work)) == 2
    with pytest.raises(NotLoaded):
        _ = work.notes


async def test_a_closed_session_leaves_sealed_objects(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(LoadPlan(Work, load(Work.steps), name="steps"), 1)
        await session.commit()
    assert "has expired" in refused(work, "title")
    assert "is not part of plan 'steps'" in refused(work, "tags")
    copied = pickle.loads(pickle.dumps(work))
    assert "is not part of plan 'steps'" in refused(copied, "tags")
    for each in (work, copied):
        await Loader(studio).extend(each, load(Work.steps), load(Work.tags))
        assert (each.title, len(each.steps), len(each.tags)) == ("First", 2, 2)
        assert "is not part of plan 'steps' (at its root), nor of plan 'extend(Work)'" in refused(each, "labels")


async def test_what_is_set_without_being_loaded(studio: AsyncEngine) -> None:
    """A collection is read before it is set, where plain SQLAlchemy raises MissingGreenlet; a to-one by the flush."""
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(LoadPlan(Work, name="work"), 1)
        with pytest.raises(NotLoaded):
            work.steps = []
        work.sheet = None
        work.artist = None
        await session.commit()
    async with AsyncSession(studio) as session:
        assert (await session.get_one(Work, 1)).artist_id is None
        assert await session.scalar(select(func.count()).select_from(Step)) == 2
        assert await session.scalar(select(func.count()).select_from(Sheet)) == 0


async def test_what_a_flush_expired_raises(studio: AsyncEngine) -> None:
    """The database computes the stamp as it updates the row."""
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        work.title = "Changed"
        await session.flush()
        assert work.title == "Changed"
        if "stamp" not in work.__dict__:  # some databases return it with the update
            assert refused(work, "stamp") == "'Work.stamp' has expired since it was loaded"
            await Loader(session).extend(work)
        assert work.stamp == "changed"
