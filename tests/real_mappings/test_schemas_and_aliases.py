"""Response models: what no entity can give is refused, and aliases mean the same for entities and for views."""

from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from real import filled
from sqlalchemy import ForeignKey, func
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, mapped_column, relationship

from loadplan import LoadPlan, PlanError, aggregate, count, exists, keep_default, load, source


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "models_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="author", order_by="Post.id")
    by_slug: Mapped[dict[str, "Post"]] = relationship(collection_class=attribute_keyed_dict("slug"), viewonly=True)


class Post(Base):
    __tablename__ = "models_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    author: Mapped[User] = relationship(back_populates="posts")

    @property
    def slug(self) -> str:
        return f"post {self.id}"


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CountedByName(Out):
    posts: Annotated[int, count(User.posts)]


class Counted(Out):
    post_count: Annotated[int, count(User.posts)]


class Existing(Out):
    has_posts: Annotated[bool, exists(User.posts)]


class Aggregated(Out):
    newest: Annotated[int | None, aggregate(User.posts, func.max(Post.id))]


class Shouting(Out):
    name: Annotated[str, source(func.upper(User.name))]


class Renamed(Out):
    title: Annotated[str, source(User.name)]


class Listed(Out):
    ids: Annotated[list[int], source(User.posts, Post.id)]


class PostOut(Out):
    author: Annotated[str, source(Post.author, User.name)]


class Nested(Out):
    posts: list[PostOut]


@pytest.mark.parametrize(
    ("entity", "model"),
    [
        (User, CountedByName),
        (User, Counted),
        (User, Existing),
        (User, Aggregated),
        (User, Shouting),
        (User, Renamed),
        (User, Listed),
        (Post, PostOut),
        (User, Nested),
    ],
)
def test_what_no_entity_gives_is_refused(entity: Any, model: Any) -> None:
    """``count``, ``exists``, ``aggregate`` and ``source`` are for views: the hint is ``into=``."""
    with pytest.raises(PlanError) as caught:
        LoadPlan.for_schema(entity, model)
    assert "into=" in str(caught.value)
    assert LoadPlan(entity, into=model) is not None


class PostRef(Out):
    id: int


class Plain(Out):
    id: Annotated[int, source(User.id)]
    flag: Annotated[bool, keep_default] = True
    posts: Annotated[list[PostRef], load(User.posts, where=Post.id > 1)]


async def test_what_an_entity_gives_is_taken(engine: AsyncEngine) -> None:
    """A source that names the field's own attribute, a default that stays, a load that shapes its collection."""
    plan = LoadPlan.for_schema(User, Plain)
    async with filled(engine, Base.metadata, User(id=1, name="Ada", posts=[Post(id=1), Post(id=2)])) as loader:
        found = Plain.model_validate(await loader.fetch(plan, 1))
    assert found == Plain(id=1, flag=True, posts=[PostRef(id=2)])


class Aliased(Out):
    user_id: int = Field(validation_alias="id")


class Chosen(Out):
    user_id: int = Field(validation_alias=AliasChoices("uid", "id"))


class AliasedPosts(Out):
    items: list[PostRef] = Field(alias="posts")


class Swapped(Out):
    """Its field has the name of another attribute than the one it is read from."""

    id: int
    name: int = Field(validation_alias="id")


ALIASED = {
    "an alias": (Aliased, {"user_id": 1}),
    "choices": (Chosen, {"user_id": 1}),
    "a relationship": (AliasedPosts, {"items": [{"id": 1}, {"id": 2}]}),
    "another attribute's name": (Swapped, {"id": 1, "name": 1}),
}


@pytest.mark.parametrize("name", ALIASED)
async def test_aliases_are_read_alike(engine: AsyncEngine, name: str) -> None:
    """What pydantic reads from an entity is what a view reads from the database."""
    model, expected = ALIASED[name]
    async with filled(engine, Base.metadata, User(id=1, name="Ada", posts=[Post(id=1), Post(id=2)])) as loader:
        entity = await loader.fetch(LoadPlan.for_schema(User, model), 1)
        assert model.model_validate(entity).model_dump() == expected
        view: Any = await loader.fetch(LoadPlan(User, into=model), 1)
        assert view.model_dump() == expected


