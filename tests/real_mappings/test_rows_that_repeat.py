"""One identity in several rows: one root, one item, one count. Keys that are NULL in part, parts of subclasses."""

from typing import Annotated, Any

import attrs
import pytest
from real import filled, lazily, paged
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, func, outerjoin, select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    backref,
    column_property,
    configure_mappers,
    foreign,
    mapped_column,
    relationship,
)

from loadplan import IdentityError, Loader, LoadPlan, MultipleFound, PlanError, aggregate, count, exists, load, on

METADATA = MetaData()


class Base(DeclarativeBase):
    metadata = METADATA


# --- a query with doubles, a table with a narrower key, the outer side of a join -------------------------------------


class Parent(Base):
    __tablename__ = "repeat_parents"
    id: Mapped[int] = mapped_column(primary_key=True)


things = Table(
    "repeat_things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("group", Integer),
    Column("parent_id", ForeignKey(Parent.id)),
)
doubled = union_all(select(things), select(things).where(things.c.group == 1)).subquery("doubled")


class Thing(Base):
    """Comes twice where its group is 1."""

    __table__ = doubled
    __mapper_args__ = {"primary_key": [doubled.c.id]}
    parent = relationship(
        Parent,
        primaryjoin=foreign(doubled.c.parent_id) == Parent.id,
        viewonly=True,
        backref=backref("things", order_by=doubled.c.group.desc(), viewonly=True, sync_backref=False),
    )


class Holder(Base):
    __tablename__ = "repeat_holders"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int | None]
    thing = relationship(Thing, primaryjoin=lambda: foreign(Holder.thing_id) == doubled.c.id, viewonly=True)


class Narrow(Base):
    """Its mapping has a narrower key than its table; one row has none."""

    __table__ = Table(
        "repeat_narrow",
        METADATA,
        Column("number", Integer, primary_key=True),
        Column("id", Integer),
        Column("label", String),
    )
    __mapper_args__ = {"primary_key": [__table__.c.id]}


users = Table("repeat_users", METADATA, Column("id", Integer, primary_key=True), Column("name", String))
mails = Table(
    "repeat_mails",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey(users.c.id)),
    Column("label", String, nullable=False),
)


class Mailed(Base):
    """A user with each of its mails; NULL in a column that its table holds NOT NULL."""

    __table__ = outerjoin(users, mails)
    id = column_property(users.c.id, mails.c.user_id)
    mail_id = mails.c.id
    __mapper_args__ = {"primary_key": [users.c.id]}


class Account(Base):
    __tablename__ = "repeat_accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "plain"}


letters = Table(
    "repeat_letters",
    METADATA,
    Column("letter_id", Integer, primary_key=True),
    Column("account_id", ForeignKey(Account.id)),
    Column("label", String),
)


class Lettered(Account):
    """A subclass whose table is joined by columns that are no key of it."""

    __table__ = letters
    __mapper_args__ = {"polymorphic_identity": "lettered"}


ROWS = [
    "INSERT INTO repeat_accounts VALUES (1, 'lettered'), (2, 'plain'), (3, 'lettered')",
    "INSERT INTO repeat_letters VALUES (10, 1, 'c'), (11, 1, 'a'), (12, 3, 'b')",
    "INSERT INTO repeat_parents VALUES (1), (2)",
    "INSERT INTO repeat_things VALUES (1, 1, 1), (2, 2, 1), (3, 1, 1), (4, 1, 2), (5, 3, NULL)",
    "INSERT INTO repeat_holders VALUES (1, 1), (2, 2), (3, NULL), (4, 4)",
    "INSERT INTO repeat_narrow VALUES (1, 10, 'z'), (2, 10, 'a'), (3, 20, 'm'), (4, 30, 'b'), (5, NULL, 'n')",
    "INSERT INTO repeat_users VALUES (1, 'x'), (2, 'y'), (3, 'z')",
    "INSERT INTO repeat_mails VALUES (10, 1, 'p'), (11, 1, 'q'), (12, 3, 'r')",
]


