"""Models out of tutorials: what plain async SQLAlchemy does to people, then the plan that answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from oracle import fill
from sqlalchemy import Column, ForeignKey, String, Table, select
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, backref, mapped_column, relationship
from sqlalchemy.orm.exc import DetachedInstanceError

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import in_one, recording, tables

# The driver's coroutine that SQLAlchemy could not await is dropped.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


class Base(AsyncAttrs, DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "tutorial_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(32), unique=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    if TYPE_CHECKING:
        password: Mapped["UserPassword | None"]


class Post(Base):
    __tablename__ = "tutorial_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100))
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    author: Mapped[User] = relationship(back_populates="posts")


class UserPassword(Base):
    __tablename__ = "tutorial_user_passwords"
    id: Mapped[int] = mapped_column(primary_key=True)
    hashed: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), unique=True)
    user: Mapped[User] = relationship(User, backref=backref("password", uselist=False))


book_genre = Table(
    "tutorial_book_genre",
    Base.metadata,
    Column("book_id", ForeignKey("tutorial_books.id", ondelete="CASCADE"), primary_key=True),
    Column("genre_id", ForeignKey("tutorial_genres.id", ondelete="CASCADE"), primary_key=True),
)


class Author(Base):
    __tablename__ = "tutorial_authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.id")


class Genre(Base):
    __tablename__ = "tutorial_genres"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(secondary=book_genre, back_populates="genres", order_by="Book.id")


class Book(Base):
    __tablename__ = "tutorial_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author] = relationship(back_populates="books")
    genres: Mapped[list[Genre]] = relationship(secondary=book_genre, back_populates="books", order_by=Genre.id)
    detail: Mapped["BookDetail | None"] = relationship(
        back_populates="book", uselist=False, cascade="all, delete-orphan"
    )


class BookDetail(Base):
    __tablename__ = "tutorial_book_details"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[int]
    book_id: Mapped[int] = mapped_column(ForeignKey(Book.id), unique=True)
    book: Mapped[Book] = relationship(back_populates="detail")


async def _fill(engine: AsyncEngine) -> None:
    ann = User(id=1, username="ann", posts=[Post(id=1, title="one"), Post(id=2, title="two")])
    await fill(engine, ann, User(id=2, username="bob"))
    await fill(engine, UserPassword(id=1, hashed="x", user_id=1))
    genres = [Genre(id=1, name="crime"), Genre(id=2, name="travel"), Genre(id=3, name="verse")]
    cy = Author(id=1, name="cy")
    await fill(
        engine,
        *genres,
        Book(id=1, title="a", author=cy, genres=genres[:2], detail=BookDetail(id=1, pages=99)),
        Book(id=2, title="b", author=cy),
    )


def assert_missing_greenlet(touch: Callable[[], object]) -> None:
    """Assert that SQLAlchemy tried to run SQL where it cannot; aiosqlite's dialect wraps the error."""
    with pytest.raises((MissingGreenlet, StatementError), match="greenlet_spawn has not been called"):
        touch()


@pytest.mark.parametrize("key", ["posts", "password"])
async def test_user_and_posts(engine: AsyncEngine, key: str) -> None:
    """``user.posts`` after ``session.get``: the first error of everybody's first async application."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            plain = await session.get_one(User, 1)
            assert_missing_greenlet(lambda: getattr(plain, key))
        with pytest.raises(DetachedInstanceError):
            getattr(plain, key)

        plan = LoadPlan(User, load(User.posts), load("password"), name="user page")
        with recording(engine) as statements:
            user = await Loader(engine).fetch(plan, 1)
    assert len(statements) == in_one(engine, 2)
    assert [post.title for post in user.posts] == ["one", "two"]
    assert user.password is not None
    assert user.password.hashed == "x"
    assert user.posts[0].author is user.password.user is user


async def test_post_and_author(engine: AsyncEngine) -> None:
    """A loop over ``post.author.username``: an error here, N+1 in synchronous code; one statement with a plan."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            posts = (await session.scalars(select(Post).order_by(Post.id))).all()
            assert_missing_greenlet(lambda: [post.author.username for post in posts])
        with recording(engine) as statements:
            loaded = await Loader(engine).fetch_all(LoadPlan(Post, load(Post.author)), order_by=Post.id)
    assert len(statements) == 1
    assert [post.author.username for post in loaded] == ["ann", "ann"]


async def test_expired_after_commit(engine: AsyncEngine) -> None:
    """``expire_on_commit`` makes even a column an error; what a plan gave stays as it was."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            plain = await session.get_one(User, 1)
            user = await Loader(session).fetch(LoadPlan(User, load(User.posts)), 1)
            await session.commit()
            assert_missing_greenlet(lambda: plain.username)
            assert (user.username, len(user.posts)) == ("ann", 2)


@pytest.mark.parametrize("key", ["genres", "detail", "author"])
async def test_book_with_genres_detail_and_author(engine: AsyncEngine, key: str) -> None:
    """Many-to-many, one-to-one with delete-orphan and many-to-one: two statements, or one with nested rows."""
    plan = LoadPlan(Book, load(Book.genres), load(Book.detail), load(Book.author))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            plain = (await session.scalars(select(Book).where(Book.id == 1))).one()
            assert_missing_greenlet(lambda: getattr(plain, key))
        with recording(engine) as statements:
            book, bare = await Loader(engine).fetch_many(plan, [1, 2])
    assert len(statements) == in_one(engine, 2)
    assert [genre.name for genre in book.genres] == ["crime", "travel"]
    assert book.detail is not None
    assert (book.detail.pages, book.detail.book is book) == (99, True)
    assert bare.genres == []
    assert bare.detail is None
    assert bare.author is book.author


async def test_genre_to_books_to_authors(engine: AsyncEngine) -> None:
    """The other way around, on a sessionmaker."""
    plan = LoadPlan(Genre, load(Genre.books, load(Book.author), load(Book.detail)))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            plain = (await session.scalars(select(Genre))).all()
            assert_missing_greenlet(lambda: [book.author for genre in plain for book in genre.books])
        with recording(engine) as statements:
            genres = await Loader(async_sessionmaker(engine)).fetch_all(plan, order_by=Genre.id)
    assert len(statements) == 2
    assert [[(book.title, book.author.name) for book in genre.books] for genre in genres] == [
        [("a", "cy")],
        [("a", "cy")],
        [],
    ]


async def test_the_password_from_its_own_side(engine: AsyncEngine) -> None:
    """Through the many-to-one that the backref was declared on."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            plain = await session.get_one(UserPassword, 1)
            assert_missing_greenlet(lambda: plain.user)
        with recording(engine) as statements:
            password = await Loader(engine).fetch(LoadPlan(UserPassword, load(UserPassword.user, load(User.posts))), 1)
    assert len(statements) == in_one(engine, 2)
    assert [post.title for post in password.user.posts] == ["one", "two"]


async def test_awaitable_attributes_know_the_plan(engine: AsyncEngine) -> None:
    """``AsyncAttrs`` gives what is loaded, and says what is not."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        user = await Loader(engine).fetch(LoadPlan(User, load(User.posts)), 1)
        with pytest.raises(NotLoaded, match=r"'User\.password'"):
            await user.awaitable_attrs.password
        async with AsyncSession(engine) as session:
            session.add(user)
            assert len(await user.awaitable_attrs.posts) == 2
            with pytest.raises(NotLoaded, match=r"'User\.password'"):
                await user.awaitable_attrs.password
