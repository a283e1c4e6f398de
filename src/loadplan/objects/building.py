"""Functions that generated code calls. They raise errors for rows that cannot become a view, and build whole trees."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs

from loadplan.errors import LoadPlanError, Problem, RelatedNotFound, ViewError, shown
from loadplan.mapped import mapping
from loadplan.resolved.tree import Choose, Column, One
from loadplan.statements.statement import Statement

Row = Any


def _lacks_key(error: LoadPlanError) -> bool:
    """Tell whether the message of an error must still get the key of the row."""
    return isinstance(error, RelatedNotFound) and error.message.endswith("has no row")


@attrs.frozen(eq=False)
class Guards:
    """Makes the functions that raise an error for a row. Each error names the place in the plan.

    Attributes:
        label: the label of the plan.
    """

    label: str

    def missing(self, recipe: One) -> Callable[[], NoReturn]:
        """Return a function that raises an error for a required row that is missing."""
        edge = recipe.edge

        def missing() -> NoReturn:
            raise RelatedNotFound(
                Problem(
                    "LP410",
                    f"'{recipe.required}' is required, but '{edge.name}' has no row",
                    (self.label, *edge.target.path),
                    detail="a criterion of the session or row-level security hides the row, or the row does not exist.",
                    hint="if that is possible, add '| None' to the annotation.",
                )
            )

        return missing

    def unknown(self, recipe: Choose) -> Callable[[Any], NoReturn]:
        """Return a function that raises an error for a row if no member of the union fits the row."""

        def unknown(value: Any) -> NoReturn:
            raise RelatedNotFound(
                Problem(
                    "LP410",
                    f"'{recipe.field}' has no member for a row whose discriminator is {shown(value)}",
                    (self.label,),
                    hint="map a class for this discriminator, and add a member for it.",
                )
            )

        return unknown

    def failed(self, statement: Statement) -> Callable[[Row, Exception], Exception]:
        """Return a function that makes the error for a row if the view class raised one. ``raise`` sets the cause."""
        mapper = statement.place.mapper
        names = mapping.primary_key(mapper)

        def failed(row: Row, error: Exception) -> Exception:
            if row is None or (isinstance(error, LoadPlanError) and not _lacks_key(error)):
                return error
            values = {
                slot.name: row[statement.width + at]
                for at, slot in enumerate(statement.slots)
                if isinstance(slot, Column) and slot.name in names and slot in self._own(statement)
            }
            which = f" with {', '.join(f'{name}={shown(value)}' for name, value in values.items())}" if values else ""
            if isinstance(error, RelatedNotFound):
                message = f"{error.message} for '{mapper.class_.__name__}'{which}"
                return RelatedNotFound(attrs.evolve(error.problem, message=message)) if values else error
            problem = Problem(
                "LP411",
                f"no view could be built from the row of '{mapper.class_.__name__}'{which}",
                (self.label, *statement.place.path),
                detail=f"{type(error).__name__}: {error}",
            )
            raised = ViewError(problem)
            raised.__cause__ = error
            return raised

        return failed

    @staticmethod
    def _own(statement: Statement) -> list[Any]:
        """Return the columns of the statement's own place. Columns of joined places may have the same names."""
        own = statement.place.columns
        return [slot for slot in statement.slots if slot in own or slot in statement.identity]

    def grow(
        self,
        grouped: Mapping[Any, list[tuple[Any, Row]]],
        make: Callable[[Row], Any],
        built: dict[Any, Any],
        to_one: bool,
    ) -> None:
        """Build a whole tree from its leaves up, without recursion, because a tree may be deeper than Python's stack.

        Args:
            grouped: by the key of the parent, the rows of its children. Each row comes with the key by which its own
                children find it.
            make: builds an object from a row. By then, ``built`` has the children of the row.
            built: by the key of the parent, its children. This method fills it.
            to_one: whether a parent has one child at most.

        Raises:
            ViewError: LP412, a row is among its own descendants.
        """
        doing: set[Any] = set()
        for start in grouped:
            waiting = [start]
            while waiting:
                key = waiting[-1]
                if key in built:
                    waiting.pop()
                    continue
                below = [child for child, _ in grouped[key] if child in grouped and child not in built]
                if key in doing and below:
                    raise self._cycle(key)
                doing.add(key)
                if below:
                    for child in below:
                        if child in doing:
                            raise self._cycle(child)
                    waiting += below
                    continue
                items = [make(row) for _, row in grouped[key]]
                built[key] = items[0] if to_one else items

    def _cycle(self, key: Any) -> ViewError:
        return ViewError(
            Problem(
                "LP412",
                f"the rows form a cycle: the row with key {shown(key)} is its own descendant",
                (self.label,),
                detail="a view is built after its children, so it cannot be one of them.",
                hint="limit the depth, for example depth=3, or load entities: they may form cycles.",
            )
        )
