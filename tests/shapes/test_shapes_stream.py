"""``stream``: whole graphs in batches, in order, from a server-side cursor; and a clean end however it comes."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from shapes_models import Comment, Post, Tag, User, graph
from sqlalchemy import URL, ForeignKey, bindparam, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, ParameterError, PlanError, TooManyRows, load
from support import batches_of_roots, lost_cursors_allowed, recording, server_settings, tables

PLAN = LoadPlan(
    User,
    load(User.country),
    load(
        User.posts,
        load(Post.tags, order_by=Tag.id),
        load(Post.comments, load(Comment.author), order_by=Comment.n, limit=2),
        order_by=Post.score,
    ),
)


class Base(DeclarativeBase):
    pass


class Hub(Base):
    __tablename__ = "shs_hubs"
    id: Mapped[int] = mapped_column(primary_key=True)
    cap: Mapped["Cap | None"] = relationship(back_populates="hub")
    caps: Mapped[list["Cap"]] = relationship(viewonly=True, order_by="Cap.id")


class Cap(Base):
    """No constraint keeps a hub from having two."""

    __tablename__ = "shs_caps"
    id: Mapped[int] = mapped_column(primary_key=True)
    hub_id: Mapped[int] = mapped_column(ForeignKey("shs_hubs.id"))
    hub: Mapped[Hub] = relationship(back_populates="cap")


@pytest.fixture
async def hubs(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Nine hubs, each with three caps that stand far apart."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            await connection.execute(insert(Hub), [{"id": number} for number in range(1, 10)])
            await connection.execute(insert(Cap), [{"hub_id": 1 + number % 9} for number in range(27)])
        yield engine


@pytest.fixture
async def pooled(postgres_url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine of this test's own, whose connections the server knows by name."""
    engine = create_async_engine(
        postgres_url, pool_size=2, connect_args=server_settings(postgres_url, application_name="shapes stream")
    )
    yield engine
    await engine.dispose()


async def open_transactions(watcher: AsyncEngine) -> int:
    async with watcher.connect() as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'shapes stream' AND state != 'idle'"
        )
        return int((await connection.execute(text(query))).scalar_one())


async def assert_clean(pooled: AsyncEngine, watcher: AsyncEngine) -> None:
    assert pooled.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert await open_transactions(watcher) == 0


@pytest.mark.parametrize("size", [1, 2, 5, 12, 500])
async def test_whole_graphs_in_order_whatever_the_batch(shapes: AsyncEngine, size: int) -> None:
    whole = await Loader(shapes).fetch_all(PLAN, order_by=[User.name, User.id])
    found = [user async for user in Loader(shapes).stream(PLAN, order_by=User.name, batch_size=size)]
    for one, other in zip(found, whole, strict=True):
        assert [post.id for post in one.posts] == [post.id for post in other.posts]
        for mine, theirs in zip(one.posts, other.posts, strict=True):
            assert mine.author is one
            assert [tag.id for tag in mine.tags] == [tag.id for tag in theirs.tags]
            assert [(c.id, c.author and c.author.id) for c in mine.comments] == [
                (c.id, c.author and c.author.id) for c in theirs.comments
            ]
        assert (one.country and one.country.id) == (other.country and other.country.id)


async def test_objects_are_detached_and_sealed_while_the_stream_goes_on(shapes: AsyncEngine) -> None:
    async with contextlib.aclosing(Loader(shapes).stream(PLAN, batch_size=3)) as stream:
        async for user in stream:
            assert inspect(user).detached
            for post in user.posts:
                assert inspect(post).detached
                with pytest.raises(NotLoaded):
                    _ = user.notes


async def test_statements_are_one_for_the_roots_and_those_of_the_plan_a_batch(shapes: AsyncEngine) -> None:
    """Twelve users in batches of five: three batches of four statements."""
    with recording(shapes) as statements:
        assert len([user async for user in Loader(shapes).stream(PLAN, batch_size=5)]) == 12
    assert len(statements.selects) == batches_of_roots(shapes, 3) + 3 * 3


