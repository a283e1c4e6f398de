"""The plans of the atlas. Each plan names the graph that a use case needs."""

from atlas.models import City, Continent, Country
from loadplan import LoadPlan, load

CONTINENT_PAGE = LoadPlan(
    Continent,
    load(
        Continent.countries,
        load(Country.capital, only=[City.name, City.population]),
        load(Country.languages),
        load(Country.neighbours, only=[Country.name]),
        load(
            Country.cities,
            only=[City.name, City.population],
            order_by=City.population.desc(),
            limit=5,
        ),
        only=[Country.name, Country.population, Country.area_km2],
    ),
    name="continent page",
)