@attrs.frozen
class Row:
    id: int


@attrs.frozen
class RootRow:
    id: int | None


configure_mappers()

#: Of each class an order, and the ids of its roots in it. A root stands where the first of its rows does.
ROOTS: dict[str, tuple[Any, Any, list[int]]] = {
    "a query": (Thing, Thing.group, [1, 3, 4, 2, 5]),
    "a query, descending": (Thing, Thing.group.desc(), [5, 2, 1, 3, 4]),
    "a narrower key": (Narrow, Narrow.label, [10, 30, 20]),
    "a narrower key, descending": (Narrow, Narrow.label.desc(), [10, 20, 30]),
    "a subclass with many rows": (Lettered, Lettered.label, [1, 3]),
    "a subclass with many rows, descending": (Lettered, Lettered.label.desc(), [1, 3]),
    "an outer join": (Mailed, Mailed.label.nulls_last(), [1, 3, 2]),
    "an outer join, descending": (Mailed, Mailed.label.desc().nulls_first(), [2, 3, 1]),
}


@pytest.mark.parametrize("into", [None, RootRow], ids=["entity", "view"])
@pytest.mark.parametrize("name", ROOTS)
async def test_one_identity_is_one_root(engine: AsyncEngine, name: str, into: Any) -> None:
    """In lists, with limits, on pages, in streams, by ids and in counts."""
    entity, order, expected = ROOTS[name]
    plan: LoadPlan[Any] = LoadPlan(entity, into=into)
    async with filled(engine, METADATA, *ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(plan, order_by=order)] == expected
        assert [each.id for each in await loader.fetch_all(plan, order_by=order, limit=2, offset=1)] == expected[1:3]
        for size in (1, 2):
            assert [each.id for each in await paged(loader, plan, size, order_by=order)] == expected
            assert [each.id async for each in loader.stream(plan, order_by=order, batch_size=size)] == expected
        last = await loader.fetch_page(plan, order, 2, total="exact")
        if len(expected) > 2:
            again = await loader.fetch_page(plan, order, 2, before=(await _next(loader, plan, order, last)).previous)
            assert [each.id for each in again.items] == expected[:2]
        assert last.total == await loader.count(plan) == len(expected)
        assert await loader.count(plan, entity.id == expected[0]) == 1
        assert [each.id for each in await loader.fetch_many(plan, expected[1::-1])] == expected[1::-1]
        assert (await loader.fetch_one(plan, entity.id == expected[0])).id == expected[0]


async def _next(loader: Loader, plan: LoadPlan[Any], order: Any, page: Any) -> Any:
    return await loader.fetch_page(plan, order, 2, after=page.next)


async def test_a_row_without_a_key_is_no_root(engine: AsyncEngine) -> None:
    """Nothing counts it, and it takes no place of a page or a limit."""
    async with filled(engine, METADATA, *ROWS) as loader:
        assert not await loader.exists(Narrow, Narrow.label == "n")
        assert await loader.count(Narrow, Narrow.label > "m") == 1
        found = await loader.fetch_all(LoadPlan(Narrow), Narrow.label >= "m", order_by=Narrow.label, limit=2)
        assert [(each.id, each.label) for each in found] == [(20, "m"), (10, "z")]


LOADS: dict[str, tuple[dict[str, Any], list[list[int]]]] = {
    "all": ({}, [[2, 1, 3], [4]]),
    "limit": ({"limit": 2}, [[2, 1], [4]]),
    "joined": ({"strategy": "joined"}, [[2, 1, 3], [4]]),
    "subquery": ({"strategy": "subquery"}, [[2, 1, 3], [4]]),
    "first of some": ({"where": Thing.group == 1, "limit": 1}, [[1], [4]]),
}


