"""``plan.options()`` in a plain session: SQLAlchemy's own loading gives the graph that a loader gives."""

from typing import Any

import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    configure_mappers,
    mapped_column,
    relationship,
    selectinload,
)

from loadplan import LoadPlan, PlanError, StrategyName, load


class Base(DeclarativeBase):
    pass


class Area(Base):
    __tablename__ = "opt_areas"
    id: Mapped[int] = mapped_column(primary_key=True)
    up_id: Mapped[int | None] = mapped_column(ForeignKey("opt_areas.id"))
    up: Mapped["Area | None"] = relationship(remote_side=id, back_populates="downs")
    downs: Mapped[list["Area"]] = relationship(back_populates="up", order_by="Area.id")
    spots: Mapped[list["Spot"]] = relationship(back_populates="area", order_by="Spot.pos")
    last: Mapped["Spot | None"] = relationship(viewonly=True, order_by="Spot.pos.desc()")


class Spot(Base):
    __tablename__ = "opt_spots"
    id: Mapped[int] = mapped_column(primary_key=True)
    pos: Mapped[int]
    area_id: Mapped[int] = mapped_column(ForeignKey(Area.id))
    area: Mapped[Area] = relationship(back_populates="spots", order_by="Spot.pos")


class Mark(Base):
    __tablename__ = "opt_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    area_id: Mapped[int] = mapped_column(ForeignKey(Area.id))
    area: Mapped[Area] = relationship()


class Board(Base):
    __tablename__ = "opt_boards"
    id: Mapped[int] = mapped_column(primary_key=True)


class Pin(Base):
    __tablename__ = "opt_pins"
    id: Mapped[int] = mapped_column(primary_key=True)
    board_id: Mapped[int] = mapped_column(ForeignKey(Board.id))
    board: Mapped[Board] = relationship(order_by="Pin.id")


Board.highest = column_property(select(func.max(Pin.id)).where(Pin.board_id == Board.id).scalar_subquery())
Area.highest = column_property(select(func.max(Mark.id)).where(Mark.area_id == Area.id).scalar_subquery())


def rows() -> list[Any]:
    """A tree of four areas, the last three with three spots each."""
    spots = [Spot(id=area * 10 + pos, pos=pos, area_id=area) for area in (2, 3, 4) for pos in (2, 3, 1)]
    return ["INSERT INTO opt_areas (id, up_id) VALUES (1, NULL), (2, 1), (3, 1), (4, 2)", *spots]


