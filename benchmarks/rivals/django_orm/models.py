"""The shop and the atlas as models of Django: the same tables, every column; none of them managed."""

# pyright: reportMissingImports=false, reportIncompatibleVariableOverride=false

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, Double, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks import shop


def money(**more: Any) -> Any:
    """Return a field of two places."""
    return models.DecimalField(max_digits=12, decimal_places=2, **more)


def field_of(column: Column[Any]) -> Any:
    """Return the field for a column of the same name and type."""
    kinds: dict[Any, Any] = {
        ARRAY: lambda **more: ArrayField(models.IntegerField(), **more),
        BigInteger: models.BigIntegerField,
        Boolean: models.BooleanField,
        Date: models.DateField,
        DateTime: models.DateTimeField,
        Double: models.FloatField,
        Integer: models.IntegerField,
        JSONB: models.JSONField,
        Numeric: money,
        Text: models.TextField,
        Uuid: models.UUIDField,
    }
    return kinds[type(column.type)](null=bool(column.nullable))


def fields_of(entity: Any, *but: str) -> dict[str, Any]:
    """Return fields for the columns of a mapped class that are neither its key nor named."""
    return {each.name: field_of(each) for each in entity.__table__.columns if each.name not in ("id", *but)}


def to(model: Any, related: str, **more: Any) -> Any:
    """Return a foreign key."""
    return models.ForeignKey(model, models.DO_NOTHING, related_name=related, **more)


def options(table: str, *ordering: str) -> Any:
    """Return the Meta of a model of the shop."""
    more = {"db_table": table, "app_label": "shop", "managed": False, "ordering": ordering}
    return type("Meta", (), more)


class Country(models.Model):
    """Of the chain."""

    id = models.IntegerField(primary_key=True)
    code = models.TextField()
    name = models.TextField()
    Meta = options("shop_country")


class Region(models.Model):
    """Of the chain."""

    id = models.IntegerField(primary_key=True)
    country = to(Country, "regions")
    name = models.TextField()
    Meta = options("shop_region")


class City(models.Model):
    """Of the chain."""

    id = models.IntegerField(primary_key=True)
    region = to(Region, "cities")
    name = models.TextField()
    postcode = models.TextField()
    Meta = options("shop_city")


class Address(models.Model):
    """Of the chain."""

    id = models.IntegerField(primary_key=True)
    city = to(City, "addresses")
    street = models.TextField()
    number = models.IntegerField()
    Meta = options("shop_address")


class Customer(models.Model):
    """Who orders."""

    id = models.IntegerField(primary_key=True)
    address = to(Address, "customers")
    name = models.TextField()
    email = models.TextField()
    joined_at = models.DateTimeField()
    Meta = options("shop_customer")


Carrier: Any = type(
    "Carrier",
    (models.Model,),
    {
        "__module__": __name__,
        "id": models.IntegerField(primary_key=True),
        **fields_of(shop.Carrier),
        "Meta": options("shop_carrier"),
    },
)


class Order(models.Model):
    """What a customer bought at once."""

    id = models.IntegerField(primary_key=True)
    customer = to(Customer, "orders")
    carrier = to(Carrier, "orders")
    number = models.TextField()
    status = models.TextField()
    placed_at = models.DateTimeField()
    total = money()
    Meta = options("shop_order")


class Category(models.Model):
    """A node."""

    id = models.IntegerField(primary_key=True)
    parent = to("self", "children", null=True)
    name = models.TextField()
    Meta = options("shop_category", "id")


class Tag(models.Model):
    """Of any number of products."""

    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    Meta = options("shop_tag", "id")


class Product(models.Model):
    """What is sold."""

    id = models.IntegerField(primary_key=True)
    category = to(Category, "products")
    name = models.TextField()
    description = models.TextField()
    price = money()
    tags: Any = models.ManyToManyField(Tag, through="ProductTag", related_name="products")
    Meta = options("shop_product")


class ProductTag(models.Model):
    """Which tags a product has."""

    pk: Any = models.CompositePrimaryKey("product_id", "tag_id")
    product = to(Product, "+")
    tag = to(Tag, "+")
    Meta = options("shop_product_tag")


class Line(models.Model):
    """Of an order."""

    id = models.IntegerField(primary_key=True)
    order = to(Order, "lines")
    product = to(Product, "lines")
    quantity = models.IntegerField()
    price = money()
    Meta = options("shop_line", "id")


class Review(models.Model):
    """Of a product."""

    id = models.IntegerField(primary_key=True)
    product = to(Product, "reviews")
    customer = to(Customer, "reviews", null=True)
    score = models.IntegerField()
    title = models.TextField()
    body = models.TextField()
    written_at = models.DateTimeField()
    Meta = options("shop_review", "id")


class Image(models.Model):
    """Of a product."""

    id = models.IntegerField(primary_key=True)
    product = to(Product, "images")
    url = models.TextField()
    width = models.IntegerField()
    height = models.IntegerField()
    Meta = options("shop_image", "id")


Sheet: Any = type(
    "Sheet",
    (models.Model,),
    {
        "__module__": __name__,
        "id": models.IntegerField(primary_key=True),
        "product": models.OneToOneField(Product, models.DO_NOTHING, related_name="sheet"),
        **fields_of(shop.Sheet, "product_id"),
        "Meta": options("shop_sheet"),
    },
)


class Currency(models.Model):
    """A currency."""

    code = models.TextField(primary_key=True)
    name = models.TextField()
    Meta = options('"atlas"."currency"')


class Language(models.Model):
    """A language."""

    code = models.TextField(primary_key=True)
    name = models.TextField()
    Meta = options('"atlas"."language"')


class AtlasCountry(models.Model):
    """A country."""

    iso = models.TextField(primary_key=True)
    iso3 = models.TextField()
    name = models.TextField()
    population = models.BigIntegerField()
    area_km2 = models.IntegerField()
    phone_prefix = models.TextField(null=True)
    top_level_domain = models.TextField(null=True)
    continent_code = models.TextField()
    currency = to(Currency, "countries", db_column="currency_code", null=True)
    capital = to("AtlasCity", "capital_of", null=True)
    languages: Any = models.ManyToManyField(Language, through="CountryLanguage", related_name="countries")
    neighbours: Any = models.ManyToManyField(
        "self", through="CountryNeighbour", through_fields=("country", "neighbour"), symmetrical=False
    )
    Meta = options('"atlas"."country"')


class AtlasCity(models.Model):
    """A city."""

    geonameid = models.IntegerField(primary_key=True)
    name = models.TextField()
    population = models.IntegerField()
    latitude = models.FloatField()
    longitude = models.FloatField()
    timezone = models.TextField()
    alternate_names = ArrayField(models.TextField())
    country = to(AtlasCountry, "cities", db_column="country_iso")
    Meta = options('"atlas"."city"', "-population", "geonameid")


class CountryLanguage(models.Model):
    """Which languages a country speaks."""

    pk: Any = models.CompositePrimaryKey("country_id", "language_id")
    country = to(AtlasCountry, "+", db_column="country_iso")
    language = to(Language, "+", db_column="language_code")
    rank = models.IntegerField()
    Meta = options('"atlas"."country_language"')


class CountryNeighbour(models.Model):
    """Which countries are next to it."""

    pk: Any = models.CompositePrimaryKey("country_id", "neighbour_id")
    country = to(AtlasCountry, "+", db_column="country_iso")
    neighbour = to(AtlasCountry, "+", db_column="neighbour_iso")
    Meta = options('"atlas"."country_neighbour"')
