"""count, exists and the total of a page: roots, under the conditions and criteria that a fetch has."""

import json
from typing import Any

import attrs
import pytest
from loader_models import BINDS, POST_PAGE, Author, Comment, Hideable, Post, bound
from sqlalchemy import bindparam, event, update
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from loadplan import FetchRecord, Loader, LoaderError, LoadPlan, ParameterError, PlanError, load
from support import recording


@attrs.frozen
class Title:
    id: int
    title: str


TITLES = LoadPlan(Post, into=Title, name="titles")
PLANS = pytest.mark.parametrize("plan", [POST_PAGE, TITLES, Post], ids=["entities", "views", "class"])


@pytest.fixture(params=BINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@PLANS
async def test_count_and_exists_take_one_statement_each(blog: AsyncEngine, kind: str, plan: Any) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        with recording(blog) as statements:
            assert await loader.count(plan) == 3
            assert await loader.count(plan, Post.author_id == 2) == 2
            assert await loader.count(plan, [Post.author_id == 2, Post.id > 11]) == 1
            assert await loader.exists(plan, where=Post.title == "one") is True
            assert await loader.exists(plan, Post.title == "none") is False
    assert len(statements.selects) == 5
    assert not any("JOIN" in sql for sql in statements)


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_joined_rows_are_never_counted(blog: AsyncEngine, strategy: Any) -> None:
    plan = LoadPlan(Author, load(Author.posts, load(Post.comments, strategy=strategy), strategy=strategy))
    loader = Loader(blog)
    assert await loader.count(plan) == 3
    assert await loader.count(plan, Author.posts.any(Post.comments.any())) == 1
    page = await loader.fetch_page(plan, size=1, total="exact")
    assert (len(page.items), page.total) == (1, 3)


async def test_an_inner_join_leaves_out_roots_in_a_count_too(blog: AsyncEngine) -> None:
    plans: list[LoadPlan[Any]] = [
        LoadPlan(Author, load(Author.boss, strategy="inner")),
        LoadPlan(Author, load(Author.boss, load(Author.boss, strategy="inner"), strategy="inner")),
        LoadPlan(Post, load(Post.author, load(Author.boss, strategy="inner"), strategy="inner")),
        LoadPlan(Author, load(Author.posts, strategy="inner")),
    ]
    loader = Loader(blog)
    for plan in plans:
        found = await loader.fetch_all(plan)
        assert await loader.count(plan) == len(found)
        assert await loader.exists(plan) is bool(found)


async def test_parameters_of_plan_and_condition(blog: AsyncEngine) -> None:
    plan = LoadPlan(Post, load(Post.comments, where=Comment.id > bindparam("least")), name="some comments")
    loader = Loader(blog)
    where = Post.author_id == bindparam("author", type_=Post.author_id.type)
    assert await loader.count(plan, where, params={"least": 0, "author": 2}) == 2
    page = await loader.fetch_page(plan, Post.title, 1, where=where, params={"least": 0, "author": 2}, total="exact")
    assert page.total == 2
    with pytest.raises(ParameterError):
        await loader.count(plan, where, params={"least": 0})
    with pytest.raises(PlanError):
        await loader.count(plan, Author.id == 1)


async def test_what_is_neither_plan_nor_class_is_refused(blog: AsyncEngine) -> None:
    with pytest.raises(LoaderError):
        await Loader(blog).count("Post")  # type: ignore[arg-type]
    with pytest.raises(LoaderError):
        await Loader(blog).exists(dict)


# --- criteria of the session ----------------------------------------------------------------------------------------


def hide(state: ORMExecuteState) -> None:
    """Soft delete, as applications write it: for the classes that a statement is about."""
    if state.is_select and any(issubclass(each.class_, Hideable) for each in state.all_mappers):
        criteria = with_loader_criteria(Hideable, lambda cls: cls.hidden.is_(False), include_aliases=True)
        state.statement = state.statement.options(criteria)


@PLANS
@pytest.mark.parametrize("kind", ["sessionmaker", "session"])
async def test_criteria_hold_in_every_count(blog: AsyncEngine, kind: str, plan: Any) -> None:
    async with AsyncSession(blog) as session:
        await session.execute(update(Post).where(Post.id == 11).values(hidden=True))
        await session.commit()

    class Filtered(Session):
        pass

    event.listen(Filtered, "do_orm_execute", hide)
    maker = async_sessionmaker(blog, sync_session_class=Filtered)
    async with maker() as session:
        loader = Loader(maker if kind == "sessionmaker" else session)
        assert await loader.count(plan) == 2
        assert await loader.exists(plan, Post.id == 11) is False
        if plan is not Post:
            page = await loader.fetch_page(plan, size=1, total="exact")
            assert page.total == 2
    assert await Loader(blog).count(plan) == 3


async def test_the_estimate_is_the_planner_s_own_under_the_criteria(blog_postgres: AsyncEngine) -> None:
    """A condition on a unique key is one row to the planner, whatever its statistics say."""
    loader = Loader(blog_postgres)
    with recording(blog_postgres) as statements:
        page = await loader.fetch_page(TITLES, size=1, where=Post.id < 100, total="estimated")
    (explain,) = [sql for sql in statements if sql.startswith("EXPLAIN")]
    async with blog_postgres.connect() as connection:
        answer = await connection.exec_driver_sql("EXPLAIN (FORMAT JSON) SELECT id FROM ldr_posts WHERE id < 100")
        plan = answer.scalar_one()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    assert page.total == plan[0]["Plan"]["Plan Rows"]
    assert "ORDER BY" not in explain
    assert "LIMIT" not in explain

    class Filtered(Session):
        pass

    def only_one(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(with_loader_criteria(Post, Post.id == 12))

    event.listen(Filtered, "do_orm_execute", only_one)
    narrowed = Loader(async_sessionmaker(blog_postgres, sync_session_class=Filtered))
    async with AsyncSession(blog_postgres, sync_session_class=Filtered) as session:
        for each in (narrowed, Loader(session)):
            page = await each.fetch_page(
                TITLES, size=1, after=(await loader.fetch_page(TITLES, size=1)).next, total="estimated"
            )
            assert page.total == 1
            assert [title.id for title in page.items] == [12]
            assert await each.count(Post) == 1  # its listener is gone with the page


async def test_a_listener_that_answers_itself_has_no_estimate(blog_postgres: AsyncEngine) -> None:
    class Cached(Session):
        pass

    def answer(state: ORMExecuteState) -> Any:
        columns = [each["name"] for each in state.statement.column_descriptions]  # type: ignore[union-attr]
        return IteratorResult(SimpleResultMetaData(columns), iter([])) if columns == ["id"] else None

    event.listen(Cached, "do_orm_execute", answer)
    event.listen(Cached, "do_orm_execute", lambda state: state.invoke_statement())
    loader = Loader(async_sessionmaker(blog_postgres, sync_session_class=Cached))
    with pytest.raises(LoaderError, match="cannot ask the planner"):
        await loader.fetch_page(POST_PAGE, size=1, total="estimated")
    assert (await loader.fetch_page(POST_PAGE, size=1, total="exact")).total == 3


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [POST_PAGE, TITLES], ids=["entities", "views"])
async def test_the_total_is_of_all_pages(blog: AsyncEngine, kind: str, plan: LoadPlan[Any]) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        first = await loader.fetch_page(plan, size=2, total="exact")
        second = await loader.fetch_page(plan, size=2, after=first.next, total="exact")
        back = await loader.fetch_page(plan, size=2, before=second.previous, total="exact")
        unasked = await loader.fetch_page(plan, size=2)
    assert [first.total, second.total, back.total, unasked.total] == [3, 3, 3, None]


@pytest.mark.parametrize("total", ["exact", "estimated"])
async def test_one_page_with_everything_is_counted_as_it_is(blog: AsyncEngine, total: Any) -> None:
    with recording(blog) as statements:
        page = await Loader(blog).fetch_page(TITLES, total=total)
    assert page.total == 3
    assert len(statements) == 1


async def test_elsewhere_than_on_postgresql_an_estimate_is_a_count(sqlite: AsyncEngine) -> None:
    from loader_models import Base, seed

    from support import tables

    async with tables(sqlite, Base.metadata):
        await seed(sqlite)
        assert (await Loader(sqlite).fetch_page(TITLES, size=1, total="estimated")).total == 3


async def test_a_wrong_total_is_refused(blog: AsyncEngine) -> None:
    with pytest.raises(LoaderError) as caught:
        await Loader(blog).fetch_page(TITLES, total="roughly")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "LP408: total='roughly' is not a way to count\n"
        "  at: titles\n"
        '  hint: use total="exact", total="estimated", or leave it out.'
    )


