"""Mappings that change after a plan was compiled: what was compiled for the old one does not serve the new one."""

import contextlib
import copy
from itertools import product
from typing import Annotated, Any

import attrs
import pytest
from real import filled
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, func, insert
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import AbstractConcreteBase, DeferredReflection
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    configure_mappers,
    mapped_column,
    registry,
    relationship,
)

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, aggregate, count, exists, load, source
from loadplan.audit import audit


@attrs.frozen
class UserView:
    id: int


def late_module(how: str, prefix: str) -> Any:
    """Return a base, a user class, and a function that stands for a module that is imported later."""

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = f"{prefix}_users"
        id: Mapped[int] = mapped_column(primary_key=True)

    def imported() -> Any:
        class Order(Base):
            __tablename__ = f"{prefix}_orders"
            id: Mapped[int] = mapped_column(primary_key=True)
            user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
            if "backref" in how:
                user: Mapped[User] = relationship(backref="orders")

        if how == "an attribute":
            User.orders = relationship(Order)  # type: ignore[attr-defined]
        if how != "a backref that waits":
            configure_mappers()
        return Order  # which a module would hold on to

    return Base, User, imported


@pytest.mark.parametrize("below", [False, True], ids=["root", "below"])
@pytest.mark.parametrize("how", ["a backref", "a backref that waits", "an attribute"])
async def test_a_relationship_that_comes_later_is_sealed(engine: AsyncEngine, how: str, below: bool) -> None:
    """Undeclared, it raises NotLoaded: by the same plan, an equal one, another one; at the root and below."""
    base, user, imported = late_module(how, f"late_{'b' if below else 'r'}{engine.dialect.name[0]}{len(how)}")

    class Account(base):  # type: ignore[misc]
        __tablename__ = f"{user.__tablename__}_accounts"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(ForeignKey(user.id))
        owner = relationship(user)

    def make(name: str) -> LoadPlan[Any]:
        return LoadPlan(Account, load(Account.owner), name=name) if below else LoadPlan(user, name=name)

    plan = make("u")
    async with filled(engine, base.metadata) as loader:
        async with engine.begin() as connection:
            await connection.execute(insert(user.__table__), {"id": 1})
            await connection.execute(insert(Account.__table__), {"id": 1, "user_id": 1})
        await loader.fetch(plan, 1)
        order = imported()
        async with engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
        assert order.__table__.name.endswith("orders")
        for each in (plan, make("u"), make("other")):
            found = await loader.fetch(each, 1)
            with pytest.raises(NotLoaded, match=r"User\.orders"):
                _ = (found.owner if below else found).orders


async def test_the_same_plan_loads_a_relationship_that_comes_later(engine: AsyncEngine) -> None:
    """``plan.also("orders")`` and a plan made later find it."""
    base, user, imported = late_module("a backref", f"later_{engine.dialect.name[0]}")
    plan = LoadPlan(user)
    async with filled(engine, base.metadata, user(id=1)) as loader:
        await loader.fetch(plan, 1)
        order = imported()
        async with engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
        found = await loader.fetch(plan.also(load("orders")), 1)
        assert found.orders == []
        assert order is not None


@pytest.mark.parametrize("kept", ["as it is", "copied", "in a session", "of a stream"])
async def test_objects_that_are_older_than_an_attribute_are_sealed(engine: AsyncEngine, kept: str) -> None:
    """A relationship and a column that come later raise NotLoaded, also on objects that were loaded before."""
    base, user, imported = late_module("an attribute", f"older_{engine.dialect.name[0]}{len(kept)}")
    async with filled(engine, base.metadata, user(id=1)) as loader, AsyncSession(engine) as session:
        if kept == "in a session":
            found = await Loader(session).fetch_attached(LoadPlan(user, name="u"), 1)
        elif kept == "of a stream":
            async with contextlib.aclosing(loader.stream(LoadPlan(user, name="u"))) as graphs:
                found = await anext(graphs)
        else:
            found = await loader.fetch(LoadPlan(user, name="u"), 1)
        found = copy.deepcopy(found) if kept == "copied" else found
        order = imported()
        user.double = column_property(user.id * 2)
        with pytest.raises(NotLoaded, match=r"User\.orders"):
            _ = found.orders
        with pytest.raises(NotLoaded, match=r"User\.double.*\n.*after this object was loaded; fetch it again"):
            _ = found.double
        if kept == "as it is":
            async with engine.begin() as connection:
                await connection.run_sync(base.metadata.create_all)
            await loader.extend(found, load(user.orders))
            assert found.orders == []
            assert (await loader.fetch(LoadPlan(user), 1)).double == 2
        assert order is not None


