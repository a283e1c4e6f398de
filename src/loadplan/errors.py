"""The errors of loadplan. Their attributes hold facts, and one method turns the facts into text."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import attrs

_E = TypeVar("_E", bound="LoadPlanError")

#: Longer names are not compared with the known names. A request may send any name, and the time grows with its square.
_LONG_NAME = 200


@attrs.frozen
class Problem:
    """One problem, with its facts.

    Attributes:
        code: ``"LP201"``; every code has a paragraph in docs/errors.md.
        message: the problem in one sentence, with names in quotes.
        path: the place in the plan, outermost first; empty at its root or outside a plan.
        detail: further facts that the message does not contain.
        hint: the one thing to do.
    """

    code: str
    message: str
    path: tuple[str, ...] = ()
    detail: str | None = None
    hint: str | None = None

    def render(self) -> str:
        """Return the text of the error: code and message, then ``at``, ``detail`` and ``hint`` if there are any."""
        lines = [f"{self.code}: {self.message}"]
        if self.path:
            lines.append(f"  at: {' > '.join(self.path)}")
        if self.detail:
            lines.append(f"  detail: {self.detail}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class LoadPlanError(Exception):
    """The base class of all errors of loadplan.

    Attributes:
        problem: the facts; ``code``, ``message``, ``path``, ``detail`` and ``hint`` are its fields.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem)

    @property
    def code(self) -> str:
        """``LP`` and three digits: 1xx declaration, 2xx against the mapping, 3xx views, 4xx run time."""
        return self.problem.code

    @property
    def message(self) -> str:
        """The error in one sentence, with names in quotes."""
        return self.problem.message

    @property
    def path(self) -> tuple[str, ...]:
        """The place in the plan, outermost first."""
        return self.problem.path

    @property
    def detail(self) -> str | None:
        """More about the facts that loadplan found."""
        return self.problem.detail

    @property
    def hint(self) -> str | None:
        """The one thing to do."""
        return self.problem.hint

    def __str__(self) -> str:
        return self.problem.render()


class PlanError(LoadPlanError):
    """A plan is wrong: in itself (LP1xx), for the mapping (LP2xx), or in its view classes (LP3xx).

    Attributes:
        problems: everything that is wrong with the plan. ``code``, ``message``, ``path``, ``detail`` and ``hint``
            describe the first problem.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems[0])
        self.args = (self.problems,)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problem.render()
        return "\n\n".join(
            [f"{len(self.problems)} problems in one plan", *(problem.render() for problem in self.problems)]
        )


class NotLoaded(LoadPlanError):  # noqa: N818 - the name states the fact about the attribute
    """Your code read an attribute that the plan does not load (LP401).

    It is not an :class:`AttributeError`. If it were one, serializers would treat the attribute as missing, and use a
    default.

    Attributes:
        plan: the name of the plan.
        entity: the class that has the attribute.
        attribute: the name of the attribute.
        add: the code to add: ``"load(Post.comments)"``, the column ``"Post.title"``, or a branch for a subclass. It is
            empty if no plan can load the attribute.
    """

    def __init__(
        self,
        problem: Problem,
        plan: str = "",
        place: tuple[str, ...] = (),
        entity: type[Any] | None = None,
        attribute: str = "",
        add: str = "",
    ) -> None:
        super().__init__(problem)
        self.plan = plan
        self._place = place
        self.entity = entity
        self.attribute = attribute
        self.add = add
        self.args = (problem, plan, place, entity, attribute, add)

    @property
    def path(self) -> tuple[str, ...]:
        """The relationships that lead from the root to the object: ``("User.posts",)``; empty for the root."""
        return self._place or self.problem.path


class NotFound(LoadPlanError):  # noqa: N818 - the name callers know from every repository layer
    """No row has the id, or no row meets the condition (LP402).

    Attributes:
        missing: the ids without a row, in the order of your call; empty for a condition.
    """

    def __init__(self, problem: Problem, missing: tuple[Any, ...] = ()) -> None:
        super().__init__(problem)
        self.missing = missing
        self.args = (problem, missing)


class MultipleFound(LoadPlanError):  # noqa: N818 - the pair of NotFound
    """``fetch_one`` found more than one row (LP403)."""


class IdentityError(LoadPlanError):
    """A value cannot be the primary key of the mapped class (LP404). Raised before any SQL runs."""


class ParameterError(LoadPlanError):
    """A parameter is missing, unknown, or has the wrong type (LP405). Raised before any SQL runs."""


class TooManyRows(LoadPlanError):  # noqa: N818 - the contract's name
    """A fetch returns more rows than ``max_rows`` allows (LP406)."""


class OverBudget(LoadPlanError):  # noqa: N818 - the pair of TooManyRows
    """A fetch took more than the budget of its plan allows, and the budget has ``error=True`` (LP420)."""


class OverBudgetWarning(UserWarning):
    """A fetch took more than the budget of its plan allows (LP420)."""


class CursorError(LoadPlanError):
    """A cursor does not fit this list: it was changed, cut short, or made for another order (LP407)."""


class LoaderError(LoadPlanError):
    """The loader cannot do this with its bind, or an argument has a wrong value (LP408, LP416)."""


class PartialCollectionError(LoadPlanError):
    """A relationship holds only some of its rows, and SQLAlchemy would treat these rows as all rows (LP409)."""


class RowInSessionError(LoadPlanError):
    """A fetched object was added to a session that has another object for its row (LP415)."""


class RelatedNotFound(LoadPlanError):  # noqa: N818 - the pair of NotFound, one level down
    """A view requires a related row that is missing or hidden, or that no class of its union fits (LP410)."""


class ViewError(LoadPlanError):
    """A view could not be built: its class raised an error for the row (LP411), or the rows form a cycle (LP412).

    ``__cause__`` is the error of the class: for example a validator's ``ValueError``, or pydantic's
        ``ValidationError``.
    """


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """Return a hint: the known name that is nearest to a wrong name, and a list of known names.

    Args:
        name: the wrong name.
        known: the names that exist.
        what: a title for the names, such as ``"Relationships of Order"``.
    """
    names = sorted(known)
    listed = f"{what}: {', '.join(names)}." if names else f"{what}: none."
    by_lower = {candidate.lower(): candidate for candidate in names if candidate != name}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6) if len(name) <= _LONG_NAME else []
    return f"did you mean '{by_lower[near[0]]}'? {listed}" if near else listed


def one_of(values: Mapping[str, object] | Iterable[str]) -> str:
    """Return names for a sentence: ``'joined', 'inner' or 'selectin'``."""
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def counted(number: int, word: str) -> str:
    """Return a number with a word: ``"1 statement"``, ``"2 statements"``, ``"3 classes"``."""
    plural = f"{word}es" if word.endswith(("s", "ch")) else f"{word}s"
    return f"{number} {word if number == 1 else plural}"


def shown(given: object) -> str:
    """Return the ``repr`` of a value for a message, shortened, because the value may be of any size."""
    try:
        text = repr(given)
        return text if len(text) <= 80 else f"{text[:77]}..."
    except Exception:  # ints of more than 4,300 digits raise an error, and any class may
        return f"<{type(given).__name__}>"
