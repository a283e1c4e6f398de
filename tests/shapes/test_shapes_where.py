"""``where=`` and ``order_by=`` with the values of the moment, at every level and in every kind of statement."""

from typing import Any

import pytest
from shapes_models import Comment, Country, Node, Note, Post, Tag, User, post_tags
from sqlalchemy import Float, bindparam, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import selectinload

from loadplan import Loader, LoadPlan, ParameterError, load
from support import recording

EVERYWHERE = LoadPlan(
    User,
    load(User.country, where=Country.name == bindparam("country")),
    load(
        User.posts,
        load(Post.tags, where=Tag.id > bindparam("tag"), order_by=func.abs(Tag.id - bindparam("near")), limit=2),
        load(
            Post.comments,
            load(
                Comment.author,
                load(User.notes, where=Note.score == bindparam("note"), strategy="subquery"),
                where=or_(User.id > bindparam("writer"), User.name.is_(None)),
            ),
            where=Comment.n.in_(bindparam("n", expanding=True)),
            order_by=[Comment.n.desc(), Comment.id],
        ),
        where=Post.score >= bindparam("score"),
        order_by=case((Post.score == bindparam("first"), 0), else_=1),
        limit=4,
    ),
    name="everywhere",
)
SETTINGS: list[dict[str, Any]] = [
    {"country": "a", "tag": 1, "near": 4, "note": 1, "writer": 3, "n": [0, 2], "score": 1, "first": 2},
    {"country": "b", "tag": 0, "near": 1, "note": 3, "writer": 9, "n": [1], "score": 0, "first": 3},
    {"country": "b", "tag": 3, "near": 9, "note": 0, "writer": 0, "n": [], "score": 3, "first": 3},
]


async def whole(engine: AsyncEngine) -> list[User]:
    """Every user and all that hangs on it, by SQLAlchemy itself."""
    posts = selectinload(User.posts)
    comments = posts.selectinload(Post.comments).selectinload(Comment.author)
    statement = (
        select(User)
        .order_by(User.id)
        .options(
            selectinload(User.country),
            posts.selectinload(Post.tags),
            comments.selectinload(User.notes),
        )
    )
    async with AsyncSession(engine) as session:
        return list((await session.scalars(statement)).all())


@pytest.mark.parametrize("values", SETTINGS)
async def test_parameters_arrive_at_every_level(shapes: AsyncEngine, values: dict[str, Any]) -> None:
    """Joined, limited, many-to-many, subquery, nested three deep; the oracle filters, sorts and slices in Python."""
    found = await Loader(shapes).fetch_all(EVERYWHERE, order_by=User.id, params=values)
    for user, every in zip(found, await whole(shapes), strict=True):
        country = every.country if every.country and every.country.name == values["country"] else None
        assert (user.country and user.country.id) == (country and country.id)
        posts = sorted(
            (post for post in every.posts if post.score >= values["score"]),
            key=lambda post: (post.score != values["first"], post.id),
        )[:4]
        assert [post.id for post in user.posts] == [post.id for post in posts]
        for post, its in zip(user.posts, posts, strict=True):
            tags = sorted(
                (tag for tag in its.tags if tag.id > values["tag"]),
                key=lambda tag: (abs(tag.id - values["near"]), tag.id),
            )
            assert [tag.id for tag in post.tags] == list(dict.fromkeys(tag.id for tag in tags))[:2]
            comments = sorted((each for each in its.comments if each.n in values["n"]), key=lambda c: (-c.n, c.id))
            assert [each.id for each in post.comments] == [each.id for each in comments]
            for comment, full in zip(post.comments, comments, strict=True):
                author = full.author
                if author is not None and not (author.id > values["writer"] or author.name is None):
                    author = None
                assert (comment.author and comment.author.id) == (author and author.id)
                if author is not None and comment.author is not None:
                    notes = sorted(
                        (n for n in author.notes if n.score == values["note"]), key=lambda n: (n.score, n.id)
                    )
                    assert [note.id for note in comment.author.notes] == [note.id for note in notes]


@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_a_filter_on_a_to_one_never_drops_its_parent(shapes: AsyncEngine, strategy: Any) -> None:
    plan = LoadPlan(
        Comment,
        load(
            Comment.post,
            load(Post.author, where=User.name == bindparam("name"), strategy=strategy),
            where=Post.score == bindparam("score"),
            strategy=strategy,
        ),
    )
    every = await Loader(shapes).fetch_all(
        LoadPlan(Comment, load(Comment.post, load(Post.author))), order_by=Comment.id
    )
    for score in (0, 3, 99):
        found = await Loader(shapes).fetch_all(plan, order_by=Comment.id, params={"score": score, "name": "x"})
        for comment, full in zip(found, every, strict=True):
            post = full.post if full.post and full.post.score == score else None
            assert (comment.post and comment.post.id) == (post and post.id)
            if post is not None and comment.post is not None:
                author = post.author if post.author and post.author.name == "x" else None
                assert (comment.post.author and comment.post.author.id) == (author and author.id)


