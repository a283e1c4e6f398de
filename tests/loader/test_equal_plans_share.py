"""Equal plans share what was compiled, whoever made them; plans that differ in a value do not."""

import gc
import linecache
import weakref
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest
from loader_models import Author, Post
from sqlalchemy import JSON, ColumnElement, ForeignKey, Integer, String, bindparam, cast, func, literal, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column, registry, relationship

from loadplan import Loader, LoadPlan, ParameterError, load
from loadplan.resolved.sharing import MOST_PLANS, fingerprint
from loadplan.running.plans import compile_plan

pytestmark = pytest.mark.asynchronous

DIALECT = postgresql.dialect()


@attrs.frozen
class PostCard:
    id: int
    title: str


def generated() -> int:
    """Return how many modules of generated functions there are: one for each plan, dialect and number of roots."""
    return sum(name.startswith("<loadplan") for name in linecache.cache)


def entities(after: Any = 3) -> LoadPlan[Author]:
    return LoadPlan(Author, load(Author.posts, load(Post.comments), where=Post.id > after), name="authors by request")


def views() -> LoadPlan[PostCard]:
    return LoadPlan(Post, into=PostCard, name="cards by request")


@pytest.mark.parametrize("build", [entities, views])
async def test_a_plan_built_in_a_handler_is_compiled_once(blog: AsyncEngine, build: Callable[[], Any]) -> None:
    loader = Loader(blog)
    await loader.fetch_or_none(build(), 1)
    before = generated()
    found = [await loader.fetch_or_none(build(), 1) for _ in range(5)]
    assert generated() == before
    assert len({None if each is None else each.id for each in found}) == 1


@pytest.mark.parametrize("build", [entities, views])
def test_equal_plans_have_one_compiled_form(build: Callable[[], Any]) -> None:
    assert build() is not build()
    assert compile_plan(build(), DIALECT) is compile_plan(build(), DIALECT)


class Stranger:
    """No value of SQL, and not to be hashed."""

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (Post.id > 3, Post.id > 4),
        (Post.id > 3, Post.id > 3.0),
        (Post.id > Decimal("1.0"), Post.id > Decimal("1.00")),
        (Post.id.in_([1, 2]), Post.id.in_([1, 3])),
        (Post.id.in_([1, 2]), Post.id.in_([1, 2, 2])),
        (func.abs(Post.id) > literal(1), func.abs(Post.id) > literal(True)),
        (Post.id > bindparam("after"), Post.id > bindparam("after", None)),
        (Post.id > bindparam("after"), Post.id > bindparam("before")),
        (Post.id > bindparam("after", callable_=lambda: 1), Post.id > bindparam("after", callable_=lambda: 2)),
        (Post.title == "a", Post.title == "b"),
        (Post.id > 3, Post.id >= 3),
        (text("posts.id > 3"), text("posts.id > 4")),
    ],
)
def test_conditions_with_other_values_are_other_plans(one: ColumnElement[bool], another: ColumnElement[bool]) -> None:
    def compiled(condition: ColumnElement[bool]) -> Any:
        return compile_plan(LoadPlan(Author, load(Author.posts, where=condition)), DIALECT)

    assert compiled(one) is not compiled(another)


