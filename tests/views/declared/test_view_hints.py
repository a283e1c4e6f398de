"""The hints, followed: what each says makes a plan that stands."""

import datetime
import decimal
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from problem_views import BioRef, Hashless, PostRef, SettingRef, TagRef, UserRef, view
from sqlalchemy import func
from staff_models import Chief, Person
from views_models import Comment, Country, Mood, Place, Post, Tag, Topic, User

import loadplan
from loadplan import LoadPlanError, aggregate, count, keep_default, load, on, source

LoadPlan: Any = loadplan.LoadPlan


@attrs.frozen
class Bare:
    id: int
    name: str


@attrs.frozen
class Node:
    id: int
    children: "list[Node]" = attrs.field(factory=list)


@attrs.frozen
class Whole:
    id: int
    children: "list[Whole]"


@attrs.frozen
class Ends:
    id: int


@attrs.frozen
class TwoWays:
    id: int
    children: "tuple[TwoWays, ...]"
    parent: Ends | None = None


@attrs.frozen(unsafe_hash=True)
class Frozen:
    id: int


#: What a message's hint says, done.
MENDED: dict[str, Callable[[], object]] = {
    "LP301 column": lambda: LoadPlan(Post, into=view(subtitle=str | None)),
    "LP301 to-one": lambda: LoadPlan(Post, into=view(editor=UserRef | None)),
    "LP301 one-to-one": lambda: LoadPlan(User, into=view(profile=BioRef | None)),
    "LP301 where": lambda: LoadPlan(Post, load(Post.author, where=User.name == "x"), into=view(author=UserRef | None)),
    "LP301 aggregate": lambda: LoadPlan(
        Post, into=view(n=Annotated[int | None, aggregate(Post.comments, func.max(Comment.score))])
    ),
    "LP301 proxy": lambda: LoadPlan(Post, into=view(editor_name=str | None)),
    "LP302": lambda: LoadPlan(Post, into=view(id=int, published_on=datetime.date, price=decimal.Decimal, mood=Mood)),
    "LP302 composite": lambda: LoadPlan(User, into=view(address=Place)),
    "LP302 key": lambda: LoadPlan(Post, into=view(settings=dict[str, SettingRef])),
    "LP303 near": lambda: LoadPlan(Post, into=view(title=str)),
    "LP303 default": lambda: LoadPlan(Post, into=view(zzz=(Annotated[int, keep_default], 3))),
    "LP303 property": lambda: LoadPlan(Post, into=view(url=Annotated[str, source("/posts/" + Post.title)])),
    "LP303 hybrid method": lambda: LoadPlan(Post, into=view(is_by=Annotated[bool, source(Post.is_by(1))])),
    "LP304 decorated": lambda: LoadPlan(Post, into=view(tags=list[Bare])),
    "LP304 one column": lambda: LoadPlan(Post, into=view(author=Annotated[str, source(Post.author, User.name)])),
    "LP304 columns": lambda: LoadPlan(Post, into=view(tags=Annotated[list[str], source(Post.tags, Tag.name)])),
    "LP304 given in the plan": lambda: LoadPlan(Post, load(Post.tags, into=TagRef), into=view(tags=list)),
    "LP304 one row": lambda: LoadPlan(Tag, into=TagRef),
    "LP305 list": lambda: LoadPlan(Post, into=view(tags=list[TagRef])),
    "LP305 frozen": lambda: LoadPlan(Post, into=view(tags=set[Frozen])),
    "LP305 not a set": lambda: LoadPlan(Post, into=view(tags=list[Hashless])),
    "LP306 one": lambda: LoadPlan(Post, into=view(author=UserRef, editor=UserRef | None)),
    "LP306 counted": lambda: LoadPlan(Post, into=view(tags=Annotated[int, count(Post.tags)])),
    "LP306 tuple": lambda: LoadPlan(Post, into=view(tags=tuple[TagRef, ...])),
    "LP307 called": lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments)])),
    "LP307 wrapped": lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.title)])),
    "LP307 there first": lambda: LoadPlan(
        Post, into=view(n=Annotated[str | None, source(Post.author, User.country, Country.name)])
    ),
    "LP307 by relationship": lambda: LoadPlan(
        Post, into=view(n=Annotated[str, source(Post.author, func.lower(User.name))])
    ),
    "LP307 list": lambda: LoadPlan(Post, into=view(n=Annotated[list[str], source(Post.tags, Tag.name)])),
    "LP307 aggregated": lambda: LoadPlan(
        Post, into=view(n=Annotated[str | None, aggregate(Post.tags, func.max(Tag.name))])
    ),
    "LP308 depth": lambda: LoadPlan(Topic, load(Topic.children, depth=3), into=Node),
    "LP308 all": lambda: LoadPlan(Topic, load(Topic.children, depth="all"), into=Whole),
    "LP308 smaller": lambda: LoadPlan(Topic, load(Topic.children, depth="all"), into=TwoWays),
    "LP309 in the union": lambda: LoadPlan(Person, into=Annotated[Ends, on(Chief)] | Annotated[PostRef, on(Person)]),
    "LP309 in the plan": lambda: LoadPlan(Person, on(Chief, into=Ends), on(Person, into=PostRef), into=Ends | PostRef),
    "LP310 read": lambda: LoadPlan(
        Post, load(Post.comments, where=Comment.approved), into=view(tags=list[TagRef], comments=list[PostRef])
    ),
    "LP310 class of the field": lambda: LoadPlan(
        Post, load(Post.tags, where=Tag.id > 1, into=TagRef), into=view(tags=list[TagRef])
    ),
    "LP310 strategy": lambda: LoadPlan(Post, load(Post.tags, strategy="selectin"), into=view(tags=list[TagRef])),
    "LP310 nested plan": lambda: LoadPlan(
        Post, load(Post.author, LoadPlan(User, into=UserRef)), into=view(author=UserRef)
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_a_hint_mends(name: str) -> None:
    """The plan can be made."""
    try:
        MENDED[name]()
    except LoadPlanError as error:
        pytest.fail(str(error))
