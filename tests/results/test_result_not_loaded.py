"""NotLoaded: whatever a plan does not name says so, on whatever way the object has gone since."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from results_models import BRIEF, FORUM, MEMBER, TOPIC, TOPICS, Card, Label, Member, Moderator, Reply, Topic
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, LoadPlanError, NotLoaded, load
from support import recording


def text_of(touch: Callable[[], object]) -> str:
    with pytest.raises(NotLoaded) as caught:
        touch()
    return str(caught.value)


WAYS: dict[str, Callable[[Any], Any]] = {
    "as fetched": lambda entity: entity,
    "pickled": lambda entity: pickle.loads(pickle.dumps(entity)),
    "deep-copied": copy.deepcopy,
    "copied": copy.copy,
    "pickled twice": lambda entity: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(entity)))),
}


@pytest.mark.parametrize("attached", [False, True], ids=["detached", "re-attached"])
@pytest.mark.parametrize("way", WAYS)
async def test_relationships_and_columns_name_plan_place_and_remedy(
    forum: AsyncEngine, way: str, attached: bool
) -> None:
    topic = WAYS[way](await Loader(forum).fetch(TOPIC, 11))
    brief = WAYS[way](await Loader(forum).fetch(BRIEF, 2))
    async with AsyncSession(forum) as session:
        if attached and way != "copied":  # a shallow copy shares the state of its original, which is the one to add
            session.add_all([topic, brief])
        with recording(forum) as statements:
            assert text_of(lambda: topic.labels) == (
                "LP401: 'Topic.labels' is not part of plan 'topic' (at its root)\n"
                "  hint: add load(Topic.labels) to the plan"
            )
            assert text_of(lambda: topic.author.topics) == (
                "LP401: 'Member.topics' is not part of plan 'topic' (at Topic.author)\n"
                "  hint: add load(Member.topics) under load(Topic.author)"
            )
            assert text_of(lambda: topic.author.biography) == (
                "LP401: 'Member.biography' is not part of plan 'topic' (at Topic.author)\n"
                "  hint: the mapping defers this column; add load(Topic.author, only=[Member.biography]) "
                "beside load(Topic.author)"
            )
            assert text_of(lambda: brief.badge) == (
                "LP401: 'Moderator.badge' is not part of plan 'brief' (at its root)\n"
                "  hint: add on(Moderator, only=[Moderator.badge]) to the plan"
            )
            assert text_of(lambda: brief.watched) == (
                "LP401: 'Moderator.watched' is not part of plan 'brief' (at its root)\n"
                "  hint: add on(Moderator, load(Moderator.watched)) to the plan"
            )
        assert statements == []


async def test_what_a_subclass_inherits_is_mended_where_the_plan_speaks_of_it(forum: AsyncEngine) -> None:
    """A moderator's topics are a member's: the hint must be a line that this plan, of members, can take."""
    brief = await Loader(forum).fetch(BRIEF, 2)
    assert type(brief) is Moderator
    with pytest.raises(NotLoaded) as caught:
        _ = brief.topics
    assert caught.value.hint == "add load(Member.topics) to the plan"
    with pytest.raises(NotLoaded) as caught:
        _ = brief.email
    assert caught.value.hint == "add Member.email to only=[...] of the plan"


async def test_a_deferred_column_says_how_to_have_it(forum: AsyncEngine) -> None:
    plan = LoadPlan(Member, load(Member.topics, defer=[Topic.text]), defer=[Member.email], name="light")
    member = await Loader(forum).fetch(plan, 1)
    assert text_of(lambda: member.email) == (
        "LP401: 'Member.email' is not part of plan 'light' (at its root)\n"
        "  hint: take Member.email out of defer=[...] of the plan"
    )
    assert text_of(lambda: member.topics[0].text) == (
        "LP401: 'Topic.text' is not part of plan 'light' (at Member.topics)\n"
        "  hint: take Topic.text out of defer=[...] of load(Member.topics)"
    )


async def test_the_whole_way_to_a_deep_place(forum: AsyncEngine) -> None:
    plan = LoadPlan(Member, load(Member.topics, load(Topic.labels)), name="deep")
    member = await Loader(forum).fetch(plan, 1)
    assert text_of(lambda: member.topics[0].labels[0].topics) == (
        "LP401: 'Label.topics' is not part of plan 'deep' (at Member.topics > Topic.labels)\n"
        "  hint: add load(Label.topics) under load(Topic.labels)"
    )


async def test_it_says_so_every_time(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(TOPIC, 11)
    for _ in range(3):
        assert text_of(lambda: topic.labels).startswith("LP401")


async def test_it_is_no_attribute_error(forum: AsyncEngine) -> None:
    """Hasattr and getattr with a default would hide it."""
    assert not issubclass(NotLoaded, AttributeError)
    assert issubclass(NotLoaded, LoadPlanError)
    topic = await Loader(forum).fetch(TOPIC, 11)
    with pytest.raises(NotLoaded):
        hasattr(topic, "labels")
    with pytest.raises(NotLoaded):
        getattr(topic, "labels", [])
    assert not hasattr(topic, "no_such_thing")


async def test_in_the_same_session_that_it_was_fetched_on(forum: AsyncEngine) -> None:
    async with AsyncSession(forum) as session:
        topic = await Loader(session).fetch(TOPIC, 11)
        session.add(topic)
        assert text_of(lambda: topic.labels).startswith("LP401: 'Topic.labels'")
        assert topic.replies[0].id == 101


async def test_one_object_that_gets_a_value_leaves_the_others_sealed(forum: AsyncEngine) -> None:
    """The seal of a place is shared by all of its objects."""
    members = await Loader(forum).fetch_all(BRIEF, order_by=Member.id)
    twins = await Loader(forum).fetch_all(BRIEF, order_by=Member.id)
    async with AsyncSession(forum) as session:
        session.add(members[0])
        await session.refresh(members[0], ["email", "topics"])
        assert members[0].email == "nobody@example.org"
        assert [topic.id for topic in members[0].topics] == [11, 12]
        members[0].biography = "short"
        assert members[0].biography == "short"
    for other in (members[1], *twins):
        for name in ("email", "topics", "biography"):
            assert text_of(lambda other=other, name=name: getattr(other, name)).startswith("LP401")  # type: ignore[misc]


async def test_after_refresh_expire_and_commit_the_others_stay_sealed(forum: AsyncEngine) -> None:
    first, twin = [await Loader(forum).fetch(BRIEF, 1) for _ in range(2)]
    async with AsyncSession(forum) as session:
        session.add(first)
        session.expire(first)
        await session.refresh(first)
        await session.commit()
        await session.refresh(first)
        assert first.email == "nobody@example.org"
    assert text_of(lambda: twin.email).startswith("LP401")
    assert text_of(lambda: twin.topics).startswith("LP401")


async def test_new_objects_of_the_class_are_not_sealed(forum: AsyncEngine) -> None:
    await Loader(forum).fetch(BRIEF, 1)
    new = Member(id=60, name="new")
    assert new.topics == []
    assert new.email is None
    async with AsyncSession(forum) as session:
        own = await session.get_one(Member, 1)
        await session.refresh(own, ["topics"])
        assert len(own.topics) == 2
        assert not inspect(own).callables


async def test_back_references_onto_an_unloaded_collection_do_not_raise(forum: AsyncEngine) -> None:
    """comment.post = post fires an append on post.comments, which nobody has loaded."""
    member = await Loader(forum).fetch(MEMBER, 1)
    topic = await Loader(forum).fetch(LoadPlan(Topic), 11)
    new_topic, new_reply, label = Topic(title="t"), Reply(), Label(name="l")
    new_topic.author = member
    new_reply.topic = topic
    label.topics.append(topic)
    assert new_topic.author is member
    assert text_of(lambda: member.topics).startswith("LP401")
    async with AsyncSession(forum) as session:
        attached = await Loader(session).fetch(MEMBER, 2)
        session.add(attached)
        moved = await Loader(session).fetch(TOPICS, 1)
        session.add(moved)
        other = Topic(id=70, title="t")
        other.author = attached
        moved.topics[0].author = attached
        assert [topic.id for topic in moved.topics] == [12]
        with session.no_autoflush:
            assert text_of(lambda: attached.topics).startswith("LP401")


async def test_a_to_one_that_is_not_loaded_can_be_set(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(LoadPlan(Topic), 11)
    member = await Loader(forum).fetch(MEMBER, 2)
    topic.author = member
    assert topic.author is member
    assert inspect(topic).attrs.author.history.added == [member]
    card = await Loader(forum).fetch(LoadPlan(Card), 1)
    assert text_of(lambda: card.member).startswith("LP401")


async def test_a_column_that_is_not_loaded_can_be_set(forum: AsyncEngine) -> None:
    brief = await Loader(forum).fetch(BRIEF, 1)
    brief.email = "new@example.org"
    assert brief.email == "new@example.org"


async def test_subclass_columns_below_a_relationship(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(TOPIC, 13)
    assert isinstance(topic.author, Moderator)
    assert text_of(lambda: topic.author.badge) == (  # type: ignore[attr-defined]
        "LP401: 'Moderator.badge' is not part of plan 'topic' (at Topic.author)\n"
        "  hint: add on(Moderator, only=[Moderator.badge]) under load(Topic.author)"
    )


async def test_the_error_itself_pickles(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(TOPIC, 11)
    with pytest.raises(NotLoaded) as caught:
        _ = topic.labels
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is NotLoaded
    assert str(again) == str(caught.value)
    assert again.code == "LP401"


async def test_it_says_so_in_another_session_after_a_commit_elsewhere(forum: AsyncEngine) -> None:
    """A session with expire_on_commit=False leaves the objects as they are, sealed ones too."""
    async with AsyncSession(forum, expire_on_commit=False) as session:
        topic = await Loader(session).fetch(FORUM, 1)
        session.add(topic)
        topic.name = "changed"
        await session.commit()
        assert text_of(lambda: topic.biography).startswith("LP401")
        assert text_of(lambda: topic.topics[0].labels[0].topics).startswith("LP401")
    assert text_of(lambda: topic.biography).startswith("LP401")
