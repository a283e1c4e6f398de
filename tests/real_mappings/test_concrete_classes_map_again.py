"""Concrete classes map every relationship themselves: each row has the targets that its own class asks for.

Two concrete classes may use the same ids. The relationship of the base must not give its rows to a subclass.
"""

import copy
import pickle
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, PlanError, load, on


class Base(DeclarativeBase):
    pass


class Depot(Base):
    __tablename__ = "concrete_again_depots"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    tools: Mapped[list["Tool"]] = relationship(back_populates="depot", order_by="Tool.id")


class Use(Base):
    __tablename__ = "concrete_again_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    tool_id: Mapped[int | None] = mapped_column(ForeignKey("concrete_again_tools.id"))
    saw_id: Mapped[int | None] = mapped_column(ForeignKey("concrete_again_saws.id"))


class Tool(ConcreteBase, Base):
    __tablename__ = "concrete_again_tools"
    __mapper_args__ = {"polymorphic_identity": "tool", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    depot_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(back_populates="tools")
    uses: Mapped[list[Use]] = relationship(foreign_keys=Use.tool_id, order_by=Use.id)
    named: Mapped[list[Depot]] = relationship(
        primaryjoin=lambda: func.lower(Tool.name) == func.lower(foreign(remote(Depot.name))),
        viewonly=True,
        order_by=Depot.id,
    )


class Saw(Tool):
    __tablename__ = "concrete_again_saws"
    __mapper_args__ = {"polymorphic_identity": "saw", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    teeth: Mapped[int]
    place_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship()
    uses: Mapped[list[Use]] = relationship(foreign_keys=Use.saw_id, order_by=Use.id)
    named: Mapped[list[Depot]] = relationship(
        primaryjoin=lambda: func.upper(Saw.name) == func.upper(foreign(remote(Depot.name))),
        viewonly=True,
        order_by=Depot.id,
    )


class Hammer(Tool):
    """It maps the relationships like the base."""

    __tablename__ = "concrete_again_hammers"
    __mapper_args__ = {"polymorphic_identity": "hammer", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    depot_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(back_populates="tools")
    uses: Mapped[list[Use]] = relationship(
        primaryjoin=lambda: foreign(Use.tool_id) == Hammer.id, viewonly=True, order_by=Use.id
    )
    named: Mapped[list[Depot]] = relationship(
        primaryjoin=lambda: func.lower(Hammer.name) == func.lower(foreign(remote(Depot.name))),
        viewonly=True,
        order_by=Depot.id,
    )


def _read(each: Any) -> tuple[Any, ...]:
    depot = each.depot and each.depot.id
    return type(each).__name__, each.id, depot, [use.id for use in each.uses], [named.id for named in each.named]


@pytest.fixture
async def tools(engine: AsyncEngine) -> AsyncIterator[Loader]:
    rows = [
        *(Depot(id=number, name=name) for number, name in enumerate("xAb")),
        Tool(id=1, name="a", depot_id=1),
        Tool(id=2, name="b"),
        Saw(id=1, name="B", teeth=3, place_id=2),
        Saw(id=3, name="X", teeth=4),
        Hammer(id=2, name="x", depot_id=2),
        Use(id=1, tool_id=1),
        Use(id=2, saw_id=1),
        Use(id=3, tool_id=2),
        Use(id=4, saw_id=3),
    ]
    async with filled(engine, Base.metadata, *rows) as loader:
        yield loader


EXPECTED = [
    ("Hammer", 2, 2, [3], [0]),
    ("Saw", 1, 2, [2], [2]),
    ("Saw", 3, None, [4], [0]),
    ("Tool", 1, 1, [1], [1]),
    ("Tool", 2, None, [3], [2]),
]


async def test_the_lazy_walk_asks_each_class(tools: Loader, engine: AsyncEngine) -> None:
    assert sorted(await lazily(engine, select(Tool), _read)) == EXPECTED


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("strategy", [None, "selectin", "joined", "subquery"])
async def test_so_does_every_strategy(tools: Loader, strategy: Any, limit: int | None) -> None:
    names = (Tool.depot, Tool.uses, Tool.named)
    plan = LoadPlan(Tool, *(load(each, strategy=strategy) for each in names))
    found = await tools.fetch_all(plan, limit=limit)
    for each in (found, copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert sorted(map(_read, each)) == EXPECTED
        assert sorted(saw.teeth for saw in each if isinstance(saw, Saw)) == [3, 4]


async def test_so_do_branches_that_name_them(tools: Loader) -> None:
    plan = LoadPlan(Tool, load(Tool.depot), load(Tool.uses), load(Tool.named), on(Saw, load(Saw.uses, limit=1)))
    assert sorted(map(_read, await tools.fetch_all(plan))) == EXPECTED


async def test_so_do_collections_of_them(tools: Loader) -> None:
    plan = LoadPlan(Depot, load(Depot.tools, load(Tool.depot), load(Tool.uses), load(Tool.named)))
    found = await tools.fetch_many(plan, [1, 2])
    assert [list(map(_read, each.tools)) for each in found] == [[EXPECTED[3]], [EXPECTED[0]]]


@attrs.frozen
class UseView:
    id: int


@attrs.frozen
class ToolView:
    id: int
    uses: list[UseView]


@attrs.frozen
class HammerView:
    id: int
    uses: list[UseView]


async def test_a_view_of_the_base_is_refused(tools: Loader) -> None:
    """Its field would read rows that belong to another class. A view of one class may have it."""
    with pytest.raises(PlanError, match="LP3"):
        LoadPlan(Tool, into=ToolView)
    found = await tools.fetch_all(LoadPlan(Hammer, into=HammerView))
    assert [[use.id for use in each.uses] for each in found] == [[3]]


class Folder(ConcreteBase, Base):
    __tablename__ = "concrete_again_folders"
    __mapper_args__ = {"polymorphic_identity": "folder", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None]
    children: Mapped[list["Folder"]] = relationship(
        primaryjoin=lambda: foreign(remote(Folder.parent_id)) == Folder.id, viewonly=True
    )


class Archive(Folder):
    """Only archives are in an archive."""

    __tablename__ = "concrete_again_archives"
    __mapper_args__ = {"polymorphic_identity": "archive", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None]
    children: Mapped[list["Archive"]] = relationship(
        primaryjoin=lambda: foreign(remote(Archive.parent_id)) == Archive.id, viewonly=True
    )


def _children(folder: Any) -> tuple[str, int, list[tuple[str, int]]]:
    return type(folder).__name__, folder.id, sorted((type(each).__name__, each.id) for each in folder.children)


async def test_levels_of_a_tree_ask_each_class(engine: AsyncEngine) -> None:
    rows = [Folder(id=1), Folder(id=2, parent_id=1), Archive(id=1, parent_id=2), Archive(id=3, parent_id=1)]
    async with filled(engine, Base.metadata, *rows) as loader:
        expected = sorted(await lazily(engine, select(Folder), _children))
        found = await loader.fetch_all(LoadPlan(Folder, load(Folder.children, depth=2)))
        assert sorted(map(_children, found)) == expected
    assert expected[0] == ("Archive", 1, [("Archive", 3)])
    assert expected[2] == ("Folder", 1, [("Archive", 3), ("Folder", 2)])


async def test_a_whole_tree_is_refused() -> None:
    """One statement loads all levels, so it would give an archive the rows of a folder."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Folder, load(Folder.children, depth="all"))
    assert str(caught.value).splitlines()[0] == (
        "LP213: depth=\"all\" cannot follow 'Folder.children', because 'Archive' maps it in another way"
    )
    LoadPlan(Archive, load(Archive.children, depth="all"))
