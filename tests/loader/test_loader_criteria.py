"""Global criteria (soft delete, tenants) hold at every level of a graph, wherever the listener sits."""

import contextlib
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loader_models import Author, Base, Comment, Hideable, Post, Tag, listening
from sqlalchemy import event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, joinedload, sessionmaker, with_loader_criteria

from loadplan import Loader, LoadPlan, load


def hide(*, include_aliases: bool = False, propagate_to_loaders: bool = True) -> Callable[[ORMExecuteState], None]:
    """The soft-delete recipe of SQLAlchemy's documentation.

    A criterion on a mixin reaches a statement's own entities with ``include_aliases=True`` alone, so without it there
    is one for each entity.
    """
    entities: tuple[type[Any], ...] = (Hideable,) if include_aliases else (Author, Post, Comment, Tag)

    def do_orm_execute(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(
                *(
                    with_loader_criteria(
                        entity,
                        lambda cls: cls.hidden.is_(False),
                        include_aliases=include_aliases,
                        propagate_to_loaders=propagate_to_loaders,
                    )
                    for entity in entities
                )
            )

    return do_orm_execute


PLACES = ("Session", "Session subclass", "sessionmaker", "session", "sessionmaker's session")


@contextlib.asynccontextmanager
async def listened(place: str, engine: AsyncEngine, listener: Callable[[ORMExecuteState], None]) -> AsyncIterator[Any]:
    """Register the listener at a place, and give a bind that it must hold for."""
    if place == "Session":
        with listening(Session, "do_orm_execute", listener):
            yield engine
    elif place == "Session subclass":

        class Sub(Session):
            pass

        event.listen(Sub, "do_orm_execute", listener)
        async with AsyncSession(engine, sync_session_class=Sub) as session:
            yield session
    elif place == "sessionmaker":
        sync_maker = sessionmaker()
        event.listen(sync_maker, "do_orm_execute", listener)
        yield async_sessionmaker(engine, sync_session_class=sync_maker.class_)
    elif place == "sessionmaker's session":
        sync_maker = sessionmaker()
        event.listen(sync_maker, "do_orm_execute", listener)
        async with async_sessionmaker(engine, sync_session_class=sync_maker.class_)() as session:
            yield session
    else:
        async with AsyncSession(engine) as session:
            event.listen(session.sync_session, "do_orm_execute", listener)
            yield session


async def hide_rows(engine: AsyncEngine, *hidden: tuple[type[Any], int]) -> None:
    async with engine.begin() as connection:
        for entity, number in hidden:
            await connection.execute(update(entity).where(entity.id == number).values(hidden=True))


PLAIN = LoadPlan(
    Post,
    load(Post.author, load(Author.boss), load(Author.posts, load(Post.comments))),
    load(Post.comments, load(Comment.author, load(Author.reports))),
    load(Post.tags),
)
JOINED = LoadPlan(
    Post,
    load(
        Post.author,
        load(Author.boss),
        load(Author.posts, load(Post.comments, strategy="joined"), strategy="joined"),
        strategy="joined",
    ),
    load(Post.comments, load(Comment.author, load(Author.reports, strategy="joined")), strategy="joined"),
    load(Post.tags, strategy="joined"),
)
SELECTIN = LoadPlan(
    Post,
    load(
        Post.author,
        load(Author.boss, strategy="selectin"),
        load(Author.posts, load(Post.comments)),
        strategy="selectin",
    ),
    load(Post.comments, load(Comment.author, load(Author.reports), strategy="selectin")),
    load(Post.tags),
)
SUBQUERY = LoadPlan(
    Post,
    load(
        Post.author,
        load(Author.boss, strategy="subquery"),
        load(Author.posts, load(Post.comments, strategy="subquery"), strategy="subquery"),
        strategy="subquery",
    ),
    load(
        Post.comments,
        load(Comment.author, load(Author.reports, strategy="subquery"), strategy="subquery"),
        strategy="subquery",
    ),
    load(Post.tags, strategy="subquery"),
)
BELOW_A_JOIN = LoadPlan(
    Post,
    load(
        Post.author,
        load(Author.boss),
        load(Author.posts, load(Post.comments, strategy="subquery"), strategy="subquery"),
    ),
    load(Post.comments, load(Comment.author, load(Author.reports, strategy="subquery"))),
    load(Post.tags, strategy="joined"),
)
PLANS = {"plain": PLAIN, "joined": JOINED, "selectin": SELECTIN, "subquery": SUBQUERY, "below a join": BELOW_A_JOIN}


def graph(post: Post) -> dict[str, Any]:
    """What a plan brought, as plain values."""
    author = post.author
    return {
        "author": author and author.id,
        "boss": author and author.boss and author.boss.id,
        "author's posts": author and {each.id: [comment.id for comment in each.comments] for each in author.posts},
        "comments": [
            (comment.id, comment.author and (comment.author.id, [report.id for report in comment.author.reports]))
            for comment in post.comments
        ],
        "tags": [tag.id for tag in post.tags],
    }


WHOLE = {
    "author": 2,
    "boss": 1,
    "author's posts": {11: [101, 102], 12: [103]},
    "comments": [(101, (1, [2, 3])), (102, (3, []))],
    "tags": [1, 2],
}

#: What is hidden, and what the graph of post 11 must lose by it.
HIDDEN: dict[str, tuple[list[tuple[type[Any], int]], dict[str, Any]]] = {
    "a to-one": (
        [(Author, 2)],
        {"author": None, "boss": None, "author's posts": None, "comments": [(101, (1, [3])), (102, (3, []))]},
    ),
    "a to-one below a to-one": ([(Author, 1)], {"boss": None, "comments": [(101, None), (102, (3, []))]}),
    "a to-one below a collection": ([(Author, 3)], {"comments": [(101, (1, [2])), (102, None)]}),
    "a row of a collection": (
        [(Comment, 101)],
        {"author's posts": {11: [102], 12: [103]}, "comments": [(102, (3, []))]},
    ),
    "a collection in a collection": ([(Comment, 103)], {"author's posts": {11: [101, 102], 12: []}}),
    "a sibling": ([(Post, 12)], {"author's posts": {11: [101, 102]}}),
    "a row of a many-to-many": ([(Tag, 1)], {"tags": [2]}),
    "everything": (
        [(Author, 1), (Author, 2), (Author, 3), (Comment, 101), (Comment, 102), (Tag, 1), (Tag, 2)],
        {"author": None, "boss": None, "author's posts": None, "comments": [], "tags": []},
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("plan", PLANS)
async def test_at_every_level_and_wherever_the_listener_sits(blog: AsyncEngine, place: str, plan: str) -> None:
    for hidden, lost in HIDDEN.values():
        async with blog.begin() as connection:
            for entity in (Author, Post, Comment, Tag):
                await connection.execute(update(entity).values(hidden=False))
        await hide_rows(blog, *hidden)
        for include_aliases in (False, True):
            async with listened(place, blog, hide(include_aliases=include_aliases)) as bind:
                found = await Loader(bind).fetch(PLANS[plan], 11)
            assert graph(found) == WHOLE | lost
            pickle.loads(pickle.dumps(found))


@pytest.mark.parametrize("plan", PLANS)
async def test_without_a_listener_hidden_rows_come(blog: AsyncEngine, plan: str) -> None:
    await hide_rows(blog, *HIDDEN["everything"][0])
    assert graph(await Loader(blog).fetch(PLANS[plan], 11)) == WHOLE


@pytest.mark.parametrize("place", PLACES)
async def test_a_hidden_root_is_not_found_by_any_call(blog: AsyncEngine, place: str) -> None:
    await hide_rows(blog, (Post, 11))
    async with listened(place, blog, hide()) as bind:
        loader = Loader(bind)
        assert await loader.fetch_or_none(PLAIN, 11) is None
        assert [post.id for post in await loader.fetch_many(PLAIN, [11, 12], missing="skip")] == [12]
        assert [post.id for post in await loader.fetch_all(JOINED, order_by=Post.id, limit=2)] == [12, 13]
        assert [post.id for post in await loader.fetch_all(SUBQUERY, order_by=Post.id, limit=1)] == [12]
        assert (await loader.fetch_one(PLAIN, Post.title.in_(["one", "two"]))).id == 12


async def test_without_propagation_each_statement_is_filtered_by_itself(blog: AsyncEngine) -> None:
    """propagate_to_loaders=False speaks of lazy and joined loads; a statement of its own is asked about on its own."""
    await hide_rows(blog, (Comment, 101), (Tag, 1), (Post, 13))
    with listening(Session, "do_orm_execute", hide(propagate_to_loaders=False)):
        found = await Loader(blog).fetch_all(SELECTIN, order_by=Post.id)
    assert [post.id for post in found] == [11, 12]
    assert [comment.id for comment in found[0].comments] == [102]
    assert [tag.id for tag in found[0].tags] == [2]


async def test_a_tenant_of_one_entity_is_applied_to_that_entity_alone(blog: AsyncEngine) -> None:
    """A criterion with a value of the moment, from session.info: never cached from one fetch to the next."""

    def tenant(state: ORMExecuteState) -> None:
        name = state.session.info["author"]
        state.statement = state.statement.options(with_loader_criteria(Author, lambda cls: cls.name == name))

    with listening(Session, "do_orm_execute", tenant):
        for name, expected in (("Ann", [101]), ("Cid", [102]), ("Ann", [101])):
            async with AsyncSession(blog, info={"author": name}) as session:
                post = await Loader(session).fetch(PLAIN, 11)
            assert [comment.id for comment in post.comments if comment.author] == expected
            maker = async_sessionmaker(blog, info={"author": name})
            post = await Loader(maker).fetch(PLAIN, 11)
            assert [comment.id for comment in post.comments if comment.author] == expected


async def test_a_listener_sees_every_statement_as_a_select_of_its_own(blog: AsyncEngine) -> None:
    """None of them says "relationship load": the documented recipes skip those."""
    seen: list[tuple[bool, bool, bool]] = []

    def look(state: ORMExecuteState) -> None:
        seen.append((state.is_select, state.is_relationship_load, state.is_column_load))

    async with AsyncSession(blog) as session:
        event.listen(session.sync_session, "do_orm_execute", look)
        await Loader(session).fetch(PLAIN, 11)
    assert seen == [(True, False, False)] * Loader(blog).explain(PLAIN).statements


async def test_a_listener_that_is_taken_off_the_session_is_off(blog: AsyncEngine) -> None:
    await hide_rows(blog, (Post, 12))
    listener = hide()
    async with AsyncSession(blog) as session:
        loader = Loader(session)
        event.listen(session.sync_session, "do_orm_execute", listener)
        assert len(await loader.fetch_all(PLAIN)) == 2
        assert len(await loader.fetch_all(PLAIN)) == 2
        event.remove(session.sync_session, "do_orm_execute", listener)
        assert len(await loader.fetch_all(PLAIN)) == 3


async def test_a_listener_on_one_session_is_not_heard_on_another(blog: AsyncEngine) -> None:
    await hide_rows(blog, (Post, 12))
    async with AsyncSession(blog) as session:
        event.listen(session.sync_session, "do_orm_execute", hide())
        assert len(await Loader(session).fetch_all(PLAIN)) == 2
    async with AsyncSession(blog) as session:
        assert len(await Loader(session).fetch_all(PLAIN)) == 3
    assert len(await Loader(blog).fetch_all(PLAIN)) == 3


async def test_a_listener_is_asked_once_a_statement(blog: AsyncEngine) -> None:
    """Carried over, not doubled: neither by the class and the instance, nor by one fetch after another."""
    heard: list[str] = []

    class Sub(Session):
        pass

    event.listen(Sub, "do_orm_execute", lambda state: heard.append("class"))
    async with AsyncSession(blog, sync_session_class=Sub) as session:
        event.listen(session.sync_session, "do_orm_execute", lambda state: heard.append("instance"))
        for _ in range(3):
            heard.clear()
            await Loader(session).fetch(LoadPlan(Tag), 1)
            assert sorted(heard) == ["class", "instance"]


async def test_criteria_of_a_statement_do_not_cling_to_the_objects(blog: AsyncEngine) -> None:
    """Put back into a session without the listener, an object loads what that session may see."""
    await hide_rows(blog, (Comment, 101))
    with listening(Session, "do_orm_execute", hide()):
        post = await Loader(blog).fetch(LoadPlan(Post, load(Post.comments)), 11)
    assert [comment.id for comment in post.comments] == [102]
    async with AsyncSession(blog) as session:
        session.add(post)
        await session.refresh(post, ["comments"])
        assert [comment.id for comment in post.comments] == [101, 102]


async def test_the_caller_gets_what_its_own_session_would_give(blog: AsyncEngine) -> None:
    """The oracle: SQLAlchemy's own joinedload in the same session, under the same listener."""
    await hide_rows(blog, (Author, 1), (Comment, 102))
    async with AsyncSession(blog) as session:
        event.listen(session.sync_session, "do_orm_execute", hide())
        statement = (
            select(Post)
            .options(joinedload(Post.author).joinedload(Author.boss), joinedload(Post.comments))
            .order_by(Post.id)
        )
        own = (await session.scalars(statement)).unique().all()
        plan = LoadPlan(Post, load(Post.author, load(Author.boss)), load(Post.comments))
        ours = await Loader(session).fetch_all(plan, order_by=Post.id)
        assert [
            (each.id, each.author.id, each.author.boss, [comment.id for comment in each.comments]) for each in ours
        ] == [(each.id, each.author.id, each.author.boss, [comment.id for comment in each.comments]) for each in own]


def test_the_mixin_is_on_every_entity() -> None:
    """The tables above would prove nothing for an entity that the criterion does not know."""
    assert all(issubclass(mapper.class_, Hideable) for mapper in Base.registry.mappers)
