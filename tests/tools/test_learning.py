"""Plans learned: what code touches, loaded on the way, and the plan that covers it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, sessionmaker
from test_adopting import Badge, Base, Comment, Desk, Editor, Post, User

from loadplan import Loader, LoaderError, LoadPlan, NotLoaded, SyncLoader, load, on
from loadplan.tools.learning import FETCHED, learn, learn_sync, learning
from loadplan.tools.reads import record_reads
from support import tables


@pytest.fixture(scope="module")
async def loader(postgres: AsyncEngine) -> AsyncIterator[Loader]:
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session, session.begin():
            session.add(Desk(id=1))
            await session.flush()
            session.add_all([User(id=1, name="Ada"), Editor(id=2, name="Bob", desk_id=1)])
            await session.flush()
            session.add(Badge(id=1, user_id=1))
            session.add_all([Post(id=n, title=f"t{n}", author_id=n % 2 + 1) for n in (1, 2, 3)])
            await session.flush()
            session.add_all([Comment(id=n, post_id=n % 3 + 1, author_id=2) for n in range(6)])
        yield Loader(postgres)


async def test_a_handler_is_covered(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan that is printed is the one that is returned, and the handler runs on it without an error."""

    def page(user: User) -> list[str]:
        return [
            f"{c.author.name}{c.post.title}{c.post.author.name}" for p in user.posts for c in p.comments if c.author
        ]

    plan = await learn(loader, User, 2, page, name="page")
    assert plan == LoadPlan(User, load(User.posts, load(Post.comments, load(Comment.author))), name="page")
    assert capsys.readouterr().out == (
        "PLAN = LoadPlan(User, load(User.posts, load(Post.comments, load(Comment.author))), name='page')\n"
    )
    assert len(page(await loader.fetch(plan, 2))) == 4


