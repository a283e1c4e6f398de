"""Views and what is annotated to them as values: compared, hashed, printed as the code that built them."""

from typing import Annotated, Any, Generic, TypeVar, Union

import attrs
import pytest
from sqlalchemy import bindparam, func
from staff_models import Chief, Person
from views_models import Comment, Country, Post, Tag, User

from loadplan import LoadPlan, aggregate, count, exists, keep_default, load, on, source

T = TypeVar("T")


@attrs.frozen
class TagRef:
    id: int


@attrs.frozen
class Card(Generic[T]):
    id: int
    tags: list[T]


@attrs.frozen
class PersonRef:
    id: int


@attrs.frozen
class ChiefRef:
    id: int


#: The code, by what it must print.
PRINTED: dict[str, Any] = {
    "count(Post.comments)": count(Post.comments),
    "count(Post.comments, where=Comment.approved)": count(Post.comments, where=Comment.approved),
    "count(Post.comments, where=[Comment.approved, Comment.score > 3])": count(
        Post.comments, where=[Comment.approved, Comment.score > 3]
    ),
    "exists(Post.editor)": exists(Post.editor),
    "aggregate(Post.comments, func.max(Comment.score))": aggregate(Post.comments, func.max(Comment.score)),
    "aggregate(Post.comments, func.coalesce(func.sum(Comment.score), 0), where=Comment.score > 3)": aggregate(
        Post.comments, func.coalesce(func.sum(Comment.score), 0), where=Comment.score > 3
    ),
    "source(Post.author, User.country, Country.name)": source(Post.author, User.country, Country.name),
    "source(Post.author, count(User.posts))": source(Post.author, count(User.posts)),
    "source(func.upper(Post.title))": source(func.upper(Post.title)),
    "keep_default": keep_default,
    "LoadPlan(Post, into=Card[TagRef])": LoadPlan(Post, into=Card[TagRef]),
    "LoadPlan(Post, load(Post.tags, where=Tag.id > bindparam('least'), into=TagRef), into=Card[TagRef], name='x')": (
        LoadPlan(Post, load(Post.tags, where=Tag.id > bindparam("least"), into=TagRef), into=Card[TagRef], name="x")
    ),
    "LoadPlan(Person, on(Chief, into=ChiefRef), on(Person, into=PersonRef), into=ChiefRef | PersonRef)": LoadPlan(
        Person, on(Chief, into=ChiefRef), on(Person, into=PersonRef), into=ChiefRef | PersonRef
    ),
    "LoadPlan(Person, into=Annotated[ChiefRef, on(Chief)] | Annotated[PersonRef, on(Person)])": LoadPlan(
        Person,
        into=Union[Annotated[ChiefRef, on(Chief)], Annotated[PersonRef, on(Person)]],  # type: ignore[arg-type]  # noqa: UP007
    ),
}


@pytest.mark.parametrize("code", PRINTED)
def test_prints_the_code_that_built_it(code: str) -> None:
    """And that code builds an equal value."""
    value = PRINTED[code]
    assert repr(value) == code
    again = eval(code, {**globals()})  # noqa: S307 - it is written above
    assert (again == value, hash(again) == hash(value)) == (True, True)


def test_what_differs_is_not_equal() -> None:
    """No two of those that are printed above are."""
    values = list(PRINTED.values())
    assert all((one == another) is (one is another) for one in values for another in values)
    assert len(set(values)) == len(values)


def test_expressions_that_sqlalchemy_cannot_compare() -> None:
    """``Annotated`` compares what stands in it with what stood in others, for its cache."""
    one, another = func.lower(User.name), func.upper(Post.title)
    with pytest.raises(AttributeError, match="__visit_name__"):  # the day it does not, compare() can serve again
        one.compare(another)
    assert source(one) != source(another)
    assert source(one) == source(func.lower(User.name))
    assert source(Post.id + 1) != source(Post.id + 2)
    assert Annotated[str, source(one)] != Annotated[str, source(another)]


def test_labels() -> None:
    """A plan is called by its class, however that is written."""
    assert LoadPlan(Post, into=Card[TagRef]).label == "Card[TagRef]"
    assert LoadPlan(Person, on(Chief, into=ChiefRef), on(Person, into=PersonRef), into=ChiefRef | PersonRef).label == (
        "ChiefRef | PersonRef"
    )
