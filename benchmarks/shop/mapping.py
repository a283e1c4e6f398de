"""The mapping: a chain of six to-ones, sibling collections, a tree, five wide carriers, a table of 60 columns."""

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

Money = Numeric(12, 2)
Moment = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Of the shop's tables."""


class Country(Base):
    """The end of the chain from a line: order, customer, address, city, region, country."""

    __tablename__ = "shop_country"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    regions: Mapped[list["Region"]] = relationship(back_populates="country", order_by="Region.id")


class Region(Base):
    """Of a country."""

    __tablename__ = "shop_region"

    id: Mapped[int] = mapped_column(primary_key=True)
    country_id: Mapped[int] = mapped_column(ForeignKey(Country.id), index=True)
    name: Mapped[str]
    country: Mapped[Country] = relationship(back_populates="regions")
    cities: Mapped[list["City"]] = relationship(back_populates="region", order_by="City.id")


class City(Base):
    """Of a region."""

    __tablename__ = "shop_city"

    id: Mapped[int] = mapped_column(primary_key=True)
    region_id: Mapped[int] = mapped_column(ForeignKey(Region.id), index=True)
    name: Mapped[str]
    postcode: Mapped[str]
    region: Mapped[Region] = relationship(back_populates="cities")


class Address(Base):
    """Of a customer."""

    __tablename__ = "shop_address"

    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey(City.id), index=True)
    street: Mapped[str]
    number: Mapped[int]
    city: Mapped[City] = relationship()


class Customer(Base):
    """Who orders."""

    __tablename__ = "shop_customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    address_id: Mapped[int] = mapped_column(ForeignKey(Address.id), index=True)
    name: Mapped[str]
    email: Mapped[str]
    joined_at: Mapped[dt.datetime] = mapped_column(Moment)
    address: Mapped[Address] = relationship()
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", order_by="Order.id")


class Carrier(Base):
    """Who brings it: five of them for all orders, each about 12 kB in 24 columns."""

    __table__ = Table(
        "shop_carrier",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", Text, nullable=False),
        Column("terms", Text, nullable=False),
        *(Column(f"clause_{number:02}", Text, nullable=False) for number in range(1, 22)),
    )
    id: Mapped[int]
    name: Mapped[str]
    terms: Mapped[str]


class Order(Base):
    """What a customer bought at once: four lines each."""

    __tablename__ = "shop_order"
    __table_args__ = (Index("shop_order_by_customer", "customer_id", "placed_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))
    carrier_id: Mapped[int] = mapped_column(ForeignKey(Carrier.id), index=True)
    number: Mapped[str]
    status: Mapped[str]
    placed_at: Mapped[dt.datetime] = mapped_column(Moment, index=True)
    total: Mapped[Decimal] = mapped_column(Money)
    customer: Mapped[Customer] = relationship(back_populates="orders")
    carrier: Mapped[Carrier] = relationship()
    lines: Mapped[list["Line"]] = relationship(back_populates="order", order_by="Line.id")


class Line(Base):
    """Of an order."""

    __tablename__ = "shop_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_product.id"), index=True)
    quantity: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Money)
    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped["Product"] = relationship()


class Category(Base):
    """A node of a binary tree, eight levels deep; there are four trees of 255 nodes."""

    __tablename__ = "shop_category"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shop_category.id"), index=True)
    name: Mapped[str]
    parent: Mapped["Category | None"] = relationship(back_populates="children", remote_side="Category.id")
    children: Mapped[list["Category"]] = relationship(back_populates="parent", order_by="Category.id")


product_tag = Table(
    "shop_product_tag",
    Base.metadata,
    Column("product_id", ForeignKey("shop_product.id"), primary_key=True),
    Column("tag_id", ForeignKey("shop_tag.id"), primary_key=True, index=True),
)


class Tag(Base):
    """One of 100, of any number of products."""

    __tablename__ = "shop_tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Product(Base):
    """What is sold, with three collections beside each other: reviews, images and tags."""

    __tablename__ = "shop_product"

    id: Mapped[int] = mapped_column(primary_key=True)
    category_id: Mapped[int] = mapped_column(ForeignKey(Category.id), index=True)
    name: Mapped[str]
    description: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Money)
    category: Mapped[Category] = relationship()
    reviews: Mapped[list["Review"]] = relationship(back_populates="product", order_by="Review.id")
    images: Mapped[list["Image"]] = relationship(back_populates="product", order_by="Image.id")
    tags: Mapped[list[Tag]] = relationship(secondary=product_tag, order_by=Tag.id)
    sheet: Mapped["Sheet | None"] = relationship(back_populates="product")


class Review(Base):
    """Of a product; one in seven has no customer. Its index has the score, for the best few of each product."""

    __tablename__ = "shop_review"
    __table_args__ = (Index("shop_review_by_score", "product_id", "score"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey(Customer.id), index=True)
    score: Mapped[int]
    title: Mapped[str]
    body: Mapped[str]
    written_at: Mapped[dt.datetime] = mapped_column(Moment)
    product: Mapped[Product] = relationship(back_populates="reviews")
    customer: Mapped[Customer | None] = relationship()


class Image(Base):
    """Of a product: three each."""

    __tablename__ = "shop_image"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id), index=True)
    url: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    product: Mapped[Product] = relationship(back_populates="images")


def _sheet_columns() -> list[Column[Any]]:
    """Return 58 columns: so many of each type in turn, ``text_01`` to ``numbers_58``."""
    types: tuple[tuple[str, TypeEngine[Any]], ...] = (
        ("text", Text()),
        ("count", Integer()),
        ("amount", Money),
        ("flag", Boolean()),
        ("day", Date()),
        ("moment", Moment),
        ("weight", Double()),
        ("code", Uuid()),
        ("big", BigInteger()),
        ("facts", JSONB()),
        ("numbers", ARRAY(Integer)),
    )
    turns = (types[number % len(types)] for number in range(58))
    return [Column(f"{name}_{number:02}", type_) for number, (name, type_) in enumerate(turns, 1)]


class Sheet(Base):
    """What is known of a product besides: 60 columns of eleven types, one sheet a product."""

    __table__ = Table(
        "shop_sheet",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("product_id", ForeignKey(Product.id), unique=True, nullable=False),
        *_sheet_columns(),
    )
    id: Mapped[int]
    product_id: Mapped[int]
    product: Mapped[Product] = relationship(back_populates="sheet")
