"""A blog for the tests of the loader: every kind of relationship, and a flag that hides a row."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from sqlalchemy import Column, ForeignKey, Table, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    pass


class Hideable:
    hidden: Mapped[bool] = mapped_column(default=False)


post_tags = Table(
    "ldr_post_tags",
    Base.metadata,
    Column("post_id", ForeignKey("ldr_posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("ldr_tags.id"), primary_key=True),
)


class Author(Hideable, Base):
    __tablename__ = "ldr_authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("ldr_authors.id"))
    boss: Mapped["Author | None"] = relationship(remote_side=[id], back_populates="reports")
    reports: Mapped[list["Author"]] = relationship(back_populates="boss", order_by=id)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")


class Post(Hideable, Base):
    __tablename__ = "ldr_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("ldr_authors.id"))
    author: Mapped[Author] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tags, order_by="Tag.id")


class Comment(Hideable, Base):
    __tablename__ = "ldr_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("ldr_posts.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("ldr_authors.id"))
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[Author] = relationship()


class Tag(Hideable, Base):
    __tablename__ = "ldr_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


AUTHOR = LoadPlan(Author, name="author")
POSTS = LoadPlan(Author, load(Author.posts, strategy="selectin"), name="posts")
POST_PAGE = LoadPlan(
    Post,
    load(Post.author, load(Author.boss)),
    load(Post.comments, load(Comment.author), strategy="selectin"),
    load(Post.tags, strategy="selectin"),
    name="post page",
)


def rows() -> list[Base]:
    """Authors 1 to 3 (1 is the boss), posts 11 to 13, comments 101 to 104, tags 1 and 2."""
    ann, ben, cid = (Author(id=number, name=name) for number, name in ((1, "Ann"), (2, "Ben"), (3, "Cid")))
    ben.boss = cid.boss = ann
    red, blue = Tag(id=1, name="red"), Tag(id=2, name="blue")
    posts = [
        Post(id=11, title="one", author=ben, tags=[red, blue]),
        Post(id=12, title="two", author=ben, tags=[blue]),
        Post(id=13, title="three", author=cid),
    ]
    comments = [
        Comment(id=number, post=post, author=author)
        for number, post, author in ((101, posts[0], ann), (102, posts[0], cid), (103, posts[1], ben))
    ]
    return [ann, ben, cid, *posts, *comments]


async def seed(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        session.add_all(rows())
        await session.commit()


BINDS = ("engine", "sessionmaker", "session", "connection")

AnyBind = AsyncEngine | async_sessionmaker[Any] | AsyncSession | AsyncConnection


@contextlib.asynccontextmanager
async def bound(kind: str, engine: AsyncEngine) -> AsyncIterator[AnyBind]:
    """Give what a Loader can be made with, by name."""
    if kind == "engine":
        yield engine
    elif kind == "sessionmaker":
        yield async_sessionmaker(engine)
    elif kind == "session":
        async with AsyncSession(engine) as session:
            yield session
    else:
        async with engine.connect() as connection:
            yield connection


@contextlib.contextmanager
def listening(target: Any, name: str, listener: Callable[..., Any]) -> Iterator[None]:
    """Listen to an event while the block runs."""
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)
