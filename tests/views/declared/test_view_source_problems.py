"""A wrong view, sources, and loads beside a view: the whole message that a person reads."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import pytest
from problem_views import PostRef, TagRef, UserRef, view
from sqlalchemy import func
from views_models import Comment, Country, Post, Tag, User

import loadplan
from loadplan import PlanError, aggregate, count, load, on, source

LoadPlan: Any = loadplan.LoadPlan
T = TypeVar("T")

#: name: (what makes it, what it says)
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "LP307 count column": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.title)])),
        "LP307: count() of 'Card.n' needs a relationship, but 'Post.title' is a column\n"
        "  at: Card\n"
        "  hint: use a relationship of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 count not called": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count])),
        "LP307: 'Card.n' is annotated with the function 'count', which is not a source\n"
        "  at: Card\n"
        "  hint: call it, for example count(Post.comments).",
    ),
    "LP307 raw attr": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, Post.title])),
        "LP307: 'Card.n' is annotated with 'Post.title', which is not a source\n"
        "  at: Card\n"
        "  hint: make it a source: Annotated[..., source(Post.title)].",
    ),
    "LP307 source over coll": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.tags, Tag.name)])),
        "LP307: the source of 'Card.n' leads through the collection 'Post.tags', but the field holds one "
        "value\n"
        "  at: Card\n"
        "  hint: annotate it 'list[str]', or compute one value: aggregate(Post.tags, func.max(...)).",
    ),
    "LP307 source wrong class": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Tag.name)])),
        "LP307: 'Card.n' is read from 'Post', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: start with the relationships to it: source(Post.tags, Tag.name).",
    ),
    "LP307 source wrong step": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author, Tag.name)])),
        "LP307: 'Card.n' is read from 'User', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: start with the relationships to it: source(User.posts, Post.tags, Tag.name).",
    ),
    "LP307 source skip": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str | None, source(User.country, Country.name)])),
        "LP307: 'Card.n' is read from 'Post', which has no 'User.country'\n"
        "  at: Card\n"
        "  hint: start with the relationships to it: source(Post.author, User.country).",
    ),
    "LP307 source col mid": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.title, User.name)])),
        "LP307: source() of 'Card.n' needs a relationship, but 'Post.title' is a column\n"
        "  at: Card\n"
        "  hint: use a relationship of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 source empty": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source()])),
        "LP307: the source of 'Card.n' is empty\n  at: Card\n  hint: name a column, for example source(Post.title).",
    ),
    "LP307 source str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source("author.name")])),
        "LP307: the source of 'Card.n' ends with 'author.name', which is not a column or a SQL "
        "expression\n"
        "  at: Card\n"
        "  hint: name attributes of the classes, not text: source(Post.author, User.name).",
    ),
    "LP307 source expr other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(func.lower(User.name))])),
        "LP307: the source of 'Card.n' uses 'dcl_users', but only 'Post' is available here\n"
        "  at: Card\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: go there through a relationship: source(Post.author, func.lower(User.name)).",
    ),
    "LP310 unread load": (
        lambda: LoadPlan(Post, load(Post.comments), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'comments'\n"
        "  at: Card\n"
        "  hint: Relationships that Card reads: tags. Add a field for it to 'Card', or remove the load.",
    ),
    "LP310 unread load other into": (
        lambda: LoadPlan(Post, load(Post.tags, into=UserRef), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'tags' into 'UserRef'\n"
        "  at: Card\n"
        "  hint: remove into=, or pass the class of the field: TagRef.",
    ),
    "LP310 only": (
        lambda: LoadPlan(Post, into=view(id=int), only=[Post.id]),
        "LP310: only= has no effect on the view 'Card'\n"
        "  at: Card\n"
        "  detail: the fields of the class decide which columns are loaded.\n"
        "  hint: remove only=.",
    ),
    "LP310 only in load": (
        lambda: LoadPlan(Post, load(Post.tags, only=[Tag.id]), into=view(tags=list[TagRef])),
        "LP310: only= has no effect on the view 'TagRef'\n"
        "  at: Card > tags\n"
        "  detail: the fields of the class decide which columns are loaded.\n"
        "  hint: remove only=.",
    ),
    "LP307 two sources": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.tags), source(Post.id)])),
        "LP307: 'Card.n' has more than one source: count(Post.tags), source(Post.id)\n"
        "  at: Card\n"
        "  hint: keep one of them.",
    ),
    "LP309 union no poly": (
        lambda: LoadPlan(Post, into=TagRef | UserRef),
        "LP309: 'TagRef | UserRef' is a union, but 'Post' has no discriminator\n"
        "  at: TagRef | UserRef\n"
        "  hint: use one class instead of a union.",
    ),
    "LP307 agg column": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int | None, aggregate(Post.comments, Comment.score)])),
        "LP307: aggregate() of 'Card.n' needs a function, but got Comment.score\n"
        "  at: Card\n"
        "  hint: choose a function, for example func.max(Comment.score), func.min(...) or func.sum(...).",
    ),
    "LP307 agg other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int | None, aggregate(Post.comments, func.max(Tag.id))])),
        "LP307: the source of 'Card.n' uses 'dcl_tags', but only 'Comment' is available here\n"
        "  at: Card\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: go there through a relationship: source(Comment.<relationship>, func.max(Tag.id)).",
    ),
    "LP310 two loads": (
        lambda: LoadPlan(
            Post, load(Post.tags, where=Tag.id == 1), load(Post.tags, where=Tag.id == 2), into=view(tags=list[TagRef])
        ),
        "LP310: 'Card.tags' is loaded twice, with different conditions\n"
        "  at: Card > tags\n"
        "  hint: keep one load(...). If two fields read the relationship, give each load its into= class.",
    ),
    "LP310 strategy": (
        lambda: LoadPlan(Post, load(Post.tags, strategy="subquery"), into=view(tags=list[TagRef])),
        "LP310: views do not support strategy='subquery' of 'Post.tags'\n"
        "  at: Card > tags\n"
        "  hint: use 'joined' or 'selectin', or remove strategy= and let the plan choose.",
    ),
    "LP307 proxy coll": (
        lambda: LoadPlan(Post, into=view(tag_names=str)),
        "LP307: the source of 'Card.tag_names' leads through the collection 'Post.tags', but the field "
        "holds one value\n"
        "  at: Card\n"
        "  hint: annotate it 'list[str]', or compute one value: aggregate(Post.tags, func.max(...)).",
    ),
    "LP310 nested plan into": (
        lambda: LoadPlan(Post, load(Post.author, LoadPlan(User, into=TagRef)), into=view(author=UserRef)),
        "LP310: plan 'TagRef' builds 'TagRef', but the field holds 'UserRef'\n"
        "  at: Card > author\n"
        "  hint: annotate the field with 'TagRef', or nest a plan with into=UserRef.",
    ),
    "LP310 load near": (
        lambda: LoadPlan(
            User, load(User.any_posts, limit=1), load(User.posts, limit=2), into=view(posts=list[PostRef])
        ),
        "LP310: no field of 'Card' reads 'any_posts'\n"
        "  at: Card\n"
        "  hint: did you mean 'posts'? Relationships that Card reads: posts. Add a field for it to 'Card', "
        "or remove the load.",
    ),
    "LP310 on beside": (
        lambda: LoadPlan(Post, on(Post, into=TagRef), into=view(id=int)),
        "LP310: on(Post) has no effect: every row here becomes 'Card'\n"
        "  at: Card\n"
        "  hint: remove the branch, or annotate a union of views and give each an on(..., into=...).",
    ),
    "LP307 load ann wrong": (
        lambda: LoadPlan(Post, into=view(x=Annotated[list[TagRef], load("tagz")])),
        "LP307: 'Card.x' is read from 'tagz', but 'Post' has no such relationship\n"
        "  at: Card\n"
        "  hint: did you mean 'tags'? Relationships of Post: author, comments, editor, settings, tags.",
    ),
    "LP307 load ann col": (
        lambda: LoadPlan(Post, into=view(x=Annotated[str, load(Post.title)])),
        "LP307: source() of 'Card.x' needs a relationship, but 'Post.title' is a column\n"
        "  at: Card\n"
        "  hint: use a relationship of Post: author, comments, editor, settings, tags.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    """The whole message."""
    make, message = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == message
