"""What an attribute carries: the criterion of ``.and_()`` and the subclass of ``.of_type()`` hold, or are refused."""

from typing import Annotated, Any

import attrs
import pytest
from real import filled
from sqlalchemy import ForeignKey, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship, selectinload, with_polymorphic

from loadplan import LoadPlan, PlanError, aggregate, count, exists, load, on, source


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "carried_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    pets: Mapped[list["Pet"]] = relationship(order_by="Pet.id", back_populates="owner")
    first: Mapped["Pet | None"] = relationship(
        primaryjoin="and_(Owner.id == foreign(Pet.owner_id), Pet.id < 10)", viewonly=True, uselist=False
    )


class Pet(Base):
    __tablename__ = "carried_pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    public: Mapped[bool]
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner] = relationship(back_populates="pets")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "pet"}


class Dog(Pet):
    """Of the same table."""

    breed: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Cat(Pet):
    """Of a table of its own."""

    __tablename__ = "carried_cats"
    id: Mapped[int] = mapped_column(ForeignKey(Pet.id), primary_key=True)
    lives: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "cat"}


def _rows() -> list[object]:
    return [
        Owner(
            id=1, pets=[Dog(id=1, public=True, breed="pug"), Pet(id=20, public=False), Cat(id=30, public=True, lives=9)]
        ),
        Owner(id=2, pets=[Pet(id=21, public=True), Cat(id=31, public=False, lives=7)]),
        Owner(id=3),
    ]


@attrs.frozen
class PetView:
    id: int


def view_of(annotation: Any) -> Any:
    """Return a view class with the one field ``x``."""
    return attrs.make_class("View", {"x": attrs.field(type=annotation)}, frozen=True)


def xs(views: list[Any]) -> list[Any]:
    """Return the fields of the views; items as their ids."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return value.id if isinstance(value, PetView) else value

    return [plain(each.x) for each in views]


# --- .and_() --------------------------------------------------------------------------------------------------------


async def test_and_holds_as_in_sqlalchemy(engine: AsyncEngine) -> None:
    """``load(Owner.pets.and_(...))`` loads what ``selectinload(Owner.pets.and_(...))`` loads."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        async with AsyncSession(engine) as session:
            option = selectinload(Owner.pets.and_(Pet.public))
            owners = (await session.scalars(select(Owner).options(option).order_by(Owner.id))).all()
            expected = [[pet.id for pet in each.pets] for each in owners]
        found = await loader.fetch_all(LoadPlan(Owner, load(Owner.pets.and_(Pet.public))), order_by=Owner.id)
    assert [[pet.id for pet in each.pets] for each in found] == expected == [[1, 30], [21], []]


AND_LOADS = {
    "joined": (load(Owner.pets.and_(Pet.public), strategy="joined"), [[1, 30], [21], []]),
    "subquery": (load(Owner.pets.and_(Pet.public), strategy="subquery"), [[1, 30], [21], []]),
    "beside where=": (load(Owner.pets.and_(Pet.public), where=Pet.id > 1), [[30], [21], []]),
    "limit=": (load(Owner.pets.and_(Pet.public), order_by=Pet.id.desc(), limit=1), [[30], [21], []]),
    "several": (load(Owner.pets.and_(Pet.public, Pet.id > 1, Pet.id < 30)), [[], [21], []]),
    "twice": (load(Owner.pets.and_(Pet.public).and_(Pet.id > 1)), [[30], [21], []]),
}


@pytest.mark.parametrize("name", AND_LOADS)
async def test_and_holds_beside_other_arguments(engine: AsyncEngine, name: str) -> None:
    """A criterion of the attribute is one more condition, whatever else the load says."""
    given, expected = AND_LOADS[name]
    async with filled(engine, Base.metadata, *_rows()) as loader:
        found = await loader.fetch_all(LoadPlan(Owner, given), order_by=Owner.id)
        assert [[pet.id for pet in each.pets] for each in found] == expected


async def test_and_of_a_to_one_leaves_none(engine: AsyncEngine) -> None:
    """The row of a to-one that fails the criterion leaves None, and its parent stays."""
    plan = LoadPlan(Pet, load(Pet.owner.and_(Owner.id > 1)))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        pets = await loader.fetch_all(plan, order_by=Pet.id)
        assert [each.owner and each.owner.id for each in pets] == [None, None, 2, None, 2]


async def test_and_takes_parameters(engine: AsyncEngine) -> None:
    """A ``bindparam`` in the criterion takes its value from the fetch."""
    plan = LoadPlan(Owner, load(Owner.pets.and_(Pet.id > bindparam("least"))))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        owner = await loader.fetch(plan, 1, params={"least": 20})
        assert [each.id for each in owner.pets] == [30]


def test_and_is_the_same_plan_as_where() -> None:
    """Plans compare by what they mean to load: with a criterion, without it, and with another one."""
    assert LoadPlan(Owner, load(Owner.pets.and_(Pet.public))) == LoadPlan(Owner, load(Owner.pets.and_(Pet.public)))
    assert LoadPlan(Owner, load(Owner.pets.and_(Pet.public))) != LoadPlan(Owner, load(Owner.pets))
    assert LoadPlan(Owner, load(Owner.pets.and_(Pet.public))) != LoadPlan(Owner, load(Owner.pets.and_(Pet.id > 1)))
    assert count(Owner.pets.and_(Pet.public)) != count(Owner.pets)
    assert source(Owner.pets.of_type(Dog), Dog.breed) != source(Owner.pets, Dog.breed)


