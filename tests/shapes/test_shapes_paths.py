"""The same entity over two paths: what both declare is there; what cannot hold together is refused, naming both."""

from typing import Literal

import pytest
from shapes_models import Comment, Country, Note, Post, Tag, User
from sqlalchemy import bindparam, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load


async def test_columns_and_sub_loads_of_two_paths_merge(shapes: AsyncEngine) -> None:
    """The author of a comment may be the author of the post: one object, with the columns and loads of both places."""
    plan = LoadPlan(
        Post,
        load(Post.author, load(User.country), only=[User.name]),
        load(Post.comments, load(Comment.author, load(User.notes), only=[User.tenant])),
    )
    both = 0
    found = await Loader(shapes).fetch_all(plan)
    first = {id(post.author) for post in found if post.author}
    second = {id(c.author) for post in found for c in post.comments if c.author}
    for post in found:
        if post.author is not None:
            assert (post.author.name, post.author.country) is not None
        for comment in post.comments:
            author = comment.author
            if author is None:
                continue
            assert author.tenant in {1, 2}
            assert author.notes is not None
            if id(author) in first:
                both += 1
                assert {"name", "tenant", "country", "notes"} <= set(inspect(author).dict)
    assert both
    assert first & second
    for post in found:
        if post.author is not None and id(post.author) not in second:
            with pytest.raises(NotLoaded):
                _ = post.author.notes


async def test_one_row_is_one_object_whatever_statement_brings_it(shapes: AsyncEngine) -> None:
    """Joined, LATERAL, window, many-to-many: all of one statement's rows meet those of the others."""
    plan = LoadPlan(
        User,
        load(User.posts, load(Post.tags, order_by=Tag.id, limit=9), order_by=Post.score, limit=99),
        load(User.notes, load(Note.country), limit=99),
        load(User.country),
    )
    seen: dict[tuple[type, int], object] = {}
    for user in await Loader(shapes).fetch_all(plan):
        for each in [user, user.country, *user.posts, *(t for p in user.posts for t in p.tags)]:
            if each is not None:
                assert seen.setdefault((type(each), each.id), each) is each
        for note in user.notes:
            if note.country is not None:
                assert seen.setdefault((Country, note.country.id), note.country) is note.country


async def test_the_same_shape_over_two_paths_is_one_collection(shapes: AsyncEngine) -> None:
    shape = load(User.posts, where=Post.score > bindparam("score"), order_by=Post.score, limit=2)
    plan = LoadPlan(User, shape, load(User.notes), also := load(User.country)).also(also)
    nested = LoadPlan(Comment, load(Comment.author, shape), load(Comment.post, load(Post.author, shape)))
    for comment in await Loader(shapes).fetch_all(nested, params={"score": 0}):
        authors = [comment.author, comment.post and comment.post.author]
        for author in authors:
            if author is not None:
                assert len(author.posts) <= 2
                assert [p.score for p in author.posts] == sorted(p.score for p in author.posts)
    assert await Loader(shapes).fetch_all(plan, params={"score": 1})


def refused(*loads: object) -> str:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Comment, *loads, name="thread")  # type: ignore[arg-type]
    return str(caught.value)


HINT = "  hint: use the same where=, order_by= and limit= on both paths, or make two plans."


@pytest.mark.parametrize(
    ("one", "other", "said", "said_other"),
    [
        ({"where": Post.score > 1}, {}, "where=Post.score > 1", "all rows"),
        ({"where": Post.score > 1}, {"where": Post.score > 2}, "where=Post.score > 1", "where=Post.score > 2"),
        (
            {"order_by": Post.id, "limit": 2},
            {"order_by": Post.id, "limit": 3},
            "order_by=Post.id, limit=2",
            "order_by=Post.id, limit=3",
        ),
    ],
)
def test_different_rows_of_one_collection_name_both_paths(
    one: dict[str, object], other: dict[str, object], said: str, said_other: str
) -> None:
    text = refused(
        load(Comment.author, load(User.posts, **one)),  # type: ignore[arg-type]
        load(Comment.post, load(Post.author, load(User.posts, **other))),  # type: ignore[arg-type]
    )
    assert text == (
        "LP109: 'User.posts' is loaded over two paths, with different rows\n"
        "  at: thread\n"
        f"  detail: Comment.author > User.posts loads {said}. "
        f"Comment.post > Post.author > User.posts loads {said_other}. "
        "One object has only one collection of this name.\n" + HINT
    )


def test_different_rows_at_one_place_are_refused_too() -> None:
    text = refused(
        load(Comment.author, load(User.posts, where=Post.score > 1)),
        load(Comment.author, load(User.posts)),
    )
    assert text.startswith(
        "LP106: 'User.posts' is loaded twice, with different where=\n  at: thread > author > posts\n"
    )


def test_two_filters_of_one_to_one_are_refused_too() -> None:
    text = refused(
        load(Comment.author, load(User.country, where=Country.id > 1)),
        load(Comment.post, load(Post.author, load(User.country))),
    )
    assert text.startswith("LP109: 'User.country' is loaded over two paths, with different rows\n")


async def test_two_relationships_to_one_table_are_no_conflict(shapes: AsyncEngine) -> None:
    plan = LoadPlan(
        Post,
        load(Post.author, load(User.notes, where=Note.score > 1)),
        load(Post.tags, load(Tag.posts, where=Post.score > 1)),
    )
    assert len(await Loader(shapes).fetch_all(plan)) == 72


@pytest.mark.parametrize("strategy", [None, "selectin"])
async def test_a_filter_on_the_way_back_holds_against_the_parent_itself(
    shapes: AsyncEngine, strategy: Literal["selectin"] | None
) -> None:
    """The plan declares ``author`` with a filter; the user that the post was found through may fail it."""
    plan = LoadPlan(User, load(User.posts, load(Post.author, where=User.id > 6, strategy=strategy)))
    found = await Loader(shapes).fetch_all(plan)
    assert {(user.id > 6, post.author is user) for user in found for post in user.posts} == {
        (True, True),
        (False, False),
    }
