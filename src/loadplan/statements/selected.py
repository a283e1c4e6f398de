"""Chooses and labels the columns of a statement, and finds the slots that hold them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, literal_column
from sqlalchemy.orm import QueryableAttribute

from loadplan.resolved.tree import Column
from loadplan.statements.linked import AnySelect
from loadplan.statements.statement import Slot

#: The most letters in a label. PostgreSQL keeps 63 bytes of a name.
_LABEL_LETTERS = 40


def selecting(statement: AnySelect, columns: Sequence[Any]) -> AnySelect:
    """Return a statement with other columns. The statement must name its FROM itself, with ``select_from``.

    With ``maintain_column_froms``, the FROM would have a joined table twice: in the join, and separately. A further
    join could not tell which of the two to use.
    """
    return statement.with_only_columns(*columns)


def labelled(columns: Sequence[Any], name: str) -> list[Any]:
    """Return expressions labelled by a name and a number: ``key_0``, ``key_1``."""
    return [column.label(f"{name}_{index}") for index, column in enumerate(columns)]


def named(items: Sequence[tuple[str, Any]], taken: set[str]) -> list[Any]:
    """Return expressions labelled by the names of their attributes. If a name is taken, add a number to it."""
    found: list[Any] = []
    for name, expression in items:
        label, number = shortened(name), 2
        while label in taken:
            label, number = f"{shortened(name)}_{number}", number + 1
        taken.add(label)
        found.append(expression.label(label))
    return found


def slot_name(slot: Slot) -> str:
    """Return the name of the attribute whose value a slot holds."""
    return slot.name if isinstance(slot, Column) else slot.key


def shortened(name: str) -> str:
    """Return a name that fits into a label."""
    return name[:_LABEL_LETTERS] or "rows"


def plain_number(number: int | None) -> Any:
    """Return a number as SQL text. For a parameter, PostgreSQL would plan the statement again in each execution."""
    return literal_column(str(number), Integer)


def slot_of(column: Any, items: Sequence[tuple[Slot, Any]]) -> Slot | None:
    """Return the slot that already holds a column, so that the statement selects it once; None if no slot does."""
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
