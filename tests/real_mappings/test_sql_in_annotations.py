"""Nothing of SQLAlchemy or loadplan in an annotation is ignored."""

import dataclasses
import functools
from typing import Annotated, Any, NamedTuple, Protocol

import attrs
import msgspec
import pydantic
import pytest
import sqlalchemy
from sqlalchemy import ForeignKey, case, cast, func, literal, select, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    column_property,
    joinedload,
    mapped_column,
    query_expression,
    relationship,
    selectinload,
)

from loadplan import Loader, LoadPlan, PlanError, count, exists, load, on, source


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "annotated_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    commented: Mapped[bool]
    comments: Mapped[list["Comment"]] = relationship()


class Comment(Base):
    __tablename__ = "annotated_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))


EXPRESSIONS: dict[str, Any] = {
    "a function": func.upper(Post.title),
    "a function of nothing": func.now(),
    "SQLAlchemy's exists": sqlalchemy.exists().where(Comment.post_id == Post.id),
    "a subquery": select(func.count()).where(Comment.post_id == Post.id).scalar_subquery(),
    "a select": select(func.count(Comment.id)),
    "a label": func.upper(Post.title).label("shout"),
    "a cast": cast(Post.id, sqlalchemy.String),
    "a case": case((Post.commented, "yes"), else_="no"),
    "a comparison": Post.title == "x",
    "an any": Post.comments.any(),
    "an order": Post.title.desc(),
    "a literal": literal("x"),
    "a text": text("upper(title)"),
    "a table's column": Post.__table__.c.title,
    "a table": Post.__table__,
    "a window": func.row_number().over(order_by=Post.id),
    "an aggregate with a filter": func.count().filter(Post.commented),
    "an attribute": Post.title,
    "an alias's attribute": aliased(Post).title,
    "a loader option": selectinload(Post.comments),
    "a joined loader option": joinedload(Post.comments).load_only(Comment.id),
    "a column_property": column_property(func.upper(Post.__table__.c.title)),
    "a query_expression": query_expression(literal(1)),
    "a mapped class": Comment,
    "an alias": aliased(Comment),
    "a mapper": sqlalchemy.inspect(Comment),
    "a relationship": relationship(Comment),
    "an inspection": sqlalchemy.inspect(aliased(Comment)),
}

LOADPLANS: dict[str, Any] = {
    "a plan": LoadPlan(Post),
    "count itself": count,
    "exists itself": exists,
    "on itself": on,
    "a branch on a plain value": on(Post),
    "LoadPlan itself": LoadPlan,
    "Loader itself": Loader,
    "a list with a source": [source(Post.title)],
    "a tuple with an expression": (func.upper(Post.title), "x"),
    "a list within a dictionary": {"x": [count(Post.comments)]},
}


@pytest.mark.parametrize("name", [*EXPRESSIONS, *LOADPLANS])
def test_what_stands_bare_is_an_error(name: str) -> None:
    """It is LP307, and the field is named. It never reads the attribute of its own name."""
    given = {**EXPRESSIONS, **LOADPLANS}[name]
    view = attrs.make_class("Line", {"title": attrs.field(type=Annotated[Any, given])}, frozen=True)
    with pytest.raises(PlanError, match="LP307") as caught:
        LoadPlan(Post, into=view)
    assert "Line.title" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a function", "SQLAlchemy's exists", "a subquery", "a case", "a comparison", "a label", "an any"]
)
def test_the_hint_is_source(name: str) -> None:
    """The way out of a SQL expression is ``source(...)``."""
    view = attrs.make_class("Line", {"title": attrs.field(type=Annotated[Any, EXPRESSIONS[name]])}, frozen=True)
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    assert "source(" in caught.value.problems[0].hint


def test_the_hint_of_sqlalchemys_exists_names_ours() -> None:
    """``from sqlalchemy import exists`` is the first guess, so the error says where ours is."""
    view = attrs.make_class(
        "Line", {"commented": attrs.field(type=Annotated[bool, EXPRESSIONS["SQLAlchemy's exists"]])}, frozen=True
    )
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    assert "exists(Post.comments)" in str(caught.value) or "loadplan" in str(caught.value)


class AsNamedTuple(NamedTuple):
    title: Annotated[str, func.upper(Post.title)]


class AsStruct(msgspec.Struct):
    title: Annotated[str, func.upper(Post.title)]


class AsModel(pydantic.BaseModel):
    title: Annotated[str, func.upper(Post.title)]


@dataclasses.dataclass
class AsDataclass:
    title: Annotated[str, func.upper(Post.title)]


@pytest.mark.parametrize("view", [AsNamedTuple, AsStruct, AsModel, AsDataclass])
def test_in_every_kind_of_class(view: Any) -> None:
    """NamedTuples, structs, pydantic models and dataclasses are read alike."""
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan(Post, into=view)


@pytest.mark.parametrize(
    "optional", [Annotated[str, func.upper(Post.title)] | None, Annotated[str | None, func.upper("x")]]
)
def test_within_an_optional(optional: Any) -> None:
    """The expression may stand within the union or around it."""
    view = attrs.make_class("Line", {"title": attrs.field(type=optional)}, frozen=True)
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan(Post, into=view)


