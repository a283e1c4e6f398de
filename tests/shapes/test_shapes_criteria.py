"""A tenant's filter holds in every statement of every shape: nothing of another tenant, and everything of one's own.

The oracle: the same plan without any filter, in a database that holds the tenant's own rows alone. Rows of the other
tenant are mixed in at every level, so a limit that counts before the filter shows as well.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from shapes_models import (
    Base,
    Comment,
    Company,
    Country,
    Manager,
    Node,
    Note,
    Post,
    Scoped,
    Staff,
    Tag,
    User,
    empty,
    graph,
    insert_rows,
    name_of,
    of_tenant_alone,
    post_tags,
    random_rows,
)
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from loadplan import Loader, LoadPlan, load, on

ENTITIES = (Country, User, Post, Note, Tag, Comment, Node, Company, Staff)


@contextlib.contextmanager
def tenant_filter(*, include_aliases: bool) -> Iterator[None]:
    """Every ORM select is of tenant 1 alone, as the documentation of SQLAlchemy writes it."""
    entities = (Scoped,) if include_aliases else ENTITIES

    def listener(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(
                *(
                    with_loader_criteria(each, lambda cls: cls.tenant == 1, include_aliases=include_aliases)
                    for each in entities
                )
            )

    event.listen(Session, "do_orm_execute", listener)
    try:
        yield
    finally:
        event.remove(Session, "do_orm_execute", listener)


PLANS: dict[str, LoadPlan[Any]] = {
    "lateral": LoadPlan(User, load(User.posts, order_by=Post.score, limit=2)),
    "lateral, columns without the tenant": LoadPlan(
        User, load(User.posts, order_by=Post.score, limit=2, only=[Post.title])
    ),
    "lateral, joined and select-in below": LoadPlan(
        User,
        load(
            User.posts,
            load(Post.author, load(User.country)),
            load(Post.comments, load(Comment.author), order_by=Comment.n.desc(), limit=2),
            order_by=Post.score.desc(),
            limit=3,
        ),
    ),
    "window": LoadPlan(User, load(User.notes, limit=2)),
    "window, columns without the tenant": LoadPlan(User, load(User.notes, limit=2, only=[Note.score])),
    "window, joined below": LoadPlan(User, load(User.notes, load(Note.country), limit=3, only=[Note.score])),
    "window of a many-to-many": LoadPlan(Post, load(Post.tags, order_by=Tag.name, limit=2)),
    "window of a many-to-many, columns without the tenant": LoadPlan(
        Post, load(Post.tags, order_by=Tag.name, limit=2, only=[Tag.name])
    ),
    "window ordered by the association": LoadPlan(Post, load(Post.tags, order_by=[post_tags.c.pos, Tag.id])),
    "limit in a limit in a limit": LoadPlan(
        User,
        load(
            User.posts,
            load(Post.tags, load(Tag.posts, order_by=Post.id, limit=2), order_by=Tag.name.desc(), limit=1),
            load(Post.comments, order_by=Comment.n, limit=1),
            order_by=Post.score,
            limit=3,
        ),
    ),
    "select-in, filtered and ordered": LoadPlan(
        User, load(User.posts, load(Post.tags, where=Tag.id > 1), where=Post.score > 0, order_by=Post.title)
    ),
    "to-one, filtered": LoadPlan(
        Comment,
        load(Comment.post, load(Post.author, where=User.name.is_not(None)), where=Post.score > 0),
        load(Comment.author, strategy="selectin", where=User.id > 3),
    ),
    "subquery below a joined to-one": LoadPlan(
        Post, load(Post.author, load(User.notes, strategy="subquery", where=Note.score > 0))
    ),
    "whole tree": LoadPlan(Node, load(Node.kids, depth="all")),
    "whole tree, columns without the tenant": LoadPlan(Node, load(Node.kids, depth="all", only=[Node.rank])),
    "whole tree upwards": LoadPlan(Node, load(Node.parent, depth="all")),
    "whole tree of a many-to-many": LoadPlan(Node, load(Node.friends, depth="all", order_by=Node.rank)),
    "whole tree with a limit": LoadPlan(Node, load(Node.kids, depth="all", order_by=Node.rank, limit=2)),
    "three levels": LoadPlan(Node, load(Node.kids, depth=3, order_by=Node.rank, limit=2)),
    "branch": LoadPlan(Company, load(Company.staff, on(Manager, load(Manager.reports)))),
    "branch below a limit": LoadPlan(
        Company,
        load(Company.staff, on(Manager, load(Manager.reports, order_by=Staff.id.desc(), limit=1)), limit=4),
    ),
    "branch at the root": LoadPlan(Staff, on(Manager, load(Manager.reports, where=Staff.id > 4))),
    "joined collection": LoadPlan(User, load(User.posts, load(Post.tags, strategy="joined"), strategy="joined")),
}


def plain(roots: list[Any]) -> Any:
    """A graph as plain values. What is in a collection counts here; an unordered one has no order to compare."""
    return graph(roots, ordered=False)


async def every_call(loader: Loader, plan: LoadPlan[Any]) -> dict[str, Any]:
    """What each way of fetching a plan brings, as plain values."""
    entity = plan.entity
    whole = await loader.fetch_all(plan, order_by=entity.id)
    first = await loader.fetch_all(plan, order_by=entity.tenant, limit=3, offset=1)
    many = await loader.fetch_many(plan, range(1, 30), missing="skip")
    one = await loader.fetch_or_none(plan, many[0].id)
    forth, back, after, before = [], [], None, None
    while True:
        page = await loader.fetch_page(plan, entity.tenant, 4, after=after)
        forth.append(plain(page.items))
        before, after = page.previous, page.next
        if after is None:
            break
    while before is not None:
        page = await loader.fetch_page(plan, entity.tenant, 4, before=before)
        back.append(plain(page.items))
        before = page.previous
    calls = {"all": plain(whole), "limit": plain(first), "many": plain(many), "one": plain([one])}
    if plan.label != "joined collection":
        calls["stream"] = plain([each async for each in loader.stream(plan, order_by=entity.id, batch_size=100)])
    return calls | {"pages": forth, "pages back": back}


@pytest.mark.parametrize("shape", PLANS)
async def test_a_tenant_sees_its_own_rows_and_no_others(empty_shapes: AsyncEngine, shape: str) -> None:
    plan = LoadPlan(PLANS[shape].entity, *PLANS[shape].loads, name=shape)
    rows = random_rows(3)
    await insert_rows(empty_shapes, of_tenant_alone(rows))
    loader = Loader(empty_shapes)
    expected = await every_call(loader, plan)
    await empty(empty_shapes)
    await insert_rows(empty_shapes, rows)
    for include_aliases in (False, True):
        with tenant_filter(include_aliases=include_aliases):
            found = await every_call(loader, plan)
        for call, what in expected.items():
            assert found[call] == what, (call, include_aliases)
    assert await every_call(loader, plan) != expected, "the filter has something to hide"


@pytest.mark.parametrize("include_aliases", [False, True])
@pytest.mark.parametrize("shape", PLANS)
async def test_no_row_of_another_tenant_even_leaves_the_database(
    shapes: AsyncEngine, shape: str, include_aliases: bool
) -> None:
    """Not one is brought and dropped in Python: hidden rows are no business of this process."""
    strangers: list[Any] = []

    def loaded(entity: Any, _: Any) -> None:
        if entity.__dict__.get("tenant", 1) != 1:
            strangers.append(name_of(entity))

    classes = [mapper.class_ for mapper in Base.registry.mappers]
    for each in classes:
        event.listen(each, "load", loaded)
    try:
        with tenant_filter(include_aliases=include_aliases):
            await Loader(shapes).fetch_all(PLANS[shape])
        assert strangers == []
        await Loader(shapes).fetch_all(PLANS[shape])
        assert strangers != []
    finally:
        for each in classes:
            event.remove(each, "load", loaded)


@pytest.mark.parametrize("include_aliases", [False, True])
async def test_a_filter_on_a_column_that_only_leaves_out_joins_nothing_twice(
    shapes: AsyncEngine, include_aliases: bool
) -> None:
    """The criterion's column is not among the numbered rows; it must not bring the table in a second time."""
    plan = LoadPlan(User, load(User.posts, order_by=Post.score, limit=2, only=[Post.title]))
    with tenant_filter(include_aliases=include_aliases):
        found = await Loader(shapes, max_rows=60).fetch_all(plan, order_by=User.id)
        every = await Loader(shapes).fetch_all(LoadPlan(User, load(User.posts)), order_by=User.id)
    expected = [[each.id for each in sorted(user.posts, key=lambda post: (post.score, post.id))[:2]] for user in every]
    assert [[each.id for each in user.posts] for user in found] == expected


async def test_a_tenant_of_the_moment_is_never_taken_from_the_cache(shapes: AsyncEngine) -> None:
    """One statement text, two tenants: the value is bound anew."""
    current = {"tenant": 0}

    def listener(state: ORMExecuteState) -> None:
        tenant = current["tenant"]
        state.statement = state.statement.options(
            *(with_loader_criteria(each, lambda cls: cls.tenant == tenant) for each in ENTITIES)
        )

    plan = PLANS["limit in a limit in a limit"]
    event.listen(Session, "do_orm_execute", listener)
    try:
        for tenant in (1, 2, 1, 2):
            current["tenant"] = tenant
            found = await Loader(shapes).fetch_all(plan)
            assert {user.tenant for user in found} == {tenant}
            assert {post.tenant for user in found for post in user.posts} == {tenant}
            assert {tag.tenant for user in found for post in user.posts for tag in post.tags} == {tenant}
            assert {each.tenant for user in found for post in user.posts for each in post.comments} == {tenant}
    finally:
        event.remove(Session, "do_orm_execute", listener)
