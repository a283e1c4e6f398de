"""The FastAPI example over HTTP: every route, pages, the export, and what each of them costs."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool
from web_atlas import API_KEYS, EUROPE, OCEANIA, WORLD, key
from web_server import served

from atlas.models import City, Country
from fastapi_atlas import plans
from fastapi_atlas.app import create_app
from fastapi_atlas.service import Settings
from loadplan import Loader
from loadplan.pytest_plugin import record_statements
from support import lost_cursors_allowed


class Connections:
    """What all pools of this process have given out."""

    def __init__(self) -> None:
        self.out = 0
        self.most = 0
        self.opened = 0
        self.closed = 0
        self.returned = asyncio.Event()

    def checkout(self, *_: Any) -> None:
        self.out += 1
        self.most = max(self.most, self.out)

    def checkin(self, *_: Any) -> None:
        self.out -= 1
        self.returned.set()

    def connect(self, *_: Any) -> None:
        self.opened += 1

    def close(self, *_: Any) -> None:
        self.closed += 1


@pytest.fixture
def connections() -> Iterator[Connections]:
    counted = Connections()
    names = ("checkout", "checkin", "connect", "close")
    for name in names:
        event.listen(Pool, name, getattr(counted, name))
    yield counted
    for name in names:
        event.remove(Pool, name, getattr(counted, name))


@pytest.fixture
async def web_engine(web_url: URL) -> Any:
    """To ask the database behind the service's back."""
    engine = create_async_engine(web_url)
    yield engine
    await engine.dispose()


async def get(client: httpx.AsyncClient, path: str, api_key: str = WORLD) -> Any:
    response = await client.get(path, headers=key(api_key))
    assert response.status_code == 200, response.text
    return response.json()


async def test_continents(client: httpx.AsyncClient) -> None:
    found = await get(client, "/continents")
    assert [each["code"] for each in found] == ["AF", "AN", "AS", "EU", "NA", "OC", "SA"]
    assert {each["countries"] for each in found if each["code"] == "AN"} == {5}


async def test_a_continent(client: httpx.AsyncClient) -> None:
    """An entity through ``response_model``: three cities of each country, and no capital where there is none."""
    found = await get(client, "/continents/EU")
    germany = next(each for each in found["countries"] if each["iso"] == "DE")
    assert [city["name"] for city in germany["cities"]] == ["Berlin", "Hamburg", "Munich"]
    assert germany["capital"]["name"] == "Berlin"
    assert max(len(each["cities"]) for each in found["countries"]) == 3
    antarctica = await get(client, "/continents/AN")
    assert None in [each["capital"] for each in antarctica["countries"]]


async def test_languages(client: httpx.AsyncClient) -> None:
    found = {each["code"]: each for each in await get(client, "/languages")}
    german = await get(client, "/languages/de")
    assert german["name"] == "German"
    assert {"DE", "AT", "NA"} <= {each["iso"] for each in german["countries"]}
    assert found["de"]["spoken_in"] == len(german["countries"])


async def test_a_country(client: httpx.AsyncClient) -> None:
    found = await get(client, "/countries/CH")
    assert found["continent"] == {"code": "EU", "name": "Europe"}
    assert [each["code"] for each in found["languages"]] == ["de", "fr", "it", "rm"]
    assert {each["iso"] for each in found["neighbours"]} == {"AT", "DE", "FR", "IT", "LI"}
    assert found["currency"] == {"code": "CHF", "name": "Franc", "countries": 2}
    assert len(found["cities"]) == 5
    uninhabited = await get(client, "/countries/AQ")
    assert (uninhabited["currency"], uninhabited["capital"], uninhabited["cities"]) == (None, None, [])


async def test_cities_of_a_country(client: httpx.AsyncClient) -> None:
    """The query's value goes into the plan's parameter."""
    millions = await get(client, "/countries/DE/cities")
    assert [each["name"] for each in millions["cities"]] == ["Berlin", "Hamburg", "Munich", "Köln"]
    largest = await get(client, "/countries/DE/cities?least=3000000")
    assert [each["name"] for each in largest["cities"]] == ["Berlin"]


