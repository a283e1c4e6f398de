"""The demo against a real server: it loads once, shows what it promises, and survives an interruption."""

import io
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import URL, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from atlas.cards import COUNTRY_CARD, CityRef, CountryCard
from atlas.database import MARKER, ensure_atlas
from atlas.models import City, Country
from atlas.plans import CONTINENT_PAGE
from atlas.tour import CONTINENTS, tour
from loadplan import Loader, LoadPlan, load

DEMO = Path(__file__).parents[2] / "examples" / "atlas" / "demo.py"


async def loaded_at(atlas_engine: AsyncEngine) -> datetime:
    async with atlas_engine.connect() as connection:
        loaded: datetime = (await connection.execute(select(MARKER.c.loaded_at))).scalar_one()
    return loaded


async def run_tour(url: URL, continent: str, *, fresh: bool = False) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    await tour(console, url, continent, fresh=fresh)
    return console.export_text()


async def test_first_run_loads_and_tells(atlas_url: URL, atlas_engine: AsyncEngine) -> None:
    """One run shows data, plan, strategies, graph, SQL, the refusal and a view, in a hundred columns."""
    async with atlas_engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS atlas CASCADE"))
    shown = await run_tour(atlas_url, "EU")
    assert "loaded in" in shown
    assert re.search(r"7 continents, 25\d countries, 3\d,\d{3} cities", shown)
    assert "CONTINENT_PAGE = LoadPlan(" in shown
    for edge in ("countries", "capital", "languages", "neighbours", "cities"):
        assert edge in shown
    assert "nested array" in shown
    assert "left join" in shown
    assert "Russia" in shown
    assert "Moscow" in shown
    assert "FROM atlas.country" in shown
    assert "LEFT OUTER JOIN" in shown
    assert "LIMIT 5" in shown
    assert "1 statement" in shown
    assert re.search(r"took \d+ ms; the same once more took \d+ ms", " ".join(shown.split()))
    assert "LP401: 'Country.currency' is not part of plan 'continent page'" in shown
    assert "add load(Country.currency) under load(Continent.countries)" in shown
    assert "Ruble (RUB)" in shown
    assert "class CountryCard" in shown
    assert "Moscow 10.4M, Saint" in shown
    assert "nested array, statement 1" in shown
    assert "1 statement and one round trip for all of it" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert len(shown.splitlines()) < 250


async def test_largest_cities_are_the_largest(atlas_engine: AsyncEngine) -> None:
    """The plan's limit brings the five largest cities of each country, and nobody slices."""
    await ensure_atlas(atlas_engine)
    largest: dict[str, list[str]] = {}
    async with atlas_engine.connect() as connection:
        by_size = select(City.country_iso, City.name).order_by(City.population.desc(), City.geonameid)
        for country, city in await connection.execute(by_size):
            names = largest.setdefault(country, [])
            if len(names) < 5:
                names.append(city)
    continent = await Loader(atlas_engine).fetch(CONTINENT_PAGE, "EU")
    shown = {country.iso: [city.name for city in country.cities] for country in continent.countries}
    assert len(shown) > 40
    assert max(map(len, shown.values())) == 5
    assert shown == {iso: largest.get(iso, []) for iso in shown}


async def test_cards_are_right(atlas_engine: AsyncEngine) -> None:
    """Every figure of every card is what entities of the same countries say."""
    await ensure_atlas(atlas_engine)
    loader = Loader(atlas_engine)
    whole = LoadPlan(
        Country,
        load(Country.continent),
        load(Country.currency),
        load(Country.languages),
        load(Country.neighbours),
        load(Country.cities),
    )
    expected = [
        CountryCard(
            name=country.name,
            population=country.population,
            continent=country.continent.name,
            currency=country.currency and country.currency.name,
            languages=[language.name for language in country.languages],
            neighbours=[neighbour.name for neighbour in country.neighbours],
            largest=[CityRef(city.name, city.population) for city in country.cities[:3]],
            cities=len(country.cities),
            large_cities=sum(city.population >= 1_000_000 for city in country.cities),
            northernmost=max((city.latitude for city in country.cities), default=None),
        )
        for country in await loader.fetch_all(whole, order_by=Country.iso)
    ]
    assert len(expected) > 240
    assert await loader.fetch_all(COUNTRY_CARD, order_by=Country.iso) == expected
    assert [await loader.fetch(COUNTRY_CARD, "FR")] == [card for card in expected if card.name == "France"]


async def test_second_run_uses_what_is_there(atlas_url: URL, atlas_engine: AsyncEngine) -> None:
    """The data of an earlier run is found and left as it is."""
    await ensure_atlas(atlas_engine)
    before = await loaded_at(atlas_engine)
    shown = await run_tour(atlas_url, "EU")
    assert "loaded by an earlier run, used again" in shown
    assert await loaded_at(atlas_engine) == before


async def test_fresh_loads_again(atlas_url: URL, atlas_engine: AsyncEngine) -> None:
    """``--fresh`` replaces what is there."""
    await ensure_atlas(atlas_engine)
    before = await loaded_at(atlas_engine)
    assert "loaded in" in await run_tour(atlas_url, "OC", fresh=True)
    assert await loaded_at(atlas_engine) > before


@pytest.mark.parametrize("continent", CONTINENTS)
async def test_every_continent(atlas_url: URL, atlas_engine: AsyncEngine, continent: str) -> None:
    """Antarctica has no neighbours and hardly a city; Africa has 58 countries. Both fit."""
    await ensure_atlas(atlas_engine)
    shown = await run_tour(atlas_url, continent)
    assert f'loader.fetch(CONTINENT_PAGE, "{continent}")' in shown
    assert "LP401" in shown


async def test_the_command(atlas_url: URL, atlas_engine: AsyncEngine, tmp_path: Path) -> None:
    """The README's command finds its modules from any folder and takes a server from the environment."""
    await ensure_atlas(atlas_engine)
    dsn = atlas_url.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run(  # noqa: S603, ASYNC221 - our own script; nothing else runs meanwhile
        [sys.executable, str(DEMO), "--continent", "SA"],
        env=os.environ | {"LOADPLAN_DEMO_DSN": dsn, "COLUMNS": "100"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "South America" in done.stdout
    assert "LP401" in done.stdout
    assert done.stderr == ""
