"""``Session.get_bind`` that sends reads to the replica, and loaders on such sessions."""

from typing import Any

import pytest
from forum_checks import CALLS, values
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader
from replicas.forum import TOPIC, Message, Topic
from replicas.replay import catch_up
from replicas.routing import ON_PRIMARY, routed_sessions
from support import recording


@pytest.mark.parametrize("call", CALLS)
async def test_a_loader_on_the_sessionmaker_reads_from_the_replica(
    primary: AsyncEngine, standby: AsyncEngine, call: str
) -> None:
    expected = values(await CALLS[call](Loader(standby)))
    with recording(primary) as there, recording(standby) as here:
        assert values(await CALLS[call](Loader(routed_sessions(primary, standby)))) == expected
    assert there == []
    assert here.selects


async def test_a_loader_on_a_session_that_only_reads_is_on_the_replica(
    primary: AsyncEngine, standby: AsyncEngine
) -> None:
    async with routed_sessions(primary, standby)() as session:
        with recording(primary) as there, recording(standby) as here:
            await Loader(session).fetch(TOPIC, 5)
    assert there == []
    assert len(here.selects) == 2


async def test_what_a_session_has_flushed_is_read_from_the_primary(primary: AsyncEngine, standby: AsyncEngine) -> None:
    """The flush that the fetch itself sets off counts, too."""
    async with routed_sessions(primary, standby)() as session:
        session.add(Message(id=997, text="unflushed", topic_id=5, author_id=1))
        with recording(standby) as here:
            topic = await Loader(session).fetch(TOPIC, 5)
        assert topic.messages[-1].text == "unflushed"
        assert here == []
        await session.commit()
        assert (await Loader(session).fetch(TOPIC, 5)).messages[-1].id == 997
    await catch_up(primary, standby)
    assert (await Loader(standby).fetch(TOPIC, 5)).messages[-1].id == 997


@pytest.mark.parametrize(
    "statement",
    [update(Topic).where(Topic.id == 5).values(title="renamed"), delete(Message).where(Message.id == 55)],
    ids=["update", "delete"],
)
async def test_a_statement_that_writes_brings_the_session_to_the_primary(
    primary: AsyncEngine, standby: AsyncEngine, statement: Any
) -> None:
    async with routed_sessions(primary, standby)() as session:
        await session.execute(statement)
        with recording(standby) as here:
            await Loader(session).fetch(TOPIC, 5)
        assert here == []
        await session.rollback()


async def test_a_session_that_will_lock_says_so_at_its_start(primary: AsyncEngine, standby: AsyncEngine) -> None:
    async with routed_sessions(primary, standby)(info={ON_PRIMARY: True}) as session, session.begin():
        topic = await Loader(session).fetch(TOPIC, 5, for_update=True)
        topic.title = "locked and renamed"
        session.add(topic)
    assert (await Loader(primary).fetch(TOPIC, 5)).title == "locked and renamed"
