"""Counts the rows and statements of a fetch, and compares them with the limits."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy.exc import InvalidRequestError

from loadplan.declared.spec import Plan
from loadplan.errors import OverBudget, OverBudgetWarning, Problem, TooManyRows
from loadplan.running.callers import warn_caller
from loadplan.running.refusals import unusable

Rows = TypeVar("Rows", bound=Sequence[Any])

_log = logging.getLogger("loadplan")


@attrs.frozen
class FetchRecord:
    """The record of one fetch, for ``on_fetch=``.

    Attributes:
        plan: the name of the plan.
        statements: the number of statements that were sent.
        rows: the number of rows of all statements. A row and the rows nested in it count as one.
        seconds: the time from the call to its end, including the wait for a connection.
        error: the error that the fetch raised, or None.
        over: the numbers that exceeded the budget of the plan: ``("120 rows instead of 100",)``.
    """

    plan: str
    statements: int
    rows: int
    seconds: float
    error: BaseException | None = None
    over: tuple[str, ...] = ()


#: Functions of tools. While a tool watches, its function is called with the plan and the bind of every fetch.
watchers: list[Callable[[Any, object], object]] = []


@attrs.define(eq=False)
class Tally:
    """Counts the statements and rows of one fetch, and stops it if there are too many rows.

    Attributes:
        label: the label of the plan, for errors.
        max_rows: the most rows; None for any number.
        statements: the number of statements so far.
        rows: the number of rows so far.
        current: the name of the edge that the running statement loads.
    """

    label: str
    max_rows: int | None = None
    statements: int = 0
    rows: int = 0
    current: str = ""
    _before: int = 0

    def bounded(self, select: Any) -> Any:
        """Return a statement with a limit: the rows that are left, and one more to notice that there are too many."""
        return select if self.max_rows is None else select.limit(self.max_rows - (self.rows - self._before) + 1)

    def allows(self, rows: int | None) -> bool:
        """Tell whether this number of rows cannot exceed ``max_rows``. None stands for any number."""
        return self.max_rows is None or (rows is not None and rows <= self.max_rows)

    def sent(self, name: str) -> None:
        """Note a statement, with the name of the edge that it loads."""
        self.statements += 1
        self.current = name

    def counted(self, rows: Rows, name: str) -> Rows:
        """Count rows that have arrived, and return them.

        Args:
            rows: the rows of one statement.
            name: the name of the edge that the statement loads.

        Raises:
            TooManyRows: LP406, the fetch has more than ``max_rows`` rows.
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
    """Count the rows and statements of a fetch. At its end, compare them with the plan's budget and report them.

    Args:
        plan: the plan that is fetched.
        bind: the bind of the loader.
        max_rows: the most rows of the fetch; None for any number.
        on_fetch: the ``on_fetch=`` of the loader.
        whole: True for one fetch; False for a stream, to which the budget does not apply.

    Raises:
        LoaderError: LP408, the bind has no engine, is closed, or is not open yet.
        OverBudget: LP420, the fetch took more than its budget, and the budget has ``error=True``.
    """
    tally = Tally(plan.label, max_rows)
    for watch in watchers:
        watch(plan, bind)
    if on_fetch is None and plan.budget is None and not _log.isEnabledFor(logging.DEBUG):
        yield from _usable(bind, tally)
        return
    start = time.perf_counter()
    error: BaseException | None = None
    over: tuple[str, ...] = ()
    try:
        yield from _usable(bind, tally)
        over = tuple(_beyond(plan, tally)) if whole else ()
        if over:
            _over_budget(plan, over)
    except BaseException as raised:
        error = raised
        raise
    finally:
        seconds = time.perf_counter() - start
        _tell(FetchRecord(plan.label, tally.statements, tally.rows, seconds, error, over), on_fetch)


def _usable(bind: object, tally: Tally) -> Iterator[Tally]:
    """Yield the tally. If SQLAlchemy then refuses the bind, raise an error that says why.

    Raises:
        LoaderError: LP408, the bind has no engine, is closed, or is not open yet.
    """
    try:
        yield tally
    except InvalidRequestError as error:
        if (found := unusable(error, bind)) is not None:
            raise found from error
        raise


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
