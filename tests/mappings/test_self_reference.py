"""Relationships of a class to itself: trees up and down, composite keys, and a graph with cycles."""

from typing import TYPE_CHECKING, Any

import pytest
from oracle import fill, read, read_lazily, same_as_lazy
from sqlalchemy import ForeignKey, ForeignKeyConstraint
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, backref, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class Node(Base):
    __tablename__ = "self_nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("self_nodes.id"))
    likes_id: Mapped[int | None] = mapped_column(ForeignKey("self_nodes.id"))
    children: Mapped[list["Node"]] = relationship(back_populates="parent", foreign_keys=[parent_id], order_by="Node.id")
    parent: Mapped["Node | None"] = relationship(
        back_populates="children", foreign_keys=[parent_id], remote_side="Node.id"
    )
    likes: Mapped["Node | None"] = relationship(
        foreign_keys=[likes_id], remote_side="Node.id", backref=backref("liked_by", order_by="Node.id")
    )
    if TYPE_CHECKING:
        liked_by: Mapped[list["Node"]]


class Folder(Base):
    """A composite key that refers to itself, one column in both the key and the foreign key."""

    __tablename__ = "self_folders"
    __table_args__ = (ForeignKeyConstraint(["disk", "above"], ["self_folders.disk", "self_folders.id"]),)
    disk: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    above: Mapped[int | None] = mapped_column()
    parent: Mapped["Folder | None"] = relationship(remote_side="[Folder.disk, Folder.id]", back_populates="children")
    children: Mapped[list["Folder"]] = relationship(
        remote_side=[disk, above], back_populates="parent", order_by="Folder.id"
    )


async def _fill(engine: AsyncEngine) -> None:
    """1 over 2, 3; 2 over 4, 5; 4 over 6; 7 is its own parent; 8 and 9 are each other's."""
    above = {1: None, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 7, 8: None, 9: 8}
    for number, parent in above.items():
        await fill(engine, Node(id=number, parent_id=parent, likes_id=1 if number in {1, 3} else None))
    async with engine.begin() as connection:
        await connection.execute(Node.__table__.update().where(Node.id == 8).values(parent_id=9))  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_children_two_levels_down(engine: AsyncEngine, strategy: str | None) -> None:
    """Explicit nesting; children know the parent they were found under; cycles in the data are cycles of objects.

    SQLAlchemy loses the joined list of a row that stands elsewhere in the statement too: such a collection takes a
    statement of its own, whatever was asked.
    """
    plan = LoadPlan(
        Node,
        load(Node.children, load(Node.children, strategy=strategy), strategy=strategy),  # type: ignore[arg-type]
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        nodes = await same_as_lazy(engine, plan, 3, by_hand=False)
    assert nodes[0].children[0].children[0].parent is nodes[1]
    assert nodes[6].children == [nodes[6]]
    assert nodes[7].children == [nodes[8]]
    assert nodes[8].children == [nodes[7]]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_parents_two_levels_up(engine: AsyncEngine, strategy: str | None) -> None:
    """Many-to-one to itself, joined by default."""
    plan = LoadPlan(
        Node,
        load(Node.parent, load(Node.parent, strategy=strategy), strategy=strategy),  # type: ignore[arg-type]
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        nodes = await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 3, by_hand=False)
    assert nodes[6].parent is nodes[6]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_up_and_down_from_one_root(engine: AsyncEngine, strategy: str | None) -> None:
    """One root alone: what the identity map holds already does not stop the plan from going on."""
    plan = LoadPlan(
        Node,
        load(Node.parent, load(Node.children, load(Node.children, strategy=strategy)), strategy=strategy),  # type: ignore[arg-type]
        name="family",
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        loader = Loader(engine)
        two = await loader.fetch(plan, 2)
        seven = await loader.fetch(plan, 7)
    assert two.parent is not None
    assert [child.id for child in two.parent.children] == [2, 3]
    assert two.parent.children[0] is two
    assert [child.id for child in two.children] == [4, 5]
    assert two.parent.children[1].children == []
    assert seven.parent is seven
    assert seven.children == [seven]


async def test_a_level_past_the_plan_raises(engine: AsyncEngine) -> None:
    """The node says so where nothing of it was declared, and where the plan stops."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        root = await Loader(engine).fetch(LoadPlan(Node, load(Node.children)), 1)
    with pytest.raises(NotLoaded, match=r"'Node\.children' is not part of plan 'Node' \(at Node\.children\)"):
        _ = root.children[0].children
    with pytest.raises(NotLoaded, match=r"'Node\.parent' is not part of plan 'Node' \(at its root\)"):
        _ = root.parent


@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_a_second_relationship_to_itself_and_its_backref(engine: AsyncEngine, strategy: Any) -> None:
    """Two foreign keys to one table do not mix."""
    plan = LoadPlan(
        Node,
        load(Node.likes, load("liked_by", strategy=strategy)),
        load("liked_by", load(Node.children, strategy=strategy), strategy=strategy),
        name="likes",
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 4, by_hand=False)


async def test_one_collection_of_one_row_joined_by_two_paths(engine: AsyncEngine) -> None:
    """Node 1 likes itself: ``liked_by`` of one object comes by two joins of one statement.

    SQLAlchemy's own joinedload fails on that (the list that one path appends to is gone), so the strategy that was
    asked for cannot be followed at both places; the graph must come all the same.
    """
    plan = LoadPlan(
        Node,
        load(Node.likes, load("liked_by", strategy="joined")),
        load("liked_by", load(Node.children, strategy="joined"), strategy="joined"),
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        expected = await read_lazily(engine, plan)
        nodes = await Loader(engine).fetch_all(plan, order_by=Node.id)
    assert read(nodes, plan) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_composite_key_to_itself(engine: AsyncEngine, strategy: str | None) -> None:
    """A NULL in one column of the foreign key is no parent, and costs nothing."""
    plan = LoadPlan(
        Folder,
        load(Folder.parent, strategy=strategy),  # type: ignore[arg-type]
        load(Folder.children, load(Folder.children, strategy=strategy), strategy=strategy),  # type: ignore[arg-type]
    )
    count = {None: 3, "joined": 3}.get(strategy, 4)
    async with tables(engine, Base.metadata):
        for disk in ("a", "b"):
            await fill(engine, Folder(disk=disk, id=1))
            await fill(engine, Folder(disk=disk, id=2, above=1), Folder(disk=disk, id=3, above=1))
            await fill(engine, Folder(disk=disk, id=4, above=2))
        folders = await same_as_lazy(engine, plan, count, by_hand=False)
    assert [child.disk for child in folders[4].children] == ["b", "b"]
