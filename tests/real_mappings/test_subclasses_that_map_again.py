"""Subclasses beside inner joins, and relationships that a subclass maps again: no row and no value is lost."""

import copy
import pickle
from typing import Annotated, Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship

from loadplan import LoadPlan, PlanError, load, on, source


class Base(DeclarativeBase):
    pass


class Depot(Base):
    __tablename__ = "again_depots"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Vehicle(Base):
    __tablename__ = "again_vehicles"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    depot_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    other_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(foreign_keys=[depot_id], viewonly=True)
    log: Mapped["Entry | None"] = relationship(order_by="Entry.id.desc()", uselist=False, viewonly=True)


class Bus(Vehicle):
    """Its depot is in a table of its own."""

    __tablename__ = "again_buses"
    __mapper_args__ = {"polymorphic_identity": "bus"}
    id: Mapped[int] = mapped_column(ForeignKey(Vehicle.id), primary_key=True)
    seats: Mapped[int]
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(foreign_keys=[home_id], viewonly=True)
    home: Mapped[Depot | None] = relationship(foreign_keys=[home_id], viewonly=True)


class Van(Vehicle):
    """In the table of all vehicles; its log is the oldest entry."""

    __mapper_args__ = {"polymorphic_identity": "van"}
    second: Mapped[Depot | None] = relationship(foreign_keys=[Vehicle.other_id], viewonly=True)
    log: Mapped["Entry | None"] = relationship(order_by="Entry.id", uselist=False, viewonly=True)


class Entry(Base):
    __tablename__ = "again_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    vehicle_id: Mapped[int] = mapped_column(ForeignKey(Vehicle.id))


ROWS = (
    "INSERT INTO again_depots VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO again_vehicles (id, kind, depot_id, other_id) VALUES (1, 'vehicle', 1, NULL), (2, 'bus', NULL, NULL),"
    " (3, 'bus', 1, NULL), (4, 'van', 1, 2), (5, 'van', NULL, NULL)",
    "INSERT INTO again_buses VALUES (2, 40, 2), (3, 50, NULL)",
    "INSERT INTO again_entries VALUES (1, 1), (2, 1), (3, 4), (4, 4)",
)


def _own(vehicle: Any) -> tuple[Any, ...]:
    """Return what a class of its own adds to a vehicle."""
    if isinstance(vehicle, Bus):
        return vehicle.id, vehicle.seats, vehicle.home and vehicle.home.name
    return vehicle.id, isinstance(vehicle, Van) and vehicle.second and vehicle.second.name


async def test_an_inner_join_in_a_branch_leaves_out_no_row(engine: AsyncEngine) -> None:
    """A branch is a part of a row: rows of other classes stay, and so do the branch's own columns."""
    plan = LoadPlan(Vehicle, on(Bus, load(Bus.home, strategy="inner")), on(Van, load(Van.second, strategy="inner")))
    async with filled(engine, Base.metadata, *ROWS) as loader:
        expected = await lazily(engine, select(Vehicle).order_by(Vehicle.id), _own)
        assert [_own(each) for each in await loader.fetch_all(plan, order_by=Vehicle.id)] == expected
        (edge,) = (each for branch in loader.explain(plan).edges for each in branch.edges if each.name == "Bus.home")
        assert edge.strategy == "left join"
        assert "part of a row" in edge.reason


@attrs.frozen
class DepotView:
    name: str


@attrs.frozen
class BusView:
    seats: int
    home: DepotView | None


@attrs.frozen
class VehicleView:
    id: int


async def test_an_inner_join_in_a_branch_of_a_view(engine: AsyncEngine) -> None:
    """A view of a branch holds its columns and None."""
    member: Any = Annotated[BusView, on(Bus)] | Annotated[VehicleView, on(Vehicle)]
    plan: LoadPlan[Any] = LoadPlan(Vehicle, on(Bus, load(Bus.home, strategy="inner")), into=member)
    async with filled(engine, Base.metadata, *ROWS) as loader:
        found = await loader.fetch_all(plan, order_by=Vehicle.id)
    assert found[1:4] == [BusView(40, DepotView("b")), BusView(50, None), VehicleView(4)]


async def test_an_inner_join_of_a_relationship_that_is_mapped_again(engine: AsyncEngine) -> None:
    """The key of the base says nothing about a bus, so it drops none."""
    plan = LoadPlan(Vehicle, load(Vehicle.depot, strategy="inner"))

    def depot(vehicle: Any) -> tuple[int, str | None]:
        return vehicle.id, vehicle.depot and vehicle.depot.name

    async with filled(engine, Base.metadata, *ROWS) as loader:
        expected = await lazily(engine, select(Vehicle).order_by(Vehicle.id), depot)
        assert [depot(each) for each in await loader.fetch_all(plan, order_by=Vehicle.id)] == expected


