"""The declaration: plans, :func:`load` and :func:`on`. These immutable values name the graph that a use case needs.

This module does not look at mappers. :mod:`loadplan.resolved` compares a declaration with the mapping. A
:class:`loadplan.LoadPlan` starts this as soon as the mappers can be configured.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    NoReturn,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import attrs
from sqlalchemy import BindParameter, ClauseElement, SQLColumnExpression, TextClause
from sqlalchemy.orm import Mapped, Mapper, QueryableAttribute

from loadplan.declared.called import with_usage, with_usage_of
from loadplan.declared.code import call_source, source
from loadplan.declared.mistaken import with_hints
from loadplan.declared.unknown import refuse_of_load
from loadplan.sqlalchemy_internals import criteria_of, shape_of, subtype_of

StrategyName: TypeAlias = Literal["joined", "inner", "selectin", "subquery"]
"""The values of ``strategy=``: a LEFT OUTER JOIN, an INNER JOIN, a statement by keys, a statement by subquery."""


class Entity(Protocol):
    """A mapped class for type checkers: a class with a mapper. Every declarative base has one."""

    __mapper__: ClassVar[Mapper[Any]]


class TableModel(Protocol):
    """A SQLModel class for type checkers. Only SQLModel classes have both names.

    The Protocol has a method because mypy lets the ``__getattr__`` of SQLAlchemy's attributes stand for any method, but
    not for a class variable. pyright does not accept ``__sqlmodel_relationships__`` as a class variable.
    """

    __pydantic_core_schema__: ClassVar[Any]

    def sqlmodel_update(self, obj: Any, *, update: Any = ...) -> Any:
        """Write values into the object; never called here."""


E = TypeVar("E", bound="Entity | TableModel")
M = TypeVar("M", bound=TableModel)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
V = TypeVar("V")


def comparable(value: object) -> object:
    """Return the key that a declaration uses for equality and hashing.

    For SQLAlchemy's attributes and expressions, ``==`` returns SQL. So they are compared by the names in them.
    """
    if isinstance(value, QueryableAttribute):
        carried = subtype_of(value), *map(comparable, criteria_of(value))
        return (
            (value.class_, value.key, *carried)
            if any(each is not None for each in carried)
            else (value.class_, value.key)
        )
    if isinstance(value, ClauseElement):
        return _SameExpression(value)
    if isinstance(value, list | tuple):
        return tuple(map(comparable, value))
    return value


@attrs.frozen(eq=False)
class _SameExpression:
    """A SQL expression that equals another one if both compile to the same SQL with the same values.

    ``ClauseElement.compare`` cannot be used. For two different functions of mapped columns, it raises
    ``AttributeError: 'Mapper' object has no attribute '__visit_name__'`` (SQLAlchemy 2.1.9).
    """

    expression: ClauseElement

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _SameExpression):
            return False
        ours, theirs = shape_of(self.expression), shape_of(other.expression)
        if ours is None or theirs is None:  # SQLAlchemy gives no cache key to some expressions
            return self.expression is other.expression
        return bool(ours[0] == theirs[0]) and all(
            facts_of(one) == facts_of(another) for one, another in zip(ours[1], theirs[1], strict=True)
        )

    def __hash__(self) -> int:
        return hash(type(self.expression))


def facts_of(parameter: BindParameter[Any]) -> tuple[Any, ...]:
    """Return the value of a parameter with its type and ``repr``. SQLAlchemy's cache key does not contain the value.

    ``1``, ``True`` and ``1.0`` are equal in Python, but three values in a database. Their types and ``repr`` differ.
    ``repr`` also differs for ``0.0`` and ``-0.0``, and for the decimals ``1.0`` and ``1.00``.
    """
    of_use = parameter.callable, parameter.required, parameter.expanding, parameter.unique
    return (*of_use, *_exact(parameter.value))


def _exact(value: Any) -> Iterator[Any]:
    yield type(value)
    if isinstance(value, list | tuple):
        yield len(value)
        for each in value:
            yield from _exact(each)
        return
    yield value
    yield repr(value)


class Value:
    """A part of a declaration. It never changes, so its copy is the same object."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: always, because classes and expressions of SQLAlchemy cannot be pickled.
        """
        raise TypeError(
            f"a '{type(self).__name__}' cannot be pickled, because it holds mapped attributes\n"
            "  hint: keep it in a constant of a module, and import the constant where you need it."
        )


def tuple_or_none(given: Any) -> tuple[Any, ...] | None:
    """Return one value, or several, as a tuple; None stays None."""
    if given is None:
        return None
    try:
        return tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)
    except Exception:  # the container cannot be read: the plan then reports that it is not an expression
        return (given,)


Columns: TypeAlias = Sequence[Mapped[Any]]
"""Columns of one class, as ``[Post.id, Post.title]``. ``Mapped`` is the base class of mapped attributes."""

Condition: TypeAlias = SQLColumnExpression[bool] | TextClause
"""One condition, as ``Post.published`` or ``Post.id > 3``."""

Conditions: TypeAlias = Condition | Sequence[Condition]
"""One condition, or several that must all hold."""

OrderBy: TypeAlias = SQLColumnExpression[Any]
"""One order expression, as ``Post.created_at.desc()``. ``text()`` is not allowed, because it hides the direction."""

Order: TypeAlias = OrderBy | Sequence[OrderBy]
"""One order expression, or several, most significant first."""


class OrderPath(Protocol):
    """A path as an order, for type checkers: ``source(Post.author, User.name)``."""

    @property
    def path(self) -> tuple[Any, ...]:
        """The relationships, and the value at the end."""
        ...

    @property
    def modifiers(self) -> tuple[str, ...]:
        """The directions, such as ``"desc"``."""
        ...


Bare: TypeAlias = list[Any] | tuple[Any, ...]
"""Columns of a SQLModel class, as ``[Hero.name]``, which is a ``list[str]`` to a type checker."""

Depth: TypeAlias = int | Literal["all"]
"""The number of levels of a tree, or ``"all"``."""


class LoadOptions(TypedDict, total=False):
    """The keyword arguments of :func:`load`, for type checkers."""

    only: Columns | None
    defer: Columns | None
    where: Conditions | None
    order_by: Order | OrderPath | Sequence[OrderBy | OrderPath] | None
    limit: int | None
    depth: Depth | None
    strategy: StrategyName | None
    into: Any


class TableOptions(TypedDict, total=False):
    """The keyword arguments of :func:`load` for SQLModel classes, whose attributes have plain types."""

    only: Bare | None
    defer: Bare | None
    where: Conditions | bool | Bare | None
    order_by: Any
    limit: int | None
    depth: Depth | None
    strategy: StrategyName | None
    into: Any


@with_hints("Load")
@attrs.frozen(repr=False)
class Load(Value, Generic[T_co]):
    """A relationship of a plan, with the loads below it. :func:`load` returns it.

    The type parameter is the class that the relationship leads to. You can compare, hash and share it.
    """

    relationship: QueryableAttribute[Any] | str = attrs.field(eq=comparable)
    loads: "tuple[Below, ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    where: tuple[Any, ...] | None = attrs.field(default=None, eq=comparable)
    order_by: tuple[Any, ...] | None = attrs.field(default=None, eq=comparable)
    limit: int | None = None
    depth: Depth | None = None
    strategy: StrategyName | None = None
    into: Any = None

    def __repr__(self) -> str:
        words = ("only", "defer", "where", "order_by", "limit", "depth", "strategy", "into")
        return call_source("load", [self.relationship, *self.loads], {word: getattr(self, word) for word in words})


@with_hints("On")
@attrs.frozen(repr=False)
class On(Value, Generic[T_co]):
    """The part of a plan for the objects of a subclass. :func:`on` returns it."""

    entity: type[T_co]
    loads: "tuple[Below, ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    into: Any = None

    def __repr__(self) -> str:
        words = ("only", "defer", "into")
        return call_source("on", [self.entity, *self.loads], {word: getattr(self, word) for word in words})


@with_usage("Write on(Manager, load(Manager.reports), only=[Manager.level]). Conditions belong to load(...).")
def on(
    entity: type[T],
    *loads: "Load[object] | On[object] | Plan[T]",
    only: Columns | None = None,
    defer: Columns | None = None,
    into: Any = None,
) -> On[T]:
    """Name the columns and relationships that a plan loads for the objects of a subclass.

    Args:
        entity: a subclass of the class at this place of the plan, with single-table, joined or concrete inheritance.
        *loads: its relationships, as :func:`load`.
        only: load only these columns of the subclass; by default, all columns that it adds.
        defer: load all columns that the subclass adds, except these.
        into: if the plan builds a union of views, the member to build from these rows:
            ``on(Manager, into=ManagerView)``. In the union itself, you can write
            ``Annotated[ManagerView, on(Manager)]`` instead.

    Returns:
        An immutable value for a :class:`LoadPlan` or a ``load``. The columns of the subclass come in the statement
        of the objects.
    """
    return On(entity, loads, tuple_or_none(only), tuple_or_none(defer), into)


@overload
def load(
    relationship: Mapped[Mapping[Any, E]],
    *loads: "Load[object] | On[object] | Plan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: Mapped[Collection[E]],
    *loads: "Load[object] | On[object] | Plan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: Mapped[E] | Mapped[E | None],
    *loads: "Load[object] | On[object] | Plan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: QueryableAttribute[bool],  # the type of User.posts.and_(...) for a type checker
    *loads: "Load[object] | On[object] | Plan[Any]",
    **options: Unpack[LoadOptions],
) -> Load[Any]: ...
@overload
def load(
    relationship: Collection[M] | M | None,
    *loads: "Load[object] | On[object] | Plan[M]",
    **options: Unpack[TableOptions],
) -> Load[M]: ...
@overload
def load(
    relationship: str, *loads: "Load[object] | On[object] | Plan[Any]", **options: Unpack[LoadOptions]
) -> Load[Any]: ...
@with_usage("Write load(User.posts), and nest other loads in it: load(User.posts, load(Post.tags)).")
def load(
    relationship: Any,
    *loads: "Load[object] | On[object] | Plan[Any]",
    only: Any = None,
    defer: Any = None,
    where: Any = None,
    order_by: Any = None,
    limit: int | None = None,
    depth: Depth | None = None,
    strategy: StrategyName | None = None,
    into: Any = None,
    **unknown: Any,
) -> Load[Any]:
    """Name a relationship that a plan loads, and what to load below it.

    Args:
        relationship: the mapped attribute, such as ``User.posts``. If the class does not have the attribute yet, as for
            a ``backref`` before the mappers are configured, pass its name as text. ``User.posts.and_(Post.published)``
            means the same as ``where=Post.published``, and ``User.posts.of_type(Video)`` the same as ``on(Video)``
            below it.
        *loads: what to load below it: more ``load(...)``, ``on(...)`` for subclasses, or a whole :class:`LoadPlan` of
            the target.
        only: load only these columns. Primary keys, and the foreign keys that loading needs, are always loaded.
        defer: load all columns except these.
        where: conditions on the related rows. For a value that comes with the fetch, write ``bindparam("since")``, and
            pass ``params={"since": ...}`` to the fetch. If the row of a to-one does not meet the conditions, the
            attribute is None.
        order_by: the order of a collection. The default is the order of the mapping. Rows that are equal in the order
            are sorted by their primary key. ``source(Post.author, User.name).desc()`` orders by a column of a to-one of
            the target.
        limit: load only this number of rows for each parent. It needs an order, here or in the mapping.
        depth: if a class is related to itself, the number of levels to load, or ``"all"``.
        strategy: how to load it. By default, loadplan chooses. ``"joined"`` is a LEFT OUTER JOIN. ``"inner"`` is an
            INNER JOIN, which drops parents without a row. ``"selectin"`` is a statement with the keys of the parents,
            and ``"subquery"`` a statement with the query of the parents as a subquery.
        into: in a plan of a view, the class of the items. You need it if the annotation of the field does not name the
            class. You also need it if several fields read the relationship. The load is then for the field with this
            class.
        **unknown: not supported. The error names the argument that you may mean.

    Returns:
        An immutable value for a :class:`LoadPlan` or another ``load``. The plan that contains it checks it.

    Raises:
        TypeError: ``load`` does not have this argument.
    """
    refuse_of_load(unknown, LoadOptions.__annotations__)
    return Load(
        relationship,
        loads,
        tuple_or_none(only),
        tuple_or_none(defer),
        tuple_or_none(where),
        tuple_or_none(order_by),
        limit,
        depth,
        strategy,
        into,
    )


@with_usage_of({"__init__": "Write Budget(rows=1_000, statements=3)."})
@attrs.frozen(repr=False)
class Budget:
    """The most rows and statements that a fetch may take. If it takes more, you get a warning or an error.

    Attributes:
        rows: the rows of all statements together; None for any number. A row and the rows nested in it count as one.
        statements: the number of statements; None for any number.
        error: True to raise :class:`loadplan.OverBudget`. By default, you get the warning
            :class:`loadplan.OverBudgetWarning`.
    """

    rows: int | None = None
    statements: int | None = None
    error: bool = False

    def __attrs_post_init__(self) -> None:
        for word in ("rows", "statements"):
            given: object = getattr(self, word)
            if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 0):
                raise TypeError(f"Budget({word}=) takes a whole number of 0 or more, not {given!r}.")

    def __repr__(self) -> str:
        words = {"rows": self.rows, "statements": self.statements, "error": self.error or None}
        return call_source("Budget", [], words)


@attrs.frozen(repr=False, init=False)
class Plan(Value, Generic[T]):
    """The data of a :class:`loadplan.LoadPlan`, without the calls that need the planner.

    Attributes:
        entity: the mapped class that the graph starts at.
        loads: the relationships to load, the branches for subclasses, and whole plans of the same class.
        only: the columns of ``entity`` to load.
        defer: the columns of ``entity`` to leave out.
        into: the view class that is built instead of the entity.
        name: the name of the plan, if it has one.
        typed: the Protocol whose members the plan loads.
        budget: the rows and statements that one fetch may take.
    """

    entity: type[Any]
    loads: "tuple[Below, ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    into: Any = None
    name: str | None = None
    typed: Any = None
    budget: Budget | None = None
    _derived: dict[str, Any] = attrs.field(factory=dict, eq=False, init=False)

    def written(self) -> None:
        """Do the work that follows when the plan is made. A subclass can check the plan here."""

    def like(self, *loads: "Below", only: Any = None, into: Any = None) -> Self:
        """Return a plan of the same entity with other loads. Its name is the label of this plan."""
        made = type(self).__new__(type(self))
        made.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            self.entity, loads, tuple_or_none(only), None, into, self.label, None, None
        )
        made.written()
        return made

    @property
    def label(self) -> str:
        """The name of the plan. If it has none, the name of its class."""
        named = self.entity if self.into is None else self.into
        return self.name or source(named)

    def __repr__(self) -> str:
        words = ("only", "defer", "into", "name", "typed", "budget")
        return call_source("LoadPlan", [self.entity, *self.loads], {word: getattr(self, word) for word in words})


Below: TypeAlias = Load[Any] | On[Any] | Plan[Any]
"""The arguments that a plan, a load or a branch may contain: loads, branches and plans."""
