"""What the listeners of a private session do to its statements: whether they may have hidden rows."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import ORMExecuteState, Session

from loadplan.objects.losses import EVERYTHING_HIDDEN, NOTHING_HIDDEN, Hidden
from loadplan.sqlalchemy_internals import criteria_added

R = TypeVar("R")


class Watch:
    """Compares each statement of a private session with what its listeners made of it.

    Attributes:
        hidden: what they may have hidden so far.
    """

    def __init__(self) -> None:
        self.hidden: Hidden = NOTHING_HIDDEN
        self._sent: Any = None
        self._parameters: Any = None
        self._is_heard = False

    def over(self, statement: Any, parameters: Any, execute: Callable[[], R]) -> R:
        """Execute a statement, and note what became of it on its way.

        Args:
            statement: as it was built.
            parameters: of this one execution; they tell it from statements of the listeners' own.
            execute: does it.
        """
        self._sent, self._parameters, self._is_heard = statement, parameters, False
        result = execute()
        if not self._is_heard:  # a listener returned a result itself, or sent another statement
            self.hidden = EVERYTHING_HIDDEN
        return result

    def note(self, state: ORMExecuteState) -> None:
        """Look at a statement when all listeners have had their say."""
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
    """Return the watch of a private session, which begins when it is first asked for."""
    found: Watch | None = vars(session).get(_NAME)
    if found is None:
        found = vars(session)[_NAME] = Watch()
    return found


_NAME = "_loadplan_watch"


def note(state: ORMExecuteState) -> None:
    """Have the watch of a session look at a statement; the last listener of the session but one."""
    watch: Watch | None = vars(state.session).get(_NAME)
    if watch is not None:
        watch.note(state)