@pytest.mark.parametrize("word", ["order_by", "where"])
async def test_a_path_through_a_relationship_that_is_mapped_again(engine: AsyncEngine, word: str) -> None:
    """It would sort and choose rows by another depot than the one that is loaded: LP112."""
    plan = LoadPlan(Vehicle, load(Vehicle.depot))
    path: Any = source(Vehicle.depot, Depot.name if word == "order_by" else Depot.name == "a")
    async with filled(engine, Base.metadata, *ROWS) as loader:
        with pytest.raises(PlanError) as caught:
            await loader.fetch_all(plan, **{word: path})  # type: ignore[arg-type]
        assert "LP112" in str(caught.value)
        assert "'Bus' maps it again" in str(caught.value)
        buses = await loader.fetch_all(LoadPlan(Bus, load(Bus.depot)), order_by=source(Bus.depot, Depot.name).desc())
        assert {each.id for each in buses} == {2, 3}


def test_a_view_of_a_first_row_that_is_mapped_again_in_another_order() -> None:
    """One statement cannot read the newest entry of some rows and the oldest of others: LP309."""
    view = attrs.make_class("VehicleLog", {"log": attrs.field(type=VehicleView | None)})
    with pytest.raises(PlanError, match="'Van' maps 'log' again"):
        LoadPlan(Vehicle, into=view)


# --- a concrete subclass without a relationship of its base ---------------------------------------------------------


class Boat(Base):
    """The mapping loads the columns of its subclasses with each boat."""

    __tablename__ = "again_boats"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "boat", "with_polymorphic": "*"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    depot_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(foreign_keys=[depot_id], viewonly=True)


class Ferry(Boat):
    __tablename__ = "again_ferries"
    __mapper_args__ = {"polymorphic_identity": "ferry"}
    id: Mapped[int] = mapped_column(ForeignKey(Boat.id), primary_key=True)
    cars: Mapped[int]
    home_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(foreign_keys=[home_id], viewonly=True)


class FastFerry(Ferry):
    __tablename__ = "again_fast_ferries"
    __mapper_args__ = {"polymorphic_identity": "fast"}
    id: Mapped[int] = mapped_column(ForeignKey(Ferry.id), primary_key=True)
    knots: Mapped[int]
    port_id: Mapped[int | None] = mapped_column(ForeignKey(Depot.id))
    depot: Mapped[Depot | None] = relationship(foreign_keys=[port_id], viewonly=True)


@pytest.mark.parametrize("strategy", [None, "selectin", "joined", "subquery"])
async def test_columns_that_the_mapping_loads_come_beside_a_relationship_mapped_again(
    engine: AsyncEngine, strategy: Any
) -> None:
    rows = [
        "INSERT INTO again_depots VALUES (1, 'd'), (2, 'd'), (3, 'd')",
        Boat(id=1, depot_id=1),
        Ferry(id=2, depot_id=1, home_id=2, cars=20),
        FastFerry(id=3, depot_id=1, home_id=2, port_id=3, cars=30, knots=40),
    ]

    def read(boat: Any) -> list[Any]:
        names = ("cars", "home_id", "knots", "port_id")
        return [boat.depot.id, *(getattr(boat, name) for name in names if hasattr(type(boat), name))]

    async with filled(engine, Base.metadata, *rows) as loader:
        expected = await lazily(engine, select(Boat).order_by(Boat.id), read)
        plan = LoadPlan(Boat, load(Boat.depot, strategy=strategy))
        assert list(map(read, await loader.fetch_all(plan, order_by=Boat.id))) == expected
        few = LoadPlan(Boat, load(Boat.depot, strategy=strategy), only=[Boat.kind])
        assert [boat.depot.id for boat in await loader.fetch_all(few, order_by=Boat.id)] == [1, 2, 3]
    assert expected == [[1], [2, 20, 2], [3, 30, 2, 40, 3]]


class ConcreteBaseOfTests(DeclarativeBase):
    pass


class Tool(ConcreteBase, ConcreteBaseOfTests):
    __tablename__ = "again_tools"
    __mapper_args__ = {"polymorphic_identity": "tool", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    uses: Mapped[list["Use"]] = relationship(
        primaryjoin=lambda: Tool.id == foreign(Use.tool_id), viewonly=True, order_by="Use.id"
    )


class Saw(Tool):
    """It maps no ``uses``: concrete classes inherit no relationship."""

    __tablename__ = "again_saws"
    __mapper_args__ = {"polymorphic_identity": "saw", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)


class Use(ConcreteBaseOfTests):
    __tablename__ = "again_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    tool_id: Mapped[int]


@pytest.mark.parametrize("strategy", ["selectin", "joined"])
async def test_a_concrete_subclass_without_the_relationship(engine: AsyncEngine, strategy: Any) -> None:
    """Objects of the base have it. On the subclass, reading it raises what SQLAlchemy raises for such a class."""
    plan = LoadPlan(Tool, load(Tool.uses, strategy=strategy))
    rows = (Tool(id=1), Saw(id=2), Use(id=1, tool_id=1), Use(id=2, tool_id=2))
    async with filled(engine, ConcreteBaseOfTests.metadata, *rows) as loader:
        found = await loader.fetch_all(plan, order_by=Tool.id)
        for tool, saw in (found, copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            assert [each.id for each in tool.uses] == [1]
            with pytest.raises(AttributeError, match="does not implement attribute 'uses'"):
                _ = saw.uses