@pytest.mark.parametrize("roots", [1, None])
@pytest.mark.parametrize("name", LOADS)
async def test_one_identity_is_one_item(engine: AsyncEngine, name: str, roots: int | None) -> None:
    arguments, expected = LOADS[name]
    plan: LoadPlan[Any] = LoadPlan(Parent, load("things", **arguments))
    async with filled(engine, METADATA, *ROWS) as loader:
        found = await loader.fetch_all(plan, order_by=Parent.id, limit=roots)
        assert [[each.id for each in parent.things] for parent in found] == expected[:roots]


THINGS: Any = Parent.things  # type: ignore[attr-defined]


@attrs.frozen
class ParentRow:
    things: list[Row]
    number: Annotated[int, count(THINGS)]
    of_group: Annotated[int, count(THINGS, where=Thing.group == 1)]
    has_group: Annotated[bool, exists(THINGS, where=Thing.group == 2)]
    total: Annotated[int | None, aggregate(THINGS, func.sum(Thing.group))]


@pytest.mark.parametrize("roots", [1, None])
async def test_one_identity_counts_once_below_a_view(engine: AsyncEngine, roots: int | None) -> None:
    async with filled(engine, METADATA, *ROWS) as loader:
        found = await loader.fetch_all(LoadPlan(Parent, into=ParentRow), order_by=Parent.id, limit=roots)
        first = ParentRow([Row(2), Row(1), Row(3)], 3, 2, True, 4)
        assert found == [first, ParentRow([Row(4)], 1, 1, False, 1)][:roots]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "inner"])
async def test_a_to_one_in_two_rows_repeats_no_parent(engine: AsyncEngine, strategy: Any) -> None:
    """An inner join leaves parents out before a limit counts them."""
    plan = LoadPlan(Holder, load(Holder.thing, strategy=strategy))
    expected = [(1, 1), (2, 2), (3, None), (4, 4)]
    if strategy == "inner":
        expected.remove((3, None))
    async with filled(engine, METADATA, *ROWS) as loader:
        for limit in (None, 3):
            found = await loader.fetch_all(plan, order_by=Holder.id, limit=limit)
            assert [(each.id, each.thing and each.thing.id) for each in found] == expected[:limit]
        assert [each.id for each in await paged(loader, plan, 1)] == [key for key, _ in expected]
        assert await loader.count(plan) == len(expected)


# --- concrete classes that share keys -------------------------------------------------------------------------------


class Worker(ConcreteBase, Base):
    __tablename__ = "repeat_workers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "worker", "concrete": True}


class Lead(Worker):
    __tablename__ = "repeat_leads"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "lead", "concrete": True}


WORKERS = [
    "INSERT INTO repeat_workers VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO repeat_leads VALUES (2, 'c'), (3, 'd')",
]


async def test_concrete_classes_that_share_a_key(engine: AsyncEngine) -> None:
    """Both are roots; an id of two objects is refused, as ``session.get`` refuses it."""
    plan = LoadPlan(Worker)
    async with filled(engine, METADATA, *WORKERS) as loader:
        assert [each.name for each in await paged(loader, plan, 1, order_by=Worker.id)] == ["a", "c", "b", "d"]
        assert await loader.count(plan) == 4
        assert [each.name for each in await loader.fetch_many(plan, [3, 1])] == ["d", "a"]
        for fetch in (loader.fetch(plan, 2), loader.fetch_many(plan, [1, 2])):
            with pytest.raises(MultipleFound) as caught:
                await fetch
            assert str(caught.value) == (
                "LP403: more than one 'Worker' has the primary key 2\n"
                "  at: Worker\n"
                "  detail: its subclasses are concrete, and their tables use the same key.\n"
                "  hint: fetch a plan of the subclass that you mean, or use fetch_all(..., where=...)."
            )
        async with AsyncSession(engine) as session:
            with pytest.raises(MultipleFound):
                await Loader(session).fetch_attached(plan, 2)
            assert (await Loader(session).fetch_attached(plan, 3)).name == "d"


