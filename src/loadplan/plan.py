"""``LoadPlan``: the declaration, with methods that call the later stages."""

from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar, overload

import attrs
from sqlalchemy import Dialect, Engine, Select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.base import ExecutableOption

from loadplan.declared.called import with_usage_of
from loadplan.declared.mistaken import with_hints
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


@with_hints("LoadPlan")
@with_usage_of(
    {
        "__init__": "Write LoadPlan(User, load(User.posts)).",
        "for_schema": "Write LoadPlan.for_schema(Post, PostOut).",
        "for_paths": 'Write LoadPlan.for_paths(User, ["posts.title"], allowed=USER_API).',
        "narrowed_to": 'Write plan.narrowed_to(["title", "author.name"]), with all names in one list.',
        "also": "Write plan.also(load(User.posts)).",
        "select": "Write plan.select(), and add conditions to the result: plan.select().where(...).",
        "options": "Write select(User).options(*plan.options()).",
        "explain": 'Write plan.explain("postgresql"), or loader.explain(plan).',
    }
)
@attrs.frozen(repr=False, init=False)
class LoadPlan(Plan[T]):
    """The object graph that a use case needs, declared once.

    ``LoadPlan(User, load(User.posts))`` is a ``LoadPlan[User]``, and ``LoadPlan(User, into=UserCard)`` a
    ``LoadPlan[UserCard]``. It is an immutable value: compare it, hash it, keep it in a module constant, share it
    between tasks and threads.

    Args:
        entity: the mapped class that the graph starts at.
        *loads: relationships of ``entity``, as :func:`load`, and branches for its subclasses, as :func:`on`.
        only: load only these columns of ``entity``. The primary key is always loaded.
        defer: load all columns of ``entity`` except these.
        into: your own class (a *view*) to build instead of the entity: a class of attrs, dataclasses, pydantic or
            msgspec, or a NamedTuple. The plan loads the columns, hybrids and relationships that its fields name. For a
            class with subclasses, pass a union of views. A ``load`` in the plan only shapes a collection that the class
            reads.
        name: the name of the plan in errors, explanations and logs; the name of the class by default.
        typed: a Protocol that names the attributes that the plan loads. The plan is then a ``LoadPlan`` of the
            Protocol, so a type checker rejects every other attribute. At run time, the result is still the entity.
        budget: the rows and statements that a fetch may take. If it takes more, you get a warning or an error.

    Raises:
        TypeError: an argument is unknown, or ``name`` or ``budget`` has a wrong type.
        PlanError: the plan does not resolve. The error lists every problem, and is raised here. If the mappers cannot
            be configured yet, the first use of the plan or :meth:`loadplan.Loader.check` raises it.
    """

    @overload
    def __init__(
        self: "LoadPlan[V]",
        entity: type[Any],
        *loads: "Load[object] | On[object] | Plan[Any]",
        typed: type[V] | None,  # with only type[V], mypy does not accept a Protocol
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
        into: UnionType | type[Any],  # mypy reads ``A | B`` as one of these two
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
        refuse_of_plan(unknown, ("only", "defer", "into", "name", "typed", "budget"), entity)
        check_settings(name, budget)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            entity, loads, tuple_or_none(only), tuple_or_none(defer), into, name, typed, budget
        )
        self.written()

    def written(self) -> None:
        """Check the plan, if the mappers can be configured by now."""
        check_early(self)

    @staticmethod
    def for_schema(entity: type[U], schema: Any, *loads: "Load[Any]", name: str | None = None) -> "LoadPlan[U]":
        """Return a plan of *entities* that loads everything that a response model reads, at every level.

        Use it with ``PostOut.model_validate(post)``, or with ``response_model=PostOut`` of a web framework.

        Args:
            entity: the mapped class.
            schema: a class of pydantic, attrs, dataclasses or msgspec. Its fields, or their aliases if pydantic reads
                by aliases, name attributes of the entity. For a property or a hybrid, loadplan looks in its code for
                the attributes that it reads. If a class contains itself, the whole tree is loaded, unless a load sets
                the depth.
            *loads: shapes of collections that the model reads (``where``, ``order_by``, ``limit``, ``depth``), and
                further relationships to load.
            name: the name of the plan; the name of the schema by default.

        Raises:
            PlanError: the entity cannot fill some fields. The error lists all of them.
        """
        label = name or annotation_source(schema)
        found, only = loads_for_schema(entity, schema, loads, label)
        return LoadPlan(entity, *found, only=only, name=label)

    @staticmethod
    def for_paths(entity: type[U], paths: Iterable[str], *, allowed: "LoadPlan[Any]") -> "LoadPlan[U]":
        """Return a plan that loads only the given names, which may come from a request.

        ``LoadPlan.for_paths(User, ["posts.title", "posts.comments"], allowed=USER_API)`` loads users, the titles of
        their posts, and the comments of the posts as ``USER_API`` loads them. See :meth:`narrowed_to`.

        Args:
            entity: the mapped class of ``allowed``.
            paths: names of relationships and columns, with dots.
            allowed: a plan that loads everything that may be named. Its ``where=``, ``order_by=``, ``limit=`` and
                ``strategy=`` stay.

        Raises:
            PlanError: LP120, a name is not in ``allowed``. The error lists the allowed names.
        """
        return plan_for_paths(entity, paths, allowed)

    def narrowed_to(self, paths: Iterable[str]) -> "LoadPlan[Any]":
        """Return the part of the plan that loads the given names, which may come from a request.

        Every relationship that a path names is loaded. If paths name columns of a class, only these columns and the
        primary key are loaded. If they name none, all columns are loaded that the plan loads there. Conditions, orders,
        limits and strategies stay as declared.

        For a view, the result has a new class with only the named fields, made with the same library. It has the name
        of your class, but is not a subclass of it, and has none of its methods and validators.

        Equal paths, in any order, give the same plan. loadplan remembers the last 512 of them, over all plans.

        Args:
            paths: names with dots, as ``["title", "author.name"]``: attributes of entities, fields of views.

        Raises:
            PlanError: LP120, a name is not in the plan. The error lists the allowed names.
        """
        return narrowed_plan(self, wanted_of(paths, self.label))

    def also(self, *loads: "Load[object] | On[object] | Plan[Any]") -> "LoadPlan[T]":
        """Return a new plan that also loads other relationships, branches or plans.

        If this plan and ``loads`` both name a relationship, the new plan loads the columns and the loads of both.

        Raises:
            PlanError: LP106, this plan and ``loads`` disagree, for example about the strategy of a relationship.
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
        """Return the plan as a ``select()`` of SQLAlchemy with :meth:`options`, so that you can change it by hand.

        If you execute it in your session, you get the same graph. The objects are in your session, and they are not
        sealed.

        Raises:
            PlanError: LP206, options cannot express a part of the plan.
        """
        return plan_select(self)

    def options(self) -> tuple[ExecutableOption, ...]:
        """Return the plan as SQLAlchemy loader options, for ``select(entity).options(*plan.options())``.

        Returns:
            ``raiseload("*")``, the columns of the root, and a chain of joinedload and selectinload for each
            relationship.

        Raises:
            PlanError: LP206, options cannot express a part of the plan.
        """
        return plan_options(self)

    def explain(self, dialect: str | Dialect | Engine | AsyncEngine) -> Explanation:
        """Return how the plan is loaded: the tree, the strategies and the statements. Open no connection.

        Args:
            dialect: the name of a database, such as ``"postgresql"``, a SQLAlchemy dialect, or an engine.

        Raises:
            PlanError: the plan does not resolve.
            ValueError: SQLAlchemy does not know a dialect of this name.
        """
        return explain_for(self, dialect)