async def test_cities_by_id(client: httpx.AsyncClient) -> None:
    """In the order that was asked for, with the deferred column that the model reads."""
    found = await get(client, "/cities?id=2988507&id=2950159&id=2988507")
    assert [each["name"] for each in found] == ["Paris", "Berlin", "Paris"]
    assert found[1]["country"] == {"iso": "DE", "name": "Germany"}
    assert "Берлин" in found[1]["alternate_names"]


async def test_a_capital_is_moved(client: httpx.AsyncClient) -> None:
    before = (await get(client, "/countries/LU"))["capital"]
    esch = 2960596
    moved = await client.put("/countries/LU/capital", json={"geonameid": esch}, headers=key(EUROPE))
    assert moved.status_code == 200
    assert moved.json()["capital"]["name"] == "Esch-sur-Alzette"
    assert (await get(client, "/countries/LU"))["capital"] == moved.json()["capital"]
    back = await client.put("/countries/LU/capital", json={"geonameid": before["geonameid"]})
    assert back.json()["capital"] == before


async def test_a_country_is_changed(client: httpx.AsyncClient) -> None:
    """What is given changes, the rest stays, and the answer is what a reader finds."""
    before = await get(client, "/countries/LU", EUROPE)
    codes = [each["code"] for each in before["languages"]]
    patch = {"population": 1_000_000, "languages": [*codes[:2], "it"]}
    changed = await client.patch("/countries/LU", json=patch, headers=key(EUROPE))
    try:
        assert changed.status_code == 200
        assert changed.json()["population"] == 1_000_000
        assert {each["code"] for each in changed.json()["languages"]} == {*codes[:2], "it"}
        assert {**changed.json(), "population": 0, "languages": []} == {**before, "population": 0, "languages": []}
        assert await get(client, "/countries/LU", EUROPE) == changed.json()
    finally:
        back = {"population": before["population"], "languages": codes}
        restored = await client.patch("/countries/LU", json=back)
    assert restored.json()["population"] == before["population"]
    assert {each["code"] for each in restored.json()["languages"]} == set(codes)


async def test_a_change_that_is_wrong_changes_nothing(client: httpx.AsyncClient) -> None:
    """An unknown language ends the transaction; a country of another region is not there."""
    before = await get(client, "/countries/LU")
    wrong = await client.patch("/countries/LU", json={"name": "Luxemburg", "languages": ["zz"]})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["missing"]) == (404, "LP402", ["zz"])
    foreign = await client.patch("/countries/LU", json={"name": "Luxemburg"}, headers=key(OCEANIA))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "LP402")
    assert (await client.patch("/countries/LU", json={"name": ""})).status_code == 422
    assert await get(client, "/countries/LU") == before


@pytest.mark.parametrize("api_key", [WORLD, EUROPE])
async def test_all_pages_there_and_back(client: httpx.AsyncClient, web_engine: AsyncEngine, api_key: str) -> None:
    """Every country once and in order, whichever way one goes."""
    by_size = select(Country.iso).where(Country.continent_code.in_(API_KEYS[api_key]))
    async with web_engine.connect() as connection:
        order = Country.population.desc(), Country.iso
        expected = list(await connection.scalars(by_size.order_by(*order)))
    assert len(expected) > 50
    pages = [await get(client, "/countries?size=60", api_key)]
    while cursor := pages[-1]["next"]:
        pages.append(await get(client, f"/countries?size=60&after={cursor}", api_key))
    assert [each["iso"] for page in pages for each in page["items"]] == expected
    assert pages[0]["previous"] is None
    page, behind = pages[-1], [pages[-1]["items"]]
    while cursor := page["previous"]:
        page = await get(client, f"/countries?size=60&before={cursor}", api_key)
        behind.insert(0, page["items"])
    assert [each["iso"] for items in behind for each in items] == expected