# --- keys that are NULL in part -------------------------------------------------------------------------------------


class Half(Base):
    __table__ = Table(
        "repeat_halves", METADATA, Column("firm", Integer), Column("part", Integer), Column("label", String)
    )
    __mapper_args__ = {"primary_key": [__table__.c.firm, __table__.c.part]}


@attrs.frozen
class HalfRow:
    label: str | None


HALVES = [
    "INSERT INTO repeat_halves VALUES (1, 1, 'a'), (1, NULL, 'b'), (NULL, 2, 'c'), (2, NULL, 'd'), (NULL, NULL, 'e')"
]


@pytest.mark.parametrize("into", [None, HalfRow], ids=["entity", "view"])
async def test_keys_that_are_null_in_part(engine: AsyncEngine, into: Any) -> None:
    """They are found by their ids, as ``session.get`` finds them, and no page loses them."""
    plan: LoadPlan[Any] = LoadPlan(Half, into=into)
    async with filled(engine, METADATA, *HALVES) as loader:
        assert (await loader.fetch(plan, (1, None))).label == "b"
        assert (await loader.fetch(plan, {"firm": None, "part": 2})).label == "c"
        many = await loader.fetch_many(plan, [(2, None), (1, 1), (None, 2), (7, None)], missing="skip")
        assert [each.label for each in many] == ["d", "a", "c"]
        for order in (None, Half.part, Half.label.desc()):
            assert sorted(each.label for each in await paged(loader, plan, 1, order_by=order)) == ["a", "b", "c", "d"]
        assert await loader.count(plan) == 4
        with pytest.raises(IdentityError, match="None is not a key"):
            await loader.fetch(plan, (None, None))


# --- relationships and columns of subclasses ------------------------------------------------------------------------


class Owner(Base):
    __tablename__ = "repeat_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    pets = relationship("Pet", order_by="Pet.id", viewonly=True, foreign_keys="Pet.owner_id")


class Pet(Base):
    __tablename__ = "repeat_pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    owner = relationship(Owner, viewonly=True, foreign_keys=owner_id)
    toys = relationship("Toy", viewonly=True, order_by="Toy.id")
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "pet"}


class Dog(Pet):
    __tablename__ = "repeat_dogs"
    id: Mapped[int] = mapped_column(ForeignKey(Pet.id), primary_key=True)
    keeper_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    weight: Mapped[int | None]
    owner = relationship(Owner, foreign_keys=keeper_id, viewonly=True)
    toys = relationship(
        "Toy", viewonly=True, order_by="Toy.id.desc()", primaryjoin="and_(Toy.pet_id == Pet.id, Toy.id < 100)"
    )
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Puppy(Dog):
    __tablename__ = "repeat_puppies"
    id: Mapped[int] = mapped_column(ForeignKey(Dog.id), primary_key=True)
    toys = relationship("Toy", viewonly=True, order_by="Toy.name")
    __mapper_args__ = {"polymorphic_identity": "puppy"}


class Toy(Base):
    __tablename__ = "repeat_toys"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    pet_id: Mapped[int] = mapped_column(ForeignKey(Pet.id))


PETS = [
    "INSERT INTO repeat_owners VALUES (1), (2)",
    "INSERT INTO repeat_pets VALUES (1, 'pet', 1), (2, 'dog', 1), (3, 'puppy', 1), (4, 'dog', 2)",
    "INSERT INTO repeat_dogs VALUES (2, 2, 30), (3, 2, 5), (4, NULL, 20)",
    "INSERT INTO repeat_puppies VALUES (3)",
    "INSERT INTO repeat_toys VALUES (1, 'b', 1), (2, 'a', 1), (3, 'b', 2), (4, 'a', 2), (5, 'z', 3), (6, 'c', 3)",
    "INSERT INTO repeat_toys VALUES (200, 'q', 2), (201, 'd', 3)",
]


