"""Runs a compiled plan and returns its roots: in order, with further columns, or by primary key."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.orm.attributes import instance_state

from loadplan.errors import MultipleFound
from loadplan.mapped.decoding import processor
from loadplan.mapped.repeats import row_key
from loadplan.mapped.telling import has_hash
from loadplan.running import call_problems
from loadplan.running.compiled import CompiledPlan
from loadplan.running.execution import Execution
from loadplan.running.making import Kept
from loadplan.running.own_connection import Opened
from loadplan.running.root_keys import RootKeys
from loadplan.running.rows import Rows
from loadplan.running.tally import Tally
from loadplan.statements.linked import Parameters

T = TypeVar("T")


def load_roots(
    plan: CompiledPlan[T],
    session: Opened,
    executions: Sequence[Parameters],
    tally: Tally,
    limit: int | None = None,
    kept: Kept | None = None,
) -> list[T]:
    """Load the roots and everything below them.

    Args:
        plan: the compiled plan, narrowed to the roots.
        session: the private session of this call.
        executions: the parameters of each execution of the root statement, with the parameters of the plan's
            conditions.
        tally: counts rows and statements.
        limit: the limit of the root statement. loadplan adds no other limit if this one is below ``max_rows``.
        kept: for entities, a list that gets the instances of each execution. The caller then completes them.

    Returns:
        The objects in the order of their rows. This takes one statement for the roots, and one for each of ``later``
        that has parents. If keys go in chunks, it takes more.

    Raises:
        TooManyRows: LP406, the fetch has more than ``max_rows`` rows.
        RelatedNotFound: LP410, a required row is missing.
        ViewError: LP411 or LP412, a view class raised an error for its row, or the rows form a cycle.
    """
    is_bounded = tally.allows(limit)
    found: list[T] = []
    for parameters in executions:
        run = Execution(session, plan, parameters, tally, kept)
        rows = run.rows(plan.root, parameters, is_bounded=is_bounded)
        found += run.build(rows)
    return found


def load_roots_beside(
    plan: CompiledPlan[T],
    session: Opened,
    executions: Sequence[Parameters],
    columns: Sequence[Any],
    tally: Tally,
    keep: int | None = None,
    kept: Kept | None = None,
) -> tuple[list[T], list[tuple[Any, ...]]]:
    """Load roots, and select further columns of them.

    Args:
        plan: the compiled plan, narrowed to the roots.
        session: the private session of this call.
        executions: the parameters of each execution of the root statement.
        columns: further columns of the root.
        tally: counts rows and statements.
        keep: the number of roots that become objects; by default, all.
        kept: see :func:`load_roots`.

    Returns:
        The objects, and the values of ``columns`` for each root, also for roots that did not become objects.
    """
    width = len(plan.root.slots)
    kinds = [column.type for column in columns]
    statement = plan.root_with(columns)
    roots: list[T] = []
    beside: list[tuple[Any, ...]] = []
    for parameters in executions:
        run = Execution(session, plan, parameters, tally, kept)
        rows = run.rows(statement, parameters, is_bounded=keep is not None)
        firsts, used = _first_rows(plan, rows.rows, keep)
        values = [tuple(row[width:]) for row in firsts]
        beside += _processed(values, kinds, rows.dialect) if rows.raw else values
        roots += run.build(Rows([tuple(row[:width]) for row in used], rows.raw, rows.dialect))
    return roots, beside


def _first_rows(plan: CompiledPlan[Any], rows: Sequence[Any], keep: int | None) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the first row of each root, and all rows of the first ``keep`` roots."""
    if not (plan.tree.of_entities or plan.root.identity):  # each root has one row
        return rows, rows[:keep]
    key = plan.root_key
    found: dict[Any, Any] = {}
    for row in rows:
        found.setdefault(key(row), row)
    if len(found) == len(rows):
        return rows, rows[:keep]
    wanted = set(list(found)[:keep])
    return list(found.values()), [row for row in rows if key(row) in wanted]


def load_by_identity(
    plan: CompiledPlan[T],
    session: Opened,
    executions: Sequence[Parameters],
    keys: RootKeys,
    tally: Tally,
    kept: Kept | None = None,
    *,
    with_class: bool = False,
) -> tuple[dict[tuple[Any, ...], T], dict[tuple[Any, ...], T]]:
    """Load roots. Return them by the values of their primary keys that have a hash, and by the marks of their rows.

    Args:
        plan: the compiled plan, narrowed to the keys.
        session: the private session of this call.
        executions: the parameters of each execution of the root statement.
        keys: the columns of the key.
        tally: counts rows and statements.
        kept: see :func:`load_roots`.
        with_class: whether the class of an entity is a part of its key. Concrete classes may share keys.

    Raises:
        MultipleFound: LP403, concrete classes share a key, and the key has no class.
    """
    width = len(keys.columns)
    roots, rows = load_roots_beside(plan, session, executions, keys.selected, tally, kept=kept)
    marks = [keys.mark_of(each) for each in rows]
    if with_class:
        marks = [(identity_class(root), *mark) for root, mark in zip(roots, marks, strict=True)]
    elif has_concrete_classes(plan):
        for mark, count in Counter(marks).items():
            if count > 1:
                identity = rows[marks.index(mark)][:width]
                name = plan.mapper.class_.__name__
                given = identity if width > 1 else identity[0]
                raise MultipleFound(call_problems.several_have_key(plan.tree.label, name, given))
    by_mark = dict(zip(marks, roots, strict=True))
    if keys.by_value:
        return by_mark, by_mark
    pairs = (
        ((identity_class(root), *row[:width]) if with_class else row[:width], root)
        for row, root in zip(rows, roots, strict=True)
    )
    return {identity: root for identity, root in pairs if has_hash(identity)}, by_mark


def has_concrete_classes(plan: CompiledPlan[Any]) -> bool:
    """Tell whether the class of the roots has concrete classes, whose tables may use the same key."""
    return len(row_key(plan.tree.root.entity)) > len(plan.mapper.primary_key)


def identity_class(entity: Any) -> Any:
    """Return the class with which the identity of an object begins."""
    state: Any = instance_state(entity)
    return state.key[0]


def _processed(rows: Sequence[tuple[Any, ...]], kinds: Sequence[Any], dialect: Dialect) -> Sequence[tuple[Any, ...]]:
    """Return rows of the driver's values as values of their types."""
    processors = [processor(kind, dialect) for kind in kinds]
    if all(process is None for process in processors):
        return rows
    return [
        tuple(value if process is None else process(value) for value, process in zip(row, processors, strict=True))
        for row in rows
    ]