async def test_page_and_total_are_one_snapshot(blog_postgres: AsyncEngine, other_postgres: AsyncEngine) -> None:
    """Between the page and its total somebody adds a post: the total does not know of it."""
    wrote: list[bool] = []

    def write(state: ORMExecuteState) -> None:
        if "count(" in str(state.statement) and not wrote:
            wrote.append(True)

    records: list[FetchRecord] = []
    with recording(blog_postgres) as statements:

        def add(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
            if "count(" in sql and not wrote:
                wrote.append(True)
                import psycopg

                url = other_postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
                with psycopg.connect(url) as connection:
                    connection.execute(
                        "INSERT INTO ldr_posts (id, title, author_id, hidden) VALUES (99, 'new', 2, false)"
                    )

        event.listen(blog_postgres.sync_engine, "before_cursor_execute", add)
        try:
            page = await Loader(blog_postgres, on_fetch=records.append).fetch_page(TITLES, size=1, total="exact")
        finally:
            event.remove(blog_postgres.sync_engine, "before_cursor_execute", add)
    assert wrote == [True]
    assert page.total == 3
    assert await Loader(blog_postgres).count(Post) == 4
    assert len(statements) == records[0].statements == 2


# --- explain, on_fetch, max_rows ------------------------------------------------------------------------------------


async def test_explain_shows_the_statements(blog: AsyncEngine) -> None:
    loader = Loader(blog)
    plain = loader.explain(POST_PAGE, roots=None)
    counted = loader.explain(POST_PAGE, roots=None, total="exact")
    assert counted.sql[:-1] == plain.sql
    assert counted.statements == plain.statements + 1
    assert counted.sql[-1].sql.startswith("SELECT count(ldr_posts.id)")
    estimated = loader.explain(TITLES, roots=None, total="estimated").sql[-1]
    assert estimated.sql.startswith("EXPLAIN" if blog.dialect.name == "postgresql" else "SELECT count(")
    for call in ("count", "exists"):
        explained = loader.explain(Post, call=call)  # type: ignore[arg-type]
        with recording(blog) as statements:
            await getattr(loader, call)(Post)
        assert explained.statements == len(explained.sql) == len(statements) == 1
        assert explained.sql[0].sql.split("LIMIT")[0] == statements[0].split("LIMIT")[0]
        assert f"{explained}".startswith("Post: Post, 1 statement")


async def test_a_count_is_told_and_has_no_rows_to_bound(blog: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    loader = Loader(blog, on_fetch=records.append, max_rows=0)
    assert await loader.count(POST_PAGE) == 3
    assert await loader.exists(TITLES) is True
    assert [(each.plan, each.statements, each.rows) for each in records] == [("post page", 1, 1), ("titles", 1, 1)]
