"""Some routes of the atlas on Litestar, with the schemas, plans, tenants, repositories and problems of the FastAPI app.

Only three things depend on the framework: how you declare a dependency, how a cursor comes from the URL, and
where you answer an error.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, cast

from litestar import Litestar, Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from litestar.response import Stream

from fastapi_atlas.problems import MEDIA_TYPE, problem_of
from fastapi_atlas.repositories import Cities, Countries, Languages
from fastapi_atlas.schemas import CityRow, CountryCard, CountryPage, LanguageOut, PageOut
from fastapi_atlas.service import Access, Service, Settings, open_service
from loadplan import LoadPlanError

ApiKey = Annotated[str | None, HeaderParameter(name="X-Api-Key")]
Size = Annotated[int, QueryParameter(ge=1, le=100)]


async def access(request: Request[Any, Any, Any], api_key: ApiKey = None) -> Access:
    """Return the loaders and sessions that the request's API key may use. Routes get a loader only from here."""
    found = cast("Service", request.app.state.service).access(api_key)
    if found is None:
        raise NotAuthorizedException("no such API key")
    return found


async def countries(access: NamedDependency[Access]) -> Countries:
    """Return a repository of the countries that the request may see."""
    return Countries(access.loader)


async def languages(access: NamedDependency[Access]) -> Languages:
    """Return a repository of languages, with the countries that the request may see."""
    return Languages(access.loader)


async def cities(access: NamedDependency[Access]) -> Cities:
    """Return a repository of the cities that the request may see."""
    return Cities(access.bounded)


@get("/countries")
async def list_countries(
    countries: NamedDependency[Countries],
    size: Size = 20,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
) -> PageOut[CountryCard]:
    """Answer with a page of views, and the cursors of the next and the previous page."""
    return PageOut.of(await countries.page(size, after, before))


@get("/countries/{iso:str}")
async def show_country(iso: FromPath[str], countries: NamedDependency[Countries]) -> CountryPage:
    """Answer with a view of everything about a country."""
    return await countries.get(iso)


@get("/languages/{code:str}")
async def show_language(code: FromPath[str], languages: NamedDependency[Languages]) -> LanguageOut:
    """Answer with a model that reads an entity. Litestar has no ``response_model``, so the route calls the model."""
    return LanguageOut.model_validate(await languages.get(code))


@get("/cities.ndjson")
async def export_cities(country: FromQuery[str], cities: NamedDependency[Cities]) -> Stream:
    """Answer with a line for each city. The first row is fetched before the answer begins."""
    rows = cities.export(country)
    first = await anext(rows, None)
    return Stream(_lines(first, rows), media_type="application/x-ndjson")


async def _lines(first: CityRow | None, rows: AsyncGenerator[CityRow, None]) -> AsyncIterator[str]:
    async with aclosing(rows):
        if first is not None:
            yield first.model_dump_json() + "\n"
        async for row in rows:
            yield row.model_dump_json() + "\n"


def answer(_request: Request[Any, Any, Any], error: LoadPlanError) -> Response[Any]:
    """Answer an error of a fetch."""
    problem = problem_of(error)
    return Response(problem, status_code=problem["status"], media_type=MEDIA_TYPE)


def create_app(settings: Settings) -> Litestar:
    """Return the application. It opens nothing before it starts. If a plan is wrong, it does not start."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_service(settings) as service:
            app.state.service = service
            yield

    return Litestar(
        [list_countries, show_country, show_language, export_cities],
        dependencies={each.__name__: Provide(each) for each in (access, countries, languages, cities)},
        exception_handlers={LoadPlanError: answer},
        lifespan=[lifespan],
    )
