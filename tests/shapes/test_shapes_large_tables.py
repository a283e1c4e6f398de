"""In large tables: PostgreSQL reads few rows for a small result, since every statement lets it use an index."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import pytest
from attrs import define
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Table, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, count, exists, load, source
from support import tables

#: Rows of each table; a statement that does not use an index reads so many.
ROWS = 5_000

#: The most rows that the statements of these calls may read from a table or an index.
FEW = 400


class Base(DeclarativeBase):
    pass


post_tags = Table(
    "lrg_post_tags",
    Base.metadata,
    Column("post_id", ForeignKey("lrg_posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("lrg_tags.id"), primary_key=True, index=True),
)


class User(Base):
    __tablename__ = "lrg_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")


class Post(Base):
    __tablename__ = "lrg_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("lrg_users.id"), index=True)
    created: Mapped[int] = mapped_column(index=True)
    published: Mapped[int | None] = mapped_column(index=True)
    author: Mapped[User] = relationship(back_populates="posts")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tags, order_by="Tag.id")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")


class Tag(Base):
    __tablename__ = "lrg_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Comment(Base):
    __tablename__ = "lrg_comments"
    __table_args__ = (Index("lrg_comments_of_post", "post_id", "score"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("lrg_posts.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("lrg_comments.id"), index=True)
    score: Mapped[int]
    post: Mapped[Post] = relationship(back_populates="comments")
    parent: Mapped["Comment | None"] = relationship(back_populates="replies", remote_side=[id])
    replies: Mapped[list["Comment"]] = relationship(back_populates="parent", order_by=id)


class Site(Base):
    __tablename__ = "lrg_sites"
    country: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    stocks: Mapped[list["Stock"]] = relationship(order_by="Stock.id")


class Stock(Base):
    __tablename__ = "lrg_stocks"
    __table_args__ = (
        ForeignKeyConstraint(["country", "number"], ["lrg_sites.country", "lrg_sites.number"]),
        Index("lrg_stocks_of_site", "country", "number"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[int]
    number: Mapped[int]


@define
class PostView:
    id: int
    author: Annotated[str, source(Post.author, User.name)]
    comments: Annotated[int, count(Post.comments, where=Comment.score > 1)]
    has_tags: Annotated[bool, exists(Post.tags)]


#: SQL that fills each table from the numbers ``n``.
FILL = {
    "users": "n, 'name ' || n",
    "posts": "n, 1 + n * 7 % :rows, n / 3, case when n % 10 > 0 then n end",
    "tags": "n",
    "post_tags": "n, 1 + n * 13 % :rows",
    "comments": "n, 1 + n / 3, case when n > 500 then n - 499 end, n % 100",
    "sites": "n / 100, n % 100",
    "stocks": "n, n / 100, n % 100",
}


@pytest.fixture(scope="module")
async def large(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Tables of many rows, with what PostgreSQL knows about them up to date."""
    async with tables(postgres, Base.metadata):
        async with postgres.begin() as connection:
            for name, values in FILL.items():
                fill = f"insert into lrg_{name} select {values} from generate_series(1, :rows) n"  # noqa: S608
                await connection.execute(text(fill.replace(":rows", str(ROWS))))
        async with postgres.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("ANALYZE"))
        yield postgres


Call = Callable[[Loader], Awaitable[Any]]
LIST = LoadPlan(Post, load(Post.author), load(Post.comments))
PAGE_ORDERS: dict[str, Any] = {
    "key": None,
    "ascending": Post.created,
    "descending": Post.created.desc(),
    "all descending": (Post.created.desc(), Post.id.desc()),
    "NULLs before": Post.published.desc(),
}


