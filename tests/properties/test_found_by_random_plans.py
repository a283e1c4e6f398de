"""What the random plans found, each in the smallest form that showed it."""

from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import tables


class Base(DeclarativeBase):
    pass


class Person(Base):
    """The root of a joined inheritance whose subclass is referred to by all."""

    __tablename__ = "found_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    mentor_id: Mapped[int | None] = mapped_column(
        ForeignKey("found_coaches.id", use_alter=True, name="found_mentor", deferrable=True, initially="DEFERRED")
    )
    mentor: Mapped["Coach | None"] = relationship(foreign_keys=mentor_id, back_populates="pupils")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Coach(Person):
    __tablename__ = "found_coaches"
    id: Mapped[int] = mapped_column(ForeignKey("found_people.id"), primary_key=True)
    pupils: Mapped[list[Person]] = relationship(foreign_keys=Person.mentor_id, back_populates="mentor")
    __mapper_args__ = {"polymorphic_identity": "coach", "inherit_condition": id == Person.id}


class Team(Base):
    """Refers to the subclass, which inherits the relationship that goes on."""

    __tablename__ = "found_teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    coach_id: Mapped[int | None] = mapped_column(ForeignKey("found_coaches.id"))
    coach: Mapped[Coach | None] = relationship()


@pytest.fixture
async def people(engine: AsyncEngine) -> Any:
    """Two coaches who mentor each other, and a pupil of the second."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            everybody = [(1, "coach", 2), (2, "coach", 1), (3, "person", 2)]
            rows = [{"id": key, "kind": kind, "mentor_id": mentor} for key, kind, mentor in everybody]
            await connection.execute(insert(Person.__table__), rows)
            await connection.execute(insert(Coach.__table__), [{"id": 1}, {"id": 2}])
            await connection.execute(insert(Team.__table__), [{"id": 1, "coach_id": 1}, {"id": 2, "coach_id": None}])
        yield engine


@pytest.mark.not_on("mariadb", reason="it has no deferrable foreign keys, and cannot add them later")
async def test_a_subquery_of_joined_tables_keeps_them_to_itself(people: AsyncEngine) -> None:
    """The parents' subquery and the targets' statement select from the same joined tables; neither correlates."""
    plan = LoadPlan(Coach, load(Coach.mentor, strategy="subquery"))
    coach = await Loader(people).fetch(plan, 1)
    assert coach.mentor is not None
    assert coach.mentor.id == 2


@pytest.mark.not_on("mariadb", reason="it has no deferrable foreign keys, and cannot add them later")
async def test_a_limit_over_a_joined_collection_of_joined_tables(people: AsyncEngine) -> None:
    """The roots are counted in a subquery of their own, which does not correlate either."""
    plan = LoadPlan(Coach, load(Coach.pupils, strategy="joined"))
    coaches = await Loader(people).fetch_all(plan, Coach.kind == "coach", Coach.id.desc(), limit=1)
    assert [(coach.id, sorted(pupil.id for pupil in coach.pupils)) for coach in coaches] == [(2, [1, 3])]


@pytest.mark.not_on("mariadb", reason="it has no deferrable foreign keys, and cannot add them later")
async def test_an_inherited_relationship_joins_inner_below_a_left_join(people: AsyncEngine) -> None:
    """SQLAlchemy asserts when it nests that join, because the relationship is of the parent class."""
    plan = LoadPlan(Team, load(Team.coach, load(Coach.mentor, strategy="inner")))
    teams = await Loader(people).fetch_all(plan, order_by=Team.id)
    assert [team.coach and team.coach.mentor and team.coach.mentor.id for team in teams] == [2, None]


class Inner(DeclarativeBase):
    pass


class Step(Inner):
    """Two references from a table to itself."""

    __tablename__ = "found_steps"
    id: Mapped[int] = mapped_column(primary_key=True)
    next_id: Mapped[int | None]
    home_id: Mapped[int]
    next: Mapped["Step | None"] = relationship(primaryjoin="foreign(Step.next_id) == remote(Step.id)")
    home: Mapped["Step"] = relationship(primaryjoin="foreign(Step.home_id) == remote(Step.id)")


async def test_an_inner_join_stays_with_its_own_parent(engine: AsyncEngine) -> None:
    """Of two aliases of one table SQLAlchemy picks the wrong one to nest an INNER JOIN in: wrong rows, no error."""
    rows = [(1, 4, 5), (2, 1, 2), (3, 6, 5), (4, 3, 1), (5, None, 6), (6, 2, 5)]
    async with tables(engine, Inner.metadata):
        async with engine.begin() as connection:
            keys = ("id", "next_id", "home_id")
            await connection.execute(insert(Step.__table__), [dict(zip(keys, row, strict=True)) for row in rows])
        plan = LoadPlan(Step, load(Step.next, load(Step.home, strategy="inner"), load(Step.next)))
        steps = await Loader(engine).fetch_all(plan, order_by=Step.id)
    home = {key: home for key, _, home in rows}
    assert {step.next.id: step.next.home.id for step in steps if step.next} == {
        key: home[key] for key in (4, 1, 6, 3, 2)
    }


def friendship() -> tuple[type[Any], Table, MetaData]:
    """Map a class with a to-one and a many-to-many to itself, afresh: SQLAlchemy keeps its relationships in a set."""

    class Own(DeclarativeBase):
        pass

    pairs = Table(
        "found_friendships",
        Own.metadata,
        Column("one", ForeignKey("found_friends.id")),
        Column("other", ForeignKey("found_friends.id")),
    )

    class Friend(Own):
        __tablename__ = "found_friends"
        id: Mapped[int] = mapped_column(primary_key=True)
        best_id: Mapped[int | None] = mapped_column(ForeignKey("found_friends.id"))
        best: Mapped[Any] = relationship("Friend", remote_side=id)
        friends: Mapped[list[Any]] = relationship(
            "Friend", secondary=pairs, primaryjoin=id == pairs.c.one, secondaryjoin=id == pairs.c.other
        )

    return Friend, pairs, Own.metadata


async def test_a_collection_joined_below_its_own_row_is_kept(sqlite: AsyncEngine) -> None:
    """A row that is joined to itself stands at two places of a statement, of which one loads the collection.

    The other place's ``raiseload`` threw it away, or not, by the order of a set: hence the attempts.
    """
    kept = []
    for _ in range(12):
        friend, pairs, metadata = friendship()
        async with tables(sqlite, metadata):
            async with sqlite.begin() as connection:
                await connection.execute(insert(friend.__table__), {"id": 1, "best_id": 1})
                await connection.execute(insert(pairs), {"one": 1, "other": 1})
            plan = LoadPlan(friend, load(friend.best, load(friend.friends, strategy="joined")))
            found = await Loader(sqlite).fetch(plan, 1)
        kept.append(vars(found).get("friends") == [found])
        friend.registry.dispose()
    assert all(kept)


class Single(DeclarativeBase):
    pass


class Page(Single):
    """The root of a single-table inheritance."""

    __tablename__ = "found_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    notes: Mapped[list["Note"]] = relationship(primaryjoin="remote(foreign(Note.page_id)) == Page.id")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "page"}


class Note(Page):
    page_id: Mapped[int | None] = mapped_column(Integer)
    __mapper_args__ = {"polymorphic_identity": "note"}


async def test_a_join_brings_no_column_of_a_subclass_along(engine: AsyncEngine) -> None:
    """SQLAlchemy adds the far key's column to the select when both ends of a join are in one table."""
    async with tables(engine, Single.metadata):
        async with engine.begin() as connection:
            await connection.execute(insert(Page.__table__), {"id": 1, "kind": "note", "page_id": None})
        plan = LoadPlan(Page, load(Page.notes, strategy="joined"))
        note = await Loader(engine).fetch(plan, 1)
    assert isinstance(note, Note)
    with pytest.raises(NotLoaded):
        _ = note.page_id
