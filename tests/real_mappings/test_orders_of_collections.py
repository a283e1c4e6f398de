"""Collections ordered by columns of to-ones of their rows: whole, limited, of many parents and of one, in views."""

import itertools
from typing import Annotated, Any

import attrs
import pytest
from real import filled
from sqlalchemy import ForeignKey, bindparam, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, with_loader_criteria

from loadplan import Loader, LoadPlan, PlanError, load, source


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "sorted_countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "sorted_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country_id: Mapped[int | None] = mapped_column(ForeignKey(Country.id))
    country: Mapped[Country | None] = relationship()


class Topic(Base):
    __tablename__ = "sorted_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="topic")
    tagged: Mapped[list["Post"]] = relationship(secondary="sorted_topic_posts")


class Post(Base):
    __tablename__ = "sorted_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey(Topic.id), index=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("sorted_posts.id"))
    topic: Mapped[Topic] = relationship(back_populates="posts")
    author: Mapped[User | None] = relationship()
    parent: Mapped["Post | None"] = relationship(remote_side=id, back_populates="replies")
    replies: Mapped[list["Post"]] = relationship(back_populates="parent")


class TopicPost(Base):
    __tablename__ = "sorted_topic_posts"
    topic_id: Mapped[int] = mapped_column(ForeignKey(Topic.id), primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id), primary_key=True)


ROWS = [
    "INSERT INTO sorted_countries VALUES (1, 'Z'), (2, 'A')",
    "INSERT INTO sorted_users VALUES (1, 'bob', 1), (2, 'ann', 2), (3, 'cat', NULL)",
    "INSERT INTO sorted_topics VALUES (1), (2)",
    "INSERT INTO sorted_posts VALUES (1, 1, 1, NULL), (2, 1, 2, 1), (3, 1, 3, 1), (4, 1, NULL, 1), (5, 2, 2, 2),"
    " (6, 2, 1, 2)",
    "INSERT INTO sorted_topic_posts VALUES (1, 1), (1, 2), (1, 3), (1, 4), (2, 5)",
]

NAME = source(Post.author, User.name)

#: Each order with the posts of the first topic and of the second. Where NULLs go is said, so that databases agree.
ORDERS: dict[str, tuple[Any, list[list[int]]]] = {
    "a name": (NAME.nulls_last(), [[2, 1, 3, 4], [5, 6]]),
    "descending": (NAME.desc().nulls_first(), [[4, 3, 1, 2], [6, 5]]),
    "two steps": (
        [source(Post.author, User.country, Country.name).nulls_last(), Post.id.desc()],
        [[2, 1, 4, 3], [5, 6]],
    ),
    "its own class": (
        [source(Post.parent, Post.author, User.name).nulls_first(), Post.id.desc()],
        [[1, 4, 3, 2], [6, 5]],
    ),
    "a criterion": (
        source(Post.author.and_(User.id > bindparam("least")), User.name).nulls_last(),
        [[2, 3, 1, 4], [5, 6]],
    ),
}


def ids(topic: Topic) -> list[int]:
    return [post.id for post in topic.posts]


def params_of(name: str) -> Any:
    return {"least": 1} if name == "a criterion" else None


SHAPES: list[dict[str, Any]] = [{}, {"strategy": "subquery"}, {"limit": 1}, {"limit": 3}]


async def test_a_collection_is_ordered_by_a_to_one(engine: AsyncEngine) -> None:
    """Of all topics, of one, in a stream, and over an association table."""
    async with filled(engine, Base.metadata, *ROWS) as loader:
        for (name, (order, expected)), shape in itertools.product(ORDERS.items(), SHAPES):
            params, most = params_of(name), shape.get("limit")
            plan = LoadPlan(Topic, load(Topic.posts, load(Post.author), order_by=order, **shape))
            over = LoadPlan(Topic, load(Topic.tagged, order_by=order, **shape))
            wanted = [each[:most] for each in expected]
            found = await loader.fetch_all(plan, order_by=Topic.id, params=params)
            assert (name, shape, list(map(ids, found))) == (name, shape, wanted)
            assert (name, shape, ids(await loader.fetch(plan, 1, params=params))) == (name, shape, wanted[0])
            streamed = loader.stream(plan, order_by=Topic.id, batch_size=1, params=params)
            assert (name, shape, [ids(each) async for each in streamed]) == (name, shape, wanted)
            tagged = await loader.fetch_all(over, order_by=Topic.id, params=params)
            of_tagged = [[post.id for post in each.tagged] for each in tagged]
            assert (name, shape, of_tagged) == (name, shape, [wanted[0], [5]])


@attrs.frozen
class Row:
    id: int


async def test_a_view_is_ordered_by_a_to_one(engine: AsyncEngine) -> None:
    """All rows, and the first one, where a driver nests rows and where it does not."""
    async with filled(engine, Base.metadata, *ROWS) as loader:
        for name, (order, expected) in ORDERS.items():
            view: Any = attrs.make_class(
                "View",
                {
                    "posts": attrs.field(type=Annotated[list[Row], load(Topic.posts, order_by=order)]),
                    "first": attrs.field(type=Annotated[Row | None, load(Topic.posts, order_by=order, limit=1)]),
                },
            )
            plan: LoadPlan[Any] = LoadPlan(Topic, into=view)
            rows = [view([Row(each) for each in posts], Row(posts[0])) for posts in expected]
            assert await loader.fetch_all(plan, order_by=Topic.id, params=params_of(name)) == rows
            assert await loader.fetch(plan, 2, params=params_of(name)) == rows[1]


