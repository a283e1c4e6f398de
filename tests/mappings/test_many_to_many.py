"""Many-to-many mappings: plain, with more columns, with duplicates, viewonly, ordered by the association, to itself."""

import copy

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table, and_, insert
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


# No primary key, so that a pair may come twice.
membership = Table(
    "m2m_membership",
    Base.metadata,
    Column("person_id", ForeignKey("m2m_people.id")),
    Column("club_id", ForeignKey("m2m_clubs.id")),
    Column("place", Integer),
    Column("role", String(10)),
)

friendship = Table(
    "m2m_friendship",
    Base.metadata,
    Column("left_id", ForeignKey("m2m_people.id"), primary_key=True),
    Column("right_id", ForeignKey("m2m_people.id"), primary_key=True),
)


class Person(Base):
    __tablename__ = "m2m_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    clubs: Mapped[list["Club"]] = relationship(secondary=membership, back_populates="members")
    clubs_by_place: Mapped[list["Club"]] = relationship(
        secondary=membership, order_by=lambda: [membership.c.place.desc(), Club.id], viewonly=True
    )
    clubs_led: Mapped[list["Club"]] = relationship(
        secondary=membership,
        primaryjoin=lambda: and_(Person.id == membership.c.person_id, membership.c.role == "chair"),
        viewonly=True,
        order_by="Club.id",
    )
    loud_clubs: Mapped[list["Club"]] = relationship(
        secondary=membership,
        secondaryjoin=lambda: and_(Club.id == membership.c.club_id, Club.name.like("A%")),
        viewonly=True,
        order_by="Club.id",
    )
    club_set: Mapped[set["Club"]] = relationship(secondary=membership, viewonly=True)
    friends: Mapped[list["Person"]] = relationship(
        secondary=friendship,
        primaryjoin=lambda: Person.id == friendship.c.left_id,
        secondaryjoin=lambda: Person.id == friendship.c.right_id,
        back_populates="befriended_by",
    )
    befriended_by: Mapped[list["Person"]] = relationship(
        secondary=friendship,
        primaryjoin=lambda: Person.id == friendship.c.right_id,
        secondaryjoin=lambda: Person.id == friendship.c.left_id,
        back_populates="friends",
    )


class Club(Base):
    __tablename__ = "m2m_clubs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    members: Mapped[list[Person]] = relationship(secondary=membership, back_populates="clubs")


class Order(Base):
    __tablename__ = "m2m_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list["Line"]] = relationship(back_populates="order", order_by="Line.position")
    products: AssociationProxy[list["Product"]] = association_proxy("lines", "product")
    product_names: AssociationProxy[list[str]] = association_proxy("lines", "product_name")


class Product(Base):
    __tablename__ = "m2m_products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Line(Base):
    """An association object."""

    __tablename__ = "m2m_lines"
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id), primary_key=True)
    position: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()
    product_name: AssociationProxy[str] = association_proxy("product", "name")


host_port = Table(
    "m2m_host_port",
    Base.metadata,
    Column("rack", String(5), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("net", Integer, primary_key=True),
    Column("port", Integer, primary_key=True),
    ForeignKeyConstraint(["rack", "slot"], ["m2m_hosts.rack", "m2m_hosts.slot"]),
    ForeignKeyConstraint(["net", "port"], ["m2m_ports.net", "m2m_ports.port"]),
)


class Host(Base):
    __tablename__ = "m2m_hosts"
    slot: Mapped[int] = mapped_column(primary_key=True)
    rack: Mapped[str] = mapped_column(String(5), primary_key=True)
    ports: Mapped[list["Port"]] = relationship(secondary=host_port, order_by="[Port.net, Port.port]")


class Port(Base):
    __tablename__ = "m2m_ports"
    net: Mapped[int] = mapped_column(primary_key=True)
    port: Mapped[int] = mapped_column(primary_key=True)


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, *(Person(id=number, name=name) for number, name in enumerate(["Ann", "Bob", "Cy"], 1)))
    await fill(engine, Club(id=1, name="Art"), Club(id=2, name="Bowls"), Club(id=3, name="Archery"))
    async with engine.begin() as connection:
        await connection.execute(
            insert(membership),
            [
                {"person_id": 1, "club_id": 1, "place": 1, "role": "chair"},
                {"person_id": 1, "club_id": 2, "place": 5, "role": None},
                {"person_id": 1, "club_id": 3, "place": 3, "role": "chair"},
                {"person_id": 2, "club_id": 2, "place": 1, "role": "chair"},
                {"person_id": None, "club_id": 2, "place": 0, "role": "chair"},
                {"person_id": 2, "club_id": None, "place": 0, "role": "chair"},
            ],
        )
        await connection.execute(
            insert(friendship),
            [{"left_id": 1, "right_id": 2}, {"left_id": 2, "right_id": 1}, {"left_id": 1, "right_id": 1}],
        )


