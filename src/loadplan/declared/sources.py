"""Annotations that say where a field of a view takes its value from, if not from the attribute of the same name.

For example ``Annotated[int, count(Post.comments)]``. These are plain values. A later stage compares them with the
mapping.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.code import call_source
from loadplan.declared.spec import Condition, Conditions, OrderBy, comparable, tuple_or_none


@attrs.frozen(repr=False)
class Aggregate:
    """A value computed over the rows of a collection: what :func:`count`, :func:`exists` and :func:`aggregate` return.

    Attributes:
        kind: ``"count"``, ``"exists"`` or ``"aggregate"``.
        relationship: whose rows.
        expression: the aggregate function; None for a count or an existence.
        where: conditions on those rows that must all hold.
    """

    kind: str
    relationship: QueryableAttribute[Any] = attrs.field(eq=comparable)
    expression: Any = attrs.field(default=None, eq=comparable)
    where: tuple[Any, ...] = attrs.field(default=(), eq=comparable)

    def __repr__(self) -> str:
        positional = [self.relationship, *([] if self.expression is None else [self.expression])]
        return call_source(self.kind, positional, {"where": self.where or None})


@attrs.frozen(repr=False)
class Source:
    """A path to a value: what :func:`source` returns.

    Attributes:
        path: relationships, and a value at the end.
        modifiers: of an order: ``"desc"``, ``"nulls_last"`` and the like, in the order they were called.
    """

    path: tuple[Any, ...] = attrs.field(eq=comparable)
    modifiers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return call_source("source", self.path, {}) + "".join(f".{each}()" for each in self.modifiers)

    def asc(self) -> "Source":
        """Return the path as an ascending order of roots."""
        return self._ordered("asc")

    def desc(self) -> "Source":
        """Return the path as a descending order of roots."""
        return self._ordered("desc")

    def nulls_first(self) -> "Source":
        """Return the order with NULLs at the beginning; a to-one that is not there has NULL."""
        return self._ordered("nulls_first")

    def nulls_last(self) -> "Source":
        """Return the order with NULLs at the end; a to-one that is not there has NULL."""
        return self._ordered("nulls_last")

    def _ordered(self, word: str) -> "Source":
        return attrs.evolve(self, modifiers=(*self.modifiers, word))


RootCondition: TypeAlias = Condition | Source
"""A condition on roots; ``source(Order.customer, Customer.country == "NZ")`` is one on what a to-one leads to."""

RootConditions: TypeAlias = RootCondition | Sequence[RootCondition]
"""One condition on roots, or several that must all hold."""

RootOrder: TypeAlias = OrderBy | Source | Sequence[OrderBy | Source]
"""One order expression of roots, or several; ``source(Order.customer, Customer.email).desc()`` orders by a to-one."""


def is_path(given: object) -> bool:
    """Tell whether something is a path, without asking anything of an object from outside."""
    return issubclass(type(given), Source)


@attrs.frozen(repr=False)
class KeepDefault:
    """The field is none of the entity's: what :data:`keep_default` is."""

    def __repr__(self) -> str:
        return "keep_default"


keep_default: Final = KeepDefault()
"""``Annotated[bool, keep_default]``: the field has no source and keeps the default that the class gives it."""


def count(relationship: QueryableAttribute[Any], *, where: Conditions | None = None) -> Aggregate:
    """Let a field of a view hold the number of related rows.

    Write ``Annotated[int, count(Post.comments, where=Comment.approved)]``.

    Args:
        relationship: a collection of the mapped class of the view. Its rows are counted, not loaded.
        where: count only the rows that meet these conditions.
    """
    return Aggregate("count", relationship, None, tuple_or_none(where) or ())


def exists(relationship: QueryableAttribute[Any], *, where: Conditions | None = None) -> Aggregate:
    """Let a field of a view tell whether there is a related row.

    Write ``Annotated[bool, exists(Post.comments)]``.

    Args:
        relationship: a relationship of the mapped class of the view, to one row or to many. Its rows are not loaded.
        where: look only for rows that meet these conditions.
    """
    return Aggregate("exists", relationship, None, tuple_or_none(where) or ())


def aggregate(relationship: QueryableAttribute[Any], expression: Any, *, where: Conditions | None = None) -> Aggregate:
    """Let a field of a view hold an aggregate over related rows.

    Write ``Annotated[datetime | None, aggregate(Post.comments, func.max(Comment.created_at))]``. Most aggregates are
    None if there are no rows.

    Args:
        relationship: a collection of the mapped class of the view. Its rows are not loaded.
        expression: an aggregate function over columns of the target.
        where: aggregate only the rows that meet these conditions.
    """
    return Aggregate("aggregate", relationship, expression, tuple_or_none(where) or ())


def source(*path: Any) -> Source:
    """Name the path to a value: for a field of a view, or for the order or condition of a fetch.

    In a view, write ``Annotated[str, source(Post.author, User.name)]``. In a fetch, write
    ``order_by=source(Order.customer, Customer.email).desc()`` or
    ``where=source(Order.customer, Customer.country == "NZ")``. There, each relationship must lead to one row.

    Args:
        *path: relationships, each of the class that the one before leads to. The last item is the value: a column, a
            hybrid, a SQL expression over that class, or a :func:`count` or another aggregate. If the field is a
            collection, one
            relationship may lead to many rows: ``Annotated[list[str], source(Post.tags, Tag.name)]``. If a field has
            another name than its relationship, end the path with the relationship.
    """
    return Source(path)
