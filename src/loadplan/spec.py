"""The declaration: :class:`LoadPlan` and :func:`load`, immutable values that say which graph a use case needs.

Nothing here looks at a mapper. A plan calls :mod:`loadplan.resolve` on itself as soon as its mappers can be configured;
that module finds out what the declaration means.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import attrs
from sqlalchemy import ClauseElement, Dialect, Engine, Select, SQLColumnExpression, TextClause
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, Mapper, QueryableAttribute
from sqlalchemy.sql.base import ExecutableOption

from loadplan.code import call_source, source
from loadplan.sqlalchemy_internals import criteria_of, shape_of, subtype_of

if TYPE_CHECKING:
    from loadplan.explain import Explanation

StrategyName: TypeAlias = Literal["joined", "inner", "selectin", "subquery"]
"""What ``strategy=`` takes: a LEFT OUTER JOIN, an INNER JOIN, a statement by keys, a statement by subquery."""


class Entity(Protocol):
    """What a type checker can know of a mapped class: it has a mapper. Every declarative base does."""

    __mapper__: ClassVar[Mapper[Any]]


class TableModel(Protocol):
    """What a type checker can know of a SQLModel class: no other class has both names.

    mypy takes the ``__getattr__`` of SQLAlchemy's attributes for any method, but not for a class variable. pyright
    does not see that ``__sqlmodel_relationships__`` is one.
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
    """Return what equality and hashing of a declaration go by.

    SQLAlchemy's attributes and expressions answer ``==`` with SQL, so they are compared by what they name.
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
    """A SQL expression that equals another one when both would compile to the same SQL, with the same values.

    ``ClauseElement.compare`` does not serve: two functions of mapped columns that differ make it raise
    ``AttributeError: 'Mapper' object has no attribute '__visit_name__'`` (SQLAlchemy 2.1.9).
    """

    expression: ClauseElement

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _SameExpression):
            return False
        ours, theirs = shape_of(self.expression), shape_of(other.expression)
        if ours is None or theirs is None:  # what SQLAlchemy does not cache has no shape
            return self.expression is other.expression
        return bool(ours[0] == theirs[0]) and all(
            bool(one.value == another.value) for one, another in zip(ours[1], theirs[1], strict=True)
        )

    def __hash__(self) -> int:
        return hash(type(self.expression))


def tuple_or_none(given: Any) -> tuple[Any, ...] | None:
    """Return one value, or several, as a tuple; None stays None."""
    if given is None:
        return None
    try:
        return tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)
    except Exception:  # a container of somebody's own that cannot be read is no expression, and is told so
        return (given,)


Columns: TypeAlias = Sequence[Mapped[Any]]
"""Columns of one class, as ``[Post.id, Post.title]``. ``Mapped`` is the base class of mapped attributes."""

Condition: TypeAlias = SQLColumnExpression[bool] | TextClause
"""One condition, as ``Post.published`` or ``Post.id > 3``."""

Conditions: TypeAlias = Condition | Sequence[Condition]
"""One condition, or several that must all hold."""

OrderBy: TypeAlias = SQLColumnExpression[Any] | TextClause
"""One order expression, as ``Post.created_at.desc()``."""

Order: TypeAlias = OrderBy | Sequence[OrderBy]
"""One order expression, or several, most significant first."""

Bare: TypeAlias = list[Any] | tuple[Any, ...]
"""Columns of a SQLModel class, as ``[Hero.name]``, which is a ``list[str]`` to a type checker."""

Depth: TypeAlias = int | Literal["all"]
"""Levels of a tree."""


class LoadOptions(TypedDict, total=False):
    """The keyword arguments of :func:`load`, for type checkers."""

    only: Columns | None
    defer: Columns | None
    where: Conditions | None
    order_by: Order | None
    limit: int | None
    depth: Depth | None
    strategy: StrategyName | None
    into: Any


class TableOptions(TypedDict, total=False):
    """The same for SQLModel classes, whose attributes are plain values to a type checker."""

    only: Bare | None
    defer: Bare | None
    where: Conditions | bool | Bare | None
    order_by: Any
    limit: int | None
    depth: Depth | None
    strategy: StrategyName | None
    into: Any


@attrs.frozen(repr=False)
class Load(Generic[T_co]):
    """One relationship of a plan and what hangs below it: what :func:`load` returns.

    The parameter is the class at the far end. Compare, hash and share it freely; it holds no state.
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


