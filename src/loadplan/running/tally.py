"""The rows and statements that a fetch has taken so far, and may take."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from loadplan.declared.spec import Plan
from loadplan.errors import OverBudget, OverBudgetWarning, Problem, TooManyRows
from loadplan.running.callers import warn_caller

Rows = TypeVar("Rows", bound=Sequence[Any])

_log = logging.getLogger("loadplan")


@attrs.frozen
class FetchRecord:
    """The record of one fetch, for ``on_fetch=``.

    Attributes:
        plan: name of the plan.
        statements: number of statements that were sent.
        rows: number of rows of all statements. Rows that come nested in the row of their parent count as one row with
            it.
        seconds: time from the call to its end, with the wait for a connection.
        error: the error that it raised, or None.
        over: what exceeded the budget of the plan: ``("120 rows instead of 100",)``.
    """

    plan: str
    statements: int
    rows: int
    seconds: float
    error: BaseException | None = None
    over: tuple[str, ...] = ()


#: Tools that see every fetch while they watch: its ``LoadPlan``, and the bind of the loader.
watchers: list[Callable[[Any, object], object]] = []


@attrs.define(eq=False)
class Tally:
    """Counts the statements and rows of one fetch, and stops it if there are too many rows.

    Attributes:
        label: of the plan, for errors.
        max_rows: the most rows; None for no bound.
        statements: number of statements so far.
        rows: number of rows so far.
        current: the name of the edge that the running statement loads.
    """

    label: str
    max_rows: int | None = None
    statements: int = 0
    rows: int = 0
    current: str = ""
    _before: int = 0

    def bounded(self, select: Any) -> Any:
        """Limit a statement to the rows that are left, and one more, which tells whether there are too many."""
        return select if self.max_rows is None else select.limit(self.max_rows - (self.rows - self._before) + 1)

    def allows(self, rows: int | None) -> bool:
        """Tell whether so many rows may come in any case."""
        return self.max_rows is None or (rows is not None and rows <= self.max_rows)

    def sent(self, name: str) -> None:
        """Note a statement, with the name of the edge that it loads."""
        self.statements += 1
        self.current = name

    def counted(self, rows: Rows, name: str) -> Rows:
        """Return rows that arrived, if they are not too many.

        Args:
            rows: the rows of one statement.
            name: the edge that they belong to.

        Raises:
            TooManyRows: LP406.
        """
        self.rows += len(rows)
        if self.max_rows is not None and self.rows - self._before > self.max_rows:
            raise TooManyRows(
                Problem(
                    "LP406",
                    f"the fetch returns more than {self.max_rows} rows",
                    (self.label, name),
                    detail=f"the rows of '{name}' exceed max_rows={self.max_rows}.",
                    hint="fetch fewer roots, give the collection a limit=, use stream(), or raise max_rows.",
                )
            )
        return rows

    def start_over(self) -> None:
        """Count rows from zero again, for the next batch of a stream."""
        self._before = self.rows


@contextlib.contextmanager
def told(
    plan: Plan[Any],
    bind: object,
    max_rows: int | None,
    on_fetch: Callable[[FetchRecord], object] | None,
    *,
    whole: bool = True,
) -> Iterator[Tally]:
    """Count the rows and statements of a fetch; compare them with its budget and report them at its end.

    Args:
        plan: that is fetched.
        bind: that the loader was made with.
        max_rows: rows that the fetch may bring; None for no bound.
        on_fetch: of the loader.
        whole: whether it is one fetch; a walk in batches has no budget.

    Raises:
        OverBudget: LP420, the budget says ``error=True``.
    """
    tally = Tally(plan.label, max_rows)
    for watch in watchers:
        watch(plan, bind)
    if on_fetch is None and plan.budget is None and not _log.isEnabledFor(logging.DEBUG):
        yield tally
        return
    start = time.perf_counter()
    error: BaseException | None = None
    over: tuple[str, ...] = ()
    try:
        yield tally
        over = tuple(_beyond(plan, tally)) if whole else ()
        if over:
            _over_budget(plan, over)
    except BaseException as raised:
        error = raised
        raise
    finally:
        seconds = time.perf_counter() - start
        _tell(FetchRecord(plan.label, tally.statements, tally.rows, seconds, error, over), on_fetch)


def _beyond(plan: Plan[Any], tally: Tally) -> Iterator[str]:
    for word in ("statements", "rows"):
        allowed = getattr(plan.budget, word, None)
        if allowed is not None and getattr(tally, word) > allowed:
            yield f"{getattr(tally, word)} {word} instead of {allowed}"


def _over_budget(plan: Plan[Any], over: Sequence[str]) -> None:
    problem = Problem(
        "LP420",
        "the fetch took more than its plan's budget",
        (plan.label,),
        detail=f"{', '.join(over)}.",
        hint="narrow the roots, give a collection a limit=, or raise the budget.",
    )
    if plan.budget is not None and plan.budget.error:
        raise OverBudget(problem)
    warn_caller(problem.render(), OverBudgetWarning)


def _tell(record: FetchRecord, on_fetch: Callable[[FetchRecord], object] | None) -> None:
    _log.debug(
        "%s: %d statements, %d rows, %.1f ms%s",
        record.plan,
        record.statements,
        record.rows,
        record.seconds * 1000,
        "" if record.error is None else f", {type(record.error).__name__}",
    )
    if on_fetch is not None:
        try:
            on_fetch(record)
        except Exception:
            _log.exception("on_fetch raised for %s", record.plan)