def page(order: Any, *, back: bool) -> Call:
    async def call(loader: Loader) -> Any:
        middle = await loader.fetch_page(LIST, order, 10, where=Post.created.between(ROWS // 6, ROWS // 6 + 10))
        following = await loader.fetch_page(LIST, order, 10, after=middle.next)
        assert len(following.items) == 10
        return await loader.fetch_page(LIST, order, 10, before=following.previous) if back else None

    return call


def fetching(plan: LoadPlan[Any], *ids: Any) -> dict[str, Call]:
    return {"one": lambda loader: loader.fetch(plan, ids[0]), "few": lambda loader: loader.fetch_many(plan, ids)}


CALLS: dict[str, Call] = {
    f"{name}, {number}": call
    for name, calls in {
        "graph": fetching(LoadPlan(User, load(User.posts, load(Post.tags), load(Post.comments))), 5, 70, 1234),
        "graph by statements": fetching(
            LoadPlan(User, load(User.posts, load(Post.tags, strategy="selectin"), strategy="selectin")), 5, 70, 1234
        ),
        "subquery": fetching(LoadPlan(Post, load(Post.comments, strategy="subquery")), 5, 70, 1234),
        "first rows": fetching(LoadPlan(Post, load(Post.comments, order_by=Comment.score, limit=1)), 5, 70, 1234),
        "tree": fetching(LoadPlan(Comment, load(Comment.replies, depth="all")), 5, 70, 234),
        "way up": fetching(LoadPlan(Comment, load(Comment.parent, depth="all")), 4005, 4070, 4234),
        "levels": fetching(LoadPlan(Comment, load(Comment.replies, depth=3)), 5, 70, 234),
        "trees below": fetching(LoadPlan(Post, load(Post.comments, load(Comment.replies, depth="all"))), 5, 70, 123),
        "composite key": fetching(LoadPlan(Site, load(Site.stocks)), (7, 5), (8, 1), (11, 77)),
        "view": fetching(LoadPlan(Post, into=PostView), 5, 70, 1234),
        "where of a to-one": {
            "one": lambda loader: loader.fetch_all(LIST, where=source(Post.author, User.name == "name 77")),
            "two": lambda loader: loader.fetch_all(
                LoadPlan(Comment), where=source(Comment.post, Post.author, User.name == "name 77")
            ),
        },
        "first of a list": {"ten": lambda loader: loader.fetch_all(LIST, order_by=Post.created.desc(), limit=10)},
        "page after": {name: page(order, back=False) for name, order in PAGE_ORDERS.items()},
        "page before": {name: page(order, back=True) for name, order in PAGE_ORDERS.items() if name != "NULLs before"},
    }.items()
    for number, call in calls.items()
}


def rows_read(node: dict[str, Any]) -> float:
    """Return the number of rows that a node of an execution plan, and all below it, read from tables and indexes."""
    own = 0.0
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return float(own) + sum(rows_read(below) for below in node.get("Plans", ()))


async def analyzed(
    large: AsyncEngine, call: Call, connection: AsyncConnection
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield (SQL, execution plan with the numbers of rows) for each statement of a call."""
    sent: list[tuple[str, Any]] = []

    def before(_c: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        sent.append((sql, parameters))

    event.listen(large.sync_engine, "before_cursor_execute", before)
    try:
        await call(Loader(large))
    finally:
        event.remove(large.sync_engine, "before_cursor_execute", before)
    assert sent
    for sql, parameters in sent:
        answer = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        found = answer.scalar_one()
        yield sql, (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


@pytest.mark.parametrize("name", CALLS)
async def test_few_rows_are_read_for_a_small_result(large: AsyncEngine, name: str) -> None:
    async with large.connect() as connection:
        for way in ("seqscan", "hashjoin", "mergejoin"):  # these are faster in tables that fit into memory
            await connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        async for sql, plan in analyzed(large, CALLS[name], connection):
            if "BETWEEN" not in sql:  # the page in the middle, which only gives a cursor
                assert rows_read(plan) < FEW, sql


BY_AUTHOR = source(Post.author, User.name)
BY_AUTHOR_OF_POST = source(Comment.post, Post.author, User.name)


async def pages_by_author(loader: Loader, plan: LoadPlan[Any]) -> None:
    first = await loader.fetch_page(plan, [BY_AUTHOR.desc(), Post.id.desc()], 10)
    second = await loader.fetch_page(plan, [BY_AUTHOR.desc(), Post.id.desc()], 10, after=first.next)
    before = await loader.fetch_page(plan, [BY_AUTHOR.desc(), Post.id.desc()], 10, before=second.previous)
    assert [each.id for each in before.items] == [each.id for each in first.items]


async def streamed(loader: Loader, plan: LoadPlan[Any]) -> None:
    assert len([each async for each in loader.stream(plan, order_by=BY_AUTHOR)]) == ROWS


COMMENTS_BY_AUTHOR = load(Post.comments, order_by=BY_AUTHOR_OF_POST, strategy="selectin")

#: Calls that sort all rows of a table by a column of a to-one.
SORTED: dict[str, Call] = {
    "all": lambda loader: loader.fetch_all(LoadPlan(Post), order_by=BY_AUTHOR.nulls_last()),
    "first": lambda loader: loader.fetch_all(LoadPlan(Post), order_by=BY_AUTHOR.desc(), limit=10),
    "two steps": lambda loader: loader.fetch_all(LoadPlan(Comment), order_by=BY_AUTHOR_OF_POST, limit=10),
    "stream": lambda loader: streamed(loader, LoadPlan(Post)),
    "pages": lambda loader: pages_by_author(loader, LoadPlan(Post)),
    "pages that show it": lambda loader: pages_by_author(loader, LoadPlan(Post, load(Post.author))),
    "collections": lambda loader: loader.fetch_all(LoadPlan(Post, COMMENTS_BY_AUTHOR)),
    "joined collection": lambda loader: loader.fetch_all(
        LoadPlan(Post, load(Post.comments, strategy="joined")), order_by=BY_AUTHOR, limit=10
    ),
}


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of an execution plan, and all below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("name", SORTED)
async def test_no_subquery_runs_for_each_sorted_row(large: AsyncEngine, name: str) -> None:
    """The rows of the order are joined in one go. If the plan joins them, they are joined once."""
    async with large.connect() as connection:
        async for sql, plan in analyzed(large, SORTED[name], connection):
            for node in nodes(plan):
                assert node.get("Parent Relationship") != "SubPlan" or node["Actual Loops"] < FEW, sql
            read = [node for node in nodes(plan) if node.get("Relation Name") == "lrg_users"]
            assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) <= ROWS + 3, sql
