"""``execution_options=``: the session's listeners see them with every statement of every call."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from loader_models import BINDS, POST_PAGE, Author, Base, Post, bound, listening, seed
from sqlalchemy import event, func, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

import loadplan
from loadplan import Loader, LoaderError, LoadPlan, load
from support import recording, tables


@attrs.frozen
class Title:
    id: int
    title: str


TITLES = LoadPlan(Post, into=Title, name="titles")
PLANS = (POST_PAGE, TITLES)
CALLS = [
    "fetch",
    "fetch_or_none",
    "fetch_many",
    "fetch_one",
    "fetch_all",
    "fetch_page",
    "stream",
    "count",
    "exists",
    "analyze",
    "batched",
]


def calls_of(loader: Loader) -> list[tuple[str, LoadPlan[Any]]]:
    """Every call of a loader, with each plan; SyncLoader has no turns of an event loop to gather fetches of."""
    return [
        (name, plan) for name in CALLS if name != "batched" or isinstance(loader, loadplan.Loader) for plan in PLANS
    ]


async def call(loader: Loader, name: str, plan: LoadPlan[Any], options: Any) -> None:
    """Do one call of a loader, whatever its own arguments are."""
    if name == "stream":
        assert [each.id async for each in loader.stream(plan, batch_size=2, execution_options=options)]
    elif name == "batched":
        await loader.batched().fetch(plan, 11, execution_options=options)
    else:
        arguments: dict[str, Any] = {"fetch_many": [[11, 12]], "fetch_one": [Post.id == 11]}
        arguments |= {key: [11] for key in ("fetch", "fetch_or_none", "analyze")}
        more = {"total": "exact", "size": 1} if name == "fetch_page" else {}
        await getattr(loader, name)(plan, *arguments.get(name, []), execution_options=options, **more)


@pytest.mark.parametrize("kind", ["sessionmaker", "session"])
async def test_every_statement_of_every_call_has_them(blog: AsyncEngine, kind: str) -> None:
    seen: list[object] = []

    class Heard(Session):
        pass

    event.listen(Heard, "do_orm_execute", lambda state: seen.append(state.execution_options.get("mark")))
    maker = async_sessionmaker(blog, sync_session_class=Heard)
    async with maker() as session:
        loader = Loader(maker if kind == "sessionmaker" else session)
        for name, plan in calls_of(loader):
            seen.clear()
            await call(loader, name, plan, {"mark": 5})
            assert seen, (name, plan)
            assert set(seen) == {5}, (name, plan)


@pytest.mark.parametrize("kind", BINDS)
async def test_they_reach_the_cursor_where_nobody_listens_to_the_session(blog: AsyncEngine, kind: str) -> None:
    """Twice, for a statement that comes again may go to the driver as text."""
    seen: list[object] = []

    def look(_c: Any, _cursor: Any, _sql: str, _p: Any, context: Any, _many: bool) -> None:
        seen.append(context.execution_options.get("mark"))

    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        for name, plan in calls_of(loader):
            for _ in range(3):
                await call(loader, name, plan, None)
            seen.clear()
            with listening(blog.sync_engine, "before_cursor_execute", look):
                await call(loader, name, plan, {"mark": 5})
            assert seen[0] == 5, (name, plan)
            if name != "analyze":  # the database's own account of a statement is asked for as text
                assert set(seen) == {5}, (name, plan)


@pytest.fixture
async def tenant(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The blog in a schema of its own, and an empty one beside it."""
    async with postgres.begin() as connection:
        await connection.execute(text("CREATE SCHEMA ldr_options_tenant"))
    inside = postgres.execution_options(schema_translate_map={None: "ldr_options_tenant"})
    try:
        async with tables(postgres, Base.metadata), tables(inside, Base.metadata):
            await seed(inside)
            yield postgres
    finally:
        async with postgres.begin() as connection:
            await connection.execute(text("DROP SCHEMA ldr_options_tenant CASCADE"))


@pytest.mark.parametrize("kind", BINDS)
async def test_names_of_schemas_are_translated(tenant: AsyncEngine, kind: str) -> None:
    options = {"schema_translate_map": {None: "ldr_options_tenant"}}
    async with bound(kind, tenant) as bind:
        loader = Loader(bind)
        for plan in (POST_PAGE, TITLES):
            for _ in range(3):
                assert await loader.fetch_or_none(plan, 11) is None
                assert (await loader.fetch(plan, 11, execution_options=options)).id == 11
            assert [each.id async for each in loader.stream(plan, execution_options=options)] == [11, 12, 13]
            page = await loader.fetch_page(plan, size=1, total="exact", execution_options=options)
            assert page.total == 3
            estimated = await loader.fetch_page(plan, size=1, total="estimated", execution_options=options)
            assert estimated.total is not None
        post = await loader.fetch(POST_PAGE, 11, execution_options=options)
        assert (post.author.name, len(post.comments), len(post.tags)) == ("Ben", 2, 2)
        assert await loader.count(Post) == 0
        assert await loader.count(Post, execution_options=options) == 3


