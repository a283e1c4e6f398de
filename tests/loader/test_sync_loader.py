"""``SyncLoader`` on drivers that wait by themselves: psycopg, sqlite3 and PyMySQL, on its four binds."""

import contextlib
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from loader_models import AUTHOR, POST_PAGE, POSTS, Author, Base, Comment, Hideable, Post, rows
from sqlalchemy import URL, Connection, Engine, create_engine, event, update
from sqlalchemy import inspect as state_of
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

import loadplan
from loadplan import FetchRecord, LoaderError, LoadPlan, MultipleFound, NotFound, NotLoaded, SyncLoader, TooManyRows

AnyBind = Engine | sessionmaker[Any] | Session | Connection


@attrs.frozen
class Title:
    id: int
    title: str


@attrs.frozen
class Card:
    id: int
    title: str
    author: "Name"
    comments: "list[Text]"


@attrs.frozen
class Name:
    id: int
    name: str


@attrs.frozen
class Text:
    id: int


TITLES = LoadPlan(Post, into=Title, name="titles")
CARDS = LoadPlan(Post, into=Card, name="cards")


@pytest.fixture(params=["psycopg", "sqlite3", "pymysql"])
def sync_blog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The blog, on each driver in turn."""
    if request.param == "psycopg":
        url: URL = request.getfixturevalue("database_url")
        made = create_engine(url.set(drivername="postgresql+psycopg"))
    elif request.param == "pymysql":
        url = request.getfixturevalue("mariadb_url")
        made = create_engine(url.set(drivername="mariadb+pymysql", database="exact"))
    else:
        made = create_engine(f"sqlite:///{tmp_path}/blog.db")
    Base.metadata.create_all(made)
    with Session(made) as session:
        session.add_all(rows())
        session.commit()
    yield made
    Base.metadata.drop_all(made)
    made.dispose()


@contextlib.contextmanager
def bound(kind: str, engine: Engine) -> Iterator[AnyBind]:
    """Give what a SyncLoader can be made with, by name."""
    if kind == "engine":
        yield engine
    elif kind == "sessionmaker":
        yield sessionmaker(engine)
    elif kind == "session":
        with Session(engine) as session:
            yield session
    else:
        with engine.connect() as connection:
            yield connection


@pytest.fixture(params=["engine", "sessionmaker", "session", "connection"])
def loader(request: pytest.FixtureRequest, sync_blog: Engine) -> Iterator[SyncLoader]:
    with bound(request.param, sync_blog) as bind:
        yield SyncLoader(bind)


@contextlib.contextmanager
def recording(engine: Engine) -> Iterator[list[str]]:
    found: list[str] = []

    def before(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
        found.append(sql)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", before)


def test_every_call_of_entities(loader: SyncLoader, sync_blog: Engine) -> None:
    with recording(sync_blog) as statements:
        post = loader.fetch(POST_PAGE, 11)
    assert len(statements) == loader.explain(POST_PAGE).statements == 3
    assert (post.author.name, [tag.name for tag in post.tags]) == ("Ben", ["red", "blue"])
    assert [comment.author.name for comment in post.comments] == ["Ann", "Cid"]
    assert state_of(post).detached
    with pytest.raises(NotLoaded):
        _ = post.author.posts
    assert loader.fetch_or_none(AUTHOR, 99) is None
    with pytest.raises(NotFound):
        loader.fetch(AUTHOR, 99)
    assert [each.id for each in loader.fetch_many(POSTS, [3, 1, 99], missing="skip")] == [3, 1]
    assert loader.fetch_one(POSTS, Author.name == "Ben").posts[1].id == 12
    with pytest.raises(MultipleFound):
        loader.fetch_one(AUTHOR, Author.boss_id == 1)
    assert [each.id for each in loader.fetch_all(AUTHOR, order_by=Author.name.desc(), limit=2)] == [3, 2]
    assert [each.id for each in loader.stream(POST_PAGE, batch_size=2)] == [11, 12, 13]


def test_every_call_of_views(loader: SyncLoader) -> None:
    card = loader.fetch(CARDS, 11)
    assert card == Card(11, "one", Name(2, "Ben"), [Text(101), Text(102)])
    assert loader.fetch_many(CARDS, [11]) == loader.fetch_all(CARDS, Post.id == 11) == [card]
    assert [each.id for each in loader.stream(CARDS, batch_size=1)] == [11, 12, 13]
    first = loader.fetch_page(CARDS, Post.title, 2, total="exact")
    assert ([each.title for each in first.items], first.total) == (["one", "three"], 3)
    second = loader.fetch_page(CARDS, Post.title, 2, after=first.next, total="estimated")
    assert [each.title for each in second.items] == ["two"]
    assert second.total is not None


def test_counts_and_analysis(loader: SyncLoader) -> None:
    assert (loader.count(Post), loader.count(POST_PAGE, Post.author_id == 2)) == (3, 2)
    assert (loader.exists(CARDS, Post.id == 11), loader.exists(Comment, Comment.id == 1)) == (True, False)
    assert loader.explain(Post, call="count").statements == 1
    analysis = loader.analyze(POST_PAGE, 11)
    assert [each.rows for each in analysis.statements] == [1, 2, 2]
    loader.check(POST_PAGE, CARDS)


def test_a_stream_that_is_left_early_gives_its_connection_back(sync_blog: Engine) -> None:
    with contextlib.closing(SyncLoader(sync_blog).stream(POST_PAGE, batch_size=1)) as posts:
        assert next(posts).id == 11
        assert sync_blog.pool.checkedout() == 1  # type: ignore[attr-defined]
    assert sync_blog.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_it_works_in_the_session_s_transaction(sync_blog: Engine) -> None:
    with Session(sync_blog) as session:
        mine = session.get_one(Author, 1)
        session.add(Post(id=50, title="new", author=mine))
        found = SyncLoader(session).fetch(POSTS, 1)
        assert [post.id for post in found.posts] == [50]
        assert found is not mine
        locked = SyncLoader(session).fetch(AUTHOR, 2, for_update=True)
        assert locked.name == "Ben"
        session.rollback()
    assert SyncLoader(sync_blog).fetch(POSTS, 1).posts == []
    with pytest.raises(LoaderError, match="for_update="):
        SyncLoader(sync_blog).fetch(AUTHOR, 1, for_update=True)


@pytest.mark.parametrize("moment", ["before_flush", "after_flush", "after_flush_postexec"])
def test_a_listener_can_fetch_during_a_flush(sync_blog: Engine, moment: str) -> None:
    """As in SQLAlchemy's own queries there, nothing is flushed first."""
    found: list[tuple[str, int]] = []

    def audit(session: Session, *_: Any) -> None:
        author = SyncLoader(session).fetch(POSTS, 2)
        found.append((author.name, len(author.posts)))

    with Session(sync_blog) as session:
        event.listen(session, moment, audit)
        session.get_one(Author, 2).name = "Bea"
        session.add(Post(id=50, title="new", author_id=2))
        session.commit()
    assert found[0] == (("Ben", 2) if moment == "before_flush" else ("Bea", 3))


