"""Classes that few applications map: over joins and subqueries, falsy or unhashable, with odd hierarchies."""

from typing import Any

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import ForeignKey, case, func, join, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship, validates

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import in_one, recording, tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class Odd(Base):
    """Has a length of nought, is never true, equals everything, cannot be hashed, and wants arguments."""

    __tablename__ = "odd_ones"
    id: Mapped[int] = mapped_column(primary_key=True)
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("odd_holders.id"))
    twin_id: Mapped[int | None] = mapped_column(ForeignKey("odd_ones.id"))
    holder: Mapped["Holder | None"] = relationship(back_populates="odds")
    twin: Mapped["Odd | None"] = relationship(remote_side="Odd.id")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: int, holder_id: int | None, twin_id: int | None) -> None:
        self.id, self.holder_id, self.twin_id = number, holder_id, twin_id

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True

    @validates("twin_id", "holder")
    def refuse(self, key: str, value: Any) -> Any:
        """Loading is no assignment."""
        assert key != "holder", "a validator ran while loading"
        return value


class Holder(Base):
    __tablename__ = "odd_holders"
    id: Mapped[int] = mapped_column(primary_key=True)
    odds: Mapped[list[Odd]] = relationship(back_populates="holder", order_by=Odd.id)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_objects_are_told_apart_by_identity_alone(engine: AsyncEngine, strategy: Any) -> None:
    """Neither truth, length, equality nor hash of an entity decides anything."""
    down = LoadPlan(Holder, load(Holder.odds, load(Odd.twin, strategy=strategy), strategy=strategy))
    up = LoadPlan(Odd, load(Odd.holder, strategy=strategy), load(Odd.twin, strategy=strategy))
    async with tables(engine, Base.metadata):
        await fill(engine, Holder(id=1), Holder(id=2))
        await fill(engine, Odd(1, 1, None))
        await fill(engine, Odd(2, 1, 1), Odd(3, None, 1))
        count = {None: 2, "joined": 1}.get(strategy, 3)
        holders = await same_as_lazy(engine, down, count, by_hand=False, deep_copy=False)
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 3, by_hand=False, deep_copy=False)
    assert holders[0].odds[1].twin is holders[0].odds[0]
    assert holders[0].odds[0].holder is holders[0]


class Person(Base):
    __tablename__ = "odd_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Address(Base):
    __tablename__ = "odd_addresses"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    street: Mapped[str]


class Located(Base):
    """Mapped to a join of two tables; one attribute stands for a column of each."""

    __table__ = join(Person.__table__, Address.__table__)
    person_id = column_property(Person.__table__.c.id, Address.__table__.c.person_id)
    address_id = Address.__table__.c.id
    visits: Mapped[list["Visit"]] = relationship(
        primaryjoin="Located.address_id == foreign(Visit.address_id)", viewonly=True, order_by="Visit.id"
    )


class Visit(Base):
    __tablename__ = "odd_visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    address_id: Mapped[int] = mapped_column(ForeignKey(Address.id))
    located: Mapped[Located] = relationship(
        primaryjoin="foreign(Visit.address_id) == Located.address_id", viewonly=True
    )


summary = (
    select(Address.person_id.label("person"), func.count().label("addresses"))
    .group_by(Address.person_id)
    .subquery("odd_summary")
)


class Summary(Base):
    """Mapped to a subquery with an aggregate; the mapping says what its key is."""

    __table__ = summary
    __mapper_args__ = {"primary_key": [summary.c.person]}
    details: Mapped[list[Address]] = relationship(
        primaryjoin=lambda: summary.c.person == Address.person_id,
        foreign_keys=Address.person_id,
        viewonly=True,
        order_by=Address.id,
    )


Person.summary = relationship(
    Summary, primaryjoin=Person.id == summary.c.person, foreign_keys=summary.c.person, uselist=False, viewonly=True
)


