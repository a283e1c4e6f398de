"""A small shop for the tests of errors: the names in it are what the messages speak of."""

import decimal
import enum
import uuid
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Enum, ForeignKey, Numeric, SmallInteger, String, Table, Uuid, func
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    mapped_column,
    query_expression,
    relationship,
)


class Base(DeclarativeBase):
    pass


order_tags = Table(
    "err_order_tags",
    Base.metadata,
    Column("order_id", ForeignKey("err_orders.id"), primary_key=True),
    Column("tag_id", ForeignKey("err_tags.id"), primary_key=True),
)


class Customer(Base):
    __tablename__ = "err_customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="c")
    kind: Mapped[str] = mapped_column(default="customer")
    shout: Mapped[str | None] = query_expression()
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")
    events: DynamicMapped["Order"] = relationship(viewonly=True)
    archive: WriteOnlyMapped["Order"] = relationship(viewonly=True)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "customer"}

    @hybrid_property
    def loud(self) -> str:
        return self.name.upper()

    @loud.inplace.expression
    @classmethod
    def _loud(cls) -> Any:
        return func.upper(cls.name)


class Company(Customer):
    vat: Mapped[str | None]
    branches: Mapped[list["Order"]] = relationship(viewonly=True)
    __mapper_args__ = {"polymorphic_identity": "company"}


class Order(Base):
    __tablename__ = "err_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("err_customers.id"))
    total: Mapped[int] = mapped_column(default=0)
    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list["Line"]] = relationship(back_populates="order")
    tags: Mapped[list["Tag"]] = relationship(secondary=order_tags)
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name")


class Line(Base):
    __tablename__ = "err_lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("err_orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    order: Mapped[Order] = relationship(back_populates="lines")


class Tag(Base):
    __tablename__ = "err_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="t")


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


def keyed(name: str, kind: Any, base: Any = Base, prefix: str = "err") -> Any:
    """Return a class whose primary key is of that type."""
    return type(
        name,
        (base,),
        {
            "__tablename__": f"{prefix}_{name.lower()}",
            "__annotations__": {"id": Mapped[Any]},
            "id": mapped_column(kind, primary_key=True, autoincrement=False),
        },
    )


ByText = keyed("ByText", String)
ByBig = keyed("ByBig", BigInteger)
BySmall = keyed("BySmall", SmallInteger)
ByUuid = keyed("ByUuid", Uuid)
ByColour = keyed("ByColour", Enum(Colour, name="err_colour"))
ByWord = keyed("ByWord", Enum("red", "blue", name="err_word"))
ByNumber = keyed("ByNumber", Numeric(10, 2))
ByMoment = keyed("ByMoment", DateTime(timezone=True))

SOME_UUID = uuid.UUID("12345678123456781234567812345678")
SOME_NUMBER = decimal.Decimal("1.50")
