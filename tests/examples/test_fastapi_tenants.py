"""No route of the FastAPI example shows what the API key does not cover."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from web_atlas import API_KEYS, EUROPE, NOWHERE, OCEANIA, WORLD, key

from atlas.models import City, Country
from fastapi_atlas.app import create_app
from fastapi_atlas.service import Settings
from fastapi_atlas.tenants import NoRegion, RegionSession
from loadplan import Loader, LoadPlan

CALLS: dict[str, list[str]] = {
    "GET /continents": ["/continents"],
    "GET /continents/{code}": [f"/continents/{code}" for code in ("EU", "AS", "OC")],
    "GET /languages": ["/languages"],
    "GET /languages/{code}": [f"/languages/{code}" for code in ("en", "ru", "de", "tr")],
    "GET /countries": ["/countries?size=100"],
    "GET /countries/{iso}": [f"/countries/{iso}" for iso in ("RU", "CN", "FR", "FJ", "US")],
    "GET /countries/{iso}/cities": [f"/countries/{iso}/cities" for iso in ("RU", "CN", "AU")],
    "PATCH /countries/{iso}": [f"/countries/{iso}" for iso in ("RU", "CN", "FJ")],
    "PUT /countries/{iso}/capital": ["/countries/RU/capital", "/countries/CN/capital"],
    "GET /cities": ["/cities?id=524901", "/cities?id=1816670", "/cities?id=524901&id=1816670"],
    "GET /cities.ndjson": ["/cities.ndjson?country=RU", "/cities.ndjson?country=SG"],
}
"""For each route requests that go to the inside and to the outside of a region. 524901 is Moscow, 1816670 Beijing."""

CAPITALS = {"/countries/RU/capital": 524901, "/countries/CN/capital": 1816670}


@pytest.fixture(scope="module")
async def continent_of(web_url: URL) -> dict[Any, str]:
    """The continent of each country, by its code and by its name, and of each city, by its id and by its name."""
    engine = create_async_engine(web_url)
    async with AsyncSession(engine) as session:
        countries = (await session.execute(select(Country.iso, Country.name, Country.continent_code))).all()
        cities = await session.execute(select(City.geonameid, Country.continent_code).join(City.country))
        capitals = await session.execute(select(City.name, Country.continent_code).join(Country.capital))
        found: dict[Any, str] = {city.geonameid: city.continent_code for city in cities}
        found |= {("capital", name): code for name, code in capitals}
        for iso, name, code in countries:
            found[iso] = found["country", name] = code
    await engine.dispose()
    return found


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON document with its value, at whatever depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from fields(inner)


def continents_in(body: Any, continent_of: dict[Any, str], continents: set[str]) -> set[str]:
    """The continents that a document tells something about."""
    seen = set()
    for name, value in fields(body):
        if name in ("iso", "geonameid"):
            seen.add(continent_of[value])
        elif name in ("capital", "country") and isinstance(value, str):
            seen.add(continent_of[name, value])
        elif name == "code" and value in continents:
            seen.add(value)
    return seen


async def answers(client: httpx.AsyncClient, route: str, api_key: str) -> list[Any]:
    """The documents that requests to a route bring; a listing is followed to its last page."""
    method = route.partition(" ")[0]
    found: list[Any] = []
    for path in CALLS[route]:
        body = {"geonameid": CAPITALS[path]} if path in CAPITALS else {} if method == "PATCH" else None
        response = await client.request(method, path, json=body, headers=key(api_key))
        assert response.status_code in {200, 404}
        if response.status_code == 200:
            lines = response.text.splitlines() if path.startswith("/cities.ndjson") else [response.text]
            found += map(json.loads, lines)
        while found and isinstance(found[-1], dict) and found[-1].get("next"):
            more = await client.get(path, params={"size": 100, "after": found[-1]["next"]}, headers=key(api_key))
            found.append(more.json())
    return found


def test_every_route_is_called(web_settings: Settings) -> None:
    """A new route must be added to the calls."""
    app: FastAPI = create_app(web_settings)
    documented = app.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in documented.items() for method in methods}
    assert routes == set(CALLS)


@pytest.mark.parametrize("route", CALLS)
async def test_a_route_shows_its_region_alone(
    client: httpx.AsyncClient, continent_of: dict[Any, str], route: str
) -> None:
    """And with the key for everything it does show the rest, so that there is something to hide."""
    shown = {}
    for api_key in (WORLD, EUROPE, OCEANIA, NOWHERE):
        documents = await answers(client, route, api_key)
        shown[api_key] = continents_in(documents, continent_of, set(API_KEYS[WORLD]))
        assert shown[api_key] <= API_KEYS[api_key]
    assert "AS" in shown[WORLD] or route == "GET /languages"  # which has counts alone; see below


async def test_counts_are_of_the_region(client: httpx.AsyncClient) -> None:
    """A number gives away what no name does."""
    spoken = {}
    for api_key in (WORLD, EUROPE, NOWHERE):
        found = (await client.get("/languages", headers=key(api_key))).json()
        spoken[api_key] = next(each["spoken_in"] for each in found if each["code"] == "de")
    german = (await client.get("/languages/de", headers=key(EUROPE))).json()
    assert spoken == {WORLD: 11, EUROPE: len(german["countries"]), NOWHERE: 0}
    assert len(german["countries"]) == 9
    franc = {
        api_key: (await client.get("/countries/FR", headers=key(api_key))).json()["currency"]["countries"]
        for api_key in (WORLD, EUROPE)
    }
    assert franc[WORLD] > franc[EUROPE] > 10


async def test_neighbours_beyond_the_border_are_not_there(client: httpx.AsyncClient) -> None:
    found = {
        api_key: {
            each["iso"] for each in (await client.get("/countries/RU", headers=key(api_key))).json()["neighbours"]
        }
        for api_key in (WORLD, EUROPE)
    }
    assert found[WORLD] - found[EUROPE] == {"AZ", "CN", "GE", "KP", "KZ", "MN"}
    assert {"FI", "UA"} <= found[EUROPE]


async def test_what_is_hidden_cannot_be_changed(client: httpx.AsyncClient) -> None:
    before = (await client.get("/countries/LU")).json()
    for path, city in (("/countries/LU/capital", 2960596), ("/countries/LU/capital", 1816670)):
        refused = await client.put(path, json={"geonameid": city}, headers=key(OCEANIA))
        assert (refused.status_code, refused.json()["code"]) == (404, "LP402")
    foreign = await client.put("/countries/LU/capital", json={"geonameid": 1816670}, headers=key(EUROPE))
    assert foreign.status_code == 404
    assert (await client.get("/countries/LU")).json() == before


async def test_another_tenants_cursor_is_a_place_and_no_permission(
    client: httpx.AsyncClient, continent_of: dict[Any, str]
) -> None:
    cursor = (await client.get("/countries?size=5", headers=key(WORLD))).json()["next"]
    found = (await client.get(f"/countries?size=100&after={cursor}", headers=key(OCEANIA))).json()
    assert {continent_of[each["iso"]] for each in found["items"]} == {"OC"}


@pytest.mark.parametrize("route", CALLS)
async def test_no_key_no_answer(client: httpx.AsyncClient, route: str) -> None:
    method, path = route.partition(" ")[0], CALLS[route][0]
    body = {"geonameid": 524901} if method == "PUT" else None
    for wrong in ("", "guessed", EUROPE.upper()):
        response = await client.request(method, path, headers=key(wrong), json=body)
        assert (response.status_code, response.json()) == (401, {"detail": "no such API key"})
    request = client.build_request(method, path, json=body)
    del request.headers["X-Api-Key"]
    assert (await client.send(request)).status_code == 401


async def test_a_session_for_nobody_reads_nothing(web_url: URL) -> None:
    """Whoever forgets the region gets an error and not the world."""
    engine = create_async_engine(web_url)
    async with AsyncSession(engine, sync_session_class=RegionSession) as session:
        with pytest.raises(NoRegion):
            await Loader(session).fetch(LoadPlan(Country), "FR")
        with pytest.raises(NoRegion):
            await session.scalars(select(Country))
    await engine.dispose()
