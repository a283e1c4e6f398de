"""A source or a SQL expression in any argument of a field but its annotation: LP307 says where it is and belongs."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema
from sqlalchemy import func
from views_models import Post, User

from loadplan import LoadPlan, PlanError, count

COUNT: Any = count(Post.comments)


def attrs_class(**given: Any) -> Any:
    return attrs.make_class("Row", {"id": attrs.field(type=int), "title": attrs.field(type=str, **given)}, kw_only=True)


def data_class(**given: Any) -> Any:
    return dataclasses.make_dataclass("Row", [("id", int), ("title", str, dataclasses.field(**given))])


def model(kind: Any, field: Any = ...) -> Any:
    made: Any = pydantic.create_model("Row", id=(int, ...), title=(kind, field))
    return made


class Named(NamedTuple):
    id: int
    title: str = COUNT


class Struct(msgspec.Struct):
    id: int
    title: Annotated[str, msgspec.Meta(extra={"sources": [COUNT]})]


class JsonStruct(msgspec.Struct):
    id: int
    title: Annotated[str, msgspec.Meta(extra_json_schema={"source": COUNT})]


def struct_default() -> Any:
    return msgspec.defstruct("Row", [("id", int), ("title", str, COUNT)])


#: name: (the class, where the count is)
CLASSES: dict[str, tuple[Callable[[], Any], str]] = {
    "default of attrs": (lambda: attrs_class(default=COUNT), "as its default"),
    "factory of attrs": (lambda: attrs_class(default=attrs.Factory(COUNT)), "as its default"),
    "metadata of attrs": (lambda: attrs_class(metadata={"source": COUNT}), "in its metadata"),
    "deep in the metadata of attrs": (lambda: attrs_class(metadata={"a": {"b": [COUNT]}}), "in its metadata"),
    "key of the metadata of attrs": (lambda: attrs_class(metadata={COUNT: 1}), "in its metadata"),
    "converter of attrs": (lambda: attrs_class(converter=COUNT), "as its converter"),
    "validator of attrs": (lambda: attrs_class(validator=COUNT), "as its validator"),
    "default of a dataclass": (lambda: data_class(default=COUNT), "as its default"),
    "factory of a dataclass": (lambda: data_class(default_factory=COUNT), "as its default_factory"),
    "metadata of a dataclass": (lambda: data_class(metadata={"source": COUNT}), "in its metadata"),
    "default of a NamedTuple": (lambda: Named, "as its default"),
    "default of a Struct": (struct_default, "as its default"),
    "extra of a Struct": (lambda: Struct, "in its Meta"),
    "JSON schema of a Struct": (lambda: JsonStruct, "in its Meta"),
    "default of a model": (lambda: model(str, COUNT), "as its default"),
    "factory of a model": (lambda: model(str, Field(default_factory=COUNT)), "as its default_factory"),
    "JSON schema of a model": (
        lambda: model(str, Field(json_schema_extra={"a": {"b": COUNT}})),
        "as its json_schema_extra",
    ),
    "validator of a model": (lambda: model(Annotated[str, AfterValidator(COUNT)]), "in its AfterValidator"),
    "annotated JSON schema": (lambda: model(Annotated[str, WithJsonSchema({"a": COUNT})]), "in its WithJsonSchema"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_the_whole_message(name: str) -> None:
    """The entity has an attribute of the field's name, so the source could be ignored without a word."""
    make, place = CLASSES[name]
    kind = make()
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=kind)
    assert str(caught.value) == (
        f"LP307: '{kind.__name__}.title' has count(Post.comments) {place}\n"
        f"  at: {kind.__name__}\n"
        "  detail: only the annotation can tell loadplan where a value comes from.\n"
        "  hint: move it into the annotation: title: Annotated[str, count(Post.comments)]."
    )


def test_a_function_of_sqlalchemy_as_converter() -> None:
    kind = attrs_class(converter=func.upper)
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=kind)
    assert caught.value.code == "LP307"


class Described(BaseModel):
    """Arguments that hold nothing of SQLAlchemy stay as they are."""

    id: Annotated[int, Field(gt=0, json_schema_extra={"example": 3}, examples=[1, 2])]
    title: Annotated[str, AfterValidator(str.strip)] = Field(default="", description="the title")


class DescribedStruct(msgspec.Struct):
    id: Annotated[int, msgspec.Meta(gt=0, extra={"unit": ["s"]}, extra_json_schema={"x": 1})]
    title: str = "none"


@pytest.mark.parametrize(
    "kind",
    [
        Described,
        DescribedStruct,
        attrs_class(
            metadata={"doc": ["x", {"y": 1}]}, converter=str.strip, validator=attrs.validators.instance_of(str)
        ),
        data_class(default_factory=str, metadata={"doc": "x"}),
    ],
)
def test_other_arguments_mean_nothing(kind: Any) -> None:
    assert repr(LoadPlan(Post, into=kind)) == f"LoadPlan(Post, into={kind.__name__})"


#: name: (what is written, its message and hint)
OTHERS: dict[str, tuple[Callable[[], object], str, str]] = {
    "an attribute as an annotation": (
        lambda: LoadPlan(Post, into=attrs.make_class("Row", {"who": attrs.field(type=User.name)})),
        "'Row.who' is annotated with the attribute 'User.name'",
        "write who: Annotated[..., source(User.name)], with the type of the value.",
    ),
    "a number of rows": (
        lambda: LoadPlan(Post, into=attrs.make_class("Row", {"num_comments": attrs.field(type=int)})),
        "'Post' has no 'num_comments' for 'Row.num_comments'",
        "read it through the relationship: Annotated[int, count(Post.comments)].",
    ),
    "a path of Django": (
        lambda: LoadPlan(Post, into=attrs.make_class("Row", {"author__name": attrs.field(type=str)})),
        "'Post' has no 'author__name' for 'Row.author__name'",
        "read it through the relationship: Annotated[str, source(Post.author, User.name)].",
    ),
    "an object as a class": (
        lambda: LoadPlan(Post, into=DescribedStruct(1)),  # type: ignore[arg-type]
        "an object of 'DescribedStruct' is not a class",
        "pass the class, not an object: DescribedStruct.",
    ),
    "a model without fields": (
        lambda: LoadPlan(Post, into=BaseModel),
        "'BaseModel' has no fields",
        "derive a class from BaseModel, with the fields that you read.",
    ),
    "a schema that is mapped": (
        lambda: LoadPlan.for_schema(Post, User),
        "'User' is a mapped class, not a view class",
        "write a class with the fields that you read. To load mapped objects, remove into=.",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_mistakes_in_a_class(name: str) -> None:
    write, message, hint = OTHERS[name]
    with pytest.raises(PlanError) as caught:
        write()
    assert (caught.value.message, caught.value.hint) == (message, hint)