async def test_export_is_a_line_for_each(client: httpx.AsyncClient, web_engine: AsyncEngine) -> None:
    """More than one batch, each line whole, the largest first."""
    lines = []
    async with client.stream("GET", "/cities.ndjson?country=FR") as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [httpx.Response(200, text=line).json() async for line in response.aiter_lines()]
    async with web_engine.connect() as connection:
        total = await connection.scalar(select(func.count()).where(City.country_iso == "FR"))
    assert len({each["geonameid"] for each in lines}) == len(lines) == total > 400
    assert [each["population"] for each in lines] == sorted((each["population"] for each in lines), reverse=True)
    assert lines[0] == lines[0] | {"name": "Paris", "iso": "FR", "country": "France"}


async def test_export_of_nothing(client: httpx.AsyncClient) -> None:
    response = await client.get("/cities.ndjson?country=AQ")
    assert (response.status_code, response.text) == (200, "")


async def test_export_that_nobody_reads_gives_its_connection_back(
    web_settings: Settings, connections: Connections
) -> None:
    """A client that goes away in the middle ends the walk; small buffers keep the server from being done before."""
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    transport = httpx.AsyncHTTPTransport(socket_options=small)
    with lost_cursors_allowed():
        async with (
            served(create_app(web_settings), send_buffer=4096) as base,
            httpx.AsyncClient(base_url=base, headers=key(WORLD), transport=transport) as client,
        ):
            async with client.stream("GET", "/cities.ndjson?country=US") as response:
                await anext(response.aiter_bytes())
                assert (connections.out, connections.returned.is_set()) == (1, False)
            await asyncio.wait_for(connections.returned.wait(), 10)
    assert connections.out == 0


@pytest.mark.parametrize(
    ("few", "many", "statements"),
    [
        ("/continents", "/continents", 1),
        ("/continents/AN", "/continents/EU", 1),
        ("/languages", "/languages", 1),
        ("/languages/rm", "/languages/en", 1),
        ("/countries?size=1", "/countries?size=100", 1),
        ("/countries/VA", "/countries/CN", 1),
        ("/countries/LU/cities", "/countries/IN/cities?least=200000", 2),  # its loader counts rows
        ("/cities?id=2988507", "/cities?id=2988507&id=2950159&id=2960316&id=524901", 1),
    ],
)
async def test_statements_do_not_grow_with_the_answer(
    client: httpx.AsyncClient, few: str, many: str, statements: int
) -> None:
    for path in (few, many):
        with record_statements() as recorded:
            answer = await client.get(path)
        assert answer.status_code == 200
        recorded.assert_count(statements)


async def test_statements_are_those_of_explain(client: httpx.AsyncClient, web_engine: AsyncEngine) -> None:
    with record_statements() as recorded:
        await get(client, "/continents/AF")
    recorded.assert_count(Loader(web_engine).explain(plans.CONTINENT).statements)


async def test_fifty_requests_on_three_connections(client: httpx.AsyncClient, connections: Connections) -> None:
    """They wait for each other, none fails, and each gets its own answer."""
    codes = ["AN", "OC", "SA", "AN", "NA"] * 10
    alone = {code: await get(client, f"/continents/{code}") for code in set(codes)}
    connections.most = 0
    together = await asyncio.gather(*(get(client, f"/continents/{code}") for code in codes))
    assert together == [alone[code] for code in codes]
    assert connections.most == 3
    assert connections.out == 0


async def test_fifty_requests_of_two_tenants(client: httpx.AsyncClient) -> None:
    """What one tenant asks for at the same time as another is not mixed up."""
    keys = [EUROPE, OCEANIA] * 25
    found = await asyncio.gather(*(get(client, "/continents", each) for each in keys))
    assert [[each["code"] for each in answer] for answer in found] == [["EU"], ["OC"]] * 25


async def test_shutdown_closes_every_connection(web_settings: Settings, connections: Connections) -> None:
    async with (
        served(create_app(web_settings)) as base,
        httpx.AsyncClient(base_url=base, headers=key(WORLD)) as client,
    ):
        await asyncio.gather(*(get(client, "/countries") for _ in range(10)))
        assert (connections.opened, connections.closed) == (3, 0)
    assert connections.closed == 3
