"""A wrong view, classes, containers, and where they end: the whole message that a person reads."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import pytest
from problem_views import Bare, Forward, Hashless, Later, Node, TagList, TagRef, TwoWays, view
from views_models import Post, Tag, Topic

import loadplan
from loadplan import PlanError, load, source

LoadPlan: Any = loadplan.LoadPlan
T = TypeVar("T")

#: name: (what makes it, what it says)
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "LP304 undecorated": (
        lambda: LoadPlan(Post, into=view(tags=list[Bare])),
        "LP304: 'Bare' has annotations, but no constructor that takes them\n"
        "  at: Card > tags\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or "
        "NamedTuple.",
    ),
    "LP304 undecorated root": (
        lambda: LoadPlan(Post, into=Bare),
        "LP304: 'Bare' has annotations, but no constructor that takes them\n"
        "  at: Bare\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or "
        "NamedTuple.",
    ),
    "LP304 entity": (
        lambda: LoadPlan(Post, into=view(tags=list[Tag])),
        "LP304: 'Tag' is a mapped class, not a view class\n"
        "  at: Card > tags\n"
        "  hint: write a class with the fields that you read. To load mapped objects, remove into=.",
    ),
    "LP304 entity root": (
        lambda: LoadPlan(Post, into=Post),
        "LP304: 'Post' is a mapped class, not a view class\n"
        "  at: Post\n"
        "  hint: write a class with the fields that you read. To load mapped objects, remove into=.",
    ),
    "LP304 source rel into str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author)])),
        "LP304: 'Card.n' is 'str', but 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a view class of 'User', or read one column: Annotated[str, "
        "source(Post.author, User.name)].",
    ),
    "LP304 rel into str": (
        lambda: LoadPlan(Post, into=view(author=str)),
        "LP304: 'Card.author' is 'str', but 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a view class of 'User', or read one column: Annotated[str, "
        "source(Post.author, User.name)].",
    ),
    "LP304 rel into list[str]": (
        lambda: LoadPlan(Post, into=view(tags=list[str])),
        "LP304: 'Card.tags' is 'list[str]', but 'Post.tags' leads to 'Tag'\n"
        "  at: Card\n"
        "  hint: annotate it with a view class of 'Tag', or read one column: Annotated[list[str], "
        "source(Post.tags, Tag.name)].",
    ),
    "LP304 rel into list": (
        lambda: LoadPlan(Post, into=view(tags=list)),
        "LP304: 'Card.tags' does not name the class of its items\n"
        "  at: Card\n"
        "  hint: annotate it with a view class of 'Tag', or name that class in the plan: load(Post.tags, "
        "into=...).",
    ),
    "LP304 fwd": (
        lambda: LoadPlan(Post, into=Forward),
        "LP304: an annotation of 'Forward' uses 'Nowhere', but its module does not define it\n"
        "  at: Forward\n"
        "  hint: define or import 'Nowhere' at the top of 'problem_views', not inside a function or "
        "under TYPE_CHECKING.",
    ),
    "LP304 fwd pyd": (
        lambda: LoadPlan(Post, into=Later),
        "LP304: 'Later' uses classes that are not defined yet\n"
        "  at: Later\n"
        "  hint: define them first, or call Later.model_rebuild() afterwards.",
    ),
    "LP308 recursive": (
        lambda: LoadPlan(Topic, into=Node),
        "LP308: 'Node.children' contains 'Node' again, without an end\n"
        "  at: Node\n"
        '  hint: set the depth: load(Topic.children, depth=3), or depth="all".',
    ),
    "LP308 recursive depth nodefault": (
        lambda: LoadPlan(Topic, load(Topic.children, depth=2), into=Node),
        "LP308: 'Node.children' needs a default: loadplan loads nothing below level 2\n"
        "  at: Node > children > children\n"
        '  hint: give the field a default, or load the whole tree with depth="all".',
    ),
    "LP308 recursive parent": (
        lambda: LoadPlan(Topic, load(Topic.children, depth="all"), into=TwoWays),
        "2 problems in one plan\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays > children\n"
        "  hint: use a smaller class for 'TwoWays.parent', without the field that leads back.\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays\n"
        "  hint: use a smaller class for 'TwoWays.parent', without the field that leads back.",
    ),
    "LP304 rootmodel field": (
        lambda: LoadPlan(Post, into=view(tags=TagList)),
        "LP304: 'TagList' is a RootModel, which has no fields\n"
        "  at: Card > tags\n"
        "  hint: use the type that the RootModel holds, or a BaseModel with that type as a field.",
    ),
    "LP304 rootmodel": (
        lambda: LoadPlan(Post, into=TagList),
        "LP304: 'TagList' is a RootModel, which has no fields\n"
        "  at: TagList\n"
        "  hint: use the type that the RootModel holds, or a BaseModel with that type as a field.",
    ),
    "LP305 dict": (
        lambda: LoadPlan(Post, into=view(tags=dict[str, TagRef])),
        "LP305: 'Card.tags' is a dictionary, but its keys are unknown\n"
        "  at: Card\n"
        "  detail: the mapping of 'Post.tags' does not key the collection by a column.\n"
        "  hint: annotate it 'list[TagRef]', or map the relationship with attribute_keyed_dict.",
    ),
    "LP305 set unhashable": (
        lambda: LoadPlan(Post, into=view(tags=set[Hashless])),
        "LP305: 'Card.tags' is a set, but 'Hashless' cannot be hashed\n"
        "  at: Card\n"
        "  hint: make 'Hashless' frozen, or annotate the field 'list[Hashless]'.",
    ),
    "LP304 list root": (
        lambda: LoadPlan(Post, into=list[TagRef]),
        "LP304: 'list[TagRef]' is a collection, but into= needs the class of one row\n"
        "  at: list[TagRef]\n"
        "  hint: pass the class of one row: into=TagRef. fetch_all returns a list of it.",
    ),
    "LP304 instance": (
        lambda: LoadPlan(Post, into=TagRef(1, "x")),
        "LP304: an object of 'TagRef' is not a class\n"
        "  at: TagRef(id=1, name='x')\n"
        "  hint: pass the class, not an object: TagRef.",
    ),
    "LP304 string": (
        lambda: LoadPlan(Post, into="TagRef"),
        "LP304: the text 'TagRef' is not a view class\n  at: 'TagRef'\n  hint: pass the class itself.",
    ),
    "LP304 typevar": (
        lambda: LoadPlan(Post, into=view(tags=list[T])),
        "LP304: the type variable 'T' is not a view class\n"
        "  at: Card > tags\n"
        "  hint: name the class, for example Page[PostCard].",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    """The whole message."""
    make, message = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == message
