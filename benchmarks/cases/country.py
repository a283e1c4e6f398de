"""A country of the world atlas, with capital, currency, languages, neighbours and all of its cities."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql.base import ExecutableOption

from atlas.models import City, Country, Currency, Language
from benchmarks.cases.case import Case, Graph, Many, first_column, levelled, nested
from benchmarks.cases.whole import Whole
from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan, load


@attrs.frozen
class CityRef:
    """A city."""

    name: str
    population: int


@attrs.frozen
class CurrencyRef:
    """A currency."""

    code: str
    name: str


@attrs.frozen
class LanguageRef:
    """A language."""

    code: str
    name: str


@attrs.frozen
class NeighbourRef:
    """A country next to it."""

    iso: str
    name: str


@attrs.frozen
class CountryView:
    """A country with all of its cities."""

    iso: str
    name: str
    population: int
    capital: CityRef | None
    currency: CurrencyRef | None
    languages: list[LanguageRef]
    neighbours: list[NeighbourRef]
    cities: list[CityRef]


def read(country: Any, many: Many) -> Any:
    """Return what a country's page shows.

    Languages are put in order here, for all alike: the rank in the association, which the mapping orders them by, is
    beyond some rivals.
    """
    capital, currency = country.capital, country.currency
    return (
        country.iso,
        country.name,
        country.population,
        None if capital is None else (capital.name, capital.population),
        None if currency is None else (currency.code, currency.name),
        sorted((each.code, each.name) for each in many(country.languages)),
        [(each.iso, each.name) for each in many(country.neighbours)],
        [(each.name, each.population) for each in many(country.cities)],
    )


def options() -> Sequence[ExecutableOption]:
    """Four statements: the country with two joins, and three collections."""
    return (
        joinedload(Country.capital),
        joinedload(Country.currency),
        selectinload(Country.languages),
        selectinload(Country.neighbours),
        selectinload(Country.cities),
    )


COLUMNS = "k.iso, k.name, k.population, t.geonameid, t.name, t.population, m.code, m.name"
TABLES = """atlas.country k LEFT JOIN atlas.city t ON t.geonameid = k.capital_id
LEFT JOIN atlas.currency m ON m.code = k.currency_code {roots}"""

NESTED = f"""
SELECT {COLUMNS},
    ARRAY(SELECT ROW(l.code, l.name)
          FROM atlas.country_language kl JOIN atlas.language l ON l.code = kl.language_code
          WHERE kl.country_iso = k.iso ORDER BY kl.rank),
    ARRAY(SELECT ROW(n.iso, n.name)
          FROM atlas.country_neighbour kn JOIN atlas.country n ON n.iso = kn.neighbour_iso
          WHERE kn.country_iso = k.iso ORDER BY n.name, n.iso),
    ARRAY(SELECT ROW(y.name, y.population) FROM atlas.city y
          WHERE y.country_iso = k.iso ORDER BY y.population DESC, y.geonameid)
