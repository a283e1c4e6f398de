"""``extend``: what is missing comes onto objects that are there."""

import copy
import pickle
from typing import Any

import pytest
from attached_models import ARTIST_PAGE, WORK_PAGE, Artist, Label, Sculptor, Size, Step, Tag, Work
from sqlalchemy import JSON, String, bindparam, cast, delete, event, inspect, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import with_loader_criteria

from loadplan import FetchRecord, Loader, LoaderError, LoadPlan, NotFound, NotLoaded, PlanError, TooManyRows, load, on
from support import in_one, recording

NAMES = LoadPlan(Artist, only=[Artist.name], name="names")


def refused(entity: Any, name: str) -> str:
    """Return what the error says of an attribute that cannot be read."""
    with pytest.raises(NotLoaded) as caught:
        getattr(entity, name)
    return caught.value.message


async def test_a_collection_comes_in_one_statement(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(NAMES, 1)
    with recording(studio) as statements:
        assert await loader.extend(ada, load(Artist.works)) is ada
    assert len(statements.selects) == 1
    assert [each.title for each in ada.works] == ["First", "Second"]
    assert ada.works[0].artist is ada
    assert inspect(ada).detached
    assert not inspect(ada).modified


async def test_many_objects_and_levels_take_a_statement_each(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    artists = await loader.fetch_many(NAMES, [2, 1, 2])
    with recording(studio) as statements:
        again = await loader.extend(artists, load(Artist.works, load(Work.tags), load(Work.steps)))
    assert len(statements.selects) == (2 if studio.dialect.name == "postgresql" else 3)
    assert [each.name for each in again] == ["Bob", "Ada", "Bob"]
    assert all(one is other for one, other in zip(again, artists, strict=True))
    ada = again[1]
    assert [[each.name for each in sorted(work.tags, key=lambda tag: tag.name)] for work in ada.works] == [
        ["blue", "red"],
        ["red"],
    ]
    (red,) = ada.works[1].tags
    assert red in ada.works[0].tags


LOADS: list[tuple[Any, ...]] = [
    (load(Artist.works),),
    (load(Artist.works, load(Work.tags), load(Work.steps)), load(Artist.team)),
    (load(Artist.boss), load(Artist.works, order_by=Work.title, limit=1)),
    (ARTIST_PAGE,),
]


@pytest.mark.parametrize("loads", LOADS, ids=["collection", "several", "limit", "plan"])
@pytest.mark.parametrize("roots", [1, 2])
async def test_explain_foretells_the_statements(studio: AsyncEngine, loads: tuple[Any, ...], roots: int) -> None:
    loader = Loader(studio)
    artists = await loader.fetch_many(NAMES, [1, 2][:roots])
    foretold = loader.explain(LoadPlan(Artist, *loads), call="extend", roots=roots)
    with recording(studio) as statements:
        await loader.extend(artists, *loads)
    assert foretold.plan == "extend(Artist)"
    assert len(statements.selects) == foretold.statements == len(foretold.sql)
    for sent, told in zip(statements.selects, foretold.sql, strict=True):
        assert sent.partition("FROM")[2].split("WHERE")[0] == told.sql.partition("FROM")[2].split("WHERE")[0]


async def test_explain_says_why_an_extension_joins(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    (works,) = loader.explain(LoadPlan(Artist, load(Artist.works), only=[]), call="extend", roots=50).edges
    if studio.dialect.name == "postgresql":
        assert works.strategy == "nested array"
    else:
        assert works.strategy == "left join"
        assert works.reason == "joins the rows of the objects, which saves a statement"
    assert loader.explain(LoadPlan(Artist, only=[Artist.biography]), call="extend").columns == (
        "biography",
        "id",
        "kind",
    )
    for plan, said in (
        (LoadPlan(Artist), "nothing to load"),
        (LoadPlan(Artist, load(Artist.works), defer=[Artist.name]), "the plan has defer="),
    ):
        with pytest.raises(LoaderError, match=said):
            loader.explain(plan, call="extend")


async def test_what_is_there_stays_unless_refreshed(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(ARTIST_PAGE, 1)
    works, first = ada.works, ada.works[0]
    async with studio.begin() as connection:
        await connection.execute(update(Work.__table__).values(title="other"))
        await connection.execute(delete(Step.__table__))
    first.notes = "mine"
    await loader.extend(ada, load(Artist.works, load(Work.steps)))
    assert ada.works is works
    assert (first.title, first.notes, first.steps) == ("First", "mine", [])
    await loader.extend(ada, load(Artist.works), refresh=True)
    assert ada.works is works
    assert (first.title, first.notes) == ("other", "mine")


@pytest.mark.parametrize("part", ["limit", "where", "criteria"])
async def test_a_part_of_a_collection_becomes_the_whole(studio: AsyncEngine, part: str) -> None:
    """``extend`` names the collection without filter or limit; after that it is no part, and merge takes it."""
    shapes: dict[str, Any] = {"limit": {"order_by": Work.title, "limit": 1}, "where": {"where": Work.title == "First"}}
    plan = LoadPlan(Artist, load(Artist.works, **shapes.get(part, {})), name="part")
    async with AsyncSession(studio) as session:
        if part == "criteria":
            event.listen(
                session.sync_session,
                "do_orm_execute",
                lambda state: setattr(
                    state, "statement", state.statement.options(with_loader_criteria(Work, Work.title == "First"))
                ),
            )
        ada = await Loader(session).fetch(plan, 1)
    first = ada.works[0]
    assert [each.title for each in ada.works] == ["First"]
    loader = Loader(studio)
    await loader.extend(ada, load(Artist.works, load(Work.tags)))
    assert [each.title for each in ada.works] == ["First", "Second"]
    assert ada.works[0] is first
    assert not inspect(ada).modified
    async with AsyncSession(studio) as session:
        await session.merge(ada)
        await session.commit()
    whole = await loader.fetch(LoadPlan(Artist, load(Artist.works)), 1)
    assert [each.title for each in whole.works] == ["First", "Second"]


async def test_one_row_stays_one_object(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(ARTIST_PAGE, 1)
    await loader.extend(ada, load(Artist.works, load(Work.tags, load(Tag.works, load(Work.artist)))))
    for work in ada.works:
        for tag in work.tags:
            assert all(each in ada.works for each in tag.works)
            assert all(each.artist is ada for each in tag.works)


async def test_the_seal_knows_both_plans(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(NAMES, 1)
    await loader.extend(ada, load(Artist.works, only=[Work.title]))
    said = "'Artist.team' is not part of plan 'names' (at its root), nor of plan 'extend(Artist)' (at its root)"
    assert refused(ada, "team") == said
    assert refused(ada.works[0], "notes") == "'Work.notes' is not part of plan 'extend(Artist)' (at Artist.works)"
    for each in (pickle.loads(pickle.dumps(ada)), copy.deepcopy(ada)):
        assert [work.title for work in each.works] == ["First", "Second"]
        assert not inspect(each).modified
        assert refused(each, "team") == said
    with pytest.raises(NotLoaded) as caught:
        _ = ada.team
    assert caught.value.hint == "add load(Artist.team) to the plan"
    assert (caught.value.plan, caught.value.attribute) == ("names", "team")


async def test_to_ones_and_columns(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    works = await loader.fetch_many(LoadPlan(Work, only=[Work.title]), [1, 3])
    with recording(studio) as statements:
        await loader.extend(works, load(Work.artist), load(Work.sheet), only=[Work.notes, Work.width, Work.height])
    assert len(statements.selects) == 1
    assert [each.artist and each.artist.name for each in works] == ["Ada", "Bob"]
    assert [each.sheet is None for each in works] == [False, True]
    assert [(each.notes, each.size) for each in works] == [("", Size(1, 2)), ("", Size(1, 2))]
    ada = works[0].artist
    assert ada is not None
    assert refused(ada, "biography").startswith("'Artist.biography' is not part")
    await loader.extend(ada, only=[Artist.biography])
    assert ada.biography == "long"


async def test_objects_of_a_session(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        loader = Loader(session)
        ada = await session.get_one(Artist, 1)
        second = await session.get_one(Work, 2)
        second.title = "mine"
        with session.no_autoflush:
            await loader.extend(ada, load(Artist.works, load(Work.labels)))
        assert ada.works[1] is second
        assert second.title == "mine"
        assert set(ada.works[0].labels) == {"de", "en"}
        assert set(session.dirty) == {second}
        assert refused(ada, "team").startswith("'Artist.team' is not part of plan 'extend(Artist)'")
        with pytest.raises(PlanError) as caught:
            await loader.extend(ada, load(Artist.works, limit=1))
        assert caught.value.code == "LP221"
        await session.commit()
        assert "has expired" in refused(ada, "works")
        await loader.extend([ada], load(Artist.works))
        assert [each.title for each in ada.works] == ["First", "mine"]
        assert ada.name == "Ada"


async def test_after_a_commit_an_extension_shows_the_new_state(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await Loader(session).fetch_attached(WORK_PAGE, 1)
        work.artist_id = 2
        await session.commit()
        await Loader(session).extend(work, load(Work.artist))
        assert work.artist is not None
        assert (work.title, work.artist.name) == ("First", "Bob")


async def test_parts_and_parameters_on_detached_objects(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(NAMES, 1)
    some = load(Artist.works, where=Work.title == bindparam("title"))
    await loader.extend(ada, some, params={"title": "Second"})
    assert [each.title for each in ada.works] == ["Second"]
    async with AsyncSession(studio) as session:
        with pytest.raises(Exception, match="LP409"):
            await session.merge(ada)
    await loader.extend(ada, load(Artist.works), refresh=True)
    assert [each.title for each in ada.works] == ["First", "Second"]
    async with AsyncSession(studio) as session:
        await session.merge(ada)


async def test_subclasses_of_one_class(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    artists = await loader.fetch_all(LoadPlan(Artist), order_by=Artist.id)
    await loader.extend(artists, on(Sculptor), load(Artist.boss))
    ada, bob = artists
    assert isinstance(bob, Sculptor)
    assert (bob.stone, bob.boss, ada.boss) == ("marble", ada, None)


@pytest.mark.parametrize("ids", [[1, 2], [2], [1]])
async def test_a_branch_holds_whatever_classes_the_objects_have(studio: AsyncEngine, ids: list[int]) -> None:
    loader = Loader(studio)
    artists = await loader.fetch_many(NAMES, ids)
    await loader.extend(artists, on(Sculptor, load(Sculptor.team), only=[Sculptor.stone]), load(Artist.boss))
    for each in artists:
        assert each.boss is None or each.boss.id == 1
        if isinstance(each, Sculptor):
            assert (each.stone, each.team) == ("marble", [])
        else:
            assert refused(each, "team").startswith("'Artist.team' is not part")
    with pytest.raises(PlanError) as caught:
        await loader.extend(artists, on(Artist, load(Artist.works)))
    assert caught.value.code == "LP210"


async def test_expired_columns_of_subclasses_come_along(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        loader = Loader(session)
        artists = [await loader.fetch_attached(LoadPlan(Artist, on(Sculptor)), each) for each in (1, 2)]
        for given in (artists, artists[1:]):
            await session.commit()
            await loader.extend(given, load(Artist.works))
            assert isinstance(given[-1], Sculptor)
            assert (given[-1].name, given[-1].stone) == (artists[1].name, "marble")
        await session.commit()
        assert isinstance(artists[1], Sculptor)
        await loader.extend(artists[1], on(Sculptor, load(Sculptor.team)))
        assert (artists[1].team, artists[1].stone) == ([], "marble")


async def test_equal_values_of_other_types_are_other_extensions(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    for value, number in ((1, 2), (True, 0), (1.0, 0), (1, 2)):
        as_text = cast(bindparam("value", value, type_=JSON), String)
        ada = await loader.extend(await loader.fetch(NAMES, 1), load(Artist.works, where=as_text == "1"))
        assert len(ada.works) == number, value


async def test_mixed_classes_and_deleted_rows_are_told_apart(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada, work = await loader.fetch(NAMES, 1), await loader.fetch(LoadPlan(Work), 2)
    with pytest.raises(LoaderError) as mixed:
        await loader.extend([ada, work], load(Artist.works))
    assert mixed.value.code == "LP416"
    assert "the objects are of different classes: Artist, Work" in mixed.value.message
    first = await loader.fetch(LoadPlan(Work), 1)
    async with studio.begin() as connection:
        await connection.execute(text("DELETE FROM att_work_tags WHERE work_id = 2"))
        await connection.execute(delete(Work.__table__).where(Work.__table__.c.id == 2))
    with pytest.raises(NotFound) as gone:
        await loader.extend([first, work], load(Work.steps))
    assert gone.value.missing == (2,)
    assert gone.value.message == "no 'Work' has the primary key 2 any more"
    assert refused(first, "steps").endswith("(at its root)")


async def test_an_object_that_its_session_deleted(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        work = await session.get_one(Work, 3)
        await session.delete(work)
        await session.flush()
        for _ in range(2):
            with pytest.raises(NotFound) as caught:
                await Loader(session).extend(work, load(Work.steps))
            assert caught.value.missing == (3,)
            await session.commit()


async def test_an_empty_collection_is_no_deleted_row(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    work = await loader.extend(await loader.fetch(LoadPlan(Work), 3), load(Work.steps), load(Work.tags))
    assert work.steps == []
    assert work.tags == set()


async def test_wrong_objects_are_refused(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    ada = await loader.fetch(NAMES, 1)
    assert await loader.extend([], load(Artist.works)) == []
    for wrong in ([None], 5, "ada", [ada, "x"], [Artist(name="new")], Artist(name="new")):
        with pytest.raises(LoaderError) as caught:
            await loader.extend(wrong, load(Artist.works))  # type: ignore[call-overload]
        assert caught.value.code == "LP416", wrong
    with pytest.raises(LoaderError):
        await loader.extend(ada)
    with pytest.raises(PlanError):
        await loader.extend(ada, load(Work.steps))
    with pytest.raises(PlanError):
        await loader.extend(ada, load(Artist.works, only=["title"]))
    async with AsyncSession(studio) as session, AsyncSession(studio) as other:
        inside = await session.get_one(Artist, 1)
        for wrong_bind in (loader, Loader(other)):
            with pytest.raises(LoaderError) as caught:
                await wrong_bind.extend(inside, load(Artist.works))
            assert "is in a session that is not the one of this loader" in caught.value.message
        with pytest.raises(LoaderError) as caught:
            await Loader(session).extend([inside, ada], load(Artist.works))
        assert "some of the objects are in a session" in caught.value.message


async def test_a_refused_object_names_the_plan_that_loaded_it(studio: AsyncEngine) -> None:
    plan = LoadPlan(Artist, load(Artist.works), name="artist page")
    ada = await Loader(studio).fetch(plan, 1)
    with pytest.raises(LoaderError) as caught:
        await Loader(studio).extend(copy.copy(ada.works[0]), load(Work.steps))
    assert str(caught.value) == (
        "LP416: extend() cannot use what it was given: a 'Work' is a shallow copy, which shares its state with the "
        "original\n"
        "  at: artist page > Artist.works\n"
        "  hint: pass the original, or copy objects with copy.deepcopy()."
    )
    async with AsyncSession(studio) as session:
        inside = await Loader(session).fetch_attached(plan, 1)
        with pytest.raises(LoaderError) as caught:
            await Loader(session).extend([inside, ada], load(Artist.works))
        assert str(caught.value) == (
            "LP416: extend() cannot use what it was given: some of the objects are in a session, and others are not "
            "in it\n"
            "  at: artist page\n"
            "  detail: one of those in a session is a 'Artist'.\n"
            "  hint: call extend() once for the objects of each session, and once for detached ones."
        )
        with pytest.raises(LoaderError) as caught:
            await Loader(studio).extend(inside, load(Artist.works))
        assert str(caught.value) == (
            "LP416: extend() cannot use what it was given: the 'Artist' is in a session that is not the one of this "
            "loader\n"
            "  at: artist page\n"
            "  hint: make the loader with that session: Loader(session).extend(...)."
        )


async def test_a_detached_object_may_be_extended_in_a_transaction(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        ada = await Loader(session).fetch(NAMES, 1)
        session.add(Work(id=8, title="Not committed", artist_id=1))
        await Loader(session).extend(ada, load(Artist.works))
        assert [each.title for each in ada.works] == ["First", "Second", "Not committed"]
        assert inspect(ada).detached
        assert inspect(ada.works[0]).detached
        await session.rollback()


async def test_composite_keys_and_kept_collections(studio: AsyncEngine) -> None:
    loader = Loader(studio)
    labels = await loader.fetch_all(LoadPlan(Label), order_by=Label.lang)
    with recording(studio) as statements:
        await loader.extend(labels, load(Label.remarks), load(Label.work, load(Work.labels)))
    assert len(statements.selects) == in_one(studio, 2)
    german, english = labels
    assert [each.text for each in german.remarks] == ["gut"]
    assert english.remarks == []
    assert german.work is english.work
    assert german.work.labels == {"de": german, "en": english}


async def test_limits_reports_and_criteria(studio: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    loader = Loader(studio, on_fetch=records.append)
    ada = await loader.fetch(NAMES, 1)
    await loader.extend(ada, load(Artist.works))
    assert [(each.plan, each.statements) for each in records] == [("names", 1), ("extend(Artist)", 1)]
    with pytest.raises(TooManyRows):
        await Loader(studio, max_rows=2).extend(await loader.fetch(NAMES, 1), load(Artist.works))
    async with AsyncSession(studio) as session:

        def hide(state: Any) -> None:
            if not state.execution_options.get("all"):
                state.statement = state.statement.options(with_loader_criteria(Work, Work.title == "First"))

        event.listen(session.sync_session, "do_orm_execute", hide)
        loader = Loader(session)
        ada = await loader.extend(await loader.fetch(NAMES, 1), load(Artist.works))
        assert [each.title for each in ada.works] == ["First"]
        second = await Loader(studio).fetch(LoadPlan(Work), 2)
        with pytest.raises(NotFound):
            await loader.extend(second, load(Work.steps))
        await loader.extend(second, load(Work.steps), execution_options={"all": True})
        assert second.steps == []


async def test_more_objects_than_one_statement_takes(studio: AsyncEngine) -> None:
    async with AsyncSession(studio) as session:
        session.add_all(Work(id=100 + number, title=str(number), artist_id=1) for number in range(501))
        await session.commit()
    loader = Loader(studio)
    works = await loader.fetch_all(LoadPlan(Work, only=[Work.title]), Work.id >= 100, order_by=Work.id)
    await loader.extend(works, load(Work.artist), load(Work.tags))
    assert len({id(each.artist) for each in works}) == 1
    assert all(each.tags == set() for each in works)
