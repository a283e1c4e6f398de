"""Traces of what loadplan does, with OpenTelemetry: ``uv run python examples/telemetry.py`` prints one.

Two sources, each of use without the other. ``on_fetch=`` tells of each fetch: plan, statements, rows, time. The
instrumentation of asyncpg tells of each statement; it stands below SQLAlchemy, so it changes nothing of how a plan is
run. That of SQLAlchemy listens to ``before_cursor_execute`` of the engine. A listener there may have set something for
the transaction, so that loadplan then puts one around a single statement too: BEGIN and ROLLBACK, two round trips more.
"""

import asyncio
import os
import time

from opentelemetry import trace
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import StatusCode
from sqlalchemy.ext.asyncio import create_async_engine

from loadplan import FetchRecord, Loader


class FetchSpans:
    """For ``Loader(on_fetch=...)``: a span for each fetch, below the span that is current.

    A fetch is told of at its end. So its span lies beside those of its statements, around them in time, and is not
    their parent.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("loadplan", tracer_provider=provider)

    def __call__(self, record: FetchRecord) -> None:
        """Write the span of a fetch that is over."""
        end = time.time_ns()
        span = self._tracer.start_span(
            f"fetch {record.plan}",
            start_time=end - int(record.seconds * 1e9),
            attributes={
                "loadplan.plan": record.plan,
                "loadplan.statements": record.statements,
                "loadplan.rows": record.rows,
            },
        )
        if isinstance(record.error, Exception):  # a cancelled task, or a stream left early, is no error
            span.record_exception(record.error, timestamp=end)
            span.set_status(StatusCode.ERROR, type(record.error).__name__)
        span.end(end)


async def main() -> None:
    """Trace a request."""
    from atlas.database import ensure_atlas
    from atlas.tour import database_url

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    engine = create_async_engine(database_url())
    await ensure_atlas(engine)
    await a_request(Loader(engine))  # connects and compiles, untraced
    AsyncPGInstrumentor().instrument(tracer_provider=provider)
    with trace.get_tracer("example", tracer_provider=provider).start_as_current_span("a request"):
        await a_request(Loader(engine, on_fetch=FetchSpans(provider)))
    AsyncPGInstrumentor().uninstrument()
    await engine.dispose()


async def a_request(loader: Loader) -> None:
    """Fetch entities in several statements, and views in one."""
    from atlas.plans import CONTINENT_PAGE
    from fastapi_atlas.plans import COUNTRY

    await loader.fetch(CONTINENT_PAGE, "EU")
    await loader.fetch(COUNTRY, "FR")


def line(span: ReadableSpan) -> str:
    """Return a span as one line."""
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    facts = {name.removeprefix("loadplan."): value for name, value in (span.attributes or {}).items()}
    shown = " ".join(f"{name}={facts[name]}" for name in ("statements", "rows") if name in facts)
    sql = " ".join(str(facts.get("db.statement", "")).split())
    return f"{milliseconds:7.1f} ms  {span.name:<22} {shown or sql:.70}{os.linesep}"


if __name__ == "__main__":
    asyncio.run(main())
