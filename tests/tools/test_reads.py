"""Unread loads: what counts as reading, for entities however they are read, and for views."""

import copy
import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from loadplan.tools.reads import Reads, record_reads
from support import tables


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "reads_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "reads_post"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("reads_author.id"), index=True)
    author: Mapped[Author] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")

    def __repr__(self) -> str:
        return f"Post({self.title}, {self.text}, {self.comments})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Post) and self.text == other.text

    __hash__ = Base.__hash__


class Comment(Base):
    __tablename__ = "reads_comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("reads_post.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("reads_author.id"), index=True)
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[Author] = relationship()


PAGE = LoadPlan(Post, load(Post.author), load(Post.comments, load(Comment.author)), name="post page")


@pytest.fixture(scope="module")
async def loader(postgres: AsyncEngine) -> AsyncIterator[Loader]:
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session, session.begin():
            session.add(Author(id=1, name="Ada"))
            await session.flush()
            session.add(Post(id=1, title="One", text="...", author_id=1))
            session.add(Post(id=2, title="Two", text="...", author_id=1))
            await session.flush()
            session.add(Comment(id=1, words="Hm", post_id=1, author_id=1))
        yield Loader(postgres)


def told(reads: Reads) -> list[str]:
    return [f"{each.what} at {each.at}" for each in reads.unread]


async def test_what_nobody_reads_is_told_with_the_plan_without_it(loader: Loader) -> None:
    """Over all fetches, at the outermost place; keys are not counted."""
    with record_reads() as reads:
        for id_ in (1, 2):
            post = await loader.fetch(PAGE, id_)
            assert [post.title, *(each.words for each in post.comments)]
    assert reads.report() == (
        "test_reads:PAGE: load(Post.author) at its root: not read in 2 fetches\n"
        "test_reads:PAGE: load(Comment.author) at Post.comments: not read in 2 fetches\n"
        "test_reads:PAGE: Post.text at its root: not read in 2 fetches\n"
        "LoadPlan(Post, load(Post.comments), defer=[Post.text], name='post page')"
    )


async def test_rows_that_never_came_are_no_unread_loads(loader: Loader) -> None:
    """The second post has no comment whose author could be read."""
    with record_reads() as reads:
        post = await loader.fetch(PAGE, 2)
        assert [post.author.name, *(each.author for each in post.comments)] == ["Ada"]
    assert told(reads) == ["Post.text at its root", "Post.title at its root"]


async def test_columns_of_only(loader: Loader) -> None:
    plan = LoadPlan(Post, load(Post.comments, only=[Comment.words]), only=[Post.title, Post.text], name="short")
    with record_reads() as reads:
        post = await loader.fetch(plan, 1)
        assert (post.title, len(post.comments)) == ("One", 1)
    assert told(reads) == ["Comment.words at Post.comments", "Post.text at its root"]
    assert reads.report().splitlines()[-1] == (
        "LoadPlan(Post, load(Post.comments, only=[Comment.id]), only=[Post.title], name='short')"
    )


