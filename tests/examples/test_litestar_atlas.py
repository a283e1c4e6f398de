"""The Litestar variant over HTTP: it answers what the FastAPI application answers."""

from collections.abc import AsyncIterator

import attrs
import httpx
import pytest
from web_atlas import EUROPE, WORLD, key
from web_server import StartupError, served

from fastapi_atlas.problems import MEDIA_TYPE
from fastapi_atlas.service import Settings
from litestar_atlas import create_app
from loadplan import LoadPlan
from loadplan.pytest_plugin import record_statements


@pytest.fixture(scope="module")
async def litestar(web_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        served(create_app(web_settings)) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        yield client


@pytest.mark.parametrize("api_key", [EUROPE, "guessed"])
@pytest.mark.parametrize(
    "path",
    [
        "/countries?size=7",
        "/countries/RU",
        "/countries/XX",
        "/countries/%00",
        "/countries?after=abc",
        "/languages/en",
        "/languages/xx",
        "/cities.ndjson?country=FR",
        "/cities.ndjson?country=%00",
    ],
)
async def test_it_answers_as_fastapi_does(
    litestar: httpx.AsyncClient, client: httpx.AsyncClient, path: str, api_key: str
) -> None:
    ours, theirs = [await each.get(path, headers=key(api_key)) for each in (litestar, client)]
    assert ours.status_code == theirs.status_code
    if ours.status_code == 401:
        assert ours.json()["detail"] == "no such API key"
    elif path.startswith("/cities.ndjson") and ours.status_code == 200:
        assert ours.text == theirs.text
        assert ours.headers["content-type"].startswith("application/x-ndjson")
    else:
        assert ours.json() == theirs.json()
        if ours.status_code != 200:
            assert ours.headers["content-type"] == MEDIA_TYPE


async def test_pages_and_back(litestar: httpx.AsyncClient) -> None:
    first = (await litestar.get("/countries?size=3", headers=key(WORLD))).json()
    second = (await litestar.get("/countries", params={"size": 3, "after": first["next"]}, headers=key(WORLD))).json()
    back = (
        await litestar.get("/countries", params={"size": 3, "before": second["previous"]}, headers=key(WORLD))
    ).json()
    assert [each["iso"] for each in first["items"] + second["items"]] == ["CN", "IN", "US", "ID", "PK", "BR"]
    assert back["items"] == first["items"]


async def test_size_has_a_bound(litestar: httpx.AsyncClient) -> None:
    assert (await litestar.get("/countries?size=101", headers=key(WORLD))).status_code == 400


async def test_one_statement_for_a_page(litestar: httpx.AsyncClient) -> None:
    with record_statements() as recorded:
        assert (await litestar.get("/countries?size=20", headers=key(WORLD))).status_code == 200
    recorded.assert_count(1)


async def test_a_wrong_plan_keeps_it_from_starting(web_settings: Settings, unfinished_plan: LoadPlan[object]) -> None:
    settings = attrs.evolve(web_settings, plans=(unfinished_plan,))
    with pytest.raises(StartupError):
        async with served(create_app(settings)):
            raise AssertionError("it started")
