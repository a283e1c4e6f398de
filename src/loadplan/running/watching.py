"""Finds out whether the listeners of a private session may have hidden rows from its statements."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import ORMExecuteState, Session

from loadplan.objects.losses import EVERYTHING_HIDDEN, NOTHING_HIDDEN, Hidden
from loadplan.sqlalchemy_internals import criteria_added

R = TypeVar("R")


class Watch:
    """Compares each statement of a private session before and after its listeners.

    Attributes:
        hidden: the classes whose rows the listeners may have hidden so far.
    """

    def __init__(self) -> None:
        self.hidden: Hidden = NOTHING_HIDDEN
        self._sent: Any = None
        self._parameters: Any = None
        self._is_heard = False

    def over(self, statement: Any, parameters: Any, execute: Callable[[], R]) -> R:
        """Execute a statement, and note what its listeners changed.

        Args:
            statement: the statement before its listeners.
            parameters: the statement's parameters. Statements that listeners send have other parameters.
            execute: the function that executes the statement.
        """
        self._sent, self._parameters, self._is_heard = statement, parameters, False
        result = execute()
        if not self._is_heard:  # a listener returned a result itself, or sent another statement
            self.hidden = EVERYTHING_HIDDEN
        return result

    def note(self, state: ORMExecuteState) -> None:
        """Compare a statement after all listeners with the statement before them."""
        if state.parameters is not self._parameters:
            return
        self._is_heard = True
        if state.statement is self._sent or self.hidden.everything:
            return
        added = criteria_added(self._sent, state.statement)
        if added is None:
            self.hidden = EVERYTHING_HIDDEN
        elif not added <= self.hidden.classes:
            self.hidden = Hidden(self.hidden.classes | added)


def watch_of(session: Session) -> Watch:
    """Return the watch of a private session. The first call for a session makes the watch."""
    found: Watch | None = vars(session).get(_NAME)
    if found is None:
        found = vars(session)[_NAME] = Watch()
    return found


_NAME = "_loadplan_watch"


def note(state: ORMExecuteState) -> None:
    """Let the watch of a session compare a statement. This listener runs last but one."""
    watch: Watch | None = vars(state.session).get(_NAME)
    if watch is not None:
        watch.note(state)
