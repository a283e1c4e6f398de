"""On a caller's session: its work is seen, nothing of it is touched, and its transaction goes on as before."""

from typing import Any

import pytest
from loader_models import AUTHOR, POST_PAGE, POSTS, Author, Comment, Post, Tag
from sqlalchemy import Integer, cast, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import IdentityError, Loader, LoadPlan, NotFound, load
from support import recording


def photograph(session: AsyncSession) -> dict[str, Any]:
    """Everything that can be told of a session's objects without a statement."""

    def values(entity: object) -> dict[str, Any]:
        return {
            key: [id(each) for each in value] if isinstance(value, list) else id(value)
            for key, value in vars(entity).items()
        }

    def state(entity: Any) -> tuple[Any, ...]:
        seen = inspect(entity)
        return (
            id(entity),
            values(entity),
            seen.modified,
            seen.expired,
            set(seen.expired_attributes),
            set(seen.committed_state),
            set(seen.callables),
        )

    sync = session.sync_session
    return {
        "persistent": {key: state(entity) for key, entity in sync.identity_map.items()},
        "new": sorted(map(id, sync.new)),
        "dirty": sorted(map(id, sync.dirty)),
        "deleted": sorted(map(id, sync.deleted)),
        "pending": [state(entity) for entity in sync.new],
    }


async def busy(session: AsyncSession) -> list[Any]:
    """Fill a session: partly loaded, expired, pending, dirty and deleted objects. The list keeps them alive."""
    ann = await session.get_one(Author, 1)
    ben = (await session.scalars(select(Author).where(Author.id == 2))).one()
    post = await session.get_one(Post, 11)
    await session.refresh(post, ["comments", "tags"])
    doomed = await session.get_one(Post, 13)
    ann.name = "changed here"
    session.expire(ben, ["name"])
    post.tags.append(Tag(id=9, name="new"))
    new = Post(id=14, title="new", author=ann)
    session.add(new)
    await session.delete(doomed)
    return [ann, ben, post, doomed, new]


@pytest.mark.parametrize("plan", [POST_PAGE, LoadPlan(Post), LoadPlan(Post, load(Post.author), only=[Post.title])])
async def test_objects_of_the_caller_stay_as_they_are(blog: AsyncEngine, plan: LoadPlan[Post]) -> None:
    async with AsyncSession(blog, autoflush=False) as session:
        kept = await busy(session)
        before = photograph(session)
        fetched = await Loader(session).fetch(plan, 11)
        assert photograph(session) == before
        assert fetched is not kept[2]
        assert fetched not in session
        everybody = await Loader(session).fetch_all(POSTS)
        assert photograph(session) == before
        assert not any(author in session for author in everybody)


@pytest.mark.parametrize("wrong", [99, "abc"])
async def test_objects_of_the_caller_stay_as_they_are_when_a_fetch_fails(blog: AsyncEngine, wrong: object) -> None:
    async with AsyncSession(blog, autoflush=False) as session:
        kept = await busy(session)
        before = photograph(session)
        transaction = session.get_transaction()
        with pytest.raises((NotFound, IdentityError)):
            await Loader(session).fetch(POST_PAGE, wrong)
        assert photograph(session) == before
        assert session.get_transaction() is transaction
        assert kept


async def test_what_the_caller_has_changed_but_not_flushed_does_not_leak_in(blog: AsyncEngine) -> None:
    async with AsyncSession(blog, autoflush=False) as session:
        mine = await session.get_one(Author, 1)
        mine.name = "changed here"
        fetched = await Loader(session).fetch(AUTHOR, 1)
        assert fetched.name == "Ann"
        assert mine.name == "changed here"
        assert mine in session.dirty


async def test_what_the_caller_has_loaded_in_part_does_not_leak_in(blog: AsyncEngine) -> None:
    """The caller's object has a stale collection; the fetched one has the rows."""
    async with AsyncSession(blog) as session:
        mine = await session.get_one(Author, 2)
        await session.refresh(mine, ["posts"])
        await session.execute(
            update(Post).where(Post.id == 13).values(author_id=2).execution_options(synchronize_session=False)
        )
        fetched = await Loader(session).fetch(POSTS, 2)
        assert [post.id for post in fetched.posts] == [11, 12, 13]
        assert [post.id for post in mine.posts] == [11, 12]


