"""Mappings that are easy to get wrong: aliases as targets, concrete classes with equal keys, columns of queries."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import ForeignKey, Index, String, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, column_property, foreign, mapped_column, relationship

from loadplan import FetchRecord, Loader, LoadPlan, PlanError, TooManyRows, aggregate, count, exists, load, on, source
from support import tables


class Base(DeclarativeBase):
    pass


class Fleet(Base):
    """Leads to its ships over an alias, over a query of the newest ones, and to vehicles of several tables."""

    __tablename__ = "fire_m_fleets"
    id: Mapped[int] = mapped_column(primary_key=True)


class Ship(Base):
    """One of its columns is a query, so that its rows are not those of a table alone."""

    __tablename__ = "fire_m_ships"
    __table_args__ = (Index("fire_m_ships_by_size", "fleet_id", "size"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    fleet_id: Mapped[int] = mapped_column(ForeignKey("fire_m_fleets.id"))
    captain_id: Mapped[int | None] = mapped_column(ForeignKey("fire_m_captains.id"))
    size: Mapped[int]
    captain: Mapped["Captain | None"] = relationship()


class Captain(Base):
    __tablename__ = "fire_m_captains"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Vehicle(ConcreteBase, Base):
    __tablename__ = "fire_m_vehicles"
    id: Mapped[int] = mapped_column(primary_key=True)
    fleet_id: Mapped[int]
    wheels: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "vehicle", "concrete": True}


class Car(Vehicle):
    """In a table of its own, with keys of its own."""

    __tablename__ = "fire_m_cars"
    id: Mapped[int] = mapped_column(primary_key=True)
    fleet_id: Mapped[int]
    wheels: Mapped[int | None]
    driver_id: Mapped[int | None] = mapped_column(ForeignKey("fire_m_captains.id"))
    driver: Mapped[Captain | None] = relationship()
    __mapper_args__ = {"polymorphic_identity": "car", "concrete": True}


Ship.twice = column_property(Ship.size * 2)
Ship.siblings = column_property(
    select(func.count()).where(aliased(Ship, name="other").fleet_id == Ship.fleet_id).correlate(Ship).scalar_subquery()
)
ships = Ship.__table__
newest_ids = select(func.max(ships.c.id)).group_by(ships.c.fleet_id)
Other = aliased(Ship)
Newest = aliased(Ship, select(ships).where(ships.c.id.in_(newest_ids)).subquery("newest"))
Fleet.ships = relationship(Ship, order_by=Ship.id, viewonly=True)
Fleet.big_ships = relationship(
    Ship, primaryjoin=(Fleet.id == foreign(Ship.fleet_id)) & (Ship.size > 1), order_by=Ship.id, viewonly=True
)
Fleet.others = relationship(
    Other, primaryjoin=lambda: Fleet.id == foreign(Other.fleet_id), order_by=lambda: Other.id, viewonly=True
)
Fleet.newest = relationship(
    Newest, primaryjoin=lambda: Fleet.id == foreign(Newest.fleet_id), viewonly=True, uselist=False
)
Fleet.vehicles = relationship(
    Vehicle, primaryjoin=lambda: Fleet.id == foreign(Vehicle.fleet_id), order_by=lambda: Vehicle.id, viewonly=True
)


@pytest.fixture
async def fleets(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Three fleets, the last of them empty."""
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add_all([Fleet(id=each) for each in (1, 2, 3)])
            session.add_all([Captain(id=1, name="Ann"), Captain(id=2, name="Ben")])
            await session.flush()
            sizes = {1: (1, 3), 2: (1, 2), 3: (1, 1), 4: (2, 5)}
            session.add_all(
                [
                    Ship(id=id_, fleet_id=fleet, size=size, captain_id=id_ % 3 or None)
                    for id_, (fleet, size) in sizes.items()
                ]
            )
            session.add_all([Vehicle(id=1, fleet_id=1, wheels=2), Car(id=1, fleet_id=1, wheels=4, driver_id=1)])
            session.add_all([Car(id=2, fleet_id=2, wheels=3), Vehicle(id=3, fleet_id=1)])
            await session.commit()
        yield postgres


