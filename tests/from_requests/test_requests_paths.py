"""Names from a request become a plan, within one that was declared, and never more than that one."""

import dataclasses
from typing import Annotated, Any, NamedTuple

import attrs
import pytest
from pydantic import BaseModel, ConfigDict, Field
from requests_models import NAMES, TOPICS, USER_API, Comment, Moderator, Post, Topic, User
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, count, load, on
from loadplan.resolved.narrowing import MOST_PLANS, _narrowed_plan
from support import recording

WHOLE = [User.first_name, User.id, User.kind, User.last_name]
FIRST = [User.first_name]


def narrowed(*paths: str) -> LoadPlan[User]:
    return LoadPlan.for_paths(User, paths, allowed=USER_API)


@pytest.mark.parametrize(
    ("paths", "plan"),
    [
        ([], LoadPlan(User, on(Moderator, only=[Moderator.level]), only=WHOLE, name="user api")),
        (["first_name"], LoadPlan(User, only=[User.first_name], name="user api")),
        (["level"], LoadPlan(User, on(Moderator, only=[Moderator.level]), only=WHOLE, name="user api")),
        (
            ["first_name", "posts.title"],
            LoadPlan(User, load(User.posts, where=Post.published, only=[Post.title]), only=FIRST, name="user api"),
        ),
        (
            ["first_name", "posts.comments.author.last_name", "posts.id"],
            LoadPlan(
                User,
                load(
                    User.posts,
                    load(
                        Post.comments,
                        load(Comment.author, only=[User.last_name]),
                        order_by=Comment.id,
                        limit=3,
                    ),
                    where=Post.published,
                    only=[Post.id],
                ),
                only=[User.first_name],
                name="user api",
            ),
        ),
    ],
)  # fmt: skip
def test_the_plan_that_names_ask_for(paths: list[str], plan: LoadPlan[User]) -> None:
    """Conditions, orders and limits are the declared plan's, whatever is named."""
    found = LoadPlan.for_paths(User, paths, allowed=USER_API)
    assert found == plan
    assert repr(found) == repr(plan)


async def test_what_comes(asked: AsyncEngine) -> None:
    with recording(asked) as statements:
        user = await Loader(asked).fetch(narrowed("first_name", "posts.title", "posts.comments.text"), 1)
    assert [post.title for post in user.posts] == ["post 11", "post 12"]
    assert [comment.text for comment in user.posts[0].comments] == ["comment 21", "comment 22", "comment 23"]
    assert len(statements.selects) == 3
    assert "secret" not in str(statements)
    assert "body" not in str(statements)
    for read in (lambda: user.last_name, lambda: user.secret, lambda: user.posts[0].comments[0].author):
        with pytest.raises(NotLoaded):
            read()


async def test_branches_come_by_their_names(asked: AsyncEngine) -> None:
    bob = await Loader(asked).fetch(narrowed("first_name", "level"), 2)
    assert isinstance(bob, Moderator)
    assert (bob.first_name, bob.level) == ("Bob", 7)
    bob = await Loader(asked).fetch(narrowed("first_name"), 2)
    with pytest.raises(NotLoaded):
        _ = bob.level  # type: ignore[attr-defined]


