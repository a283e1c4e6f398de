"""Where a field's value comes from: sources of every kind, and attributes of every kind."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NewType

import attrs
from sqlalchemy import bindparam, func
from views_models import Comment, Country, Mood, Place, Post, Tag, Topic, User

from loadplan import Loader, LoadPlan, aggregate, count, exists, keep_default, load, source


@attrs.frozen
class TagRef:
    id: int
    name: str


@attrs.frozen
class CommentRef:
    id: int


@attrs.frozen
class CommentText:
    text: str


@attrs.frozen
class Computed:
    comments: Annotated[int, count(Post.comments)]
    approved: Annotated[int, count(Post.comments, where=Comment.approved)]
    by_ann: Annotated[int, count(Post.comments, where=[Comment.approved, Comment.author_id == 1])]
    discussed: Annotated[bool, exists(Post.comments)]
    edited: Annotated[bool, exists(Post.editor)]
    disliked: Annotated[bool, exists(Post.comments, where=~Comment.approved)]
    best: Annotated[int | None, aggregate(Post.comments, func.max(Comment.score))]
    last: Annotated[datetime.datetime | None, aggregate(Post.comments, func.max(Comment.written_at))]
    total: Annotated[int, aggregate(Post.comments, func.coalesce(func.sum(Comment.score), 0))]
    good: Annotated[int | None, aggregate(Post.comments, func.sum(Comment.score), where=Comment.approved)]
    tags: Annotated[int, count(Post.tags)]


async def test_computed_over_a_collection(blog: Loader) -> None:
    """Counts, existence and aggregates, with and without conditions; and what they are of no rows."""
    found = await blog.fetch_all(LoadPlan(Post, into=Computed), order_by=Post.id)
    last = datetime.datetime(2026, 3, 4, 12)
    assert found[0] == Computed(3, 2, 1, True, True, True, 30, last, 60, 40, 2)
    assert found[1] == Computed(0, 0, 0, False, False, False, None, None, 0, None, 0)


@attrs.frozen
class Paths:
    author_country: Annotated[str | None, source(Post.author, User.country, Country.name)]
    editor: Annotated[str | None, source(Post.editor, User.name)]
    loud: Annotated[str, source(func.upper(Post.title))]
    deep: Annotated[str, source(Post.author, func.upper(User.name) + "!")]
    tags: Annotated[list[str], source(Post.tags, Tag.name)]
    tag_set: Annotated[frozenset[str], source(Post.tags, func.upper(Tag.name))]
    posts_of_author: Annotated[int, source(Post.author, count(User.posts))]
    writer: Annotated[str, source(Post.writer, User.name)]
    by_one: Annotated[bool, source(Post.is_by(1))]
    labels: Annotated[tuple[TagRef, ...], source(Post.tags)]


async def test_paths(blog: Loader) -> None:
    """Columns at the end of to-ones, expressions, collections of values, counts further away."""
    found = await blog.fetch_all(LoadPlan(Post, into=Paths), order_by=Post.id)
    labels = (TagRef(1, "red"), TagRef(2, "blue"))
    assert found[0] == Paths(
        "Iceland", "bob", "ONE", "ANN!", ["red", "blue"], frozenset({"RED", "BLUE"}), 1, "ann", True, labels
    )
    assert found[1] == Paths(None, None, "TWO", "BOB!", [], frozenset(), 2, "bob", False, ())


@attrs.frozen
class Attributes:
    loud_title: str
    title_length: int
    headline: str
    author_name: str
    editor_name: str | None
    tag_names: list[str]
    body: str
    mood: Mood


@attrs.frozen
class UserAttributes:
    address: Place
    any_posts: list[CommentRef]
    own_posts: tuple[CommentRef, ...]


async def test_attributes_of_every_kind(blog: Loader) -> None:
    """Hybrids, column properties, synonyms, association proxies, deferred columns, enums; composites and handles."""
    found = await blog.fetch(LoadPlan(Post, into=Attributes), 1)
    assert found == Attributes("one!", 3, "one", "ann", "bob", ["red", "blue"], "text", Mood.CALM)
    user = await blog.fetch(LoadPlan(User, into=UserAttributes), 2)
    assert user == UserAttributes(Place("B", "Beta"), [CommentRef(2), CommentRef(3)], (CommentRef(2), CommentRef(3)))


@attrs.frozen
class Whatever:
    address: Any


async def test_a_composite_of_any_type(blog: Loader) -> None:
    """``Any`` accepts a composite, as it accepts a column."""
    found = await blog.fetch(LoadPlan(User, into=Whatever), 2)
    assert found == Whatever(Place("B", "Beta"))


@attrs.frozen
class TwoOfOne:
    good: Annotated[list[CommentRef], load(Post.comments, where=Comment.approved, order_by=Comment.id.desc())]
    first: Annotated[list[CommentRef], load(Post.comments, order_by=Comment.id, limit=1)]
    comments: list[CommentText]


async def test_one_relationship_in_several_fields(blog: Loader) -> None:
    """Each with rows of its own, said in the annotation."""
    found = await blog.fetch(LoadPlan(Post, into=TwoOfOne), 1)
    assert found.good == [CommentRef(3), CommentRef(1)]
    assert found.first == [CommentRef(1)]
    assert [each.text for each in found.comments] == ["good", "bad", "fine"]


@attrs.frozen
class TwoByPlan:
    comments: list[CommentRef]
    texts: Annotated[list[CommentText], source(Post.comments)]


async def test_loads_told_apart_by_class(blog: Loader) -> None:
    """``load(..., into=)`` beside the view is for the field of that class; parameters come with the fetch."""
    plan = LoadPlan(
        Post,
        load(Post.comments, where=Comment.score > bindparam("score"), into=CommentRef),
        load(Post.comments, where=~Comment.approved, into=CommentText),
        into=TwoByPlan,
    )
    found = await blog.fetch(plan, 1, params={"score": 20})
    assert found == TwoByPlan([CommentRef(3)], [CommentText("bad")])


@attrs.frozen
class OpenItems:
    tags: list[Any]
    author: Any


async def test_classes_given_by_the_plan(blog: Loader) -> None:
    """A field may leave open what it holds."""
    plan = LoadPlan(Post, load(Post.tags, into=TagRef), load(Post.author, into=CommentRef), into=OpenItems)
    assert await blog.fetch(plan, 1) == OpenItems([TagRef(1, "red"), TagRef(2, "blue")], CommentRef(1))


UserId = NewType("UserId", int)
TagList = NewType("TagList", list[TagRef])


@attrs.frozen
class SettingRef:
    value: str


@attrs.frozen
class Containers:
    id: UserId
    tags: TagList
    by_key: Annotated[dict[str, SettingRef], source(Post.settings)]
    mapping: Annotated[Mapping[str, SettingRef], source(Post.settings)]
    plain: Annotated[list[SettingRef], source(Post.settings)]
    sequence: Annotated[Sequence[TagRef], source(Post.tags)]
    collection: Annotated[Collection[TagRef] | None, source(Post.tags)]
    items: Annotated[set[TagRef], source(Post.tags)]
    frozen: "Annotated[frozenset[Annotated[TagRef, 'noted']], source(Post.tags)]"
    extra: Annotated[list[int], keep_default] = attrs.field(factory=list)


async def test_containers(blog: Loader) -> None:
    """Each holds the same rows; a keyed collection may be read as a list."""
    found = await blog.fetch(LoadPlan(Post, into=Containers), 1)
    red, blue = TagRef(1, "red"), TagRef(2, "blue")
    settings = {"color": SettingRef("green"), "size": SettingRef("big")}
    assert found == Containers(
        UserId(1),
        TagList([red, blue]),
        settings,
        settings,
        [SettingRef("green"), SettingRef("big")],
        [red, blue],
        [red, blue],
        {red, blue},
        frozenset({red, blue}),
    )


@attrs.frozen
class Branch:
    name: str
    children: "list[Branch]" = attrs.field(factory=list)


@attrs.frozen
class Chain:
    name: str
    parent: "Chain | None" = None


async def test_trees(blog: Loader) -> None:
    """To a depth, or whole; down and up."""
    two = await blog.fetch(LoadPlan(Topic, load(Topic.children, depth=1), into=Branch), 1)
    assert two == Branch("root", [Branch("left"), Branch("right")])
    whole = await blog.fetch(LoadPlan(Topic, load(Topic.children, depth="all"), into=Branch), 1)
    assert whole == Branch("root", [Branch("left", [Branch("leaf")]), Branch("right")])
    up = await blog.fetch(LoadPlan(Topic, load(Topic.parent, depth="all"), into=Chain), 4)
    assert up == Chain("leaf", Chain("left", Chain("root")))
    short = await blog.fetch(LoadPlan(Topic, load(Topic.parent, depth=1), into=Chain), 4)
    assert short == Chain("leaf", Chain("left"))


async def test_classes_local_to_a_function(blog: Loader) -> None:
    """Evaluated annotations need no module; a class that names itself knows its name."""

    @attrs.frozen
    class Leaf:
        id: int

    @attrs.frozen
    class Local:
        name: str
        children: "list[Local]" = attrs.field(factory=list)

    @attrs.frozen
    class Card:
        id: int
        tags: list[Leaf]

    assert await blog.fetch(LoadPlan(Post, into=Card), 1) == Card(1, [Leaf(1), Leaf(2)])
    assert await blog.fetch(LoadPlan(Topic, load(Topic.children, depth=1), into=Local), 4) == Local("leaf")
    found = await blog.fetch(LoadPlan(Topic, into=WithNested), 2)
    assert found == WithNested("left", [WithNested.Child("leaf")])


@attrs.frozen
class WithNested:
    name: str

    @attrs.frozen
    class Child:
        name: str

    children: "list[Child]"