@pytest.mark.parametrize(
    "another",
    [
        LoadPlan(Author, load(Author.posts), name="another name"),
        LoadPlan(Author, load(Author.posts, limit=1)),
        LoadPlan(Author, load(Author.posts, order_by=Post.title)),
        LoadPlan(Author, load(Author.posts, only=[Post.title])),
        LoadPlan(Author, load(Author.posts.and_(Post.id > 1))),
        LoadPlan(Author, load(Author.posts, strategy="subquery")),
        LoadPlan(Author, load(Author.posts, load(Post.comments))),
        LoadPlan(Author, load(Author.reports)),
        LoadPlan(Author, only=[Author.id]),
    ],
    ids=repr,
)
def test_plans_that_say_something_else_are_compiled_for_themselves(another: LoadPlan[Any]) -> None:
    assert compile_plan(LoadPlan(Author, load(Author.posts)), DIALECT) is not compile_plan(another, DIALECT)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (literal(1, JSON), literal(True, JSON)),
        (literal(1, JSON), literal(1.0, JSON)),
        (literal({"a": 1}, JSON), literal({"a": True}, JSON)),
        (bindparam("after"), bindparam("after", None)),
        (bindparam("after", callable_=lambda: 1), bindparam("after", callable_=lambda: 2)),
    ],
)
def test_values_that_only_python_takes_for_equal_make_other_plans(one: Any, another: Any) -> None:
    def plan(value: Any) -> LoadPlan[Any]:
        return LoadPlan(Author, load(Author.posts, where=Post.title == cast(value, String)))

    assert plan(one) == plan(one)
    assert plan(one) != plan(another)


async def test_a_parameter_of_the_roots_has_its_own_default(blog: AsyncEngine) -> None:
    loader, plan = Loader(blog), LoadPlan(Post)

    def after(value: Any) -> ColumnElement[bool]:
        return Post.id > bindparam("after", value, type_=Integer)

    ids = [each.id for each in await loader.fetch_all(plan, order_by=Post.id)]
    for value in (ids[0], ids[1], ids[0], ids[-1]):
        expected = [each for each in ids if each > value]
        assert [each.id for each in await loader.fetch_all(plan, after(value), Post.id)] == expected
        assert await loader.count(plan, after(value)) == len(expected)
        assert await loader.exists(plan, after(value)) is bool(expected)
        by_call = Post.id > bindparam("by_call", callable_=lambda value=value: value, type_=Integer)
        assert [each.id for each in await loader.fetch_all(plan, by_call, Post.id)] == expected
    with pytest.raises(ParameterError):
        await loader.fetch_all(plan, Post.id > bindparam("after", type_=Integer))
    given = await loader.fetch_all(plan, after(ids[0]), params={"after": ids[-1]})
    assert given == []


def test_a_plan_of_strange_values_is_alone() -> None:
    """What nobody can compare is not shared, and raises nothing of its own."""
    assert fingerprint(LoadPlan(Author, load(Author.posts, where=Post.id > bindparam("n", Stranger())))) is None
    assert fingerprint(LoadPlan(Author, load(Author.posts, where=Post.id.in_([[1], [2]])))) is not None


def test_a_list_that_changes_later_changes_no_other_plan() -> None:
    ids = [1, 2]
    compiled = compile_plan(LoadPlan(Author, load(Author.posts, where=Post.id.in_(ids))), DIALECT)
    ids.append(3)
    assert compile_plan(LoadPlan(Author, load(Author.posts, where=Post.id.in_([1, 2, 3]))), DIALECT) is not compiled


def test_as_many_plans_are_remembered_as_there_is_room_for() -> None:
    """The last that were asked for; the others are freed, with all that was made of them."""
    first = compile_plan(entities(-1), DIALECT)
    assert compile_plan(entities(-1), DIALECT) is first
    gone = weakref.ref(first)
    del first
    for number in range(MOST_PLANS + 1):
        compile_plan(entities(1000 + number), DIALECT)
    gc.collect()
    assert gone() is None


def test_plans_go_with_their_class() -> None:
    reg = registry()

    @reg.mapped
    class Room:
        __tablename__ = "shared_rooms"
        id: Mapped[int] = mapped_column(primary_key=True)
        house_id: Mapped[int] = mapped_column(ForeignKey("shared_houses.id"))

    @reg.mapped
    class House:
        __tablename__ = "shared_houses"
        id: Mapped[int] = mapped_column(primary_key=True)
        rooms: Mapped[list[Room]] = relationship(Room)

    gone = weakref.ref(compile_plan(LoadPlan(House, load(House.rooms)), DIALECT))
    assert gone() is not None
    reg.dispose()
    del House, Room, reg
    gc.collect()
    assert gone() is None
