"""SQLAlchemy does what the audit says it does."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Computed, FetchedValue, ForeignKey, String, func, inspect, literal_column, select
from sqlalchemy.exc import InvalidRequestError, SAWarning, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from loadplan.audit import Severity, audit
from support import recording, tables

LAZY = ["select", True, "joined", False, "selectin", "subquery", "immediate", "raise", "raise_on_sql", "noload", None]
LAZY += ["dynamic", "write_only"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*coroutine:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Instance .* is detached, dynamic:sqlalchemy.exc.SAWarning"),
]


def parent_and_child(lazy: Any) -> tuple[Any, Any, Any]:
    """A base and its two classes, both relationships mapped with ``lazy``; the to-one has no dynamic setting."""

    class Base(DeclarativeBase):
        pass

    class Parent(Base):
        __tablename__ = "parent"
        id: Mapped[int] = mapped_column(primary_key=True)
        children = relationship("Child", back_populates="parent", lazy=lazy)

    class Child(Base):
        __tablename__ = "child"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))
        to_one = "raise" if lazy in {"dynamic", "write_only"} else lazy
        parent = relationship(Parent, back_populates="children", lazy=to_one)

    return Base, Parent, Child


def answer(touch: Callable[[], Any]) -> str:
    """What touching an attribute comes to: the class of an error, or what kind of value."""
    try:
        value = touch()
        value = list(value) if hasattr(value, "__iter__") else value
    except StatementError as error:
        return type(error.orig).__name__
    except Exception as error:
        return type(error).__name__
    return repr(value) if not value else "loaded"


#: lazy -> (statements of 3 parents, attached, detached, on an object that was just flushed)
COLLECTIONS = {
    "select": (1, "MissingGreenlet", "DetachedInstanceError", "MissingGreenlet"),
    True: (1, "MissingGreenlet", "DetachedInstanceError", "MissingGreenlet"),
    "joined": (1, "loaded", "loaded", "MissingGreenlet"),
    False: (1, "loaded", "loaded", "MissingGreenlet"),
    "selectin": (2, "loaded", "loaded", "MissingGreenlet"),
    "subquery": (2, "loaded", "loaded", "MissingGreenlet"),
    "immediate": (4, "loaded", "loaded", "MissingGreenlet"),
    "raise": (1, "InvalidRequestError", "InvalidRequestError", "InvalidRequestError"),
    "raise_on_sql": (1, "InvalidRequestError", "DetachedInstanceError", "InvalidRequestError"),
    "noload": (1, "[]", "[]", "[]"),
    None: (1, "[]", "[]", "[]"),
    "dynamic": (1, "MissingGreenlet", "[]", "MissingGreenlet"),
    "write_only": (1, "TypeError", "TypeError", "TypeError"),
}


@pytest.mark.parametrize("lazy", LAZY, ids=repr)
async def test_what_touching_a_collection_comes_to(lazy: Any, sqlite: AsyncEngine) -> None:
    """Loaded by a plain query of its parents: how many statements, and what an attribute answers."""
    base, parent, child = parent_and_child(lazy)
    async with tables(sqlite, base.metadata), AsyncSession(sqlite) as session:
        session.add_all([parent(id=number) for number in range(3)])
        await session.flush()
        session.add_all([child(id=number, parent_id=number) for number in range(3)])
        await session.commit()
        session.expunge_all()
        with recording(sqlite) as statements:
            found = (await session.scalars(select(parent))).unique().all()
        attached = answer(lambda: found[0].children)
        session.expunge_all()
        untouched = (await session.scalars(select(parent))).unique().all()
        fresh = parent(id=9)
        session.add(fresh)
        await session.flush()
        flushed = answer(lambda: fresh.children)
        session.expunge_all()
        detached = answer(lambda: untouched[0].children)
        await session.rollback()
    assert (len(statements), attached, detached, flushed) == COLLECTIONS[lazy]


@pytest.mark.parametrize("lazy", LAZY, ids=repr)
def test_what_raises_or_lies_is_a_risk(lazy: Any) -> None:
    """The severity follows from what happens: wrong answers and greenlet errors are risks, idle statements cost."""
    _, parent, _ = parent_and_child(lazy)
    (finding,) = [each for each in audit(parent).findings if each.subject == "Parent.children" and each.rule == "lazy"]
    statements, attached, detached, _ = COLLECTIONS[lazy]
    if attached == "MissingGreenlet" or "[]" in {attached, detached}:
        assert finding.severity is Severity.RISK
    elif attached == "loaded":
        assert finding.severity is Severity.COST
    else:
        assert (finding.severity, statements) == (Severity.NOTE, 1)


async def test_raise_on_sql_depends_on_what_else_is_in_the_session(sqlite: AsyncEngine) -> None:
    """A many-to-one answers while the target is in the session, and raises after it has been collected."""
    base, parent, child = parent_and_child("raise_on_sql")
    async with tables(sqlite, base.metadata), AsyncSession(sqlite) as session:
        session.add_all([parent(id=1), child(id=1, parent_id=1)])
        await session.commit()
        session.expunge_all()
        target = (await session.scalars(select(parent))).one()
        found = (await session.scalars(select(child))).one()
        assert found.parent is target
        session.expunge_all()
        del target, found
        gc.collect()
        found = (await session.scalars(select(child))).one()
        with pytest.raises(InvalidRequestError, match="raise_on_sql"):
            found.parent  # noqa: B018


async def test_joined_collections_ask_for_unique(sqlite: AsyncEngine) -> None:
    """A plain query of the class raises as soon as there is a row."""
    base, parent, _ = parent_and_child("joined")
    async with tables(sqlite, base.metadata), AsyncSession(sqlite) as session:
        session.add(parent(id=1))
        await session.flush()
        with pytest.raises(InvalidRequestError, match=r"unique\(\)"):
            (await session.scalars(select(parent))).all()


def made_by_database(eager: Any) -> tuple[Any, Any]:
    """A class with every kind of value that the database makes."""

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "row"
        __mapper_args__ = {"eager_defaults": eager}
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="x")
        server: Mapped[str] = mapped_column(server_default="s")
        sql: Mapped[str] = mapped_column(default=func.upper("x"))
        on_update: Mapped[str] = mapped_column(String, default="q", onupdate=func.upper("y"))
        on_update_server: Mapped[str] = mapped_column(String, default="q", server_onupdate=FetchedValue())
        on_update_python: Mapped[str] = mapped_column(String, default="q", onupdate=lambda: "p")
        computed: Mapped[str] = mapped_column(String, Computed("name || 'x'"))
        expression = column_property(literal_column("name || 'y'"))
        kept = column_property(literal_column("name || 'y'"), expire_on_flush=False)

    return Base, Row


@pytest.mark.parametrize("eager", ["auto", True, False])
async def test_what_a_flush_takes_away(eager: Any, sqlite: AsyncEngine) -> None:
    """The audit names exactly the attributes that an INSERT and an UPDATE leave expired."""
    base, row = made_by_database(eager)
    async with tables(sqlite, base.metadata), AsyncSession(sqlite, expire_on_commit=False) as session:
        one = row(id=1)
        session.add(one)
        await session.flush()
        after_insert = set(inspect(one).unloaded)
        await session.commit()
        session.expunge_all()
        one = await session.get_one(row, 1)
        one.name = "z"
        await session.flush()
        after_update = set(inspect(one).unloaded)
    found = [each for each in audit(row).findings if each.rule == "expires"]
    assert {each.subject for each in found} == {f"Row.{name}" for name in after_insert | after_update}
    by_update = {each.subject for each in found if each.effect.startswith(("an UPDATE", "a flush"))}
    assert by_update == {f"Row.{name}" for name in after_update}


async def test_commit_expires(sqlite: AsyncEngine) -> None:
    """With the default of a session factory every value is gone after a commit."""
    base, parent, _ = parent_and_child("raise")
    async with tables(sqlite, base.metadata), async_sessionmaker(sqlite)() as session:
        one = parent(id=1)
        session.add(one)
        await session.commit()
        assert answer(lambda: one.id) == "MissingGreenlet"


async def test_columns_of_subclasses_and_deferred_ones(sqlite: AsyncEngine) -> None:
    """They run SQL where they were left out; not so with ``polymorphic_load`` and ``deferred_raiseload``."""

    class Base(DeclarativeBase):
        pass

    class Animal(Base):
        __tablename__ = "animal"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        late: Mapped[str | None] = mapped_column(deferred=True)
        refused: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
        __mapper_args__ = {"polymorphic_on": "kind"}

    class Cat(Animal):
        lives: Mapped[int | None]
        __mapper_args__ = {"polymorphic_identity": "cat"}

    class Dog(Animal):
        tricks: Mapped[int | None]
        __mapper_args__ = {"polymorphic_identity": "dog", "polymorphic_load": "inline"}

    async with tables(sqlite, Base.metadata), AsyncSession(sqlite) as session:
        session.add_all([Cat(id=1, lives=7), Dog(id=2, tricks=3)])
        await session.commit()
        session.expunge_all()
        cat, dog = (await session.scalars(select(Animal).order_by(Animal.id))).all()
        assert answer(lambda: cat.lives) == "MissingGreenlet"  # type: ignore[attr-defined]
        assert answer(lambda: dog.tricks) == "loaded"  # type: ignore[attr-defined]
        assert answer(lambda: dog.late) == "MissingGreenlet"
        assert answer(lambda: dog.refused) == "InvalidRequestError"
    assert {each.subject for each in audit(Base).risks} == {"Animal.late", "Cat (lives)"}


async def test_sides_that_are_not_tied() -> None:
    """What one side says is not seen on the other; one-sided ``back_populates`` works one way."""

    class Base(DeclarativeBase):
        pass

    class Room(Base):
        __tablename__ = "room"
        id: Mapped[int] = mapped_column(primary_key=True)
        chairs: Mapped[list["Chair"]] = relationship(lazy="raise")
        tables: Mapped[list["Desk"]] = relationship(lazy="raise", back_populates="room")

    class Chair(Base):
        __tablename__ = "chair"
        id: Mapped[int] = mapped_column(primary_key=True)
        room_id: Mapped[int] = mapped_column(ForeignKey("room.id"), index=True)
        room: Mapped[Room] = relationship(lazy="raise")

    class Desk(Base):
        __tablename__ = "desk"
        id: Mapped[int] = mapped_column(primary_key=True)
        room_id: Mapped[int] = mapped_column(ForeignKey("room.id"), index=True)
        room: Mapped[Room] = relationship(lazy="raise")

    with pytest.warns(SAWarning, match="will copy column room.id to column chair.room_id"):
        found = audit(Base)
    room = Room()
    chair, desk, other = Chair(), Desk(), Desk()
    room.chairs.append(chair)
    room.tables.append(desk)
    other.room = room
    assert chair.room is None
    assert desk.room is room
    assert room.tables == [desk]
    assert [(each.severity.value, each.subject) for each in found.findings if each.rule == "pair"] == [
        ("risk", "Chair.room and Room.chairs"),
        ("cost", "Desk.room, the other side of Room.tables"),
    ]
