"""One table of 60 columns, of which five are used."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Column, Integer, MetaData, Select, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped

from benchmarks.measure import ensure_filled
from benchmarks.view_cases.case import Case, Rows
from loadplan import LoadPlan

COLUMNS = 60


class Base(DeclarativeBase):
    """Of this graph's table."""

    metadata = MetaData()


class Record(Base):
    """The root, and nothing else: a key, 29 numbers and 30 texts."""

    __table__ = Table(
        "bench_view_record",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        *(
            Column(f"value_{at}", Integer if at % 2 else Text, nullable=False)  # 59 of them
            for at in range(2, COLUMNS + 1)
        ),
    )

    id: Mapped[int]
    value_2: Mapped[str]
    value_3: Mapped[int]
    value_30: Mapped[str]
    value_59: Mapped[int]


@attrs.frozen
class RecordView:
    """Five columns."""

    id: int
    value_2: str
    value_3: int
    value_30: str
    value_59: int


async def fill(engine: AsyncEngine, records: int) -> None:
    """Make the table and its rows, unless they are there."""
    values = ", ".join(f"i % {at}" if at % 2 else f"'text ' || i % {at}" for at in range(2, COLUMNS + 1))
    inserts = [f"INSERT INTO bench_view_record SELECT i, {values} FROM generate_series(1, {records}) i"]
    await ensure_filled(engine, Base.metadata, "bench_view_record", f"{records} records", inserts)


def options() -> Select[Any]:
    """What a repository writes: whole objects."""
    return select(Record)


def view(record: Record) -> RecordView:
    """Return the view of a mapped object."""
    return RecordView(record.id, record.value_2, record.value_3, record.value_30, record.value_59)


def build(rows: Rows) -> list[RecordView]:
    """Return views of rows."""
    return [RecordView(*row) for row in rows]


def build_levels(arrived: Sequence[Rows]) -> list[RecordView]:
    """Return views of the rows of the only statement."""
    return build(arrived[0])


STATEMENT = "SELECT r.id, r.value_2, r.value_3, r.value_30, r.value_59 FROM bench_view_record r {roots}"

CASE = Case(
    name="wide",
    roots=(1, 50, 1_000, 10_000),
    fill=fill,
    key=Record.id,
    sql_key="r.id",
    one=7,
    plan=LoadPlan(Record, into=RecordView),
    entities=LoadPlan(Record, name="wide"),
    options=options,
    view=view,
    statement=STATEMENT,
    build=build,
    root_statement=STATEMENT,
    levels=(),
    build_levels=build_levels,
)