def test_and_is_printed() -> None:
    """The criterion is in the plan's text."""
    assert "Pet.public" in repr(LoadPlan(Owner, load(Owner.pets.and_(Pet.public))))
    assert "Pet.public" in repr(count(Owner.pets.and_(Pet.public)))


def test_two_criteria_for_one_relationship_disagree() -> None:
    """A relationship that is loaded twice, once with a criterion, is LP106, as with ``where=``."""
    with pytest.raises(PlanError, match="LP106"):
        LoadPlan(Owner, load(Owner.pets.and_(Pet.public)), load(Owner.pets))


AND_FIELDS: dict[str, tuple[Any, list[Any]]] = {
    "count": (Annotated[int, count(Owner.pets.and_(Pet.public))], [2, 1, 0]),
    "count with where": (Annotated[int, count(Owner.pets.and_(Pet.public), where=Pet.id > 1)], [1, 1, 0]),
    "exists": (Annotated[bool, exists(Owner.pets.and_(Pet.id > 30))], [False, True, False]),
    "aggregate": (Annotated[int | None, aggregate(Owner.pets.and_(Pet.public), func.min(Pet.id))], [1, 21, None]),
    "values": (Annotated[list[int], source(Owner.pets.and_(Pet.public), Pet.id)], [[1, 30], [21], []]),
    "objects": (Annotated[list[PetView], source(Owner.pets.and_(Pet.public))], [[1, 30], [21], []]),
    "load": (Annotated[list[PetView], load(Owner.pets.and_(Pet.public), limit=5)], [[1, 30], [21], []]),
    "to-one": (Annotated[int | None, source(Owner.first.and_(Pet.public), Pet.id)], [1, None, None]),
}


@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("name", AND_FIELDS)
async def test_and_holds_in_views(engine: AsyncEngine, name: str, many: bool) -> None:
    """``count``, ``exists``, ``aggregate``, ``source`` and ``load`` keep to the criterion of their attribute."""
    annotation, expected = AND_FIELDS[name]
    plan: LoadPlan[Any] = LoadPlan(Owner, into=view_of(annotation))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        if many:
            assert xs(await loader.fetch_all(plan, order_by=Owner.id)) == expected
        else:
            assert xs([await loader.fetch(plan, key) for key in (1, 2, 3)]) == expected


async def test_and_of_a_load_beside_a_view(engine: AsyncEngine) -> None:
    """``load(Owner.pets.and_(...))`` beside ``into=`` shapes the collection."""
    view = attrs.make_class("View", {"pets": attrs.field(type=list[PetView])}, frozen=True)
    plan: LoadPlan[Any] = LoadPlan(Owner, load(Owner.pets.and_(Pet.public)), into=view)
    async with filled(engine, Base.metadata, *_rows()) as loader:
        views = await loader.fetch_all(plan, order_by=Owner.id)
        assert [[pet.id for pet in each.pets] for each in views] == [[1, 30], [21], []]


@pytest.mark.parametrize(
    "given",
    [
        load(Owner.pets.and_(Owner.id > 1)),
        load(Owner.pets.and_(aliased(Pet).public)),
    ],
)
def test_and_of_another_class_is_refused(given: Any) -> None:
    """A criterion that speaks of another table would join every row with every other: LP215, as in ``where=``."""
    with pytest.raises(PlanError, match="LP215"):
        LoadPlan(Owner, given)


# --- .of_type() -----------------------------------------------------------------------------------------------------

OF_TYPE_FIELDS: dict[str, tuple[Any, list[Any]]] = {
    "count": (Annotated[int, count(Owner.pets.of_type(Dog))], [1, 0, 0]),
    "count of a joined subclass": (Annotated[int, count(Owner.pets.of_type(Cat))], [1, 1, 0]),
    "count with where": (Annotated[int, count(Owner.pets.of_type(Dog), where=Pet.public)], [1, 0, 0]),
    "where on the subclass": (Annotated[int, count(Owner.pets.of_type(Dog), where=Dog.breed == "pug")], [1, 0, 0]),
    "and_": (Annotated[int, count(Owner.pets.of_type(Cat).and_(Pet.public))], [1, 0, 0]),
    "exists": (Annotated[bool, exists(Owner.pets.of_type(Dog))], [True, False, False]),
    "exists of a joined subclass": (Annotated[bool, exists(Owner.pets.of_type(Cat))], [True, True, False]),
    "aggregate": (Annotated[int | None, aggregate(Owner.pets.of_type(Dog), func.max(Pet.id))], [1, None, None]),
    "values": (Annotated[list[int], source(Owner.pets.of_type(Dog), Pet.id)], [[1], [], []]),
    "values of the subclass": (
        Annotated[list[str | None], source(Owner.pets.of_type(Dog), Dog.breed)],
        [["pug"], [], []],
    ),
    "values of a joined subclass": (Annotated[list[int], source(Owner.pets.of_type(Cat), Cat.lives)], [[9], [7], []]),
    "objects": (Annotated[list[PetView], source(Owner.pets.of_type(Cat))], [[30], [31], []]),
    "load": (Annotated[list[PetView], load(Owner.pets.of_type(Cat), order_by=Pet.id, limit=1)], [[30], [31], []]),
}


