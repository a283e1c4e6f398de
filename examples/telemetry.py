"""Traces fetches with OpenTelemetry: ``uv run python examples/telemetry.py`` prints a trace.

It has two sources, and you can use each without the other. ``on_fetch=`` reports each fetch: plan, statements, rows,
time. The instrumentation of asyncpg reports each statement. It works below SQLAlchemy, so it does not change how
loadplan runs a plan. The instrumentation of SQLAlchemy would: it listens to ``before_cursor_execute`` of the engine. A
listener there may set something for the transaction. So loadplan also puts a single statement into a transaction, which
takes two more round trips: BEGIN and ROLLBACK.
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
    """Writes a span for each fetch, below the current span. Pass it as ``Loader(on_fetch=...)``.

    loadplan reports a fetch when it ends. So the span of a fetch appears next to the spans of its statements, not as
    their parent.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("loadplan", tracer_provider=provider)

    def __call__(self, record: FetchRecord) -> None:
        """Write the span of a fetch that has ended."""
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
        if isinstance(record.error, Exception):  # a cancelled task, or a stream that is left early, is not an error
            span.record_exception(record.error, timestamp=end)
            span.set_status(StatusCode.ERROR, type(record.error).__name__)
        span.end(end)


async def main() -> None:
    """Fetch as a request would, and print the trace."""
    from atlas.database import ensure_atlas
    from atlas.tour import database_url

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    engine = create_async_engine(database_url())
    await ensure_atlas(engine)
    await a_request(Loader(engine))  # connects and compiles, without a trace
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
    """Return a span as one line of text."""
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    facts = {name.removeprefix("loadplan."): value for name, value in (span.attributes or {}).items()}
    shown = " ".join(f"{name}={facts[name]}" for name in ("statements", "rows") if name in facts)
    sql = " ".join(str(facts.get("db.statement", "")).split())
    return f"{milliseconds:7.1f} ms  {span.name:<22} {shown or sql:.70}{os.linesep}"


if __name__ == "__main__":
    asyncio.run(main())