def _read(pet: Any) -> tuple[str, int | None, list[int]]:
    return type(pet).__name__, pet.owner and pet.owner.id, [toy.id for toy in pet.toys]


@pytest.mark.filterwarnings("ignore:relationship .* will copy column:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("branch", [(), (on(Dog),)], ids=["plain", "with a branch"])
@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_each_class_loads_a_relationship_as_it_maps_it(engine: AsyncEngine, strategy: Any, branch: Any) -> None:
    """Other keys, another condition, another order: at the root and below."""
    loads = [load(Pet.owner, strategy=strategy), load(Pet.toys, strategy=strategy), *branch]
    async with filled(engine, METADATA, *PETS) as loader:
        expected = await lazily(engine, select(Pet).order_by(Pet.id), _read)
        assert expected[1:3] == [("Dog", 2, [4, 3]), ("Puppy", 2, [6, 201, 5])]
        found = await loader.fetch_all(LoadPlan(Pet, *loads), order_by=Pet.id)
        assert [_read(each) for each in found] == expected
        owners = await loader.fetch_all(LoadPlan(Owner, load(Owner.pets, *loads)), order_by=Owner.id)
        assert [_read(each) for owner in owners for each in owner.pets] == expected


@attrs.frozen
class OwnerRow:
    weight: Annotated[int | None, aggregate(Owner.pets.of_type(Dog), func.sum(Dog.weight))]
    heavy: Annotated[int, count(Owner.pets, where=Dog.weight > 10)]


async def test_columns_of_joined_subclasses_choose_order_and_sum(engine: AsyncEngine) -> None:
    """Rows of other classes have NULL there."""
    heaviest = Dog.weight.desc().nulls_last()
    async with filled(engine, METADATA, *PETS) as loader:
        assert [each.id for each in await loader.fetch_all(LoadPlan(Pet), Dog.weight > 10, order_by=Pet.id)] == [2, 4]
        assert [each.id for each in await paged(loader, LoadPlan(Pet), 1, order_by=heaviest)] == [2, 4, 3, 1]
        for limit, expected in ((None, [[2, 3, 1], [4]]), (1, [[2], [4]])):
            plan = LoadPlan(Owner, load(Owner.pets, order_by=heaviest, limit=limit))
            owners = await loader.fetch_all(plan, order_by=Owner.id)
            assert [[each.id for each in owner.pets] for owner in owners] == expected
        rows = await loader.fetch_all(LoadPlan(Owner, into=OwnerRow), order_by=Owner.id)
        assert rows == [OwnerRow(35, 1), OwnerRow(20, 1)]


# --- a secondaryjoin that uses the parent ---------------------------------------------------------------------------

ties = Table(
    "repeat_ties",
    METADATA,
    Column("parent_id", ForeignKey(Parent.id), primary_key=True),
    Column("toy_id", ForeignKey(Toy.id), primary_key=True),
)


class Asking(Base):
    __table__ = Parent.__table__
    toys = relationship(
        Toy,
        secondary=ties,
        primaryjoin=lambda: Asking.__table__.c.id == ties.c.parent_id,
        secondaryjoin=lambda: (Toy.id == ties.c.toy_id) & (Toy.pet_id == Asking.__table__.c.id),
        viewonly=True,
    )


@attrs.frozen
class AskingRow:
    toys: list[Row]


@pytest.mark.parametrize(
    "make", [lambda: LoadPlan(Asking, load(Asking.toys)), lambda: LoadPlan(Asking, into=AskingRow)]
)
def test_a_secondaryjoin_that_uses_the_parent_is_refused(make: Any) -> None:
    """SQLAlchemy's own joins and lazy loads find different rows."""
    with pytest.raises(PlanError) as caught:
        make()
    assert caught.value.code == "LP205"
    assert caught.value.detail == (
        "its secondaryjoin uses columns of 'Asking'; SQLAlchemy's joins and lazy loads read that differently."
    )
