"""The repositories. Each gets a ``Loader``, which decides whose rows it reads."""

from collections.abc import AsyncGenerator, Sequence

import attrs
from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from atlas.models import City, Continent, Country, Language
from fastapi_atlas import plans
from fastapi_atlas.schemas import (
    CityRow,
    ContinentCard,
    CountryCard,
    CountryCities,
    CountryPage,
    CountryPatch,
    LanguageCard,
)
from loadplan import Loader, Page


@attrs.frozen
class Continents:
    """Reads continents."""

    loader: Loader

    async def all(self) -> list[ContinentCard]:
        """Return all of them by name."""
        return await self.loader.fetch_all(plans.CONTINENTS, order_by=Continent.name)

    async def get(self, code: str) -> Continent:
        """Return a continent with its countries."""
        return await self.loader.fetch(plans.CONTINENT, code)


@attrs.frozen
class Languages:
    """Reads languages."""

    loader: Loader

    async def all(self) -> list[LanguageCard]:
        """Return all of them by name."""
        return await self.loader.fetch_all(plans.LANGUAGES, order_by=Language.name)

    async def get(self, code: str) -> Language:
        """Return a language with the countries that speak it."""
        return await self.loader.fetch(plans.LANGUAGE, code)


@attrs.frozen
class Countries:
    """Reads countries."""

    loader: Loader

    async def page(self, size: int, after: str | None, before: str | None) -> Page[CountryCard]:
        """Return a page of countries, the largest first."""
        order = Country.population.desc()
        return await self.loader.fetch_page(plans.COUNTRIES, order, size, after=after, before=before)

    async def get(self, iso: str) -> CountryPage:
        """Return a country with everything that its page shows."""
        return await self.loader.fetch(plans.COUNTRY, iso)


@attrs.frozen
class Cities:
    """Reads cities. A country may have many cities, so the loader should have ``max_rows``."""

    loader: Loader

    async def of(self, iso: str, least: int) -> CountryCities:
        """Return a country with its cities that have at least ``least`` people."""
        return await self.loader.fetch(plans.COUNTRY_CITIES, iso, params={"least": least})

    async def many(self, ids: Sequence[int]) -> list[City]:
        """Return cities in the order of their ids. All of them must exist."""
        return await self.loader.fetch_many(plans.CITIES, ids)

    def export(self, country: str) -> AsyncGenerator[CityRow, None]:
        """Yield the cities of a country, the largest first."""
        within = City.country_iso == bindparam("country")  # loadplan checks a parameter, but not a value in a condition
        order = City.population.desc()
        return self.loader.stream(plans.CITY_EXPORT, within, order, batch_size=200, params={"country": country})


@attrs.frozen
class Capitals:
    """Changes capitals, each in a separate transaction."""

    sessions: async_sessionmaker[AsyncSession]

    async def move(self, iso: str, geonameid: int) -> None:
        """Make a city the capital of its country.

        Raises:
            NotFound: the country does not exist, or does not have this city.
        """
        async with self.sessions.begin() as session:
            loader = Loader(session)
            country = await loader.fetch(plans.CAPITAL_CHANGE, iso, for_update=True)
            within = [City.geonameid == bindparam("city"), City.country_iso == country.iso]
            city = await loader.fetch_one(plans.CITY_OF_COUNTRY, within, params={"city": geonameid})
            country.capital_id = city.geonameid
            session.add(country)


@attrs.frozen
class CountryChanges:
    """Changes countries: load, change, commit. The route reads the answer afterwards."""

    sessions: async_sessionmaker[AsyncSession]

    async def apply(self, iso: str, patch: CountryPatch) -> None:
        """Change a country.

        Raises:
            NotFound: the country or a language does not exist.
        """
        async with self.sessions.begin() as session:
            loader = Loader(session)
            country = await loader.fetch_attached(plans.COUNTRY_CHANGE, iso, for_update=True)
            if patch.name is not None:
                country.name = patch.name
            if patch.population is not None:
                country.population = patch.population
            if patch.languages is not None:  # a language that the country already has is the same object in the session
                codes = dict.fromkeys(patch.languages)
                country.languages = [await loader.fetch_attached(plans.SPOKEN, code) for code in codes]
