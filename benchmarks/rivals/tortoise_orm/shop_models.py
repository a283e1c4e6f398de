"""The shop as models of Tortoise ORM: the same tables, every column."""

# pyright: reportMissingImports=false, reportIncompatibleVariableOverride=false

from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, Double, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from benchmarks import shop


def field_of(column: Column[Any]) -> Any:
    """Return the field for a column of the same name and type."""
    kinds: dict[Any, Any] = {
        ARRAY: lambda **more: ArrayField("int", **more),
        BigInteger: fields.BigIntField,
        Boolean: fields.BooleanField,
        Date: fields.DateField,
        DateTime: fields.DatetimeField,
        Double: fields.FloatField,
        Integer: fields.IntField,
        JSONB: fields.JSONField,
        Numeric: lambda **more: fields.DecimalField(12, 2, **more),
        Text: fields.TextField,
        Uuid: fields.UUIDField,
    }
    return kinds[type(column.type)](null=bool(column.nullable))


def fields_of(entity: Any, *but: str) -> dict[str, Any]:
    """Return fields for the columns of a mapped class that are neither its key nor named."""
    return {each.name: field_of(each) for each in entity.__table__.columns if each.name not in ("id", *but)}


class Country(Model):
    """Of the chain."""

    id = fields.IntField(primary_key=True)
    code = fields.TextField()
    name = fields.TextField()

    class Meta:
        """Where it is."""

        table = "shop_country"


class Region(Model):
    """Of the chain."""

    id = fields.IntField(primary_key=True)
    country: Any = fields.ForeignKeyField("shop.Country", related_name="regions")
    name = fields.TextField()

    class Meta:
        """Where it is."""

        table = "shop_region"


class City(Model):
    """Of the chain."""

    id = fields.IntField(primary_key=True)
    region: Any = fields.ForeignKeyField("shop.Region", related_name="cities")
    name = fields.TextField()
    postcode = fields.TextField()

    class Meta:
        """Where it is."""

        table = "shop_city"


class Address(Model):
    """Of the chain."""

    id = fields.IntField(primary_key=True)
    city: Any = fields.ForeignKeyField("shop.City", related_name="addresses")
    street = fields.TextField()
    number = fields.IntField()

    class Meta:
        """Where it is."""

        table = "shop_address"


class Customer(Model):
    """Who orders."""

    id = fields.IntField(primary_key=True)
    address: Any = fields.ForeignKeyField("shop.Address", related_name="customers")
    name = fields.TextField()
    email = fields.TextField()
    joined_at = fields.DatetimeField()

    class Meta:
        """Where it is."""

        table = "shop_customer"


class _CarrierMeta:
    table = "shop_carrier"


Carrier: Any = type(
    "Carrier",
    (Model,),
    {
        "__module__": __name__,
        "id": fields.IntField(primary_key=True),
        **fields_of(shop.Carrier),
        "Meta": _CarrierMeta,
    },
)


class Order(Model):
    """What a customer bought at once."""

    id = fields.IntField(primary_key=True)
    customer: Any = fields.ForeignKeyField("shop.Customer", related_name="orders")
    carrier: Any = fields.ForeignKeyField("shop.Carrier", related_name="orders")
    number = fields.TextField()
    status = fields.TextField()
    placed_at = fields.DatetimeField()
    total = fields.DecimalField(12, 2)

    class Meta:
        """Where it is."""

        table = "shop_order"


class Line(Model):
    """Of an order."""

    id = fields.IntField(primary_key=True)
    order: Any = fields.ForeignKeyField("shop.Order", related_name="lines")
    product: Any = fields.ForeignKeyField("shop.Product", related_name="lines")
    quantity = fields.IntField()
    price = fields.DecimalField(12, 2)

    class Meta:
        """Where it is."""

        table = "shop_line"
        ordering = ("id",)


class Category(Model):
    """A node."""

    id = fields.IntField(primary_key=True)
    parent: Any = fields.ForeignKeyField("shop.Category", related_name="children", null=True)
    name = fields.TextField()

    class Meta:
        """Where it is."""

        table = "shop_category"
        ordering = ("id",)


class Tag(Model):
    """Of any number of products."""

    id = fields.IntField(primary_key=True)
    name = fields.TextField()

    class Meta:
        """Where it is."""

        table = "shop_tag"
        ordering = ("id",)


class Product(Model):
    """What is sold."""

    id = fields.IntField(primary_key=True)
    category: Any = fields.ForeignKeyField("shop.Category", related_name="products")
    name = fields.TextField()
    description = fields.TextField()
    price = fields.DecimalField(12, 2)
    tags: Any = fields.ManyToManyField(
        "shop.Tag",
        through="shop_product_tag",
        backward_key="product_id",
        forward_key="tag_id",
        related_name="products",
    )

    class Meta:
        """Where it is."""

        table = "shop_product"


class Review(Model):
    """Of a product."""

    id = fields.IntField(primary_key=True)
    product: Any = fields.ForeignKeyField("shop.Product", related_name="reviews")
    customer: Any = fields.ForeignKeyField("shop.Customer", related_name="reviews", null=True)
    score = fields.IntField()
    title = fields.TextField()
    body = fields.TextField()
    written_at = fields.DatetimeField()

    class Meta:
        """Where it is."""

        table = "shop_review"
        ordering = ("id",)


class Image(Model):
    """Of a product."""

    id = fields.IntField(primary_key=True)
    product: Any = fields.ForeignKeyField("shop.Product", related_name="images")
    url = fields.TextField()
    width = fields.IntField()
    height = fields.IntField()

    class Meta:
        """Where it is."""

        table = "shop_image"
        ordering = ("id",)


class _SheetMeta:
    table = "shop_sheet"


Sheet: Any = type(
    "Sheet",
    (Model,),
    {
        "__module__": __name__,
        "id": fields.IntField(primary_key=True),
        "product": fields.OneToOneField("shop.Product", related_name="sheet"),
        **fields_of(shop.Sheet, "product_id"),
        "Meta": _SheetMeta,
    },
)
