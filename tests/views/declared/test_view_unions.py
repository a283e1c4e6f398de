"""Unions of views for the subclasses of an entity, in each spelling and each kind of inheritance."""

from typing import Annotated, Any, Literal, Union

import attrs
import msgspec
import pydantic
import pytest
from staff_models import Beast, Chief, Cook, Dog, Driver, Firm, Maker, Person, Truck, Worker

from loadplan import Loader, LoadPlan, PlanError, load, on


@attrs.frozen
class ChiefView:
    name: str
    budget: int | None


@attrs.frozen
class MakerView:
    name: str
    language: str | None


@attrs.frozen
class PersonView:
    id: int
    name: str


People = Union[  # noqa: UP007
    Annotated[ChiefView, on(Chief)], Annotated[MakerView, on(Maker)], Annotated[PersonView, on(Person)]
]

PEOPLE = [ChiefView("ann", 5), MakerView("bob", "py"), PersonView(3, "cyd")]


async def test_annotated_union_of_roots(staff: Loader) -> None:
    """``Annotated[ChiefView, on(Chief)]`` in the union."""
    plan: LoadPlan[Any] = LoadPlan(Person, into=People)  # type: ignore[arg-type]
    assert await staff.fetch_all(plan, order_by=Person.id) == PEOPLE
    assert await staff.fetch(plan, 2) == MakerView("bob", "py")


async def test_union_said_by_the_plan(staff: Loader) -> None:
    """``on(Chief, into=ChiefView)`` beside it."""
    branches = (on(Chief, into=ChiefView), on(Maker, into=MakerView), on(Person, into=PersonView))
    plan = LoadPlan(Person, *branches, into=ChiefView | MakerView | PersonView)
    assert await staff.fetch_all(plan, order_by=Person.id) == PEOPLE


class ChiefModel(pydantic.BaseModel):
    kind: Literal["chief"]
    budget: int | None


class OtherModel(pydantic.BaseModel):
    kind: Literal["maker", "person"]
    name: str


async def test_union_told_by_literals(staff: Loader) -> None:
    """The discriminator as a Literal field, as pydantic's own unions have it."""
    plan = LoadPlan(Person, into=ChiefModel | OtherModel)
    found = await staff.fetch_all(plan, order_by=Person.id)
    assert found == [
        ChiefModel(kind="chief", budget=5),
        OtherModel(kind="maker", name="bob"),
        OtherModel(kind="person", name="cyd"),
    ]


def test_a_member_that_nothing_is_said_of() -> None:
    """Whose rows it is for must be said."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Person, into=ChiefModel | PersonView)
    assert str(caught.value) == (
        "LP309: 'ChiefModel | PersonView' does not say which rows of 'Person' become 'PersonView'\n"
        "  at: ChiefModel | PersonView\n"
        "  hint: name the class in the union, Annotated[PersonView, on(...)], or in the plan, on(..., "
        "into=PersonView). Classes: Person, Chief, Maker."
    )


class MakerModel(pydantic.BaseModel):
    kind: Literal["maker"]
    name: str


class PersonModel(pydantic.BaseModel):
    kind: Literal["person"]
    name: str


class FirmModel(pydantic.BaseModel):
    id: int
    people: list[Annotated[ChiefModel | MakerModel | PersonModel, pydantic.Field(discriminator="kind")]]


async def test_a_collection_of_a_union_told_by_literals(staff: Loader) -> None:
    """Below a parent, with pydantic's own discriminator."""
    found = await staff.fetch(LoadPlan(Firm, into=FirmModel), 1)
    assert found.people == [
        ChiefModel(kind="chief", budget=5),
        MakerModel(kind="maker", name="bob"),
        PersonModel(kind="person", name="cyd"),
    ]
    plan = LoadPlan(Firm, into=FirmModel)
    assert hash(plan) == hash(LoadPlan(Firm, into=FirmModel))


class TruckStruct(msgspec.Struct):
    id: int


class DriverStruct(msgspec.Struct, tag="driver"):
    licence: str
    trucks: list[TruckStruct]


class CookStruct(msgspec.Struct, tag="cook"):
    dish: str


class WorkerStruct(msgspec.Struct, tag="worker"):
    name: str


class FirmStruct(msgspec.Struct):
    workers: list[
        Annotated[DriverStruct, on(Driver)] | Annotated[CookStruct, on(Cook)] | Annotated[WorkerStruct, on(Worker)]
    ]


async def test_joined_inheritance(staff: Loader) -> None:
    """What a subclass's own table has, a collection of its own among it."""
    found = await staff.fetch(LoadPlan(Firm, into=FirmStruct), 1)
    assert found.workers == [DriverStruct("C", [TruckStruct(7)]), CookStruct("soup")]
    assert msgspec.json.decode(msgspec.json.encode(found), type=FirmStruct) == found


async def test_branches_shape_collections_of_subclasses(staff: Loader) -> None:
    """``on(Driver, load(Driver.trucks, ...))`` holds for the member that is for it."""
    branch = on(Driver, load(Driver.trucks, where=Truck.id > 7), into=DriverStruct)
    plan = LoadPlan(
        Worker, branch, into=DriverStruct | Annotated[CookStruct, on(Cook)] | Annotated[WorkerStruct, on(Worker)]
    )  # type: ignore[arg-type]
    assert await staff.fetch(plan, 1) == DriverStruct("C", [])


@attrs.frozen
class BeastView:
    name: str


@attrs.frozen
class DogView:
    name: str
    bark: str


async def test_concrete_inheritance(staff: Loader) -> None:
    """A table each: rows of both in one result."""
    plan: LoadPlan[Any] = LoadPlan(Beast, on(Dog, into=DogView), on(Beast, into=BeastView), into=DogView | BeastView)
    found = await staff.fetch_all(plan)
    assert sorted(found, key=repr) == [BeastView("cow"), DogView("rex", "wau")]


@attrs.frozen
class Boss:
    name: str
    reports: "list[Annotated[Boss, on(Chief)] | Annotated[PersonView, on(Person)]]" = attrs.field(factory=list)


def test_a_union_that_contains_itself() -> None:
    """It is found, and not walked for ever."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Chief, into=Boss)
    assert caught.value.code == "LP308"


def test_subclasses_that_no_member_is_for() -> None:
    """Their rows would become nothing."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Person, on(Chief, into=ChiefView), on(Maker, into=MakerView), into=ChiefView | MakerView)
    assert str(caught.value) == (
        "LP309: 'ChiefView | MakerView' has no member for 'Person'\n"
        "  at: ChiefView | MakerView\n"
        "  hint: add a member for it, or one for 'Person' itself, which takes all other rows."
    )


def test_a_branch_that_no_union_takes() -> None:
    """One class for all rows asks for no branch."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Person, on(Chief, into=ChiefView), into=PersonView)
    assert str(caught.value) == (
        "LP310: on(Chief) has no effect: every row here becomes 'PersonView'\n"
        "  at: PersonView\n"
        "  hint: remove the branch, or annotate a union of views and give each an on(..., into=...)."
    )
