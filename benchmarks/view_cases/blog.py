"""Posts with their author, tags, comments and the authors of those: two collections beside each other."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Column, ForeignKey, Select, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship, selectinload

from benchmarks.measure import ensure_filled
from benchmarks.view_cases.case import Case, Level, Rows
from loadplan import LoadPlan, load

USERS = 500
TAGS = 100


class Base(DeclarativeBase):
    """Of this graph's tables."""


class User(Base):
    """Writes posts and comments."""

    __tablename__ = "bench_view_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    about: Mapped[str]


post_tag = Table(
    "bench_view_post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("bench_view_post.id"), primary_key=True),
    Column("tag_id", ForeignKey("bench_view_tag.id"), primary_key=True),
)


class Tag(Base):
    """Of any number of posts."""

    __tablename__ = "bench_view_tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Post(Base):
    """The root: 3 tags and 5 comments each."""

    __tablename__ = "bench_view_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    title: Mapped[str]
    body: Mapped[str]
    author: Mapped[User] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=post_tag, order_by=Tag.id)
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")


class Comment(Base):
    """On a post."""

    __tablename__ = "bench_view_comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    text: Mapped[str]
    author: Mapped[User] = relationship()


@attrs.frozen
class AuthorRef:
    """Who wrote something."""

    id: int
    name: str


@attrs.frozen
class TagRef:
    """A tag."""

    id: int
    name: str


@attrs.frozen
class CommentCard:
    """A comment."""

    id: int
    text: str
    author: AuthorRef


@attrs.frozen
class PostCard:
    """A post as a list shows it."""

    id: int
    title: str
    author: AuthorRef
    tags: list[TagRef]
    comments: list[CommentCard]


async def fill(engine: AsyncEngine, posts: int) -> None:
    """Make the tables and their rows, unless they are there."""
    inserts = [
        "INSERT INTO bench_view_user SELECT i, 'user ' || i, 'user' || i || '@example.org', repeat('about ', 20)"
        f" FROM generate_series(1, {USERS}) i",
        f"INSERT INTO bench_view_tag SELECT i, 'tag ' || i FROM generate_series(1, {TAGS}) i",
        f"INSERT INTO bench_view_post SELECT i, i % {USERS} + 1, 'title ' || i, repeat('body ', 50)"
        f" FROM generate_series(1, {posts}) i",
        f"INSERT INTO bench_view_post_tag SELECT i, (i * 7 + n * 31) % {TAGS} + 1"
        f" FROM generate_series(1, {posts}) i, generate_series(1, 3) n",
        f"INSERT INTO bench_view_comment SELECT i, (i - 1) / 5 + 1, i * 13 % {USERS} + 1, 'comment ' || i"
        f" FROM generate_series(1, {posts * 5}) i",
    ]
    await ensure_filled(engine, Base.metadata, "bench_view_post", f"{posts} posts", inserts)


def options() -> Select[Any]:
    """What a repository writes: whole objects, in three statements."""
    return select(Post).options(
        joinedload(Post.author),
        selectinload(Post.tags),
        selectinload(Post.comments).joinedload(Comment.author),
    )


def view(post: Post) -> PostCard:
    """Return the view of a mapped object."""
    return PostCard(
        post.id,
        post.title,
        AuthorRef(post.author.id, post.author.name),
        [TagRef(tag.id, tag.name) for tag in post.tags],
        [CommentCard(each.id, each.text, AuthorRef(each.author.id, each.author.name)) for each in post.comments],
    )


STATEMENT = """
SELECT p.id, p.title, u.id, u.name,
    ARRAY(SELECT ROW(t.id, t.name) FROM bench_view_post_tag pt JOIN bench_view_tag t ON t.id = pt.tag_id
          WHERE pt.post_id = p.id ORDER BY t.id),
    ARRAY(SELECT ROW(c.id, c.text, cu.id, cu.name)
          FROM bench_view_comment c JOIN bench_view_user cu ON cu.id = c.author_id
          WHERE c.post_id = p.id ORDER BY c.id)
FROM bench_view_post p JOIN bench_view_user u ON u.id = p.author_id {roots}"""


def build(rows: Rows) -> list[PostCard]:
    """Return views of nested rows."""
    return [
        PostCard(
            id_,
            title,
            AuthorRef(author_id, author),
            [TagRef(tag_id, tag) for tag_id, tag in tags],
            [CommentCard(comment_id, text, AuthorRef(by, name)) for comment_id, text, by, name in comments],
        )
        for id_, title, author_id, author, tags, comments in rows
    ]


ROOTS = """
SELECT p.id, p.title, u.id, u.name FROM bench_view_post p JOIN bench_view_user u ON u.id = p.author_id {roots}"""

LEVELS = (
    Level(
        "SELECT pt.post_id, t.id, t.name FROM bench_view_post_tag pt JOIN bench_view_tag t ON t.id = pt.tag_id"
        " WHERE pt.post_id = ANY($1) ORDER BY t.id",
        lambda arrived: [row[0] for row in arrived[0]],
    ),
    Level(
        "SELECT c.post_id, c.id, c.text, u.id, u.name"
        " FROM bench_view_comment c JOIN bench_view_user u ON u.id = c.author_id"
        " WHERE c.post_id = ANY($1) ORDER BY c.id",
        lambda arrived: [row[0] for row in arrived[0]],
    ),
)


def build_levels(arrived: Sequence[Rows]) -> list[PostCard]:
    """Return views of the rows of three statements."""
    tags: defaultdict[int, list[TagRef]] = defaultdict(list)
    comments: defaultdict[int, list[CommentCard]] = defaultdict(list)
    for post_id, tag_id, tag in arrived[1]:
        tags[post_id].append(TagRef(tag_id, tag))
    for post_id, comment_id, text, by, name in arrived[2]:
        comments[post_id].append(CommentCard(comment_id, text, AuthorRef(by, name)))
    return [
        PostCard(id_, title, AuthorRef(author_id, author), tags[id_], comments[id_])
        for id_, title, author_id, author in arrived[0]
    ]


CASE = Case(
    name="posts",
    roots=(1, 50, 1_000, 10_000),
    fill=fill,
    key=Post.id,
    sql_key="p.id",
    one=7,
    plan=LoadPlan(Post, into=PostCard),
    entities=LoadPlan(
        Post, load(Post.author), load(Post.tags), load(Post.comments, load(Comment.author)), name="posts"
    ),
    options=options,
    view=view,
    statement=STATEMENT,
    build=build,
    root_statement=ROOTS,
    levels=LEVELS,
    build_levels=build_levels,
)
