"""What goes wrong in the FastAPI example has one answer, wherever it went wrong."""

import logging
from typing import Any

import attrs
import httpx
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from web_atlas import WORLD, key
from web_server import StartupError, served

from atlas.models import Country
from fastapi_atlas import plans
from fastapi_atlas.app import create_app
from fastapi_atlas.problems import MEDIA_TYPE
from fastapi_atlas.routes import Allowed, countries
from fastapi_atlas.schemas import CountryPage, Model
from fastapi_atlas.service import Settings
from loadplan import Loader, LoadPlan


@pytest.mark.parametrize(
    ("path", "status", "code", "detail"),
    [
        ("/countries/XX", 404, "LP402", "no 'Country' has the primary key 'XX'"),
        ("/continents/XX", 404, "LP402", "no 'Continent' has the primary key 'XX'"),
        ("/countries/%00", 422, "LP404", "'\\x00' cannot be the primary key of 'Country'"),
        ("/cities?id=9999999999", 422, "LP404", "9999999999 cannot be the primary key of 'City'"),
        ("/countries/DE/cities?least=9999999999", 422, "LP405", "9999999999 cannot be the value of parameter 'least'"),
        ("/cities.ndjson?country=%00", 422, "LP405", "'\\x00' cannot be the value of parameter 'country'"),
        ("/countries/US/cities?least=0", 400, "LP406", "the fetch returns more than 2000 rows"),
        ("/countries?after=abc", 422, "LP407", "the cursor does not belong to this listing"),
        ("/countries?after=%C3%A4", 422, "LP407", "the cursor does not belong to this listing"),
    ],
)
async def test_what_the_client_can_mend(
    client: httpx.AsyncClient, path: str, status: int, code: str, detail: str
) -> None:
    response = await client.get(path)
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    assert (response.status_code, body["status"], body["code"], body["detail"]) == (status, status, code, detail)


async def test_missing_ids_are_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/cities?id=1&id=524901&id=2")
    assert response.status_code == 404
    assert response.json()["missing"] == [1, 2]


async def test_both_cursors_at_once(client: httpx.AsyncClient) -> None:
    cursor = (await client.get("/countries")).json()["next"]
    response = await client.get("/countries", params={"after": cursor, "before": cursor})
    assert (response.status_code, response.json()["code"]) == (422, "LP407")


async def test_a_cursor_is_signed_with_the_services_key(client: httpx.AsyncClient, web_settings: Settings) -> None:
    """One that the same code makes with another key is refused, and so is one with a letter changed."""
    engine = create_async_engine(web_settings.url)
    order = Country.population.desc()
    ours, theirs = [
        (await Loader(engine, cursor_key=secret).fetch_page(plans.COUNTRIES, order, 3)).next
        for secret in (web_settings.cursor_key, b"guessed")
    ]
    await engine.dispose()
    assert ours
    assert theirs
    changed = ours[:-1] + ("A" if ours[-1] != "A" else "B")
    answers = [await client.get("/countries", params={"after": cursor}) for cursor in (ours, theirs, changed)]
    assert [answer.status_code for answer in answers] == [200, 422, 422]


class Unread(Model):
    """Reads of an entity what no plan of the service loads."""

    iso: str
    top_level_domain: str | None


def broken_app(settings: Settings) -> Any:
    """The application with routes that are wrong."""
    app = create_app(settings)

    @app.get("/touches")
    async def touches(allowed: Allowed) -> str:
        country = await allowed.loader.fetch(plans.CAPITAL_CHANGE, "FR")
        return country.name

    @app.get("/answers", response_model=Unread)
    async def answers(allowed: Allowed) -> Country:
        return await allowed.loader.fetch(plans.CAPITAL_CHANGE, "FR")

    @app.get("/plans")
    async def plans_wrongly(allowed: Allowed) -> list[Any]:
        return await allowed.loader.fetch_all(plans.COUNTRIES, limit=-1)

    return app


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/touches", "LP401: 'Country.name' is not part of plan 'capital change'"),
        ("/answers", "LP401: 'Country.top_level_domain' is not part of plan 'capital change'"),
        ("/plans", "LP107"),
    ],
)
async def test_what_a_developer_must_mend(
    web_settings: Settings, caplog: pytest.LogCaptureFixture, path: str, logged: str
) -> None:
    """The client learns nothing of the inside; the log has it all."""
    async with (
        served(broken_app(web_settings)) as base,
        httpx.AsyncClient(base_url=base, headers=key(WORLD)) as client,
    ):
        with caplog.at_level(logging.ERROR, logger="atlas"):
            response = await client.get(path)
        afterwards = await client.get("/countries/FR")
    assert response.status_code == 500
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.json() == {"title": "Internal Server Error", "status": 500}
    assert [record.levelname for record in caplog.records if logged in record.getMessage()] == ["ERROR"]
    assert afterwards.status_code == 200


async def test_a_wrong_plan_keeps_the_service_from_starting(
    web_settings: Settings, unfinished_plan: LoadPlan[Any], caplog: pytest.LogCaptureFixture
) -> None:
    settings = attrs.evolve(web_settings, plans=(*plans.ALL, unfinished_plan))
    with caplog.at_level(logging.ERROR), pytest.raises(StartupError):
        async with served(create_app(settings)):
            raise AssertionError("it started")
    assert "'Order' has no relationship 'linse'" in caplog.text


async def test_a_route_is_tested_with_a_repository_of_the_tests(web_settings: Settings) -> None:
    """Repositories are dependencies: a test puts its own in their place."""

    class OneCountry:
        async def get(self, iso: str) -> CountryPage:
            none: dict[str, Any] = {"currency": None, "capital": None, "languages": [], "neighbours": [], "cities": []}
            continent = {"code": "OC", "name": "Oceania"}
            return CountryPage(iso=iso, name="Nowhere", population=0, area_km2=0, continent=continent, **none)

    app = create_app(web_settings)
    app.dependency_overrides[countries] = OneCountry
    async with served(app) as base, httpx.AsyncClient(base_url=base) as client:
        assert (await client.get("/countries/ZZ")).json()["name"] == "Nowhere"
