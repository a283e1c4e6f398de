"""Mapped dataclasses, one-to-ones, inner joins, and the words of SQLModel."""

import pytest
from sqlalchemy import ForeignKey, UniqueConstraint, create_engine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    joinedload,
    mapped_column,
    relationship,
)

from loadplan.audit import audit
from loadplan.tools.audit.sqlmodel import in_words_of_sqlmodel


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class House(Base):
    """Its relationships are read by repr and ==, by one of the two, or by none."""

    __tablename__ = "house"
    id: Mapped[int] = mapped_column(primary_key=True)
    rooms: Mapped[list["Room"]] = relationship(default_factory=list, lazy="raise", back_populates="house")
    first: Mapped["Room"] = relationship(viewonly=True, uselist=False, init=False, repr=False, compare=False)
    deed: Mapped["Deed"] = relationship(viewonly=True, uselist=False, init=False, repr=False, lazy="raise")


class Room(Base):
    __tablename__ = "room"
    id: Mapped[int] = mapped_column(primary_key=True)
    house_id: Mapped[int | None] = mapped_column(ForeignKey("house.id"), index=True)
    house: Mapped[House | None] = relationship(
        back_populates="rooms", lazy="raise", innerjoin=True, default=None, repr=False, compare=False
    )


class Deed(Base, repr=False, eq=False):
    """A class without repr and == reads nothing."""

    __tablename__ = "deed"
    __table_args__ = (UniqueConstraint("house_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    house_id: Mapped[int] = mapped_column(ForeignKey("house.id"), index=True)
    house: Mapped[House] = relationship(lazy="raise", viewonly=True, init=False)


def told(rule: str) -> dict[str, str]:
    return {each.subject: each.found for each in audit(Base).findings if each.rule == rule}


def test_dataclasses_that_read_relationships() -> None:
    assert told("dataclass") == {
        "House.rooms": "MappedAsDataclass, a relationship without repr=False, compare=False",
        "House.deed": "MappedAsDataclass, a relationship without compare=False",
    }


def test_that_is_what_they_do() -> None:
    """SQLAlchemy's own error, out of repr() and out of ==; none where the fields are left out."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([House(id=1), House(id=2), Room(id=1, house_id=None), Deed(id=1, house_id=1)])
        session.commit()
        one, other = session.get_one(House, 1), session.get_one(House, 2)
        with pytest.raises(InvalidRequestError, match=r"House\.rooms"):
            repr(one)
        with pytest.raises(InvalidRequestError, match=r"House\.rooms"):
            assert one != other
        assert "Room(id=1" in repr(session.get_one(Room, 1))
        assert repr(session.get_one(Deed, 1)) == "Deed()"


def test_one_to_ones_that_nothing_holds() -> None:
    """A unique key on the far side holds one."""
    assert told("one-to-one") == {"House.first": "a one-to-one without a unique key"}


def test_a_mapped_inner_join() -> None:
    """Whatever ``lazy=`` says: joinedload() of it drops the parent."""
    assert "innerjoin=True" in {each.found for each in audit(Base).findings if each.subject == "Room.house"}
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Room(id=1, house_id=None))
        session.commit()
        assert session.query(Room).options(joinedload(Room.house)).all() == []


def test_the_words_of_sqlmodel() -> None:
    """SQLModel is known by the module of a base; the advice on other classes stays as it is."""

    class SQLModel(DeclarativeBase):
        __module__ = "sqlmodel.main"

    class Team(SQLModel):
        __tablename__ = "team"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Hero(SQLModel):
        __tablename__ = "hero"
        id: Mapped[int] = mapped_column(primary_key=True)
        team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
        team: Mapped[Team] = relationship(Team)

    found = audit(Base).findings
    assert tuple(in_words_of_sqlmodel(found, [Team.__mapper__])) == found
    advice = {each.subject: each.advice for each in audit(Hero).findings}
    assert advice["Hero.team"].startswith('say Relationship(sa_relationship_kwargs={"lazy": "raise"}), ')
    assert advice["hero.team_id"].startswith("Field(index=True) on the column, ")
    SQLModel.registry.dispose()