class Camel(Out):
    """Read by name or by alias."""

    model_config = ConfigDict(from_attributes=True, alias_generator=to_camel, populate_by_name=True)
    author_id: int


async def test_generated_aliases_are_read_alike(engine: AsyncEngine) -> None:
    """Where the entity has no attribute of the alias, the name serves."""
    async with filled(engine, Base.metadata, User(id=1, name="Ada", posts=[Post(id=1)])) as loader:
        entity = await loader.fetch(LoadPlan.for_schema(Post, Camel), 1)
        view: Any = await loader.fetch(LoadPlan(Post, into=Camel), 1)
        assert Camel.model_validate(entity) == view == Camel(author_id=1)


class FirstAuthor(Out):
    name: str = Field(validation_alias=AliasPath("posts", 0, "author", "name"))


class ByKey(Out):
    name: str = Field(validation_alias=AliasPath("by_slug", "post 2", "author", "name"))


class SecondPost(Out):
    post: PostRef = Field(validation_alias=AliasPath("posts", 1))


class OneOrTheOther(Out):
    """No post has that key, so pydantic goes on to the next path."""

    name: int = Field(
        validation_alias=AliasChoices("nick", AliasPath("by_slug", "?", "id"), AliasPath("posts", 0, "id"))
    )
    id: int


PATHS = {
    "through a list": (FirstAuthor, {"name": "Ada"}),
    "through a dictionary": (ByKey, {"name": "Ada"}),
    "an item": (SecondPost, {"post": {"id": 2}}),
    "one of several": (OneOrTheOther, {"name": 1, "id": 1}),
}


@pytest.mark.parametrize("name", PATHS)
async def test_paths_of_aliases_are_followed(engine: AsyncEngine, name: str) -> None:
    """``AliasPath`` goes through a collection by an index or a key. All that it may read is loaded."""
    model, expected = PATHS[name]
    async with filled(engine, Base.metadata, User(id=1, name="Ada", posts=[Post(id=1), Post(id=2)])) as loader:
        entity = await loader.fetch(LoadPlan.for_schema(User, model), 1)
        assert model.model_validate(entity).model_dump() == expected


class PathThenName(Out):
    name: str = Field(validation_alias=AliasChoices(AliasPath("posts", 0, "author", "name"), "name"))


@pytest.mark.parametrize("model", [FirstAuthor, PathThenName])
def test_a_view_follows_no_path(model: Any) -> None:
    """A view reads columns: it would read another value than pydantic reads of the entity."""
    with pytest.raises(PlanError, match="LP304: the field 'name' has an AliasPath"):
        LoadPlan(User, into=model)


class Lost(Out):
    name: str = Field(validation_alias=AliasPath("posts", 0, "auhtor", "name"))


class CamelAlone(Out):
    model_config = ConfigDict(from_attributes=True, alias_generator=to_camel)
    author_id: int


def test_the_hint_for_an_alias_that_no_entity_has() -> None:
    """A path that leads nowhere is LP303. Of an alias alone, the hint says how pydantic reads the field's name."""
    with pytest.raises(PlanError, match=r"LP303: 'User' has no 'posts\.0\.auhtor\.name' for 'Lost.name'"):
        LoadPlan.for_schema(User, Lost)
    with pytest.raises(PlanError, match=r"reads objects by the alias 'authorId'; set populate_by_name=True"):
        LoadPlan.for_schema(Post, CamelAlone)


@dataclass
class Aged:
    number: int = Field(validation_alias="id")


async def test_dataclasses_of_pydantic_are_read_by_their_aliases(engine: AsyncEngine) -> None:
    """For entities as for views."""
    async with filled(engine, Base.metadata, User(id=1, name="Ada")) as loader:
        entity = await loader.fetch(LoadPlan.for_schema(User, Aged), 1)
        assert entity.id == 1
        assert (await loader.fetch(LoadPlan(User, into=Aged), 1)).number == 1
