"""Exact statement counts at 0, 1, 500, 501 and 1,201 parents."""

import math
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import in_one, recording, tables

SIZES = [0, 1, 500, 501, 1201]


class Base(DeclarativeBase):
    pass


label = Table(
    "counts_labels",
    Base.metadata,
    Column("parent_id", ForeignKey("counts_parents.id"), primary_key=True),
    Column("tag_id", ForeignKey("counts_tags.id"), primary_key=True),
)


class Kind(Base):
    __tablename__ = "counts_kinds"
    id: Mapped[int] = mapped_column(primary_key=True)


class Parent(Base):
    __tablename__ = "counts_parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind_id: Mapped[int | None] = mapped_column(ForeignKey(Kind.id))
    kind: Mapped[Kind | None] = relationship()
    children: Mapped[list["Child"]] = relationship(back_populates="parent", order_by="Child.id")
    tags: Mapped[list["Tag"]] = relationship(secondary=label, order_by="Tag.id")
    pairs: Mapped[list["Pair"]] = relationship(order_by="Pair.a")


class Child(Base):
    __tablename__ = "counts_children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey(Parent.id))
    parent: Mapped[Parent] = relationship(back_populates="children")


class Tag(Base):
    __tablename__ = "counts_tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Pair(Base):
    __tablename__ = "counts_pairs"
    a: Mapped[int] = mapped_column(ForeignKey(Parent.id), primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    leaves: Mapped[list["Leaf"]] = relationship(order_by="Leaf.id")


class Leaf(Base):
    __tablename__ = "counts_leaves"
    __table_args__ = (ForeignKeyConstraint(["a", "b"], [Pair.a, Pair.b]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int]
    b: Mapped[int]


async def _fill(engine: AsyncEngine, size: int) -> None:
    """Every parent has a child, a tag and a pair with a leaf; two in three have one of ``size`` kinds."""
    numbers = range(1, size + 1)
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (Kind, [{"id": n} for n in numbers]),
        (Parent, [{"id": n, "kind_id": None if n % 3 == 0 else n} for n in numbers]),
        (Child, [{"id": n, "parent_id": n} for n in numbers]),
        (Tag, [{"id": 1}]),
        (label, [{"parent_id": n, "tag_id": 1} for n in numbers]),
        (Pair, [{"a": n, "b": -n} for n in numbers]),
        (Leaf, [{"id": n, "a": n, "b": -n} for n in numbers]),
    ]
    async with engine.begin() as connection:
        for target, values in rows:
            if values:
                await connection.execute(insert(target), values)


def _chunks(engine: AsyncEngine, keys: int) -> int:
    """Statements for so many keys: one with an array on PostgreSQL, one for each 500 elsewhere."""
    if keys == 0:
        return 0
    return 1 if engine.dialect.name == "postgresql" else math.ceil(keys / 500)


@pytest.mark.parametrize("size", SIZES)
async def test_collections_and_to_ones_by_keys(engine: AsyncEngine, size: int) -> None:
    """Select-in: nothing for no parents, else in chunks where the database has no arrays; NULL keys do not count."""
    kinds = sum(1 for n in range(1, size + 1) if n % 3)
    cases: list[tuple[LoadPlan[Parent], int]] = [
        (LoadPlan(Parent), 1),
        (LoadPlan(Parent, load(Parent.kind)), 1),
        (LoadPlan(Parent, load(Parent.kind, strategy="selectin")), 1 + _chunks(engine, kinds)),
        (LoadPlan(Parent, load(Parent.children)), 1 + _chunks(engine, size)),
        (LoadPlan(Parent, load(Parent.tags)), 1 + _chunks(engine, size)),
        (LoadPlan(Parent, load(Parent.pairs, load(Pair.leaves))), 1 + 2 * _chunks(engine, size)),
        (LoadPlan(Parent, load(Parent.children, load(Child.parent)), load(Parent.tags)), 1 + 2 * _chunks(engine, size)),
    ]
    async with tables(engine, Base.metadata):
        await _fill(engine, size)
        for plan, count in cases:
            with recording(engine) as statements:
                found = await Loader(engine).fetch_all(plan, order_by=Parent.id)
            assert len(statements) == count, plan
            assert [parent.id for parent in found] == list(range(1, size + 1))
            for parent in found:
                here = vars(parent)
                assert all(
                    [row.id for row in here[key]] == [expected]
                    for key, expected in (
                        ("children", parent.id),
                        ("tags", 1),
                    )
                    if key in here
                )
                if "pairs" in here:
                    assert [[leaf.id for leaf in pair.leaves] for pair in parent.pairs] == [[parent.id]]
                if "kind" in here:
                    assert (parent.kind and parent.kind.id) == (None if parent.id % 3 == 0 else parent.id)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strategy", ["joined", "subquery"])
async def test_joins_and_subqueries_do_not_count_parents(engine: AsyncEngine, size: int, strategy: Any) -> None:
    """One statement, or one an edge, however many parents; none below an empty root."""
    plan = LoadPlan(
        Parent,
        load(Parent.children, strategy=strategy),
        load(Parent.kind, strategy=strategy),
        load(Parent.pairs, load(Pair.leaves, strategy=strategy), strategy=strategy),
    )
    count = 1 if strategy == "joined" or size == 0 else 5
    async with tables(engine, Base.metadata):
        await _fill(engine, size)
        with recording(engine) as statements:
            found = await Loader(engine).fetch_all(plan, order_by=Parent.id)
    assert len(statements) == count
    assert [parent.id for parent in found] == list(range(1, size + 1))
    assert all(parent.pairs[0].leaves[0].id == parent.children[0].id == parent.id for parent in found)


@pytest.mark.parametrize("size", SIZES)
async def test_fetch_many(engine: AsyncEngine, size: int) -> None:
    """The ids go in chunks too, each with its own follow-ups, and the answer is in the order of the ids."""
    ids = list(range(size, 0, -1))
    async with tables(engine, Base.metadata):
        await _fill(engine, size)
        with recording(engine) as statements:
            found = await Loader(engine).fetch_many(LoadPlan(Parent, load(Parent.children)), ids)
    assert [parent.id for parent in found] == ids
    expected = in_one(engine, 2) if size == 1 else 2 * _chunks(engine, size)
    assert len(statements) == expected


@pytest.mark.parametrize("size", SIZES)
async def test_few_distinct_keys_of_many_parents(engine: AsyncEngine, size: int) -> None:
    """A many-to-one by keys asks for distinct keys, not for parents."""
    plan = LoadPlan(Child, load(Child.parent, strategy="selectin"))
    async with tables(engine, Base.metadata):
        await _fill(engine, 1)
        async with engine.begin() as connection:
            more = [{"id": n, "parent_id": 1} for n in range(2, size + 1)]
            if more:
                await connection.execute(insert(Child), more)
            if size == 0:
                await connection.execute(Child.__table__.delete())  # type: ignore[attr-defined]
        with recording(engine) as statements:
            children = await Loader(engine).fetch_all(plan)
    assert len(children) == size
    assert len(statements) == (2 if size else 1)
    assert len({id(child.parent) for child in children}) == min(size, 1)
