"""``typed=``: what a Protocol promises is loaded; ``loadplan types``: classes that say what plans load."""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from requests_models import TOPICS, USER_API, Comment, Post, Topic, User
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load
from loadplan.resolved.protocols import members_of
from loadplan.tools.generated import KINDS, source_of_types

POST_PAGE = LoadPlan(
    Post,
    load(Post.author, only=[User.first_name]),
    load(Post.comments, load(Comment.author), order_by=Comment.id),
    only=[Post.title],
    name="post page",
)
PLANS = {"POST_PAGE": POST_PAGE, "TOPICS": TOPICS}


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The module that is written of two plans, imported."""
    path = tmp_path / "written_types.py"
    path.write_text(source_of_types(PLANS.items(), "loadplan types shop.plans", request.param))
    spec = importlib.util.spec_from_file_location("written_types", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["written_types"] = module
    spec.loader.exec_module(module)
    module.kind = request.param  # type: ignore[attr-defined]
    yield module
    del sys.modules["written_types"]


async def test_what_is_written_serves(asked: AsyncEngine, written: Any) -> None:
    """Protocols for ``typed=``, and classes that hold what the entities hold for ``into=``."""
    entity = await Loader(asked).fetch(POST_PAGE, 11)
    if written.kind == "protocol":
        typed = LoadPlan(Post, *POST_PAGE.loads, typed=written.PostPage, only=POST_PAGE.only)
        assert typed != LoadPlan(Post, *POST_PAGE.loads, only=POST_PAGE.only)
        assert LoadPlan(TOPICS.entity, *TOPICS.loads, typed=written.Topics) is not None
        assert set(members_of(written.PostPage)) == {"id", "title", "author_id", "author", "comments"}
        found = await Loader(asked).fetch(typed, 11)
        assert isinstance(found, Post)
        assert "typed=PostPage" in repr(typed)
    else:
        found = await Loader(asked).fetch(LoadPlan(Post, *shapes(), into=written.PostPage), 11)
        assert type(found) is written.PostPage
        topic = await Loader(asked).fetch(
            LoadPlan(Topic, load(Topic.children, load(Topic.children, depth="all")), into=written.Topics), 1
        )
        assert topic.children[0].children[0].name == "one"
    assert (found.id, found.title, found.author.first_name) == (11, "post 11", "Ada")
    assert [(each.text, each.author.last_name) for each in found.comments] == [
        (each.text, each.author.last_name) for each in entity.comments
    ]


def shapes() -> list[Any]:
    return [load(Post.comments, order_by=Comment.id)]


class CommentPart(Protocol):
    @property
    def text(self) -> str: ...


class PostPart(Protocol):
    title: str

    @property
    def comments(self) -> Sequence[CommentPart]: ...


class UserPage(Protocol):
    @property
    def first_name(self) -> str: ...
    @property
    def posts(self) -> Sequence[PostPart]: ...


async def test_a_plan_has_the_type_of_its_protocol(asked: AsyncEngine) -> None:
    plan = LoadPlan(User, *USER_API.loads, typed=UserPage, name="page")
    user = await Loader(asked).fetch(plan, 1)
    assert user.posts[0].comments[0].text == "comment 21"
    with pytest.raises(NotLoaded):
        _ = user.posts[0].body  # type: ignore[attr-defined]
    assert plan.also(load(User.posts, where=Post.published)).typed is UserPage
    assert hash(plan) == hash(LoadPlan(User, *USER_API.loads, typed=UserPage, name="page"))


def protocol(**members: Any) -> Any:
    """A Protocol with these members."""
    return type("Page", (Protocol,), {"__annotations__": members})


@pytest.mark.parametrize(
    ("plan", "typed", "text"),
    [
        (
            LoadPlan(User),
            UserPage,
            "LP121: 'UserPage.posts' is in the Protocol, but the plan does not load 'User.posts'\n"
            "  at: User\n"
            "  hint: add load(User.posts) to the plan.",
        ),
        (
            LoadPlan(User, load(User.posts)),
            UserPage,
            "LP121: 'PostPart.comments' is in the Protocol, but the plan does not load 'Post.comments'\n"
            "  at: User > posts\n"
            "  hint: add load(Post.comments) under posts.",
        ),
        (
            LoadPlan(User, only=[User.last_name]),
            protocol(first_name=str),
            "LP121: 'Page.first_name' is in the Protocol, but the plan does not load 'User.first_name'\n"
            "  at: User\n"
            "  hint: add the column User.first_name to the plan, at its root.",
        ),
        (
            LoadPlan(User),
            protocol(frist_name=str),
            "LP121: 'User' has no 'frist_name' for 'Page.frist_name'\n  at: User\n  hint: did you mean 'first_name'?",
        ),
        (LoadPlan(User), protocol(id=str), "LP122: 'Page.id' is a 'str', but an Integer holds int\n  at: User"),
        (
            LoadPlan(TOPICS.entity),
            protocol(parent_id=int),
            "LP122: 'Page.parent_id' does not allow None, but req_topics.parent_id is nullable\n"
            "  at: Topic\n"
            "  hint: annotate it 'int | None'.",
        ),
        (
            LoadPlan(User, load(User.posts)),
            protocol(posts=Post),
            "LP122: 'Page.posts' is one 'Post', but the relationship is a collection\n"
            "  at: User > posts\n"
            "  hint: annotate it 'Sequence[Post]'.",
        ),
        (
            LoadPlan(Post, load(Post.author)),
            protocol(author=list[User]),
            "LP122: 'Page.author' is a collection, but the relationship leads to one row",
        ),
        (
            LoadPlan(Post, load(Post.author, where=User.id > 1)),
            protocol(author=User),
            "LP122: 'Page.author' does not allow None, but a where= may leave out its row\n"
            "  at: Post > author\n"
            "  hint: annotate it 'User | None'.",
        ),
        (
            LoadPlan(Post, load(Post.author)),
            protocol(author=Comment),
            "LP122: 'Page.author' is a 'Comment', but the relationship leads to 'User'",
        ),
        (LoadPlan(User), User, "LP121: typed=User is not a Protocol\n  at: User"),
    ],
)
def test_promises_that_the_plan_does_not_keep(plan: LoadPlan[Any], typed: Any, text: str) -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(plan.entity, *plan.loads, typed=typed, only=plan.only)
    assert str(caught.value).startswith(text)


def test_all_broken_promises_are_named() -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(User, load(User.posts, only=[Post.id]), typed=UserPage, only=[User.id])
    assert [each.message.split("'")[1] for each in caught.value.problems] == [
        "UserPage.first_name",
        "PostPart.title",
        "PostPart.comments",
    ]


def test_what_is_computed_is_not_asked_for() -> None:
    """Methods and properties of the class are there without being loaded."""
    assert LoadPlan(User, typed=protocol(metadata=Any)).typed is not None