@pytest.mark.parametrize("strategy", [None, "selectin"])
async def test_a_filter_on_a_to_one_may_ask_with_has_and_any(shapes: AsyncEngine, strategy: Any) -> None:
    """The EXISTS is about the joined target, whatever alias it goes by."""
    condition = [Post.author.has(User.name == bindparam("name")), Post.tags.any(Tag.id == bindparam("tag"))]
    plan = LoadPlan(Comment, load(Comment.post, where=condition, strategy=strategy))
    every = await Loader(shapes).fetch_all(
        LoadPlan(Comment, load(Comment.post, load(Post.author), load(Post.tags))), order_by=Comment.id
    )
    found = await Loader(shapes).fetch_all(plan, order_by=Comment.id, params={"name": "y", "tag": 2})
    expected = [
        full.post.id
        if full.post
        and full.post.author
        and full.post.author.name == "y"
        and any(tag.id == 2 for tag in full.post.tags)
        else None
        for full in every
    ]
    assert [comment.post and comment.post.id for comment in found] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("limit", [None, 2])
async def test_a_filter_on_a_collection_may_ask_with_has_and_any(shapes: AsyncEngine, limit: int | None) -> None:
    """The collection's own class comes again inside the EXISTS."""
    condition = [Post.comments.any(Comment.n == 1), ~Post.tags.any(Tag.id == bindparam("tag"))]
    plan = LoadPlan(User, load(User.posts, where=condition, order_by=Post.score, limit=limit))
    every = await Loader(shapes).fetch_all(
        LoadPlan(User, load(User.posts, load(Post.comments), load(Post.tags))), order_by=User.id
    )
    found = await Loader(shapes).fetch_all(plan, order_by=User.id, params={"tag": 5})
    for user, full in zip(found, every, strict=True):
        posts = [
            post
            for post in full.posts
            if any(each.n == 1 for each in post.comments) and 5 not in {tag.id for tag in post.tags}
        ]
        expected = [post.id for post in sorted(posts, key=lambda post: (post.score, post.id))[:limit]]
        assert [post.id for post in user.posts] == expected


async def test_ties_go_by_the_primary_key(shapes: AsyncEngine) -> None:
    """In every kind of statement; scores tie, titles are NULL."""
    orders = {
        Post.score: lambda post: (post.score, post.id),
        Post.score.desc(): lambda post: (-post.score, post.id),
        Post.title.is_(None).desc(): lambda post: (post.title is not None, post.id),
        Post.score % 2: lambda post: (post.score % 2, post.id),
    }
    for order, key in orders.items():
        for limit in (None, 50):
            plan = LoadPlan(User, load(User.posts, order_by=order, limit=limit))
            for user in await Loader(shapes).fetch_all(plan):
                assert [post.id for post in user.posts] == [post.id for post in sorted(user.posts, key=key)]


def message(label: str, text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([f"LP405: {first}", f"  at: {label}", *rest])


PARAMETERS = "Parameters: country, first, n, near, note, score, tag, writer."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"score": ...},
            "parameter 'score' has no value\n  hint: pass the value with the fetch: params={'score': ...}.",
        ),
        ({"n": ...}, "parameter 'n' has no value\n  hint: pass the value with the fetch: params={'n': ...}."),
        ({"scores": 1}, f"the plan has no parameter 'scores'\n  hint: did you mean 'score'? {PARAMETERS}"),
        ({"zzzzzz": 1}, f"the plan has no parameter 'zzzzzz'\n  hint: {PARAMETERS}"),
        ({"score": "1"}, "'1' cannot be the value of parameter 'score'\n  detail: it takes int, not str."),
        ({"score": True}, "True cannot be the value of parameter 'score'\n  detail: it takes int, not bool."),
        ({"country": 5}, "5 cannot be the value of parameter 'country'\n  detail: it takes str, not int."),
        ({"n": 1}, "1 cannot be the value of parameter 'n'\n  detail: it takes a list, not int."),
        ({"n": [1, "2"]}, "'2' cannot be the value of parameter 'n'\n  detail: it takes int, not str."),
        ({"near": 1.5}, "1.5 cannot be the value of parameter 'near'\n  detail: it takes int, not float."),
        ({"writer": 1 << 80}, None),
    ],
)
async def test_a_parameter_that_does_not_fit_is_refused_before_any_sql(
    shapes: AsyncEngine, change: dict[str, Any], text: str | None
) -> None:
    values = {key: value for key, value in (SETTINGS[0] | change).items() if value is not ...}
    loader = Loader(shapes)
    with recording(shapes) as statements:
        for call in (
            lambda: loader.fetch(EVERYWHERE, 1, params=values),
            lambda: loader.fetch_or_none(EVERYWHERE, 1, params=values),
            lambda: loader.fetch_many(EVERYWHERE, [1, 2], params=values),
            lambda: loader.fetch_one(EVERYWHERE, User.id == 1, params=values),
            lambda: loader.fetch_all(EVERYWHERE, params=values),
            lambda: loader.fetch_page(EVERYWHERE, params=values),
            lambda: anext(loader.stream(EVERYWHERE, params=values)),
        ):
            with pytest.raises(ParameterError) as caught:
                await call()
            if text is None:
                assert caught.value.detail in {"it does not fit 32 bits.", "it does not fit 64 bits."}
            else:
                assert str(caught.value) == message("everywhere", text)
    assert statements == []


