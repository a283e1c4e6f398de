"""Where a field of a view takes its value from, when that is not the attribute of the same name: annotation values.

``Annotated[int, count(Post.comments)]`` and its like. Values only; what they mean is found out against the mapping.
"""

from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypeAlias

import attrs
from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.code import call_source
from loadplan.declared.code import source as code_of
from loadplan.declared.mistaken import with_hints
from loadplan.declared.spec import Condition, Conditions, OrderBy, comparable, tuple_or_none
from loadplan.errors import PlanError, Problem


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


@with_hints("Source")
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

    def __clause_element__(self) -> NoReturn:
        """Be asked by SQLAlchemy for an expression, within ``or_()`` or ``desc()``.

        Raises:
            PlanError: LP112, always: a path becomes SQL only in ``where=`` and ``order_by=`` of a fetch.
        """
        raise PlanError([_within_expression(self)])

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
        detail="a path stands alone, in where= or order_by= of a fetch.",
        hint=hint,
    )


RootCondition: TypeAlias = Condition | Source
"""A condition on roots; ``source(Order.customer, Customer.country == "NZ")`` is one on what a to-one leads to."""

RootConditions: TypeAlias = RootCondition | Sequence[RootCondition]
"""One condition on roots, or several that must all hold."""

RootOrderBy: TypeAlias = OrderBy | Source
"""One order expression of roots, as ``User.name`` or ``source(Order.customer, Customer.email).desc()``."""

RootOrder: TypeAlias = RootOrderBy | Sequence[RootOrderBy]
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
    """Have a field hold the number of related rows.

    As in ``Annotated[int, count(Post.comments, where=Comment.approved)]``.

    Args:
        relationship: a collection of the entity that the view is made of. Its rows are counted, not loaded.
        where: count those rows alone that meet these conditions.
    """
    return Aggregate("count", relationship, None, tuple_or_none(where) or ())


def exists(relationship: QueryableAttribute[Any], *, where: Conditions | None = None) -> Aggregate:
    """Have a field tell whether there is a related row.

    As in ``Annotated[bool, exists(Post.comments)]``.

    Args:
        relationship: of the entity that the view is made of, to one or to many. Its rows are not loaded.
        where: ask for rows alone that meet these conditions.
    """
    return Aggregate("exists", relationship, None, tuple_or_none(where) or ())


def aggregate(relationship: QueryableAttribute[Any], expression: Any, *, where: Conditions | None = None) -> Aggregate:
    """Have a field hold an aggregate over related rows.

    ``Annotated[datetime | None, aggregate(Post.comments, func.max(Comment.created_at))]``; it is None where there is
    no row, as the function says.

    Args:
        relationship: a collection of the entity that the view is made of. Its rows are not loaded.
        expression: an aggregate function over columns of the target.
        where: aggregate those rows alone that meet these conditions.
    """
    return Aggregate("aggregate", relationship, expression, tuple_or_none(where) or ())


def source(*path: Any) -> Source:
    """Say where the value of a field comes from, or what a to-one leads to that roots are ordered or chosen by.

    ``order_by=source(Order.customer, Customer.email).desc()`` orders roots, ``where=source(Order.customer,
    Customer.country == "NZ")`` chooses them. That path goes only by to-ones.

    Args:
        *path: relationships, each of the class that the one before leads to. At the end stands a column, a hybrid, a
            SQL expression over that class, or a :func:`count` and the like. One relationship to many may be among them
            where the field is a collection of values: ``Annotated[list[str], source(Post.tags, Tag.name)]``. A path
            that ends with a relationship names the one that a field of another name reads.
    """
    return Source(path)
