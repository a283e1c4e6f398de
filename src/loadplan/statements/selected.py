"""Columns of a statement: which it selects, by which names, and the slots that hold them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, literal_column
from sqlalchemy.orm import QueryableAttribute

from loadplan.resolved.tree import Column
from loadplan.statements.linked import AnySelect
from loadplan.statements.statement import Slot

#: Letters of a label. PostgreSQL takes 63 bytes of a name.
_LABEL_LETTERS = 40


def selecting(statement: AnySelect, columns: Sequence[Any]) -> AnySelect:
    """Return a statement that selects these columns from where it selected others; it names where that is.

    ``maintain_column_froms`` would name a joined table again beside the join, and a further join could not tell which
    of the two it goes on from.
    """
    return statement.with_only_columns(*columns)


def labelled(columns: Sequence[Any], name: str) -> list[Any]:
    """Return expressions labelled by a name and their number."""
    return [column.label(f"{name}_{index}") for index, column in enumerate(columns)]


def named(items: Sequence[tuple[str, Any]], taken: set[str]) -> list[Any]:
    """Return expressions labelled by names that a reader of the SQL knows, each name once."""
    found: list[Any] = []
    for name, expression in items:
        label, number = shortened(name), 2
        while label in taken:
            label, number = f"{shortened(name)}_{number}", number + 1
        taken.add(label)
        found.append(expression.label(label))
    return found


def slot_name(slot: Slot) -> str:
    """Return the name of the attribute that a slot is for."""
    return slot.name if isinstance(slot, Column) else slot.key


def shortened(name: str) -> str:
    """Return a name that fits into a label."""
    return name[:_LABEL_LETTERS] or "rows"


def plain_number(number: int | None) -> Any:
    """Return a number as SQL text. With a parameter, PostgreSQL would plan again in each execution."""
    return literal_column(str(number), Integer)


def slot_of(column: Any, items: Sequence[tuple[Slot, Any]]) -> Slot | None:
    """Return the slot that holds an attribute of the class that is selected, so that it need not come twice."""
    if not isinstance(column, QueryableAttribute):
        return None
    return next(
        (
            slot
            for slot, value in items
            if isinstance(value, QueryableAttribute) and value.key == column.key and value.parent is column.parent
        ),
        None,
    )
