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
    "LP310 unread load": (
        lambda: LoadPlan(Post, load(Post.comments), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'comments'\n"
        "  at: Card\n"
        "  hint: Relationships that Card reads: tags. Give 'Card' a field for it, or leave the load out.",
    ),
    "LP310 unread load other into": (
        lambda: LoadPlan(Post, load(Post.tags, into=UserRef), into=view(id=int, tags=list[TagRef])),
        "LP310: no field of 'Card' reads 'tags' into 'UserRef'\n"
        "  at: Card\n"
        "  hint: leave into= out, or give it the class of the field: TagRef.",
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
    "LP307 two sources": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int, count(Post.tags), source(Post.id)])),
        "LP307: 'Card.n' has several sources: count(Post.tags), source(Post.id)\n  at: Card\n  hint: keep one of them.",
    ),
    "LP309 union no poly": (
        lambda: LoadPlan(Post, into=TagRef | UserRef),
        "LP309: 'TagRef | UserRef' is a union, and 'Post' has no discriminator to choose by\n"
        "  at: TagRef | UserRef\n"
        "  hint: use one class.",
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
        "  hint: use 'joined' (in the parent's statement), 'selectin' (a statement of its own), or leave "
        "it out.",
    ),
    "LP307 proxy coll": (
        lambda: LoadPlan(Post, into=view(tag_names=str)),
        "LP307: the source of 'Card.tag_names' goes through the collection 'Post.tags' to one value\n"
        "  at: Card\n"
        "  hint: annotate it 'list[str]', or make one value of all: aggregate(Post.tags, func.max(...)).",
    ),
    "LP310 nested plan into": (
        lambda: LoadPlan(Post, load(Post.author, LoadPlan(User, into=TagRef)), into=view(author=UserRef)),
        "LP310: plan 'TagRef' makes 'TagRef', and the field holds 'UserRef'\n"
        "  at: Card > author\n"
        "  hint: annotate the field with 'TagRef', or nest a plan into 'UserRef'.",
    ),
    "LP310 load near": (
        lambda: LoadPlan(
            User, load(User.any_posts, limit=1), load(User.posts, limit=2), into=view(posts=list[PostRef])
        ),
        "LP310: no field of 'Card' reads 'any_posts'\n"
        "  at: Card\n"
        "  hint: did you mean 'posts'? Relationships that Card reads: posts. Give 'Card' a field for it, "
        "or leave the load out.",
    ),
    "LP310 on beside": (
        lambda: LoadPlan(Post, on(Post, into=TagRef), into=view(id=int)),
        "LP310: on(Post) says nothing to 'Card', which is made of all rows here\n"
        "  at: Card\n"
        "  hint: leave the branch out, or make a union of views, each with an on(..., into=...).",
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
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    """The whole message."""
    make, message = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == message