@pytest.mark.parametrize("key", ["clubs", "clubs_by_place", "clubs_led", "loud_clubs", "club_set"])
@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_every_many_to_many_is_what_lazy_loading_gives(
    engine: AsyncEngine, key: str, strategy: str | None
) -> None:
    """NULLs in the association, people without clubs, extra conditions on either join: all as the oracle has it."""
    plan = LoadPlan(Person, load(getattr(Person, key), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        people = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
    assert list(getattr(people[2], key)) == []


async def test_order_by_a_column_of_the_association_table(engine: AsyncEngine) -> None:
    """The order is each parent's own."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        ann = await Loader(engine).fetch(LoadPlan(Person, load(Person.clubs_by_place)), 1)
    assert [club.id for club in ann.clubs_by_place] == [2, 3, 1]


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
@pytest.mark.parametrize("key", ["clubs", "clubs_by_place", "clubs_led", "loud_clubs", "club_set"])
async def test_duplicates_in_the_association_are_one_target(engine: AsyncEngine, key: str, strategy: str) -> None:
    """Two rows for one pair: one object, once in the collection, as lazy loading and the other strategies say."""
    plan = LoadPlan(Person, load(getattr(Person, key), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with engine.begin() as connection:
            again = {"person_id": 1, "club_id": 1, "place": 1, "role": "chair"}
            await connection.execute(insert(membership), [again, again])
        people = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2, by_hand=False)
    assert sorted(club.id for club in getattr(people[0], key)).count(1) == 1


async def test_both_ends_nested(engine: AsyncEngine) -> None:
    """Down and back up: the same objects, in one statement a level."""
    plan = LoadPlan(Person, load(Person.clubs, load(Club.members, load(Person.friends))))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        people = await same_as_lazy(engine, plan, 4, by_hand=False, deep_copy=False)
    assert people[0].clubs[0].members[0] is people[0]


async def test_a_deep_copy_of_both_ends_has_every_member_once(engine: AsyncEngine) -> None:
    """Restoring one collection must not fire the back-reference events of the other."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        people = await Loader(engine).fetch_many(LoadPlan(Person, load(Person.clubs, load(Club.members))), [1, 2])
    copied = copy.deepcopy(people)
    assert sorted(club.id for club in copied[1].clubs) == [2]
    assert sorted(member.id for member in copied[1].clubs[0].members) == [1, 2]


async def test_the_far_side_of_a_many_to_many_is_not_a_back_reference(engine: AsyncEngine) -> None:
    """Undeclared, it raises: its one known member is no complete collection."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        ann = await Loader(engine).fetch(LoadPlan(Person, load(Person.clubs)), 1)
    with pytest.raises(NotLoaded, match=r"'Club\.members' is not part of plan 'Person' \(at Person\.clubs\)"):
        _ = ann.clubs[0].members


async def test_self_referential_many_to_many(engine: AsyncEngine) -> None:
    """Either direction, nested, with a row that is its own friend."""
    plan = LoadPlan(Person, load(Person.friends, load(Person.befriended_by)), load(Person.befriended_by))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        people = await same_as_lazy(engine, plan, 4, by_hand=False, deep_copy=False)
    assert {friend.id for friend in people[0].friends} == {1, 2}
    assert people[2].friends == []


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_association_object_and_proxies(engine: AsyncEngine, strategy: str) -> None:
    """The proxies read what the plan loads, and nothing else is needed for them."""
    plan = LoadPlan(Order, load(Order.lines, load(Line.product), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(engine, Product(id=1, name="pen"), Product(id=2, name="ink"))
        await fill(
            engine,
            Order(id=1, lines=[Line(product_id=1, position=2), Line(product_id=2, position=1)]),
            Order(id=2),
        )
        orders = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
    assert list(orders[0].product_names) == ["ink", "pen"]
    assert [product.id for product in orders[0].products] == [2, 1]
    assert all(line.order is orders[0] for line in orders[0].lines)
    assert list(orders[1].products) == []


async def test_a_proxy_over_what_the_plan_does_not_name_raises(engine: AsyncEngine) -> None:
    """The proxy passes the error on, where AttributeError would have been taken for an absent attribute."""
    async with tables(engine, Base.metadata):
        await fill(engine, Order(id=1))
        order = await Loader(engine).fetch(LoadPlan(Order), 1)
    with pytest.raises(NotLoaded, match=r"'Order\.lines'"):
        list(order.products)


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_composite_keys_on_both_ends_in_another_order_than_the_table(engine: AsyncEngine, strategy: str) -> None:
    """The association's columns are matched pair by pair, never by position."""
    plan = LoadPlan(Host, load(Host.ports, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        ports = [Port(net=net, port=port) for net in (1, 2) for port in (1, 2)]
        await fill(
            engine,
            Host(rack="a", slot=1, ports=ports[:3]),
            Host(rack="a", slot=2, ports=ports[2:]),
            Host(rack="b", slot=1, ports=[]),
        )
        await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)


async def test_a_filled_association_is_asked_for_once(engine: AsyncEngine) -> None:
    """The same many-to-many below two places costs a statement a place, and one object a row."""
    plan = LoadPlan(Person, load(Person.friends, load(Person.clubs)), load(Person.clubs))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            people = await Loader(engine).fetch_many(plan, [1, 2])
    assert len(statements) == 4
    bob = next(friend for friend in people[0].friends if friend.id == 2)
    assert bob is people[1]
    assert [club.id for club in bob.clubs] == [2]