async def test_nothing_at_all(empty_shapes: AsyncEngine) -> None:
    with recording(empty_shapes) as statements:
        assert [user async for user in Loader(empty_shapes).stream(PLAN)] == []
    assert len(statements.selects) == 1


async def test_conditions_and_parameters(shapes: AsyncEngine) -> None:
    plan = LoadPlan(User, load(User.posts, where=Post.score == bindparam("score")))
    stream = Loader(shapes).stream(
        plan, where=User.id > bindparam("id"), order_by=User.id.desc(), batch_size=2, params={"id": 4, "score": 1}
    )
    found = [user async for user in stream]
    assert [user.id for user in found] == list(range(12, 4, -1))
    assert {post.score for user in found for post in user.posts} == {1}
    with pytest.raises(ParameterError):
        await anext(Loader(shapes).stream(plan))


@pytest.mark.filterwarnings("ignore:Multiple rows returned with uselist=False")
@pytest.mark.parametrize("size", [1, 3, 26])
@pytest.mark.parametrize("order", [None, Hub.id.desc()])
async def test_a_one_to_one_with_several_rows_repeats_no_root(hubs: AsyncEngine, size: int, order: Any) -> None:
    """A join brings its root several times: side by side, across two batches, or far apart without an order."""
    async with hubs.connect() as connection:
        if hubs.dialect.name == "postgresql":
            await connection.execute(text("ANALYZE shs_hubs, shs_caps"))
    for plan in (LoadPlan(Hub, load(Hub.cap)), LoadPlan(Hub, load(Hub.cap, load(Cap.hub), strategy="selectin"))):
        found = [hub.id async for hub in Loader(hubs).stream(plan, order_by=order, batch_size=size)]
        assert sorted(found) == list(range(1, 10))
        if order is not None:
            assert found == list(range(9, 0, -1))


async def test_a_subquery_edge_brings_the_rows_of_its_batch_alone(shapes: AsyncEngine) -> None:
    """Bounded memory: with the roots of one batch come their own children, not those of all."""
    plan = LoadPlan(User, load(User.posts, strategy="subquery"))
    whole = {user.id: len(user.posts) for user in await Loader(shapes).fetch_all(plan)}
    loader = Loader(shapes, max_rows=1 + max(whole.values()))
    try:
        found = {user.id: len(user.posts) async for user in loader.stream(plan, batch_size=1, order_by=User.id)}
    except PlanError:
        return
    assert found == whole


async def test_a_joined_collection_is_refused(shapes: AsyncEngine) -> None:
    plan = LoadPlan(User, load(User.posts, strategy="joined"), name="page")
    with pytest.raises(PlanError) as caught:
        await anext(Loader(shapes).stream(plan))
    assert str(caught.value) == (
        "LP216: stream() cannot join the collection 'User.posts'\n"
        "  at: page > posts\n"
        "  detail: a stream reads rows in batches, and a joined collection spreads one root over many "
        "rows.\n"
        "  hint: remove strategy= from load(User.posts)."
    )


async def test_roots_come_through_a_server_side_cursor(postgres: AsyncEngine, shapes: AsyncEngine) -> None:
    if shapes is not postgres:
        pytest.skip("SQLite has no server")
    async with postgres.connect() as connection:
        stream = Loader(connection).stream(PLAN, batch_size=2)
        await anext(stream)
        query = text("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%shp_users%' AND name <> ''")
        assert (await connection.execute(query)).scalar_one() == 1
        await stream.aclose()  # type: ignore[attr-defined]
        assert (await connection.execute(query)).scalar_one() == 0


async def leave_by_break(loader: Loader) -> None:
    async for _ in loader.stream(PLAN, batch_size=2):
        break


async def leave_by_closing(loader: Loader) -> None:
    async with contextlib.aclosing(loader.stream(PLAN, batch_size=2)) as stream:
        async for _ in stream:
            break


async def leave_by_exception(loader: Loader) -> None:
    async def read() -> None:
        async for user in loader.stream(PLAN, batch_size=2):
            _ = user.id / 0

    with pytest.raises(ZeroDivisionError):
        await read()


async def leave_by_error_of_the_library(loader: Loader) -> None:
    with pytest.raises(TooManyRows):
        async for _ in Loader(loader._bind, max_rows=3).stream(PLAN, batch_size=2):
            pass


