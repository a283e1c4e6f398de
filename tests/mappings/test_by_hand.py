"""``plan.select()`` and ``plan.options()``: SQLAlchemy's own statement and options, to go on with by hand."""

from typing import Any

import pytest
from oracle import fill, read, read_lazily
from sqlalchemy import Column, ForeignKey, Table, func, inspect, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load
from loadplan.explained.dialects import dialect_of
from loadplan.resolved.strategy import Roots, choose_ways
from loadplan.resolved.strategy_of_options import choose_for_options
from loadplan.running.plans import resolve_plan
from support import recording, tables


class Base(DeclarativeBase):
    pass


post_tag = Table(
    "hand_post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("hand_posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("hand_tags.id"), primary_key=True),
)


class User(Base):
    __tablename__ = "hand_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="n")
    about: Mapped[str] = mapped_column(default="a", deferred=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    profile: Mapped["Profile | None"] = relationship(back_populates="user")


class Profile(Base):
    __tablename__ = "hand_profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), unique=True)
    user: Mapped[User] = relationship(back_populates="profile")


class Post(Base):
    __tablename__ = "hand_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(default="t")
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    author: Mapped[User] = relationship(back_populates="posts")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tag, order_by="Tag.id")
    remarks: Mapped[list["Remark"]] = relationship(order_by="Remark.id")


class Tag(Base):
    __tablename__ = "hand_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Remark(Base):
    __tablename__ = "hand_remarks"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))
    writer_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    writer: Mapped[User | None] = relationship()


async def _fill(engine: AsyncEngine) -> None:
    tags = [Tag(id=1), Tag(id=2)]
    await fill(engine, *tags, User(id=1), User(id=2), User(id=3))
    await fill(engine, Profile(id=1, user_id=1), Post(id=1, author_id=1), Post(id=2, author_id=1))
    await fill(engine, Post(id=3, author_id=2), Remark(id=1, post_id=1, writer_id=2), Remark(id=2, post_id=1))
    async with engine.begin() as connection:
        await connection.execute(post_tag.insert(), [{"post_id": 1, "tag_id": 2}, {"post_id": 1, "tag_id": 1}])


BRANCHES: dict[str, tuple[LoadPlan[Any], int]] = {
    "nothing": (LoadPlan(User), 1),
    "a to-one": (LoadPlan(User, load(User.profile)), 1),
    "a collection": (LoadPlan(User, load(User.posts)), 2),
    "a to-one below a collection below a collection": (
        LoadPlan(User, load(User.posts, load(Post.remarks, load(Remark.writer)))),
        3,
    ),
    "siblings": (LoadPlan(User, load(User.profile), load(User.posts, load(Post.tags), load(Post.remarks))), 4),
    "everything joined": (
        LoadPlan(User, load(User.posts, load(Post.tags, strategy="joined"), strategy="joined")),
        1,
    ),
    "subqueries": (
        LoadPlan(User, load(User.posts, load(Post.remarks, strategy="subquery"), strategy="subquery")),
        3,
    ),
    "a nested plan": (LoadPlan(Post, load(Post.author, LoadPlan(User, load(User.profile))), load(Post.tags)), 2),
}


@pytest.mark.parametrize("name", BRANCHES)
async def test_the_statement_loads_the_same_graph(engine: AsyncEngine, name: str) -> None:
    """1 + k statements, and the graph that lazy loading gives."""
    plan, count = BRANCHES[name]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        expected = await read_lazily(engine, plan)
        async with AsyncSession(engine) as session:
            with recording(engine) as statements:
                found = (await session.scalars(plan.select().order_by(plan.entity.id))).unique().all()
            assert len(statements) == count
            assert all(entity in session for entity in found)
    assert read(found, plan) == expected


@pytest.mark.parametrize("name", BRANCHES)
async def test_the_options_fit_any_statement_of_the_entity(engine: AsyncEngine, name: str) -> None:
    """On a select of one's own, with joins, conditions and a limit; and on ``session.get``."""
    plan, count = BRANCHES[name]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        expected = await read_lazily(engine, plan)
        async with AsyncSession(engine) as session:
            statement = select(plan.entity).where(plan.entity.id.in_(select(func.min(plan.entity.id))))
            with recording(engine) as statements:
                found = (await session.scalars(statement.options(*plan.options()))).unique().all()
            assert len(statements) == count
        async with AsyncSession(engine) as session:
            with recording(engine) as statements:
                got = await session.get(plan.entity, 1, options=plan.options())
            assert len(statements) == count
    assert read(found, plan) == read([got], plan) == expected[:1]


async def test_column_subsets_are_carried(engine: AsyncEngine) -> None:
    """``only=`` brings a deferred column, ``defer=`` leaves one out; what is left out raises while attached."""
    plan = LoadPlan(User, load(User.posts, defer=[Post.title]), only=[User.about])
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            user = (await session.scalars(plan.select().where(User.id == 1))).one()
            assert user.about == "a"
            assert inspect(user).unloaded >= {"name", "profile"}
            assert inspect(user.posts[0]).unloaded >= {"title", "tags"}
            for touch in (lambda: user.name, lambda: user.posts[0].title):
                with pytest.raises(InvalidRequestError, match="raiseload=True"):
                    touch()


async def test_what_is_not_declared_raises_at_every_level(engine: AsyncEngine) -> None:
    """The wildcard is on the statement, so that going on by hand does not fall back to hidden SQL."""
    plan = LoadPlan(User, load(User.posts, load(Post.remarks, load(Remark.writer))))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            user = (await session.scalars(plan.select().where(User.id == 1))).one()
            bob = user.posts[0].remarks[0].writer
            for touch in (
                lambda: user.profile,
                lambda: user.posts[0].tags,
                lambda: bob.posts if bob is not None else None,
            ):
                with pytest.raises(InvalidRequestError, match=r"raise_on_sql|lazy='raise'"):
                    touch()


@pytest.mark.parametrize("name", BRANCHES)
def test_the_options_go_the_ways_of_a_fetch(name: str) -> None:
    """One chooser for both: many roots, on a driver that reads no rows within rows."""
    tree = resolve_plan(BRANCHES[name][0])
    by_hand = choose_for_options(tree)
    fetched = choose_ways(tree, Roots.MANY, dialect_of("sqlite"), {}, {})
    assert {edge: choice.way for edge, choice in by_hand.items()} == {
        edge: choice.way for edge, choice in fetched.items()
    }


def test_the_statement_is_an_ordinary_select() -> None:
    """It composes: conditions, order and limit are the reader's."""
    statement = LoadPlan(Post, load(Post.author)).select().where(Post.id > 1).order_by(Post.id).limit(2)
    text = " ".join(str(statement).split())
    assert "LEFT OUTER JOIN hand_users" in text
    assert "LIMIT" in text