class Kept:
    """A class that stays while its mapping goes: as in a test suite that maps anew for each test."""


def _mapped(metadata: MetaData, *more: Any) -> Table:
    return Table("again_kept", metadata, Column("id", Integer, primary_key=True), *more)


@pytest.mark.parametrize("into", [None, UserView], ids=["entity", "view"])
async def test_a_class_mapped_again_is_compiled_again(engine: AsyncEngine, into: Any) -> None:
    """After the mappers are cleared, a plan that was compiled before speaks of the new mapping."""
    first, second = registry(), registry()
    plan: LoadPlan[Any]
    first.map_imperatively(Kept, _mapped(first.metadata, Column("name", String)))
    plan = LoadPlan(Kept) if into is None else LoadPlan(Kept, into=into)
    async with filled(engine, first.metadata, "INSERT INTO again_kept VALUES (1, 'n')") as loader:
        assert (await loader.fetch(plan, 1)).id == 1
    first.dispose()
    other = Table("again_kept_other", second.metadata, Column("id", Integer, primary_key=True), Column("title", String))
    second.map_imperatively(Kept, other)
    try:
        async with filled(engine, second.metadata, "INSERT INTO again_kept_other VALUES (7, 'new')") as loader:
            found = await loader.fetch(plan, 7)
            assert found.id == 7
            if into is None:
                assert found.title == "new"
    finally:
        second.dispose()


async def test_a_plan_that_the_new_mapping_lacks_is_refused(engine: AsyncEngine) -> None:
    """A relationship that the new mapping does not have is an error, not a statement to the old table."""
    first, second = registry(), registry()
    table = _mapped(first.metadata)
    parts = Table(
        "again_parts",
        first.metadata,
        Column("id", Integer, primary_key=True),
        Column("kept_id", ForeignKey(table.c.id)),
    )

    class Part:
        pass

    first.map_imperatively(Part, parts)
    first.map_imperatively(Kept, table, properties={"parts": relationship(Part)})
    plan: LoadPlan[Any] = LoadPlan(Kept, load("parts"))
    async with filled(engine, first.metadata, "INSERT INTO again_kept VALUES (1)") as loader:
        assert (await loader.fetch(plan, 1)).parts == []
    first.dispose()
    second.map_imperatively(Kept, _mapped(second.metadata))
    try:
        async with filled(engine, second.metadata, "INSERT INTO again_kept VALUES (1)") as loader:
            with pytest.raises(PlanError, match="LP201"):
                await loader.fetch(plan, 1)
    finally:
        second.dispose()


class Shelf:
    pass


class Volume:
    pass


STORED = MetaData()
shelves = Table("again_shelves", STORED, Column("id", Integer, primary_key=True), Column("room", String))
volumes = Table(
    "again_volumes",
    STORED,
    Column("id", Integer, primary_key=True),
    Column("shelf_id", ForeignKey(shelves.c.id)),
    Column("title", String),
)


def _mapped_once_more() -> registry:
    again = registry()
    again.map_imperatively(Shelf, shelves)
    again.map_imperatively(Volume, volumes, properties={"shelf": relationship(Shelf, backref="volumes")})
    again.configure()
    return again