async def all_of(engine: AsyncEngine, plan: LoadPlan[Any]) -> list[Any]:
    """Fetch the fleets in several ways that must agree, and return them."""
    loader = Loader(engine)
    found = await loader.fetch_all(plan, order_by=Fleet.id)
    ids = [[getattr(each, "id", each) for each in _values(fleet)] for fleet in found]
    for again in (
        await loader.fetch_all(plan, order_by=Fleet.id, limit=50),
        await Loader(engine, max_rows=1000).fetch_all(plan, order_by=Fleet.id),
        [await loader.fetch(plan, each) for each in (1, 2, 3)],
        [each async for each in loader.stream(plan, order_by=Fleet.id, batch_size=1)],
    ):
        assert [[getattr(each, "id", each) for each in _values(fleet)] for fleet in again] == ids
    return found


def _values(fleet: Any) -> list[Any]:
    """Return all that is at the end of a fleet's relationships."""
    found: list[Any] = []
    for name, value in sorted(vars(fleet).items() if hasattr(fleet, "__dict__") else attrs.asdict(fleet).items()):
        if name not in {"id", "_sa_instance_state"}:
            found += value if isinstance(value, list) else [value]
    return found


def ids_of(found: list[Any], name: str) -> list[Any]:
    values = [getattr(each, name) for each in found]
    return [[each.id for each in one] if isinstance(one, list) else one and one.id for one in values]


@attrs.frozen
class Row:
    id: int


def view(field: str, annotation: Any) -> type[Any]:
    """Return a class of fleets with one more field."""
    return attrs.make_class(
        "FleetView", {"id": attrs.field(type=int), field: attrs.field(type=annotation)}, slots=False
    )


# --- aliases --------------------------------------------------------------------------------------------------------

ALIASED: dict[str, tuple[Any, list[Any]]] = {
    "where": (load(Fleet.others, where=Other.size > 1), [[1, 2], [4], []]),
    "order": (load(Fleet.others, order_by=Other.size), [[3, 2, 1], [4], []]),
    "limit": (load(Fleet.others, order_by=Other.size.desc(), limit=2), [[1, 2], [4], []]),
    "to-one": (load(Fleet.newest, where=Newest.size > 1), [None, 4, None]),
    "to-one, select-in": (load(Fleet.newest, where=Newest.size > 1, strategy="selectin"), [None, 4, None]),
    "asks a relationship": (load(Fleet.others, where=Other.captain.has(Captain.name == "Ann")), [[1], [4], []]),
}


@pytest.mark.parametrize("name", ALIASED)
async def test_conditions_and_orders_of_an_alias(fleets: AsyncEngine, name: str) -> None:
    item, expected = ALIASED[name]
    key = item.relationship.key
    assert ids_of(await all_of(fleets, LoadPlan(Fleet, item)), key) == expected
    row: Any = Row | None if key == "newest" else list[Row]
    assert ids_of(await all_of(fleets, LoadPlan(Fleet, item, into=view(key, row))), key) == expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Annotated[int, count(Fleet.others, where=Other.size > 1)], [2, 1, 0]),
        (Annotated[bool, exists(Fleet.others, where=Other.size > 3)], [False, True, False]),
        (Annotated[int | None, aggregate(Fleet.others, func.max(Other.size))], [3, 5, None]),
        (Annotated[int | None, source(Fleet.newest, Ship.size)], [1, 5, None]),
        (Annotated[int | None, source(Fleet.newest, func.abs(Newest.size))], [1, 5, None]),
        (Annotated[list[int], source(Fleet.others, Ship.twice)], [[6, 4, 2], [10], []]),
        (Annotated[str | None, source(Fleet.newest, Ship.captain, Captain.name)], [None, "Ann", None]),
    ],
    ids=["count", "exists", "aggregate", "column", "expression", "column property", "onwards"],
)
async def test_values_of_an_alias(fleets: AsyncEngine, annotation: Any, expected: list[Any]) -> None:
    found = await all_of(fleets, LoadPlan(Fleet, into=view("value", annotation)))
    assert [each.value for each in found] == expected


