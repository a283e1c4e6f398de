"""A tour of loadplan on the world atlas: the data, a plan, its graph and its SQL, an error, and a view."""

import argparse
import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from atlas import cards, plans
from atlas.cards import COUNTRY_CARD, CountryCard
from atlas.database import count_rows, ensure_atlas
from atlas.models import Continent, Country
from atlas.plans import CONTINENT_PAGE
from atlas.show import (
    Page,
    card_table,
    continent_tree,
    error_panel,
    explanation_tree,
    milliseconds,
    python,
    statement_table,
)
from atlas.statements import watch
from loadplan import Loader, NotLoaded, load

T = TypeVar("T")

CARDS = 3
CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description=__doc__,
        epilog="LOADPLAN_DEMO_DSN names a PostgreSQL database to use in place of the embedded server.",
    )
    parser.add_argument("--continent", choices=CONTINENTS, default="EU", help="which to fetch (default: EU)")
    parser.add_argument("--fresh", action="store_true", help="load the data again")
    options = parser.parse_args(arguments)

    console = Console()
    with console.status("starting PostgreSQL ..."):
        url = database_url()
    asyncio.run(tour(console, url, options.continent, fresh=options.fresh))


def database_url() -> URL:
    """Return the URL of the database that the environment names. Without one, start the embedded server."""
    dsn = os.environ.get("LOADPLAN_DEMO_DSN")
    if dsn:
        return make_url(dsn).set(drivername="postgresql+asyncpg")
    from embedded_postgres import start

    return start("atlas")


async def tour(console: Console, url: URL, code: str, *, fresh: bool = False) -> None:
    """Load the atlas if it is missing, then show what loadplan does with it.

    Args:
        console: the console to print on.
        url: the URL of a PostgreSQL database, for asyncpg.
        code: the code of the continent to fetch.
        fresh: load the atlas even if it is there.
    """
    page = Page(console)
    console.print()
    page.put(Panel.fit("[bold]loadplan[/bold] on the world atlas", padding=(0, 4)))
    engine = create_async_engine(url)
    try:
        await show_data(page, engine, fresh=fresh)
        loader = Loader(engine)
        show_plan(page, loader)
        continent = await show_fetch(page, engine, loader, code)
        await show_refusal(page, loader, continent)
        await show_view(page, engine, loader, code)
    finally:
        await engine.dispose()


async def show_data(page: Page, engine: AsyncEngine, *, fresh: bool) -> None:
    """Load the atlas if it is missing, and print the number of rows."""
    page.heading("The data")
    started = time.perf_counter()
    with page.bars() as progress:
        loaded = await ensure_atlas(engine, fresh=fresh, progress=progress)
    seconds = time.perf_counter() - started
    async with engine.connect() as connection:
        version = await connection.scalar(text("SHOW server_version"))
    rows = await count_rows(engine)
    page.put(
        f"PostgreSQL {version}: {rows['continent']} continents, {rows['country']} countries, "
        f"{rows['city']:,} cities, {rows['language']} languages, {rows['currency']} currencies; "
        + (f"loaded in {seconds:.1f} s." if loaded else "loaded by an earlier run, used again.")
    )


def show_plan(page: Page, loader: Loader) -> None:
    """Print a plan as declared, then the strategies that loadplan has chosen."""
    page.heading("The plan")
    source = inspect.getsource(plans)
    page.put(python(source[source.index("CONTINENT_PAGE = ") :]))

    page.heading("How each edge is loaded, and why")
    page.put(explanation_tree(loader.explain(CONTINENT_PAGE)))


async def show_fetch(page: Page, engine: AsyncEngine, loader: Loader, code: str) -> Continent:
    """Fetch the continent, print its graph and the SQL that loaded it, and return the continent."""
    page.heading("The graph")
    page.put(python(f'continent = await loader.fetch(CONTINENT_PAGE, "{code}")'))
    with watch(engine) as statements:
        continent, first = await timed(loader.fetch(CONTINENT_PAGE, code))
    page.put(continent_tree(continent))

    page.heading("The SQL that ran")
    rows = sum(statement.rows for statement in statements)
    _, second = await timed(loader.fetch(CONTINENT_PAGE, code))
    page.put(
        statement_table(statements),
        f"{len(statements)} statements, {rows:,} rows. This first fetch compiled the SQL and took "
        f"[bold]{milliseconds(first)}[/bold]; the same once more took [bold]{milliseconds(second)}[/bold].",
    )
    return continent


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """Await ``work``. Return its result and the time in seconds."""
    started = time.perf_counter()
    found = await work
    return found, time.perf_counter() - started


async def show_refusal(page: Page, loader: Loader, continent: Continent) -> None:
    """Read an attribute that the plan does not name, then follow the hint of the error."""
    page.heading("What the plan does not name")
    page.put(python("continent.countries[0].currency"))
    try:
        _ = continent.countries[0].currency
    except NotLoaded as error:
        page.put(error_panel(error))

    page.put("No hidden SQL, no MissingGreenlet. The hint, taken:")
    page.put(
        python(
            "plan = CONTINENT_PAGE.also(load(Continent.countries, load(Country.currency)))\n"
            f'continent = await loader.fetch(plan, "{continent.code}")\n'
            "continent.countries[0].currency"
        )
    )
    plan = CONTINENT_PAGE.also(load(Continent.countries, load(Country.currency)))
    continent = await loader.fetch(plan, continent.code)
    currency = continent.countries[0].currency
    page.put(Text(f"{currency.name} ({currency.code})" if currency else "None", style="bold green"))


async def show_view(page: Page, engine: AsyncEngine, loader: Loader, code: str) -> None:
    """Fetch countries of the continent as cards, and print them with the SQL that loaded them."""
    page.heading("A view: classes of your own, and no entities")
    source = inspect.getsource(cards)
    page.put(python(source[source.index("@attrs.frozen\nclass CountryCard") :]))
    page.put(
        python(
            "cards = await loader.fetch_all(\n"
            f'    COUNTRY_CARD, Country.continent_code == "{code}", order_by=Country.population.desc(), limit={CARDS}\n'
            ")"
        )
    )

    async def fetch() -> list[CountryCard]:
        condition, order = Country.continent_code == code, Country.population.desc()
        return await loader.fetch_all(COUNTRY_CARD, condition, order_by=order, limit=CARDS)

    with watch(engine) as statements:
        found, _ = await timed(fetch())
    page.put(card_table(found))
    _, again = await timed(fetch())
    page.put(
        explanation_tree(loader.explain(COUNTRY_CARD, roots=CARDS)),
        f"{len(statements)} statement and one round trip for all of it; once more it took "
        f"[bold]{milliseconds(again)}[/bold].",
    )
