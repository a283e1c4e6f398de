"""``Page[...]`` is the answer of a web service as it is: pydantic, FastAPI and Litestar read it and describe it."""

import dataclasses
import subprocess
import sys
from typing import Any

import attrs
import httpx
import litestar
import pytest
from fastapi import FastAPI
from litestar import Litestar
from pydantic import BaseModel, TypeAdapter, ValidationError

from loadplan import Page


@attrs.frozen
class AttrsTag:
    id: int
    name: str


@attrs.frozen
class AttrsCard:
    id: int
    title: str
    tag: AttrsTag | None = None
    tags: list[AttrsTag] = attrs.field(factory=list)
    below: "list[AttrsCard]" = attrs.field(factory=list)


@dataclasses.dataclass(frozen=True)
class DataclassCard:
    id: int
    title: str


class PydanticCard(BaseModel):
    id: int
    title: str


ITEMS: dict[Any, Any] = {
    AttrsCard: AttrsCard(1, "one", AttrsTag(2, "red"), [AttrsTag(3, "blue")], [AttrsCard(4, "below")]),
    DataclassCard: DataclassCard(1, "one"),
    PydanticCard: PydanticCard(id=1, title="one"),
}
try:
    import msgspec
except ImportError:  # pragma: no cover - litestar brings it
    pass
else:

    class MsgspecCard(msgspec.Struct, rename="camel"):
        id: int
        title: str
        tag_names: list[str] = msgspec.field(default_factory=list)

    ITEMS[MsgspecCard] = MsgspecCard(1, "one", ["red"])

EVERY_ITEM = pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.__name__)


def shown(item: Any) -> dict[str, Any]:
    """What an item is in an answer."""
    found: dict[str, Any] = {"id": 1, "title": "one"}
    if item is AttrsCard:
        below = {"id": 4, "title": "below", "tag": None, "tags": [], "below": []}
        found |= {"tag": {"id": 2, "name": "red"}, "tags": [{"id": 3, "name": "blue"}], "below": [below]}
    if item.__name__ == "MsgspecCard":
        found["tagNames"] = ["red"]
    return found


@EVERY_ITEM
def test_pydantic_takes_a_page_as_it_is_and_gives_it_back(item: Any) -> None:
    page = Page([ITEMS[item]], "after", None, 7)
    adapter: TypeAdapter[Page[Any]] = TypeAdapter(Page[item])
    assert adapter.validate_python(page) is page
    answer = {"items": [shown(item)], "next": "after", "previous": None, "total": 7}
    assert adapter.dump_python(page, mode="json", by_alias=True) == answer
    assert adapter.validate_python(answer) == page
    assert adapter.validate_json(adapter.dump_json(page, by_alias=True)) == page
    with pytest.raises(ValidationError):
        adapter.validate_python({"items": [{"id": "x"}], "next": None, "previous": None})


def test_a_page_within_a_model() -> None:
    class Answer(BaseModel):
        cards: Page[AttrsCard]

    answer = Answer(cards=Page([AttrsCard(1, "one")], None, None))
    assert answer.model_dump()["cards"]["items"][0]["title"] == "one"
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


@EVERY_ITEM
async def test_fastapi(item: Any) -> None:
    app = FastAPI()

    async def cards() -> Any:
        return Page([ITEMS[item]], "after", None, 7)

    app.get("/cards", response_model=Page[item])(cards)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/cards")
        schema = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert answer.json() == {"items": [shown(item)], "next": "after", "previous": None, "total": 7}
    page = schema[f"Page_{item.__name__}_"]
    assert page["properties"]["items"]["items"] == {"$ref": f"#/components/schemas/{item.__name__}"}
    assert page["required"] == ["items", "next", "previous"]
    assert set(shown(item)) == set(schema[item.__name__]["properties"])


@EVERY_ITEM
async def test_litestar(item: Any) -> None:
    async def cards() -> Any:
        return Page([ITEMS[item]], "after", None, 7)

    cards.__annotations__["return"] = Page[item]
    app = Litestar([litestar.get("/cards")(cards)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/cards")
        schemas = (await client.get("/schema/openapi.json")).json()["components"]["schemas"]
    assert answer.json() == {"items": [shown(item)], "next": "after", "previous": None, "total": 7}
    page = next(schema for name, schema in schemas.items() if name.startswith("Page"))
    assert set(page["properties"]) == {"items", "next", "previous", "total"}
    card = page["properties"]["items"]["items"]["$ref"].rpartition("/")[2]
    assert set(schemas[card]["properties"]) == set(shown(item))


def test_nobody_who_has_no_pydantic_needs_it() -> None:
    code = "import sys, loadplan; loadplan.Page[int]; assert not {'pydantic', 'msgspec'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - it is our own
