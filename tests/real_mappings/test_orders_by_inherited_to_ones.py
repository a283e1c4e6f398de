"""Roots ordered by to-ones of many kinds: inherited, with keys of two columns, from the other side, of subclasses."""

from typing import Any

from real import filled
from sqlalchemy import ForeignKey, ForeignKeyConstraint
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load, on, source


class Base(DeclarativeBase):
    pass


class Owner(Base):
    """A class with a joined subclass and a subclass in its own table's rows."""

    __tablename__ = "inh_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    badge: Mapped["Badge | None"] = relationship(back_populates="owner")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Firm(Owner):
    __tablename__ = "inh_firms"
    id: Mapped[int] = mapped_column(ForeignKey(Owner.id), primary_key=True)
    number: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "firm"}


class Club(Owner):
    motto: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "club"}


class Badge(Base):
    """One for each owner: its foreign key is unique."""

    __tablename__ = "inh_badges"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id), unique=True)
    colour: Mapped[str]
    owner: Mapped[Owner] = relationship(back_populates="badge")


class Place(Base):
    __tablename__ = "inh_places"
    land: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Thing(Base):
    """Roots, with a joined subclass that has a to-one of its own."""

    __tablename__ = "inh_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    firm_id: Mapped[int | None] = mapped_column(ForeignKey(Firm.id))
    club_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    land: Mapped[str | None]
    number: Mapped[int | None]
    owner: Mapped[Owner | None] = relationship(foreign_keys=owner_id)
    firm: Mapped[Firm | None] = relationship(foreign_keys=firm_id)
    club: Mapped[Club | None] = relationship(foreign_keys=club_id)
    place: Mapped[Place | None] = relationship()
    __table_args__ = (ForeignKeyConstraint(["land", "number"], [Place.land, Place.number]),)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "thing"}


class Car(Thing):
    __tablename__ = "inh_cars"
    id: Mapped[int] = mapped_column(ForeignKey(Thing.id), primary_key=True)
    driver_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    driver: Mapped[Owner | None] = relationship(foreign_keys=driver_id)
    __mapper_args__ = {"polymorphic_identity": "car"}


def rows() -> list[Any]:
    """Return the rows, parents first."""
    people = [Owner(id=1, name="d"), Owner(id=2, name="a"), Owner(id=3, name="e")]
    firms = [Firm(id=4, name="b", number=8), Firm(id=5, name="c", number=7)]
    clubs = [Club(id=6, name="f", motto="y"), Club(id=7, name="g", motto="x")]
    badges = [Badge(id=1, owner_id=2, colour="red"), Badge(id=2, owner_id=4, colour="blue")]
    places = [Place(land="x", number=1, name="q"), Place(land="x", number=2, name="p")]
    things = [
        Thing(id=1, owner_id=1, firm_id=4, club_id=6, land="x", number=1),
        Thing(id=2, owner_id=2, firm_id=5, club_id=7, land="x", number=2),
        Thing(id=3, owner_id=4, firm_id=4, club_id=3, land="x"),
        Car(id=4, owner_id=5, driver_id=2),
        Car(id=5, driver_id=1, land="x", number=1),
        Car(id=6, owner_id=2),
    ]
    return [*people, *firms, *clubs, *badges, *places, *things]


#: name: (the class of the roots, the order, the ids of the roots)
ORDERS: dict[str, tuple[type[Any], Any, list[int]]] = {
    "rows of several classes": (Thing, source(Thing.owner, Owner.name), [2, 6, 3, 4, 1, 5]),
    "rows of a joined subclass": (Thing, source(Thing.firm, Firm.number), [2, 1, 3, 4, 5, 6]),
    "a column of its base": (Thing, source(Thing.firm, Firm.name), [1, 3, 2, 4, 5, 6]),
    "rows of a subclass in one table": (Thing, source(Thing.club, Club.motto), [2, 1, 3, 4, 5, 6]),
    "a key of two columns": (Thing, source(Thing.place, Place.name), [2, 1, 5, 3, 4, 6]),
    "from the other side": (Owner, source(Owner.badge, Badge.colour), [4, 2, 1, 3, 5, 6, 7]),
    "from the other side, further on": (Thing, source(Thing.owner, Owner.badge, Badge.colour), [3, 2, 6, 1, 4, 5]),
    "and back": (Badge, source(Badge.owner, Owner.badge, Badge.id), [1, 2]),
    "of a subclass": (Car, source(Car.driver, Owner.name), [4, 5, 6]),
    "inherited": (Car, source(Car.owner, Owner.name), [6, 4, 5]),
    "inherited, named at the base": (Car, source(Thing.owner, Owner.name), [6, 4, 5]),
    "to rows of a subclass": (Thing, source(Thing.owner.of_type(Firm), Firm.number), [4, 3, 1, 2, 5, 6]),
}

LOADS: dict[type[Any], list[Any]] = {
    Thing: [load(Thing.owner, load(Owner.badge)), load(Thing.firm), load(Thing.place), on(Car, load(Car.driver))],
    Owner: [load(Owner.badge, load(Badge.owner))],
    Badge: [load(Badge.owner, on(Firm), load(Owner.badge))],
    Car: [load(Car.owner), load(Car.driver, load(Owner.badge))],
}


async def test_roots_are_ordered_by_each_kind_of_to_one(engine: AsyncEngine) -> None:
    """Whether the plan loads the to-one or not."""
    async with filled(engine, Base.metadata, *rows()) as loader:
        for entity, order, expected in ORDERS.values():
            for plan in (LoadPlan(entity), LoadPlan(entity, *LOADS[entity])):
                assert await ids(loader, plan, order.nulls_last()) == expected


async def ids(loader: Loader, plan: LoadPlan[Any], order: Any) -> list[int]:
    """Return the ids of a list, which are also the ids of its pages."""
    found = [each.id for each in await loader.fetch_all(plan, order_by=[order, plan.entity.id])]
    first = await loader.fetch_page(plan, order, 1)
    paged = [*first.items]
    if first.next is not None:
        paged += (await loader.fetch_page(plan, order, 9, after=first.next)).items
    assert [each.id for each in paged] == found
    return found