class AuthorOut(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(from_attributes=True)
    name: str


class CommentOut(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(from_attributes=True)
    words: str
    author: AuthorOut


class PostOut(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(from_attributes=True)
    title: str
    author: AuthorOut
    comments: list[CommentOut]


#: What a serializer does with a post, and what stays unread.
READERS: list[tuple[Callable[[Any], object], list[str]]] = [
    (PostOut.model_validate, ["Post.text at its root"]),
    (
        lambda post: dict(vars(post)),
        ["load(Comment.author) at Post.comments", "Comment.words at Post.comments"],
    ),
    (
        lambda post: [dict(one.__dict__.items()) for one in (post, *post.comments)],
        [],
    ),
    (
        lambda post: f"{post.title} {post.text} {post.author.name} {post.comments[0].words}",
        ["load(Comment.author) at Post.comments"],
    ),
    (
        lambda post: [getattr(post, name) for name in ("title", "text", "author", "comments")],
        ["load(Comment.author) at Post.comments", "Comment.words at Post.comments"],
    ),
]


@pytest.mark.parametrize(("use", "unread"), READERS)
async def test_serializers_read(loader: Loader, use: Callable[[Any], object], unread: list[str]) -> None:
    """By attributes, from Rust too, and by ``__dict__``, which reads all that is in it."""
    with record_reads() as reads:
        use(await loader.fetch(PAGE, 1))
    assert [each for each in told(reads) if "Author." not in each] == unread


#: What touches everything and uses nothing.
TOUCHES: list[Callable[[Any], object]] = [
    pickle.dumps,
    lambda post: pickle.loads(pickle.dumps(post)),
    copy.deepcopy,
    repr,
    str,
    lambda post: post == post,
    lambda post: post in {post},
    hash,
]


@pytest.mark.parametrize("touch", TOUCHES)
async def test_copying_comparing_and_printing_is_no_reading(loader: Loader, touch: Callable[[Any], object]) -> None:
    with record_reads() as reads:
        post = await loader.fetch(PAGE, 1)
        touch(post)
        assert post.title
    assert told(reads) == [
        "load(Post.author) at its root",
        "load(Post.comments) at its root",
        "Post.text at its root",
    ]


async def test_a_plan_whose_result_nobody_looks_at_is_not_told(loader: Loader) -> None:
    """Whether its row is there may be all that the code wants to know."""
    with record_reads() as reads:
        await loader.fetch(PAGE, 1)
    assert reads.unread == []


async def test_names_that_are_ignored(loader: Loader) -> None:
    with record_reads(["Post.*", "Comment.author"]) as reads:
        post = await loader.fetch(PAGE, 1)
        assert post.comments[0].words
    assert told(reads) == []
    with record_reads(["test_reads:*"]) as reads:
        assert (await loader.fetch(PAGE, 1)).title
    assert told(reads) == []


@attrs.frozen
class AttrsCard:
    id: int
    title: str
    text: str


@dataclass
class DataCard:
    id: int
    title: str
    text: str


class ModelCard(pydantic.BaseModel):
    id: int
    title: str
    text: str


class TupleCard(NamedTuple):
    id: int
    title: str


@pytest.mark.parametrize("card", [AttrsCard, DataCard, ModelCard])
async def test_fields_of_views(loader: Loader, card: Any) -> None:
    """Of every class that lets its attributes be watched; comparing and printing is no reading there, either."""
    plan: LoadPlan[Any] = LoadPlan(Post, into=card, name="card")
    with record_reads() as reads:
        found = await loader.fetch_all(plan, order_by=Post.id)
        assert found[0] != found[1]
        assert repr(found[0])
        assert found[0].title == "One"
    assert told(reads) == [f"{card.__name__}.id at its root", f"{card.__name__}.text at its root"]
    assert reads.unwatched == []


@pytest.mark.parametrize(
    ("card", "dump"), [(AttrsCard, attrs.asdict), (DataCard, asdict), (ModelCard, ModelCard.model_dump)]
)
async def test_a_view_that_is_dumped_is_read(loader: Loader, card: Any, dump: Callable[[Any], object]) -> None:
    plan: LoadPlan[Any] = LoadPlan(Post, into=card, name="card")
    with record_reads() as reads:
        dump(await loader.fetch(plan, 1))
    assert told(reads) == []


async def test_named_tuples_are_not_watched_and_said_so(loader: Loader) -> None:
    plan = LoadPlan(Post, into=TupleCard, name="card")
    with record_reads() as reads:
        _, title = await loader.fetch(plan, 1)
    assert title == "One"
    assert told(reads) == []
    assert reads.unwatched == ["TupleCard"]
    assert "not watched: TupleCard" in reads.report()


async def test_nothing_stays_behind(loader: Loader) -> None:
    """Classes and SQLAlchemy's own are as before, so it costs nothing when it is off."""
    kind: Any = InstrumentedAttribute
    before = (kind.__get__, dict(vars(Post)), dict(vars(AttrsCard)), dict(vars(Author)))
    with record_reads():
        await loader.fetch(PAGE, 1)
        await loader.fetch(LoadPlan(Post, into=AttrsCard), 1)
        assert kind.__get__ is not before[0]
    assert (kind.__get__, dict(vars(Post)), dict(vars(AttrsCard)), dict(vars(Author))) == before


SUITE = """
import asyncio

import pytest
from loadplan import Loader, LoadPlan, load
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship()


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    chapters: Mapped[list["Chapter"]] = relationship()


class Chapter(Base):
    __tablename__ = "chapter"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))


SHELF = LoadPlan(Shelf, load(Shelf.books), name="shelf")


async def shelf():
    engine = create_async_engine("sqlite+aiosqlite:///shelf.db")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(Shelf.__table__.insert().values(id=1, name="top"))
            await connection.execute(Book.__table__.insert().values(id=1, shelf_id=1))
        return await Loader(engine).fetch(SHELF, 1)
    finally:
        await engine.dispose()
"""


def test_the_option_of_pytest(pytester: pytest.Pytester) -> None:
    """Over all tests of the run, at its end; without the option nothing is told."""
    pytester.makepyfile(
        test_shelves=SUITE
        + "\ndef test_one():\n    assert asyncio.run(shelf()).id == 1\n"
        + "\ndef test_two():\n    assert asyncio.run(shelf()).name\n"
    )
    done = pytester.runpytest_subprocess("--loadplan-unread", "-p", "no:cacheprovider")
    done.stdout.fnmatch_lines(
        [
            "*loadplan: what no code reads*",
            "test_shelves:SHELF: load(Shelf.books) at its root: not read in 2 fetches",
            "LoadPlan(Shelf, name='shelf')",
        ]
    )
    assert "what no code reads" not in str(pytester.runpytest_subprocess("-p", "no:cacheprovider").stdout)
    ignored = pytester.runpytest_subprocess("--loadplan-unread", "--loadplan-ignore", "Shelf.books")
    ignored.stdout.fnmatch_lines(["nothing: your code read everything that was loaded"])


def test_the_other_option_of_pytest(pytester: pytest.Pytester) -> None:
    """What was missing is fetched on the way, and all of it told at the end."""
    pytester.makepyfile(
        test_shelves=SUITE + "\ndef test_one():\n    assert asyncio.run(shelf()).books[0].chapters == []\n"
    )
    assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret == 1
    done = pytester.runpytest_subprocess("--loadplan-learn", "-p", "no:cacheprovider")
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "*loadplan: what plans lack*",
            "shelf: code read missing attributes 1 time. The plan that loads them, too:",
            "LoadPlan(Shelf, load(Shelf.books, load(Book.chapters)), name='shelf')",
        ]
    )


def test_a_run_that_is_spread_over_processes(pytester: pytest.Pytester) -> None:
    """What one process reads is read, and what any of them misses is missing."""
    suite = "import os\n" + SUITE.replace("shelf.db", "{os.getpid()}.db").replace('"sqlite+', 'f"sqlite+')
    pytester.makepyfile(shelves=suite)
    pytester.makepyfile(
        test_one="import asyncio\nimport shelves\n\ndef test_one():\n    assert asyncio.run(shelves.shelf()).id\n",
        test_two="import asyncio\nimport shelves\n\ndef test_two():\n    assert asyncio.run(shelves.shelf()).name\n",
    )
    spread = ("-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider")
    pytester.makeini("[pytest]\npythonpath = .\n")
    done = pytester.runpytest_subprocess("--loadplan-unread", *spread)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "*loadplan: what no code reads*",
            "shelves:SHELF: load(Shelf.books) at its root: not read in 2 fetches",
            "LoadPlan(Shelf, name='shelf')",
        ]
    )
    pytester.makepyfile(
        test_two="import asyncio\nimport shelves\n\ndef test_two():\n"
        "    assert asyncio.run(shelves.shelf()).books[0].chapters == []\n",
    )
    read = pytester.runpytest_subprocess("--loadplan-unread", "--loadplan-learn", *spread)
    assert read.ret == 0
    read.stdout.fnmatch_lines(
        [
            "shelves:SHELF: Shelf.name at its root: not read in 2 fetches",
            "LoadPlan(Shelf, load(Shelf.books), defer=[[]Shelf.name[]], name='shelf')",
        ]
    )
    read.stdout.fnmatch_lines(
        [
            "shelf: code read missing attributes 1 time. The plan that loads them, too:",
            "LoadPlan(Shelf, load(Shelf.books, load(Book.chapters)), name='shelf')",
        ]
    )