@attrs.frozen(repr=False)
class On(Generic[T_co]):
    """What to load of the objects at a place that are of a subclass: what :func:`on` returns."""

    entity: type[T_co]
    loads: "tuple[Below, ...]" = ()
    only: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    defer: tuple[QueryableAttribute[Any], ...] | None = attrs.field(default=None, eq=comparable)
    into: Any = None

    def __repr__(self) -> str:
        words = ("only", "defer", "into")
        return call_source("on", [self.entity, *self.loads], {word: getattr(self, word) for word in words})


def on(
    entity: type[T],
    *loads: "Load[object] | On[object] | LoadPlan[T]",
    only: Columns | None = None,
    defer: Columns | None = None,
    into: Any = None,
) -> On[T]:
    """Name what a plan loads of those objects at a place that are of a subclass.

    Args:
        entity: a subclass of the class at that place: single-table, joined or concrete inheritance.
        *loads: its relationships, as :func:`load`.
        only: these columns of it; all that the subclass adds by default.
        defer: all columns that it adds but these.
        into: the member of a union of view classes that these rows become, as ``on(Manager, into=ManagerView)``.
            ``Annotated[ManagerView, on(Manager)]`` says the same within the union.

    Returns:
        An immutable value for a :class:`LoadPlan` or a ``load``. Of entities it takes one statement, however many
        objects of the subclass there are, and none if there is none.
    """
    return On(entity, loads, tuple_or_none(only), tuple_or_none(defer), into)


@overload
def load(
    relationship: Mapped[Mapping[Any, E]],
    *loads: "Load[object] | On[object] | LoadPlan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: Mapped[Collection[E]],
    *loads: "Load[object] | On[object] | LoadPlan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: Mapped[E] | Mapped[E | None],
    *loads: "Load[object] | On[object] | LoadPlan[E]",
    **options: Unpack[LoadOptions],
) -> Load[E]: ...
@overload
def load(
    relationship: QueryableAttribute[bool],  # what a type checker takes User.posts.and_(...) for
    *loads: "Load[object] | On[object] | LoadPlan[Any]",
    **options: Unpack[LoadOptions],
) -> Load[Any]: ...
@overload
def load(
    relationship: Collection[M] | M | None,
    *loads: "Load[object] | On[object] | LoadPlan[M]",
    **options: Unpack[TableOptions],
) -> Load[M]: ...
@overload
def load(
    relationship: str, *loads: "Load[object] | On[object] | LoadPlan[Any]", **options: Unpack[LoadOptions]
) -> Load[Any]: ...
def load(
    relationship: Any,
    *loads: "Load[object] | On[object] | LoadPlan[Any]",
    only: Any = None,
    defer: Any = None,
    where: Any = None,
    order_by: Any = None,
    limit: int | None = None,
    depth: Depth | None = None,
    strategy: StrategyName | None = None,
    into: Any = None,
) -> Load[Any]:
    """Name a relationship that a plan loads, and what to load of its target.

    Args:
        relationship: the mapped attribute, as ``User.posts``. A name serves where the class does not have the
            attribute yet, as for a ``backref`` before the mappers are configured; it is checked just the same.
            ``User.posts.and_(Post.published)`` says the same as ``where=Post.published``, and
            ``User.posts.of_type(Video)`` the same as ``on(Video)`` below it.
        *loads: relationships of the target, as more ``load(...)``, branches for its subclasses, as ``on(...)``, or a
            whole :class:`LoadPlan` of the target.
        only: load these columns and no others; primary keys, and the keys that loading goes by, come always.
        defer: load all columns but these.
        where: which related rows: conditions on the target. They may hold ``bindparam("since")``, whose value comes
            with the fetch as ``params={"since": ...}``. On a to-one a row that fails them leaves None.
        order_by: order of a collection; without it the order of the mapping holds. Ties go by the primary key.
        limit: the first so many rows of each parent; needs an order, given or mapped.
        depth: of a relationship of a class with itself: that many levels, or ``"all"``.
        strategy: override of the automatic choice: ``"joined"`` (LEFT OUTER JOIN), ``"inner"`` (INNER JOIN: parents
            without a row vanish), ``"selectin"`` (a statement by keys), ``"subquery"`` (a statement by subquery).
        into: below a plan with ``into=``: the class of the items. It is needed where the field's annotation leaves
            that open, and where several fields read one relationship: the load is for the one with that class.

    Returns:
        An immutable value for a :class:`LoadPlan` or another ``load``. Nothing is checked here: the plan that it
        ends up in reports all its problems at once.
    """
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