async def test_a_statement_timeout_of_one_call(blog_postgres: AsyncEngine) -> None:
    def limit_time(state: ORMExecuteState) -> None:
        milliseconds = state.execution_options.get("timeout_ms")
        if milliseconds is not None:
            state.session.connection(bind_arguments=state.bind_arguments).execute(
                text("SELECT set_config('statement_timeout', :value, true)"), {"value": str(milliseconds)}
            )

    class Limited(Session):
        pass

    event.listen(Limited, "do_orm_execute", limit_time)
    loader = Loader(async_sessionmaker(blog_postgres, sync_session_class=Limited))
    slow = func.pg_sleep(5).is_not(None)
    for plan in (POST_PAGE, TITLES):
        with pytest.raises(DBAPIError, match="statement timeout"):
            await loader.fetch_all(plan, slow, execution_options={"timeout_ms": 50})
        assert (await loader.fetch(plan, 11)).id == 11


@pytest.mark.parametrize("plan", PLANS, ids=["entities", "views"])
async def test_a_filter_is_switched_off_by_name(blog: AsyncEngine, plan: LoadPlan[Any]) -> None:
    def only_first(state: ORMExecuteState) -> None:
        if not state.execution_options.get("all_posts"):
            state.statement = state.statement.options(with_loader_criteria(Post, Post.id == 11))

    async with AsyncSession(blog) as session:
        event.listen(session.sync_session, "do_orm_execute", only_first)
        loader = Loader(session)
        for _ in range(2):
            assert [each.id for each in await loader.fetch_all(plan)] == [11]
            assert len(await loader.fetch_all(plan, execution_options={"all_posts": True})) == 3
        authors = LoadPlan(Author, load(Author.posts))
        assert [post.id for post in (await loader.fetch(authors, 2)).posts] == [11]
        unfiltered = await loader.fetch(authors, 2, execution_options={"all_posts": True})
        assert [post.id for post in unfiltered.posts] == [11, 12]


async def test_the_caller_s_session_keeps_its_own(blog: AsyncEngine) -> None:
    seen: list[object] = []
    async with AsyncSession(blog) as session:
        event.listen(
            session.sync_session, "do_orm_execute", lambda state: seen.append(state.execution_options.get("mark"))
        )
        await Loader(session).fetch(TITLES, 11, execution_options={"mark": 5})
        await Loader(session).fetch(TITLES, 11)
        await session.get(Author, 1)
    assert seen == [5, None, None]


@pytest.mark.parametrize("place", ["engine", "connection", "listener"])
async def test_a_server_side_cursor_loses_no_row(blog_postgres: AsyncEngine, place: str) -> None:
    """SQLAlchemy takes the first rows from the cursor when the statement runs."""

    class Heard(Session):
        pass

    if place == "engine":
        await loses_no_row(Loader(blog_postgres.execution_options(stream_results=True)))
    elif place == "connection":
        async with blog_postgres.connect() as connection:
            await loses_no_row(Loader(await connection.execution_options(yield_per=1)))
    else:
        event.listen(Heard, "do_orm_execute", lambda state: state.update_execution_options(stream_results=True))
        await loses_no_row(Loader(async_sessionmaker(blog_postgres, sync_session_class=Heard)))


async def loses_no_row(loader: Loader) -> None:
    for plan in (*PLANS, *PLANS):
        assert [each.id for each in await loader.fetch_all(plan, order_by=Post.id)] == [11, 12, 13]
        assert [each.id for each in await loader.fetch_many(plan, [13, 11])] == [13, 11]
        assert [each.id async for each in loader.stream(plan, batch_size=2)] == [11, 12, 13]
        assert (await loader.fetch_page(plan, size=1, total="estimated")).total is not None
        assert await loader.count(plan) == 3
    post = await loader.fetch(POST_PAGE, 11)
    assert (post.author.name, len(post.comments), len(post.tags)) == ("Ben", 2, 2)
    assert (await loader.analyze(POST_PAGE, 11)).statements[0].rows == 1


@pytest.mark.parametrize("options", [{"isolation_level": "SERIALIZABLE"}, {"yield_per": 5}, [("a", 1)], {1: 2}])
async def test_what_one_call_cannot_decide_is_refused_before_any_sql(blog: AsyncEngine, options: Any) -> None:
    loader = Loader(blog)
    with recording(blog) as statements:
        for name, plan in calls_of(loader):
            with pytest.raises(LoaderError, match="execution_options="):
                await call(loader, name, plan, options)
    assert statements == []


async def test_the_refusal_says_where_it_goes(blog: AsyncEngine) -> None:
    with pytest.raises(LoaderError) as caught:
        await Loader(blog).fetch(TITLES, 11, execution_options={"isolation_level": "SERIALIZABLE"})
    assert str(caught.value) == (
        "LP408: execution_options= of a fetch cannot set 'isolation_level'\n"
        "  hint: set it on the engine: create_engine(...) or engine.execution_options(...)."
    )
