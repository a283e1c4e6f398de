"""Wide rows: five columns of 60."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
from sqlalchemy.orm import load_only
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, nested
from benchmarks.shop import Sheet
from loadplan import LoadPlan

COLUMNS = ("id", "text_01", "count_02", "amount_03", "day_05")


@attrs.frozen
class SheetView:
    """Five columns."""

    id: int
    text_01: str | None
    count_02: int | None
    amount_03: Decimal | None
    day_05: dt.date | None


def read(sheet: Any, _many: Many) -> Any:
    """Return the five values."""
    return sheet.id, sheet.text_01, sheet.count_02, sheet.amount_03, sheet.day_05


def options() -> Sequence[ExecutableOption]:
    """Leave 55 columns out."""
    return (load_only(*(getattr(Sheet, name) for name in COLUMNS)),)


GRAPH = Graph(
    name="sheets",
    entity=Sheet,
    key=Sheet.id,
    read=read,
    plan=LoadPlan(Sheet, only=[getattr(Sheet, name) for name in COLUMNS], name="five of sixty"),
    views=LoadPlan(Sheet, into=SheetView),
    options=options,
    by_hand={
        "one statement": nested(
            f"SELECT s.{', s.'.join(COLUMNS)} FROM shop_sheet s {{roots}}",
            "s.id",
            lambda rows: [SheetView(*row) for row in rows],
        ),
    },
)

CASES = (Case("wide", "{:,} rows, five columns of 60", GRAPH, 1_000),)
