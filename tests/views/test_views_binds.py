"""Views over classes that live in two databases: each statement goes to the one that has its rows."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import Column, Integer, StaticPool, Table, func, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship

from loadplan import Loader, LoadPlan, aggregate, count, load


class Base(DeclarativeBase):
    pass


links = Table("vbn_links", Base.metadata, Column("user_id", Integer), Column("event_id", Integer))


class User(Base):
    __tablename__ = "vbn_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    events: Mapped[list["Event"]] = relationship(
        primaryjoin=lambda: User.id == foreign(Event.user_id), order_by="Event.id", viewonly=True
    )
    linked: Mapped[list["Event"]] = relationship(
        secondary=links,
        primaryjoin=lambda: User.id == links.c.user_id,
        secondaryjoin=lambda: Event.id == links.c.event_id,
        foreign_keys=[links.c.user_id, links.c.event_id],
        order_by="Event.id",
        viewonly=True,
    )


class Event(Base):
    __tablename__ = "vbn_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None]
    owner: Mapped[User | None] = relationship(primaryjoin=lambda: foreign(Event.user_id) == User.id, viewonly=True)


@attrs.frozen
class UserRef:
    id: int


@attrs.frozen
class EventView:
    id: int
    owner: UserRef | None


@attrs.frozen
class EventRef:
    id: int


@attrs.frozen
class UserView:
    id: int
    events: list[EventView]
    linked: list[EventRef]
    last: Annotated[list[EventRef], load(User.events, order_by=Event.id.desc(), limit=1)]
    how_many: Annotated[int, count(User.events)]
    maximum: Annotated[int | None, aggregate(User.events, func.max(Event.id))]


PLAN = LoadPlan(User, load(User.events, load(Event.owner, strategy="selectin"), into=EventView), into=UserView)


@pytest.fixture
async def two() -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    """Users in one database, events and links in another; neither has the other's tables."""
    found = [create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool) for _ in range(2)]
    tables = ([User.__table__], [Event.__table__, links])
    for engine, own in zip(found, tables, strict=True):
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync, own=own: Base.metadata.create_all(sync, tables=own))
    async with found[0].begin() as connection:
        await connection.execute(insert(User), [{"id": 1}, {"id": 2}])
    async with found[1].begin() as connection:
        await connection.execute(insert(Event), [{"id": key, "user_id": 1} for key in (1, 2)])
        await connection.execute(insert(links), [{"user_id": 2, "event_id": 1}])
    yield found[0], found[1]
    for engine in found:
        await engine.dispose()


@pytest.mark.parametrize("kind", ["sessionmaker", "session"])
async def test_each_statement_goes_to_its_database(two: tuple[AsyncEngine, AsyncEngine], kind: str) -> None:
    binds: dict[Any, Any] = {User: two[0], Event: two[1], links: two[1]}
    expected = [
        UserView(1, [EventView(1, UserRef(1)), EventView(2, UserRef(1))], [], [EventRef(2)], 2, 2),
        UserView(2, [], [EventRef(1)], [], 0, None),
    ]
    if kind == "sessionmaker":
        assert await Loader(async_sessionmaker(binds=binds)).fetch_all(PLAN, order_by=User.id) == expected
        return
    async with AsyncSession(binds=binds) as session:
        assert await Loader(session).fetch_all(PLAN, order_by=User.id) == expected
