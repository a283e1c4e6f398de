"""Spans of fetches and statements, and what an instrumentation does to how a plan is run."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from web_atlas import WORLD, key
from web_server import served

from atlas.models import City, Continent
from atlas.plans import CONTINENT_PAGE
from fastapi_atlas.app import create_app
from fastapi_atlas.service import Settings
from loadplan import FetchRecord, IdentityError, Loader, LoadPlan
from telemetry import FetchSpans, line

ONE_STATEMENT = LoadPlan(Continent, name="a continent")


@attrs.frozen
class Trace:
    """A provider, and the spans that it was given."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> list[ReadableSpan]:
        """All of them, in the order that they ended."""
        return list(self.exporter.get_finished_spans())

    @property
    def fetches(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith("fetch ")]

    @property
    def sql(self) -> list[str]:
        """The first word of each statement that was traced."""
        return [span.name.strip(";") for span in self.spans if not span.name.startswith("fetch ")]


@pytest.fixture
def tracing() -> Trace:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Trace(provider, exporter)


@pytest.fixture
async def web_engine(web_url: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(web_url)
    await Loader(engine).fetch(ONE_STATEMENT, "EU")  # what the first connection asks the server is not ours to count
    yield engine
    await engine.dispose()


@pytest.fixture
def driver_traced(web_engine: AsyncEngine, tracing: Trace) -> Iterator[None]:
    """The driver is traced from now on: what connecting took is not."""
    AsyncPGInstrumentor().instrument(tracer_provider=tracing.provider)
    yield
    AsyncPGInstrumentor().uninstrument()


async def test_a_span_for_a_fetch(web_engine: AsyncEngine, tracing: Trace) -> None:
    """It says what the record says, and lies within the span that it was fetched in."""
    records: list[FetchRecord] = []
    write = FetchSpans(tracing.provider)

    def both(record: FetchRecord) -> None:
        records.append(record)
        write(record)

    with trace.get_tracer("test", tracer_provider=tracing.provider).start_as_current_span("request"):
        await Loader(web_engine, on_fetch=both).fetch(CONTINENT_PAGE, "EU")
    span, request = tracing.spans
    (record,) = records
    assert span.name == "fetch continent page"
    assert span.attributes == {
        "loadplan.plan": "continent page",
        "loadplan.statements": 1,
        "loadplan.rows": record.rows,
    }
    assert record.rows == 1
    assert span.parent == request.context
    assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(record.seconds * 1e9, abs=1_000)
    assert (request.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0) <= (request.end_time or 0)


async def test_an_error_is_on_the_span(web_engine: AsyncEngine, tracing: Trace) -> None:
    with pytest.raises(IdentityError):
        await Loader(web_engine, on_fetch=FetchSpans(tracing.provider)).fetch(ONE_STATEMENT, "\x00")
    (span,) = tracing.spans
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "IdentityError"
    assert [each.name for each in span.events] == ["exception"]


async def test_a_stream_left_early_is_no_error(web_engine: AsyncEngine, tracing: Trace) -> None:
    loader = Loader(web_engine, on_fetch=FetchSpans(tracing.provider))
    walk = loader.stream(LoadPlan(City, name="cities"), batch_size=10)
    await anext(walk)
    assert tracing.spans == []
    await walk.aclose()
    (span,) = tracing.spans
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.attributes
    assert span.attributes["loadplan.rows"] == 10


@pytest.mark.usefixtures("driver_traced")
async def test_the_drivers_spans_are_the_statements(web_engine: AsyncEngine, tracing: Trace) -> None:
    """As many as the fetch says, in its one transaction."""
    await Loader(web_engine, on_fetch=FetchSpans(tracing.provider)).fetch(CONTINENT_PAGE, "EU")
    (fetch,) = tracing.fetches
    assert fetch.attributes
    assert tracing.sql == ["SELECT"]
    assert fetch.attributes["loadplan.statements"] == 1


@pytest.mark.usefixtures("driver_traced")
async def test_the_drivers_instrumentation_leaves_a_single_statement_alone(
    web_engine: AsyncEngine, tracing: Trace
) -> None:
    await Loader(web_engine).fetch(ONE_STATEMENT, "EU")
    assert tracing.sql == ["SELECT"]


@pytest.mark.usefixtures("driver_traced")
async def test_sqlalchemys_instrumentation_costs_a_transaction(web_engine: AsyncEngine, tracing: Trace) -> None:
    """It listens to ``before_cursor_execute``: who does so may rely on the transaction."""
    elsewhere: Any = TracerProvider()
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(engine=web_engine.sync_engine, tracer_provider=elsewhere, skip_dep_check=True)
    try:
        await Loader(web_engine).fetch(ONE_STATEMENT, "EU")
    finally:
        instrumentor.uninstrument()
    assert tracing.sql == ["BEGIN", "SELECT", "ROLLBACK"]


async def test_the_service_tells_of_every_fetch(web_settings: Settings) -> None:
    """``on_fetch`` of the settings reaches both loaders."""
    records: list[FetchRecord] = []
    app = create_app(attrs.evolve(web_settings, on_fetch=records.append))
    async with served(app) as base, httpx.AsyncClient(base_url=base, headers=key(WORLD)) as client:
        for path in ("/countries/FR", "/cities?id=2988507&id=2950159", "/cities.ndjson?country=LU"):
            assert (await client.get(path)).status_code == 200
    assert [(each.plan, each.statements, each.rows) for each in records] == [
        ("country", 1, 1),
        ("cities", 1, 2),
        ("city export", 1, 3),
    ]


async def test_a_line_for_a_span(web_engine: AsyncEngine, tracing: Trace) -> None:
    await Loader(web_engine, on_fetch=FetchSpans(tracing.provider)).fetch(ONE_STATEMENT, "EU")
    assert line(tracing.spans[0]).split(" ms  ")[1].split() == ["fetch", "a", "continent", "statements=1", "rows=1"]
