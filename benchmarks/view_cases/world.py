"""The world atlas of the examples: continents, their countries, and what hangs below those."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

import attrs
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import selectinload

from atlas.database import ensure_atlas
from atlas.models import Continent, Country
from benchmarks.view_cases.case import Case, Level, Rows
from loadplan import LoadPlan, load


@attrs.frozen
class CityRef:
    """A city."""

    name: str
    population: int


@attrs.frozen
class LanguageRef:
    """A language."""

    code: str
    name: str


@attrs.frozen
class NeighbourRef:
    """A country next to another."""

    iso: str
    name: str


@attrs.frozen
class CountryView:
    """A country with all of its cities."""

    iso: str
    name: str
    population: int
    capital: CityRef | None
    languages: list[LanguageRef]
    neighbours: list[NeighbourRef]
    cities: Annotated[list[CityRef], load(Country.cities, strategy="selectin")]  # thousands of them below one root


@attrs.frozen
class ContinentView:
    """A continent with all of its countries."""

    code: str
    name: str
    countries: list[CountryView]


async def fill(engine: AsyncEngine, _roots: int) -> None:
    """Load the atlas, unless it is there."""
    await ensure_atlas(engine)


def options() -> Select[Any]:
    """What a repository writes: whole objects, in five statements."""
    countries = selectinload(Continent.countries)
    return select(Continent).options(
        countries.joinedload(Country.capital),
        countries.selectinload(Country.languages),
        countries.selectinload(Country.neighbours),
        countries.selectinload(Country.cities),
    )


def view(continent: Continent) -> ContinentView:
    """Return the view of a mapped object."""
    return ContinentView(continent.code, continent.name, [_country(each) for each in continent.countries])


def _country(country: Country) -> CountryView:
    return CountryView(
        country.iso,
        country.name,
        country.population,
        None if country.capital is None else CityRef(country.capital.name, country.capital.population),
        [LanguageRef(each.code, each.name) for each in country.languages],
        [NeighbourRef(each.iso, each.name) for each in country.neighbours],
        [CityRef(each.name, each.population) for each in country.cities],
    )


COUNTRY_COLUMNS = "k.iso, k.name, k.population, t.geonameid, t.name, t.population"
COUNTRY_TABLES = "atlas.country k LEFT JOIN atlas.city t ON t.geonameid = k.capital_id"

STATEMENT = f"""
SELECT c.code, c.name, ARRAY(
    SELECT ROW({COUNTRY_COLUMNS},
        ARRAY(SELECT ROW(l.code, l.name)
              FROM atlas.country_language kl JOIN atlas.language l ON l.code = kl.language_code
              WHERE kl.country_iso = k.iso ORDER BY kl.rank, l.code),
        ARRAY(SELECT ROW(n.iso, n.name)
              FROM atlas.country_neighbour kn JOIN atlas.country n ON n.iso = kn.neighbour_iso
              WHERE kn.country_iso = k.iso ORDER BY n.name, n.iso),
        ARRAY(SELECT ROW(y.name, y.population) FROM atlas.city y
              WHERE y.country_iso = k.iso ORDER BY y.population DESC, y.geonameid))
    FROM {COUNTRY_TABLES} WHERE k.continent_code = c.code ORDER BY k.population DESC, k.iso)
FROM atlas.continent c {{roots}}"""


def build(rows: Rows) -> list[ContinentView]:
    """Return views of nested rows."""
    return [ContinentView(code, name, [_nested(*each) for each in countries]) for code, name, countries in rows]


def _nested(
    iso: str,
    name: str,
    population: int,
    capital_id: int | None,
    capital: str,
    inhabitants: int,
    languages: Rows,
    neighbours: Rows,
    cities: Rows,
) -> CountryView:
    return CountryView(
        iso,
        name,
        population,
        None if capital_id is None else CityRef(capital, inhabitants),
        [LanguageRef(*each) for each in languages],
        [NeighbourRef(*each) for each in neighbours],
        [CityRef(*each) for each in cities],
    )


def _countries(arrived: Sequence[Rows]) -> list[str]:
    return [row[1] for row in arrived[1]]


LEVELS = (
    Level(
        f"SELECT k.continent_code, {COUNTRY_COLUMNS} FROM {COUNTRY_TABLES} WHERE k.continent_code = ANY($1)"
        " ORDER BY k.population DESC, k.iso",
        lambda arrived: [row[0] for row in arrived[0]],
    ),
    Level(
        "SELECT kl.country_iso, l.code, l.name"
        " FROM atlas.country_language kl JOIN atlas.language l ON l.code = kl.language_code"
        " WHERE kl.country_iso = ANY($1) ORDER BY kl.rank, l.code",
        _countries,
    ),
    Level(
        "SELECT kn.country_iso, n.iso, n.name"
        " FROM atlas.country_neighbour kn JOIN atlas.country n ON n.iso = kn.neighbour_iso"
        " WHERE kn.country_iso = ANY($1) ORDER BY n.name, n.iso",
        _countries,
    ),
    Level(
        "SELECT y.country_iso, y.name, y.population FROM atlas.city y"
        " WHERE y.country_iso = ANY($1) ORDER BY y.population DESC, y.geonameid",
        _countries,
    ),
)


def build_levels(arrived: Sequence[Rows]) -> list[ContinentView]:
    """Return views of the rows of five statements."""
    continents, countries, languages, neighbours, cities = arrived
    spoken: defaultdict[str, list[LanguageRef]] = defaultdict(list)
    nearby: defaultdict[str, list[NeighbourRef]] = defaultdict(list)
    within: defaultdict[str, list[CityRef]] = defaultdict(list)
    found: defaultdict[str, list[CountryView]] = defaultdict(list)
    for iso, code, name in languages:
        spoken[iso].append(LanguageRef(code, name))
    for iso, neighbour, name in neighbours:
        nearby[iso].append(NeighbourRef(neighbour, name))
    for iso, name, population in cities:
        within[iso].append(CityRef(name, population))
    for continent, iso, name, population, capital_id, capital, inhabitants in countries:
        seat = None if capital_id is None else CityRef(capital, inhabitants)
        found[continent].append(CountryView(iso, name, population, seat, spoken[iso], nearby[iso], within[iso]))
    return [ContinentView(code, name, found[code]) for code, name in continents]


CASE = Case(
    name="atlas",
    roots=(1, 7),
    fill=fill,
    key=Continent.code,
    sql_key="c.code",
    one="EU",
    plan=LoadPlan(Continent, into=ContinentView),
    entities=LoadPlan(
        Continent,
        load(
            Continent.countries,
            load(Country.capital),
            load(Country.languages),
            load(Country.neighbours),
            load(Country.cities),
        ),
        name="atlas",
    ),
    options=options,
    view=view,
    statement=STATEMENT,
    build=build,
    root_statement="SELECT c.code, c.name FROM atlas.continent c {roots}",
    levels=LEVELS,
    build_levels=build_levels,
)
