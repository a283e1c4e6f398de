"""``strategy=`` on every kind of edge, alone, nested in every pair, and under a root limit."""

import itertools
from typing import Any

import pytest
from oracle import assert_sealed, fill, read, read_lazily, same_as_lazy
from sqlalchemy import Column, ForeignKey, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import recording, tables

STRATEGIES = ["joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


post_tag = Table(
    "forced_post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("forced_posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("forced_tags.id"), primary_key=True),
)


class User(Base):
    __tablename__ = "forced_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    card: Mapped["Card | None"] = relationship(back_populates="user")


class Card(Base):
    __tablename__ = "forced_cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), unique=True)
    user: Mapped[User] = relationship(back_populates="card")


class Post(Base):
    __tablename__ = "forced_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    author: Mapped[User | None] = relationship(back_populates="posts")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tag, order_by="Tag.id")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")


class Tag(Base):
    __tablename__ = "forced_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Comment(Base):
    __tablename__ = "forced_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[User | None] = relationship()


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, *(User(id=number) for number in range(1, 6)), *(Tag(id=number) for number in (1, 2, 3)))
    await fill(engine, Card(id=1, user_id=1), Card(id=2, user_id=3))
    await fill(engine, *(Post(id=n, author_id=[None, 1, 1, 1, 2, 3, None][n]) for n in range(1, 7)))
    await fill(
        engine,
        *(Comment(id=n, post_id=p, author_id=a) for n, (p, a) in enumerate([(1, 1), (1, 2), (2, None), (5, 4)], 1)),
    )
    async with engine.begin() as connection:
        await connection.execute(
            insert(post_tag), [{"post_id": p, "tag_id": t} for p, t in [(1, 1), (1, 2), (2, 1), (5, 3), (6, 3)]]
        )


ROUTES: dict[str, tuple[type[Any], Any, Any]] = {
    "collection, collection": (User, User.posts, Post.comments),
    "collection, to-one": (Post, Post.comments, Comment.author),
    "collection, many-to-many": (User, User.posts, Post.tags),
    "to-one, collection": (Comment, Comment.post, Post.tags),
    "to-one, to-one": (Comment, Comment.post, Post.author),
    "one-to-one, collection": (Card, Card.user, User.posts),
    "to-one, one-to-one": (Post, Post.author, User.card),
    "one-to-one, back": (User, User.card, Card.user),
}


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(STRATEGIES, STRATEGIES)))
@pytest.mark.parametrize("route", ROUTES)
async def test_every_pair_nested(engine: AsyncEngine, route: str, outer: Any, inner: Any) -> None:
    """Each of the nine pairs on each kind of route: the same graph, one statement for each edge that does not join."""
    entity, first, second = ROUTES[route]
    plan: LoadPlan[Any] = LoadPlan(entity, load(first, load(second, strategy=inner), strategy=outer))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 3 - [outer, inner].count("joined"), by_hand=False)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("inner", [*STRATEGIES, "inner"])
async def test_inner_is_an_inner_join(engine: AsyncEngine, route: str, inner: Any) -> None:
    """Parents without a row vanish, those of the whole graph above as in SQLAlchemy with ``innerjoin=True``."""
    entity, first, second = ROUTES[route]
    plan: LoadPlan[Any] = LoadPlan(entity, load(first, load(second, strategy=inner), strategy="inner"))
    below = joinedload(second, innerjoin=True) if inner == "inner" else joinedload(second)
    option = joinedload(first, innerjoin=True).options(below)
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            statement = select(entity).options(option).order_by(entity.id)
            expected = read((await session.scalars(statement)).unique().all(), plan)
        with recording(engine) as statements:
            found = await Loader(engine).fetch_all(plan, order_by=entity.id)
    assert len(statements) == (1 if inner in {"inner", "joined"} else 2)
    assert expected
    assert read(found, plan) == expected


@pytest.mark.parametrize(("limit", "offset"), [(2, None), (2, 1), (None, 3), (1, 0), (0, None), (3, 4)])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_root_limit_counts_roots(
    engine: AsyncEngine, strategy: Any, limit: int | None, offset: int | None
) -> None:
    """A joined collection, and what hangs below in statements of its own, is whole for each root of the page."""
    plan = LoadPlan(
        User,
        load(User.posts, load(Post.comments, strategy="subquery"), load(Post.tags), strategy=strategy),
        load(User.card),
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        everyone = await read_lazily(engine, plan)
        loader = Loader(engine)
        page = await loader.fetch_all(plan, order_by=User.id, limit=limit, offset=offset)
        backwards = await loader.fetch_all(plan, order_by=User.id.desc(), limit=limit, offset=offset)
        unordered = await loader.fetch_all(plan, limit=limit, offset=offset)
        narrowed = await loader.fetch_all(plan, where=User.id > 1, order_by=User.id, limit=limit, offset=offset)
    start = offset or 0
    stop = None if limit is None else start + limit
    assert read(page, plan) == everyone[start:stop]
    assert read(backwards, plan) == everyone[::-1][start:stop]
    assert read(unordered, plan) == everyone[start:stop]
    assert read(narrowed, plan) == everyone[1:][start:stop]
    assert_sealed(page, plan)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("below", STRATEGIES)
async def test_every_way_of_asking_gives_the_same_graph(engine: AsyncEngine, strategy: Any, below: Any) -> None:
    """By id, by ids, by condition: subqueries repeat whichever condition chose the roots."""
    plan = LoadPlan(
        User, load(User.posts, load(Post.tags, strategy=below), load(Post.author, strategy=below), strategy=strategy)
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        expected = await read_lazily(engine, plan)
        loader = Loader(engine)
        assert read([await loader.fetch(plan, 1)], plan) == expected[:1]
        assert read(await loader.fetch_many(plan, [3, 1, 2]), plan) == [expected[2], expected[0], expected[1]]
        assert read([await loader.fetch_one(plan, where=[User.id > 2, User.id < 4])], plan) == expected[2:3]
        through = User.posts.any(Post.id == 4)
        assert read(await loader.fetch_all(plan, where=through), plan) == expected[1:2]


async def test_siblings_joined_by_force(engine: AsyncEngine) -> None:
    """Two joined collections are a cartesian product of rows, but never of objects."""
    plan = LoadPlan(Post, load(Post.tags, strategy="joined"), load(Post.comments, strategy="joined"), load(Post.author))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_one_row_by_two_paths_with_different_loads(engine: AsyncEngine, strategy: Any) -> None:
    """An author met as such and as a commentator has what both places declare, and is one object."""
    plan = LoadPlan(
        Post,
        load(Post.author, load(User.card, strategy=strategy), strategy=strategy),
        load(Post.comments, load(Comment.author, load(User.posts, strategy=strategy)), strategy=strategy),
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        posts = await same_as_lazy(engine, plan, 2 if strategy == "joined" else 5, by_hand=False)
    assert posts[0].comments[0].author is posts[0].author