async def test_columns_too(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns that are touched, at each place; the key alone where none is."""

    async def page(user: User) -> str:
        return user.letter + "".join(post.title for post in user.posts) + str(len(user.posts[0].comments))

    plan = await learn(loader, User, 1, page, columns=True)
    assert plan == LoadPlan(
        User, load(User.posts, load(Post.comments, only=[Comment.id]), only=[Post.title]), only=[User.letter]
    )
    await page(await loader.fetch(plan, 1))


async def test_runs_are_merged(loader: Loader) -> None:
    """The plan of a run is the start of the next; what it has stays, with its shape."""
    start = LoadPlan(User, load(User.posts, order_by=Post.id.desc(), only=[Post.title]), name="merged")
    one = await learn(loader, start, 1, lambda user: [post.text for post in user.posts], quiet=True)
    two = await learn(loader, one, 2, lambda user: [post.comments for post in user.posts], quiet=True)
    three = await learn(loader, two, 1, lambda user: user.badge, quiet=True)
    assert three == LoadPlan(
        User,
        load(User.posts, load(Post.comments), order_by=Post.id.desc(), only=[Post.title, Post.text]),
        load(User.badge),
        name="merged",
    )


async def test_what_a_subclass_adds(loader: Loader) -> None:
    plan = await learn(loader, User, 2, lambda user: user.desk.id, quiet=True)  # type: ignore[attr-defined]
    assert plan == LoadPlan(User, on(Editor, load(Editor.desk)))
    assert (await loader.fetch(plan, 2)).desk.id == 1  # type: ignore[attr-defined]


async def test_a_tree_is_followed_as_far_as_the_code_goes(loader: Loader) -> None:
    plan = await learn(loader, Post, 1, lambda post: [one.replies for one in [post, *post.replies]], quiet=True)
    assert plan == LoadPlan(Post, load(Post.replies))


async def test_it_needs_a_second_connection(loader: Loader, postgres: AsyncEngine, sqlite: AsyncEngine) -> None:
    async with AsyncSession(postgres) as session:
        for other in (Loader(session), Loader(sqlite)):
            with pytest.raises(LoaderError, match="LP408"):
                await learn(other, User, 1, print)


async def test_nothing_stays_behind(loader: Loader) -> None:
    """The hook is gone after the run, one that raised too."""
    with pytest.raises(ZeroDivisionError):
        await learn(loader, User, 1, lambda user: user.id / 0)
    with pytest.raises(NotLoaded):
        (await loader.fetch(LoadPlan(User), 1)).posts  # noqa: B018


async def test_a_whole_run(loader: Loader) -> None:
    """Each thing that is missing is loaded and noted by the plan that lacks it."""
    page = LoadPlan(User, load(User.posts, only=[Post.title]), name="user page")
    with learning() as lessons:
        user = await loader.fetch(page, 2)
        assert [post.text for post in user.posts] == ["", ""]
        assert user.posts[0].comments
        assert user.badge is None
        assert (await loader.fetch(LoadPlan(Post, name="post"), 1)).author.name == "Bob"
    assert [str(each).partition("\n")[0] for each in lessons] == [
        "user page: code read missing attributes 4 times. The plan that loads them, too:",
        "post: code read missing attributes 1 time. The plan that loads them, too:",
    ]
    first, second = (each.wanted.added_to(each.plan) for each in lessons)
    assert first == LoadPlan(
        User,
        load(User.posts, load(Post.comments), only=[Post.title, Post.text]),
        load(User.badge),
        name="user page",
    )
    assert second == LoadPlan(Post, load(Post.author), name="post")


async def test_what_is_not_committed_is_noted_and_raised(loader: Loader, postgres: AsyncEngine) -> None:
    """A second connection cannot see it; the error is the plan's own."""
    async with AsyncSession(postgres) as session:
        session.add(User(id=77, name="Zoe"))
        await session.flush()
        with learning() as lessons:
            user = await Loader(session).fetch(LoadPlan(User, name="mine"), 77)
            with pytest.raises(NotLoaded) as raised:
                user.posts  # noqa: B018
        error = raised.value
        assert (error.plan, error.path, error.entity, error.attribute, error.add) == (
            "mine",
            (),
            User,
            "posts",
            "load(User.posts)",
        )
    assert [each.wanted.added_to(each.plan) for each in lessons] == [LoadPlan(User, load(User.posts), name="mine")]


@pytest.fixture(params=["psycopg", "sqlite"])
def sync_engine(request: pytest.FixtureRequest, loader: Loader, database_url: URL, tmp_path: Path) -> Iterator[Engine]:
    """The rows of ``loader`` by a synchronous driver; a SQLite file has rows of its own."""
    if request.param == "psycopg":
        engine = create_engine(database_url.set(drivername="postgresql+psycopg"))
    else:
        engine = create_engine(f"sqlite:///{tmp_path / 'learn.db'}")
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add_all([User(id=1, name="Ada"), User(id=2, name="Bob")])
            session.flush()
            session.add_all([Post(id=n, title=f"t{n}", author_id=n % 2 + 1) for n in (1, 2, 3)])
            session.flush()
            session.add_all([Comment(id=n, post_id=n % 3 + 1, author_id=2) for n in range(6)])
    yield engine
    engine.dispose()


def test_synchronous_code_is_covered(sync_engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """On an engine and on a sessionmaker, with columns, and from a plan on."""

    def page(user: User) -> list[str]:
        return [comment.author.name for post in user.posts for comment in post.comments if comment.author]

    for bind in (sync_engine, sessionmaker(sync_engine)):
        plan = learn_sync(SyncLoader(bind), User, 2, page, columns=True, name="page")
        assert plan == LoadPlan(
            User,
            load(
                User.posts,
                load(Post.comments, load(Comment.author, only=[User.name]), only=[Comment.id]),
                only=[Post.id],
            ),
            only=[User.id],
            name="page",
        )
        assert capsys.readouterr().out.startswith("PLAN = LoadPlan(")
    loader = SyncLoader(sync_engine)
    assert page(loader.fetch(plan, 2)) == ["Bob"] * 4
    more = learn_sync(loader, plan, 1, lambda user: [post.author for post in user.posts], quiet=True)
    assert more == plan
    assert capsys.readouterr().out == ""


def test_a_synchronous_run_goes_on(sync_engine: Engine) -> None:
    """Under ``--loadplan-learn`` what is missing is fetched and noted there, too."""
    loader = SyncLoader(sync_engine)
    with learning() as lessons:
        user = loader.fetch(LoadPlan(User, name="user page"), 2)
        assert [len(post.comments) for post in user.posts] == [2, 2]
    assert [each.wanted.added_to(each.plan) for each in lessons] == [
        LoadPlan(User, load(User.posts, load(Post.comments)), name="user page")
    ]


def test_what_synchronous_code_cannot_be_learned_from(sync_engine: Engine) -> None:
    async def waits(user: User) -> None:
        raise AssertionError("nobody waits for it")

    loader = SyncLoader(sync_engine)
    with pytest.raises(LoaderError, match="cannot wait for a coroutine"):
        learn_sync(loader, User, 1, waits)
    with Session(sync_engine) as session:
        for bind in (session, create_engine("sqlite://")):
            with pytest.raises(LoaderError, match="make the SyncLoader with an Engine or sessionmaker"):
                learn_sync(SyncLoader(bind), User, 1, print)


async def test_each_kind_of_loader_has_its_own_call(loader: Loader, sync_engine: Engine) -> None:
    with pytest.raises(LoaderError, match=r"learn_sync\(\) needs a SyncLoader, but got a Loader"):
        learn_sync(loader, User, 1, print)  # type: ignore[arg-type]
    with pytest.raises(LoaderError, match=r"learn\(\) needs a Loader, but got a SyncLoader"):
        await learn(SyncLoader(sync_engine), User, 1, print)  # type: ignore[arg-type]


async def test_synchronous_code_over_an_asynchronous_driver(loader: Loader, postgres: AsyncEngine) -> None:
    """As ``session.run_sync`` runs it: the second connection has an event loop of its own."""

    def work(_: object) -> LoadPlan[User]:
        return learn_sync(SyncLoader(postgres.sync_engine), User, 2, lambda user: list(user.posts), quiet=True)

    async with postgres.connect() as connection:
        assert await connection.run_sync(work) == LoadPlan(User, load(User.posts))


async def test_what_is_missing_below_what_was_missing(loader: Loader) -> None:
    """All of it belongs to the plan of the code, none to the fetches on the way, also once the objects are gone."""
    with learning() as lessons, record_reads() as reads:
        for number in (1, 2):
            user = await loader.fetch(LoadPlan(User, name="bare user"), number)
            assert [comment.author for post in user.posts for comment in post.comments]
    assert [each.wanted.added_to(each.plan) for each in lessons] == [
        LoadPlan(User, load(User.posts, load(Post.comments, load(Comment.author))), name="bare user")
    ]
    assert FETCHED not in reads.report()


async def test_a_deferred_column_is_learned_with_the_others(loader: Loader) -> None:
    """It does not come by itself, so the plan names all columns; also if the plan before left one out."""

    def page(user: User) -> list[str]:
        return [user.letter, user.name, *(post.author.letter for post in user.posts)]

    plan = await learn(loader, User, 2, page, quiet=True)
    assert plan.only is not None
    assert {each.key for each in plan.only} == {"id", "name", "kind", "letter"}
    assert len(page(await loader.fetch(plan, 2))) == 4
    before = LoadPlan(User, defer=[User.kind])
    after = await learn(loader, before, 2, lambda user: user.letter, quiet=True)
    assert (await loader.fetch(after, 2)).letter == ""
