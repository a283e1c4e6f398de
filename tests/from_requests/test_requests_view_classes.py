"""Narrowed view classes of every library keep the sources, the defaults and the settings of their fields."""

import dataclasses
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import attrs
import msgspec
import pytest
from pydantic import AfterValidator, BaseModel, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from requests_models import Comment, Post, Topic, User
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, ViewError, aggregate, count, exists, keep_default, load, source

Count = Annotated[int, count(Post.comments)]
Discussed = Annotated[bool, exists(Post.comments)]
Last = Annotated[int | None, aggregate(Post.comments, func.max(Comment.id))]
Name = Annotated[str, source(Post.author, User.first_name)]
Texts = Annotated[list[str], source(Post.comments, Comment.text)]
Marked = Annotated[bool, keep_default]


class Model(BaseModel):
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = Field(default_factory=list)


@pydantic_dataclass
class PydanticDataclass:
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = Field(default_factory=list)


@dataclasses.dataclass
class Dataclass:
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = dataclasses.field(default_factory=list)


@attrs.frozen
class Attrs:
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = attrs.Factory(list)


class Struct(msgspec.Struct):
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = msgspec.field(default_factory=list)


class Tuple(NamedTuple):
    id: int
    number: Count
    discussed: Discussed
    last: Last
    name: Name
    texts: Texts
    marked: Marked = False
    marks: Annotated[list[int], keep_default] = []


KINDS = [Model, PydanticDataclass, Dataclass, Attrs, Struct, Tuple]

WHOLE = {
    "id": 11,
    "number": 5,
    "discussed": True,
    "last": 25,
    "name": "Ada",
    "texts": [f"comment {number}" for number in range(21, 26)],
    "marked": False,
    "marks": [],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_field_alone_and_all_together(asked: AsyncEngine, kind: Any) -> None:
    plan = LoadPlan(Post, into=kind, name="narrow")
    for names in ([name] for name in WHOLE):
        found = await Loader(asked).fetch(plan.narrowed_to(names), 11)
        assert {name: getattr(found, name) for name in names} == {name: WHOLE[name] for name in names}
        assert [hasattr(found, name) for name in WHOLE].count(True) == 1
    again = plan.narrowed_to(WHOLE).narrowed_to(["marked", "number"])
    found = await Loader(asked).fetch(again, 11)
    assert (found.marked, found.number) == (False, 5)


@pytest.mark.parametrize("kind", [BaseModel, pydantic_dataclass])
async def test_pydantic_still_converts_and_validates_once(asked: AsyncEngine, kind: Any) -> None:
    calls: list[str] = []

    def seen(value: str) -> str:
        calls.append(value)
        return value

    annotations = {
        "id": Decimal,
        "heading": Annotated[str, source(Post.title), Field(max_length=3)],
        "name": Annotated[Name, AfterValidator(seen)],
    }
    if kind is BaseModel:
        view: Any = type("Card", (BaseModel,), {"__annotations__": annotations})
    else:
        view = kind(type("Card", (), {"__annotations__": annotations}))
    plan = LoadPlan(Post, into=view, name="card")
    card = await Loader(asked).fetch(plan.narrowed_to(["id", "name"]), 11)
    assert (card.id, card.name, calls) == (Decimal(11), "Ada", ["Ada"])
    with pytest.raises(ViewError, match="at most 3 characters"):
        await Loader(asked).fetch(plan.narrowed_to(["heading"]), 11)


@pytest.mark.parametrize("make", [dataclasses.dataclass, attrs.frozen])
async def test_the_default_for_unknown_levels_of_a_tree_stays(asked: AsyncEngine, make: Any) -> None:
    global Folder

    class Folder:
        name: str
        children: "list[Folder] | None" = None

    Folder = make(Folder)  # type: ignore[misc]
    plan = LoadPlan(Topic, load(Topic.children, depth=1), into=Folder, name="top")
    found: Any = await Loader(asked).fetch(plan.narrowed_to(["name", "children"]), 1)
    assert (found.name, [child.name for child in found.children]) == ("all", ["some"])
    assert found.children[0].children is None
