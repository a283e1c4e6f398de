"""Joined-table and concrete inheritance, with every way a mapping may load subclasses by itself."""

from typing import Any

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording, tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


def hierarchy(prefix: str, base: dict[str, Any], sub: dict[str, Any]) -> dict[str, Any]:
    """Map Owner -> Animal <- (Dog -> Bone, Cat), with these mapper arguments on the base and on its subclasses."""

    class Local(DeclarativeBase):
        pass

    class Owner(Local):
        __tablename__ = f"{prefix}_owners"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Animal(Local):
        __tablename__ = f"{prefix}_animals"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal", **base}
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
        owner: Mapped[Owner | None] = relationship(back_populates="animals")

    class Dog(Animal):
        __tablename__ = f"{prefix}_dogs"
        id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
        breed: Mapped[str]
        friend_id: Mapped[int | None] = mapped_column(ForeignKey(Animal.id))
        friend: Mapped[Animal | None] = relationship(foreign_keys=[friend_id])
        __mapper_args__ = {
            "polymorphic_identity": "dog",
            "inherit_condition": id == Animal.id,
            **sub,
        }

    class Cat(Animal):
        __tablename__ = f"{prefix}_cats"
        __mapper_args__ = {"polymorphic_identity": "cat", **sub}
        id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
        lives: Mapped[int]

    class Bone(Local):
        __tablename__ = f"{prefix}_bones"
        id: Mapped[int] = mapped_column(primary_key=True)
        dog_id: Mapped[int] = mapped_column(ForeignKey(Dog.id))
        dog: Mapped[Dog] = relationship(back_populates="bones")

    Owner.animals = relationship(Animal, back_populates="owner", order_by=Animal.id)
    Owner.dogs = relationship(Dog, viewonly=True, order_by=Dog.id)
    Dog.bones = relationship(Bone, back_populates="dog", order_by=Bone.id, lazy="selectin")
    classes = {each.__name__: each for each in (Owner, Animal, Dog, Cat, Bone)}
    for name, each in classes.items():
        each.__qualname__ = f"{prefix}_{name}"
        globals()[each.__qualname__] = each
    return classes


HIERARCHIES = {
    "plain": hierarchy("plain", {}, {}),
    "inline": hierarchy("inline", {}, {"polymorphic_load": "inline"}),
    "star": hierarchy("star", {"with_polymorphic": "*"}, {}),
    "selectin": hierarchy("selectin", {}, {"polymorphic_load": "selectin"}),
}
COLUMNS_COME = {"inline", "star", "selectin"}


async def _fill(engine: AsyncEngine, at: dict[str, Any]) -> None:
    await fill(engine, at["Owner"](id=1), at["Owner"](id=2))
    await fill(engine, at["Animal"](id=1, owner_id=1), at["Cat"](id=2, owner_id=1, lives=9))
    await fill(engine, at["Dog"](id=3, owner_id=1, breed="x", friend_id=2), at["Dog"](id=4, owner_id=2, breed="y"))
    await fill(engine, at["Bone"](id=1, dog_id=3), at["Bone"](id=2, dog_id=3))


def _extra(kind: str, *, rows: bool = True) -> int:
    """Statements that ``polymorphic_load="selectin"`` adds: one for cats, one for dogs."""
    return 2 if kind == "selectin" and rows else 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", HIERARCHIES)
async def test_a_collection_of_the_base(engine: AsyncEngine, kind: str, strategy: str | None) -> None:
    """The rows are of their classes; the subclass's own eager relationship adds nothing."""
    at = HIERARCHIES[kind]
    plan = LoadPlan(at["Owner"], load(at["Owner"].animals, strategy=strategy))
    async with tables(engine, at["Owner"].metadata):
        await _fill(engine, at)
        count = (1 if strategy == "joined" else 2) + _extra(kind)
        owners = await same_as_lazy(engine, plan, count, by_hand=kind != "selectin")
    assert [type(animal).__name__ for animal in owners[0].animals] == ["Animal", "Cat", "Dog"]
    dog = owners[0].animals[2]
    if kind in COLUMNS_COME:
        assert dog.breed == "x"
    else:
        with pytest.raises(NotLoaded, match=r"'Dog\.breed'"):
            _ = dog.breed
    for key in ("bones", "friend"):
        with pytest.raises(NotLoaded, match=rf"'Dog\.{key}'"):
            getattr(dog, key)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", HIERARCHIES)
