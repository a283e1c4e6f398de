"""The responses of the service: pydantic models. Some are views, which loadplan builds. Others read entities."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from atlas.models import City, Continent, Country, Currency, Language
from loadplan import Page, count, source

T = TypeVar("T")


class Model(BaseModel):
    """The base class of all models. They are immutable."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class PageOut(Model, Generic[T]):
    """A page of a listing. ``next`` goes into ``?after=``, and ``previous`` into ``?before=``."""

    items: list[T]
    next: str | None
    previous: str | None

    @classmethod
    def of(cls, page: Page[T]) -> "PageOut[T]":
        """Return a loader's page as a response."""
        return cls(items=page.items, next=page.next, previous=page.previous)


# Views: ``LoadPlan(Country, into=CountryCard)`` selects the fields that they name, and builds them from the rows.


class ContinentCard(Model):
    """A line in the list of continents."""

    code: str
    name: str
    countries: Annotated[int, count(Continent.countries)]


class LanguageCard(Model):
    """A line in the list of languages."""

    code: str
    name: str
    spoken_in: Annotated[int, count(Language.countries)]


class CountryCard(Model):
    """A line in the list of countries."""

    iso: str
    name: str
    population: int
    capital: Annotated[str | None, source(Country.capital, City.name)]
    languages: Annotated[list[str], source(Country.languages, Language.name)]
    cities: Annotated[int, count(Country.cities)]


class ContinentRef(Model):
    """Names a continent."""

    code: str
    name: str


class CurrencyRef(Model):
    """Names a currency, and counts the countries that use it."""

    code: str
    name: str
    countries: Annotated[int, count(Currency.countries)]


class CityRef(Model):
    """Names a city."""

    geonameid: int
    name: str
    population: int


class CountryRef(Model):
    """Names a country."""

    iso: str
    name: str


class LanguageRef(Model):
    """Names a language."""

    code: str
    name: str


class CountryPage(Model):
    """Everything about a country."""

    iso: str
    name: str
    population: int
    area_km2: int
    continent: ContinentRef
    currency: CurrencyRef | None
    capital: CityRef | None
    languages: list[LanguageRef]
    neighbours: list[CountryRef]
    cities: list[CityRef]


class CountryCities(Model):
    """A country with its cities above a size."""

    iso: str
    name: str
    cities: list[CityRef]


class CityRow(Model):
    """A line of the export of cities."""

    geonameid: int
    name: str
    population: int
    latitude: float
    longitude: float
    iso: Annotated[str, source(City.country_iso)]
    country: Annotated[str, source(City.country, Country.name)]


# Models of entities: ``LoadPlan.for_schema(Language, LanguageOut)`` loads the attributes that the framework reads.


class LanguageOut(Model):
    """A language with the countries that speak it."""

    code: str
    name: str
    countries: list[CountryRef]


class CountryOut(Model):
    """A country on the page of its continent."""

    iso: str
    name: str
    population: int
    capital: CityRef | None
    cities: list[CityRef]


class ContinentOut(Model):
    """A continent with its countries."""

    code: str
    name: str
    countries: list[CountryOut]


class CityOut(Model):
    """A city with all of its names."""

    geonameid: int
    name: str
    population: int
    timezone: str
    alternate_names: list[str]
    country: CountryRef


# Models of requests.


class CountryPatch(Model):
    """The changes of a country. Fields that are not given stay. ``languages`` has the codes of all its languages."""

    name: Annotated[str, Field(min_length=1)] | None = None
    population: Annotated[int, Field(ge=0)] | None = None
    languages: list[str] | None = None


class CapitalIn(Model):
    """The city that becomes the capital of a country."""

    geonameid: int