async def leave_by_error_of_the_database(loader: Loader) -> None:
    with pytest.raises(Exception, match="division by zero"):
        async for _ in loader.stream(PLAN, where=1 / (User.id - 7) < 5, order_by=User.id, batch_size=2):
            pass


async def leave_by_cancellation_of_the_reader(loader: Loader) -> None:
    reached = asyncio.Event()

    async def read() -> None:
        async for _ in loader.stream(PLAN, batch_size=2):
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_by_the_end(loader: Loader) -> None:
    async for _ in loader.stream(PLAN, batch_size=2):
        pass


WAYS = [
    leave_by_break,
    leave_by_closing,
    leave_by_exception,
    leave_by_error_of_the_library,
    leave_by_error_of_the_database,
    leave_by_cancellation_of_the_reader,
    leave_by_the_end,
]


async def finished(before: set[Any]) -> None:
    """Let the event loop end what an abandoned generator left to it."""
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - before:
        await task


@pytest.mark.parametrize("leave", WAYS)
async def test_a_clean_end_however_it_comes(
    postgres: AsyncEngine, shapes: AsyncEngine, pooled: AsyncEngine, leave: Any
) -> None:
    if shapes is not postgres:
        pytest.skip("SQLite has no pg_stat_activity")
    before = asyncio.all_tasks()
    for bind in (pooled, async_sessionmaker(pooled)):
        await leave(Loader(bind))
        await finished(before)
        await assert_clean(pooled, postgres)


async def test_cancellation_while_the_database_is_waited_for(
    postgres: AsyncEngine, shapes: AsyncEngine, pooled: AsyncEngine
) -> None:
    """Another transaction holds the posts: the second statement of the batch waits, and is cancelled there."""
    if shapes is not postgres:
        pytest.skip("SQLite has no locks of this kind")
    with lost_cursors_allowed():
        await cancelled_behind_a_lock(postgres, pooled)


async def cancelled_behind_a_lock(postgres: AsyncEngine, pooled: AsyncEngine) -> None:
    async with postgres.connect() as holder:
        await holder.execute(text("LOCK TABLE shp_posts IN ACCESS EXCLUSIVE MODE"))

        async def read() -> None:
            async for _ in Loader(pooled).stream(PLAN, batch_size=2):
                pass

        task = asyncio.create_task(read())
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'shapes stream' AND wait_event_type = 'Lock'"
        )
        async with postgres.connect() as watcher:
            while not (await watcher.execute(waiting)).scalar_one():
                assert not task.done()
                await watcher.rollback()  # a transaction sees pg_stat_activity as it was at its first look
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_clean(pooled, postgres)
        await holder.rollback()


@pytest.mark.parametrize("leave", [way for way in WAYS if way is not leave_by_error_of_the_database])
async def test_in_the_transaction_of_the_caller(shapes: AsyncEngine, leave: Any) -> None:
    """It sees what was flushed there, and the transaction goes on after it."""
    before = asyncio.all_tasks()
    async with AsyncSession(shapes) as session:
        new = User(id=99, name="new", tenant=1)
        session.add(new)
        await leave(Loader(session))
        await finished(before)
        found = [user.id async for user in Loader(session).stream(PLAN, where=User.id > 90)]
        assert found == [99]
        assert session.in_transaction()
        assert list(session.identity_map.values()) == [new]
        await session.rollback()
        assert [user.id async for user in Loader(session).stream(PLAN, where=User.id > 90)] == []


async def test_two_streams_of_one_loader_at_once(shapes: AsyncEngine, postgres: AsyncEngine) -> None:
    if shapes is not postgres:
        pytest.skip("one connection in memory")
    loader = Loader(shapes)
    one, two = loader.stream(PLAN, order_by=User.id, batch_size=2), loader.stream(PLAN, order_by=User.id, batch_size=3)
    pairs = [(await anext(one), await anext(two)) for _ in range(12)]
    assert all(left is not right and graph([left])[0] == graph([right])[0] for left, right in pairs)
    for stream in (one, two):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
