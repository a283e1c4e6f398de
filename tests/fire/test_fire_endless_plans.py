"""Declarations that have no end, or a very far one: a clear error, and never the end of Python's stack."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from fire_tenants import Doc
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import Loader, LoadPlan, PlanError, load
from support import tables


@attrs.frozen
class Both:
    """Leads to the whole of two trees, from each of its objects."""

    id: int
    parent: Annotated["Both | None", load(Doc.parent, depth="all")]
    children: Annotated["list[Both]", load(Doc.children, depth="all")]


@attrs.frozen
class BothOfTwo:
    id: int
    parent: Annotated["BothOfTwo | None", load(Doc.parent, depth=2)] = None
    children: Annotated["list[BothOfTwo]", load(Doc.children, depth=2)] = attrs.field(factory=list)


@attrs.frozen
class Around:
    """Leads to its own tree over another class."""

    id: int
    children: Annotated["list[Around]", load(Doc.children, depth="all")]
    parent: "Within | None"


@attrs.frozen
class Within:
    id: int
    children: Annotated[list[Around], load(Doc.children, depth="all")]


@attrs.frozen
class Branch:
    id: int
    children: "list[Branch]" = attrs.field(factory=list)


def deep(levels: Any) -> Callable[[], LoadPlan[Any]]:
    return lambda: LoadPlan(Doc, load(Doc.children, depth=levels))


def deep_view(levels: Any) -> Callable[[], LoadPlan[Any]]:
    return lambda: LoadPlan(Doc, load(Doc.children, depth=levels), into=Branch)


@pytest.mark.parametrize("view", [Both, BothOfTwo, Around])
def test_two_trees_of_one_class_within_each_other(view: type[Any]) -> None:
    with pytest.raises(PlanError, match=r"LP308: .* contains '(Both|BothOfTwo|Around)' again, without an end"):
        LoadPlan(Doc, into=view)


@pytest.mark.parametrize("depth", [1, 2, 3, "all"])
def test_a_tree_within_a_tree_of_one_relationship(depth: Any) -> None:
    """Two depths for one relationship, wherever the inner one stands."""
    inner = load(Doc.parent, load(Doc.parent, depth=2), depth=2)
    for plan in (
        lambda: LoadPlan(Doc, inner),
        lambda: LoadPlan(Doc, load(Doc.children, inner, depth=depth)),
        lambda: LoadPlan(Doc, load(Doc.parent, inner, depth=depth)),
    ):
        with pytest.raises(PlanError, match=r"LP106: .Doc\.parent. is loaded twice, with different depth="):
            plan()


@pytest.mark.parametrize("make", [deep, deep_view])
@pytest.mark.parametrize("levels", [21, 200, 10_000, 10**30])
def test_more_levels_than_a_plan_has(make: Callable[[Any], Callable[[], LoadPlan[Any]]], levels: int) -> None:
    with pytest.raises(PlanError) as caught:
        make(levels)()
    assert str(caught.value).splitlines()[0] == f"LP107: depth={levels} is too large: a plan has 20 levels at most"


def test_more_rows_than_a_database_counts() -> None:
    with pytest.raises(PlanError, match=r"LP107: limit=.* is too large: databases count in 64 bits"):
        LoadPlan(Doc, load(Doc.children, limit=2**63))


@pytest.fixture
async def chain(postgres: AsyncEngine) -> Any:
    """Thirty documents, each below the one before."""
    async with tables(postgres, Doc.metadata):
        async with postgres.begin() as connection:
            rows = [{"id": each, "tenant": 1, "label": "", "parent_id": each - 1 or None} for each in range(1, 31)]
            await connection.execute(Doc.__table__.insert(), rows)
        yield postgres


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
async def test_as_many_levels_as_a_plan_has(chain: AsyncEngine, strategy: Any) -> None:
    """With frames to spare: what calls it has some of its own."""

    async def from_far_below(calls: int) -> list[int]:
        if calls:
            return await from_far_below(calls - 1)
        plan = LoadPlan(Doc, load(Doc.children, depth=20, strategy=strategy), into=Branch)
        found, length = await Loader(chain).fetch(plan, 1), 1
        entity = await Loader(chain).fetch(LoadPlan(Doc, load(Doc.children, depth=20)), 1)
        while found.children:
            (found,), (entity,) = found.children, entity.children
            assert found.id == entity.id
            length += 1
        return [length, found.id]

    assert await from_far_below(300) == [21, 21]


@attrs.frozen
class TwoLevels:
    """Says its depth itself."""

    id: int
    children: Annotated["list[TwoLevels]", load(Doc.children, depth=2)] = attrs.field(factory=list)


async def test_a_field_that_says_how_deep_it_goes(chain: AsyncEngine) -> None:
    found = await Loader(chain).fetch(LoadPlan(Doc, into=TwoLevels), 1)
    assert found == TwoLevels(1, [TwoLevels(2, [TwoLevels(3)])])
    with pytest.raises(PlanError, match=r"LP310: .TwoLevels\.children. is loaded twice"):
        LoadPlan(Doc, load(Doc.children, depth=3), into=TwoLevels)
