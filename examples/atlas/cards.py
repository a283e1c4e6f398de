"""View classes of the application: the fields that a list of countries shows."""

from typing import Annotated

import attrs
from sqlalchemy import func

from atlas.models import City, Continent, Country, Currency, Language
from loadplan import LoadPlan, aggregate, count, load, source


@attrs.frozen
class CityRef:
    """A city."""

    name: str
    population: int


@attrs.frozen
class CountryCard:
    """A country, with figures that the database computes."""

    name: str
    population: int
    continent: Annotated[str, source(Country.continent, Continent.name)]
    currency: Annotated[str | None, source(Country.currency, Currency.name)]
    languages: Annotated[list[str], source(Country.languages, Language.name)]
    neighbours: Annotated[list[str], source(Country.neighbours, Country.name)]
    largest: Annotated[list[CityRef], load(Country.cities, limit=3)]
    cities: Annotated[int, count(Country.cities)]
    large_cities: Annotated[int, count(Country.cities, where=City.population >= 1_000_000)]
    northernmost: Annotated[float | None, aggregate(Country.cities, func.max(City.latitude))]


COUNTRY_CARD = LoadPlan(Country, into=CountryCard)
