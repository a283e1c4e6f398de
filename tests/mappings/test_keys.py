"""What ties rows to each other: composite, natural, UUID, typed, renamed and non-primary keys."""

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import (
    Date,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Numeric,
    SmallInteger,
    String,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from loadplan import Loader, LoadPlan, load
from support import tables


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Reversed(TypeDecorator[str]):
    """Stores text back to front: what Python sees is not what the database compares."""

    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value[::-1]

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value[::-1]


class Number:
    """A value object without any relation to ``int`` but its own."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Number({self.value})"


class NumberType(TypeDecorator[Number]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Number | None, dialect: Dialect) -> int | None:
        return None if value is None else value.value

    def process_result_value(self, value: int | None, dialect: Dialect) -> Number | None:
        return None if value is None else Number(value)


class Unequal(TypeDecorator[list[int]]):
    """Python values that cannot be hashed: such a column can tie nothing in Python."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: list[int] | None, dialect: Dialect) -> int | None:
        return None if value is None else value[0]

    def process_result_value(self, value: int | None, dialect: Dialect) -> list[int] | None:
        return None if value is None else [value]


def keyed(name: str, kind: TypeEngine[Any]) -> tuple[Any, Any]:
    """Map a parent and a child whose only tie is a key of ``kind``."""
    parent = type(
        f"{name}Parent",
        (Base,),
        {
            "__tablename__": f"keys_{name.lower()}_parents",
            "__module__": __name__,
            "id": mapped_column(kind, primary_key=True, autoincrement=False),
            "children": relationship(f"{name}Child", back_populates="parent", order_by=f"{name}Child.id"),
        },
    )
    child = type(
        f"{name}Child",
        (Base,),
        {
            "__tablename__": f"keys_{name.lower()}_children",
            "__module__": __name__,
            "id": mapped_column(Integer, primary_key=True),
            "parent_id": mapped_column(kind, ForeignKey(parent.id), nullable=True),  # type: ignore[attr-defined]
            "parent": relationship(parent, back_populates="children"),
        },
    )
    globals().update({parent.__name__: parent, child.__name__: child})
    return parent, child


KINDS: dict[str, tuple[TypeEngine[Any], list[Any]]] = {
    "Text": (String(30), ["a", "A", "ä", "it's"]),
    "Guid": (Uuid(), [uuid.UUID(int=1), uuid.UUID(int=2**100)]),
    "GuidText": (Uuid(as_uuid=False), [str(uuid.UUID(int=1)), str(uuid.UUID(int=2**100))]),
    "Day": (Date(), [datetime.date(2020, 2, 29), datetime.date(1, 1, 1)]),
    "Money": (Numeric(10, 2), [Decimal("1.50"), Decimal("-2.00")]),
    "Small": (SmallInteger(), [-1, 0, 32767]),
    "Enumerated": (Enum(Colour, name="keys_colour"), list(Colour)),
    "EnumText": (Enum("x", "y", name="keys_letters", native_enum=False), ["x", "y"]),
    "Decorated": (Reversed(), ["abc", "cba", "xyz"]),
    "Object": (NumberType(), [Number(1), Number(2)]),
}
PAIRS = {name: keyed(name, kind) for name, (kind, _) in KINDS.items()}


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
@pytest.mark.parametrize("name", list(KINDS))
async def test_keys_of_every_type(engine: AsyncEngine, name: str, strategy: str | None) -> None:
    """Both directions, and by id: the key is bound and compared as the type wants it."""
    parent, child = PAIRS[name]
    values = KINDS[name][1]
    down = LoadPlan(parent, load(parent.children, strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(child, load(child.parent, strategy=strategy or "selectin"))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(engine, *(parent(id=value) for value in values))
        rows = [child(id=number, parent_id=value) for number, value in enumerate([*values, values[0], None])]
        await fill(engine, *rows)
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        # SQLAlchemy 2.0's own selectinload sorts the keys of a many-to-one
        sortable = name not in {"Enumerated", "Object"}
        await same_as_lazy(engine, up, 1 if strategy == "joined" else 2, by_hand=sortable)
        fetched = await Loader(engine).fetch(down, values[0])
        assert [each.id for each in fetched.children] == [0, len(values)]
        many = await Loader(engine).fetch_many(down, values[::-1])
        assert [each.id for each in many] == values[::-1]


class Region(Base):
    """Keys in another order than the columns; the foreign key's columns in yet another."""

    __tablename__ = "keys_regions"
    name: Mapped[str] = mapped_column(String(10))
    code: Mapped[str] = mapped_column(String(5), primary_key=True)
    country: Mapped[str] = mapped_column(String(2), primary_key=True)
    towns: Mapped[list["Town"]] = relationship(back_populates="region", order_by="Town.id")


class Town(Base):
    __tablename__ = "keys_towns"
    __table_args__ = (
        ForeignKeyConstraint(["country_code", "region_code"], ["keys_regions.country", "keys_regions.code"]),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    country_code: Mapped[str | None] = mapped_column(String(2))
    region_code: Mapped[str | None] = mapped_column(String(5))
    region: Mapped[Region | None] = relationship(back_populates="towns")


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_composite_keys(engine: AsyncEngine, strategy: str | None) -> None:
    """Pair by pair; a foreign key that is NULL in part refers to nothing."""
    down = LoadPlan(Region, load(Region.towns, strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(Town, load(Town.region, load(Region.towns), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(
            engine,
            *(Region(code=code, country=country, name=code + country) for code in "ab" for country in "ab"),
        )
        await fill(
            engine,
            Town(id=1, region_code="a", country_code="b"),
            Town(id=2, region_code="b", country_code="a"),
            Town(id=3, region_code="a", country_code="b"),
            Town(id=4, region_code="a", country_code=None),
            Town(id=5),
        )
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        await same_as_lazy(engine, up, 2 if strategy in {None, "joined"} else 3, by_hand=False)
        by_tuple = await Loader(engine).fetch(down, ("a", "b"))
        by_name = await Loader(engine).fetch(down, {"country": "b", "code": "a"})
        assert by_tuple.name == by_name.name == "ab"
        assert [town.id for town in by_tuple.towns] == [1, 3]
        found = await Loader(engine).fetch_many(down, [("b", "a"), ("a", "b"), ("b", "a")])
        assert [region.name for region in found] == ["ba", "ab", "ba"]


class Account(Base):
    """Referred to by a unique column that is not its primary key, and by attributes with other names."""

    __tablename__ = "keys_accounts"
    ident: Mapped[int] = mapped_column("account_id", primary_key=True)
    handle: Mapped[str] = mapped_column("login_name", String(20), unique=True)
    cards: Mapped[list["Card"]] = relationship(back_populates="holder", order_by="Card.ident")


class Card(Base):
    __tablename__ = "keys_cards"
    ident: Mapped[int] = mapped_column("card_id", primary_key=True)
    owner: Mapped[str | None] = mapped_column("login_name", ForeignKey("keys_accounts.login_name"))
    holder: Mapped[Account | None] = relationship(back_populates="cards")


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_unique_column_and_renamed_attributes(engine: AsyncEngine, strategy: str | None) -> None:
    """The key is found by its column and read by its attribute."""
    down = LoadPlan(Account, load(Account.cards, strategy=strategy), only=[Account.ident])  # type: ignore[arg-type]
    up = LoadPlan(Card, load(Card.holder, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(engine, Account(ident=1, handle="ann"), Account(ident=2, handle="Ann"))
        await fill(
            engine, Card(ident=1, owner="Ann"), Card(ident=2, owner="ann"), Card(ident=3), Card(ident=4, owner="ann")
        )
        accounts = await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 2)
    assert [card.ident for card in accounts[0].cards] == [2, 4]


class Box(Base):
    """Its key cannot be hashed in Python."""

    __tablename__ = "keys_boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    mark: Mapped[list[int]] = mapped_column(Unequal(), unique=True)
    things: Mapped[list["Thing"]] = relationship(order_by="Thing.id")


class Thing(Base):
    __tablename__ = "keys_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    mark: Mapped[list[int] | None] = mapped_column(Unequal(), ForeignKey(Box.mark))
    box: Mapped[Box | None] = relationship(viewonly=True)


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_keys_that_python_cannot_hash(engine: AsyncEngine, strategy: str | None) -> None:
    """They are compared by the database alone."""
    down = LoadPlan(Box, load(Box.things, strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(Thing, load(Thing.box, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(engine, Box(id=1, mark=[7]), Box(id=2, mark=[8]))
        await fill(engine, Thing(id=1, mark=[8]), Thing(id=2, mark=[7]), Thing(id=3))
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2, by_hand=False)
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 2, by_hand=False)


class Whole(Base):
    """Keys of different types at the two ends: an integer that a text column refers to would never match in Python."""

    __tablename__ = "keys_wholes"
    id: Mapped[int] = mapped_column(primary_key=True)
    parts: Mapped[list["Part"]] = relationship(
        primaryjoin="Whole.id == cast(foreign(Part.whole), Integer)", viewonly=True, order_by="Part.id"
    )


class Part(Base):
    __tablename__ = "keys_parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    whole: Mapped[str | None]


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_keys_compared_through_a_cast(engine: AsyncEngine, strategy: str) -> None:
    """Python would tie nothing here: the database does, and the answer is that of lazy loading."""
    plan = LoadPlan(Whole, load(Whole.parts, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await fill(engine, Whole(id=1), Whole(id=2))
        await fill(engine, Part(id=1, whole="1"), Part(id=2, whole="01"), Part(id=3, whole="2"), Part(id=4))
        wholes = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
    assert [part.id for part in wholes[0].parts] == [1, 2]
