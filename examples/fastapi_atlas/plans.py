"""The plans that load the responses. The service checks all of them when it starts."""

from sqlalchemy import bindparam

from atlas.models import City, Continent, Country, Language
from fastapi_atlas.schemas import (
    CityOut,
    CityRow,
    ContinentCard,
    ContinentOut,
    CountryCard,
    CountryCities,
    CountryPage,
    LanguageCard,
    LanguageOut,
)
from loadplan import LoadPlan, load

CONTINENTS = LoadPlan(Continent, into=ContinentCard, name="continents")
LANGUAGES = LoadPlan(Language, into=LanguageCard, name="languages")
COUNTRIES = LoadPlan(Country, into=CountryCard, name="countries")
COUNTRY = LoadPlan(Country, load(Country.cities, limit=5), into=CountryPage, name="country")
COUNTRY_CITIES = LoadPlan(
    Country,
    load(Country.cities, where=City.population >= bindparam("least")),
    into=CountryCities,
    name="cities of a country",
)
CITY_EXPORT = LoadPlan(City, into=CityRow, name="city export")

CONTINENT = LoadPlan.for_schema(
    Continent, ContinentOut, load(Continent.countries, load(Country.cities, limit=3)), name="continent"
)
LANGUAGE = LoadPlan.for_schema(Language, LanguageOut, name="language")
CITIES = LoadPlan.for_schema(City, CityOut, name="cities")

CAPITAL_CHANGE = LoadPlan(Country, only=[Country.capital_id], name="capital change")
COUNTRY_CHANGE = LoadPlan(
    Country,
    load(Country.languages, only=[Language.name]),
    only=[Country.name, Country.population],
    name="country change",
)
SPOKEN = LoadPlan(Language, only=[Language.name], name="spoken language")
CITY_OF_COUNTRY = LoadPlan(City, only=[City.geonameid], name="city of a country")

ALL = (
    CONTINENTS,
    LANGUAGES,
    COUNTRIES,
    COUNTRY,
    COUNTRY_CITIES,
    CITY_EXPORT,
    CONTINENT,
    LANGUAGE,
    CITIES,
    CAPITAL_CHANGE,
    COUNTRY_CHANGE,
    SPOKEN,
    CITY_OF_COUNTRY,
)
