"""``LoadPlan.for_schema``: what a response model reads is loaded, all of it and no more."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import attrs
import msgspec
import pytest
from pydantic import BaseModel, RootModel
from schema_models import (
    Aliased,
    Article,
    ArticleOut,
    Base,
    BylineOut,
    Country,
    Film,
    MediaOut,
    Medium,
    Out,
    Section,
    SectionOut,
    Writer,
    WriterOut,
    rows,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load
from support import recording, tables


@pytest.fixture
async def magazine(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(rows())
            await session.commit()
        yield engine


async def read(engine: AsyncEngine, plan: LoadPlan[Any], model: type[BaseModel], id_: int) -> dict[str, Any]:
    """Fetch, then validate: nothing may run in between, and nothing may be missing."""
    entity = await Loader(engine).fetch(plan, id_)
    with recording(engine) as statements:
        found = model.model_validate(entity).model_dump()
    assert statements == []
    return found


async def test_columns_and_a_nested_model(magazine: AsyncEngine) -> None:
    plan = LoadPlan.for_schema(Article, ArticleOut)
    assert await read(magazine, plan, ArticleOut, 11) == {
        "id": 11,
        "title": "title 0",
        "writer": {"id": 1, "last": "Ash"},
    }


async def test_nothing_else_is_loaded(magazine: AsyncEngine) -> None:
    article = await Loader(magazine).fetch(LoadPlan.for_schema(Article, ArticleOut), 11)
    with pytest.raises(NotLoaded):
        _ = article.body
    with pytest.raises(NotLoaded):
        _ = article.writer.diary


def test_it_is_a_plan_like_any_other() -> None:
    by_hand = LoadPlan(
        Article,
        load(Article.writer, only=[Writer.id, Writer.last]),
        only=[Article.id, Article.title],
        name="ArticleOut",
    )
    assert LoadPlan.for_schema(Article, ArticleOut) == by_hand
    assert LoadPlan.for_schema(Article, ArticleOut, name="page").label == "page"


async def test_pydantic_reads_by_aliases_and_paths(magazine: AsyncEngine) -> None:
    plan = LoadPlan.for_schema(Article, Aliased)
    assert await read(magazine, plan, Aliased, 11) == {"headline": "title 0", "text": "body 0", "country": "Sealand"}
    assert await read(magazine, plan, Aliased, 13) == {"headline": "title 2", "text": "body 2", "country": None}


async def test_properties_and_hybrids_find_what_their_code_names(magazine: AsyncEngine) -> None:
    plan = LoadPlan.for_schema(Writer, BylineOut)
    assert await read(magazine, plan, BylineOut, 1) == {
        "full": "Ann Ash",
        "origin": "Sealand",
        "byline": "Ann Ash, Sealand",
    }
    assert (await read(magazine, plan, BylineOut, 2))["byline"] == "Ben Box, nowhere"


async def test_a_tree_comes_whole(magazine: AsyncEngine) -> None:
    found = await read(magazine, LoadPlan.for_schema(Section, SectionOut), SectionOut, 21)
    low = found["children"][0]["children"][0]
    assert (low["title"], low["children"]) == ("low", [])
    assert [article["id"] for article in low["articles"]] == [11, 12]


async def test_a_tree_as_deep_as_a_load_says(magazine: AsyncEngine) -> None:
    plan = LoadPlan.for_schema(Section, SectionOut, load(Section.children, depth=1))
    section = await Loader(magazine).fetch(plan, 21)
    assert [child.title for child in section.children] == ["middle"]
    with pytest.raises(NotLoaded):
        _ = section.children[0].children


async def test_a_union_of_models_loads_what_subclasses_add(magazine: AsyncEngine) -> None:
    found = await read(magazine, LoadPlan.for_schema(Article, MediaOut), MediaOut, 11)
    picture, film = found["media"]
    assert picture == {"kind": "picture", "caption": "a wave", "width": 640}
    assert (film["seconds"], film["studio"].name) == (90, "Sealand")
    assert isinstance(film["studio"], Country)


async def test_an_association_proxy(magazine: AsyncEngine) -> None:
    class Captions(Out):
        captions: list[str]

        @classmethod
        def of(cls, article: Article) -> "Captions":
            return cls(captions=list(article.captions))

    article = await Loader(magazine).fetch(LoadPlan.for_schema(Article, Captions), 11)
    assert Captions.of(article).captions == ["a wave", "a storm"]


async def test_loads_shape_what_the_model_reads_and_add_to_it(magazine: AsyncEngine) -> None:
    class WriterPage(Out):
        last: str
        articles: list[ArticleOut]

    shaped = load(Writer.articles, load(Article.media), where=Article.id > 10, order_by=Article.id.desc(), limit=1)
    plan = LoadPlan.for_schema(Writer, WriterPage, shaped, load(Writer.country))
    writer = await Loader(magazine).fetch(plan, 1)
    assert [article.id for article in writer.articles] == [12]
    assert writer.articles[0].media == []
    assert writer.country is not None
    assert writer.country.name == "Sealand"


async def test_other_kinds_of_models_read_by_name(magazine: AsyncEngine) -> None:
    @attrs.frozen
    class ByAttrs:
        title: str

    @dataclasses.dataclass
    class ByDataclass:
        title: str

    article = await Loader(magazine).fetch(LoadPlan.for_schema(Article, ArticleStruct), 11)
    expected = ArticleStruct("title 0", WriterStruct("Ash"))
    assert msgspec.convert(article, ArticleStruct, from_attributes=True) == expected
    for model in (ByAttrs, ByDataclass):
        assert LoadPlan.for_schema(Article, model) == LoadPlan(Article, only=[Article.title], name=model.__name__)


class WriterStruct(msgspec.Struct):
    last: str


class ArticleStruct(msgspec.Struct):
    title: str
    writer: WriterStruct


def test_a_model_that_leads_back_has_no_end() -> None:
    class Inner(Out):
        articles: "list[Outer]"

    class Outer(Out):
        writer: Inner

    Inner.model_rebuild(_types_namespace={"Outer": Outer})
    with pytest.raises(PlanError) as caught:
        LoadPlan.for_schema(Article, Outer)
    assert str(caught.value) == (
        "LP308: 'Inner.articles' contains 'Outer' again, without an end\n"
        "  at: Outer > writer > articles\n"
        "  hint: use a smaller class for 'Inner.articles', without the field that leads back."
    )


def test_all_that_the_entity_lacks_is_told_at_once() -> None:
    class Wrong(Out):
        titel: str
        writer: "WriterWrong"
        subtitle: str = ""

    class WriterWrong(Out):
        lastt: str

    Wrong.model_rebuild(_types_namespace={"WriterWrong": WriterWrong})
    with pytest.raises(PlanError) as caught:
        LoadPlan.for_schema(Article, Wrong)
    assert [problem.render() for problem in caught.value.problems] == [
        "LP303: 'Article' has no 'titel' for 'Wrong.titel'\n"
        "  at: Wrong > titel\n"
        "  hint: did you mean 'title'? Attributes of Article: body, captions, id, media, section_id, title, writer, "
        "writer_id.",
        "LP303: 'Writer' has no 'lastt' for 'WriterWrong.lastt'\n"
        "  at: Wrong > writer > lastt\n"
        "  hint: did you mean 'last'? Attributes of Writer: articles, country, country_id, diary, first, full, id, "
        "last.",
    ]


def test_a_root_model_is_refused() -> None:
    class Ids(RootModel[list[int]]):
        pass

    with pytest.raises(PlanError, match="'Ids' is a RootModel"):
        LoadPlan.for_schema(Article, Ids)


def test_what_is_no_entity_is_refused() -> None:
    with pytest.raises(PlanError, match="LP200"):
        LoadPlan.for_schema(WriterOut, WriterOut)


def test_the_subclass_a_field_belongs_to_is_found() -> None:
    class Long(Out):
        seconds: int

    plan = LoadPlan.for_schema(Medium, Long)
    assert [branch.entity for branch in plan.loads] == [Film]  # type: ignore[union-attr]
