"""``batched()``: concurrent fetches by key of one turn of the event loop share statements, and nothing else."""

import asyncio
from contextvars import ContextVar
from typing import Any

import attrs
import pytest
from loader_models import AUTHOR, BINDS, POST_PAGE, POSTS, Author, Comment, Post, bound, listening
from sqlalchemy import bindparam, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from loadplan import (
    BatchedLoader,
    FetchRecord,
    IdentityError,
    Loader,
    LoaderError,
    LoadPlan,
    NotFound,
    RelatedNotFound,
    TooManyRows,
    load,
)
from support import in_one, recording

pytestmark = pytest.mark.asynchronous


@attrs.define
class Card:
    id: int
    name: str


CARD = LoadPlan(Author, into=Card, name="card")


async def add_authors(engine: AsyncEngine, number: int) -> list[int]:
    """Add authors, and return their ids."""
    ids = list(range(100, 100 + number))
    async with AsyncSession(engine) as session:
        session.add_all(Author(id=each, name=f"author {each}", boss_id=1) for each in ids)
        session.add_all(Post(id=each, title=f"post {each}", author_id=each) for each in ids)
        await session.commit()
    return ids


@pytest.mark.parametrize("plan", [POSTS, CARD], ids=["entities", "views"])
@pytest.mark.parametrize("kind", BINDS)
async def test_fifty_fetches_take_the_statements_of_one_fetch_many(
    blog: AsyncEngine, kind: str, plan: LoadPlan[Any]
) -> None:
    ids = await add_authors(blog, 50)
    async with bound(kind, blog) as bind:
        loader = Loader(bind)
        with recording(blog) as together:
            await loader.fetch_many(plan, ids)
        with recording(blog) as batched:
            found = await asyncio.gather(*map(loader.batched().fetch, [plan] * 50, ids))
    assert [each.id for each in found] == ids
    assert batched.selects == together.selects


@pytest.mark.parametrize("kind", BINDS)
async def test_plans_params_and_options_have_batches_of_their_own(blog: AsyncEngine, kind: str) -> None:
    """On one connection they run one after another, and no task is in the way of another one."""
    some = LoadPlan(Post, load(Post.comments, where=Comment.id > bindparam("least")), name="some comments")
    async with bound(kind, blog) as bind:
        loader = Loader(bind).batched()
        with recording(blog) as statements:
            found: list[Any] = await asyncio.gather(
                loader.fetch(POSTS, 1),
                loader.fetch(AUTHOR, 1),
                loader.fetch(POSTS, 2),
                loader.fetch(some, 11, params={"least": 101}),
                loader.fetch(some, 12, params={"least": 101}),
                loader.fetch(some, 11, params={"least": 0}),
                loader.fetch(AUTHOR, 2, execution_options={"mark": 1}),
                loader.fetch_or_none(AUTHOR, 3),
            )
    assert [each.id for each in found] == [1, 1, 2, 11, 12, 11, 2, 3]
    assert [comment.id for comment in found[3].comments] == [102]
    assert [comment.id for comment in found[5].comments] == [101, 102]
    nested = in_one(blog, 2)  # its collection may come in the row of its parent
    assert len(statements.selects) == 2 + 1 + 2 + nested + 1


async def test_the_next_turn_is_the_next_batch(blog: AsyncEngine) -> None:
    loader = Loader(blog).batched()

    async def twice(number: int) -> str:
        first = await loader.fetch(AUTHOR, number)
        assert first.boss_id is not None
        return (await loader.fetch(AUTHOR, first.boss_id)).name

    with recording(blog) as statements:
        assert await asyncio.gather(twice(2), twice(3)) == ["Ann", "Ann"]
    assert len(statements.selects) == 2


@pytest.mark.parametrize(("size", "statements_wanted"), [(1, 5), (2, 3), (4, 2), (5, 1), (500, 1)])
async def test_max_batch(blog_postgres: AsyncEngine, size: int, statements_wanted: int) -> None:
    ids = await add_authors(blog_postgres, 5)
    with recording(blog_postgres) as statements:
        found = await asyncio.gather(*map(Loader(blog_postgres).batched(max_batch=size).fetch, [AUTHOR] * 5, ids))
    assert [each.id for each in found] == ids
    assert len(statements.selects) == statements_wanted


@pytest.mark.parametrize("size", [0, -1, True, "2", None])
async def test_a_max_batch_that_counts_nothing_is_refused(blog: AsyncEngine, size: Any) -> None:
    with pytest.raises(LoaderError, match="max_batch="):
        Loader(blog).batched(max_batch=size)


