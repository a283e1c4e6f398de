"""Every call of a loader, on every bind, through both loaders: what it brings, hides, tells and bounds.

A new call of ``Loader`` without a line in the table fails the first test.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import attrs
import pytest
from loader_models import BINDS, POST_PAGE, Author, Comment, Hideable, Post, Tag, bound, listening
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

import loadplan
from loadplan import Explanation, FetchRecord, Loader, LoadPlan, LoadPlanError, count, source
from support import recording


@attrs.frozen
class Card:
    id: int
    tags: Annotated[list[str], source(Post.tags, Tag.name)]
    writer: Annotated[str | None, source(Post.author, Author.name)]
    said: Annotated[int, count(Post.comments)]


PLANS = {"entities": POST_PAGE, "views": LoadPlan(Post, into=Card, name="cards")}
TITLES: LoadPlan[Any] = LoadPlan(Post, only=[Post.title], name="titles")

#: Posts by kind: with all rows, and with those that are left when the marked ones are hidden.
ALL: dict[str, dict[int, Any]] = {
    "entities": {
        11: (11, "Ben", "Ann", [(101, "Ann"), (102, "Cid")], ["red", "blue"]),
        12: (12, "Ben", "Ann", [(103, "Ben")], ["blue"]),
        13: (13, "Cid", "Ann", [], []),
    },
    "views": {
        11: Card(11, ["red", "blue"], "Ben", 2),
        12: Card(12, ["blue"], "Ben", 1),
        13: Card(13, [], "Cid", 0),
    },
}
LEFT: dict[str, dict[int, Any]] = {
    "entities": {11: (11, "Ben", None, [(101, None)], ["red"]), 13: (13, "Cid", None, [], [])},
    "views": {11: Card(11, ["red"], "Ben", 1), 13: Card(13, [], "Cid", 0)},
}


def plain(post: Any) -> Any:
    """Return a post as values; a view is a value already."""
    if not isinstance(post, Post):
        return post
    boss = post.author.boss
    comments = [(each.id, each.author and each.author.name) for each in post.comments]
    return post.id, post.author.name, boss and boss.name, comments, [each.name for each in post.tags]


@attrs.frozen
class Line:
    """One call.

    Attributes:
        run: makes the call of a plan, and returns values.
        found: what comes, of the posts by id that are there.
        foretold: the explanation that says how many statements it takes; None where another test does.
        tells: how many calls ``on_fetch`` is told of, by their plans' names; the plan's own name is "".
        brings: whether rows of the graph come, which ``max_rows`` bounds.
        of_entities: whether it is for plans of entities alone.
        binds: that it works on.
    """

    run: Callable[[Any, LoadPlan[Any]], Awaitable[Any]]
    found: Callable[[dict[int, Any]], Any]
    foretold: Callable[[Any, LoadPlan[Any]], Explanation] | None = None
    tells: tuple[str, ...] = ("",)
    brings: bool = True
    of_entities: bool = False
    binds: tuple[str, ...] = BINDS


async def many(loader: Any, plan: LoadPlan[Any]) -> Any:
    return [plain(each) for each in await loader.fetch_many(plan, [13, 12, 11, 99], missing="skip")]


async def everything(loader: Any, plan: LoadPlan[Any]) -> Any:
    return [plain(each) for each in await loader.fetch_all(plan, order_by=Post.id.desc())]


async def page(loader: Any, plan: LoadPlan[Any]) -> Any:
    found = await loader.fetch_page(plan, Post.id, 1, total="exact")
    return [plain(each) for each in found.items], found.total


async def stream(loader: Any, plan: LoadPlan[Any]) -> Any:
    return [plain(each) async for each in loader.stream(plan, order_by=Post.id, batch_size=1)]


async def batched(loader: Any, plan: LoadPlan[Any]) -> Any:
    if not isinstance(loader, loadplan.Loader):  # there is no event loop whose turn could gather fetches
        return await many(loader, plan)
    one = loader.batched()
    found = await asyncio.gather(*(one.fetch_or_none(plan, each) for each in (13, 12, 11)))
    return [plain(each) for each in found if each is not None]


async def extend(loader: Any, plan: LoadPlan[Any]) -> Any:
    posts = await loader.fetch_all(TITLES, order_by=Post.id)
    extended = await loader.extend(posts, *plan.loads)
    assert all(one is other for one, other in zip(posts, extended, strict=True))
    return [plain(each) for each in extended]


async def explain(loader: Any, plan: LoadPlan[Any]) -> Any:
    return loader.explain(plan).plan == plan.label


async def check(loader: Any, plan: LoadPlan[Any]) -> Any:
    return loader.check(plan)


async def one(loader: Any, plan: LoadPlan[Any]) -> Any:
    return plain(await loader.fetch(plan, 11))


async def one_or_none(loader: Any, plan: LoadPlan[Any]) -> Any:
    return plain(await loader.fetch_or_none(plan, 12))


async def the_one(loader: Any, plan: LoadPlan[Any]) -> Any:
    return plain(await loader.fetch_one(plan, Post.author_id == 2))


async def the_one_or_none(loader: Any, plan: LoadPlan[Any]) -> Any:
    return plain(await loader.fetch_one_or_none(plan, Post.id == 12))


async def attached(loader: Any, plan: LoadPlan[Any]) -> Any:
    return plain(await loader.fetch_attached(plan, 11, refresh=True))


async def number(loader: Any, plan: LoadPlan[Any]) -> Any:
    return await loader.count(plan, Post.id > 11)


async def any_there(loader: Any, plan: LoadPlan[Any]) -> Any:
    return await loader.exists(plan, Post.id == 12)


async def analyzed(loader: Any, plan: LoadPlan[Any]) -> Any:
    return (await loader.analyze(plan, 12)).statements[0].rows


async def learned(loader: Any, plan: LoadPlan[Any]) -> Any:
    """MariaDB makes an index for each foreign key, which the mapping does not name."""
    found = await loader.learn_indexes(plan)
    return {column for each in found for column in each.columns} <= {"author_id", "boss_id", "post_id", "tag_id"}


CALLS: dict[str, Line] = {
    "fetch": Line(one, lambda there: there[11], lambda loader, plan: loader.explain(plan)),
    "fetch_or_none": Line(one_or_none, lambda there: there.get(12), lambda loader, plan: loader.explain(plan)),
    "fetch_many": Line(many, lambda there: [there[each] for each in (13, 12, 11) if each in there]),
    # two posts are Ben's: LP403 says so, unless one of them is hidden
    "fetch_one": Line(the_one, lambda there: "LP403" if 12 in there else there[11]),
    "fetch_one_or_none": Line(the_one_or_none, lambda there: there.get(12)),
    "fetch_all": Line(
        everything,
        lambda there: [there[each] for each in (13, 12, 11) if each in there],
        lambda loader, plan: loader.explain(plan, roots=None),
    ),
    "fetch_page": Line(
        page, lambda there: ([there[11]], len(there)), lambda loader, plan: loader.explain(plan, roots=1, total="exact")
    ),
    "stream": Line(stream, lambda there: list(there.values())),
    "count": Line(
        number, lambda there: len(there) - 1, lambda loader, plan: loader.explain(plan, call="count"), brings=False
    ),
    "exists": Line(
        any_there, lambda there: 12 in there, lambda loader, plan: loader.explain(plan, call="exists"), brings=False
    ),
    "batched": Line(batched, lambda there: [there[each] for each in (13, 12, 11) if each in there]),
    "fetch_attached": Line(
        attached,
        lambda there: there[11],
        lambda loader, plan: loader.explain(plan),
        of_entities=True,
        binds=("session",),
    ),
    "extend": Line(extend, lambda there: list(there.values()), tells=("titles", "extend(Post)"), of_entities=True),
    "explain": Line(explain, lambda _: True, tells=(), brings=False),
    "analyze": Line(analyzed, lambda there: int(12 in there), tells=(), brings=False),
    "learn_indexes": Line(learned, lambda _: True, tells=(), brings=False),
    "check": Line(check, lambda _: None, tells=(), brings=False),
}


@pytest.mark.asynchronous
def test_the_table_has_every_call() -> None:
    assert set(CALLS) == {name for name in dir(loadplan.Loader) if not name.startswith("_")}


def hide(state: ORMExecuteState) -> None:
    """Hide the marked rows, as an application hides those of other tenants."""
    if state.is_select:
        criteria = with_loader_criteria(Hideable, lambda cls: cls.hidden.is_(False), include_aliases=True)
        state.statement = state.statement.options(criteria)


async def outcome(line: Line, loader: Any, plan: LoadPlan[Any]) -> Any:
    """Return what a call brings, or the code of its error."""
    try:
        return await line.run(loader, plan)
    except LoadPlanError as error:
        return error.code


@pytest.mark.parametrize("of", PLANS)
@pytest.mark.parametrize("kind", BINDS)
async def test_every_call(blog: AsyncEngine, kind: str, of: str) -> None:
    async with blog.begin() as connection:
        for entity, key in ((Post, 12), (Comment, 102), (Author, 1), (Tag, 2)):
            await connection.execute(update(entity).where(entity.id == key).values(hidden=True))
    plan = PLANS[of]
    records: list[FetchRecord] = []
    async with bound(kind, blog) as bind:
        loader = Loader(bind, on_fetch=records.append, max_rows=1_000)
        for name, line in CALLS.items():
            if line.of_entities and of != "entities":
                continue
            works = kind in line.binds
            records.clear()
            with recording(blog) as statements:
                found = await outcome(line, loader, plan)
            assert found == (line.found(ALL[of]) if works else "LP408"), name
            if works:
                assert [each.plan for each in records] == [each or plan.label for each in line.tells], name
                if line.tells:
                    assert sum(each.statements for each in records) == len(statements.selects), name
                    assert all(each.error is None for each in records), name
                if line.foretold is not None:
                    assert len(statements.selects) == line.foretold(loader, plan).statements, name
            with listening(Session, "do_orm_execute", hide):
                for again in range(3):  # a statement that comes again may take a shorter way
                    found = await outcome(line, loader, plan)
                    assert found == (line.found(LEFT[of]) if works else "LP408"), (name, again)
            bounded = await outcome(line, Loader(bind, max_rows=0), plan)
            if works:
                assert bounded == ("LP406" if line.brings else line.found(ALL[of])), name
