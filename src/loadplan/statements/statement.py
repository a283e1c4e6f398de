"""One statement of a plan as data, with the position of each column in its rows."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from loadplan.resolved.tree import Column, Edge, Place
from loadplan.statements.driver_text import Texts
from loadplan.statements.keys import Keys
from loadplan.statements.linked import AnySelect

#: The content of a slot of a row: a column of a place, or the array or the result at the end of an edge.
Slot: TypeAlias = Column | Edge


@attrs.frozen(eq=False)
class Statement:
    """One statement.

    Attributes:
        place: the place whose rows it selects.
        select: the SQLAlchemy statement.
        slots: the contents of its columns in order, after the keys of the parents.
        edge: the edge that it loads; None for the roots.
        keys: how parents' keys are bound; None for the roots.
        parents: the columns of the statement above that hold these keys, in a form that Python can compare.
        bound: the columns of the statement above whose values are bound as keys.
        identity: the columns that identify a row, if a row may come twice for a parent.
        above: the statement of the parents that it contains as a subquery; None if keys are bound, and for the roots.
        values: the expressions of ``slots``.
        shared: for each of ``parents``, the slot with the same column; None if the key has a separate column.
        onward: for a whole tree, the columns of a row that hold the key by which its children find it.
        bound_onward: for a whole tree, the columns of a row whose values are bound for the next level.
        level_by_level: for a whole tree, whether the statement runs again for each level.
        may_be_cut: whether the database may end a whole tree too early. Each row then ends with one more column, the
            greatest number of levels that the database goes down.
        how: a description for explain of how the statement finds rows; empty if it only compares keys.
        texts: the statement as text for the driver.
    """

    place: Place
    select: AnySelect
    slots: tuple[Slot, ...]
    edge: Edge | None = None
    keys: Keys | None = None
    parents: tuple[Column, ...] = ()
    bound: tuple[Column, ...] = ()
    identity: tuple[Column, ...] = ()
    onward: tuple[Column, ...] = ()
    bound_onward: tuple[Column, ...] = ()
    level_by_level: bool = False
    may_be_cut: bool = False
    how: str = ""
    above: "Statement | None" = None
    values: tuple[Any, ...] = ()
    shared: tuple[Slot | None, ...] = ()
    texts: Texts = attrs.field(init=False, default=attrs.Factory(lambda self: Texts(self.select), takes_self=True))

    @property
    def name(self) -> str:
        """The name of the edge that the statement loads; for the roots, the name of their class."""
        return str(self.place.mapper.class_.__name__) if self.edge is None else self.edge.name

    @property
    def nests(self) -> bool:
        """True if the rows of the statement contain nested rows."""
        return any(isinstance(slot, Edge) and slot.aggregation is None for slot in self.slots)

    @property
    def width(self) -> int:
        """The number of columns that only hold a part of a parent's key. They come before ``slots``."""
        return len(self.parents) - sum(slot is not None for slot in self.shared)

    def key_names(self, names: Mapping[Slot, str]) -> tuple[list[str], list[str]]:
        """Return names for the parts of a parent's key, and for the parts that have separate columns.

        Args:
            names: of the slots.
        """
        own = [f"k{at}" for at in range(self.width)]
        fresh = iter(own)
        shared = self.shared or (None,) * len(self.parents)
        return [next(fresh) if slot is None else names[slot] for slot in shared], own

    def unpacked(self, names: Mapping[Slot, str]) -> str:
        """Return the names of all columns of a row, as the left side of an assignment.

        Args:
            names: of the slots.
        """
        columns = [*self.key_names(names)[1], *names.values(), *(["depth"] if self.may_be_cut else [])]
        return ", ".join(columns) + ("," if len(columns) == 1 else "")

    def was_cut(self, rows: Sequence[Any]) -> bool:
        """Tell whether the database may have ended a recursive statement before the last level of a tree.

        Each level has at least one row. The database may leave the first and the last level out when it counts.
        """
        return self.may_be_cut and bool(rows) and len(rows) + 2 >= rows[0][-1]
