"""Rules for a mixin or a base class hold for the classes for which SQLAlchemy has them hold, and for no others."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
    with_loader_criteria,
)

from loadplan import LoadPlan, SyncLoader, load, on


class Base(DeclarativeBase):
    pass


class Hideable:
    gone: Mapped[bool] = mapped_column(default=False)


class Garage(Hideable, Base):
    __tablename__ = "criteria_garages"
    id: Mapped[int] = mapped_column(primary_key=True)
    vehicles: Mapped[list["Vehicle"]] = relationship()


class Vehicle(Hideable, Base):
    __tablename__ = "criteria_vehicles"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    garage_id: Mapped[int | None] = mapped_column(ForeignKey(Garage.id))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}


class Bus(Vehicle):
    __tablename__ = "criteria_buses"
    id: Mapped[int] = mapped_column(ForeignKey(Vehicle.id), primary_key=True)
    seats: Mapped[int] = mapped_column(default=40)
    __mapper_args__ = {"polymorphic_identity": "bus"}


class Bike(Vehicle):
    __mapper_args__ = {"polymorphic_identity": "bike"}


CLASSES = (Garage, Vehicle, Bus, Bike)


@pytest.fixture
def garages() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        vehicles = [cls(gone=gone) for cls in (Vehicle, Bus, Bike) for gone in (True, False)]
        session.add_all([Garage(vehicles=vehicles), Garage(gone=True)])
        session.commit()
    yield engine
    engine.dispose()


@pytest.mark.parametrize("include_aliases", [False, True])
@pytest.mark.parametrize("base", [Hideable, Vehicle])
def test_it_holds_where_it_holds_in_a_session(garages: Engine, base: Any, include_aliases: bool) -> None:
    class Guarded(Session):
        pass

    @event.listens_for(Guarded, "do_orm_execute")
    def hide(state: Any) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            rule = with_loader_criteria(base, lambda cls: cls.gone.is_(False), include_aliases=include_aliases)
            state.statement = state.statement.options(rule)

    with Guarded(garages) as session:
        rows = [[each.id for each in session.scalars(select(cls).order_by(cls.id))] for cls in CLASSES]
        options = selectinload(Garage.vehicles).selectin_polymorphic([Bus])
        statement = select(Garage).options(options).order_by(Garage.id)
        below = [{each.id for each in garage.vehicles} for garage in session.scalars(statement)]
    loader = SyncLoader(sessionmaker(garages, class_=Guarded))
    assert [[each.id for each in loader.fetch_all(LoadPlan(cls), order_by=cls.id)] for cls in CLASSES] == rows
    plan = LoadPlan(Garage, load(Garage.vehicles, on(Bus)))
    found = loader.fetch_all(plan, order_by=Garage.id)
    assert [{each.id for each in garage.vehicles} for garage in found] == below
    is_hidden = len(rows[0]) < 2 or len(rows[1]) < 6
    assert is_hidden is (include_aliases or base is Vehicle), "a rule for a mixin needs include_aliases"
