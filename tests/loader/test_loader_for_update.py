"""for_update=: the root rows are locked, they alone, for as long as the caller's transaction lasts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from both_loaders import AwaitedSyncLoader
from loader_models import AUTHOR, POST_PAGE, Author, Comment, Post, Tag, bound
from sqlalchemy import ForeignKey, Select, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import Loader, LoaderError, LoadPlan, load
from support import recording, tables


@pytest.fixture
async def neighbour(other_postgres: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with other_postgres.connect() as connection:
        yield connection


async def free(neighbour: AsyncConnection, entity: type[Any], key: str = "id") -> list[int]:
    """The rows of a table that nobody has locked, as another connection sees it."""
    column = entity.__table__.c[key]
    rows: Select[Any] = select(column).order_by(column).with_for_update(skip_locked=True)
    found = list((await neighbour.execute(rows)).scalars())
    await neighbour.rollback()
    return found


ALL_STRATEGIES = {
    "plain": POST_PAGE,
    "joined": LoadPlan(
        Post,
        load(Post.author),
        load(Post.comments, load(Comment.author), strategy="joined"),
        load(Post.tags, strategy="joined"),
    ),
    "inner": LoadPlan(Post, load(Post.author, strategy="inner")),
    "subquery": LoadPlan(Post, load(Post.author), load(Post.comments, strategy="subquery")),
    "alone": LoadPlan(Post, only=[Post.title]),
}


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("plan", ALL_STRATEGIES)
async def test_the_root_rows_are_locked_and_no_others(
    blog_postgres: AsyncEngine, neighbour: AsyncConnection, kind: str, plan: str
) -> None:
    async with bound(kind, blog_postgres) as bind, bind.begin():  # type: ignore[union-attr]
        await Loader(bind).fetch(ALL_STRATEGIES[plan], 11, for_update=True)
        assert await free(neighbour, Post) == [12, 13]
        assert await free(neighbour, Author) == [1, 2, 3]
        assert await free(neighbour, Comment) == [101, 102, 103]
        assert await free(neighbour, Tag) == [1, 2]
    assert await free(neighbour, Post) == [11, 12, 13]


async def test_nothing_is_locked_unless_asked(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    async with AsyncSession(blog_postgres) as session, session.begin():
        await Loader(session).fetch(POST_PAGE, 11)
        await Loader(session).fetch(POST_PAGE, 11, for_update=False)
        assert await free(neighbour, Post) == [11, 12, 13]


async def test_every_call_locks_what_it_finds(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    async with AsyncSession(blog_postgres) as session:
        loader = Loader(session)
        await loader.fetch_one(POST_PAGE, Post.title == "two", for_update=True)
        assert await free(neighbour, Post) == [11, 13]
        await session.rollback()
        await loader.fetch_or_none(POST_PAGE, 13, for_update=True)
        assert await free(neighbour, Post) == [11, 12]
        await session.rollback()
        await loader.fetch_all(POST_PAGE, Post.author_id == 2, for_update=True)
        assert await free(neighbour, Post) == [13]


@pytest.mark.parametrize("plan", ALL_STRATEGIES)
async def test_a_limit_locks_the_rows_within_it(
    blog_postgres: AsyncEngine, neighbour: AsyncConnection, plan: str
) -> None:
    async with AsyncSession(blog_postgres) as session, session.begin():
        found = await Loader(session).fetch_all(ALL_STRATEGIES[plan], order_by=Post.id, limit=2, for_update=True)
        assert [post.id for post in found] == [11, 12]
        assert await free(neighbour, Post) == [13]


async def test_nowait_raises_at_once(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    await neighbour.execute(select(Post.id).where(Post.id == 11).with_for_update())
    async with AsyncSession(blog_postgres) as session:
        with pytest.raises(DBAPIError, match="could not obtain lock"):
            await Loader(session).fetch(POST_PAGE, 11, for_update={"nowait": True})


async def test_skip_locked_passes_over_what_others_hold(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    await neighbour.execute(select(Post.id).where(Post.id == 11).with_for_update())
    async with AsyncSession(blog_postgres) as session:
        loader = Loader(session)
        found = await loader.fetch_all(POST_PAGE, order_by=Post.id, limit=1, for_update={"skip_locked": True})
        assert [post.id for post in found] == [12]
        assert await loader.fetch_or_none(POST_PAGE, 11, for_update={"skip_locked": True}) is None


async def test_a_weaker_lock(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    """read=True is FOR SHARE: others may share it, and not write."""
    async with AsyncSession(blog_postgres) as session, session.begin():
        await Loader(session).fetch(POST_PAGE, 11, for_update={"read": True})
        shared = select(Post.id).order_by(Post.id).with_for_update(read=True, skip_locked=True)
        assert list((await neighbour.execute(shared)).scalars()) == [11, 12, 13]
        await neighbour.rollback()
        assert await free(neighbour, Post) == [12, 13]


async def test_a_mapping_without_entries_locks_as_well(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    """They are the arguments of with_for_update(), which wants none."""
    async with AsyncSession(blog_postgres) as session, session.begin():
        await Loader(session).fetch(POST_PAGE, 11, for_update={})
        assert await free(neighbour, Post) == [12, 13]


async def test_of_names_the_root_alone(blog_postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    """A lock of other rows is refused, because the fetch would leave them unlocked."""
    async with AsyncSession(blog_postgres) as session, session.begin():
        loader = Loader(session)
        for of in (Post, Post.__table__, [Post], Post.id):
            await loader.fetch(POST_PAGE, 11, for_update={"of": of, "nowait": True})
        assert await free(neighbour, Post) == [12, 13]
        for other in (Comment, [Post, Comment], Comment.__table__, Comment.id):
            with pytest.raises(LoaderError) as caught:
                await loader.fetch(POST_PAGE, 11, for_update={"of": other})
            assert caught.value.code == "LP408"
        with pytest.raises(LoaderError) as caught:
            await loader.fetch_all(POST_PAGE, for_update={"of": Comment})
        assert str(caught.value) == (
            "LP408: for_update= cannot lock the rows of the class 'Comment'\n"
            "  at: post page\n"
            "  detail: a fetch locks the rows of its root, and no others.\n"
            "  hint: leave 'of' out, and lock other rows with select(...).with_for_update() in your session."
        )


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
@pytest.mark.parametrize("asked", [True, {"nowait": True}, {}])
async def test_a_loader_that_owns_its_transaction_refuses(blog: AsyncEngine, kind: str, asked: Any) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        words = ("SyncLoader", "") if issubclass(Loader, AwaitedSyncLoader) else ("Loader", "Async")
        with recording(blog) as statements:
            for call in (
                lambda: loader.fetch(POST_PAGE, 11, for_update=asked),
                lambda: loader.fetch_or_none(POST_PAGE, 11, for_update=asked),
                lambda: loader.fetch_one(POST_PAGE, Post.id == 11, for_update=asked),
                lambda: loader.fetch_one_or_none(POST_PAGE, Post.id == 11, for_update=asked),
                lambda: loader.fetch_all(POST_PAGE, for_update=asked),
            ):
                with pytest.raises(LoaderError) as caught:
                    await call()  # type: ignore[no-untyped-call]
                assert str(caught.value) == (
                    f"LP408: for_update= needs your own transaction, but this {words[0]} opens a separate one\n"
                    "  at: post page\n"
                    "  detail: the lock would end when the fetch returns.\n"
                    f"  hint: make the {words[0]} with the {words[1]}Session or {words[1]}Connection that changes the "
                    "row afterwards."
                )
    assert statements == []


async def test_a_connection_without_a_transaction_refuses_too(blog_postgres: AsyncEngine) -> None:
    """The lock would be gone with the transaction that the fetch itself would have to begin."""
    async with blog_postgres.connect() as connection:
        with pytest.raises(LoaderError, match="LP408"):
            await Loader(connection).fetch(AUTHOR, 1, for_update=True)
        with pytest.raises(LoaderError, match="LP408"):
            await Loader(async_sessionmaker(connection)).fetch(AUTHOR, 1, for_update=True)


async def test_a_sessionmaker_on_a_connection_in_a_transaction_locks(
    blog_postgres: AsyncEngine, neighbour: AsyncConnection
) -> None:
    async with blog_postgres.connect() as connection, connection.begin():
        await Loader(async_sessionmaker(connection)).fetch(AUTHOR, 1, for_update=True)
        assert await free(neighbour, Author) == [2, 3]
    assert await free(neighbour, Author) == [1, 2, 3]


async def test_a_session_that_has_not_begun_begins_and_holds_the_lock(
    blog_postgres: AsyncEngine, neighbour: AsyncConnection
) -> None:
    async with AsyncSession(blog_postgres) as session:
        await Loader(session).fetch(AUTHOR, 1, for_update=True)
        assert session.in_transaction()
        assert await free(neighbour, Author) == [2, 3]


class Base(DeclarativeBase):
    pass


class Staff(Base):
    __tablename__ = "ldr_lock_staff"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "staff"}


class Cook(Staff):
    __tablename__ = "ldr_lock_cooks"
    id: Mapped[int] = mapped_column(ForeignKey("ldr_lock_staff.id"), primary_key=True)
    stars: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "cook"}


async def test_an_entity_of_two_tables_is_locked_whole(postgres: AsyncEngine, neighbour: AsyncConnection) -> None:
    """Joined inheritance: the row of a cook is a row in each table."""
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add_all([Cook(id=1), Cook(id=2)])
            await session.commit()
        async with AsyncSession(postgres) as session, session.begin():
            await Loader(session).fetch(LoadPlan(Cook), 1, for_update=True)
            assert await free(neighbour, Staff) == [2]
            assert await free(neighbour, Cook) == [2]
        async with AsyncSession(postgres) as session, session.begin():
            await Loader(session).fetch(LoadPlan(Staff), 2, for_update=True)
            assert await free(neighbour, Staff) == [1]


async def test_the_locked_row_is_read_as_the_lock_found_it(
    blog_postgres: AsyncEngine, other_postgres: AsyncEngine
) -> None:
    """A caller that has read the row earlier gets the values of now, which is what the lock is for."""
    async with AsyncSession(blog_postgres) as session:
        mine = await session.get_one(Author, 1)
        async with other_postgres.begin() as connection:
            await connection.execute(
                Author.__table__.update().where(Author.__table__.c.id == 1).values(name=func.upper("ann"))  # type: ignore[attr-defined]
            )
        locked = await Loader(session).fetch(AUTHOR, 1, for_update=True)
        assert locked.name == "ANN"
        assert mine.name == "Ann"