async def _fill_people(engine: AsyncEngine) -> None:
    await fill(engine, Person(id=1, name="Ann"), Person(id=2, name="Bob"))
    await fill(engine, Address(id=1, person_id=1, street="x"), Address(id=2, person_id=1, street="y"))
    await fill(engine, Visit(id=1, address_id=2), Visit(id=2, address_id=2))


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_class_mapped_to_a_join(engine: AsyncEngine, strategy: Any) -> None:
    """As the root and as the target. Nothing holds the target to one row, so options ask for it separately."""
    async with tables(engine, Base.metadata):
        await _fill_people(engine)
        down = LoadPlan(Located, load(Located.visits, strategy=strategy))
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        up = LoadPlan(Visit, load(Visit.located, strategy=strategy))
        await same_as_lazy(engine, up, 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_class_mapped_to_a_subquery(engine: AsyncEngine, strategy: Any) -> None:
    """By its declared key, as the root and as the target of a one-to-one that nothing holds to one row."""
    async with tables(engine, Base.metadata):
        await _fill_people(engine)
        down = LoadPlan(Summary, load(Summary.details, strategy=strategy))
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        up = LoadPlan(Person, load("summary", load(Summary.details), strategy=strategy))
        people = await same_as_lazy(engine, up, 3)
        found = await Loader(engine).fetch(LoadPlan(Summary), 1)
    assert found.addresses == 2
    assert people[1].summary is None


class Shape(Base):
    """Its class is an expression, and two subclasses have relationships of the same name to different classes."""

    __tablename__ = "odd_shapes"
    id: Mapped[int] = mapped_column(primary_key=True)
    corners: Mapped[int] = mapped_column(default=0)
    next_id: Mapped[int | None] = mapped_column(ForeignKey("odd_shapes.id"))
    next: Mapped["Shape | None"] = relationship(remote_side="Shape.id")
    __mapper_args__ = {
        "polymorphic_on": case((corners == 0, "round"), (corners == 4, "square"), else_="shape"),
        "polymorphic_identity": "shape",
    }


class Round(Shape):
    __mapper_args__ = {"polymorphic_identity": "round"}
    parts: Mapped[list["Arc"]] = relationship(order_by="Arc.id")


class Square(Shape):
    __mapper_args__ = {"polymorphic_identity": "square"}
    parts: Mapped[list["Side"]] = relationship(order_by="Side.id", lazy="joined")


class Arc(Base):
    __tablename__ = "odd_arcs"
    id: Mapped[int] = mapped_column(primary_key=True)
    shape_id: Mapped[int] = mapped_column(ForeignKey(Shape.id))
    shape: Mapped[Round] = relationship(viewonly=True)


class Side(Base):
    __tablename__ = "odd_sides"
    id: Mapped[int] = mapped_column(primary_key=True)
    shape_id: Mapped[int] = mapped_column(ForeignKey(Shape.id))
    shape: Mapped[Square] = relationship(viewonly=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_computed_discriminator_and_namesakes_on_subclasses(engine: AsyncEngine, strategy: Any) -> None:
    """Each subclass's own ``parts``; from the base neither."""
    async with tables(engine, Base.metadata):
        await fill(engine, Shape(id=1, corners=3))
        await fill(engine, Round(id=2, corners=0, next_id=1), Square(id=3, corners=4, next_id=1))
        await fill(engine, Arc(id=1, shape_id=2), Side(id=1, shape_id=3), Side(id=2, shape_id=3))
        for entity in (Round, Square):
            plan: LoadPlan[Any] = LoadPlan(entity, load(entity.parts, strategy=strategy), load(Shape.next))
            await same_as_lazy(engine, plan, None if strategy == "joined" else 2)
        base = LoadPlan(Shape, load(Shape.next, strategy=strategy))
        shapes = await same_as_lazy(engine, base, 1 if strategy in {None, "joined"} else 2, by_hand=False)
        only = await Loader(engine).fetch_all(LoadPlan(Shape, only=[Shape.id]), order_by=Shape.id)
        await same_as_lazy(
            engine,
            LoadPlan(Side, load(Side.shape, load(Square.parts), strategy=strategy)),
            2 if strategy in {None, "joined"} else 3,
        )
    assert [type(shape) for shape in shapes] == [type(shape) for shape in only] == [Shape, Round, Square]
    for shape in shapes[1:]:
        with pytest.raises(NotLoaded, match=rf"'{type(shape).__name__}\.parts'"):
            _ = shape.parts


class Asset(ConcreteBase, Base):
    """Concrete tables read together, by a UNION that the mapping makes."""

    __tablename__ = "odd_assets"
    __mapper_args__ = {"polymorphic_identity": "asset", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("odd_owners.id"))
    owner: Mapped["AssetOwner | None"] = relationship(back_populates="assets")


class House(Asset):
    __tablename__ = "odd_houses"
    __mapper_args__ = {"polymorphic_identity": "house", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("odd_owners.id"))
    rooms: Mapped[int]
    owner: Mapped["AssetOwner | None"] = relationship(back_populates="assets")


class AssetOwner(Base):
    __tablename__ = "odd_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    assets: Mapped[list[Asset]] = relationship(back_populates="owner", order_by="Asset.id")


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_polymorphic_union_of_concrete_tables(engine: AsyncEngine, strategy: Any) -> None:
    """A collection of the base brings rows of every table; the way back is set.

    From the base to the owner takes a second statement: SQLAlchemy's ``joinedload(Asset.owner)`` leaves the
    relationship of every concrete subclass unloaded, silently.
    """
    plan = LoadPlan(AssetOwner, load(AssetOwner.assets, strategy=strategy))
    async with tables(engine, Base.metadata):
        await fill(engine, AssetOwner(id=1), AssetOwner(id=2))
        await fill(engine, Asset(id=1, owner_id=1), House(id=2, owner_id=1, rooms=3), House(id=3, owner_id=2, rooms=4))
        owners = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2, by_hand=False)
        up = LoadPlan(House, load(House.owner, strategy=strategy))
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 2, by_hand=False)
        with recording(engine) as statements:
            everything = await Loader(engine).fetch_all(LoadPlan(Asset, load(Asset.owner, strategy=strategy)))
    assert [type(asset) for asset in owners[0].assets] == [Asset, House]
    assert owners[0].assets[1].rooms == 3
    assert len(statements) == (in_one(engine, 2) if strategy == "joined" else 2)
    assert sorted((asset.id, asset.owner.id) for asset in everything if asset.owner) == [(1, 1), (2, 1), (3, 2)]
