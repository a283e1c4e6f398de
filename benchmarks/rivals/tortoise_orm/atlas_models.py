"""The atlas as models of Tortoise ORM: the same tables, every column."""

# pyright: reportMissingImports=false, reportIncompatibleVariableOverride=false

from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model


class Currency(Model):
    """A currency."""

    code = fields.CharField(3, primary_key=True)
    name = fields.TextField()

    class Meta:
        """Where it is."""

        schema = "atlas"
        table = "currency"


class Language(Model):
    """A language."""

    code = fields.CharField(3, primary_key=True)
    name = fields.TextField()

    class Meta:
        """Where it is."""

        schema = "atlas"
        table = "language"


class Country(Model):
    """A country."""

    iso = fields.CharField(2, primary_key=True)
    iso3 = fields.TextField()
    name = fields.TextField()
    population = fields.BigIntField()
    area_km2 = fields.IntField()
    phone_prefix = fields.TextField(null=True)
    top_level_domain = fields.TextField(null=True)
    continent_code = fields.TextField()
    currency: Any = fields.ForeignKeyField(
        "atlas.Currency", related_name="countries", source_field="currency_code", null=True
    )
    capital: Any = fields.OneToOneField("atlas.City", related_name="capital_of", null=True)
    languages: Any = fields.ManyToManyField(
        "atlas.Language",
        through="country_language",
        through_schema="atlas",
        backward_key="country_iso",
        forward_key="language_code",
        related_name="countries",
    )
    neighbours: Any = fields.ManyToManyField(
        "atlas.Country",
        through="country_neighbour",
        through_schema="atlas",
        backward_key="country_iso",
        forward_key="neighbour_iso",
        related_name="neighbour_of",
    )

    class Meta:
        """Where it is."""

        schema = "atlas"
        table = "country"


class City(Model):
    """A city."""

    geonameid = fields.IntField(primary_key=True, generated=False)
    name = fields.TextField()
    population = fields.IntField()
    latitude = fields.FloatField()
    longitude = fields.FloatField()
    timezone = fields.TextField()
    alternate_names = ArrayField("text")
    country: Any = fields.ForeignKeyField("atlas.Country", related_name="cities", source_field="country_iso")

    class Meta:
        """Where it is."""

        schema = "atlas"
        table = "city"
