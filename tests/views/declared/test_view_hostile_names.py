"""Names from outside: nothing of them enters generated code or is run, and the results are right."""

import re
from collections import namedtuple
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest
from sqlalchemy.dialects import postgresql, sqlite
from views_models import Comment, Post, Tag

from loadplan import Loader, LoadPlan, PlanError, count, load, source
from loadplan.running.plans import compile_plan

NAMES = [
    "x'); DROP TABLE dcl_posts; --",
    '"quoted"',
    "new\nline",
    "__import__('os').abort()",
    "{0}%(id)s:id ? $1",
    "größe",
    "self",
    "cls",
    "__class__x",
    "row",
    "rows",
    "found",
    "view_0",
    "c0",
    "key",
    "class",
    "lambda",
    "None",
    "",
    " ",
    "\U0001d422\U0001d41d",  # Python reads it as id
    "a" * 300,
]

#: Names that a class generated from source can have: those of Python, which is what such a library itself allows.
IDENTIFIERS = ["größe", "row", "rows", "found", "view_0", "c0", "key", "built", "add", "this", "select", "SELECT"]


def values_of(found: Any, names: list[str]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


def hydrators(plan: LoadPlan[Any]) -> str:
    """All the source that a plan generates, for both databases."""
    texts = []
    for dialect in (postgresql.asyncpg.dialect(), sqlite.aiosqlite.dialect()):
        compiled: Any = compile_plan(plan, dialect)
        texts += [compiled.hydrator(compiled.dialect, raw=raw).source for raw in (True, False)]
    return "\n".join(texts)


#: What generated source is made of: names of its own with numbers, and words of Python.
OURS = re.compile(
    r"(build|keys|onward|found|view|name|missing|failed|process|container|unknown|known|make|c|k|n)_?\d+|def|rows?|found"
    r"|built|add|try|for|in|append|except|Exception|as|error|raise|return|None|key|if|else|not|is|dict|fromkeys|get|first"
    r"|and|seen|mark|set|continue|True|False|grow|\d+"
)


def assert_all_ours(source: str) -> None:
    """Assert that every word and every text in generated source is of ours."""
    assert not {"'", '"'} & set(source)
    words = set(re.findall(r"\w+", source))
    assert {word for word in words if not OURS.fullmatch(word)} == set()


def pydantic_class(names: list[str]) -> Any:
    """A model whose aliases are the names."""
    fields: Any = {
        f"f{at}": (Annotated[int, source(Post.id + at)], pydantic.Field(alias=name)) for at, name in enumerate(names)
    }
    return pydantic.create_model("');DROP TABLE x;--\n", **fields)


@pytest.mark.parametrize("names", [NAMES], ids=["all"])
async def test_aliases(blog: Loader, names: list[str]) -> None:
    """A model of pydantic takes any text for an alias."""
    view = pydantic_class(names)
    plan = LoadPlan(Post, into=view)
    found = await blog.fetch(plan, 1)
    assert found.model_dump(by_alias=True) == {name: 1 + at for at, name in enumerate(names)}
    assert_all_ours(hydrators(plan))


def attrs_class(names: list[str]) -> Any:
    return attrs.make_class("x'\n", {name: attrs.field(type=Annotated[int, source(Post.id + 1)]) for name in names})


def struct_class(names: list[str]) -> Any:
    return msgspec.defstruct("x'\n", [(name, Annotated[int, source(Post.id + 1)]) for name in names])


def model_class(names: list[str]) -> Any:
    fields: Any = {name: (Annotated[int, source(Post.id + 1)], ...) for name in names}
    return pydantic.create_model("x'\n", **fields)


def tuple_class(names: list[str]) -> Any:
    made = namedtuple("Made", names)  # the names come from outside
    made.__annotations__ = dict.fromkeys(names, Annotated[int, source(Post.id + 1)])
    return made


@pytest.mark.parametrize("make", [attrs_class, struct_class, model_class, tuple_class])
async def test_fields(blog: Loader, make: Callable[[list[str]], Any]) -> None:
    """Names of fields that generated code uses itself."""
    plan = LoadPlan(Post, into=make(IDENTIFIERS))
    assert values_of(await blog.fetch(plan, 1), IDENTIFIERS) == dict.fromkeys(IDENTIFIERS, 2)
    assert_all_ours(hydrators(plan))


async def test_a_struct_of_any_names(blog: Loader) -> None:
    """A struct takes what is no name of Python."""
    names = [name for name in NAMES if name.isidentifier() and "__" not in name]
    names = list(dict.fromkeys(names))
    plan = LoadPlan(Post, into=struct_class(names))
    assert values_of(await blog.fetch(plan, 1), names) == dict.fromkeys(names, 2)
    assert_all_ours(hydrators(plan))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_nothing_has(name: str) -> None:
    """The message holds it, and nothing runs."""
    model: Any = pydantic.create_model("Wrong", f0=(int, pydantic.Field(alias=name)))
    with pytest.raises(PlanError) as caught:
        LoadPlan(Post, into=model)
    assert caught.value.code == "LP303"
    assert caught.value.message == "'Post' has no 'f0' for 'Wrong.f0'"


async def test_every_recipe_with_hostile_names(blog: Loader) -> None:
    """Nested objects, collections, counts and paths, of classes and aliases with such names."""
    hostile = NAMES[0]
    tag: Any = pydantic.create_model(NAMES[2], name=(str, pydantic.Field(alias=hostile)))
    fields: Any = {
        "tags": (list[tag], pydantic.Field(alias=hostile)),
        "number": (Annotated[int, count(Post.comments, where=Comment.approved)], pydantic.Field(alias=NAMES[1])),
        "texts": (Annotated[list[str], source(Post.tags, Tag.name)], pydantic.Field(alias=NAMES[3])),
        "first": (Annotated[list[tag], load(Post.tags, limit=1)], pydantic.Field(alias=NAMES[4])),
    }
    view: Any = pydantic.create_model(NAMES[1], **fields)
    plan = LoadPlan(Post, into=view, name=hostile)
    found = await blog.fetch(plan, 1)
    assert found.model_dump(by_alias=True) == {
        hostile: [{hostile: "red"}, {hostile: "blue"}],
        NAMES[1]: 2,
        NAMES[3]: ["red", "blue"],
        NAMES[4]: [{hostile: "red"}],
    }
    assert_all_ours(hydrators(plan))


def test_the_check_itself() -> None:
    """A word that is none of ours is seen."""
    with pytest.raises(AssertionError):
        assert_all_ours("def build_0(rows, found):\n    os.abort()")
    with pytest.raises(AssertionError):
        assert_all_ours("return {'x': 1}")
