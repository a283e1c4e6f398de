"""Tables whose rows break what their mapping promises, and tables of rare shapes."""

from functools import cache
from typing import Any

import attrs
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    pass


#: No constraint keeps it from holding a pair twice.
pairs = Table(
    "fired_pairs",
    Base.metadata,
    Column("item_id", Integer, index=True),
    Column("label_id", Integer),
)


class Label(Base):
    __tablename__ = "fired_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Item(Base):
    """Its keys are mapped as foreign keys that the database does not know."""

    __tablename__ = "fired_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    owner_id: Mapped[int | None]
    parent_id: Mapped[int | None] = mapped_column(index=True)
    owner: Mapped[Label | None] = relationship(
        primaryjoin="foreign(Item.owner_id) == Label.id", viewonly=True, uselist=False
    )
    children: Mapped[list["Item"]] = relationship(
        primaryjoin="Item.id == foreign(Item.parent_id)", viewonly=True, order_by="Item.id"
    )
    labels: Mapped[list[Label]] = relationship(
        secondary=pairs,
        primaryjoin="Item.id == foreign(fired_pairs.c.item_id)",
        secondaryjoin="foreign(fired_pairs.c.label_id) == Label.id",
        viewonly=True,
        order_by="Label.id",
    )


@attrs.frozen
class LabelView:
    id: int
    name: str | None


@attrs.frozen
class ChildView:
    id: int
    owner: LabelView | None


@attrs.frozen
class ItemView:
    id: int
    name: str | None
    owner: LabelView | None
    labels: list[LabelView]
    children: list[ChildView]


@attrs.frozen
class BranchView:
    id: int
    children: "list[BranchView]"


ITEM: dict[str, LoadPlan[Any]] = {
    "entities": LoadPlan(
        Item,
        load(Item.owner),
        load(Item.labels, strategy="selectin"),
        load(Item.children, load(Item.owner), strategy="selectin"),
        name="item",
    ),
    "by level": LoadPlan(
        Item,
        load(Item.labels, strategy="selectin"),
        load(Item.children, strategy="selectin"),
        into=ItemView,
        name="item by level",
    ),
    "nested": LoadPlan(Item, into=ItemView, name="item nested"),
}
TREE = LoadPlan(Item, load(Item.children, depth="all"), name="tree")
TREE_VIEW: LoadPlan[Any] = LoadPlan(Item, load(Item.children, depth="all"), into=BranchView, name="tree of views")


class Quoted(DeclarativeBase):
    metadata = MetaData(schema='Odd "Schema"')


class Strange(Quoted):
    """Every name of it needs quotes, and one or the other escape."""

    __tablename__ = 'Select "from" %s :x'
    id: Mapped[int] = mapped_column("Primary Key", primary_key=True)
    order: Mapped[str | None] = mapped_column('or"der %(x)s')
    parts: Mapped[list["StrangePart"]] = relationship(order_by="StrangePart.id")


class StrangePart(Quoted):
    __tablename__ = "where.and ä'"
    id: Mapped[int] = mapped_column("$1", primary_key=True)
    strange_id: Mapped[int] = mapped_column("group\tby", ForeignKey(Strange.__table__.c["Primary Key"]), index=True)


@attrs.frozen
class StrangePartView:
    id: int


@attrs.frozen
class StrangeView:
    id: int
    order: str | None
    parts: list[StrangePartView]


class Other(DeclarativeBase):
    pass


@cache
def another_item() -> type[Any]:
    """Return a class with the name of one above, of another base, over another table: the same one each time."""

    class Item(Other):
        __tablename__ = "fired_other_items"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]

    return Item


class Wide(DeclarativeBase):
    pass


#: PostgreSQL has 1,600 columns at most.
COLUMNS = 1600

WideRow: Any = type(
    "WideRow",
    (Wide,),
    {
        "__tablename__": "fired_wide",
        "id": mapped_column(Integer, primary_key=True),
        **{f"c{number}": mapped_column(Integer, nullable=True) for number in range(COLUMNS - 1)},
    },
)
