"""A wrong view, what a field reads, and its type: the whole message that a person reads."""

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import pytest
from problem_views import (
    OF_POST,
    BioRef,
    SettingRef,
    TagRef,
    UserRef,
    view,
)
from sqlalchemy import func
from views_models import Comment, Post, Tag, User

import loadplan
from loadplan import PlanError, aggregate, count, keep_default, load

LoadPlan: Any = loadplan.LoadPlan
T = TypeVar("T")

#: name: (what makes it, what it says)
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "LP303 wrong name": (
        lambda: LoadPlan(Post, into=view(titel=str)),
        "LP303: 'Post' has no 'titel' for 'Card.titel'\n"
        "  at: Card\n"
        f"  hint: did you mean 'title'? Attributes of Post: {OF_POST}.",
    ),
    "LP303 nothing near": (
        lambda: LoadPlan(Post, into=view(zzz=(int, 3))),
        "LP303: 'Post' has no 'zzz' for 'Card.zzz'\n"
        "  at: Card\n"
        f"  hint: Attributes of Post: {OF_POST}. To keep the default, write Annotated[int, keep_default].",
    ),
    "LP306 list over to-one": (
        lambda: LoadPlan(Post, into=view(author=list[UserRef])),
        "LP306: 'Card.author' is 'list[UserRef]', but 'Post.author' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it 'UserRef'.",
    ),
    "LP306 list over nullable": (
        lambda: LoadPlan(Post, into=view(editor=list[UserRef])),
        "LP306: 'Card.editor' is 'list[UserRef]', but 'Post.editor' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it 'UserRef | None'.",
    ),
    "LP306 class over coll": (
        lambda: LoadPlan(Post, into=view(tags=TagRef)),
        "LP306: 'Card.tags' is one 'TagRef', but 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'list[TagRef]', or count the rows: Annotated[int, count(Post.tags)].",
    ),
    "LP306 opt class over coll": (
        lambda: LoadPlan(Post, into=view(tags=TagRef | None)),
        "LP306: 'Card.tags' is one 'TagRef', but 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'list[TagRef]', or count the rows: Annotated[int, count(Post.tags)].",
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
        "  detail: no foreign key in its own table requires a row.\n"
        "  hint: annotate it 'BioRef | None'.",
    ),
    "LP306 tuple[X]": (
        lambda: LoadPlan(Post, into=view(tags=tuple[TagRef])),
        "LP306: 'Card.tags' is 'tuple[TagRef]', a tuple of fixed length, but 'Post.tags' is a collection\n"
        "  at: Card\n"
        "  hint: annotate it 'tuple[TagRef, ...]'.",
    ),
    "LP306 rel into dict": (
        lambda: LoadPlan(Post, into=view(author=dict)),
        "LP306: 'Card.author' is 'dict', but 'Post.author' leads to one row at most\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User'.",
    ),
    "LP201 load of wrong": (
        lambda: LoadPlan(Post, load(User.posts), into=view(id=int)),
        "LP201: 'Post' has no relationship 'User.posts'\n"
        "  at: Card > posts\n"
        "  detail: 'User.posts' belongs to 'User'.\n"
        "  hint: nest it: load(Post.author, load(User.posts)).",
    ),
    "LP302 dict key type": (
        lambda: LoadPlan(Post, into=view(settings=dict[int, SettingRef])),
        "LP302: the keys of 'Card.settings' are 'int', but 'Setting.key' is not\n"
        "  at: Card\n"
        "  detail: a String holds str.\n"
        "  hint: annotate it 'dict[str, SettingRef]'.",
    ),
    "LP303 property": (
        lambda: LoadPlan(Post, into=view(url=str)),
        "LP303: 'Card.url' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.url' is a Python property, and the database cannot read it.\n"
        "  hint: make it a hybrid_property, or name another source: Annotated[..., source(...)].",
    ),
    "LP303 method": (
        lambda: LoadPlan(Post, into=view(publish=str)),
        "LP303: 'Card.publish' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.publish' is a method, and the database cannot read it.\n"
        "  hint: make it a hybrid_property, or name another source: Annotated[..., source(...)].",
    ),
    "LP303 hybrid method": (
        lambda: LoadPlan(Post, into=view(is_by=bool)),
        "LP303: 'Card.is_by' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.is_by' is a hybrid method, and a view does not know its arguments.\n"
        "  hint: call it in a source: Annotated[..., source(Post.is_by(...))].",
    ),
    "LP303 metadata": (
        lambda: LoadPlan(Post, into=view(metadata=str)),
        "LP303: 'Card.metadata' cannot be read from 'Post'\n"
        "  at: Card\n"
        "  detail: 'Post.metadata' is not a mapped attribute, and the database cannot read it.\n"
        "  hint: make it a hybrid_property, or name another source: Annotated[..., source(...)].",
    ),
    "LP303 keep_default none": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, keep_default])),
        "LP303: 'Card.n' has no default to keep\n  at: Card\n  hint: give it a default, or remove keep_default.",
    ),
    "LP301 max required": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, aggregate(Post.comments, func.max(Comment.score))])),
        "LP301: 'Card.n' is required, but aggregate(Post.comments, func.max(Comment.score)) may be None\n"
        "  at: Card\n"
        "  detail: func.max(Comment.score) is NULL if there is no row.\n"
        "  hint: annotate it 'int | None'.",
    ),
    "LP302 max wrong type": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str | None, aggregate(Post.comments, func.max(Comment.score))])),
        "LP302: 'Card.n' is 'str', but aggregate(Post.comments, func.max(Comment.score)) is not\n"
        "  at: Card\n"
        "  detail: an Integer holds int.\n"
        "  hint: annotate it 'int | None'.",
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
        "LP215: where= of 'Post.comments' uses 'dcl_tags', but only 'Comment' is available here\n"
        "  at: Card > comments\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write the condition with a relationship: Comment.post.has(Post.tags.any(Tag.id == 1)).",
    ),
    "LP108 count where not expr": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments, where="approved")])),
        "LP108: where= needs a SQL expression, but got 'approved'\n  at: Card\n  hint: write where=Comment.approved.",
    ),
    "LP301 where to-one": (
        lambda: LoadPlan(Post, load(Post.author, where=User.name == "x"), into=view(author=UserRef)),
        "LP301: 'Card.author' is required, but 'Post.author' may be None\n"
        "  at: Card\n"
        "  detail: a where= may leave out its row.\n"
        "  hint: annotate it 'UserRef | None'.",
    ),
    "LP301 proxy required": (
        lambda: LoadPlan(Post, into=view(editor_name=str)),
        "LP301: 'Card.editor_name' is required, but 'Post.editor' may be None\n"
        "  at: Card\n"
        "  detail: foreign key dcl_posts.editor_id is nullable.\n"
        "  hint: annotate it 'str | None'.",
    ),
    "LP204 nested plan other": (
        lambda: LoadPlan(Post, load(Post.author, LoadPlan(Tag)), into=view(author=UserRef)),
        "LP204: plan 'Tag' loads 'Tag', but a plan of 'User' is needed here\n"
        "  at: Card > author\n"
        "  hint: nest a plan of 'User', or move this one to a relationship that leads to 'Tag'.",
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
    "LP111 into below entity": (
        lambda: LoadPlan(Post, load(Post.tags, into=TagRef)),
        "LP111: into=TagRef cannot be used below a plan of entities\n"
        "  at: Post\n"
        "  detail: a mapped attribute can hold mapped objects only.\n"
        "  hint: pass into= to the LoadPlan itself, and give that class a field for this relationship.",
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
