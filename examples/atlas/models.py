"""The atlas as SQLAlchemy models, with natural keys and every kind of relationship.

All tables are in a separate PostgreSQL schema, ``atlas``, so that a database with other data can have them, too.
"""

from sqlalchemy import ARRAY, BigInteger, Column, Double, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_name)s_key",
}


class Base(DeclarativeBase):
    """The base class of the atlas. Its tables are in the schema ``atlas``, and ``str`` is mapped to ``text``."""

    metadata = MetaData(schema="atlas", naming_convention=NAMING)
    type_annotation_map = {str: Text()}


country_language = Table(
    "country_language",
    Base.metadata,
    Column("country_iso", Text, ForeignKey("country.iso"), primary_key=True),
    Column("language_code", Text, ForeignKey("language.code"), primary_key=True, index=True),
    Column("rank", Integer, nullable=False, server_default="1", comment="1 is spoken most"),
)
"""The languages of each country, with their rank: 1 is the most spoken language."""

country_neighbour = Table(
    "country_neighbour",
    Base.metadata,
    Column("country_iso", Text, ForeignKey("country.iso"), primary_key=True),
    Column("neighbour_iso", Text, ForeignKey("country.iso"), primary_key=True, index=True),
)
"""Land borders. Each border has two rows, one for each side."""


class Continent(Base):
    """One of the seven continents."""

    __tablename__ = "continent"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    population: Mapped[int] = mapped_column(BigInteger)

    countries: Mapped[list["Country"]] = relationship(
        back_populates="continent", order_by=lambda: (Country.population.desc(), Country.iso)
    )


class Currency(Base):
    """A currency by its ISO 4217 code. Many currencies have the name "Dollar"."""

    __tablename__ = "currency"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]

    countries: Mapped[list["Country"]] = relationship(
        back_populates="currency", order_by=lambda: (Country.name, Country.iso)
    )


class Language(Base):
    """A language by its ISO 639 code, without a region: ``fr`` for ``fr-FR`` and ``fr-CA``."""

    __tablename__ = "language"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]

    countries: Mapped[list["Country"]] = relationship(
        secondary=country_language, back_populates="languages", order_by=lambda: (Country.name, Country.iso)
    )


class Country(Base):
    """A country or territory with an ISO 3166 code."""

    __tablename__ = "country"

    iso: Mapped[str] = mapped_column(primary_key=True)
    iso3: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    population: Mapped[int] = mapped_column(BigInteger)
    area_km2: Mapped[int]
    phone_prefix: Mapped[str | None]
    top_level_domain: Mapped[str | None]
    continent_code: Mapped[str] = mapped_column(ForeignKey("continent.code"), index=True)
    currency_code: Mapped[str | None] = mapped_column(ForeignKey("currency.code"), index=True)
    # Countries and cities refer to each other. The database checks this key at commit, so either can be written first.
    capital_id: Mapped[int | None] = mapped_column(
        ForeignKey("city.geonameid", use_alter=True, deferrable=True, initially="DEFERRED"), unique=True
    )

    continent: Mapped[Continent] = relationship(back_populates="countries")
    currency: Mapped[Currency | None] = relationship(back_populates="countries")
    capital: Mapped["City | None"] = relationship(
        foreign_keys=capital_id, back_populates="capital_of", post_update=True
    )
    languages: Mapped[list[Language]] = relationship(
        secondary=country_language, back_populates="countries", order_by=country_language.c.rank
    )
    neighbours: Mapped[list["Country"]] = relationship(
        secondary=country_neighbour,
        primaryjoin=iso == country_neighbour.c.country_iso,
        secondaryjoin=iso == country_neighbour.c.neighbour_iso,
        order_by=lambda: (Country.name, Country.iso),
    )
    cities: Mapped[list["City"]] = relationship(
        foreign_keys="City.country_iso",
        back_populates="country",
        order_by=lambda: (City.population.desc(), City.geonameid),
    )


class City(Base):
    """A city of about 15,000 people or more, or a seat of government."""

    __tablename__ = "city"

    geonameid: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    population: Mapped[int]
    latitude: Mapped[float] = mapped_column(Double)
    longitude: Mapped[float] = mapped_column(Double)
    timezone: Mapped[str]
    alternate_names: Mapped[list[str]] = mapped_column(ARRAY(Text), deferred=True)
    country_iso: Mapped[str] = mapped_column(ForeignKey("country.iso"))

    country: Mapped[Country] = relationship(foreign_keys=country_iso, back_populates="cities")
    capital_of: Mapped[Country | None] = relationship(
        foreign_keys=Country.capital_id, back_populates="capital", post_update=True
    )


# Serves the foreign key, and also "the largest cities of a country".
Index(None, City.country_iso, City.population.desc(), City.geonameid)
