"""Objects of which a part was loaded, on their way back: nothing that was not loaded is lost."""

from typing import Any

import pytest
from real import filled
from sqlalchemy import ForeignKey, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, with_loader_criteria

from loadplan import Loader, LoadPlan, LoadPlanError, load


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "back_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    deleted: Mapped[bool] = mapped_column(default=False)


class Task(Base):
    __tablename__ = "back_tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    assignee: Mapped[User | None] = relationship()
    comments: Mapped[list["Comment"]] = relationship(cascade="all, delete-orphan")
    links: Mapped[list["Link"]] = relationship()


class Comment(Base):
    __tablename__ = "back_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    deleted: Mapped[bool] = mapped_column(default=False)
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id))


class Link(Base):
    """Its key may be NULL: merge would take it from its task."""

    __tablename__ = "back_links"
    id: Mapped[int] = mapped_column(primary_key=True)
    deleted: Mapped[bool] = mapped_column(default=False)
    task_id: Mapped[int | None] = mapped_column(ForeignKey(Task.id))


class Soft(Session):
    """Hides what is marked as deleted."""


@event.listens_for(Soft, "do_orm_execute")
def _hide(state: Any) -> None:
    if state.is_select:
        for each in (User, Comment, Link):
            state.statement = state.statement.options(
                with_loader_criteria(each, each.deleted.is_(False), include_aliases=True)
            )


PLANS = {
    "a to-one": LoadPlan(Task, load(Task.assignee)),
    "a to-one by a statement": LoadPlan(Task, load(Task.assignee, strategy="selectin")),
    "delete-orphan": LoadPlan(Task, load(Task.comments)),
    "a key that may be NULL": LoadPlan(Task, load(Task.links)),
}


def _task() -> Task:
    return Task(
        id=1,
        title="t",
        assignee=User(id=1, deleted=True),
        comments=[Comment(id=1), Comment(id=2, deleted=True)],
        links=[Link(id=1), Link(id=2, deleted=True)],
    )


async def _stored(engine: AsyncEngine) -> tuple[Any, ...]:
    async with engine.connect() as connection:
        assignee = (await connection.execute(text("SELECT assignee_id FROM back_tasks"))).scalar()
        comments = (await connection.execute(text("SELECT id FROM back_comments ORDER BY id"))).scalars().all()
        links = (await connection.execute(text("SELECT id, task_id FROM back_links ORDER BY id"))).all()
    return assignee, list(comments), [tuple(each) for each in links]


WHOLE = (1, [1, 2], [(1, 1), (2, 1)])


@pytest.mark.parametrize("writer", ["the filtered session", "a plain session"])
@pytest.mark.parametrize("name", PLANS)
async def test_merge_writes_nothing_over_what_a_criterion_hid(engine: AsyncEngine, name: str, writer: str) -> None:
    """It is refused, or leaves what was hidden alone."""
    soft = async_sessionmaker(engine, sync_session_class=Soft)
    async with filled(engine, Base.metadata, _task()):
        task = await Loader(soft).fetch(PLANS[name], 1)
        async with soft() if "filtered" in writer else AsyncSession(engine) as session:
            try:
                (await session.merge(task)).title = "new"
                await session.commit()
            except LoadPlanError as refused:
                assert refused.problem.code == "LP409"  # noqa: PT017
        assert await _stored(engine) == WHOLE


@pytest.mark.parametrize("writer", ["the filtered session", "a plain session"])
@pytest.mark.parametrize("name", PLANS)
async def test_add_writes_nothing_over_what_a_criterion_hid(engine: AsyncEngine, name: str, writer: str) -> None:
    """``session.add`` writes what was changed, and that alone."""
    soft = async_sessionmaker(engine, sync_session_class=Soft)
    async with filled(engine, Base.metadata, _task()):
        task = await Loader(soft).fetch(PLANS[name], 1)
        async with soft() if "filtered" in writer else AsyncSession(engine) as session:
            task.title = "new"
            session.add(task)
            await session.commit()
        assert await _stored(engine) == WHOLE


PARTS = {
    "limit=": load(Task.comments, order_by=Comment.id, limit=1),
    "where=": load(Task.comments, where=Comment.id > 1),
    "limit= of plain children": load(Task.links, order_by=Link.id, limit=1),
    "where= of plain children": load(Task.links, where=Link.id > 1),
}


@pytest.mark.parametrize("name", PARTS)
async def test_delete_with_a_part_is_refused(engine: AsyncEngine, name: str) -> None:
    """The cascade would see that part alone: LP409, as for merge."""
    async with filled(engine, Base.metadata, _task()), AsyncSession(engine) as session:
        task = await Loader(session).fetch(LoadPlan(Task, PARTS[name]), 1)
        with pytest.raises(LoadPlanError, match="LP409"):
            await _delete(session, task)


async def test_delete_with_a_part_that_a_criterion_left_is_refused(engine: AsyncEngine) -> None:
    """What a session's criterion hid is a part as well."""
    soft = async_sessionmaker(engine, sync_session_class=Soft)
    async with filled(engine, Base.metadata, _task()):
        task = await Loader(soft).fetch(LoadPlan(Task, load(Task.comments)), 1)
        async with AsyncSession(engine) as session:
            with pytest.raises(LoadPlanError, match="LP409"):
                await _delete(session, task)


async def _delete(session: AsyncSession, task: Task) -> None:
    await session.delete(task)
    await session.flush()


@pytest.mark.parametrize("plan", [LoadPlan(Task), LoadPlan(Task, load(Task.comments))], ids=["not loaded", "whole"])
async def test_delete_of_the_whole_takes_the_cascade_along(engine: AsyncEngine, plan: LoadPlan[Task]) -> None:
    """What is whole, or not loaded at all, is deleted as the mapping says."""
    async with filled(engine, Base.metadata, _task()):
        async with AsyncSession(engine) as session:
            await session.delete(await Loader(session).fetch(plan, 1))
            await session.commit()
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT id FROM back_comments"))).all() == []
            assert (await connection.execute(text("SELECT task_id FROM back_links"))).scalars().all() == [None, None]
