"""Every kind of class that a view can be: its fields found, its objects built."""

import dataclasses
import enum
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from views_models import Mood, Post, Tag, User

from loadplan import Loader, LoadPlan, PlanError, ViewError, keep_default, source

T = TypeVar("T")


# --- attrs ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class AttrsTag:
    id: int
    name: str


@attrs.frozen
class AttrsUser:
    id: int
    name: str


@attrs.define(slots=False)
class AttrsPost:
    limit: ClassVar[int] = 7
    id: int
    author: AttrsUser
    tags: tuple[AttrsTag, ...]
    title: str = attrs.field(converter=str.upper, validator=attrs.validators.max_len(10))
    headline: str = attrs.field(kw_only=True, alias="head")
    note: Annotated[str, keep_default] = "none"
    words: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.words = len(self.title)


async def test_attrs(blog: Loader) -> None:
    """Aliases, converters, validators, defaults, keyword-only fields and fields out of the constructor."""
    found = await blog.fetch(LoadPlan(Post, into=AttrsPost), 1)
    assert found == AttrsPost(1, AttrsUser(1, "ann"), (AttrsTag(1, "red"), AttrsTag(2, "blue")), "one", head="one")
    assert (found.title, found.words, found.note) == ("ONE", 3, "none")


@attrs.frozen
class AttrsPrivate:
    _id: Annotated[int, source(Post.id)]
    title: str


async def test_attrs_private_field(small_blog: Loader) -> None:
    """A field ``_id`` is the constructor's ``id``."""
    assert await small_blog.fetch(LoadPlan(Post, into=AttrsPrivate), 2) == AttrsPrivate(2, "two")


@attrs.frozen
class AttrsBase(Generic[T]):
    id: int
    author: T


@attrs.frozen
class AttrsChild(AttrsBase[AttrsUser]):
    title: str


async def test_attrs_inheritance(small_blog: Loader) -> None:
    """Inherited fields come first, with what stands for the type variable of a base."""
    assert await small_blog.fetch(LoadPlan(Post, into=AttrsChild), 1) == AttrsChild(1, AttrsUser(1, "ann"), "one")
    plan = LoadPlan(Post, into=AttrsBase[AttrsUser])
    assert await small_blog.fetch(plan, 1) == AttrsBase(1, AttrsUser(1, "ann"))


@attrs.define
class AttrsOwnInit:
    title: str
    id: int

    def __init__(self, id: int, title: str, loud: bool = False) -> None:  # noqa: A002
        self.__attrs_init__(title.upper(), id)


async def test_attrs_own_init(small_blog: Loader) -> None:
    """A constructor of the class's own gets the fields by name."""
    assert await small_blog.fetch(LoadPlan(Post, into=AttrsOwnInit), 1) == AttrsOwnInit(1, "one")


@attrs.define
class AttrsOtherInit:
    id: int
    title: str

    def __init__(self, key: int, title: str) -> None:
        self.__attrs_init__(key, title)


@dataclasses.dataclass
class DataOtherInit:
    id: int

    def __init__(self, id: int, more: str) -> None:  # noqa: A002
        self.id = id


@pytest.mark.parametrize(("view", "parameter"), [(AttrsOtherInit, "id"), (DataOtherInit, "more")])
def test_own_init_that_fields_cannot_fill(view: Any, parameter: str) -> None:
    """A constructor that does not take the fields is found when the plan is made."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    what = "does not take 'id'" if parameter == "id" else "needs 'more', which is not a field"
    assert str(caught.value) == (
        f"LP304: the __init__ of '{view.__name__}' {what}\n"
        f"  at: {view.__name__}\n"
        "  hint: remove __init__, or let it take each field by its name and nothing else."
    )


@attrs.frozen
class AttrsStrict:
    id: int
    title: str = attrs.field(validator=attrs.validators.max_len(3))


async def test_a_validator_that_refuses(small_blog: Loader) -> None:
    """What the class raises is told with the row's key, and kept as the cause."""
    with pytest.raises(ViewError) as caught:
        await small_blog.fetch_all(LoadPlan(Post, into=AttrsStrict), order_by=Post.id)
    assert str(caught.value).startswith(
        "LP411: no view could be built from the row of 'Post' with id=3\n  at: AttrsStrict\n  detail: ValueError: "
    )
    assert isinstance(caught.value.__cause__, ValueError)


# --- dataclasses ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class DataUser:
    id: int
    name: str


