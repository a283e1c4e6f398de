"""The declaration: :class:`LoadPlan` and :func:`load`, immutable values that say which graph a use case needs.

Nothing here looks at a mapper. What a declaration means is found out in :mod:`loadplan.resolve`, which a plan calls on
itself as soon as the mappers it speaks of can be configured.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, overload

import attrs
from sqlalchemy import ClauseElement, Select
from sqlalchemy.orm import Mapper, QueryableAttribute
from sqlalchemy.sql.base import ExecutableOption

StrategyName: TypeAlias = Literal["joined", "inner", "selectin", "subquery"]
"""What ``strategy=`` takes: a LEFT OUTER JOIN, an INNER JOIN, a statement by keys, a statement by subquery."""


class Entity(Protocol):
    """What a type checker can know of a mapped class: it has a mapper. Every declarative base does."""

    __mapper__: ClassVar[Mapper[Any]]


E = TypeVar("E", bound=Entity)
T = TypeVar("T")


def _comparable(value: object) -> object:
    """Return what equality and hashing of a declaration go by.

    SQLAlchemy's attributes and expressions answer ``==`` with SQL, so they are compared by what they name.
    """
    if isinstance(value, QueryableAttribute):
        return value.class_, value.key
    if isinstance(value, ClauseElement):
        return _SameExpression(value)
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    return value


@attrs.frozen(eq=False)
class _SameExpression:
    """A SQL expression that equals another one when both would compile to the same SQL."""

    expression: ClauseElement

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SameExpression) and self.expression.compare(other.expression)

    def __hash__(self) -> int:
        return hash(type(self.expression))


def _source(value: object) -> str:
    """Return the code that would build ``value``, as far as the value itself still tells."""
    if isinstance(value, QueryableAttribute):
        return f"{value.class_.__name__}.{value.key}"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple):
        return f"[{', '.join(map(_source, value))}]"
    return str(value) if isinstance(value, ClauseElement) else repr(value)


def _call_source(name: str, positional: Sequence[object], keywords: Mapping[str, object]) -> str:
    given = [f"{key}={_source(value)}" for key, value in keywords.items() if value is not None]
    return f"{name}({', '.join([*map(_source, positional), *given])})"


def _tuple_or_none(columns: Sequence[Any] | None) -> tuple[Any, ...] | None:
    if columns is None:
        return None
    return tuple(columns) if isinstance(columns, list | tuple | set | frozenset) else (columns,)


@attrs.frozen(repr=False)
class Load(Generic[T]):
    """One relationship of a plan and what hangs below it: what :func:`load` returns.

    The parameter is the class at the far end. Compare, hash and share it freely; it holds no state.
    """

    relationship: QueryableAttribute[Any] | str = attrs.field(eq=_comparable)
    loads: "tuple[Load[Any] | LoadPlan[Any], ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=_comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=_comparable)
    strategy: StrategyName | None = None

    def __repr__(self) -> str:
        return _call_source(
            "load",
            [self.relationship, *self.loads],
            {"only": self.only, "defer": self.defer, "strategy": self.strategy},
        )


Columns: TypeAlias = Sequence[QueryableAttribute[Any]]


@overload
def load(
    relationship: QueryableAttribute[Mapping[Any, E]],
    *loads: "Load[Any] | LoadPlan[E]",
    only: Columns | None = None,
    defer: Columns | None = None,
    strategy: StrategyName | None = None,
) -> Load[E]: ...
@overload
def load(
    relationship: QueryableAttribute[Collection[E]],
    *loads: "Load[Any] | LoadPlan[E]",
    only: Columns | None = None,
    defer: Columns | None = None,
    strategy: StrategyName | None = None,
) -> Load[E]: ...
@overload
def load(
    relationship: QueryableAttribute[E] | QueryableAttribute[E | None],
    *loads: "Load[Any] | LoadPlan[E]",
    only: Columns | None = None,
    defer: Columns | None = None,
    strategy: StrategyName | None = None,
) -> Load[E]: ...
@overload
def load(
    relationship: str,
    *loads: "Load[Any] | LoadPlan[Any]",
    only: Columns | None = None,
    defer: Columns | None = None,
    strategy: StrategyName | None = None,
) -> Load[Any]: ...
def load(
    relationship: QueryableAttribute[Any] | str,
    *loads: "Load[Any] | LoadPlan[Any]",
    only: Columns | None = None,
    defer: Columns | None = None,
    strategy: StrategyName | None = None,
) -> Load[Any]:
    """Name a relationship that a plan loads, and what to load of its target.

    Args:
        relationship: the mapped attribute, as ``User.posts``. A name serves where the class does not have the
            attribute yet, as for a ``backref`` before the mappers are configured; it is checked just the same.
        *loads: relationships of the target, as more ``load(...)``, or a whole :class:`LoadPlan` of the target.
        only: load these columns and no others; primary keys, and the keys that loading goes by, come always.
        defer: load all columns but these.
        strategy: override of the automatic choice: ``"joined"`` (LEFT OUTER JOIN), ``"inner"`` (INNER JOIN: parents
            without a row vanish), ``"selectin"`` (a statement by keys), ``"subquery"`` (a statement by subquery).

    Returns:
        An immutable value for a :class:`LoadPlan` or another ``load``. Nothing is checked here: the plan that it
        ends up in reports all its problems at once.
    """
    return Load(relationship, loads, _tuple_or_none(only), _tuple_or_none(defer), strategy)


@attrs.frozen(repr=False, init=False)
class LoadPlan(Generic[T]):
    """The object graph that a use case needs, declared once.

    ``LoadPlan(User, load(User.posts))`` is a ``LoadPlan[User]``. It is an immutable value: compare it, hash it, keep
    it in a module constant, share it between tasks and threads.

    Args:
        entity: the mapped class that the graph starts at.
        *loads: its relationships, as :func:`load`.
        only: load these columns of ``entity`` and no others; its primary key comes always.
        defer: load all columns of ``entity`` but these.
        name: used in errors, explanations and logs; the name of the class by default.

    Raises:
        PlanError: with every problem of the plan. Raised here where the mappers can be configured already, which is
            nearly always; else at the first use, or by :meth:`loadplan.Loader.check`.
    """

    entity: type[T]
    loads: "tuple[Load[Any] | LoadPlan[Any], ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=_comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=_comparable)
    name: str | None = None
    _derived: dict[str, Any] = attrs.field(factory=dict, eq=False, init=False)

    def __init__(
        self,
        entity: type[T],
        *loads: "Load[Any] | LoadPlan[T]",
        only: Columns | None = None,
        defer: Columns | None = None,
        name: str | None = None,
    ) -> None:
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            entity, loads, _tuple_or_none(only), _tuple_or_none(defer), name
        )
        from loadplan.resolve import check_early

        check_early(self)

    @property
    def label(self) -> str:
        """The name, or that of the class."""
        return self.name or str(getattr(self.entity, "__name__", repr(self.entity)))

    def __repr__(self) -> str:
        return _call_source(
            "LoadPlan",
            [self.entity, *self.loads],
            {"only": self.only, "defer": self.defer, "name": self.name},
        )

    def also(self, *loads: "Load[Any] | LoadPlan[T]") -> "LoadPlan[T]":
        """Return a new plan that loads these as well.

        A relationship that both name is merged: its loads and columns together.

        Raises:
            PlanError: LP106, the two cannot hold together, as two different strategies for one relationship.
        """
        return LoadPlan(self.entity, *self.loads, *loads, only=self.only, defer=self.defer, name=self.name)

    def select(self) -> Select[Any]:
        """Return the plan as a SQLAlchemy statement of its entity, with :meth:`options` on it, to go on with by hand.

        Executed in a session of your own it loads the same graph; it neither seals nor detaches it.

        Raises:
            PlanError: LP206, something of the plan that a statement with options cannot carry.
        """
        from loadplan.entities.options import plan_select

        return plan_select(self)

    def options(self) -> tuple[ExecutableOption, ...]:
        """Return the plan as SQLAlchemy loader options, for ``select(entity).options(*plan.options())``.

        Returns:
            ``raiseload("*")``, the columns of the root, and one chain of joinedload and selectinload a relationship.

        Raises:
            PlanError: LP206, something of the plan that options cannot carry.
        """
        from loadplan.entities.options import plan_options

        return plan_options(self)
