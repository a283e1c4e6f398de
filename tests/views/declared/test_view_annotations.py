"""How an annotation may be written: as text, in generics, by aliases, by ``type`` statements."""

import datetime
import sys
from types import ModuleType
from typing import Annotated, Any, Generic, Optional, TypeAlias, TypeVar, Union

import attrs
import future_views
import pydantic
import pytest
from future_views import FutureCard, FutureData, FutureDefault, FutureModel, FutureTag, FutureUser, OnlyForCheckers
from pydantic import BaseModel, Field
from views_models import Comment, Post, Tag, User

from loadplan import Loader, LoadPlan, PlanError, count, load, source

T = TypeVar("T")
U = TypeVar("U")


async def test_annotations_as_text(blog: Loader) -> None:
    """``from __future__ import annotations`` with every kind of class."""
    found = await blog.fetch(LoadPlan(Post, into=FutureCard), 1)
    assert found.items == [FutureTag(1, "red"), FutureTag(2, "blue")]
    assert (found.date, found.author, found.count) == (datetime.date(2026, 1, 1), FutureUser(1), 2)
    assert found.comments == [FutureModel(text="good"), FutureModel(text="bad"), FutureModel(text="fine")]
    assert (await blog.fetch(LoadPlan(Post, into=FutureData[FutureTag]), 2)).items == []


async def test_a_field_with_the_name_of_a_module(small_blog: Loader) -> None:
    """The name in the annotation is the module's, not the field's default."""
    plan = LoadPlan(Post, into=FutureDefault)
    assert await small_blog.fetch(plan, 1) == FutureDefault(datetime.date(2026, 1, 1))


def test_names_for_type_checkers_alone() -> None:
    """Run time does not have them."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=OnlyForCheckers)
    assert str(caught.value) == (
        "LP304: an annotation of 'OnlyForCheckers' uses 'decimal', but its module does not define it\n"
        "  at: OnlyForCheckers\n"
        "  hint: define or import 'decimal' at the top of 'future_views', not inside a function or under "
        "TYPE_CHECKING."
    )
    assert not hasattr(future_views, "decimal")


@attrs.frozen
class Ref(Generic[T]):
    id: T


@attrs.frozen
class Pair(Generic[T, U]):
    author: T
    tags: list[U]


@attrs.frozen
class Swapped(Pair[U, T], Generic[T, U]):
    editor: Optional[T]  # noqa: UP045


Alias: TypeAlias = Union[Ref[int], None]  # noqa: UP007


@attrs.frozen
class Spelled:
    author: Annotated[Ref[int], "noted"]
    editor: Alias
    subtitle: "Optional[Annotated[str, 'noted']]"  # noqa: UP045
    words: Annotated[Annotated[int, count(Post.comments)], "twice"]
    approved: Annotated[int | None, count(Post.comments, where=Comment.approved)]
    inner: Optional[Annotated[str, source(Post.author, User.name)]]  # noqa: UP045


async def test_spellings(blog: Loader) -> None:
    """Nested ``Annotated``, ``Optional``, aliases, generics with swapped variables."""
    found = await blog.fetch(LoadPlan(Post, into=Spelled), 1)
    assert found == Spelled(Ref(1), Ref(2), "first", 3, 2, "ann")
    swapped = await blog.fetch(LoadPlan(Post, into=Swapped[Ref[int], FutureUser]), 1)
    assert swapped == Swapped(FutureUser(1), [Ref(1), Ref(2)], Ref(2))


@attrs.frozen
class TwoGenerics:
    ids: Annotated[list[Ref[int]], source(Post.tags)]
    tags: list[FutureTag]


async def test_loads_tell_generic_classes_apart(small_blog: Loader) -> None:
    """``into=Ref[int]`` is for the field of that class."""
    plan = LoadPlan(
        Post,
        load(Post.tags, where=Tag.id > 1, into=Ref[int]),
        load(Post.tags, where=Tag.id < 2, into=FutureTag),
        into=TwoGenerics,
    )
    assert await small_blog.fetch(plan, 1) == TwoGenerics([Ref(2)], [FutureTag(1, "red")])


class Bounded(BaseModel):
    id: Annotated[int, Field(gt=0)] | None
    title: Annotated[str, pydantic.StringConstraints(max_length=20)]


async def test_constraints_of_pydantic(small_blog: Loader) -> None:
    """They are nobody's source."""
    assert await small_blog.fetch(LoadPlan(Post, into=Bounded), 2) == Bounded(id=2, title="two")


STATEMENTS = """
import attrs
from future_views import FutureTag, FutureUser

type Many[T] = list[T]
type Maybe = FutureUser | None

@attrs.frozen
class Card[T]:
    tags: Many[T]
    editor: Maybe
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax came with Python 3.12")
async def test_type_statements(small_blog: Loader) -> None:
    """``type X = ...`` and ``class Card[T]``."""
    module: Any = ModuleType("type_statements")
    sys.modules["type_statements"] = module
    exec(STATEMENTS, module.__dict__)  # noqa: S102
    found = await small_blog.fetch(LoadPlan(Post, into=module.Card[FutureTag]), 1)
    assert found == module.Card([FutureTag(1, "red"), FutureTag(2, "blue")], FutureUser(2))