# --- each caller for itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BINDS)
async def test_a_wrong_or_missing_id_fails_its_own_caller_alone(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind).batched()
        with recording(blog) as statements:
            good, missing, none, wrong, other = await asyncio.gather(
                loader.fetch(AUTHOR, 1),
                loader.fetch(AUTHOR, 99),
                loader.fetch_or_none(AUTHOR, 98),
                loader.fetch(AUTHOR, "x"),
                loader.fetch(AUTHOR, 2),
                return_exceptions=True,
            )
    assert isinstance(good, Author)
    assert isinstance(other, Author)
    assert isinstance(missing, NotFound)
    assert missing.missing == (99,)
    assert none is None
    assert isinstance(wrong, IdentityError)
    assert len(statements.selects) == 1


@pytest.mark.parametrize("kind", BINDS)
async def test_a_row_that_cannot_be_read_fails_its_own_caller_alone(blog: AsyncEngine, kind: str) -> None:
    """Ann has no boss; without a batch, Ben and Cid would never know."""

    class Hidden(Session):
        pass

    def hide_ann(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(with_loader_criteria(Author, Author.id != 1, include_aliases=True))

    async with AsyncSession(blog) as session:
        session.add(Author(id=60, name="Dee", boss_id=2))
        session.add(Post(id=61, title="hers", author_id=60))
        await session.commit()

    @attrs.frozen
    class Title:
        id: int
        author: Card

    titles = LoadPlan(Post, into=Title, name="titles")
    if kind == "connection":
        pytest.skip("no session of the caller's, so no criteria")
    event.listen(Hidden, "do_orm_execute", hide_ann)
    async with AsyncSession(blog) as session:
        session.add(Post(id=62, title="of Ann", author_id=1))
        await session.commit()
    maker = async_sessionmaker(blog, sync_session_class=Hidden)
    async with maker() as session:
        loader = Loader({"session": session}.get(kind, maker)).batched()
        found = await asyncio.gather(*(loader.fetch(titles, each) for each in (61, 62, 11)), return_exceptions=True)
    assert [type(each) for each in found] == [Title, RelatedNotFound, Title]


async def test_max_rows_is_of_each_fetch(blog: AsyncEngine) -> None:
    """Ben's posts are too many, the others' are not."""
    loader = Loader(blog, max_rows=2).batched()
    found = await asyncio.gather(*(loader.fetch(POSTS, each) for each in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in found] == [Author, TooManyRows, Author]


async def test_a_lost_connection_fails_all_of_a_batch_at_once(blog_postgres: AsyncEngine) -> None:
    def lose(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        raise OSError("the network is gone")

    loader = Loader(blog_postgres).batched()
    with recording(blog_postgres) as statements, listening(blog_postgres.sync_engine, "before_cursor_execute", lose):
        found = await asyncio.gather(*(loader.fetch(AUTHOR, each) for each in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in found] == [OSError] * 3
    assert len(statements) == 1
    assert (await loader.fetch(AUTHOR, 1)).name == "Ann"


@pytest.mark.parametrize("kind", BINDS)
async def test_cancelling_one_waiter_cancels_no_other(blog: AsyncEngine, kind: str) -> None:
    async with bound(kind, blog) as bind:
        loader = Loader(bind).batched()
        tasks = [asyncio.create_task(loader.fetch(POSTS, each)) for each in (1, 2, 3)]
        started = asyncio.Event()

        def begin(*_: Any) -> None:
            started.set()

        with listening(blog.sync_engine, "before_cursor_execute", begin):
            await started.wait()
            tasks[0].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert [each.id for each in found[1:] if isinstance(each, Author)] == [2, 3]
        assert (await loader.fetch(POSTS, 1)).id == 1


async def test_a_batch_that_nobody_waits_for_any_more_is_not_sent(blog: AsyncEngine) -> None:
    loader = Loader(blog).batched()
    tasks = [asyncio.create_task(loader.fetch(POSTS, each)) for each in (1, 2)]

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    asyncio.get_running_loop().call_soon(cancel)
    with recording(blog) as statements:
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [asyncio.CancelledError] * 2
    assert statements == []


async def test_a_batch_stops_once_every_waiter_is_gone(blog_postgres: AsyncEngine) -> None:
    """The connection is back in the pool, and the batch sends nothing more."""
    loader = Loader(blog_postgres).batched()
    started = asyncio.Event()
    tasks = [asyncio.create_task(loader.fetch(POSTS, each)) for each in (2, 3)]

    def begin(*_: Any) -> None:
        started.set()

    with recording(blog_postgres) as statements:
        with listening(blog_postgres.sync_engine, "before_cursor_execute", begin):
            await started.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await loader.fetch(AUTHOR, 1)).name == "Ann"
    assert len(statements.selects) == 2
    async with asyncio.timeout(10):  # the batch rolls back by itself: nobody waits for it any more
        while blog_postgres.pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110 - a pool has no event
            await asyncio.sleep(0.01)


# --- what callers share ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [POSTS, CARD], ids=["entities", "views"])
async def test_two_callers_of_one_id_have_an_object_each(blog: AsyncEngine, plan: LoadPlan[Any]) -> None:
    loader = Loader(blog).batched()
    with recording(blog) as statements:
        first, second, third = await asyncio.gather(*(loader.fetch(plan, 2) for _ in range(3)))
        alone = await Loader(blog).fetch(plan, 2)
    assert len({id(first), id(second), id(third)}) == 3
    first.name = "changed"
    assert (second.name, third.name) == ("Ben", "Ben")
    if plan is POSTS:
        first.posts[0].title = "changed"
        first.posts.pop()
        assert [post.title for post in second.posts] == [post.title for post in alone.posts] == ["one", "two"]
        assert all(post.author is third for post in third.posts)
    assert len(statements.selects) == 2 * (2 if plan is POSTS else 1)


async def test_callers_of_two_ids_share_no_related_row(blog: AsyncEngine) -> None:
    """Both posts are Ben's."""
    loader = Loader(blog).batched()
    one, two = await asyncio.gather(loader.fetch(POST_PAGE, 11), loader.fetch(POST_PAGE, 12))
    assert one.author.id == two.author.id == 2
    assert one.author is not two.author
    one.author.name = "changed"
    assert two.author.name == "Ben"
    assert one.tags[1].id == two.tags[0].id
    assert one.tags[1] is not two.tags[0]


async def test_a_copy_is_sealed_and_goes_back_into_a_session(blog: AsyncEngine) -> None:
    from loadplan import NotLoaded

    loader = Loader(blog).batched()
    _, copied = await asyncio.gather(loader.fetch(POSTS, 2), loader.fetch(POSTS, 2))
    with pytest.raises(NotLoaded):
        _ = copied.boss
    async with AsyncSession(blog) as session:
        session.add(copied)
        copied.name = "Benjamin"
        await session.commit()
    assert (await Loader(blog).fetch(AUTHOR, 2)).name == "Benjamin"


# --- tenants, locks, other calls ------------------------------------------------------------------------------------

TENANT: ContextVar[int] = ContextVar("TENANT")
OTHER: ContextVar[int] = ContextVar("OTHER", default=0)


class OfTenant(Session):
    """Sees the posts of one author alone: the tenant of the task."""


@event.listens_for(OfTenant, "do_orm_execute")
def only_of_the_tenant(state: ORMExecuteState) -> None:
    state.statement = state.statement.options(with_loader_criteria(Post, Post.author_id == TENANT.get()))


@pytest.mark.parametrize("context", [None, [TENANT]], ids=["every variable", "the tenant"])
async def test_tenants_never_share_a_batch(blog: AsyncEngine, context: Any) -> None:
    titles = LoadPlan(Post, only=[Post.title], name="titles")
    maker = async_sessionmaker(blog, sync_session_class=OfTenant)
    loader = Loader(maker).batched(context=context)

    async def read(tenant: int, other: int) -> list[int]:
        TENANT.set(tenant)
        OTHER.set(other)
        found = await asyncio.gather(*(loader.fetch_or_none(titles, each) for each in (11, 12, 13)))
        return [each.id for each in found if each is not None]

    with recording(blog) as statements:
        found = await asyncio.gather(read(2, 1), read(3, 2), read(2, 3))
    assert found == [[11, 12], [13], [11, 12]]
    assert len(statements.selects) == (3 if context is None else 2)


async def test_a_fetch_that_locks_is_not_batched(blog_postgres: AsyncEngine) -> None:
    async with AsyncSession(blog_postgres) as session, session.begin():
        loader = Loader(session).batched()
        with recording(blog_postgres) as statements:
            assert (await loader.fetch(AUTHOR, 1, for_update=True)).name == "Ann"
        assert "FOR UPDATE" in statements.selects[0]


async def test_all_other_calls_are_the_loader_s(blog: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    loader = Loader(blog, on_fetch=records.append).batched()
    assert isinstance(loader, BatchedLoader)
    assert repr(loader) == "BatchedLoader(AsyncEngine)"
    assert [each.id for each in await loader.fetch_many(AUTHOR, [2, 1])] == [2, 1]
    assert await loader.count(AUTHOR) == 3
    assert [each.id async for each in loader.stream(AUTHOR, order_by=Author.id)] == [1, 2, 3]
    await asyncio.gather(loader.fetch(AUTHOR, 1), loader.fetch(AUTHOR, 2))
    assert [(each.plan, each.statements) for each in records[-1:]] == [("author", 1)]
    assert len(records) == 4