async def by_options(engine: AsyncEngine, plan: LoadPlan[Any], entity: Any, read: Any) -> list[Any]:
    """Return what ``read`` finds on each root of the plan's own statement, in a plain session."""
    return await lazily(engine, plan.select().order_by(entity.id), read)


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
async def test_a_to_one_of_many_rows_repeats_no_parent(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """SQLAlchemy joins all rows of the to-one, and a list then holds its parent once for each of them."""
    plan = LoadPlan(Area, load(Area.downs, load(Area.last, strategy=strategy)))

    def read(area: Area) -> Any:
        return [(down.id, down.last and down.last.id) for down in area.downs]

    async with filled(engine, Base.metadata, *rows()):
        with pytest.warns(Warning, match="Multiple rows"):
            found = await by_options(engine, plan, Area, read)
    assert found == [[(2, 23), (3, 33)], [(4, 43)], [], []]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_the_order_of_a_to_one_stops_no_statement(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """The mapping orders the to-one by its own child's column, which a statement of the parents lacks."""
    plan = LoadPlan(Spot, load(Spot.area, strategy=strategy))
    async with filled(engine, Base.metadata, *rows()) as loader:
        found = await by_options(engine, plan, Spot, lambda spot: (spot.id, spot.area.id))
        fetched = await loader.fetch_all(plan, order_by=Spot.id)
    assert found == [(spot.id, spot.area.id) for spot in fetched] == [(n, n // 10) for n, _ in found]
    assert len(found) == 9


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_a_subquery_below_a_row_that_is_also_a_root(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """SQLAlchemy's subqueryload loads nothing below a row that it has met at another place."""
    plan = LoadPlan(Area, load(Area.up, load(Area.downs), strategy=strategy))

    def read(area: Area) -> Any:
        return area.up and [down.id for down in area.up.downs]

    async with filled(engine, Base.metadata, *rows()):
        found = await by_options(engine, plan, Area, read)
        right = await lazily(engine, select(Area).order_by(Area.id), read)
    assert found == right


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_a_subquery_in_a_column_keeps_its_table(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """Below a joined row, SQLAlchemy takes the rows of the statement for the table that the subquery names."""
    plan = LoadPlan(Mark, load(Mark.area, strategy=strategy))
    marks = [Mark(id=key, area_id=2 + key % 2) for key in (1, 2, 3, 4)]
    async with filled(engine, Base.metadata, *rows(), *marks):
        found = await by_options(engine, plan, Mark, lambda mark: mark.area.__dict__["highest"])
    assert found == [3, 4, 3, 4]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_a_subquery_in_a_condition_keeps_its_table(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """Below a joined row, SQLAlchemy takes the row of the statement for the one that the condition asks about."""
    plan = LoadPlan(Area, load(Area.up.and_(Area.up.has(Area.id == 1)), strategy=strategy))
    async with filled(engine, Base.metadata, *rows()) as loader:
        found = await by_options(engine, plan, Area, lambda area: area.up and area.up.id)
        fetched = await loader.fetch_all(plan, order_by=Area.id)
    assert found == [area.up and area.up.id for area in fetched] == [None, None, None, 2]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_a_condition_asks_about_the_parents(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """The parents' table is in the statement, in SQLAlchemy's subquery of the parents, and in the condition."""
    plan = LoadPlan(
        Mark, load(Mark.area, where=Area.id.in_(select(Mark.area_id).where(Mark.id > 3)), strategy=strategy)
    )
    marks = [Mark(id=key, area_id=2 + key % 2) for key in (1, 2, 3, 4)]
    async with filled(engine, Base.metadata, *rows(), *marks) as loader:
        found = await by_options(engine, plan, Mark, lambda mark: mark.area and mark.area.id)
        fetched = await loader.fetch_all(plan, order_by=Mark.id)
    assert found == [mark.area and mark.area.id for mark in fetched] == [None, 2, None, 2]


class Tool(Base):
    __tablename__ = "opt_tools"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tool"}


class Saw(Tool):
    __tablename__ = "opt_saws"
    id: Mapped[int] = mapped_column(ForeignKey(Tool.id), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "saw"}


class Hook(Base):
    __tablename__ = "opt_hooks"
    id: Mapped[int] = mapped_column(primary_key=True)
    saw_id: Mapped[int] = mapped_column(ForeignKey(Saw.id))
    saw: Mapped[Saw] = relationship()


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
@pytest.mark.parametrize("column", [Tool.name, Saw.name])
async def test_a_condition_on_a_column_of_the_base(
    engine: AsyncEngine, column: Any, strategy: StrategyName | None
) -> None:
    """SQLAlchemy's join names the table of the base by another name."""
    plan = LoadPlan(Hook, load(Hook.saw, where=column == "a", strategy=strategy))
    tools = [Saw(id=1, name="a"), Saw(id=2, name="b"), Hook(id=1, saw_id=1), Hook(id=2, saw_id=2)]
    async with filled(engine, Base.metadata, *tools) as loader:
        found = await by_options(engine, plan, Hook, lambda hook: hook.saw and hook.saw.id)
        fetched = await loader.fetch_all(plan, order_by=Hook.id)
    assert found == [hook.saw and hook.saw.id for hook in fetched] == [1, None]


@pytest.mark.parametrize("strategy", [None, "joined", "inner", "selectin", "subquery"])
async def test_an_order_that_no_statement_of_options_has(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """The subquery in a column rules out a join, and the order rules out a statement of its own."""
    plan = LoadPlan(Pin, load(Pin.board, strategy=strategy))
    with pytest.raises(PlanError, match=r"LP206: loader options cannot load 'Pin\.board'"):
        plan.options()
    async with filled(engine, Base.metadata, Board(id=1), Pin(id=1, board_id=1), Pin(id=2, board_id=1)) as loader:
        found = await loader.fetch_all(plan, order_by=Pin.id)
    assert [pin.board.__dict__["highest"] for pin in found] == [2, 2]


def test_hints_for_options_and_for_ids() -> None:
    """The hint for a loader option names its relationship, and the one for an id names the key."""
    with pytest.raises(PlanError, match=r"hint: write load\(Area\.downs, load\(Area\.spots\)\)\."):
        LoadPlan(Area, load(selectinload(Area.downs).joinedload(Area.spots)))
    with pytest.raises(PlanError, match=r"hint: write where=Spot\.id == 3\."):
        LoadPlan(Area, load(Area.spots, where=3))


class UnionBase(DeclarativeBase):
    pass


class Binder(UnionBase):
    """Holds sheets of all classes."""

    __tablename__ = "optm_binders"

    id: Mapped[int] = mapped_column(primary_key=True)
    sheets: Mapped[list["Sheet"]] = relationship(order_by="Sheet.id", viewonly=True)


class Sheet(ConcreteBase, UnionBase):
    """The base of concrete classes, which is read from a union."""

    __tablename__ = "optm_sheets"

    id: Mapped[int] = mapped_column(primary_key=True)
    binder_id: Mapped[int] = mapped_column(ForeignKey(Binder.id))
    title: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "sheet", "concrete": True}


class Chart(Sheet):
    """In a table of its own."""

    __tablename__ = "optm_charts"

    id: Mapped[int] = mapped_column(primary_key=True)
    binder_id: Mapped[int] = mapped_column(ForeignKey(Binder.id))
    title: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "chart", "concrete": True}


@pytest.mark.parametrize("strategy", ["selectin", "joined", "subquery"])
async def test_options_to_a_union_of_concrete_classes(engine: AsyncEngine, strategy: StrategyName) -> None:
    """Rows of every class come to their own parents, with a condition too. SQLAlchemy 2.0's select-in mixes them up."""
    configure_mappers()
    union: Any = inspect(Sheet).selectable
    conditions: list[tuple[Any, list[list[int]]]] = [
        (None, [[1, 2, 3], [4]]),
        (Sheet.title == "x", [[1, 3], []]),
        (Sheet.title.in_(["x", "z"]), [[1, 3], [4]]),
        (union.c.title.in_(["x", "z"]), [[1, 3], [4]]),
        (Sheet.__table__.c.title == "x", [[1, 3], []]),
    ]
    rows: list[Any] = [
        "INSERT INTO optm_binders VALUES (1), (2)",
        Sheet(id=1, binder_id=1, title="x"),
        Sheet(id=2, binder_id=1, title="y"),
        Chart(id=3, binder_id=1, title="x"),
        Chart(id=4, binder_id=2, title="z"),
    ]
    async with filled(engine, UnionBase.metadata, *rows) as loader:
        for where, expected in conditions:
            plan = LoadPlan(Binder, load(Binder.sheets, where=where, strategy=strategy))
            found = await by_options(engine, plan, Binder, lambda binder: [each.id for each in binder.sheets])
            assert found == expected, str(where)
            whole = await loader.fetch_all(plan, order_by=Binder.id)
            assert [[each.id for each in binder.sheets] for binder in whole] == expected, str(where)
