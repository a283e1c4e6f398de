"""Views to be wrong with."""

from typing import Any

import attrs
import pydantic


@attrs.frozen
class TagRef:
    id: int
    name: str


@attrs.frozen
class UserRef:
    id: int
    name: str


@attrs.frozen
class BioRef:
    bio: str


@attrs.frozen
class SettingRef:
    value: str


@attrs.frozen
class PostRef:
    id: int


@attrs.define
class Hashless:
    id: int


class Bare:
    id: int
    name: str


class TagList(pydantic.RootModel[list[int]]):
    pass


class Later(pydantic.BaseModel):
    author: "NotThere"  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class Forward:
    author: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class Node:
    id: int
    children: "list[Node]"


@attrs.frozen
class TwoWays:
    id: int
    children: "tuple[TwoWays, ...]"
    parent: "TwoWays | None" = None


def view(**fields: Any) -> Any:
    """A frozen class of attrs named Card; a pair is an annotation and a default."""
    return attrs.make_class(
        "Card",
        {
            name: attrs.field(type=each[0], default=each[1]) if isinstance(each, tuple) else attrs.field(type=each)
            for name, each in fields.items()
        },
        frozen=True,
    )


#: What a hint lists.
OF_POST = (
    "author, author_id, author_name, body, comments, editor, editor_id, editor_name, "
    "headline, id, loud_title, mood, price, published_on, "
    "settings, subtitle, tag_names, tags, title, title_length, writer"
)
