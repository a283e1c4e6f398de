"""The routes. Their signatures declare what they need. ``problems`` answers their errors."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, cast

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader

from atlas.models import City, Continent, Language
from fastapi_atlas.repositories import Capitals, Cities, Continents, Countries, CountryChanges, Languages
from fastapi_atlas.schemas import (
    CapitalIn,
    CityOut,
    CityRow,
    ContinentCard,
    ContinentOut,
    CountryCard,
    CountryCities,
    CountryPage,
    CountryPatch,
    LanguageCard,
    LanguageOut,
    PageOut,
)
from fastapi_atlas.service import Access, Service

router = APIRouter()

ApiKey = Annotated[str | None, Depends(APIKeyHeader(name="X-Api-Key", auto_error=False))]


def access(request: Request, api_key: ApiKey) -> Access:
    """Return the loaders and sessions that the request's API key may use. Routes get a loader only from here."""
    found = cast("Service", request.state.service).access(api_key)
    if found is None:
        raise HTTPException(401, "no such API key")
    return found


Allowed = Annotated[Access, Depends(access)]


def continents(allowed: Allowed) -> Continents:
    """Return a repository of the continents that the request may see."""
    return Continents(allowed.loader)


def languages(allowed: Allowed) -> Languages:
    """Return a repository of languages, with the countries that the request may see."""
    return Languages(allowed.loader)


def countries(allowed: Allowed) -> Countries:
    """Return a repository of the countries that the request may see."""
    return Countries(allowed.loader)


def cities(allowed: Allowed) -> Cities:
    """Return a repository of the cities that the request may see."""
    return Cities(allowed.bounded)


def capitals(allowed: Allowed) -> Capitals:
    """Return a repository that changes the capitals of the countries that the request may see."""
    return Capitals(allowed.sessions)


def country_changes(allowed: Allowed) -> CountryChanges:
    """Return a repository that changes the countries that the request may see."""
    return CountryChanges(allowed.sessions)


@router.get("/continents")
async def list_continents(found: Annotated[Continents, Depends(continents)]) -> list[ContinentCard]:
    """Answer with views: FastAPI serializes the objects that the repository returns."""
    return await found.all()


@router.get("/continents/{code}", response_model=ContinentOut)
async def show_continent(code: str, found: Annotated[Continents, Depends(continents)]) -> Continent:
    """Answer with an entity: ``response_model`` reads it, and the plan is made from the same model."""
    return await found.get(code)


@router.get("/languages")
async def list_languages(found: Annotated[Languages, Depends(languages)]) -> list[LanguageCard]:
    """Answer with views that contain a count."""
    return await found.all()


@router.get("/languages/{code}", response_model=LanguageOut)
async def show_language(code: str, found: Annotated[Languages, Depends(languages)]) -> Language:
    """Answer with an entity that has a many-to-many relationship."""
    return await found.get(code)


@router.get("/countries")
async def list_countries(
    found: Annotated[Countries, Depends(countries)],
    size: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
    before: str | None = None,
) -> PageOut[CountryCard]:
    """Answer with a page of views, and the cursors of the next and the previous page."""
    return PageOut.of(await found.page(size, after, before))


@router.get("/countries/{iso}")
async def show_country(iso: str, found: Annotated[Countries, Depends(countries)]) -> CountryPage:
    """Answer with a view of everything about a country."""
    return await found.get(iso)


@router.patch("/countries/{iso}")
async def change_country(
    iso: str,
    patch: CountryPatch,
    changes: Annotated[CountryChanges, Depends(country_changes)],
    found: Annotated[Countries, Depends(countries)],
) -> CountryPage:
    """Change only the given fields, and answer with a view that is read after the commit."""
    await changes.apply(iso, patch)
    return await found.get(iso)


@router.get("/countries/{iso}/cities")
async def show_cities(iso: str, found: Annotated[Cities, Depends(cities)], least: int = 1_000_000) -> CountryCities:
    """Answer with a view whose plan has a parameter. If ``least`` is too small, the answer exceeds ``max_rows``."""
    return await found.of(iso, least)


@router.put("/countries/{iso}/capital")
async def move_capital(
    iso: str,
    chosen: CapitalIn,
    moved: Annotated[Capitals, Depends(capitals)],
    found: Annotated[Countries, Depends(countries)],
) -> CountryPage:
    """Change the capital, and answer with a view that is read after the commit."""
    await moved.move(iso, chosen.geonameid)
    return await found.get(iso)


@router.get("/cities", response_model=list[CityOut])
async def show_many_cities(
    id: Annotated[list[int], Query(max_length=100)],  # noqa: A002 - the name in the URL
    found: Annotated[Cities, Depends(cities)],
) -> list[City]:
    """Answer with entities by id, in the order of the request."""
    return await found.many(id)


@router.get("/cities.ndjson")
async def export_cities(country: str, found: Annotated[Cities, Depends(cities)]) -> StreamingResponse:
    """Answer with a line for each city, with the memory of one batch, from one snapshot.

    The first row is fetched before the answer begins. So if the request is wrong, the answer still gets the right
    status.
    """
    rows = found.export(country)
    first = await anext(rows, None)
    return StreamingResponse(_lines(first, rows), media_type="application/x-ndjson")


async def _lines(first: CityRow | None, rows: AsyncGenerator[CityRow, None]) -> AsyncIterator[str]:
    """Yield lines. If the client disconnects, return the connection to the pool at once."""
    async with aclosing(rows):
        if first is not None:
            yield first.model_dump_json() + "\n"
        async for row in rows:
            yield row.model_dump_json() + "\n"