FROM {TABLES}"""

LEVELS = (
    Level(
        "SELECT kl.country_iso, l.code, l.name"
        " FROM atlas.country_language kl JOIN atlas.language l ON l.code = kl.language_code"
        " WHERE kl.country_iso = ANY($1) ORDER BY kl.rank",
        first_column,
    ),
    Level(
        "SELECT kn.country_iso, n.iso, n.name"
        " FROM atlas.country_neighbour kn JOIN atlas.country n ON n.iso = kn.neighbour_iso"
        " WHERE kn.country_iso = ANY($1) ORDER BY n.name, n.iso",
        first_column,
    ),
    Level(
        "SELECT y.country_iso, y.name, y.population FROM atlas.city y"
        " WHERE y.country_iso = ANY($1) ORDER BY y.population DESC, y.geonameid",
        first_column,
    ),
)


def view(row: Any, languages: Any, neighbours: Any, cities: Any) -> CountryView:
    """Return the view of a row and of the views below it."""
    iso, name, population, capital_id, capital, inhabitants, code, currency = row[:8]
    return CountryView(
        iso,
        name,
        population,
        None if capital_id is None else CityRef(capital, inhabitants),
        None if code is None else CurrencyRef(code, currency),
        languages,
        neighbours,
        cities,
    )


def build_nested(rows: Rows) -> list[CountryView]:
    """Return views of nested rows."""
    return [
        view(
            row,
            [LanguageRef(*each) for each in row[8]],
            [NeighbourRef(*each) for each in row[9]],
            [CityRef(*each) for each in row[10]],
        )
        for row in rows
    ]


def build_levels(arrived: Sequence[Rows]) -> list[CountryView]:
    """Return views of the rows of four statements."""
    languages: defaultdict[str, list[LanguageRef]] = defaultdict(list)
    neighbours: defaultdict[str, list[NeighbourRef]] = defaultdict(list)
    cities: defaultdict[str, list[CityRef]] = defaultdict(list)
    for iso, code, name in arrived[1]:
        languages[iso].append(LanguageRef(code, name))
    for iso, neighbour, name in arrived[2]:
        neighbours[iso].append(NeighbourRef(neighbour, name))
    for iso, name, population in arrived[3]:
        cities[iso].append(CityRef(name, population))
    return [view(row, languages[row[0]], neighbours[row[0]], cities[row[0]]) for row in arrived[0]]


WHOLE = Whole(Country, "capital", "currency", "languages", "neighbours", "cities")
WHOLE_COUNTRY, WHOLE_CITY, WHOLE_CURRENCY, WHOLE_LANGUAGE = map(Whole, (Country, City, Currency, Language))

WHOLE_LEVELS = (
    Level(
        f"SELECT kl.country_iso, {WHOLE_LANGUAGE.columns('l')}"
        " FROM atlas.country_language kl JOIN atlas.language l ON l.code = kl.language_code"
        " WHERE kl.country_iso = ANY($1) ORDER BY kl.rank",
        first_column,
    ),
    Level(
        f"SELECT kn.country_iso, {WHOLE_COUNTRY.columns('n')}"
        " FROM atlas.country_neighbour kn JOIN atlas.country n ON n.iso = kn.neighbour_iso"
        " WHERE kn.country_iso = ANY($1) ORDER BY n.name, n.iso",
        first_column,
    ),
    Level(
        f"SELECT y.country_iso, {WHOLE_CITY.columns('y')} FROM atlas.city y"
        " WHERE y.country_iso = ANY($1) ORDER BY y.population DESC, y.geonameid",
        first_column,
    ),
)


def build_whole(arrived: Sequence[Rows]) -> list[Any]:
    """Return objects of the whole rows of four statements."""
    languages: defaultdict[str, list[Any]] = defaultdict(list)
    neighbours: defaultdict[str, list[Any]] = defaultdict(list)
    cities: defaultdict[str, list[Any]] = defaultdict(list)
    below = zip((languages, neighbours, cities), (WHOLE_LANGUAGE, WHOLE_COUNTRY, WHOLE_CITY), strict=True)
    for (found, whole), rows in zip(below, arrived[1:], strict=True):
        make = whole.make
        for iso, *values in rows:
            found[iso].append(make(*values))
    country, city = WHOLE.width, WHOLE.width + WHOLE_CITY.width
    return [
        WHOLE.make(
            *row[:country],
            None if row[country] is None else WHOLE_CITY.make(*row[country:city]),
            None if row[city] is None else WHOLE_CURRENCY.make(*row[city:]),
            languages[row[0]],
            neighbours[row[0]],
            cities[row[0]],
        )
        for row in arrived[0]
    ]


GRAPH = Graph(
    name="country",
    entity=Country,
    key=Country.iso,
    read=read,
    plan=LoadPlan(
        Country,
        load(Country.capital),
        load(Country.currency),
        load(Country.languages),
        load(Country.neighbours),
        load(Country.cities),
        name="country page",
    ),
    views=LoadPlan(Country, into=CountryView),
    options=options,
    by_hand={
        "one statement": nested(NESTED, "k.iso", build_nested),
        "a level": levelled(f"SELECT {COLUMNS} FROM {TABLES}", "k.iso", LEVELS, build_levels),
        "whole rows": levelled(
            f"SELECT {WHOLE.columns('k')}, {WHOLE_CITY.columns('t')}, {WHOLE_CURRENCY.columns('m')} FROM {TABLES}",
            "k.iso",
            WHOLE_LEVELS,
            build_whole,
        ),
    },
)

CASES = (Case("country", "a country of the atlas, two to-ones and three collections", GRAPH, key="DE", data="atlas"),)
