"""Which row answers which id: the database says it, because only the database knows when two keys are equal."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ARRAY, bindparam, func, literal_column, select, types, union_all

#: Ids in one statement where the database has no arrays. SQLite takes 500 parts of one UNION at most.
PARTS = 200


def is_exact(kinds: Sequence[types.TypeEngine[Any]]) -> bool:
    """Tell whether keys of these types are equal in the database exactly where they are equal in Python.

    Whole numbers and UUIDs are. Text is not: its collation, trailing blanks or citext may make different texts equal,
    and the mapping does not always know of it. A type that you wrote may change every value that it binds.
    """
    return all(
        type(kind).__module__.startswith("sqlalchemy.")
        and (isinstance(kind, types.Integer) or (isinstance(kind, types.Uuid) and bool(kind.as_uuid)))
        for kind in kinds
    )


def asking(
    columns: Sequence[Any], identities: Sequence[tuple[Any, ...]], *, as_arrays: bool
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the statements that ask which rows answer ids, each with its parameters.

    Args:
        columns: of the primary key.
        identities: values for these columns, as somebody asked for them.
        as_arrays: whether the database takes arrays of these columns' types.

    Returns:
        Rows of the id's place among ``identities``, then the primary key as the row has it.
    """
    if as_arrays:
        names = [f"key_{index}" for index in range(len(columns))]
        arrays = [
            bindparam(f"loadplan_asked_{name}", type_=ARRAY(column.type))
            for name, column in zip(names, columns, strict=True)
        ]
        asked = func.unnest(*arrays).table_valued(*names, with_ordinality="place").render_derived(name="loadplan_asked")
        same = [column == asked.c[name] for column, name in zip(columns, names, strict=True)]
        values = {
            f"loadplan_asked_{name}": list(each)
            for name, each in zip(names, zip(*identities, strict=True), strict=True)
        }
        yield select(asked.c.place - 1, *columns).where(*same), values
        return
    for start in range(0, len(identities), PARTS):
        parts = []
        values = {}
        for place, identity in enumerate(identities[start : start + PARTS], start):
            bound = [
                bindparam(f"loadplan_asked_{place}_{index}", type_=each.type) for index, each in enumerate(columns)
            ]
            same = [column == each for column, each in zip(columns, bound, strict=True)]
            parts.append(select(literal_column(str(place)), *columns).where(*same))
            values |= {each.key: value for each, value in zip(bound, identity, strict=True)}
        yield union_all(*parts) if len(parts) > 1 else parts[0], values
