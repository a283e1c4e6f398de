"""What a fetch gives: detached objects with a clean history, one for each row, tied to each other both ways."""

import inspect as python_inspect
from typing import Any

import pytest
from results_models import BRIEF, FORUM, MEMBER, TOPIC, TOPICS, Label, Member, Moderator, Reply, Topic
from sqlalchemy import inspect, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import object_session

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording


def objects_of(*roots: Any) -> list[Any]:
    """Every object of a graph, each once."""
    found: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        if id(each) not in found:
            found[id(each)] = each
            for prop in inspect(each).mapper.relationships:
                value = vars(each).get(prop.key)
                waiting += value if isinstance(value, list) else [value] * (value is not None)
    return list(found.values())


@pytest.mark.parametrize("kind", ["engine", "session"])
@pytest.mark.parametrize("plan", [FORUM, TOPICS, BRIEF, MEMBER])
async def test_every_object_is_detached_and_clean(forum: AsyncEngine, kind: str, plan: LoadPlan[Member]) -> None:
    async with AsyncSession(forum) as session:
        root = await Loader(forum if kind == "engine" else session).fetch(plan, 1)
        everything = objects_of(root)
        for each in everything:
            state = inspect(each)
            assert state.detached
            assert state.session is None
            assert object_session(each) is None
            assert not state.modified
            assert not state.expired
            assert not state.committed_state
            for attribute in state.attrs:
                history = attribute.history
                assert not history.added
                assert not history.deleted
        assert len(everything) == {"forum": 9, "topics": 3, "brief": 1, "member": 1}[plan.label]


async def test_one_row_is_one_object_however_it_is_reached(forum: AsyncEngine) -> None:
    plan = LoadPlan(Topic, load(Topic.author, load(Member.topics, load(Topic.labels))), load(Topic.labels))
    topics = await Loader(forum).fetch_all(plan, order_by=Topic.id)
    first, second, third = topics
    assert first.author is second.author
    assert first.author.topics[0] is first
    assert first.author.topics[1] is second
    assert third.author.topics == [third]
    assert first.labels[1] is second.labels[0]
    assert len(objects_of(*topics)) == 3 + 2 + 2


async def test_children_point_back_at_the_parent_they_came_through(forum: AsyncEngine) -> None:
    with recording(forum) as statements:
        member = await Loader(forum).fetch(FORUM, 1)
        assert member.card is not None
        assert member.card.member is member
        for topic in member.topics:
            assert topic.author is member
            assert all(reply.topic is topic for reply in topic.replies)
    assert len(statements.selects) == Loader(forum).explain(FORUM).statements <= 4


async def test_a_many_to_many_has_no_way_back(forum: AsyncEngine) -> None:
    """A label has more topics than the one it was loaded through; to hand out a part would be a lie."""
    member = await Loader(forum).fetch(FORUM, 1)
    with pytest.raises(NotLoaded):
        _ = member.topics[0].labels[0].topics


async def test_two_fetches_share_no_object(forum: AsyncEngine) -> None:
    loader = Loader(forum)
    first, second = await loader.fetch(FORUM, 1), await loader.fetch(FORUM, 1)
    assert not {id(each) for each in objects_of(first)} & {id(each) for each in objects_of(second)}
    first.name = "changed"
    assert second.name == "Ann"
    with pytest.raises(NotLoaded):
        _ = second.topics[0].labels[0].topics


async def test_walking_an_object_runs_no_sql_and_raises_nothing_but_not_loaded(forum: AsyncEngine) -> None:
    """vars, dir, repr, inspect and getmembers, over every object of a graph and every attribute of each."""
    member = await Loader(forum).fetch(FORUM, 1)
    moderator = await Loader(forum).fetch(BRIEF, 2)
    with recording(forum) as statements:
        for each in objects_of(member, moderator):
            assert vars(each)
            repr(each)
            str(inspect(each))
            state = inspect(each)
            assert state.identity
            assert set(state.unloaded) | set(state.dict) >= {prop.key for prop in state.mapper.attrs}
            for attribute in state.attrs:
                _ = attribute.loaded_value
            for name in dir(each):
                try:
                    getattr(each, name)
                except NotLoaded:
                    assert name in state.unloaded
            names = dict(python_inspect.getmembers_static(each))
            assert "_sa_instance_state" in names
    assert statements == []


async def test_what_a_plan_declares_answers_and_what_it_does_not_does_not(forum: AsyncEngine) -> None:
    topic = await Loader(forum).fetch(TOPIC, 11)
    assert set(inspect(topic).unloaded) == {"labels"}
    assert set(inspect(topic.author).unloaded) == {"biography", "topics", "card"}
    assert set(inspect(topic.replies[0]).unloaded) == set()


async def test_an_empty_collection_and_an_absent_target_are_values(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 2)
    assert member.card is None
    assert member.topics[0].replies == []
    assert member.topics[0].labels == []


async def test_a_row_of_a_subclass_is_an_object_of_it(forum: AsyncEngine) -> None:
    members = await Loader(forum).fetch_many(MEMBER, [1, 2])
    assert [type(member) for member in members] == [Member, Moderator]


async def test_plain_changes_of_a_detached_object_work(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(TOPICS, 1)
    member.name = "changed"
    member.topics.append(Topic(id=50, title="new"))
    member.topics.remove(member.topics[0])
    assert inspect(member).modified
    assert inspect(member).attrs.name.history == (["changed"], (), ["Ann"])
    assert [topic.id for topic in member.topics] == [12, 50]
    assert member.topics[1].author is member


async def test_a_later_change_in_the_database_does_not_reach_the_result(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    async with forum.begin() as connection:
        await connection.execute(update(Member).where(Member.id == 1).values(name="changed"))
    assert member.name == "Ann"


async def test_a_reply_found_by_two_paths_has_the_attributes_of_both(forum: AsyncEngine) -> None:
    """The root says what is loaded of a topic, and so does the place below its author."""
    plan = LoadPlan(Topic, load(Topic.replies), load(Topic.author, load(Member.topics, load(Topic.labels))))
    topic = await Loader(forum).fetch(plan, 11)
    again = topic.author.topics[0]
    assert again is topic
    assert [reply.id for reply in topic.replies] == [101, 102]
    assert [label.id for label in topic.labels] == [1, 2]
    assert isinstance(topic.replies[0], Reply)
    assert isinstance(topic.labels[0], Label)


async def test_declared_columns_of_a_row_found_by_two_paths_answer(forum: AsyncEngine) -> None:
    """Fewer columns at one place must not cost the other place its own."""
    plan = LoadPlan(
        Topic,
        load(Topic.author, load(Member.topics)),
        only=[Topic.title],
    )
    topic = await Loader(forum).fetch(plan, 11)
    again = topic.author.topics[0]
    assert again is topic
    assert again.text == ""
    with pytest.raises((NotLoaded, InvalidRequestError)):
        _ = topic.author.biography