def test_criteria_and_options_hold_in_every_call(sync_blog: Engine) -> None:
    def hide(state: ORMExecuteState) -> None:
        if not state.execution_options.get("with_hidden"):
            criteria = with_loader_criteria(Hideable, lambda cls: cls.hidden.is_(False), include_aliases=True)
            state.statement = state.statement.options(criteria)

    class Filtered(Session):
        pass

    event.listen(Filtered, "do_orm_execute", hide)
    with sync_blog.begin() as connection:
        connection.execute(update(Post).where(Post.id == 11).values(hidden=True))
    maker = sessionmaker(sync_blog, class_=Filtered)
    with maker() as session:
        for each in (SyncLoader(maker), SyncLoader(session)):
            assert each.fetch_or_none(POST_PAGE, 11) is None
            assert [post.id for post in each.fetch(POSTS, 2).posts] == [12]
            assert [title.id for title in each.stream(TITLES)] == [12, 13]
            assert each.fetch_page(TITLES, size=1, total="exact").total == each.count(Post) == 2
            everything: dict[str, Any] = {"execution_options": {"with_hidden": True}}
            assert each.fetch(POST_PAGE, 11, **everything).id == 11
            assert each.count(Post, **everything) == 3
            assert len(list(each.stream(TITLES, **everything))) == 3