@dataclasses.dataclass
class DataPost:
    id: int
    _: dataclasses.KW_ONLY
    author: DataUser
    title: str
    note: Annotated[str, keep_default] = "none"
    words: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.words = len(self.title)


async def test_dataclass(blog: Loader) -> None:
    """Frozen, slotted, keyword-only; ``__post_init__`` runs."""
    found = await blog.fetch(LoadPlan(Post, into=DataPost), 3)
    assert found == DataPost(3, author=DataUser(2, "bob"), title="three")
    assert found.words == 5


@dataclasses.dataclass
class DataInitVar:
    id: int
    loud: dataclasses.InitVar[bool]


@dataclasses.dataclass(init=False)
class DataNoInit:
    id: int


@dataclasses.dataclass
class DataPage(Generic[T]):
    id: int
    tags: list[T]


async def test_generic_dataclass(small_blog: Loader) -> None:
    """A generic class takes its argument."""
    assert await small_blog.fetch(LoadPlan(Post, into=DataPage[AttrsTag]), 2) == DataPage(2, [])


# --- pydantic -------------------------------------------------------------------------------------------------------


class PydanticTag(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: int
    name: str


class PydanticUser(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: int
    full_name: Annotated[str, source(User.name)] = Field(alias="fullName")


class PydanticPost(BaseModel):
    id: int
    author: PydanticUser
    tags: list[PydanticTag]
    unique: Annotated[frozenset[PydanticTag], source(Post.tags)]
    title: str = Field(validation_alias=AliasChoices(AliasPath("x", 0), "Title", "t"), max_length=20)
    mood: Mood
    note: Annotated[str, keep_default] = "none"
    price: float
    secret: Annotated[pydantic.SecretStr, source(Post.body)]
    _cache: dict[str, int] = pydantic.PrivateAttr(default_factory=dict)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return self.title.upper()

    @pydantic.field_validator("title")
    @classmethod
    def longer(cls, value: str) -> str:
        return f"{value}."


async def test_pydantic(blog: Loader) -> None:
    """Aliases of every kind, strictness, validators, conversions, private and computed attributes."""
    found = await blog.fetch(LoadPlan(Post, into=PydanticPost), 1)
    assert found.unique == {PydanticTag(id=1, name="red"), PydanticTag(id=2, name="blue")}
    assert found.model_dump(exclude={"unique"}) == {
        "id": 1,
        "author": {"id": 1, "full_name": "ann"},
        "tags": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
        "title": "one.",
        "mood": Mood.CALM,
        "note": "none",
        "price": 1.0,
        "secret": pydantic.SecretStr("text"),
        "shout": "ONE.",
    }


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)
    id: int = Field(validation_alias=AliasPath("data", "id"))


class Populated(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    id: int = Field(alias="postId")


class ByPathOrName(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    id: int = Field(validation_alias=AliasPath("data", "id"))


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=lambda name: name.upper())
    id: int
    title: str


@pytest.mark.parametrize("view", [ByName, Populated, ByPathOrName, Generated])
async def test_pydantic_names(small_blog: Loader, view: type[BaseModel]) -> None:
    """However the model says what its values are called."""
    assert (await small_blog.fetch(LoadPlan(Post, into=view), 2)).model_dump()["id"] == 2


class PydanticBefore(BaseModel):
    id: int
    subtitle: str
    editor: PydanticUser

    @pydantic.field_validator("subtitle", "editor", mode="before")
    @classmethod
    def never_none(cls, value: Any) -> Any:
        return {"id": 0, "fullName": "nobody"} if value is None and cls is None else value or "-"


class PydanticModelBefore(BaseModel):
    subtitle: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def never_none(cls, values: Any) -> Any:
        return {"subtitle": values["subtitle"] or "-"}


async def test_validators_before_are_trusted(small_blog: Loader) -> None:
    """They may make a value of None."""
    plan = LoadPlan(Post, into=PydanticModelBefore)
    assert [each.subtitle for each in await small_blog.fetch_all(plan, order_by=Post.id)] == ["first", "-", "-"]
    assert (await small_blog.fetch(LoadPlan(Post, into=PydanticBefore), 1)).subtitle == "first"


class PydanticPage(BaseModel, Generic[T]):
    id: int
    tags: list[T]


async def test_generic_model(small_blog: Loader) -> None:
    """A generic model is a class of its own for each argument."""
    found = await small_blog.fetch(LoadPlan(Post, into=PydanticPage[PydanticTag]), 1)
    assert found == PydanticPage[PydanticTag](
        id=1, tags=[PydanticTag(id=1, name="red"), PydanticTag(id=2, name="blue")]
    )


@pydantic.dataclasses.dataclass(frozen=True)
class PydanticData:
    id: int
    title: str = Field(alias="Title")
    price: float = 0.0


async def test_pydantic_dataclass(small_blog: Loader) -> None:
    """Its values are converted as a model's."""
    assert await small_blog.fetch(LoadPlan(Post, into=PydanticData), 2) == PydanticData(id=2, Title="two", price=2.0)


class StrictFloat(BaseModel):
    model_config = ConfigDict(strict=True)
    price: float


class StrictField(BaseModel):
    price: float = Field(strict=True)


@pytest.mark.parametrize("view", [StrictFloat, StrictField])
def test_strict_models_convert_nothing(view: type[BaseModel]) -> None:
    """What pydantic would refuse in every row is refused when the plan is made."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    assert str(caught.value) == (
        f"LP302: '{view.__name__}.price' is 'float', but 'Post.price' is not\n"
        f"  at: {view.__name__}\n"
        "  detail: a Numeric holds Decimal.\n"
        "  hint: annotate it 'Decimal'."
    )


# --- msgspec --------------------------------------------------------------------------------------------------------


class StructTag(msgspec.Struct, frozen=True, tag=True):
    id: int
    name: str


class StructPost(msgspec.Struct, kw_only=True, rename="camel"):
    id: Annotated[int, msgspec.Meta(gt=0)]
    title_length: int
    tags: list[StructTag]
    note: Annotated[str, keep_default] = "none"
    extra: Annotated[list[int], keep_default] = msgspec.field(default_factory=list)


class StructChild(StructPost, Generic[T], kw_only=True):
    author: T


class StructUser(msgspec.Struct, omit_defaults=True):
    id: int
    name: str = ""


async def test_struct(blog: Loader) -> None:
    """Frozen, tagged, renamed, keyword-only, with defaults, inherited and generic."""
    found = await blog.fetch(LoadPlan(Post, into=StructChild[StructUser]), 1)
    tags = [StructTag(1, "red"), StructTag(2, "blue")]
    assert found == StructChild(id=1, title_length=3, tags=tags, author=StructUser(1, "ann"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=StructChild[StructUser]) == found


# --- named tuples ---------------------------------------------------------------------------------------------------


class TupleTag(NamedTuple):
    id: int
    name: str = "-"


class TuplePost(NamedTuple, Generic[T]):
    id: int
    tags: list[T]
    note: Annotated[str, keep_default] = "none"
    title: str = ""


async def test_named_tuple(blog: Loader) -> None:
    """Defaults, and a default in the middle that is kept."""
    found = await blog.fetch(LoadPlan(Post, into=TuplePost[TupleTag]), 1)
    assert found == TuplePost(1, [TupleTag(1, "red"), TupleTag(2, "blue")], "none", "one")


# --- one within another ---------------------------------------------------------------------------------------------


class MixedUser(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    id: int
    posts: list[TuplePost[StructTag]]


@attrs.frozen
class MixedPost:
    id: int
    author: MixedUser | None
    tags: set[PydanticTag]


async def test_libraries_mix(blog: Loader) -> None:
    """A class of one library holds those of others."""
    found = await blog.fetch(LoadPlan(Post, into=MixedPost), 1)
    assert found.tags == {PydanticTag(id=1, name="red"), PydanticTag(id=2, name="blue")}
    assert found.author is not None
    assert found.author.posts == [TuplePost(1, [StructTag(1, "red"), StructTag(2, "blue")], "none", "one")]


class Rgb(enum.Enum):
    RED = "red"
    BLUE = "blue"


class PydanticEnum(BaseModel):
    name: Rgb


async def test_pydantic_makes_enums_of_text(small_blog: Loader) -> None:
    """A str becomes the enum that the model wants."""
    assert (await small_blog.fetch(LoadPlan(Tag, into=PydanticEnum), 1)).name is Rgb.RED


@pytest.mark.parametrize(
    ("view", "message", "hint"),
    [
        (
            DataInitVar,
            "'DataInitVar' has the InitVar 'loud', and a row cannot fill it",
            "make it a field, or remove it.",
        ),
        (DataNoInit, "'DataNoInit' is a dataclass with init=False", "remove init=False."),
    ],
)
def test_dataclasses_that_rows_cannot_fill(view: Any, message: str, hint: str) -> None:
    """What a row has no value for."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    assert str(caught.value) == f"LP304: {message}\n  at: {view.__name__}\n  hint: {hint}"
