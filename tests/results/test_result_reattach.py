"""Back in a session: add and merge, what is flushed then, and above all what is not deleted."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from results_models import (
    BRIEF,
    FORUM,
    MEMBER,
    TOPIC,
    TOPICS,
    Base,
    Card,
    Label,
    Member,
    Reply,
    Topic,
    topic_labels,
)
from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import Statements, recording


async def counts(engine: AsyncEngine) -> dict[str, int]:
    """How many rows each table has."""
    async with engine.connect() as connection:
        return {
            name.removeprefix("res_"): (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in Base.metadata.tables.items()
        }


WHOLE = {"members": 2, "moderators": 1, "cards": 1, "topics": 3, "replies": 3, "labels": 2, "topic_labels": 3}


def writes(statements: Statements) -> list[str]:
    return [sql for sql in statements if not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE"))]


@pytest.mark.parametrize("plan", [FORUM, TOPICS, MEMBER, BRIEF], ids=lambda plan: plan.label)
@pytest.mark.parametrize("way", ["add", "merge", "merge where it is loaded", "merge pickled"])
async def test_putting_back_what_nobody_changed_writes_nothing(
    forum: AsyncEngine, way: str, plan: LoadPlan[Member]
) -> None:
    """Nothing that was not loaded is taken for empty, whatever the cascade."""
    member = await Loader(forum).fetch(plan, 1)
    if way == "merge pickled":
        member = pickle.loads(pickle.dumps(member))
    async with AsyncSession(forum) as session:
        if way == "merge where it is loaded":
            own = await session.get_one(Member, 1)
            await session.refresh(own, ["topics", "card"])
        if way == "add":
            session.add(member)
        else:
            merged = await session.merge(member)
            assert merged is not member
            assert merged in session
        with recording(forum) as statements:
            await session.commit()
        assert writes(statements) == []
    assert await counts(forum) == WHOLE


@pytest.mark.parametrize("merge", [False, True], ids=["add", "merge"])
@pytest.mark.parametrize("plan", [FORUM, BRIEF], ids=lambda plan: plan.label)
async def test_a_changed_column_is_one_update_of_that_column(
    forum: AsyncEngine, merge: bool, plan: LoadPlan[Member]
) -> None:
    member = await Loader(forum).fetch(plan, 1)
    member.name = "changed"
    async with AsyncSession(forum) as session:
        if merge:
            await session.merge(member)
        else:
            session.add(member)
        with recording(forum) as statements:
            await session.commit()
    (update,) = writes(statements)
    assert update.startswith("UPDATE res_members SET name=")
    assert "," not in update.split("WHERE")[0]
    assert await counts(forum) == WHOLE
    assert (await Loader(forum).fetch(MEMBER, 1)).name == "changed"


async def test_a_column_that_was_not_loaded_can_be_written(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(BRIEF, 1)
    member.email = "new@example.org"
    async with AsyncSession(forum) as session:
        session.add(member)
        with recording(forum) as statements:
            await session.commit()
    assert len(writes(statements)) == 1
    assert (await Loader(forum).fetch(MEMBER, 1)).email == "new@example.org"


async def test_an_appended_child_is_one_insert(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        member.topics[0].replies.append(Reply(id=150, text="new"))
        with recording(forum) as statements:
            await session.commit()
    (insert,) = writes(statements)
    assert insert.startswith("INSERT INTO res_replies")
    assert await counts(forum) == WHOLE | {"replies": 4}


async def test_a_label_tied_is_one_row_of_the_association(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        member.topics[1].labels.append(member.topics[0].labels[0])
        with recording(forum) as statements:
            await session.commit()
    (insert,) = writes(statements)
    assert insert.startswith("INSERT INTO res_topic_labels")


async def test_a_removed_child_is_deleted_with_what_hangs_below(forum: AsyncEngine) -> None:
    """delete-orphan, on a collection that was loaded whole: what the caller removes goes, and nothing else."""
    member = await Loader(forum).fetch(TOPICS, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        del member.topics[0]
        await session.commit()
    assert await counts(forum) == WHOLE | {"topics": 2, "replies": 1, "topic_labels": 1}


@pytest.mark.parametrize("plan", [FORUM, TOPICS, MEMBER, BRIEF], ids=lambda plan: plan.label)
@pytest.mark.parametrize("merge", [False, True], ids=["add", "merge"])
async def test_delete_cascades_to_what_was_loaded_and_what_was_not(
    forum: AsyncEngine, plan: LoadPlan[Member], merge: bool
) -> None:
    """The unit of work must see the children to delete them first: the seal lets it."""
    member = await Loader(forum).fetch(plan, 1)
    async with AsyncSession(forum) as session:
        if merge:
            member = await session.merge(member)
        else:
            session.add(member)
        await session.delete(member)
        await session.commit()
    assert await counts(forum) == {
        "members": 1,
        "moderators": 1,
        "cards": 0,
        "topics": 1,
        "replies": 0,
        "labels": 2,
        "topic_labels": 0,
    }


async def test_delete_of_a_detached_object_cascades_as_well(forum: AsyncEngine) -> None:
    """session.delete() takes the detached object itself."""
    topic = await Loader(forum).fetch(LoadPlan(Topic), 11)
    async with AsyncSession(forum) as session:
        await session.delete(topic)
        await session.commit()
    assert await counts(forum) == WHOLE | {"topics": 2, "replies": 1, "topic_labels": 1}


async def test_delete_of_a_row_of_a_subclass_reaches_both_tables(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(BRIEF, 2)
    async with AsyncSession(forum) as session:
        session.add(member)
        await session.delete(member)
        await session.commit()
    assert await counts(forum) == WHOLE | {"members": 1, "moderators": 0, "topics": 2}


async def test_delete_of_a_label_clears_the_association(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(LoadPlan(Topic, load(Topic.labels)), 11)
    async with AsyncSession(forum) as session:
        session.add(topic)
        await session.delete(topic.labels[1])
        await session.commit()
    assert await counts(forum) == WHOLE | {"labels": 1, "topic_labels": 1}


async def test_refresh_reads_the_row_again(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(TOPICS, 1)
    async with AsyncSession(forum) as other:
        (await other.get_one(Member, 1)).name = "changed"
        other.add(Topic(id=50, title="new", author_id=1))
        await other.commit()
    async with AsyncSession(forum) as session:
        session.add(member)
        await session.refresh(member)
        assert member.name == "changed"
        await session.refresh(member, ["topics", "biography", "card"])
        assert [topic.id for topic in member.topics] == [11, 12, 50]
        assert member.biography == "long"
        assert member.card is not None


async def test_after_a_commit_that_expires_the_object_is_read_again(forum: AsyncEngine) -> None:
    """SQLAlchemy's own rules from here on: columns by refresh, relationships by name."""
    member = await Loader(forum).fetch(TOPICS, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        member.name = "changed"
        await session.commit()
        assert inspect(member).expired
        await session.refresh(member)
        assert member.name == "changed"
        await session.refresh(member, ["topics"])
        assert [topic.id for topic in member.topics] == [11, 12]
        with pytest.raises(NotLoaded):
            _ = member.card


async def test_rollback_after_a_change(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(TOPICS, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        member.name = "changed"
        await session.flush()
        await session.rollback()
        await session.refresh(member)
        assert member.name == "Ann"


async def test_merge_into_a_session_that_holds_the_row_brings_the_changes(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(TOPICS, 1)
    member.name = "from outside"
    member.topics[0].title = "from outside too"
    async with AsyncSession(forum) as session:
        own = await session.get_one(Member, 1)
        await session.refresh(own, ["topics", "biography"])
        merged = await session.merge(member)
        assert merged is own
        assert own.name == "from outside"
        assert own.topics[0].title == "from outside too"
        assert own.biography == "long"
        await session.commit()
    stored = await Loader(forum).fetch(TOPICS, 1)
    assert (stored.name, stored.topics[0].title) == ("from outside", "from outside too")
    assert await counts(forum) == WHOLE


async def test_merge_of_a_one_to_one_whose_far_side_is_not_loaded(forum: AsyncEngine) -> None:
    """Setting card.member on the merged card has SQLAlchemy look at member.card: that is not the caller's doing."""
    card = await Loader(forum).fetch(LoadPlan(Card, load(Card.member)), 1)
    async with AsyncSession(forum) as session:
        merged = await session.merge(card)
        assert merged.member.name == "Ann"
        await session.commit()
    assert await counts(forum) == WHOLE


async def test_merge_does_not_seal_the_objects_of_the_session(forum: AsyncEngine) -> None:
    """What the caller's own object could load before the merge, it can load after it."""
    member = await Loader(forum).fetch(BRIEF, 1)
    async with AsyncSession(forum) as session:
        own = await session.get_one(Member, 1)
        assert await session.merge(member) is own
        topics = await session.run_sync(lambda _: [topic.id for topic in own.topics])
        assert topics == [11, 12]


async def test_merge_without_loading(forum: AsyncEngine) -> None:
    """load=False takes the object's word for it; a clean one is welcome."""
    member = await Loader(forum).fetch(FORUM, 1)
    async with AsyncSession(forum) as session:
        with recording(forum) as statements:
            merged = await session.merge(member, load=False)
        assert statements == []
        assert [topic.title for topic in merged.topics] == ["one", "two"]
        await session.commit()
    assert await counts(forum) == WHOLE


async def test_the_session_it_was_fetched_on_takes_it(forum: AsyncEngine) -> None:
    """As long as that session has no other object for the row."""
    async with AsyncSession(forum) as session:
        member = await Loader(session).fetch(FORUM, 1)
        session.add(member)
        member.topics[0].replies[0].text = "changed"
        await session.commit()
    assert (await Loader(forum).fetch(FORUM, 1)).topics[0].replies[0].text == "changed"


async def test_a_new_parent_for_a_loaded_child(forum: AsyncEngine) -> None:
    """The child's own key is written once; neither parent's other children are touched."""
    async with AsyncSession(forum) as session:
        topic = await Loader(session).fetch(LoadPlan(Topic), 12)
        member = await Loader(session).fetch(MEMBER, 2)
        session.add_all([topic, member])
        topic.author = member
        with recording(forum) as statements:
            await session.commit()
    assert len(writes(statements)) == 1
    assert [each.id for each in (await Loader(forum).fetch(TOPICS, 2)).topics] == [12, 13]
    assert await counts(forum) == WHOLE


Touch = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("plan", "row", "change", "expected"),
    [
        (MEMBER, 1, lambda member: setattr(member, "card", None), {"cards": 0}),
        (LoadPlan(Topic), 11, lambda topic: Reply(id=160, topic=topic), {"replies": 4}),
        (
            LoadPlan(Label),
            1,
            lambda label: Topic(id=60, title="t", author_id=2, labels=[label]),
            {"topics": 4, "topic_labels": 4},
        ),
        (LoadPlan(Card), 1, lambda card: setattr(card, "id", 1), {}),
    ],
    ids=["an unloaded one-to-one emptied", "a child by its backref", "a link by its backref", "nothing"],
)
async def test_changes_by_way_of_unloaded_relationships(
    forum: AsyncEngine, plan: LoadPlan[Any], row: int, change: Touch, expected: dict[str, int]
) -> None:
    async with AsyncSession(forum) as session:
        entity = await Loader(session).fetch(plan, row)
        session.add(entity)
        made = await session.run_sync(lambda sync: change(entity))
        if made is not None:
            session.add(made)
        await session.commit()
    assert await counts(forum) == WHOLE | expected


async def test_the_topic_of_a_reply_that_came_along_is_one_object(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(TOPIC, 11)
    async with AsyncSession(forum) as session:
        session.add(topic)
        assert topic.author in session
        assert all(reply in session and reply.topic is topic for reply in topic.replies)
        rows = (await session.execute(select(topic_labels.c.topic_id).distinct())).scalars()
        assert sorted(rows) == [11, 12]