@attrs.frozen(repr=False)
class Budget:
    """The most that one fetch of a plan may take. A fetch that takes more warns or raises; see :class:`LoadPlan`.

    Args:
        rows: over all statements; rows within nested arrays are part of their parents'.
        statements: that are sent.
        error: raise :class:`loadplan.OverBudget` where a fetch takes more; by default it is a warning of that category.
    """

    rows: int | None = None
    statements: int | None = None
    error: bool = False

    def __repr__(self) -> str:
        words = {"rows": self.rows, "statements": self.statements, "error": self.error or None}
        return call_source("Budget", [], words)


@attrs.frozen(repr=False, init=False)
class LoadPlan(Generic[T]):
    """The object graph that a use case needs, declared once.

    ``LoadPlan(User, load(User.posts))`` is a ``LoadPlan[User]``, and ``LoadPlan(User, into=UserCard)`` a
    ``LoadPlan[UserCard]``. It is an immutable value: compare it, hash it, keep it in a module constant, share it
    between tasks and threads.

    Args:
        entity: the mapped class that the graph starts at.
        *loads: its relationships, as :func:`load`, and branches for its subclasses, as :func:`on`.
        only: load these columns of ``entity`` and no others; its primary key comes always.
        defer: load all columns of ``entity`` but these.
        into: a view, built instead of the entity: a class of attrs, dataclasses, pydantic or msgspec, or a NamedTuple.
            Its fields name columns, hybrids and relationships of the entity. A union of views serves the subclasses of
            the entity. The class is the plan then; a ``load`` beside it shapes a collection that it
            reads.
        name: used in errors, explanations and logs; the name of the class by default.
        typed: a Protocol that names the attributes that the plan loads. The plan is a ``LoadPlan`` of it, so a type
            checker rejects every other attribute of what is fetched. The result is still the entity.
        budget: the rows and statements that a fetch may take; more is a warning, or an error.

    Raises:
        PlanError: with every problem of the plan. Raised here where the mappers can be configured already, which is
            nearly always; else at the first use, or by :meth:`loadplan.Loader.check`.
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

    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | LoadPlan[Any]",
        typed: type[V] | None,  # for type[V] alone mypy wants a class that is no Protocol
        only: Columns | Bare | None = None,
        defer: Columns | Bare | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[U]",
        entity: type[U],
        *loads: "Load[object] | On[object] | LoadPlan[U]",
        only: Columns | None = None,
        defer: Columns | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[M]",
        entity: type[M],
        *loads: "Load[object] | On[object] | LoadPlan[M]",
        only: Bare | None = None,
        defer: Bare | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | LoadPlan[Any]",
        into: type[V],
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[Any]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | LoadPlan[Any]",
        into: UnionType | type[Any],  # mypy takes ``A | B`` for either
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    def __init__(
        self,
        entity: type[Any],
        *loads: "Load[object] | On[object] | LoadPlan[Any]",
        only: Any = None,
        defer: Any = None,
        into: Any = None,
        name: str | None = None,
        typed: Any = None,
        budget: Budget | None = None,
    ) -> None:
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            entity, loads, tuple_or_none(only), tuple_or_none(defer), into, name, typed, budget
        )
        from loadplan.plans import check_early

        check_early(self)

    @property
    def label(self) -> str:
        """The name, or the name of the class."""
        named = self.entity if self.into is None else self.into
        return self.name or source(named)

    def __repr__(self) -> str:
        words = ("only", "defer", "into", "name", "typed", "budget")
        return call_source("LoadPlan", [self.entity, *self.loads], {word: getattr(self, word) for word in words})

    @staticmethod
    def for_schema(entity: type[U], schema: Any, *loads: "Load[Any]", name: str | None = None) -> "LoadPlan[U]":
        """Return the plan of *entities* that loads what a response model reads of them, to the bottom.

        ``PostOut.model_validate(post)``, or a web framework's ``response_model=PostOut``, then finds all it asks for.

        Args:
            entity: the mapped class.
            schema: a class of pydantic, attrs, dataclasses or msgspec, whose fields name attributes of the entity; by
                their aliases where pydantic reads by those. Properties and hybrids are read as far as the names in
                their code tell. A tree of a class with itself is loaded whole, unless a load says how deep.
            *loads: shapes of collections that the model reads (``where``, ``order_by``, ``limit``, ``depth``), and
                relationships to load besides.
            name: of the plan; the name of the schema by default.

        Raises:
            PlanError: with every field that the entity cannot fill.
        """
        from loadplan.schemas import plan_for_schema

        return plan_for_schema(entity, schema, loads, name)

    @staticmethod
    def for_paths(entity: type[U], paths: Iterable[str], *, allowed: "LoadPlan[Any]") -> "LoadPlan[U]":
        """Return the plan that loads what names from outside ask for, within a plan that you declared.

        ``LoadPlan.for_paths(User, ["posts.title", "posts.comments"], allowed=USER_API)`` loads users, of their posts
        the title, and their comments as ``USER_API`` loads them. See :meth:`narrowed_to`.

        Args:
            entity: the mapped class; the one of ``allowed``.
            paths: names of relationships and columns, with dots.
            allowed: all that may be named. Its ``where=``, ``order_by=``, ``limit=`` and ``strategy=`` hold.

        Raises:
            PlanError: LP120, a name is not in ``allowed``; the error lists what is.
        """
        from loadplan.narrowing import plan_for_paths

        return plan_for_paths(entity, paths, allowed)

    def narrowed_to(self, paths: Iterable[str]) -> "LoadPlan[Any]":
        """Return the part of the plan that loads what names from outside ask for.

        A relationship comes if a path goes through it or ends at it. A place of which a path names columns loads
        those; any other place loads all columns that the plan loads there. Primary keys always come. Conditions,
        orders, limits and strategies stay as declared.

        Of a view the result is a class of the same library with the named fields alone. It has the name of the view
        class and is no subclass of it: its methods and validators stay behind.

        Equal paths, in any order, give the same plan while it is remembered: the last 512 are, over all plans.

        Args:
            paths: names with dots, as ``["title", "author.name"]``: attributes of entities, fields of views.

        Raises:
            PlanError: LP120, a name is not in the plan; the error lists what is.
        """
        from loadplan.narrowing import narrowed_plan, wanted_of

        return narrowed_plan(self, wanted_of(paths, self.label))

    def also(self, *loads: "Load[object] | On[object] | LoadPlan[Any]") -> "LoadPlan[T]":
        """Return a new plan that loads these as well.

        A relationship that both name is merged: its loads and columns together.

        Raises:
            PlanError: LP106, the two cannot hold together, as two different strategies for one relationship.
        """
        if self.into is not None:
            return LoadPlan(self.entity, *self.loads, *loads, into=self.into, name=self.name, budget=self.budget)
        more = (*self.loads, *loads)
        return LoadPlan(
            self.entity,
            *more,
            typed=self.typed,
            only=self.only,
            defer=self.defer,
            name=self.name,
            budget=self.budget,
        )

    def select(self) -> Select[Any]:
        """Return the plan as a SQLAlchemy statement of its entity, with :meth:`options` on it, to go on with by hand.

        If you execute it in your session, it loads the same graph. It neither seals nor detaches it.

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

    def explain(self, dialect: str | Dialect | Engine | AsyncEngine) -> "Explanation":
        """Return how the plan is loaded: tree, strategies with their reasons, every statement. Opens no connection.

        Args:
            dialect: the kind of database, as ``"postgresql"``; or a SQLAlchemy dialect, or an engine.

        Raises:
            PlanError: the plan does not resolve.
            ValueError: SQLAlchemy knows no dialect of that name.
        """
        from loadplan.dialects import explain_for

        return explain_for(self, dialect)


Below: TypeAlias = Load[Any] | On[Any] | LoadPlan[Any]
"""What may hang below a place of a plan."""
