"""Annotations for a field of a view that does not take its value from the attribute of the same name.

For example ``Annotated[int, count(Post.comments)]``. These are plain values. A later stage compares them with the
mapping.
"""

from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypeAlias

import attrs
from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.called import with_usage
from loadplan.declared.code import call_source
from loadplan.declared.code import source as code_of
from loadplan.declared.mistaken import counting, with_hints
from loadplan.declared.spec import Condition, Conditions, OrderBy, Value, comparable, tuple_or_none
from loadplan.errors import PlanError, Problem


@with_hints("Aggregate")
@attrs.frozen(repr=False)
class Aggregate(Value):
    """A value computed over related rows. :func:`count`, :func:`exists` and :func:`aggregate` return it.

    Attributes:
        kind: ``"count"``, ``"exists"`` or ``"aggregate"``.
        relationship: the relationship that leads to the rows.
        expression: the aggregate function; None for a count or an existence.
        where: conditions that the rows must all meet.
    """

    kind: str
    relationship: QueryableAttribute[Any] = attrs.field(eq=comparable)
    expression: Any = attrs.field(default=None, eq=comparable)
    where: tuple[Any, ...] = attrs.field(default=(), eq=comparable)

    def __repr__(self) -> str:
        positional = [self.relationship, *([] if self.expression is None else [self.expression])]
        return call_source(self.kind, positional, {"where": self.where or None})

    def __clause_element__(self) -> NoReturn:
        """Refuse to become a part of an expression. SQLAlchemy calls this within ``not_()`` or ``select()``.

        Raises:
            PlanError: LP108, always.
        """
        raise PlanError([_aggregate_within_expression(self)])


@with_hints("Source")
@attrs.frozen(repr=False)
class Source(Value):
    """A path to a value. :func:`source` returns it.

    Attributes:
        path: relationships, and a value at the end.
        modifiers: the methods that were called for an order, in this sequence: ``"desc"``, ``"nulls_last"`` and others.
    """

    path: tuple[Any, ...] = attrs.field(eq=comparable)
    modifiers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return call_source("source", self.path, {}) + "".join(f".{each}()" for each in self.modifiers)

    def __clause_element__(self) -> NoReturn:
        """Refuse to become a part of an expression. SQLAlchemy calls this within ``or_()`` or ``desc()``.

        Raises:
            PlanError: LP112, always, because a path becomes SQL only in ``where=`` and ``order_by=`` of a fetch.
        """
        raise PlanError([_within_expression(self)])

    def asc(self) -> "Source":
        """Return the path as an ascending order of roots."""
        return self._ordered("asc")

    def desc(self) -> "Source":
        """Return the path as a descending order of roots."""
        return self._ordered("desc")

    def nulls_first(self) -> "Source":
        """Return the order with NULLs at the beginning. If the path's row is missing, its value is NULL."""
        return self._ordered("nulls_first")

    def nulls_last(self) -> "Source":
        """Return the order with NULLs at the end. If the path's row is missing, its value is NULL."""
        return self._ordered("nulls_last")

    def _ordered(self, word: str) -> "Source":
        return attrs.evolve(self, modifiers=(*self.modifiers, word))


def _within_expression(given: Source) -> Problem:
    hint = f"for a direction, write {attrs.evolve(given, modifiers=())}.desc()."
    if len(given.path) > 1 and not isinstance(given.path[-1], QueryableAttribute):
        asked = code_of(given.path[-1])
        for step in reversed(given.path[:-1]):
            asked = f"{code_of(step)}.has({asked})"
        hint = f"for a condition among others, write {asked}."
    return Problem(
        "LP112",
        f"{given} cannot be a part of a SQL expression",
        detail="write a path alone, in where= or order_by= of a fetch.",
        hint=hint,
    )


def _aggregate_within_expression(given: Aggregate) -> Problem:
    hint = f"write a condition of SQLAlchemy, such as {code_of(given.relationship)}.any(...) or .has(...)."
    if given.kind != "exists":
        hint = f"write a subquery{counting(given)}."
    return Problem(
        "LP108",
        f"{given} cannot be a part of a SQL expression",
        detail="it is for fields of views.",
        hint=hint,
    )


RootCondition: TypeAlias = Condition | Source
"""A condition on roots, as ``Order.total > 3`` or ``source(Order.customer, Customer.country == "NZ")``."""

RootConditions: TypeAlias = RootCondition | Sequence[RootCondition]
"""One condition on roots, or several that must all hold."""

RootOrderBy: TypeAlias = OrderBy | Source
"""One order expression of roots, as ``User.name`` or ``source(Order.customer, Customer.email).desc()``."""

RootOrder: TypeAlias = RootOrderBy | Sequence[RootOrderBy]
"""One order expression of roots, or several, the most significant first."""


def is_path(given: object) -> bool:
    """Tell whether a value is a path. This calls no method of the value, which may be of any class."""
    return issubclass(type(given), Source)


@attrs.frozen(repr=False)
class KeepDefault:
    """The class of :data:`keep_default`, which marks a field that has no source in the entity."""

    def __repr__(self) -> str:
        return "keep_default"

    def __call__(self) -> NoReturn:
        """Refuse to be called.

        Raises:
            TypeError: always.
        """
        raise TypeError("keep_default is a value\n  hint: write Annotated[bool, keep_default], without parentheses.")


keep_default: Final = KeepDefault()
"""``Annotated[bool, keep_default]``: the field has no source and keeps the default that the class gives it."""


@with_usage("Write count(Post.comments), or count(Post.comments, where=Comment.approved).")
def count(relationship: QueryableAttribute[Any], *, where: Conditions | None = None) -> Aggregate:
    """Let a field of a view hold the number of related rows.

    Write ``Annotated[int, count(Post.comments, where=Comment.approved)]``.

    Args:
        relationship: a collection of the mapped class of the view. Its rows are counted, not loaded.
        where: count only the rows that meet these conditions.
    """
    return Aggregate("count", relationship, None, tuple_or_none(where) or ())


@with_usage("Write exists(Post.comments), or exists(Post.comments, where=Comment.approved).")
def exists(relationship: QueryableAttribute[Any], *, where: Conditions | None = None) -> Aggregate:
    """Let a field of a view tell whether a related row exists.

    Write ``Annotated[bool, exists(Post.comments)]``.

    Args:
        relationship: a relationship of the mapped class of the view, to one row or to many. Its rows are not loaded.
        where: look only for rows that meet these conditions.
    """
    return Aggregate("exists", relationship, None, tuple_or_none(where) or ())


@with_usage("Write aggregate(Post.comments, func.max(Comment.created_at)).")
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


@with_usage("Write source(Post.author, User.name), with the condition inside: source(Post.author, User.age > 18).")
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
