"""Reads the roots of a compiled plan in batches, with a server-side cursor."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Session

from loadplan.errors import PlanError
from loadplan.resolved.tree import Edge, Place
from loadplan.running import call_problems
from loadplan.running.compiled import CompiledPlan
from loadplan.running.execution import Execution, ask
from loadplan.running.rows import Rows
from loadplan.running.tally import Tally
from loadplan.running.watching import note, watch_of
from loadplan.sqlalchemy_internals import changes_statements
from loadplan.statements.linked import Parameters

T = TypeVar("T")


def batches_of(plan: CompiledPlan[T], parameters: Parameters, size: int, tally: Tally) -> "Batches[T]":
    """Return a reader of the roots in batches. It needs the memory of one batch.

    Raises:
        PlanError: LP216, the plan joins a collection to the root, so a batch could end in the middle of a root.
    """
    joined = next(_joined_collections(plan.tree.root), None) if plan.tree.of_entities else None
    if joined is not None:
        raise PlanError([call_problems.joined_in_stream(plan.tree.label, joined)])
    return Batches(plan, parameters, size, tally)


def _joined_collections(place: Place) -> Iterator[Edge]:
    """Yield the collections that a plan joins to a place, directly or through other joins."""
    for edge in place.edges:
        if edge.cardinality.to_one and edge.asked not in {"selectin", "subquery"}:
            yield from _joined_collections(edge.target)
        elif edge.asked in {"joined", "inner"}:
            yield edge


class Batches(Generic[T]):
    """Reads roots in batches.

    Args:
        plan: the compiled plan, narrowed to the roots.
        parameters: the parameters of its statements.
        size: the number of roots in a batch.
        tally: counts rows and statements. Each batch may have ``max_rows`` rows.
    """

    def __init__(self, plan: CompiledPlan[T], parameters: Parameters, size: int, tally: Tally) -> None:
        self._plan = plan
        self._parameters = parameters
        self._size = size
        self._tally = tally
        self._parts: Iterator[Sequence[Any]] | None = None
        self._result: Any = None
        self._last: Any = None

    def close(self, session: Session) -> None:
        """Stop reading, and close the cursor."""
        if self._result is not None:
            self._result.close()

    def next_batch(self, session: Session) -> list[T]:
        """Return the next roots; an empty list at the end."""
        if self._parts is None:
            most = self._tally.max_rows
            bound = self._size if most is None else min(self._size, most + 1)
            self._tally.sent(self._plan.root.name)
            options = {"stream_results": True, "max_row_buffer": bound}
            watch = watch_of(session) if self._plan.tree.of_entities and changes_statements(session) else None
            if watch is not None:
                event.listen(session, "do_orm_execute", note)
            self._result = ask(session, watch, self._plan.root.select, self._parameters, options)
            self._parts = iter(self._result.partitions(bound))
        for part in self._parts:
            rows = self._without_last(part) if self._plan.root.identity else part
            self._tally.start_over()
            run = Execution(session, self._plan, self._parameters, self._tally)
            if found := run.build(run.counted(Rows(rows, False, run.dialect), self._plan.root)):
                return found
        return []

    def _without_last(self, part: Sequence[Any]) -> Sequence[Any]:
        """Return rows without the rows of the last root in the previous batch."""
        key, last = self._plan.root_key, self._last
        self._last = key(part[-1])
        return [row for row in part if key(row) != last]