def test_of_the_items_of_a_collection() -> None:
    """``list[Annotated[int, func.abs(...)]]`` would be ignored as well."""
    view = attrs.make_class(
        "Line",
        {
            "ids": attrs.field(
                type=Annotated[list[Annotated[int, func.abs(Comment.id)]], source(Post.comments, Comment.id)]
            )
        },
        frozen=True,
    )
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan(Post, into=view)


def test_beside_a_source() -> None:
    """An expression beside ``source(...)`` is an error too."""
    view = attrs.make_class(
        "Line", {"title": attrs.field(type=Annotated[str, source(Post.title), func.upper(Post.title)])}, frozen=True
    )
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan(Post, into=view)


def test_for_schema_ignores_none_of_them() -> None:
    """A response model's annotation says what no entity can give."""
    with pytest.raises(PlanError):
        LoadPlan.for_schema(Post, AsModel)


SHOUT = func.upper(Post.title)

GIVEN_ELSEWHERE: dict[str, Any] = {
    "attrs": attrs.make_class("Line", {"title": attrs.field(type=str, default=source(SHOUT))}),
    "attrs, SQL": attrs.make_class("Line", {"title": attrs.field(type=str, default=SHOUT)}),
    "attrs, metadata": attrs.make_class("Line", {"title": attrs.field(type=str, metadata={"from": source(SHOUT)})}),
    "dataclass": dataclasses.make_dataclass("Line", [("title", str, dataclasses.field(default=source(SHOUT)))]),
    "NamedTuple": type("Line", (NamedTuple("Line", [("title", str)]),), {"_field_defaults": {"title": source(SHOUT)}}),
    "struct": msgspec.defstruct("Line", [("title", str, source(SHOUT))]),
    "pydantic": pydantic.create_model("Line", title=(str, source(SHOUT))),
    "pydantic, extra": pydantic.create_model(
        "Line", title=(str, pydantic.Field(json_schema_extra={"from": source(SHOUT)}))
    ),
}


@pytest.mark.parametrize("name", GIVEN_ELSEWHERE)
def test_a_default_is_no_source(name: str) -> None:
    """A source in the place of a default, or in the metadata of a field, is LP307: it would read 'Post.title'."""
    with pytest.raises(PlanError, match=r"LP307: 'Line\.title' has .*func\.upper\(Post\.title\)") as caught:
        LoadPlan(Post, into=GIVEN_ELSEWHERE[name])
    hint = "hint: move it into the annotation: title: Annotated[str, source(func.upper(Post.title))]."
    assert hint in str(caught.value)


def test_a_default_of_a_response_model_is_no_source() -> None:
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan.for_schema(Post, GIVEN_ELSEWHERE["pydantic"])


@pytest.mark.parametrize("given", [functools.partial(func.upper, Post.title), Post.title.desc])
def test_what_waits_for_a_call_is_an_error(given: Any) -> None:
    view = attrs.make_class("Line", {"title": attrs.field(type=Annotated[str, given])})
    with pytest.raises(PlanError, match="LP307"):
        LoadPlan(Post, into=view)


class Shouting(Protocol):
    title: Annotated[str, SHOUT]


def test_a_protocol_has_no_sources() -> None:
    """``typed=`` loads entities, so an expression in it would mean nothing."""
    with pytest.raises(PlanError, match=r"LP122: 'Shouting\.title' is annotated with func\.upper\(Post\.title\)"):
        LoadPlan(Post, typed=Shouting)


def test_metadata_of_other_libraries_is_left_alone() -> None:
    """Constraints, documentation and texts are the business of others."""
    view = attrs.make_class(
        "Line",
        {"title": attrs.field(type=Annotated[str, pydantic.Field(max_length=5), "a text", 5, object()])},
        frozen=True,
    )
    LoadPlan(
        Post,
        load(Post.comments),
        into=attrs.make_class(
            "Both",
            {
                "title": attrs.field(type=str),
                "comments": attrs.field(type=list[attrs.make_class("C", {"id": attrs.field(type=int)})]),
            },
        ),
    )
    assert LoadPlan(Post, into=view) is not None


def test_a_branch_of_plain_items_is_not_ignored() -> None:
    """``on(...)`` chooses among views; a text is none."""
    view = attrs.make_class(
        "Line", {"ids": attrs.field(type=Annotated[list[Annotated[int, on(Post)]], source(Post.comments, Comment.id)])}
    )
    with pytest.raises(PlanError, match=r"LP307: 'Line.ids' is annotated with on\(Post\), which is not a source"):
        LoadPlan(Post, into=view)


def test_the_hint_of_a_container_leads_out() -> None:
    """The error says what it found, and following the hint makes a plan."""
    view = attrs.make_class("Line", {"title": attrs.field(type=Annotated[str, [source(func.upper(Post.title))]])})
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view)
    assert str(caught.value) == (
        "LP307: 'Line.title' is annotated with a list, which is not a source\n"
        "  at: Line\n"
        "  hint: write its contents next to the type: Annotated[..., source(...)]."
    )
    LoadPlan(
        Post, into=attrs.make_class("Line", {"title": attrs.field(type=Annotated[str, source(func.upper(Post.title))])})
    )