@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("name", OF_TYPE_FIELDS)
async def test_of_type_holds_in_views_or_is_refused(engine: AsyncEngine, name: str, many: bool) -> None:
    """Rows of the subclass alone, as ``Owner.pets.of_type(Dog).any()`` means it; else a PlanError."""
    annotation, expected = OF_TYPE_FIELDS[name]
    try:
        plan: LoadPlan[Any] = LoadPlan(Owner, into=view_of(annotation))
    except PlanError:
        return
    async with filled(engine, Base.metadata, *_rows()) as loader:
        if many:
            assert xs(await loader.fetch_all(plan, order_by=Owner.id)) == expected
        else:
            assert xs([await loader.fetch(plan, key) for key in (1, 2, 3)]) == expected


@pytest.mark.parametrize("name", ["objects", "load"])
def test_of_type_of_views_is_called_by_its_name(name: str) -> None:
    with pytest.raises(PlanError, match=r"LP310: of_type\(Cat\) has no effect: every row here becomes 'PetView'"):
        LoadPlan(Owner, into=view_of(OF_TYPE_FIELDS[name][0]))


def test_of_type_of_views_names_the_condition() -> None:
    """The hint has the condition that chooses the rows of the subclass."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Owner, into=view_of(OF_TYPE_FIELDS["load"][0]))
    hint = "choose the rows with where=, for example where=Pet.kind == 'cat'. For columns of Cat, annotate a union: "
    assert f"{hint}Annotated[PetView, on(Cat)] | Annotated[..., on(Pet)]." in str(caught.value)


@pytest.mark.parametrize("name", ["count", "exists", "aggregate", "values", "values of the subclass"])
async def test_of_type_of_one_table_is_no_error(engine: AsyncEngine, name: str) -> None:
    """A subclass of the same table is told by its discriminator."""
    annotation, expected = OF_TYPE_FIELDS[name]
    plan: LoadPlan[Any] = LoadPlan(Owner, into=view_of(annotation))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        assert xs(await loader.fetch_all(plan, order_by=Owner.id)) == expected


async def test_of_type_of_entities_widens(engine: AsyncEngine) -> None:
    """Of entities ``of_type`` loads what the subclass adds, and leaves out no row, as SQLAlchemy's options do."""
    plan = LoadPlan(Owner, load(Owner.pets.of_type(Cat)))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        owner = await loader.fetch(plan, 1)
        assert [each.id for each in owner.pets] == [1, 20, 30]
        assert owner.pets[2].lives == 9  # type: ignore[attr-defined]


async def test_of_type_with_a_criterion(engine: AsyncEngine) -> None:
    """``of_type(Sub).and_(...)`` keeps both."""
    plan = LoadPlan(Owner, load(Owner.pets.of_type(Cat).and_(Pet.public)))
    same = LoadPlan(Owner, load(Owner.pets, on(Cat), where=Pet.public))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        for each in (plan, same):
            owner = await loader.fetch(each, 1)
            assert [(type(pet), pet.id) for pet in owner.pets] == [(Dog, 1), (Cat, 30)]
            assert owner.pets[1].lives == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", [aliased(Dog), with_polymorphic(Pet, [Cat])], ids=["an alias", "with_polymorphic"])
def test_of_type_of_an_alias_is_refused(target: Any) -> None:
    """An alias has no place in a view's statements: the count says so instead of counting all rows."""
    with pytest.raises(PlanError):
        LoadPlan(Owner, into=view_of(Annotated[int, count(Owner.pets.of_type(target))]))


Public = aliased(Pet)
PUBLIC: Any = relationship(Public, primaryjoin=and_(Owner.id == Public.owner_id, Public.public), viewonly=True)
Owner.shown = PUBLIC  # type: ignore[attr-defined]


async def test_a_relationship_to_an_alias_takes_expressions_of_that_alias(engine: AsyncEngine) -> None:
    """The error for an expression of the class itself says so."""
    shown: Any = Owner.shown  # type: ignore[attr-defined]
    wrong = (Annotated[int | None, aggregate(shown, func.max(Pet.id))], Annotated[list[int], source(shown, Pet.id + 1)])
    for annotation in wrong:
        with pytest.raises(
            PlanError, match=r"LP307[\s\S]*'Owner.shown' leads to an alias of 'Pet'. Use the attributes"
        ):
            LoadPlan(Owner, into=view_of(annotation))
    plan: LoadPlan[Any] = LoadPlan(Owner, into=view_of(Annotated[int | None, aggregate(shown, func.max(Public.id))]))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        assert xs(await loader.fetch_all(plan, order_by=Owner.id)) == [30, 21, None]