async def test_views_and_plans_that_outlive_a_mapping(engine: AsyncEngine) -> None:
    """What was written with attributes of the old mapping speaks of those of the same names in the new one."""
    first = _mapped_once_more()
    shelf: Any = Shelf
    volume: Any = Volume

    @attrs.frozen
    class VolumeView:
        id: int
        room: Annotated[str | None, source(volume.shelf, shelf.room)]

    @attrs.frozen
    class ShelfView:
        id: int
        number: Annotated[int, count(shelf.volumes)]
        has: Annotated[bool, exists(shelf.volumes)]
        last: Annotated[str | None, aggregate(shelf.volumes, func.max(volume.title))]
        titles: Annotated[list[str | None], source(shelf.volumes, volume.title)]
        books: Annotated[list[VolumeView], source(shelf.volumes)]

    plans: list[LoadPlan[Any]] = [
        LoadPlan(Shelf, load(shelf.volumes, load(volume.shelf), strategy=strategy, **shape), only=[shelf.id])
        for strategy, shape in product(
            (None, "joined", "subquery"),
            (
                {},
                {"where": volume.title > ""},
                {"only": [volume.title], "where": volume.shelf.has(shelf.room == "r")},
            ),
        )
    ]
    part = load(shelf.volumes.and_(volume.id > 0), load(volume.shelf), order_by=volume.title.desc(), limit=2)
    plans.append(LoadPlan(Shelf, part))
    by_room = LoadPlan(Volume, load(volume.shelf))
    rows = ["INSERT INTO again_shelves VALUES (1, 'r')", "INSERT INTO again_volumes VALUES (2, 1, 'a'), (3, 1, 'b')"]
    try:
        async with filled(engine, STORED, *rows) as loader:
            for _ in range(2):
                first.dispose()
                first = _mapped_once_more()
                for plan in plans:
                    found: Any = await loader.fetch(plan, 1)
                    assert sorted(each.title for each in found.volumes) == ["a", "b"]
                    assert all(each.shelf is found for each in found.volumes)
                order = [source(volume.shelf, shelf.room), volume.title.desc()]
                assert [each.id for each in await loader.fetch_all(by_room, order_by=order)] == [3, 2]
                page = await loader.fetch_page(by_room, order_by=[volume.title], size=1)
                assert page.next
                seen = await loader.fetch(LoadPlan(Shelf, into=ShelfView), 1)
                assert (seen.number, seen.has, seen.last, sorted(seen.titles)) == (2, True, "b", ["a", "b"])
                assert [each.room for each in seen.books] == ["r", "r"]
    finally:
        first.dispose()


def test_a_class_whose_mapping_failed_spoils_no_plan() -> None:
    """In a notebook you correct a class and go on. The traceback of the first attempt still keeps that class."""

    class Corrected(DeclarativeBase): ...

    class Room(Corrected):
        __tablename__ = "corrected_rooms"
        id: Mapped[int] = mapped_column(primary_key=True)
        desks: Mapped[list["Desk"]] = relationship()

    class Desk(Corrected):
        __tablename__ = "corrected_desks"
        id: Mapped[int] = mapped_column(primary_key=True)
        room_id: Mapped[int] = mapped_column(ForeignKey(Room.id))

    with pytest.raises(ArgumentError, match="additional column") as kept:
        type("Chair", (Corrected,), {"__table__": Desk.__table__, "legs": mapped_column(Integer)})
    assert kept.tb is not None
    assert LoadPlan(Room, load(Room.desks)).explain("sqlite").statements == 2
    assert audit(Corrected).classes == 2
    Corrected.registry.dispose()


async def test_a_plan_written_before_a_concrete_base_has_its_mapping(engine: AsyncEngine) -> None:
    """``AbstractConcreteBase`` is mapped when the mappers are configured, which is after the plan is written."""

    class Staff(DeclarativeBase): ...

    class Worker(AbstractConcreteBase, Staff):
        strict_attrs = True
        name = mapped_column(String(9))

    plan = LoadPlan(Worker, name="workers")

    class Clerk(Worker):
        __tablename__ = "waiting_clerks"
        id = mapped_column(Integer, primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "clerk", "concrete": True}

    async with filled(engine, Staff.metadata, "INSERT INTO waiting_clerks (id, name) VALUES (1, 'Ann')") as loader:
        (found,) = await loader.fetch_all(plan)
    assert (type(found), found.id, found.name) == (Clerk, 1, "Ann")
    # the registry stays: after ``dispose()``, SQLAlchemy 2.0 would look for the mapping that waited, and fail


def test_a_plan_of_a_class_that_waits_for_reflection() -> None:
    """The plan may be there before ``prepare()``. Its use before that is one readable error, and the audit goes on."""

    class Reflected(DeclarativeBase): ...

    class Waiting(DeferredReflection, Reflected):
        __abstract__ = True

    class Part(Waiting):
        __tablename__ = "waiting_parts"

    class Whole(Reflected):
        __tablename__ = "waiting_wholes"
        id: Mapped[int] = mapped_column(primary_key=True)

    plan = LoadPlan(Part, name="parts")
    with pytest.raises(PlanError) as caught:
        plan.explain("sqlite")
    assert str(caught.value) == (
        "LP200: 'Part' is not mapped yet\n"
        "  at: parts\n"
        f"  detail: Class {__name__}.Part is a subclass of DeferredReflection. "
        "Mappings are not produced until the .prepare() method is called on the class hierarchy.\n"
        "  hint: complete its mapping before you use the plan."
    )
    assert LoadPlan(Whole).explain("sqlite").statements == 1
    assert audit(Part).classes == audit(Reflected).classes == 1
    Reflected.registry.dispose()