@pytest.mark.parametrize("depth", [2, "all"])
async def test_a_tree_is_ordered_by_a_to_one(engine: AsyncEngine, depth: Any) -> None:
    plan = LoadPlan(Post, load(Post.replies, order_by=NAME.nulls_last(), depth=depth))
    async with filled(engine, Base.metadata, *ROWS) as loader:
        root = await loader.fetch(plan, 1)
        assert [(each.id, [below.id for below in each.replies]) for each in root.replies] == [
            (2, [5, 6]),
            (3, []),
            (4, []),
        ]


async def test_the_order_is_that_of_what_the_result_shows(engine: AsyncEngine) -> None:
    """An author whom the session or the plan hides has NULL; attached and extended graphs have the same order."""

    class Hiding(Session):
        pass

    @event.listens_for(Hiding, "do_orm_execute")
    def hide(state: Any) -> None:
        state.statement = state.statement.options(with_loader_criteria(User, User.name != "ann"))

    load_posts = load(Topic.posts, load(Post.author), order_by=NAME.nulls_first())
    by_plan = load(Topic.posts, load(Post.author, where=User.name != "ann"), order_by=NAME.nulls_first())
    async with filled(engine, Base.metadata, *ROWS) as loader:
        hiding = Loader(async_sessionmaker(engine, sync_session_class=Hiding))
        for each, given in ((hiding, load_posts), (loader, by_plan)):
            assert list(map(ids, await each.fetch_all(LoadPlan(Topic, given), order_by=Topic.id))) == [
                [2, 4, 1, 3],
                [5, 6],
            ]
        async with AsyncSession(engine) as session:
            assert ids(await Loader(session).fetch_attached(LoadPlan(Topic, load_posts), 1)) == [4, 2, 1, 3]
        topics = await loader.fetch_all(LoadPlan(Topic), order_by=Topic.id)
        await loader.extend(topics, load(Topic.posts, order_by=[NAME.nulls_first()]))
        assert list(map(ids, topics)) == [[4, 2, 1, 3], [5, 6]]


async def test_extend_takes_an_order(engine: AsyncEngine) -> None:
    """It joins the first collection where it may; a collection with an order takes a statement of its own."""
    async with filled(engine, Base.metadata, *ROWS) as loader:
        topics = await loader.fetch_all(LoadPlan(Topic), order_by=Topic.id)
        await loader.extend(topics, load(Topic.posts, order_by=Post.id.desc()))
        assert list(map(ids, topics)) == [[4, 3, 2, 1], [6, 5]]


WRONG: dict[str, tuple[Any, str]] = {
    "no value": (source(Post.author), "LP112"),
    "no relationship": (source(Post.id), "LP112"),
    "many rows": (source(Post.topic, Topic.posts, Post.id), "LP112"),
    "another class": (source(Post.author, Country.name), "LP112"),
    "another start": (source(User.country, Country.name), "LP112"),
    "another table": (source(Post.author, Country.name == "x"), "LP215"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_path_to_no_one_value_is_refused_where_it_is_written(name: str) -> None:
    given, code = WRONG[name]
    with pytest.raises(PlanError) as caught:
        LoadPlan(Topic, load(Topic.posts, order_by=given))
    assert caught.value.code == code


async def test_the_hints_lead_to_plans_that_work(sqlite: AsyncEngine) -> None:
    """Both hints are followed word by word."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Topic, load(Topic.posts, order_by=User.name.desc().nulls_last()))
    hint = "write order_by=source(Post.author, User.name).desc().nulls_last()."
    assert (caught.value.code, caught.value.problem.hint) == ("LP215", hint)
    path: Any = source(Post.author, User.country, Country.name == "Z")
    with pytest.raises(PlanError) as caught:
        LoadPlan(Topic, load(Topic.posts, where=path))
    hint = "write the condition with the relationship: where=Post.author.has(User.country.has(Country.name == 'Z'))."
    assert (caught.value.code, caught.value.problem.hint) == ("LP108", hint)
    condition = Post.author.has(User.country.has(Country.name == "Z"))
    mended = LoadPlan(
        Topic, load(Topic.posts, where=condition, order_by=source(Post.author, User.name).desc().nulls_last())
    )
    async with filled(sqlite, Base.metadata, *ROWS) as loader:
        assert list(map(ids, await loader.fetch_all(mended, order_by=Topic.id))) == [[1], [6]]


def test_equal_paths_make_equal_plans() -> None:
    plans = [LoadPlan(Topic, load(Topic.posts, order_by=source(Post.author, User.name).desc())) for _ in range(2)]
    assert plans[0] == plans[1]
    assert hash(plans[0]) == hash(plans[1])
    assert plans[0] != LoadPlan(Topic, load(Topic.posts, order_by=NAME))
    assert repr(plans[0]) == "LoadPlan(Topic, load(Topic.posts, order_by=source(Post.author, User.name).desc()))"