async def test_a_session_that_autoflushes_is_flushed_first(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        (await session.get_one(Author, 1)).name = "flushed"
        new = Author(id=50, name="new")
        session.add(new)
        loader = Loader(session)
        assert (await loader.fetch(AUTHOR, 1)).name == "flushed"
        assert (await loader.fetch(AUTHOR, 50)).name == "new"
        assert new in session
        assert not session.new


async def test_no_autoflush_is_respected(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        new = Author(id=50, name="new")
        session.add(new)
        with session.no_autoflush:
            assert await Loader(session).fetch_or_none(AUTHOR, 50) is None
        assert new in session.new
        assert await Loader(session).fetch_or_none(AUTHOR, 50) is not None


async def test_a_session_made_without_autoflush_is_not_flushed(blog: AsyncEngine) -> None:
    async with AsyncSession(blog, autoflush=False) as session:
        session.add(Author(id=50, name="new"))
        assert await Loader(session).fetch_or_none(AUTHOR, 50) is None
        await session.flush()
        assert await Loader(session).fetch_or_none(AUTHOR, 50) is not None


async def test_an_impossible_id_is_refused_before_the_flush(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        new = Author(id=50, name="new")
        session.add(new)
        with recording(blog) as statements, pytest.raises(IdentityError):
            await Loader(session).fetch(AUTHOR, "abc")
        assert statements == []
        assert new in session.new


async def test_uncommitted_work_is_seen_and_rolled_back_with_the_caller(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        session.add(Author(id=50, name="new", posts=[Post(id=51, title="t")]))
        await session.flush()
        assert [post.id for post in (await Loader(session).fetch(POSTS, 50)).posts] == [51]
        await session.rollback()
        assert await Loader(session).fetch_or_none(POSTS, 50) is None


async def test_inside_a_savepoint(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session, session.begin():
        session.add(Author(id=50, name="outer"))
        async with session.begin_nested() as savepoint:
            session.add(Author(id=51, name="inner"))
            found = await Loader(session).fetch_many(POSTS, [50, 51])
            assert [author.name for author in found] == ["outer", "inner"]
            assert session.in_nested_transaction()
            assert session.get_nested_transaction() is savepoint
            await savepoint.rollback()
        found = await Loader(session).fetch_many(AUTHOR, [50, 51], missing="skip")
        assert [author.name for author in found] == ["outer"]


async def test_the_transaction_of_the_caller_goes_on(blog: AsyncEngine) -> None:
    async with AsyncSession(blog) as session:
        session.add(Author(id=50, name="new"))
        await session.flush()
        transaction = session.get_transaction()
        await Loader(session).fetch(POST_PAGE, 11)
        with pytest.raises(NotFound):
            await Loader(session).fetch(POST_PAGE, 99)
        assert session.get_transaction() is transaction
        assert transaction is not None
        assert transaction.is_active
        await session.commit()
    assert (await Loader(blog).fetch(AUTHOR, 50)).name == "new"


async def test_a_database_error_inside_a_savepoint_leaves_the_outer_transaction_usable(
    blog_postgres: AsyncEngine,
) -> None:
    async with AsyncSession(blog_postgres) as session, session.begin():
        mine = Author(id=50, name="new")
        session.add(mine)
        await session.flush()
        with pytest.raises(DBAPIError):
            async with session.begin_nested():
                await Loader(session).fetch_all(POSTS, cast(Author.name, Integer) == 1)
        assert mine in session
        assert mine.name == "new"
        assert (await Loader(session).fetch(AUTHOR, 50)).name == "new"
    assert (await Loader(blog_postgres).fetch(AUTHOR, 50)).name == "new"


async def test_a_session_that_must_be_begun_by_hand(blog: AsyncEngine) -> None:
    """autobegin=False: a fetch begins no transaction behind the caller's back, and joins the one that is begun."""
    async with AsyncSession(blog, autobegin=False) as session:
        with pytest.raises(InvalidRequestError, match=r"(?i)autobegin"):
            await Loader(session).fetch(AUTHOR, 1)
        async with session.begin():
            assert (await Loader(session).fetch(POSTS, 2)).posts[0].id == 11


async def test_on_a_connection_the_transaction_goes_on(blog: AsyncEngine) -> None:
    async with blog.connect() as connection:
        loader = Loader(connection)
        await loader.fetch(POST_PAGE, 11)
        assert not connection.in_transaction()
        async with connection.begin() as transaction:
            await connection.execute(update(Author).where(Author.id == 1).values(name="changed"))
            assert (await loader.fetch(AUTHOR, 1)).name == "changed"
            with pytest.raises(NotFound):
                await loader.fetch(POST_PAGE, 99)
            assert connection.in_transaction()
            assert transaction.is_active
            async with connection.begin_nested() as savepoint:
                await connection.execute(update(Author).where(Author.id == 1).values(name="nested"))
                assert (await loader.fetch(AUTHOR, 1)).name == "nested"
                assert savepoint.is_active
                await savepoint.rollback()
            assert (await loader.fetch(AUTHOR, 1)).name == "changed"
            await transaction.commit()
    assert (await Loader(blog).fetch(AUTHOR, 1)).name == "changed"


async def test_the_isolation_of_the_caller_holds(blog_postgres: AsyncEngine) -> None:
    """Inside the caller's transaction nothing is set: neither isolation nor READ ONLY."""
    async with AsyncSession(blog_postgres) as session:
        await Loader(session).fetch(POST_PAGE, 11)
        shown = (
            await session.execute(
                select(func.current_setting("transaction_isolation"), func.current_setting("transaction_read_only"))
            )
        ).one()
        assert tuple(shown) == ("read committed", "off")
    async with blog_postgres.connect() as connection:
        connection = await connection.execution_options(isolation_level="SERIALIZABLE")
        async with connection.begin():
            await Loader(connection).fetch(POST_PAGE, 11)
            assert (await connection.execute(text("SHOW transaction_isolation"))).scalar() == "serializable"


async def test_a_comment_of_the_caller_is_none_of_the_fetched_post(blog: AsyncEngine) -> None:
    """A pending child of the caller's own post stays with that post."""
    async with AsyncSession(blog, autoflush=False) as session:
        mine = await session.get_one(Post, 12)
        author = await session.get_one(Author, 1)
        comment = Comment(id=200, post=mine, author=author)
        session.add(comment)
        fetched = await Loader(session).fetch(POST_PAGE, 12)
        assert [each.id for each in fetched.comments] == [103]
        assert comment.post is mine
        assert comment in session.new
