"""``LoadPlan``: the declaration with its conveniences, above the stages that they call."""

from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar, overload

import attrs
from sqlalchemy import Dialect, Engine, Select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.base import ExecutableOption

from loadplan.declared.spec import Bare, Budget, Columns, Load, On, Plan, TableModel, tuple_or_none
from loadplan.declared.unknown import check_settings, refuse_of_plan
from loadplan.explained.dialects import explain_for
from loadplan.explained.explanation import Explanation
from loadplan.resolved.narrowing import narrowed_plan, plan_for_paths, wanted_of
from loadplan.resolved.schemas import loads_for_schema
from loadplan.running.plans import check_early
from loadplan.statements.options import plan_options, plan_select
from loadplan.view_classes.annotations import annotation_source

M = TypeVar("M", bound=TableModel)
T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


@attrs.frozen(repr=False, init=False)
class LoadPlan(Plan[T]):
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
        TypeError: an argument that there is not, or a name or budget that is none.
        PlanError: with every problem of the plan. Raised here where the mappers can be configured already, which is
            nearly always; else at the first use, or by :meth:`loadplan.Loader.check`.
    """

    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | Plan[Any]",
        typed: type[V] | None,  # for type[V] alone mypy wants a class that is no Protocol
        only: Columns | None = None,
        defer: Columns | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[M],
        *loads: "Load[object] | On[object] | Plan[Any]",
        typed: type[V] | None,
        only: Bare | None = None,
        defer: Bare | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[U]",
        entity: type[U],
        *loads: "Load[object] | On[object] | Plan[U]",
        only: Columns | None = None,
        defer: Columns | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[M]",
        entity: type[M],
        *loads: "Load[object] | On[object] | Plan[M]",
        only: Bare | None = None,
        defer: Bare | None = None,
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | Plan[Any]",
        into: type[V],
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "LoadPlan[Any]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | Plan[Any]",
        into: UnionType | type[Any],  # mypy takes ``A | B`` for either
        name: str | None = None,
        budget: Budget | None = None,
    ) -> None: ...
    def __init__(
        self,
        entity: type[Any],
        *loads: "Load[object] | On[object] | Plan[Any]",
        only: Any = None,
        defer: Any = None,
        into: Any = None,
        name: str | None = None,
        typed: Any = None,
        budget: Budget | None = None,
        **unknown: Any,
    ) -> None:
        refuse_of_plan(unknown, ("only", "defer", "into", "name", "typed", "budget"))
        check_settings(name, budget)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            entity, loads, tuple_or_none(only), tuple_or_none(defer), into, name, typed, budget
        )
        self.written()

    def written(self) -> None:
        """Check the plan, where the mappers can be configured by now."""
        check_early(self)

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
        label = name or annotation_source(schema)
        found, only = loads_for_schema(entity, schema, loads, label)
        return LoadPlan(entity, *found, only=only, name=label)

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
        return narrowed_plan(self, wanted_of(paths, self.label))

    def also(self, *loads: "Load[object] | On[object] | Plan[Any]") -> "LoadPlan[T]":
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
        return plan_select(self)

    def options(self) -> tuple[ExecutableOption, ...]:
        """Return the plan as SQLAlchemy loader options, for ``select(entity).options(*plan.options())``.

        Returns:
            ``raiseload("*")``, the columns of the root, and one chain of joinedload and selectinload a relationship.

        Raises:
            PlanError: LP206, something of the plan that options cannot carry.
        """
        return plan_options(self)

    def explain(self, dialect: str | Dialect | Engine | AsyncEngine) -> Explanation:
        """Return how the plan is loaded: tree, strategies with their reasons, every statement. Opens no connection.

        Args:
            dialect: the kind of database, as ``"postgresql"``; or a SQLAlchemy dialect, or an engine.

        Raises:
            PlanError: the plan does not resolve.
            ValueError: SQLAlchemy knows no dialect of that name.
        """
        return explain_for(self, dialect)