async def test_trees_are_one_place(asked: AsyncEngine) -> None:
    plan = TOPICS.narrowed_to(["name", "children.children.name"])
    assert plan == TOPICS.narrowed_to(["children.name", "name"])
    root = await Loader(asked).fetch(plan, 1)
    assert root.children[0].children[0].name == "one"
    with pytest.raises(PlanError, match="'note' is not allowed by plan 'topics'"):
        TOPICS.narrowed_to(["children.note"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("secret", "'secret' is not allowed by plan 'user api'\n  at: user api\n  hint: Allowed at the root: "),
        ("posts.body", "'body' is not allowed by plan 'user api'\n  at: user api > posts\n  hint: "),
        ("posts.author", "'author' is not allowed by plan 'user api'\n  at: user api > posts\n"),
        ("posts.titel", "hint: did you mean 'title'? Allowed at posts: author_id, comments, id, published, title."),
        ("posts.comments.author.secret", "at: user api > posts > comments > author\n  hint: Allowed at "),
        ("first_name.x", "'first_name' is not allowed"),
        ("", "'' is not allowed"),
        ("posts..title", "'' is not allowed"),
        ("__class__", "'__class__' is not allowed"),
        ("metadata", "'metadata' is not allowed"),
        (None, "None is not a path of names"),
        (".".join(["children"] * 100), "is not a path of names"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named_with_what_is(path: Any, text: str) -> None:
    with pytest.raises(PlanError) as caught:
        narrowed(path)
    assert caught.value.code == "LP120"
    assert text in str(caught.value)


def test_all_wrong_names_are_listed_and_not_too_many() -> None:
    with pytest.raises(PlanError) as caught:
        narrowed("secret", "posts.body", "posts.comments.nothing")
    assert len(caught.value.problems) == 3
    with pytest.raises(PlanError) as caught:
        narrowed(*(f"x{n}" for n in range(1000)))
    assert len(str(caught.value)) < 10_000


def test_the_entity_is_that_of_the_plan() -> None:
    with pytest.raises(PlanError, match="allows names of 'User', not of 'Post'"):
        LoadPlan.for_paths(Post, ["title"], allowed=USER_API)


def test_equal_names_share_one_plan_and_memory_has_a_bound() -> None:
    _narrowed_plan.cache_clear()
    one = narrowed("posts.title", "first_name")
    assert narrowed("first_name", "posts.title", "first_name") is one
    same = LoadPlan(User, *USER_API.loads, defer=USER_API.defer, name="user api")
    assert same is not USER_API
    assert same.narrowed_to(["first_name", "posts.title"]) is one
    for number in range(MOST_PLANS + 50):
        LoadPlan(User, *USER_API.loads, name=f"plan {number}").narrowed_to(["first_name"])
    assert _narrowed_plan.cache_info().currsize == MOST_PLANS
    with pytest.raises(PlanError):
        narrowed("wrong")
    assert _narrowed_plan.cache_info().currsize == MOST_PLANS


# --- views ----------------------------------------------------------------------------------------------------------


class AuthorName(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: int
    last_name: str = Field(serialization_alias="lastName")


@attrs.frozen
class CommentLine:
    id: int
    text: str
    author: AuthorName


@dataclasses.dataclass
class PostCard:
    id: int
    title: str
    author: AuthorName
    comments: list[CommentLine]
    comment_count: Annotated[int, count(Post.comments)]


class Pair(NamedTuple):
    id: int
    title: str


CARDS = LoadPlan(Post, load(Post.comments, order_by=Comment.id.desc(), limit=2), into=PostCard, name="cards")


async def test_views_have_the_named_fields_alone(asked: AsyncEngine) -> None:
    plan = CARDS.narrowed_to(["title", "author.last_name"])
    with recording(asked) as statements:
        card = await Loader(asked).fetch(plan, 11)
    assert dataclasses.is_dataclass(card)
    assert [field.name for field in dataclasses.fields(card)] == ["title", "author"]
    assert card.author.model_dump(by_alias=True) == {"lastName": "Byron"}
    assert "count(" not in str(statements)
    assert "req_comments" not in str(statements)
    assert type(card).__name__ == "PostCard"
    card = await Loader(asked).fetch(CARDS.narrowed_to(["comments.text", "comment_count"]), 11)
    assert [line.text for line in card.comments] == ["comment 25", "comment 24"]
    assert attrs.asdict(card.comments[0]) == {"text": "comment 25"}
    assert card.comment_count == 5
    assert CARDS.narrowed_to(["comments.text"]) is CARDS.narrowed_to(["comments.text"])
    assert CARDS.narrowed_to(["author"]).into is not CARDS.into
    whole = await Loader(asked).fetch(CARDS.narrowed_to(["author"]), 11)
    assert whole.author == AuthorName(id=1, last_name="Byron")
    assert (await Loader(asked).fetch(LoadPlan(Post, into=Pair).narrowed_to(["title"]), 11)) == ("post 11",)


def test_wrong_names_of_views() -> None:
    with pytest.raises(PlanError, match="did you mean 'title'"):
        CARDS.narrowed_to(["titel"])
    with pytest.raises(PlanError, match="'x' is not allowed by plan 'cards'"):
        CARDS.narrowed_to(["title.x"])
    with pytest.raises(PlanError, match=r"Allowed at comments\.author: id, last_name"):
        CARDS.narrowed_to(["comments.author.first_name"])


def test_nested_plans_are_looked_into() -> None:
    assert NAMES.narrowed_to(["last_name"]) == LoadPlan(User, only=[User.last_name], name="User")
    nested = LoadPlan(Post, load(Post.author, NAMES), name="nested").narrowed_to(["id", "author.last_name"])
    assert nested == LoadPlan(Post, load(Post.author, only=[User.last_name]), only=[Post.id], name="nested")
    assert inspect(Topic).relationships.keys() == ["children"]
