"""What can go wrong: exceptions that carry facts, and the one place that turns facts into text."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import attrs

_E = TypeVar("_E", bound="LoadPlanError")

#: Letters up to which a name is compared with those that there are: it may come from outside, and takes time squared.
_LONG_NAME = 200


@attrs.frozen
class Problem:
    """One thing that is wrong, as facts.

    Attributes:
        code: ``"LP201"``; every code has a paragraph in docs/errors.md.
        message: one sentence with the names in quotes.
        path: where in the plan, outermost first; empty at its root or outside a plan.
        detail: what was found, where the message alone does not say it.
        hint: the one action that mends it.
    """

    code: str
    message: str
    path: tuple[str, ...] = ()
    detail: str | None = None
    hint: str | None = None

    def render(self) -> str:
        """Return the text a person reads: code and message, then ``at``, ``detail`` and ``hint`` where known."""
        lines = [f"{self.code}: {self.message}"]
        if self.path:
            lines.append(f"  at: {' > '.join(self.path)}")
        if self.detail:
            lines.append(f"  detail: {self.detail}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class LoadPlanError(Exception):
    """Base of everything loadplan raises itself.

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
        """The sentence behind the code."""
        return self.problem.message

    @property
    def path(self) -> tuple[str, ...]:
        """The place in the plan, outermost first."""
        return self.problem.path

    @property
    def detail(self) -> str | None:
        """What was found."""
        return self.problem.detail

    @property
    def hint(self) -> str | None:
        """The action that mends it."""
        return self.problem.hint

    def __str__(self) -> str:
        return self.problem.render()


class PlanError(LoadPlanError):
    """A plan that cannot be: LP1xx its declaration, LP2xx against the mapping, LP3xx its view classes.

    Attributes:
        problems: everything that is wrong with the plan; the inherited facts belong to the first.
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


class NotLoaded(LoadPlanError):  # noqa: N818 - the contract's name; it says what is the case
    """An attribute that the plan does not name was touched (LP401).

    It is not an :class:`AttributeError`: serializers take that for "absent" and would go on with a default.

    Attributes:
        plan: name of the plan.
        entity: the class that has the attribute.
        attribute: its name.
        add: the code to add: ``"load(Post.comments)"``, the column ``"Post.title"``, or a branch for a subclass; empty
            where no plan can load it.
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
        """The edges that lead to the object from the root, as ``("User.posts",)``; empty at the root."""
        return self._place or self.problem.path


class NotFound(LoadPlanError):  # noqa: N818 - the name callers know from every repository layer
    """No row has that id, or meets that condition (LP402).

    Attributes:
        missing: the ids that have no row, in the order they were asked for; empty for a condition.
    """

    def __init__(self, problem: Problem, missing: tuple[Any, ...] = ()) -> None:
        super().__init__(problem)
        self.missing = missing
        self.args = (problem, missing)


class MultipleFound(LoadPlanError):  # noqa: N818 - the pair of NotFound
    """``fetch_one`` met more than one row (LP403)."""


class IdentityError(LoadPlanError):
    """A value that cannot be that entity's primary key (LP404). Raised before any SQL runs."""


class ParameterError(LoadPlanError):
    """``params=`` does not fit the plan: one is missing, unknown, or of the wrong type (LP405). Before any SQL."""


class TooManyRows(LoadPlanError):  # noqa: N818 - the contract's name
    """A fetch would bring more rows than ``max_rows`` allows (LP406)."""


class OverBudget(LoadPlanError):  # noqa: N818 - the pair of TooManyRows
    """A fetch took more than the budget of its plan, which says ``error=True`` (LP420). The graph was loaded."""


class OverBudgetWarning(UserWarning):
    """A fetch took more than the budget of its plan (LP420)."""


class CursorError(LoadPlanError):
    """A page cursor that was not made by this listing: tampered with, cut short, or of another order (LP407)."""


class LoaderError(LoadPlanError):
    """The loader was asked for something that its bind cannot do (LP408)."""


class PartialCollectionError(LoadPlanError):
    """A relationship that may show only a part of its rows would be taken for the whole (LP409)."""


class RowInSessionError(LoadPlanError):
    """A fetched object was added to a session that has another object for its row (LP415)."""


class RelatedNotFound(LoadPlanError):  # noqa: N818 - the pair of NotFound, one level down
    """A view needs a related row that is missing or hidden (LP410), or that no class of its is for."""


class ViewError(LoadPlanError):
    """A view could not be built of its row: the class refused (LP411), or the rows are a cycle (LP412).

    ``__cause__`` is what the class raised: a validator's ``ValueError``, or pydantic's ``ValidationError``.
    """


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """Return a hint: the nearest of the known names, and what there is.

    Args:
        name: as it was given.
        known: the names that would have been right.
        what: what they are, as ``"Relationships of Order"``.
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


def shown(given: object) -> str:
    """Return the value for a message, shortened: it may come from outside and be of any size."""
    try:
        text = repr(given)
        return text if len(text) <= 80 else f"{text[:77]}..."
    except Exception:  # an int of more than 4,300 digits refuses to be printed, and so may anything from outside
        return f"<{type(given).__name__}>"
