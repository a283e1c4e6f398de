"""fetch, fetch_or_none, fetch_many, fetch_one and fetch_all, on every kind of bind."""

from typing import Any

import pytest
from loader_models import AUTHOR, BINDS, POST_PAGE, POSTS, Author, Comment, Post, bound
from sqlalchemy import Engine, create_engine, func, inspect, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoaderError, LoadPlan, MultipleFound, NotFound, load
from support import recording


@pytest.fixture(params=BINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What the loader is made with."""
    name: str = request.param
    return name


def ids(found: list[Any]) -> list[int]:
    return [each.id for each in found]


async def test_fetch_gives_the_whole_graph_detached(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        with recording(blog) as statements:
            post = await Loader(bind).fetch(POST_PAGE, 11)
    assert len(statements.selects) == 3
    assert post.author.name == "Ben"
    assert post.author.boss is not None
    assert post.author.boss.name == "Ann"
    assert [comment.author.name for comment in post.comments] == ["Ann", "Cid"]
    assert [tag.name for tag in post.tags] == ["red", "blue"]
    assert inspect(post).detached
    assert all(inspect(comment).detached for comment in post.comments)


async def test_fetch_of_a_missing_row_raises_not_found(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        with pytest.raises(NotFound) as caught:
            await Loader(bind).fetch(AUTHOR, 99)
    assert caught.value.missing == (99,)


async def test_fetch_or_none(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        found = await loader.fetch_or_none(AUTHOR, 1)
        assert found is not None
        assert found.name == "Ann"
        assert await loader.fetch_or_none(AUTHOR, 99) is None


async def test_fetch_many_keeps_the_order_and_answers_twice_for_what_is_asked_twice(
    blog: AsyncEngine, kind: str
) -> None:
    async with bound(kind, blog) as bind:
        with recording(blog) as statements:
            found = await Loader(bind).fetch_many(POSTS, [3, 1, 2, 3, 1])
    assert ids(found) == [3, 1, 2, 3, 1]
    assert found[0] is found[3]
    assert found[1] is found[4]
    assert ids(found[2].posts) == [11, 12]
    assert len(statements.selects) == 2


async def test_fetch_many_names_every_missing_id_in_the_order_asked(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        with pytest.raises(NotFound) as caught:
            await Loader(bind).fetch_many(AUTHOR, [98, 1, 97, 2])
    assert caught.value.missing == (98, 97)


async def test_fetch_many_skips_missing_ids_when_told(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        found = await Loader(bind).fetch_many(AUTHOR, [98, 3, 97, 1, 3], missing="skip")
    assert ids(found) == [3, 1, 3]


async def test_fetch_many_of_nothing_runs_no_sql(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        with recording(blog) as statements:
            assert await Loader(bind).fetch_many(AUTHOR, []) == []
    assert statements == []


async def test_fetch_many_takes_any_iterable_once(blog: AsyncEngine) -> None:
    assert ids(await Loader(blog).fetch_many(AUTHOR, (number for number in (2, 1)))) == [2, 1]


async def test_fetch_one(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        assert (await loader.fetch_one(POSTS, Author.name == "Ben")).id == 2
        assert (await loader.fetch_one(POSTS, [Author.boss_id == 1, Author.id > 2])).id == 3
        with pytest.raises(NotFound):
            await loader.fetch_one(POSTS, Author.name == "Zoe")
        with pytest.raises(MultipleFound):
            await loader.fetch_one(POSTS, Author.boss_id == 1)
        found = await loader.fetch_one_or_none(POSTS, Author.name == "Ben")
        assert found is not None
        assert found.id == 2
        assert await loader.fetch_one_or_none(POSTS, Author.name == "Zoe") is None
        with pytest.raises(MultipleFound):
            await loader.fetch_one_or_none(POSTS, Author.boss_id == 1)


async def test_fetch_one_counts_roots_and_not_the_rows_of_a_forced_join(blog: AsyncEngine) -> None:
    """Two joined posts are two rows of one author: that author is still the only one."""
    plan = LoadPlan(Author, load(Author.posts, strategy="joined"))
    author = await Loader(blog).fetch_one(plan, Author.id == 2)
    assert ids(author.posts) == [11, 12]


async def test_fetch_all_with_where_order_limit_and_offset(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        assert sorted(ids(await loader.fetch_all(AUTHOR))) == [1, 2, 3]
        assert ids(await loader.fetch_all(AUTHOR, order_by=Author.name.desc())) == [3, 2, 1]
        assert ids(await loader.fetch_all(AUTHOR, Author.boss_id == 1, Author.id.desc())) == [3, 2]
        assert ids(await loader.fetch_all(AUTHOR, order_by=[Author.boss_id.is_(None), Author.name.desc()])) == [3, 2, 1]
        assert ids(await loader.fetch_all(AUTHOR, order_by=Author.id, limit=2)) == [1, 2]
        assert ids(await loader.fetch_all(AUTHOR, order_by=Author.id, limit=2, offset=1)) == [2, 3]
        assert ids(await loader.fetch_all(AUTHOR, order_by=Author.id, limit=0)) == []
        assert ids(await loader.fetch_all(AUTHOR, where=Author.name == "Zoe")) == []


async def test_fetch_all_without_a_match_sends_the_root_statement_alone(blog: AsyncEngine) -> None:
    with recording(blog) as statements:
        assert await Loader(blog).fetch_all(POST_PAGE, where=Post.id == 99) == []
    assert len(statements.selects) == 1


@pytest.mark.parametrize("limit", [1, 7, 20, 39])
async def test_ties_are_broken_by_the_primary_key(blog: AsyncEngine, limit: int) -> None:
    """Rows rewritten out of order lie on the pages in another order than their keys: only a sort brings that back."""
    async with AsyncSession(blog) as session:
        session.add_all(Author(id=number, name="same") for number in range(100, 140))
        await session.flush()
        await session.execute(update(Author).where(Author.id < 110).values(hidden=True))
        await session.commit()
    loader = Loader(blog)
    same = Author.name == "same"
    found = ids(await loader.fetch_all(AUTHOR, same, Author.name, limit))
    assert found == list(range(100, 100 + limit))
    assert ids(await loader.fetch_all(AUTHOR, same, Author.name.desc(), limit)) == found
    rest = await loader.fetch_all(AUTHOR, same, Author.name, offset=limit, limit=100)
    assert ids(rest) == list(range(100 + limit, 140))


async def test_a_limit_without_an_order_goes_by_the_primary_key(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        await session.execute(update(Author).where(Author.id == 1).values(name="Ann again"))
        await session.commit()
    assert ids(await Loader(blog).fetch_all(AUTHOR, limit=2)) == [1, 2]
    assert ids(await Loader(blog).fetch_all(AUTHOR, offset=1, limit=5)) == [2, 3]


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_a_limit_counts_roots_whatever_the_strategy(blog: AsyncEngine, strategy: Any) -> None:
    plan = LoadPlan(Author, load(Author.posts, load(Post.comments, strategy=strategy), strategy=strategy))
    found = await Loader(blog).fetch_all(plan, order_by=Author.id.desc(), limit=2)
    assert ids(found) == [3, 2]
    assert [ids(author.posts) for author in found] == [[13], [11, 12]]
    assert [[ids(post.comments) for post in author.posts] for author in found] == [[[]], [[101, 102], [103]]]


async def test_a_condition_may_speak_of_related_rows(blog: AsyncEngine, kind: str) -> None:
    """A filter by EXISTS neither multiplies roots nor narrows what is loaded of them."""
    async with bound(kind, blog) as bind:
        found = await Loader(bind).fetch_all(POST_PAGE, Post.comments.any(Comment.author_id == 1))
    assert ids(found) == [11]
    assert ids(found[0].comments) == [101, 102]


async def test_an_order_by_an_expression_and_a_condition_on_a_function(blog: AsyncEngine) -> None:
    found = await Loader(blog).fetch_all(AUTHOR, func.length(Author.name) == 3, func.lower(Author.name).desc(), 1)
    assert ids(found) == [3]


@pytest.mark.asynchronous
def test_a_bind_that_is_none_of_the_four_is_refused_at_once() -> None:
    engine: Engine = create_engine("sqlite://")
    with pytest.raises(LoaderError) as caught:
        Loader(engine)  # type: ignore[arg-type]
    engine.dispose()
    assert str(caught.value) == (
        "LP408: a Loader cannot use Engine(sqlite://)\n"
        "  hint: use SyncLoader, or give it an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection."
    )


@pytest.mark.asynchronous
async def test_the_loader_says_what_it_stands_on(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        assert repr(Loader(bind)) == f"Loader({type(bind).__name__})"