async def test_a_relationship_to_the_subclass_and_below_it(
    engine: AsyncEngine, kind: str, strategy: str | None
) -> None:
    """``Owner.dogs``, their bones, and a relationship of the subclass to the base."""
    at = HIERARCHIES[kind]
    plan = LoadPlan(
        at["Owner"], load(at["Owner"].dogs, load(at["Dog"].bones), load(at["Dog"].friend), strategy=strategy)
    )
    async with tables(engine, at["Owner"].metadata):
        await _fill(engine, at)
        if kind == "selectin":
            owners = await Loader(engine).fetch_all(plan, order_by=at["Owner"].id)
        else:
            owners = await same_as_lazy(engine, plan, 2 if strategy == "joined" else 3)
    assert [(dog.id, dog.breed, len(dog.bones)) for owner in owners for dog in owner.dogs] == [(3, "x", 2), (4, "y", 0)]
    assert type(owners[0].dogs[0].friend) is at["Cat"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", HIERARCHIES)
async def test_root_plans_at_the_base_and_at_the_subclass(engine: AsyncEngine, kind: str, strategy: str | None) -> None:
    """Inherited relationships join from the base's table, own ones from the subclass's."""
    at = HIERARCHIES[kind]
    single = strategy in {None, "joined"}
    async with tables(engine, at["Owner"].metadata):
        await _fill(engine, at)
        base = LoadPlan(at["Animal"], load(at["Animal"].owner, strategy=strategy))
        count = 1 if single else 2
        await same_as_lazy(engine, base, count + _extra(kind), by_hand=kind != "selectin")
        sub = LoadPlan(at["Dog"], load(at["Dog"].owner, strategy=strategy), load(at["Dog"].bones, strategy=strategy))
        count = {None: 2, "joined": 1}.get(strategy, 3)
        dogs = await same_as_lazy(engine, sub, count)
        named_on_base = LoadPlan(at["Dog"], load(at["Animal"].owner), only=[at["Dog"].breed])
        dog = await Loader(engine).fetch(named_on_base, 3)
    assert [dog.breed for dog in dogs] == ["x", "y"]
    assert dogs[0].bones[0].dog is dogs[0]
    assert (dog.breed, dog.owner.id) == ("x", 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["plain", "inline", "star"])
async def test_a_many_to_one_to_the_subclass(engine: AsyncEngine, kind: str, strategy: str | None) -> None:
    """Two tables joined behind an outer join, and on from there to the base's relationship."""
    at = HIERARCHIES[kind]
    plan = LoadPlan(at["Bone"], load(at["Bone"].dog, load(at["Dog"].owner, strategy=strategy), strategy=strategy))
    async with tables(engine, at["Owner"].metadata):
        await _fill(engine, at)
        bones = await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 3)
    assert bones[0].dog is bones[1].dog


@pytest.mark.parametrize("kind", HIERARCHIES)
async def test_the_eager_relationship_of_a_subclass_emits_nothing(engine: AsyncEngine, kind: str) -> None:
    """``Dog.bones`` is mapped ``lazy="selectin"``; no plan here names it."""
    at = HIERARCHIES[kind]
    plans = [
        LoadPlan(at["Animal"]),
        LoadPlan(at["Dog"]),
        LoadPlan(at["Owner"], load(at["Owner"].animals)),
        LoadPlan(at["Owner"], load(at["Owner"].animals, strategy="joined")),
        LoadPlan(at["Owner"], load(at["Owner"].animals, strategy="subquery")),
        LoadPlan(at["Owner"], load(at["Owner"].dogs)),
        LoadPlan(at["Bone"], load(at["Bone"].dog, load(at["Dog"].friend))),
    ]
    async with tables(engine, at["Owner"].metadata):
        await _fill(engine, at)
        for plan in plans:
            with recording(engine) as statements:
                assert await Loader(engine).fetch_all(plan)
            touched = [sql for sql in statements if f"{kind}_bones" in sql]
            assert len(touched) == (1 if plan.entity is at["Bone"] else 0), plan


class Vehicle(Base):
    """Concrete inheritance: each class has a table of its own, and shares nothing but attributes."""

    __tablename__ = "concrete_vehicles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Car(Vehicle):
    __tablename__ = "concrete_cars"
    __mapper_args__ = {"concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    doors: Mapped[int]
    garage_id: Mapped[int | None] = mapped_column(ForeignKey("concrete_garages.id"))
    garage: Mapped["Garage | None"] = relationship(back_populates="cars")


class Garage(Base):
    __tablename__ = "concrete_garages"
    id: Mapped[int] = mapped_column(primary_key=True)
    cars: Mapped[list[Car]] = relationship(back_populates="garage", order_by=Car.id)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_concrete_inheritance(engine: AsyncEngine, strategy: str | None) -> None:
    """The subclass's relationships, from both ends; the base is a table for itself."""
    async with tables(engine, Base.metadata):
        await fill(engine, Garage(id=1), Garage(id=2), Vehicle(id=1, name="sled"))
        await fill(engine, Car(id=1, name="a", doors=3, garage_id=1), Car(id=2, name="b", doors=5))
        single = strategy in {None, "joined"}
        await same_as_lazy(engine, LoadPlan(Car, load(Car.garage, strategy=strategy)), 1 if single else 2)  # type: ignore[arg-type]
        down = LoadPlan(Garage, load(Garage.cars, strategy=strategy))  # type: ignore[arg-type]
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        assert [vehicle.name for vehicle in await Loader(engine).fetch_all(LoadPlan(Vehicle))] == ["sled"]
