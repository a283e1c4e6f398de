"""Finds the row of each id by asking the database, because only the database knows when two keys are equal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, and_, bindparam, case, func, or_, select, types

from loadplan.statements.keys import Keys

#: The most ids in one statement, if the database has no arrays: each id takes its own column.
PARTS = 200

Reader: TypeAlias = Callable[[Iterable[Any]], Iterator[tuple[Any, ...]]]
"""A function that yields two values for each row of a statement: the id that the row answers, and the row's mark."""


def is_exact(kinds: Sequence[types.TypeEngine[Any]]) -> bool:
    """Tell whether keys of these types are equal in the database if and only if they are equal in Python.

    This is true for whole numbers and UUIDs. It is not true for text: a collation, trailing blanks or citext may make
    different texts equal, and the mapping does not always show that. A custom type may change every value that it
    binds.
    """
    return all(
        type(kind).__module__.startswith("sqlalchemy.")
        and (isinstance(kind, types.Integer) or (isinstance(kind, types.Uuid) and bool(kind.as_uuid)))
        for kind in kinds
    )


def asking(
    keys: Keys, told: Sequence[Any], identities: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, dict[str, Any], Reader]]:
    """Yield the statements that find the rows of ids, each with its parameters and a reader of its rows.

    Each statement is a plain ``select()`` of the entity, so the listeners of a session can handle it as usual.

    Args:
        keys: the columns of the primary key, and how a statement binds them.
        told: the expressions by which Python compares rows: the same columns, or replacements for them.
        identities: the ids: values for these columns.
    """
    columns = keys.columns
    if keys.as_arrays:
        names = [f"key_{index}" for index in range(len(columns))]
        arrays = [
            bindparam(f"loadplan_asked_{name}", type_=ARRAY(item)) for name, item in zip(names, keys.items, strict=True)
        ]
        asked = func.unnest(*arrays).table_valued(*names, with_ordinality="place").render_derived(name="loadplan_asked")
        same = [column == asked.c[name] for column, name in zip(columns, names, strict=True)]
        values = {
            f"loadplan_asked_{name}": list(each)
            for name, each in zip(names, zip(*identities, strict=True), strict=True)
        }
        yield select(*told, asked.c.place - 1).where(*same), values, _by_place
        return
    for start in range(0, len(identities), PARTS):
        conditions = []
        values = {}
        for place, identity in enumerate(identities[start : start + PARTS], start):
            bound = [bindparam(f"loadplan_asked_{place}_{index}", type_=item) for index, item in enumerate(keys.items)]
            conditions.append(and_(*(column == each for column, each in zip(columns, bound, strict=True))))
            values |= {each.key: value for each, value in zip(bound, identity, strict=True)}
        answers = [case((each, 1), else_=0).label(f"loadplan_{place}") for place, each in enumerate(conditions)]
        yield select(*told, *answers).where(or_(*conditions)), values, partial(_by_flags, len(columns), start)


def _by_place(rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for *identity, place in rows:
        yield place, *identity


def _by_flags(width: int, start: int, rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for place, is_same in enumerate(row[width:], start):
            if is_same:
                yield place, *row[:width]
