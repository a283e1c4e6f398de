"""A wrong view, sources, and loads beside a view: the whole message that a person reads."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import pytest
from problem_views import PostRef, TagRef, UserRef, view
from sqlalchemy import func, select
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
        "  hint: make it a source: Annotated[str, source(Post.title)].",
    ),
    "LP307 source over coll": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.tags, Tag.name)])),
        "LP307: the source of 'Card.n' leads through the collection 'Post.tags', but the field holds one "
        "value\n"
        "  at: Card\n"
        "  hint: write Annotated[list[str], source(Post.tags, Tag.name)], or compute one value: "
        "aggregate(Post.tags, func.max(Tag.name)).",
    ),
    "LP307 source wrong class": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Tag.name)])),
        "LP307: 'Card.n' is read from 'Post', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: write Annotated[list[str], source(Post.tags, Tag.name)].",
    ),
    "LP307 source wrong step": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author, Tag.name)])),
        "LP307: 'Card.n' is read from 'User', which has no 'Tag.name'\n"
        "  at: Card\n"
        "  hint: write Annotated[list[str], source(Post.tags, Tag.name)].",
    ),
    "LP307 source skip": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str | None, source(User.country, Country.name)])),
        "LP307: 'Card.n' is read from 'Post', which has no 'User.country'\n"
        "  at: Card\n"
        "  hint: write Annotated[str | None, source(Post.author, User.country, Country.name)].",
    ),
    "LP307 source col mid": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.title, User.name)])),
        "LP307: source() of 'Card.n' needs a relationship, but 'Post.title' is a column\n"
        "  at: Card\n"
        "  hint: write Annotated[str, source(Post.author, User.name)].",
    ),
    "LP307 source empty": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source()])),
        "LP307: the source of 'Card.n' is empty\n"
        "  at: Card\n"
        "  hint: name a column, for example Annotated[str, source(Post.title)].",
    ),
    "LP307 source str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source("author.name")])),
        "LP307: the source of 'Card.n' ends with 'author.name', which is not a column or a SQL "
        "expression\n"
        "  at: Card\n"
        "  hint: write Annotated[str, source(Post.author, User.name)].",
    ),
    "LP307 source expr other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(func.lower(User.name))])),
        "LP307: the source of 'Card.n' uses 'dcl_users', but only 'Post' is available here\n"
        "  at: Card\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: write Annotated[str, source(Post.author, func.lower(User.name))].",
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
        "LP307: aggregate() of 'Card.n' needs a function, but got 'Comment.score'\n"
        "  at: Card\n"
        "  hint: write aggregate(Post.comments, func.max(Comment.score)).",
    ),
    "LP307 agg other": (
        lambda: LoadPlan(Post, into=view(n=Annotated[int | None, aggregate(Post.comments, func.max(Tag.id))])),
        "LP307: the source of 'Card.n' uses 'dcl_tags', but only 'Comment' is available here\n"
        "  at: Card\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: use columns of this class, or a subquery with .scalar_subquery().",
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
        "  hint: annotate it 'list[str]', or compute one value: aggregate(Post.tags, func.max(Tag.name)).",
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


NO_VALUE = ", which is not a column or a SQL expression"
MANY_ROWS = ", an aggregate, which has one value for many rows"
AUTHOR = "write Annotated[str, source(Post.author, User.name)]."
NEWEST = "write Annotated[int | None, aggregate(Post.comments, func.max(Comment.id))]."

#: name: (the wrong annotation, the rest of the message, the hint)
SOURCES: dict[str, tuple[Callable[[], object], str, str]] = {
    "a class": (lambda: Annotated[str, source(Post.author, User)], f"ends with the class 'User'{NO_VALUE}", AUTHOR),
    "another class alone": (lambda: Annotated[str, source(User)], f"ends with the class 'User'{NO_VALUE}", AUTHOR),
    "its class": (
        lambda: Annotated[str, source(Post)],
        f"ends with the class 'Post'{NO_VALUE}",
        "write Annotated[str, source(Post.title)].",
    ),
    "a number": (lambda: Annotated[str, source(Post.author, 3)], f"ends with 3{NO_VALUE}", AUTHOR),
    "a lambda": (lambda: Annotated[str, source(Post.author, lambda: 3)], f"ends with a lambda{NO_VALUE}", AUTHOR),
    "a name": (lambda: Annotated[str, source(Post.author, "name")], f"ends with 'name'{NO_VALUE}", AUTHOR),
    "a wrong name": (
        lambda: Annotated[str, source(Post.author, "nmae")],
        f"ends with 'nmae'{NO_VALUE}",
        "did you mean 'name'? Columns of User: country_id, id, name, street, town.",
    ),
    "a list": (
        lambda: Annotated[str, source([Post.author, User.name])],
        f"ends with [Post.author, User.name]{NO_VALUE}",
        AUTHOR,
    ),
    "a path in a path": (
        lambda: Annotated[str, source(Post.author, source(User.name))],
        f"ends with source(User.name){NO_VALUE}",
        AUTHOR,
    ),
    "an order": (
        lambda: Annotated[str, source(Post.author, User.name.desc())],
        "ends with User.name.desc(), an order",
        AUTHOR,
    ),
    "an aggregate of one row": (
        lambda: Annotated[int, source(Post.author, func.max(User.id))],
        f"ends with func.max(User.id){MANY_ROWS}",
        "write Annotated[int, source(Post.author, User.id)].",
    ),
    "an aggregate of its own class": (
        lambda: Annotated[int, source(func.max(Post.id))],
        f"ends with func.max(Post.id){MANY_ROWS}",
        "write Annotated[int, source(Post.id)].",
    ),
    "an aggregate of related rows": (
        lambda: Annotated[int, source(func.max(Comment.id))],
        f"ends with func.max(Comment.id){MANY_ROWS}",
        NEWEST,
    ),
    "aggregates of related rows": (
        lambda: Annotated[list[int], source(Post.comments, func.max(Comment.id))],
        f"ends with func.max(Comment.id){MANY_ROWS}",
        NEWEST,
    ),
    "an aggregate after a collection": (
        lambda: Annotated[int, source(Post.comments, func.max(Comment.id))],
        "leads through the collection 'Post.comments', but the field holds one value",
        NEWEST,
    ),
    "a count": (
        lambda: Annotated[int, source(Post.author, User.posts, func.count(Post.id))],
        "leads through the collection 'User.posts', but the field holds one value",
        "write Annotated[int, source(Post.author, count(User.posts))].",
    ),
    "a select": (
        lambda: Annotated[str, source(select(User.name))],
        "ends with a select(), which is not one value",
        "make it one value: select(...).scalar_subquery().",
    ),
}

#: name: (the wrong annotation, the message without its code, the hint)
RELATIONSHIPS: dict[str, tuple[Callable[[], object], str, str]] = {
    "one row": (
        lambda: Annotated[str, source(Post.author)],
        "'Card.n' is 'str', but 'Post.author' leads to 'User'",
        "annotate it with a view class of 'User', or read one column: Annotated[str, source(Post.author, User.name)].",
    ),
    "a collection": (
        lambda: Annotated[str, source(Post.author, User.posts)],
        "'Card.n' is one 'str', but 'User.posts' is a collection",
        "read a column of each row: Annotated[list[str], source(Post.author, User.posts, Post.title)], or count the "
        "rows: Annotated[int, source(Post.author, count(User.posts))].",
    ),
    "a collection in a list": (
        lambda: Annotated[list[str], source(Post.author, User.posts)],
        "'Card.n' is 'list[str]', but 'User.posts' leads to 'Post'",
        "annotate it with a view class of 'Post', or read one column: "
        "Annotated[list[str], source(Post.author, User.posts, Post.title)].",
    ),
    "a number of rows": (
        lambda: Annotated[int, source(Post.comments)],
        "'Card.n' is one 'int', but 'Post.comments' is a collection",
        "count the rows: Annotated[int, count(Post.comments)], or read a column: "
        "Annotated[list[int], source(Post.comments, Comment.score)].",
    ),
    "an order around": (
        lambda: Annotated[str, source(Post.author, User.name).desc()],
        "'Card.n' is annotated with source(Post.author, User.name).desc(), which is an order",
        "leave out the direction: source(Post.author, User.name).",
    ),
    "a count by name": (
        lambda: Annotated[int, count(wrong("comments"))],
        "count() of 'Card.n' needs attributes of the classes, but got the text 'comments'",
        "write count(Post.comments).",
    ),
    "a count of another class": (
        lambda: Annotated[int, count(User.posts)],
        "count() of 'Card.n' needs a relationship of 'Post', but got 'User.posts'",
        "write source(Post.author, count(User.posts)).",
    ),
    "an aggregate the wrong way round": (
        lambda: Annotated[int | None, aggregate(func.max(Comment.id), Post.comments)],
        "aggregate() of 'Card.n' needs a relationship of 'Post', but got the SQL expression 'max(dcl_comments.id)'",
        "write aggregate(Post.comments, func.max(Comment.id)).",
    ),
    "an aggregate of a class": (
        lambda: Annotated[int | None, aggregate(wrong(Comment), func.max(Comment.id))],
        "aggregate() of 'Card.n' needs a relationship of 'Post', but got the class 'Comment'",
        "write aggregate(Post.comments, func.max(Comment.id)).",
    ),
    "the name of a function": (
        lambda: Annotated[int | None, aggregate(Post.comments, "min")],
        "aggregate() of 'Card.n' needs a function, but got 'min'",
        "write aggregate(Post.comments, func.min(Comment.score)).",
    ),
    "a function without a source": (
        lambda: Annotated[int, func.max(Comment.id)],
        "'Card.n' is annotated with a SQL expression, which is not a source",
        "make it a source: Annotated[int | None, aggregate(Post.comments, func.max(Comment.id))].",
    ),
}
WRITTEN = {name: (make, f"the source of 'Card.n' {said}", hint) for name, (make, said, hint) in SOURCES.items()}
NAMES = {each.__name__: each for each in (Annotated, Comment, Country, Post, Tag, User, aggregate, count, source)}


def wrong(value: Any) -> Any:
    """What a type checker would refuse."""
    return value


@pytest.mark.parametrize("name", [*WRITTEN, *RELATIONSHIPS])
def test_a_wrong_source_and_the_one_that_is_meant(name: str) -> None:
    """The whole message. The code in the hint, pasted, makes a plan that stands."""
    make, said, hint = (WRITTEN | RELATIONSHIPS)[name]
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view(n=make()))
    code = caught.value.code
    assert str(caught.value) == f"{code}: {said}\n  at: Card\n  hint: {hint}"
    assert code == ("LP306" if said.endswith("is a collection") else "LP304" if "leads to '" in said else "LP307")
    for written in hint.removesuffix(".").split(", or "):
        code = re.sub(r"^(write|[^\[(]*:) ", "", written)
        if code.startswith(("Annotated[", "source(", "count(", "aggregate(")):
            pasted = eval(code, {**NAMES, "func": func})  # noqa: S307 - the hint is code
            LoadPlan(Post, into=view(n=pasted if code[0] == "A" else Annotated[Any, pasted]))


def test_a_condition_that_speaks_of_the_row_before() -> None:
    """A condition on any post of the author would be another one."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view(n=Annotated[str | None, source(Post.author.and_(Post.id > 1), User.name)]))
    assert str(caught.value) == (
        "LP215: where= of 'Post.author' uses 'dcl_posts', but only 'User' is available here\n"
        "  at: Card > n\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: use columns of 'User' in it. To choose rows of 'Post', pass where= to their fetch or load."
    )
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments, where=Post.id > 1)]))
    assert caught.value.hint == "write the condition with a relationship: Comment.post.has(Post.id > 1)."
    LoadPlan(Post, into=view(n=Annotated[int, count(Post.comments, where=Comment.post.has(Post.id > 1))]))