async def test_parameters_of_the_fetch_and_of_the_plan_are_one_set(shapes: AsyncEngine) -> None:
    plan = LoadPlan(User, load(User.posts, where=Post.score == bindparam("score")))
    loader = Loader(shapes)
    found = await loader.fetch_all(plan, where=User.id == bindparam("id"), params={"id": 2, "score": 1})
    assert [user.id for user in found] == [2]
    assert {post.score for post in found[0].posts} <= {1}
    with pytest.raises(ParameterError, match="parameter 'id' has no value"):
        await loader.fetch_all(plan, where=User.id == bindparam("id"), params={"score": 1})
    with pytest.raises(ParameterError, match="the plan has no parameter 'id'"):
        await loader.fetch_all(plan, params={"id": 2, "score": 1})


async def test_a_value_of_its_own_at_one_place_is_none_for_the_other_places(shapes: AsyncEngine) -> None:
    """The plan needs a value for ``low``. The condition of the fetch has one, for itself."""
    plan = LoadPlan(User, load(User.posts, where=Post.score >= bindparam("low")))
    loader = Loader(shapes)
    with recording(shapes) as statements:
        for call in (loader.fetch_all, loader.fetch_one):
            with pytest.raises(ParameterError, match="parameter 'low' has no value"):
                await call(plan, User.id > bindparam("low", 0))
    assert statements == []
    assert await loader.fetch_all(plan, User.id > bindparam("low", 0), params={"low": 1})


async def test_a_parameter_with_a_value_of_its_own_may_be_left_out(shapes: AsyncEngine) -> None:
    plan = LoadPlan(User, load(User.posts, where=Post.score == bindparam("score", 2)))
    for given, score in (({}, 2), ({"score": 0}, 0)):
        found = await Loader(shapes).fetch_all(plan, params=given)
        assert {post.score for user in found for post in user.posts} == {score}


async def test_the_statements_are_the_same_for_other_values(shapes: AsyncEngine) -> None:
    """Other values, other parents: on PostgreSQL one text, elsewhere an IN for as many keys as there are."""
    if shapes.dialect.name != "postgresql":
        pytest.skip("an expanding IN has as many marks as keys")
    texts = []
    for values in SETTINGS[:2]:
        with recording(shapes) as statements:
            await Loader(shapes).fetch_all(EVERYWHERE, params=values | {"n": [0]})
        texts.append(list(statements))
    assert texts[0] == texts[1]


async def test_order_by_a_column_of_the_association(shapes: AsyncEngine) -> None:
    plan = LoadPlan(Post, load(Post.tags, where=post_tags.c.pos > 0, order_by=[post_tags.c.pos.desc(), Tag.id]))
    async with shapes.connect() as connection:
        rows = (await connection.execute(select(post_tags).order_by(post_tags.c.pos.desc(), post_tags.c.tag_id))).all()
    for post in await Loader(shapes).fetch_all(plan):
        expected = dict.fromkeys(row.tag_id for row in rows if row.post_id == post.id and row.pos > 0)
        assert [tag.id for tag in post.tags] == list(expected)


async def test_parameters_in_a_whole_tree(shapes: AsyncEngine) -> None:
    """The recursive statement binds them at both of its steps."""
    plan = LoadPlan(Node, load(Node.kids, where=Node.rank < bindparam("rank"), order_by=Node.rank, depth="all"))
    every = {node.id: node for node in await Loader(shapes).fetch_all(LoadPlan(Node, load(Node.kids)))}
    for rank in (0, 1, 2, 3):
        for node in await Loader(shapes).fetch_all(plan, params={"rank": rank}):
            kids = sorted((k for k in every[node.id].kids if k.rank < rank), key=lambda kid: (kid.rank, kid.id))
            assert [kid.id for kid in node.kids] == [kid.id for kid in kids]


async def test_a_float_parameter_is_checked_as_any_other(shapes: AsyncEngine) -> None:
    """``Float`` is a kind of ``Numeric`` in SQLAlchemy 2.0 and none in 2.1."""
    plan = LoadPlan(User, load(User.posts, where=Post.score > bindparam("ratio", type_=Float)))
    found = await Loader(shapes).fetch_all(plan, params={"ratio": 1.5})
    assert {post.score for user in found for post in user.posts} == {2, 3}
    with (
        recording(shapes) as statements,
        pytest.raises(ParameterError, match="'x' cannot be the value of parameter 'ratio'"),
    ):
        await Loader(shapes).fetch_all(plan, params={"ratio": "x"})
    assert statements == []
