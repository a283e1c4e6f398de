"""A wrong view: the whole message that a person reads, for each way to be wrong that a newcomer finds."""

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import attrs
import pydantic
import pytest
from sqlalchemy import func
from views_models import Comment, Country, Post, Tag, Topic, User

import loadplan
from loadplan import PlanError, aggregate, count, keep_default, load, on, source

LoadPlan: Any = loadplan.LoadPlan
T = TypeVar("T")


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


#: name: (what makes it, what it says)
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "LP303 wrong name": (
        lambda: LoadPlan(Post, into=view(titel=str)),
        "LP303: 'Post' has no 'titel' for 'Card.titel'\n"
        "  at: Card\n"
        "  hint: did you mean 'title'? Attributes of Post: author, author_id, author_name, body, comments, editor, editor_id, editor_name, headline, id, loud_title, mood, price, published_on, settings, subtitle, tag_names, tags, title, title_length, writer.",
    ),
    "LP303 nothing near": (
        lambda: LoadPlan(Post, into=view(zzz=(int, 3))),
        "LP303: 'Post' has no 'zzz' for 'Card.zzz'\n"
        "  at: Card\n"
        "  hint: Attributes of Post: author, author_id, author_name, body, comments, editor, editor_id, editor_name, headline, id, loud_title, mood, price, published_on, settings, subtitle, tag_names, tags, title, title_length, writer. To leave it at its default: Annotated[int, keep_default].",
    ),
    "LP306 list over to-one": (
        lambda: LoadPlan(Post, into=view(author=list[UserRef])),
        "LP306: 'Card.author' is 'list[UserRef]', and 'Post.author' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it 'UserRef'.",
    ),
    "LP306 list over nullable": (
        lambda: LoadPlan(Post, into=view(editor=list[UserRef])),
        "LP306: 'Card.editor' is 'list[UserRef]', and 'Post.editor' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it 'UserRef | None'.",
    ),
    "LP306 class over coll": (
        lambda: LoadPlan(Post, into=view(tags=TagRef)),
        "LP306: 'Card.tags' is one 'TagRef', and 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'list[TagRef]', or count it: Annotated[int, count(Post.tags)].",
    ),
    "LP306 opt class over coll": (
        lambda: LoadPlan(Post, into=view(tags=TagRef | None)),
        "LP306: 'Card.tags' is one 'TagRef', and 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'list[TagRef]', or count it: Annotated[int, count(Post.tags)].",
    ),
    "LP302 str over int": (
        lambda: LoadPlan(Post, into=view(id=str)),
        "LP302: 'Card.id' is 'str', but 'Post.id' is not\n"
        "  at: Card\n"
        "  detail: an Integer holds int.\n"
        "  hint: annotate it 'int'.",
    ),
    "LP302 dt over date": (
        lambda: LoadPlan(Post, into=view(published_on=datetime.datetime)),
        "LP302: 'Card.published_on' is 'datetime', but 'Post.published_on' is not\n"
        "  at: Card\n"
        "  detail: a Date holds date.\n"
        "  hint: annotate it 'date'.",
    ),
    "LP302 dec float": (
        lambda: LoadPlan(Post, into=view(price=float)),
        "LP302: 'Card.price' is 'float', but 'Post.price' is not\n"
        "  at: Card\n"
        "  detail: a Numeric holds Decimal.\n"
        "  hint: annotate it 'Decimal'.",
    ),
    "LP301 missing none": (
        lambda: LoadPlan(Post, into=view(subtitle=str)),
        "LP301: 'Card.subtitle' is required, but 'Post.subtitle' may be None\n"
        "  at: Card\n"
        "  detail: column dcl_posts.subtitle is nullable.\n"
        "  hint: annotate it 'str | None'.",
    ),
    "LP301 missing none rel": (
        lambda: LoadPlan(Post, into=view(editor=UserRef)),
        "LP301: 'Card.editor' is required, but 'Post.editor' may be None\n"
        "  at: Card\n"
        "  detail: foreign key dcl_posts.editor_id is nullable.\n"
        "  hint: annotate it 'UserRef | None'.",
    ),
    "LP301 one-one": (
        lambda: LoadPlan(User, into=view(profile=BioRef)),
        "LP301: 'Card.profile' is required, but 'User.profile' may be None\n"
        "  at: Card\n"
        "  detail: no foreign key of its own table says that there must be a row.\n"
        "  hint: annotate it 'BioRef | None'.",
    ),
    "LP304 undecorated": (
        lambda: LoadPlan(Post, into=view(tags=list[Bare])),
        "LP304: 'Bare' has annotations, but no constructor for them\n"
        "  at: Card > tags\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or NamedTuple.",
    ),
    "LP304 undecorated root": (
        lambda: LoadPlan(Post, into=Bare),
        "LP304: 'Bare' has annotations, but no constructor for them\n"
        "  at: Bare\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or NamedTuple.",
    ),
    "LP304 entity": (
        lambda: LoadPlan(Post, into=view(tags=list[Tag])),
        "LP304: 'Tag' is a mapped class, not a view\n"
        "  at: Card > tags\n"
        "  hint: write a class with the fields to read; a plan without into= loads entities.",
    ),
    "LP304 entity root": (
        lambda: LoadPlan(Post, into=Post),
        "LP304: 'Post' is a mapped class, not a view\n"
        "  at: Post\n"
        "  hint: write a class with the fields to read; a plan without into= loads entities.",
    ),
    "LP306 tuple[X]": (
        lambda: LoadPlan(Post, into=view(tags=tuple[TagRef])),
        "LP306: 'Card.tags' is 'tuple[TagRef]', a tuple of fixed length, and 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'tuple[TagRef, ...]'.",
    ),
    "LP307 count column": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.title)])),
        "LP307: the source of 'Card.n' goes by 'Post.title', which is a column, not a relationship\n"
        "  at: Card\n"
        "  hint: Relationships of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 count not called": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count])),
        "LP307: 'Card.n' is annotated with 'count' itself, which says nothing by itself\n"
        "  at: Card\n"
        "  hint: call it, as count(Post.comments).",
    ),
    "LP307 raw attr": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, Post.title])),
        "LP307: 'Card.n' is annotated with 'Post.title', which says nothing by itself\n"
        "  at: Card\n"
        "  hint: make it a source: Annotated[..., source(Post.title)].",
    ),
    "LP307 source over coll": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.tags, Tag.name)])),
        "LP307: the source of 'Card.n' goes through the collection 'Post.tags' to one value\n"
        "  at: Card\n"
        "  hint: annotate it 'list[str]', or make one value of all: aggregate(Post.tags, func.max(...)).",
    ),
    "LP307 source wrong class": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Tag.name)])),
        "LP307: the source of 'Card.n' is at 'Post', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: go there first: source(Post.tags, Tag.name).",
    ),
    "LP307 source wrong step": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author, Tag.name)])),
        "LP307: the source of 'Card.n' is at 'User', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: Relationships of User: any_posts, country, own_posts, posts, profile.",
    ),
    "LP307 source skip": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str | None, source(User.country, Country.name)])),
        "LP307: the source of 'Card.n' is at 'Post', which has no 'User.country'\n"
        "  at: Card\n"
        "  hint: go there first: source(Post.author, User.country).",
    ),
    "LP307 source col mid": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.title, User.name)])),
        "LP307: the source of 'Card.n' goes by 'Post.title', which is a column, not a relationship\n"
        "  at: Card\n"
        "  hint: Relationships of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 source empty": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source()])),
        "LP307: the source of 'Card.n' is empty\n  at: Card\n  hint: name a column, as source(Post.title).",
    ),
    "LP307 source str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source("author.name")])),
        "LP307: the source of 'Card.n' ends in 'author.name', which is no column or SQL expression\n"
        "  at: Card\n"
        "  hint: end the path with a column, a hybrid, an expression, or a count(...).",
    ),
    "LP307 source expr other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(func.lower(User.name))])),
        "LP307: the source of 'Card.n' speaks of 'dcl_users', not of 'Post' alone\n"
        "  at: Card\n"
        "  detail: it would join without a condition.\n"
        "  hint: go there by relationships: source(Post.author, func.lower(User.name)).",
    ),
    "LP304 source rel into str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author)])),
        "LP304: 'Card.n' is 'str', and 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User', or name one column: Annotated[str, source(Post.author, User.name)].",
    ),
    "LP304 rel into str": (
        lambda: LoadPlan(Post, into=view(author=str)),
        "LP304: 'Card.author' is 'str', and 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User', or name one column: Annotated[str, source(Post.author, User.name)].",
    ),
    "LP304 rel into list[str]": (
        lambda: LoadPlan(Post, into=view(tags=list[str])),
        "LP304: 'Card.tags' is 'list[str]', and 'Post.tags' leads to 'Tag'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'Tag', or name one column: Annotated[list[str], source(Post.tags, Tag.name)].",
    ),
    "LP304 rel into list": (
        lambda: LoadPlan(Post, into=view(tags=list)),
        "LP304: 'Card.tags' does not say what its items are\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'Tag', or give that class in the plan: load(Post.tags, into=...).",
    ),
    "LP306 rel into dict": (
        lambda: LoadPlan(Post, into=view(author=dict)),
        "LP306: 'Card.author' is 'dict', and 'Post.author' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User'.",
    ),
    "LP310 unread load": (
        lambda: LoadPlan(Post, load(Post.comments), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'comments'\n"
        "  at: Card\n"
        "  hint: give 'Card' a field for it, or leave the load out. Relationships that Card reads: tags.",
    ),
    "LP310 unread load other into": (
        lambda: LoadPlan(Post, load(Post.tags, into=UserRef), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'tags' into 'UserRef'\n"
        "  at: Card\n"
        "  hint: leave into= out, or give it the class of the field: TagRef.",
    ),
    "LP201 load of wrong": (
        lambda: LoadPlan(Post, load(User.posts), into=view(id=int)),
        "LP201: 'Post' has no relationship 'User.posts'\n"
        "  at: Card > posts\n"
        "  detail: it belongs to 'User'.\n"
        "  hint: nest it: load(Post.author, load(User.posts)).",
    ),
    "LP310 only": (
        lambda: LoadPlan(Post, into=view(id=int), only=[Post.id]),
        "LP310: only= has no say where 'Card' is built\n"
        "  at: Card\n"
        "  detail: the fields of the class are the columns.\n"
        "  hint: leave only= out.",
    ),
    "LP310 only in load": (
        lambda: LoadPlan(Post, load(Post.tags, only=[Tag.id]), into=view(tags=list[TagRef])),
        "LP310: only= has no say where 'TagRef' is built\n"
        "  at: Card > tags\n"
        "  detail: the fields of the class are the columns.\n"
        "  hint: leave only= out.",
    ),
    "LP304 fwd": (
        lambda: LoadPlan(Post, into=Forward),
        "LP304: an annotation of 'Forward' names 'Nowhere', which its module does not have\n"
        "  at: Forward\n"
        "  hint: define or import 'Nowhere' at the top of 'test_view_problems', not within a function or under TYPE_CHECKING.",
    ),
    "LP304 fwd pyd": (
        lambda: LoadPlan(Post, into=Later),
        "LP304: 'Later' names classes that are not defined yet\n"
        "  at: Later\n"
        "  hint: define them first, or call Later.model_rebuild() once they are.",
    ),
    "LP308 recursive": (
        lambda: LoadPlan(Topic, into=Node),
        "LP308: 'Node.children' contains 'Node' again, without an end\n"
        "  at: Node\n"
        '  hint: say how deep it goes: load(Topic.children, depth=3), or depth="all".',
    ),
    "LP308 recursive depth nodefault": (
        lambda: LoadPlan(Topic, load(Topic.children, depth=2), into=Node),
        "LP308: 'Node.children' has no default, and nothing is loaded below level 2\n"
        "  at: Node > children > children\n"
        '  hint: give the field a default to end with, or load the whole tree with depth="all".',
    ),
    "LP308 recursive parent": (
        lambda: LoadPlan(Topic, load(Topic.children, depth="all"), into=TwoWays),
        "2 problems in one plan\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays > children\n"
        "  hint: use a smaller class for 'TwoWays.parent', one that does not lead back.\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays\n"
        "  hint: use a smaller class for 'TwoWays.parent', one that does not lead back.",
    ),
    "LP304 rootmodel field": (
        lambda: LoadPlan(Post, into=view(tags=TagList)),
        "LP304: 'TagList' is a RootModel, which has one value and no fields to read columns into\n"
        "  at: Card > tags\n"
        "  hint: annotate the field with what the RootModel holds, or use a BaseModel with that as a field.",
    ),
    "LP304 rootmodel": (
        lambda: LoadPlan(Post, into=TagList),
        "LP304: 'TagList' is a RootModel, which has one value and no fields to read columns into\n"
        "  at: TagList\n"
        "  hint: annotate the field with what the RootModel holds, or use a BaseModel with that as a field.",
    ),
    "LP305 dict": (
        lambda: LoadPlan(Post, into=view(tags=dict[str, TagRef])),
        "LP305: nothing says what 'Card.tags' is keyed by\n"
        "  at: Card\n"
        "  detail: 'Post.tags' is no collection that is keyed by a column.\n"
        "  hint: annotate it 'list[TagRef]', or map the relationship with attribute_keyed_dict.",
    ),
    "LP302 dict key type": (
        lambda: LoadPlan(Post, into=view(settings=dict[int, SettingRef])),
        "LP302: 'Card.settings' is keyed by 'int', but 'Setting.key' is not\n"
        "  at: Card\n"
        "  detail: a String holds str.\n"
        "  hint: annotate it 'dict[str, SettingRef]'.",
    ),
    "LP303 property": (
        lambda: LoadPlan(Post, into=view(url=str)),
        "LP303: 'Card.url' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.url' is a Python property, and a view is read by SQL.\n"
        "  hint: make it a hybrid_property, or say where the value comes from: Annotated[..., source(...)].",
    ),
    "LP303 method": (
        lambda: LoadPlan(Post, into=view(publish=str)),
        "LP303: 'Card.publish' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.publish' is a method, and a view is read by SQL.\n"
        "  hint: make it a hybrid_property, or say where the value comes from: Annotated[..., source(...)].",
    ),
    "LP303 hybrid method": (
        lambda: LoadPlan(Post, into=view(is_by=bool)),
        "LP303: 'Card.is_by' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.is_by' is a hybrid method, which is called with arguments.\n"
        "  hint: call it: Annotated[..., source(Post.is_by(...))].",
    ),
    "LP303 metadata": (
        lambda: LoadPlan(Post, into=view(metadata=str)),
        "LP303: 'Card.metadata' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.metadata' is no mapped attribute, and a view is read by SQL.\n"
        "  hint: make it a hybrid_property, or say where the value comes from: Annotated[..., source(...)].",
    ),
    "LP305 set unhashable": (
        lambda: LoadPlan(Post, into=view(tags=set[Hashless])),
        "LP305: 'Card.tags' is a set of 'Hashless', which cannot be hashed\n"
        "  at: Card\n"
        "  hint: freeze 'Hashless', or annotate the field 'list[Hashless]'.",
    ),
    "LP307 two sources": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.tags), source(Post.id)])),
        "LP307: 'Card.n' has several sources: count(Post.tags), source(Post.id)\n  at: Card\n  hint: keep one of them.",
    ),
    "LP303 keep_default none": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, keep_default])),
        "LP303: 'Card.n' keeps its default, but has none\n  at: Card\n  hint: give it a default, or a source.",
    ),
    "LP309 union no poly": (
        lambda: LoadPlan(Post, into=TagRef | UserRef),
        "LP309: 'TagRef | UserRef' is a union, and 'Post' has no discriminator to choose by\n"
        "  at: TagRef | UserRef\n"
        "  hint: use one class.",
    ),
    "LP304 list root": (
        lambda: LoadPlan(Post, into=list[TagRef]),
        "LP304: 'list[TagRef]' is a collection, and a plan says what one row becomes\n"
        "  at: list[TagRef]\n"
        "  hint: give the class of one row, 'TagRef'; fetch_all and the like return lists of it.",
    ),
    "LP304 instance": (
        lambda: LoadPlan(Post, into=TagRef(1, "x")),
        "LP304: 'TagRef(id=1, name='x')' is no class\n"
        "  at: TagRef(id=1, name='x')\n"
        "  hint: give the class itself, as into=PostCard.",
    ),
    "LP304 string": (
        lambda: LoadPlan(Post, into="TagRef"),
        "LP304: the text 'TagRef' stands where a view class belongs\n  at: 'TagRef'\n  hint: give the class.",
    ),
    "LP301 max required": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, aggregate(Post.comments, func.max(Comment.score))])),
        "LP301: 'Card.n' is required, but aggregate(Post.comments, func.max(Comment.score)) may be None\n"
        "  at: Card\n"
        "  detail: func.max(Comment.score) is NULL where there is no row.\n"
        "  hint: annotate it 'int | None'.",
    ),
    "LP302 max wrong type": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str | None, aggregate(Post.comments, func.max(Comment.score))])),
        "LP302: 'Card.n' is 'str', but aggregate(Post.comments, func.max(Comment.score)) is not\n"
        "  at: Card\n"
        "  detail: an Integer holds int.\n"
        "  hint: annotate it 'int | None'.",
    ),
    "LP307 agg column": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int | None, aggregate(Post.comments, Comment.score)])),
        "LP307: 'Card.n' aggregates Comment.score, which is no aggregate function\n"
        "  at: Card\n"
        "  hint: say which value of all of them: func.max(Comment.score), func.min(...), func.sum(...).",
    ),
    "LP307 agg other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int | None, aggregate(Post.comments, func.max(Tag.id))])),
        "LP307: the source of 'Card.n' speaks of 'dcl_tags', not of 'Comment' alone\n"
        "  at: Card\n"
        "  detail: it would join without a condition.\n"
        "  hint: go there by relationships: source(Comment.<relationship>, func.max(Tag.id)).",
    ),
    "LP302 count str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, count(Post.comments)])),
        "LP302: 'Card.n' is 'str', but count(Post.comments) is not\n"
        "  at: Card\n"
        "  detail: an Integer holds int.\n"
        "  hint: annotate it 'int'.",
    ),
    "LP215 count where other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments, where=Tag.id == 1)])),
        "LP215: where= of 'Post.comments' speaks of 'dcl_tags', not of 'Comment' alone\n"
        "  at: Card > comments\n"
        "  detail: it would join without a condition.\n"
        "  hint: ask through a relationship of 'Comment': Comment.relation.has(...) or .any(...).",
    ),
    "LP108 count where not expr": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments, where="approved")])),
        "LP108: where= holds 'approved', which is not a SQL expression\n"
        "  at: Card\n"
        "  hint: write conditions with attributes of the class, as where=Post.published or where=Post.id > 3.",
    ),
    "LP301 where to-one": (
        lambda: LoadPlan(Post, load(Post.author, where=User.name == "x"), into=view(author=UserRef)),
        "LP301: 'Card.author' is required, but 'Post.author' may be None\n"
        "  at: Card\n"
        "  detail: a where= may leave out its row.\n"
        "  hint: annotate it 'UserRef | None'.",
    ),
    "LP310 two loads": (
        lambda: LoadPlan(
            Post, load(Post.tags, where=Tag.id == 1), load(Post.tags, where=Tag.id == 2), into=view(tags=list[TagRef])
        ),
        "LP310: 'Card.tags' is loaded twice, with different conditions\n"
        "  at: Card > tags\n"
        "  hint: keep one load(...), or tell them apart by into= if two fields read it.",
    ),
    "LP310 strategy": (
        lambda: LoadPlan(Post, load(Post.tags, strategy="subquery"), into=view(tags=list[TagRef])),
        "LP310: strategy='subquery' of 'Post.tags' is not for views\n"
        "  at: Card > tags\n"
        "  hint: use 'joined' (in the parent's statement), 'selectin' (a statement of its own), or leave it out.",
    ),
    "LP301 proxy required": (
        lambda: LoadPlan(Post, into=view(editor_name=str)),
        "LP301: 'Card.editor_name' is required, but 'Post.editor' may be None\n"
        "  at: Card\n"
        "  detail: foreign key dcl_posts.editor_id is nullable.\n"
        "  hint: annotate it 'str | None'.",
    ),
    "LP307 proxy coll": (
        lambda: LoadPlan(Post, into=view(tag_names=str)),
        "LP307: the source of 'Card.tag_names' goes through the collection 'Post.tags' to one value\n"
        "  at: Card\n"
        "  hint: annotate it 'list[str]', or make one value of all: aggregate(Post.tags, func.max(...)).",
    ),
    "LP204 nested plan other": (
        lambda: LoadPlan(Post, load(Post.author, LoadPlan(Tag)), into=view(author=UserRef)),
        "LP204: plan 'Tag' is for 'Tag', but here stands 'User'\n"
        "  at: Card > author\n"
        "  hint: nest a LoadPlan(User, ...), or move this one to a relationship to 'Tag'.",
    ),
    "LP310 nested plan into": (
        lambda: LoadPlan(Post, load(Post.author, LoadPlan(User, into=TagRef)), into=view(author=UserRef)),
        "LP310: plan 'TagRef' makes 'TagRef', and the field holds 'UserRef'\n"
        "  at: Card > author\n"
        "  hint: annotate the field with 'TagRef', or nest a plan into 'UserRef'.",
    ),
    "LP302 composite view": (
        lambda: LoadPlan(User, into=view(address=TagRef)),
        "LP302: 'Card.address' is 'TagRef', but 'User.address' is not\n"
        "  at: Card\n"
        "  detail: it is a composite of class Place.\n"
        "  hint: annotate it 'Place'.",
    ),
    "LP302 composite str": (
        lambda: LoadPlan(User, into=view(address=str)),
        "LP302: 'Card.address' is 'str', but 'User.address' is not\n"
        "  at: Card\n"
        "  detail: it is a composite of class Place.\n"
        "  hint: annotate it 'Place'.",
    ),
    "LP310 load near": (
        lambda: LoadPlan(
            User, load(User.any_posts, limit=1), load(User.posts, limit=2), into=view(posts=list[PostRef])
        ),
        "LP310: no field of 'Card' reads 'any_posts'\n"
        "  at: Card\n"
        "  hint: give 'Card' a field for it, or leave the load out. did you mean 'posts'? Relationships that Card reads: posts.",
    ),
    "LP310 on beside": (
        lambda: LoadPlan(Post, on(Post, into=TagRef), into=view(id=int)),
        "LP310: on(Post) says nothing to 'Card', which is made of all rows here\n"
        "  at: Card\n"
        "  hint: leave the branch out, or make a union of views, each with an on(..., into=...).",
    ),
    "LP111 into below entity": (
        lambda: LoadPlan(Post, load(Post.tags, into=TagRef)),
        "LP111: into=TagRef stands below a plan of entities\n"
        "  at: Post\n"
        "  detail: what a mapped attribute holds is mapped objects.\n"
        "  hint: give the plan itself an into= class, with a field for what is read here.",
    ),
    "LP307 load ann wrong": (
        lambda: LoadPlan(Post, into=view(x=Annotated[list[TagRef], load("tagz")])),
        "LP307: the source of 'Card.x' is 'tagz', and 'Post' has no such relationship\n"
        "  at: Card\n"
        "  hint: did you mean 'tags'? Relationships of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 load ann col": (
        lambda: LoadPlan(Post, into=view(x=Annotated[str, load(Post.title)])),
        "LP307: the source of 'Card.x' goes by 'Post.title', which is a column, not a relationship\n"
        "  at: Card\n"
        "  hint: Relationships of Post: author, comments, editor, settings, tags.",
    ),
    "LP304 typevar": (
        lambda: LoadPlan(Post, into=view(tags=list[T])),
        "LP304: the type variable 'T' stands where a view class belongs\n"
        "  at: Card > tags\n"
        "  hint: say what stands for it, as in Page[PostCard].",
    ),
    "LP302 col list": (
        lambda: LoadPlan(Post, into=view(title=list[str])),
        "LP302: 'Card.title' is 'list[str]', but 'Post.title' is not\n"
        "  at: Card\n"
        "  detail: a String holds str.\n"
        "  hint: annotate it 'str'.",
    ),
    "LP302 view over col": (
        lambda: LoadPlan(Post, into=view(title=TagRef)),
        "LP302: 'Card.title' is 'TagRef', but 'Post.title' is not\n"
        "  at: Card\n"
        "  detail: a String holds str.\n"
        "  hint: annotate it 'str'.",
    ),
    "LP302 fk as object": (
        lambda: LoadPlan(Post, into=view(author_id=UserRef)),
        "LP302: 'Card.author_id' is 'UserRef', but 'Post.author_id' is not\n"
        "  at: Card\n"
        "  detail: an Integer holds int.\n"
        "  hint: annotate it 'int'.",
    ),
    "LP302 mood str": (
        lambda: LoadPlan(Post, into=view(mood=str)),
        "LP302: 'Card.mood' is 'str', but 'Post.mood' is not\n"
        "  at: Card\n"
        "  detail: an Enum holds Mood.\n"
        "  hint: annotate it 'Mood'.",
    ),
    "LP302 mood literal": (
        lambda: LoadPlan(Post, into=view(mood=Literal["calm"])),
        "LP302: 'Card.mood' is 'Literal['calm']', but 'Post.mood' is not\n"
        "  at: Card\n"
        "  detail: an Enum holds Mood.\n"
        "  hint: annotate it 'Mood'.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    """The whole message."""
    make, message = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == message
