"""An order with one relationship of each kind, each of which a flush may lose rows of. Any row may be hidden."""

from typing import Any

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Row:
    id: Mapped[int] = mapped_column(primary_key=True)
    gone: Mapped[bool] = mapped_column(default=False)


order_labels = Table(
    "lost_order_labels",
    Base.metadata,
    Column("order_id", ForeignKey("lost_orders.id"), primary_key=True),
    Column("label_id", ForeignKey("lost_labels.id"), primary_key=True),
)


class Customer(Row, Base):
    __tablename__ = "lost_customers"


class Draft(Row, Base):
    """One order has its key, and deletes it when it has another."""

    __tablename__ = "lost_drafts"


class Order(Row, Base):
    __tablename__ = "lost_orders"
    title: Mapped[str] = mapped_column(default="old")
    customer_id: Mapped[int | None] = mapped_column(ForeignKey(Customer.id))
    draft_id: Mapped[int | None] = mapped_column(ForeignKey(Draft.id))
    customer: Mapped[Customer | None] = relationship()
    draft: Mapped[Draft | None] = relationship(cascade="all, delete-orphan", single_parent=True)
    lines: Mapped[list["Line"]] = relationship(cascade="all, delete-orphan", back_populates="order")
    notes: Mapped[list["Note"]] = relationship()
    labels: Mapped[list["Label"]] = relationship(secondary=order_labels, back_populates="orders")
    seal: Mapped["Seal | None"] = relationship(cascade="all, delete-orphan")
    events: Mapped[list["Event"]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    files: Mapped[list["File"]] = relationship(cascade="all, delete-orphan")


class Line(Row, Base):
    __tablename__ = "lost_lines"
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id))
    order: Mapped[Order] = relationship(back_populates="lines")
    parts: Mapped[list["Part"]] = relationship(cascade="all, delete-orphan")


class Part(Row, Base):
    __tablename__ = "lost_parts"
    line_id: Mapped[int] = mapped_column(ForeignKey(Line.id))


class Note(Row, Base):
    __tablename__ = "lost_notes"
    order_id: Mapped[int | None] = mapped_column(ForeignKey(Order.id))


class Label(Row, Base):
    __tablename__ = "lost_labels"
    orders: Mapped[list[Order]] = relationship(secondary=order_labels, back_populates="labels")


class Seal(Row, Base):
    __tablename__ = "lost_seals"
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), unique=True)


class Event(Row, Base):
    __tablename__ = "lost_events"
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id, ondelete="CASCADE"))


class File(Row, Base):
    """The database deletes it, and SQLAlchemy does not know."""

    __tablename__ = "lost_files"
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id, ondelete="CASCADE"))


class Country(Base):
    """Its key is passed on by SQLAlchemy, row by row."""

    __tablename__ = "lost_countries"
    code: Mapped[str] = mapped_column(primary_key=True)
    cities: Mapped[list["City"]] = relationship(passive_updates=False, order_by="City.id")


class City(Base):
    __tablename__ = "lost_cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    country_code: Mapped[str | None] = mapped_column(ForeignKey(Country.code))


def rows() -> list[Any]:
    """Two of everything that an order has, one of them marked as gone; what it has one of is marked."""
    return [
        Order(
            id=1,
            customer=Customer(id=1, gone=True),
            draft=Draft(id=1, gone=True),
            lines=[Line(id=1, parts=[Part(id=1), Part(id=2, gone=True)]), Line(id=2, gone=True)],
            notes=[Note(id=1), Note(id=2, gone=True)],
            labels=[Label(id=1), Label(id=2, gone=True)],
            seal=Seal(id=1, gone=True),
            events=[Event(id=1), Event(id=2, gone=True)],
            files=[File(id=1), File(id=2, gone=True)],
        ),
        Country(code="it", cities=[City(id=1), City(id=2)]),
    ]
