"""Results travel: pickled with every protocol, deep-copied and copied, they stay complete, clean and sealed."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from results_models import BRIEF, FORUM, TOPICS, Member, Topic
from sqlalchemy import event, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, with_loader_criteria

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording

PICKLES: dict[str, Callable[[Any], Any]] = {
    f"protocol {number}": lambda entity, number=number: pickle.loads(pickle.dumps(entity, protocol=number))
    for number in range(pickle.HIGHEST_PROTOCOL + 1)
}
WAYS: dict[str, Callable[[Any], Any]] = {**PICKLES, "deepcopy": copy.deepcopy}


def told(member: Member) -> dict[str, Any]:
    """The forum of a member as plain values."""
    return {
        "name": member.name,
        "card": member.card and member.card.id,
        "topics": [
            (topic.id, topic.title, [reply.id for reply in topic.replies], [label.name for label in topic.labels])
            for topic in member.topics
        ],
    }


@pytest.mark.parametrize("way", WAYS)
async def test_the_whole_graph_comes_along(forum: AsyncEngine, way: str) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    with recording(forum) as statements:
        again = WAYS[way](member)
        assert again is not member
        assert told(again) == told(member)
        assert again.topics[0] is not member.topics[0]
        assert again.topics[0].labels[1] is again.topics[1].labels[0]
        assert all(topic.author is again for topic in again.topics)
        assert all(reply.topic is topic for topic in again.topics for reply in topic.replies)
        for each in (again, again.card, *again.topics):
            state = inspect(each)
            assert state.detached
            if way != "deepcopy":  # which appends to the collections anew, here as anywhere in SQLAlchemy
                assert not state.modified
                assert not state.committed_state
        with pytest.raises(NotLoaded):
            _ = again.biography
        with pytest.raises(NotLoaded):
            _ = again.topics[0].labels[0].topics
        with pytest.raises(NotLoaded):
            _ = member.biography
    assert statements == []


@pytest.mark.parametrize("way", PICKLES)
async def test_a_pickled_graph_goes_back_into_a_session(forum: AsyncEngine, way: str) -> None:
    again = WAYS[way](await Loader(forum).fetch(FORUM, 1))
    async with AsyncSession(forum) as session:
        session.add(again)
        again.topics[0].title = "changed"
        with recording(forum) as statements:
            await session.commit()
        assert len([sql for sql in statements if not sql.startswith("SELECT")]) == 1
    assert (await Loader(forum).fetch(FORUM, 1)).topics[0].title == "changed"


async def test_a_deep_copy_goes_back_into_a_session(forum: AsyncEngine) -> None:
    """Added where it holds no many-to-many, whose rows SQLAlchemy takes for new in any deep copy; merged always."""
    again = copy.deepcopy(await Loader(forum).fetch(TOPICS, 1))
    async with AsyncSession(forum) as session:
        session.add(again)
        again.topics[0].title = "changed"
        with recording(forum) as statements:
            await session.commit()
        assert len([sql for sql in statements if not sql.startswith("SELECT")]) == 1
    plan = LoadPlan(Topic, load(Topic.labels), load(Topic.replies))
    topic = copy.deepcopy(await Loader(forum).fetch(plan, 11))
    topic.title = "changed again"
    async with AsyncSession(forum) as session:
        await session.merge(topic)
        with recording(forum) as statements:
            await session.commit()
        assert len([sql for sql in statements if not sql.startswith("SELECT")]) == 1
    stored = await Loader(forum).fetch(FORUM, 1)
    assert stored.topics[0].title == "changed again"
    assert [label.id for label in stored.topics[0].labels] == [1, 2]


async def test_a_shallow_copy_reads_like_its_original(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    with recording(forum) as statements:
        again = copy.copy(member)
        assert again is not member
        assert told(again) == told(member)
        with pytest.raises(NotLoaded):
            _ = again.biography
        with pytest.raises(NotLoaded):
            _ = member.biography
    assert statements == []


@pytest.mark.parametrize("way", WAYS)
async def test_unpickling_does_not_seal_the_class(forum: AsyncEngine, way: str) -> None:
    WAYS[way](await Loader(forum).fetch(BRIEF, 1))
    async with AsyncSession(forum) as session:
        own = await session.get_one(Member, 1)
        await session.refresh(own, ["biography", "topics"])
        assert own.biography == "long"
        assert len(own.topics) == 2


async def test_a_graph_that_was_changed_keeps_its_changes(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    member.name = "changed"
    member.topics.append(Topic(id=50, title="new"))
    again = pickle.loads(pickle.dumps(member))
    assert inspect(again).attrs.name.history == (["changed"], (), ["Ann"])
    async with AsyncSession(forum) as session:
        session.add(again)
        await session.commit()
    stored = await Loader(forum).fetch(TOPICS, 1)
    assert stored.name == "changed"
    assert [topic.id for topic in stored.topics] == [11, 12, 50]


async def test_the_pickle_holds_the_rows_and_not_the_statements(forum: AsyncEngine) -> None:
    """Options and criteria of the statement would cling to the state, and some of them cannot be pickled at all."""
    wanted = "Ann"

    def listener(state: Any) -> None:
        state.statement = state.statement.options(
            with_loader_criteria(Member, lambda cls: cls.name == wanted, include_aliases=True)
        )

    class Sub(Session):
        pass

    event.listen(Sub, "do_orm_execute", listener)
    for strategy in ("joined", "selectin", "subquery"):
        plan = LoadPlan(Topic, load(Topic.author, strategy=strategy), load(Topic.replies, strategy=strategy))
        async with AsyncSession(forum, sync_session_class=Sub) as session:
            topic = await Loader(session).fetch(plan, 11)
        again = pickle.loads(pickle.dumps(topic))
        assert again.author.name == "Ann"
        assert [reply.id for reply in again.replies] == [101, 102]
        for each in (topic, again, again.author, again.replies[0]):
            assert not inspect(each).load_options
            assert inspect(each).load_path is None or not inspect(each).load_path.path


async def test_a_list_of_results_keeps_what_is_shared(forum: AsyncEngine) -> None:
    plan = LoadPlan(Topic, load(Topic.labels))
    topics = await Loader(forum).fetch_all(plan, order_by=Topic.id)
    again = pickle.loads(pickle.dumps(topics))
    assert again[0].labels[1] is again[1].labels[0]


async def test_an_object_that_is_in_a_session_again_pickles(forum: AsyncEngine) -> None:
    member = await Loader(forum).fetch(FORUM, 1)
    async with AsyncSession(forum) as session:
        session.add(member)
        again = pickle.loads(pickle.dumps(member))
        assert told(again) == told(member)
        await session.refresh(member, ["biography"])
        assert pickle.loads(pickle.dumps(member)).biography == "long"


async def test_a_pickle_of_one_process_is_read_by_another(forum: AsyncEngine) -> None:
    """Nothing of the plan, nor a seal that was built before, is needed to read it."""
    data = pickle.dumps(await Loader(forum).fetch(FORUM, 1))
    program = (
        "import pickle, sys\n"
        "from loadplan import NotLoaded\n"
        "member = pickle.loads(bytes.fromhex(sys.stdin.read()))\n"
        "print([topic.title for topic in member.topics])\n"
        "try:\n    member.biography\nexcept NotLoaded as error:\n    print(error)\n"
    )
    ran = subprocess.run(  # noqa: ASYNC221, S603
        [sys.executable, "-c", program],
        input=data.hex(),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert ran.stdout == (
        "['one', 'two']\n"
        "LP401: 'Member.biography' is not part of plan 'forum' (at its root)\n"
        "  hint: the mapping defers this column; add LoadPlan(Member, only=[Member.biography]) to the plan\n"
    )