def test_records_and_bounds(sync_blog: Engine) -> None:
    records: list[FetchRecord] = []
    loader = SyncLoader(sync_blog, on_fetch=records.append, max_rows=2)
    loader.fetch(TITLES, 11)
    with pytest.raises(TooManyRows):
        loader.fetch_all(TITLES)
    assert [(each.plan, each.statements, type(each.error)) for each in records] == [
        ("titles", 1, type(None)),
        ("titles", 1, TooManyRows),
    ]


def test_threads_share_a_loader_on_an_engine(sync_blog: Engine) -> None:
    loader = SyncLoader(sync_blog)
    ready = threading.Barrier(4)

    def read(number: int) -> list[int]:
        ready.wait(10)
        return [post.id for post in loader.fetch(POSTS, number).posts]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [2, 3, 2, 3]))
    assert found == [[11, 12], [13], [11, 12], [13]]


def test_a_graph_is_one_snapshot_on_psycopg(database_url: URL) -> None:
    engine = create_engine(database_url.set(drivername="postgresql+psycopg"))
    try:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(rows())
            session.commit()
        wrote: list[bool] = []

        def write(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
            if "ldr_comments" in sql and not wrote:
                wrote.append(True)
                with engine.begin() as connection:
                    connection.exec_driver_sql("DELETE FROM ldr_comments")

        event.listen(engine, "before_cursor_execute", write)
        assert len(SyncLoader(engine).fetch(POST_PAGE, 11).comments) == 2
        assert wrote == [True]
        assert SyncLoader(engine).fetch(POST_PAGE, 11).comments == []
    finally:
        Base.metadata.drop_all(engine)
        engine.dispose()


def test_cursors_of_psycopg_without_a_binary_format(postgres_url: URL) -> None:
    """They read no nested rows, so a small graph comes in a statement for each level."""
    url = postgres_url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, connect_args={"cursor_factory": psycopg.ClientCursor})
    try:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(rows())
            session.commit()
        loader = SyncLoader(engine)
        for _ in range(2):
            post = loader.fetch(POST_PAGE, 11)
            assert (post.author.name, len(post.comments), len(post.tags)) == ("Ben", 2, 2)
            assert loader.fetch(CARDS, 11) == Card(11, "one", Name(2, "Ben"), [Text(101), Text(102)])
    finally:
        Base.metadata.drop_all(engine)
        engine.dispose()


# --- the two classes ------------------------------------------------------------------------------------------------


def test_both_loaders_have_the_same_calls() -> None:
    """Names, order, kinds and defaults of all arguments; what they return but for the waiting."""
    calls = {name for name in vars(SyncLoader) if not name.startswith("_")}
    assert {name for name in dir(loadplan.Loader) if not name.startswith("_")} - calls == {"batched"}
    for name in calls - {"stream"}:
        ours, theirs = (inspect.signature(getattr(cls, name)) for cls in (SyncLoader, loadplan.Loader))
        assert ours == theirs, name
    streams = [inspect.signature(cls.stream).parameters for cls in (SyncLoader, loadplan.Loader)]
    assert streams[0] == streams[1]
    settings = [dict(inspect.signature(cls).parameters) for cls in (SyncLoader, loadplan.Loader)]
    assert [each.pop("bind").annotation for each in settings] == ["SyncBind", "Bind"]
    assert settings[0] == settings[1]


def test_an_asynchronous_bind_is_refused() -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    with pytest.raises(LoaderError) as caught:
        SyncLoader(create_async_engine("sqlite+aiosqlite://"))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "LP408: a SyncLoader cannot use an object of 'AsyncEngine'\n"
        "  hint: use Loader, or give it an Engine, sessionmaker, Session or Connection."
    )


def test_it_says_what_it_stands_on(sync_blog: Engine) -> None:
    assert repr(SyncLoader(sync_blog)) == "SyncLoader(Engine)"
