"""Makes the objects of a result, each as soon as the rows that it needs are there."""

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from loadplan.objects.hydrator import Hydrator
from loadplan.running.compiled import CompiledPlan
from loadplan.running.garbage import uncollected
from loadplan.running.rows import Rows

T = TypeVar("T")

#: The most rows that become objects while a statement is on its way. The timeouts of the statement go on meanwhile.
AT_A_TIME = 20_000

#: For each execution, the list of instances that it made. Each instance is in its list once.
Kept: TypeAlias = list[list[Any]]


class Making(Generic[T]):
    """The rows of one execution, and the objects that are made from them.

    Mapped instances are made from the roots down, because later rows are added to the instances of earlier rows. A view
    needs its children first, so views are made from the leaves up.

    Args:
        plan: the plan of the execution.
        hydrator: returns the functions that make objects from rows.
        roots: the rows of the roots.

    Attributes:
        rows: by the number of a statement, its rows, as long as they are needed.
    """

    def __init__(self, plan: CompiledPlan[T], hydrator: Callable[[Rows], Hydrator], roots: Rows) -> None:
        self.rows = {0: roots}
        self._plan = plan
        self._hydrator = hydrator
        self._statements = 1 + len(plan.later)
        self._made: dict[int, Any] = {}
        self._arrived = 0
        self._first: Hydrator | None = None
        self._shared: Any = self._made  # all functions share it: the views, or a ``Grown`` of entities

    def add(self, number: int, rows: Rows) -> None:
        """Take the rows of the next statement."""
        self.rows[number] = rows
        self._arrived = number

    @property
    def is_ready(self) -> bool:
        """True if there are rows from which objects can be made now, but not too many."""
        waiting = sum(len(each.rows) for number, each in self.rows.items() if number not in self._made)
        return waiting <= AT_A_TIME and self._next() is not None

    def proceed(self) -> None:
        """Make the objects that can be made now. The keys of the next statement must have been taken."""
        with uncollected():
            self._proceed()

    def finish(self, session: Any, kept: Kept | None) -> list[T]:
        """Make the remaining objects, and complete the mapped instances.

        Args:
            session: the session of the execution. It may have listeners for loaded instances.
            kept: a list that gets the instances. The caller then completes them.

        Returns:
            Each root once, in the order of the rows.
        """
        with uncollected():
            self._proceed()
            if self._first is not None:
                if kept is None:
                    self._first.complete(self._shared, session)
                else:
                    kept.append(self._first.made(self._shared, session))
        roots: list[T] = self._made[0]
        return roots

    def _proceed(self) -> None:
        if self._first is None and self._plan.tree.of_entities:
            self._first = self._hydrator(self.rows[0])
            self._shared = self._first.start(self._statements)
        while (number := self._next()) is not None:
            rows = self.rows[number]
            self._made[number] = self._hydrator(rows).build[number](rows.rows, self._shared)
            if self._statements > 1:
                self._forget()

    def _next(self) -> int | None:
        """Return the number of the next statement whose objects can be made now; None if there is none."""
        if self._plan.tree.of_entities:
            number = len(self._made)
            return number if number <= self._arrived else None
        above = self._plan.above
        waiting = {above[each] for each in range(1, self._statements) if each not in self._made}
        ready = (each for each in range(self._arrived, -1, -1) if each not in self._made and each not in waiting)
        return next(ready, None)

    def _forget(self) -> None:
        """Drop rows that are objects already, unless a later statement still takes its keys from them."""
        above = self._plan.above
        needed = {above[each] for each in range(self._arrived + 2, self._statements)}
        for number in self.rows.keys() & self._made.keys() - needed:
            del self.rows[number]
