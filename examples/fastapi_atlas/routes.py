"""The routes. What they need is declared in their signatures; what may go wrong is said in ``problems``."""

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
    """Return what the request's key gives access to. There is no other way to a loader."""
    found = cast("Service", request.state.service).access(api_key)
    if found is None:
        raise HTTPException(401, "no such API key")
    return found


Allowed = Annotated[Access, Depends(access)]


def continents(allowed: Allowed) -> Continents:
    """Return the continents that the request may see."""
    return Continents(allowed.loader)


def languages(allowed: Allowed) -> Languages:
    """Return the languages, spoken where the request may see it."""
    return Languages(allowed.loader)


def countries(allowed: Allowed) -> Countries:
    """Return the countries that the request may see."""
    return Countries(allowed.loader)


def cities(allowed: Allowed) -> Cities:
    """Return the cities that the request may see."""
    return Cities(allowed.bounded)


def capitals(allowed: Allowed) -> Capitals:
    """Return the capitals that the request may move."""
    return Capitals(allowed.sessions)


def country_changes(allowed: Allowed) -> CountryChanges:
    """Return what changes the countries that the request may see."""
    return CountryChanges(allowed.sessions)


@router.get("/continents")
async def list_continents(found: Annotated[Continents, Depends(continents)]) -> list[ContinentCard]:
    """Views: what the repository returns is what is answered."""
    return await found.all()


@router.get("/continents/{code}", response_model=ContinentOut)
async def show_continent(code: str, found: Annotated[Continents, Depends(continents)]) -> Continent:
    """An entity: ``response_model`` reads it, and the plan was made from the same model."""
    return await found.get(code)


@router.get("/languages")
async def list_languages(found: Annotated[Languages, Depends(languages)]) -> list[LanguageCard]:
    """Views with a count in them."""
    return await found.all()


@router.get("/languages/{code}", response_model=LanguageOut)
async def show_language(code: str, found: Annotated[Languages, Depends(languages)]) -> Language:
    """An entity with a many-to-many."""
    return await found.get(code)


@router.get("/countries")
async def list_countries(
    found: Annotated[Countries, Depends(countries)],
    size: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
    before: str | None = None,
) -> PageOut[CountryCard]:
    """A page of views, with the cursors of its neighbours."""
    return PageOut.of(await found.page(size, after, before))


@router.get("/countries/{iso}")
async def show_country(iso: str, found: Annotated[Countries, Depends(countries)]) -> CountryPage:
    """A view with everything."""
    return await found.get(iso)


@router.patch("/countries/{iso}")
async def change_country(
    iso: str,
    patch: CountryPatch,
    changes: Annotated[CountryChanges, Depends(country_changes)],
    found: Annotated[Countries, Depends(countries)],
) -> CountryPage:
    """A write of what is given alone; the answer is a view that is read after the commit."""
    await changes.apply(iso, patch)
    return await found.get(iso)


@router.get("/countries/{iso}/cities")
async def show_cities(iso: str, found: Annotated[Cities, Depends(cities)], least: int = 1_000_000) -> CountryCities:
    """A view with a parameter in its plan. With too small a ``least`` it is too large an answer."""
    return await found.of(iso, least)


@router.put("/countries/{iso}/capital")
async def move_capital(
    iso: str,
    chosen: CapitalIn,
    moved: Annotated[Capitals, Depends(capitals)],
    found: Annotated[Countries, Depends(countries)],
) -> CountryPage:
    """A write; the answer is read after its commit."""
    await moved.move(iso, chosen.geonameid)
    return await found.get(iso)


@router.get("/cities", response_model=list[CityOut])
async def show_many_cities(
    id: Annotated[list[int], Query(max_length=100)],  # noqa: A002 - the name in the URL
    found: Annotated[Cities, Depends(cities)],
) -> list[City]:
    """Entities by id, in the order that was asked for."""
    return await found.many(id)


@router.get("/cities.ndjson")
async def export_cities(country: str, found: Annotated[Cities, Depends(cities)]) -> StreamingResponse:
    """A line for each city, with the memory of one batch, out of one snapshot.

    The first row is fetched before the answer begins: by then whatever can be wrong with the request has a status.
    """
    rows = found.export(country)
    first = await anext(rows, None)
    return StreamingResponse(_lines(first, rows), media_type="application/x-ndjson")


async def _lines(first: CityRow | None, rows: AsyncGenerator[CityRow, None]) -> AsyncIterator[str]:
    """Yield lines; a client that goes away gives the connection back at once."""
    async with aclosing(rows):
        if first is not None:
            yield first.model_dump_json() + "\n"
        async for row in rows:
            yield row.model_dump_json() + "\n"
