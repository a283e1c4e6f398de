"""``max_rows``: a fetch stops before the memory is filled, and names the edge.

Rows are counted where the driver hands them over.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from shapes_models import Comment, Node, Note, Post, Tag, User
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, PlanError, TooManyRows, load

PLAN = LoadPlan(User, load(User.posts, load(Post.comments)), name="page")


class Rows:
    """Rows that left the database."""

    def __init__(self) -> None:
        self.count = 0


@contextlib.contextmanager
def counting(engine: AsyncEngine) -> Iterator[Rows]:
    """Count the rows that cursors hold when their statement has run, the server's own cursors by what they fetch."""
    rows = Rows()

    def after(_connection: Any, cursor: Any, _sql: Any, _parameters: Any, context: Any, _many: Any) -> None:
        held = getattr(cursor, "_rows", None)
        if held is not None and context.isinsert is False:
            rows.count += len(held)

    event.listen(engine.sync_engine, "after_cursor_execute", after)
    try:
        yield rows
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", after)


async def total(engine: AsyncEngine, *entities: Any) -> int:
    async with AsyncSession(engine) as session:
        return sum([(await session.execute(select(func.count()).select_from(each))).scalar_one() for each in entities])


async def test_the_counter_counts(shapes: AsyncEngine) -> None:
    with counting(shapes) as rows:
        await Loader(shapes).fetch_all(LoadPlan(User))
    assert rows.count == 12


CALLS = {
    "fetch": lambda loader, plan: loader.fetch(plan, 1),
    "fetch_many": lambda loader, plan: loader.fetch_many(plan, range(1, 13)),
    "fetch_all": lambda loader, plan: loader.fetch_all(plan),
    "fetch_all, limited": lambda loader, plan: loader.fetch_all(plan, limit=8),
    "fetch_page": lambda loader, plan: loader.fetch_page(plan, size=8),
}


@pytest.mark.parametrize("call", CALLS)
async def test_exactly_as_many_rows_as_allowed_come(shapes: AsyncEngine, call: str) -> None:
    """One row less is allowed than there are: it is refused, and never more than one row past the bound was brought."""
    with counting(shapes) as rows:
        await CALLS[call](Loader(shapes), PLAN)
    whole = rows.count - (call == "fetch_page")  # the root that tells whether there is a next page
    await CALLS[call](Loader(shapes, max_rows=rows.count), PLAN)
    for bound in sorted({0, 1, 2, 7, 20, whole // 2, whole - 1}):
        if bound < whole:
            with counting(shapes) as rows, pytest.raises(TooManyRows):
                await CALLS[call](Loader(shapes, max_rows=bound), PLAN)
            assert rows.count <= bound + 1


async def test_the_message_names_the_edge(shapes: AsyncEngine) -> None:
    posts = await total(shapes, User)
    for bound, name in ((5, "User"), (posts + 1, "User.posts"), (posts + 70, "Post.comments")):
        with pytest.raises(TooManyRows) as caught:
            await Loader(shapes, max_rows=bound).fetch_all(PLAN)
        assert str(caught.value) == (
            f"LP406: the fetch returns more than {bound} rows\n"
            f"  at: page > {name}\n"
            f"  detail: the rows of '{name}' exceed max_rows={bound}.\n"
            "  hint: fetch fewer roots, give the collection a limit=, use stream(), or raise max_rows."
        )


SHAPES: dict[str, LoadPlan[Any]] = {
    "limit": LoadPlan(User, load(User.posts, order_by=Post.score, limit=3)),
    "window": LoadPlan(User, load(User.notes, limit=3)),
    "many-to-many": LoadPlan(Post, load(Post.tags)),
    "subquery": LoadPlan(User, load(User.posts, load(Post.comments, strategy="subquery"), strategy="subquery")),
    "subquery below a limit": LoadPlan(
        User, load(User.posts, load(Post.comments, strategy="subquery"), order_by=Post.score, limit=1)
    ),
    "tree": LoadPlan(Node, load(Node.kids, depth="all")),
    "levels": LoadPlan(Node, load(Node.kids, depth=2)),
    "joined collection": LoadPlan(User, load(User.posts, strategy="joined")),
    "joined collection below": LoadPlan(Tag, load(Tag.posts, load(Post.comments, strategy="joined"))),
    "joined to-one": LoadPlan(Comment, load(Comment.post, load(Post.author))),
    "joined, in a limit": LoadPlan(User, load(User.notes, load(Note.country), limit=3)),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_in_every_shape_never_more_than_one_row_past_the_bound(shapes: AsyncEngine, shape: str) -> None:
    """Under a bound collections are not joined: a LIMIT would count roots, and each of those may be many rows."""
    plan = SHAPES[shape]
    with counting(shapes) as rows:
        await Loader(shapes, max_rows=1_000_000).fetch_all(plan)
    whole = rows.count
    await Loader(shapes, max_rows=whole).fetch_all(plan)
    for bound in (3, whole // 2, whole - 1):
        with counting(shapes) as rows, pytest.raises(TooManyRows):
            await Loader(shapes, max_rows=bound).fetch_all(plan)
        assert rows.count <= bound + 1


async def test_a_subquery_below_a_limit_brings_the_rows_of_the_limit_alone(shapes: AsyncEngine) -> None:
    """Its subquery repeats the limited statement, and joins no table a second time."""
    plan = SHAPES["subquery below a limit"]
    with counting(shapes) as rows:
        found = await Loader(shapes).fetch_all(plan)
    posts = [post for user in found for post in user.posts]
    assert rows.count == len(found) + len(posts) + sum(len(post.comments) for post in posts)


async def test_a_stream_counts_each_batch(shapes: AsyncEngine) -> None:
    whole = await Loader(shapes).fetch_all(PLAN)
    largest = max(1 + len(user.posts) + sum(len(post.comments) for post in user.posts) for user in whole)
    found = [user async for user in Loader(shapes, max_rows=largest).stream(PLAN, batch_size=1)]
    assert len(found) == len(whole)
    with pytest.raises(TooManyRows):
        assert [user async for user in Loader(shapes, max_rows=largest - 1).stream(PLAN, batch_size=1)]


async def test_a_stream_brings_no_more_roots_than_allowed(shapes: AsyncEngine) -> None:
    """A batch of 500 is no reason to build 500 objects where three are allowed."""
    built: list[object] = []

    def loaded(entity: object, _: object) -> None:
        built.append(entity)

    event.listen(User, "load", loaded)
    try:
        with pytest.raises((TooManyRows, PlanError)):
            assert [user async for user in Loader(shapes, max_rows=3).stream(LoadPlan(User), batch_size=500)]
    finally:
        event.remove(User, "load", loaded)
    assert len(built) <= 4


async def test_many_ids_in_chunks_count_together(empty_shapes: AsyncEngine) -> None:
    """SQLite takes 500 keys a statement; the bound is on all of them."""
    async with AsyncSession(empty_shapes) as session, session.begin():
        session.add_all(User(id=number, name=None, tenant=1) for number in range(1, 1201))
    loader = Loader(empty_shapes, max_rows=1199)
    with pytest.raises(TooManyRows):
        await loader.fetch_many(LoadPlan(User), range(1, 1201))
    assert len(await loader.fetch_many(LoadPlan(User), range(1, 1200))) == 1199


async def test_nothing_is_bounded_without_max_rows(shapes: AsyncEngine) -> None:
    assert len(await Loader(shapes).fetch_all(PLAN)) == 12