WRONG: dict[str, Any] = {
    "where": lambda: LoadPlan(Fleet, load(Fleet.others, where=Ship.size > 1)),
    "order": lambda: LoadPlan(Fleet, load(Fleet.others, order_by=Ship.size.desc(), limit=1)),
    "to-one": lambda: LoadPlan(Fleet, load(Fleet.newest, where=Ship.size > 1)),
    "view": lambda: LoadPlan(Fleet, load(Fleet.others, where=Ship.size > 1), into=view("others", list[Row])),
    "count": lambda: LoadPlan(Fleet, into=view("many", Annotated[int, count(Fleet.others, where=Ship.size > 1)])),
    "aggregate": lambda: LoadPlan(
        Fleet, into=view("most", Annotated[int | None, aggregate(Fleet.others, func.max(Ship.size))])
    ),
    "expression": lambda: LoadPlan(
        Fleet, into=view("size", Annotated[int | None, source(Fleet.newest, func.abs(Ship.size))])
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_class_is_not_its_alias(name: str) -> None:
    """A condition on the class would be about any of its rows: it would hold, or not, for all rows of the alias."""
    with pytest.raises(PlanError, match=r"LP215|LP307: .* uses 'fire_m_ships', but only 'Ship' is available here"):
        WRONG[name]()


def test_the_error_says_so() -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Fleet, load(Fleet.others, where=Ship.size > 1), name="fleet")
    assert str(caught.value) == (
        "LP215: where= of 'Fleet.others' uses 'fire_m_ships', but only 'Ship' is available here\n"
        "  at: fleet > others\n"
        "  detail: without a join condition, every row would be paired with every row of the other table.\n"
        "  hint: 'Fleet.others' leads to an alias of 'Ship'. Use the attributes of that alias in where=."
    )
    with pytest.raises(PlanError, match="uses 'an alias of fire_m_ships', but only 'Ship' is available here"):
        LoadPlan(Fleet, load(Fleet.ships, where=Other.size > 1))


# --- the first rows of what is more than a table ----------------------------------------------------------------------


@pytest.mark.parametrize("joined", [None, "joined", "inner"])
@pytest.mark.parametrize("name", ["ships", "big_ships"])
async def test_the_first_rows_of_a_class_with_computed_columns(fleets: AsyncEngine, name: str, joined: Any) -> None:
    """Walked to by LATERAL, or numbered; joined to what is below."""
    below = [load(Ship.captain, strategy=joined)] if joined else []
    plan = LoadPlan(Fleet, load(getattr(Fleet, name), *below, order_by=Ship.size, limit=2))
    found = await all_of(fleets, plan)
    expected = [[3, 2], [4], []] if name == "ships" else [[2, 1], [4], []]
    if joined == "inner":  # asked for: a ship without a captain is not there
        expected = [[each for each in one if each != 3] for one in expected]
    assert ids_of(found, name) == expected
    assert [[each.twice for each in getattr(one, name)] for one in found] == [
        [{1: 6, 2: 4, 3: 2, 4: 10}[each] for each in one] for one in expected
    ]


# --- concrete classes -------------------------------------------------------------------------------------------------

VEHICLES = LoadPlan(Vehicle, on(Car, load(Car.driver)))


def names_of(found: list[Any]) -> list[tuple[str, int]]:
    return [(type(each).__name__, each.id) for each in found]


EVERY = [("Car", 1), ("Vehicle", 1), ("Car", 2), ("Vehicle", 3)]


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_concrete_classes_with_equal_keys(fleets: AsyncEngine, size: int) -> None:
    """A key is one class's; pages, limits and batches tell the rows apart by their class, too."""
    loader, forth, back = Loader(fleets), [], []
    page = await loader.fetch_page(VEHICLES, Vehicle.id, size)
    forth += page.items
    while page.next:
        page = await loader.fetch_page(VEHICLES, Vehicle.id, size, after=page.next)
        forth += page.items
    back += page.items[::-1]
    while page.previous:
        page = await loader.fetch_page(VEHICLES, Vehicle.id, size, before=page.previous)
        back += page.items[::-1]
    assert names_of(forth) == EVERY
    assert names_of(back) == EVERY[::-1]
    walked = [each async for each in loader.stream(VEHICLES, order_by=Vehicle.id, batch_size=size)]
    assert sorted(names_of(walked)) == sorted(EVERY)
    assert names_of(await loader.fetch_all(VEHICLES, order_by=Vehicle.id, limit=size)) == EVERY[:size]
    assert sorted(names_of(await loader.fetch_all(VEHICLES))) == sorted(EVERY)


@attrs.frozen
class CarView:
    id: int
    driver: Annotated[str | None, source(Car.driver, Captain.name)]


@attrs.frozen
class VehicleView:
    id: int
    wheels: int | None


async def test_the_first_of_concrete_classes(fleets: AsyncEngine) -> None:
    first = Vehicle.wheels.desc().nulls_last()
    found = await all_of(fleets, LoadPlan(Fleet, load(Fleet.vehicles, order_by=first, limit=2)))
    assert [names_of(each.vehicles) for each in found] == [[("Car", 1), ("Vehicle", 1)], [("Car", 2)], []]
    branches = [on(Car, into=CarView), on(Vehicle, into=VehicleView)]
    union = Annotated[list[CarView | VehicleView], load(Fleet.vehicles, *branches, order_by=first, limit=2)]
    views = await all_of(fleets, LoadPlan(Fleet, into=view("vehicles", union)))
    assert [each.vehicles for each in views] == [[CarView(1, "Ann"), VehicleView(1, 2)], [CarView(2, None)], []]


# --- keys that the database takes for equal ---------------------------------------------------------------------------


class Folding(DeclarativeBase):
    pass


class Word(Folding):
    """Its key is one with itself in capitals, for the database alone."""

    __tablename__ = "fire_m_words"
    text: Mapped[str] = mapped_column(String(collation="NOCASE"), primary_key=True)


@attrs.frozen
class WordView:
    text: str


@pytest.mark.parametrize("plan", [LoadPlan(Word), LoadPlan(Word, into=WordView)], ids=["entities", "views"])
async def test_rows_that_are_asked_for_again_count(sqlite: AsyncEngine, plan: LoadPlan[Any]) -> None:
    """Two come for the keys at once, and again one by one for keys that are not among those of the rows."""
    async with tables(sqlite, Folding.metadata):
        async with sqlite.begin() as connection:
            await connection.execute(Word.__table__.insert(), [{"text": "ONE"}, {"text": "TWO"}])
        asked = ["one", "two", "three"]
        found = await Loader(sqlite, max_rows=4).fetch_many(plan, asked, missing="skip")
        assert [each.text for each in found] == ["ONE", "TWO"]
        for bound in (0, 1, 2, 3):
            with pytest.raises(TooManyRows, match="LP406"):
                await Loader(sqlite, max_rows=bound).fetch_many(plan, asked, missing="skip")


# --- rows that are counted, in views ----------------------------------------------------------------------------------

FULL = attrs.make_class(
    "FullView",
    {
        "id": attrs.field(type=int),
        "ships": attrs.field(type=list[Row]),
        "vehicles": attrs.field(type=list[Row]),
        "newest": attrs.field(type=Row | None),
    },
)


async def test_max_rows_of_views(fleets: AsyncEngine) -> None:
    """Three fleets, four ships, four vehicles: eleven rows, of which a to-one that is joined adds none."""
    plan: LoadPlan[Any] = LoadPlan(Fleet, load(Fleet.newest, strategy="joined"), into=FULL)
    whole = await Loader(fleets).fetch_all(plan)
    rows = await counted(fleets, plan)
    assert len(await Loader(fleets, max_rows=rows).fetch_all(plan)) == len(whole) == 3
    for bound in range(rows):
        with pytest.raises(TooManyRows, match="LP406") as caught:
            await Loader(fleets, max_rows=bound).fetch_all(plan)
        assert f"max_rows={bound}" in str(caught.value)
        with pytest.raises(TooManyRows, match="LP406"):
            await Loader(fleets, max_rows=bound).fetch_many(plan, [1, 2, 3])
    assert await Loader(fleets, max_rows=1).fetch(plan, 3) == whole[2]


async def counted(engine: AsyncEngine, plan: LoadPlan[Any]) -> int:
    """Return how many rows a fetch brings, as it says itself."""
    told: list[FetchRecord] = []
    await Loader(engine, max_rows=1000, on_fetch=told.append).fetch_all(plan)
    return told[0].rows
