"""Views whose annotations are text until somebody asks."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Annotated, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
from views_models import Comment, Post, Tag

from loadplan import count, source

if TYPE_CHECKING:
    import decimal

T = TypeVar("T")


class FutureTag(NamedTuple):
    id: int
    name: Annotated[str, source(Tag.name)]


class FutureUser(msgspec.Struct):
    id: int


class FutureModel(pydantic.BaseModel):
    text: str


@dataclasses.dataclass
class FutureData(Generic[T]):
    items: Annotated[list[T], source(Post.tags)]


@attrs.frozen
class FutureBase(Generic[T]):
    items: Annotated[list[T], source(Post.tags)]


@attrs.frozen
class FutureCard(FutureBase[FutureTag]):
    date: Annotated[datetime.date | None, source(Post.published_on)]
    author: FutureUser
    comments: list[FutureModel]
    count: Annotated[int, count(Post.comments, where=Comment.approved)]


@dataclasses.dataclass
class FutureDefault:
    datetime: Annotated[datetime.date | None, source(Post.published_on)] = None


@attrs.frozen
class OnlyForCheckers:
    price: decimal.Decimal
