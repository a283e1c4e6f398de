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
        "LP304: 'Bare' has annotations, but no constructor for them\n"
        "  at: Card > tags\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or "
        "NamedTuple.",
    ),
    "LP304 undecorated root": (
        lambda: LoadPlan(Post, into=Bare),
        "LP304: 'Bare' has annotations, but no constructor for them\n"
        "  at: Bare\n"
        "  hint: decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or "
        "NamedTuple.",
    ),
    "LP304 entity": (
        lambda: LoadPlan(Post, into=view(tags=list[Tag])),
        "LP304: 'Tag' is a mapped class, not a view\n"
        "  at: Card > tags\n"
        "  hint: write a class with the fields to read; a plan without into= loads entities.",
    ),
    "LP304 entity root": (
        lambda: LoadPlan(Post, into=Post),
        "LP304: 'Post' is a mapped class, not a view\n"
        "  at: Post\n"
        "  hint: write a class with the fields to read; a plan without into= loads entities.",
    ),
    "LP304 source rel into str": (
        lambda: LoadPlan(Post, into=view(n=Annotated[str, source(Post.author)])),
        "LP304: 'Card.n' is 'str', and 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User', or name one column: Annotated[str, "
        "source(Post.author, User.name)].",
    ),
    "LP304 rel into str": (
        lambda: LoadPlan(Post, into=view(author=str)),
        "LP304: 'Card.author' is 'str', and 'Post.author' leads to 'User'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'User', or name one column: Annotated[str, "
        "source(Post.author, User.name)].",
    ),
    "LP304 rel into list[str]": (
        lambda: LoadPlan(Post, into=view(tags=list[str])),
        "LP304: 'Card.tags' is 'list[str]', and 'Post.tags' leads to 'Tag'\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'Tag', or name one column: "
        "Annotated[list[str], source(Post.tags, Tag.name)].",
    ),
    "LP304 rel into list": (
        lambda: LoadPlan(Post, into=view(tags=list)),
        "LP304: 'Card.tags' does not say what its items are\n"
        "  at: Card\n"
        "  hint: annotate it with a class that has fields of 'Tag', or give that class in the plan: "
        "load(Post.tags, into=...).",
    ),
    "LP304 fwd": (
        lambda: LoadPlan(Post, into=Forward),
        "LP304: an annotation of 'Forward' names 'Nowhere', which its module does not have\n"
        "  at: Forward\n"
        "  hint: define or import 'Nowhere' at the top of 'problem_views', not within a function or under "
        "TYPE_CHECKING.",
    ),
    "LP304 fwd pyd": (
        lambda: LoadPlan(Post, into=Later),
        "LP304: 'Later' names classes that are not defined yet\n"
        "  at: Later\n"
        "  hint: define them first, or call Later.model_rebuild() once they are.",
    ),
    "LP308 recursive": (
        lambda: LoadPlan(Topic, into=Node),
        "LP308: 'Node.children' contains 'Node' again, without an end\n"
        "  at: Node\n"
        '  hint: say how deep it goes: load(Topic.children, depth=3), or depth="all".',
    ),
    "LP308 recursive depth nodefault": (
        lambda: LoadPlan(Topic, load(Topic.children, depth=2), into=Node),
        "LP308: 'Node.children' has no default, and nothing is loaded below level 2\n"
        "  at: Node > children > children\n"
        '  hint: give the field a default to end with, or load the whole tree with depth="all".',
    ),
    "LP308 recursive parent": (
        lambda: LoadPlan(Topic, load(Topic.children, depth="all"), into=TwoWays),
        "2 problems in one plan\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays > children\n"
        "  hint: use a smaller class for 'TwoWays.parent', one that does not lead back.\n"
        "\n"
        "LP308: 'TwoWays.parent' contains 'TwoWays' again, without an end\n"
        "  at: TwoWays\n"
        "  hint: use a smaller class for 'TwoWays.parent', one that does not lead back.",
    ),
    "LP304 rootmodel field": (
        lambda: LoadPlan(Post, into=view(tags=TagList)),
        "LP304: 'TagList' is a RootModel, which has one value and no fields to read columns into\n"
        "  at: Card > tags\n"
        "  hint: annotate the field with what the RootModel holds, or use a BaseModel with that as a field.",
    ),
    "LP304 rootmodel": (
        lambda: LoadPlan(Post, into=TagList),
        "LP304: 'TagList' is a RootModel, which has one value and no fields to read columns into\n"
        "  at: TagList\n"
        "  hint: annotate the field with what the RootModel holds, or use a BaseModel with that as a field.",
    ),
    "LP305 dict": (
        lambda: LoadPlan(Post, into=view(tags=dict[str, TagRef])),
        "LP305: nothing says what 'Card.tags' is keyed by\n"
        "  at: Card\n"
        "  detail: 'Post.tags' is no collection that is keyed by a column.\n"
        "  hint: annotate it 'list[TagRef]', or map the relationship with attribute_keyed_dict.",
    ),
    "LP305 set unhashable": (
        lambda: LoadPlan(Post, into=view(tags=set[Hashless])),
        "LP305: 'Card.tags' is a set of 'Hashless', which cannot be hashed\n"
        "  at: Card\n"
        "  hint: freeze 'Hashless', or annotate the field 'list[Hashless]'.",
    ),
    "LP304 list root": (
        lambda: LoadPlan(Post, into=list[TagRef]),
        "LP304: 'list[TagRef]' is a collection, and a plan says what one row becomes\n"
        "  at: list[TagRef]\n"
        "  hint: give the class of one row, 'TagRef'; fetch_all and the like return lists of it.",
    ),
    "LP304 instance": (
        lambda: LoadPlan(Post, into=TagRef(1, "x")),
        "LP304: 'TagRef(id=1, name='x')' is no class\n"
        "  at: TagRef(id=1, name='x')\n"
        "  hint: give the class itself, as into=PostCard.",
    ),
    "LP304 string": (
        lambda: LoadPlan(Post, into="TagRef"),
        "LP304: the text 'TagRef' stands where a view class belongs\n  at: 'TagRef'\n  hint: give the class.",
    ),
    "LP304 typevar": (
        lambda: LoadPlan(Post, into=view(tags=list[T])),
        "LP304: the type variable 'T' stands where a view class belongs\n"
        "  at: Card > tags\n"
        "  hint: say what stands for it, as in Page[PostCard].",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    """The whole message."""
    make, message = CASES[name]
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value) == message
