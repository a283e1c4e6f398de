"""The loader: takes a plan and an id, gives a graph. The only module that waits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from sqlalchemy import ColumnElement, bindparam, select, tuple_
from sqlalchemy.orm import Session

from loadplan import mapping
from loadplan.entities.graph import CompiledGraph, Narrowing, compile_graph
from loadplan.entities.statements import AnySelect, Keys, among_keys
from loadplan.errors import LoaderError, MultipleFound, NotFound, PlanError, Problem
from loadplan.explain import Explanation, explain_graph
from loadplan.identity import Identity, IdentityReader
from loadplan.resolve import resolve_plan
from loadplan.session import Bind, private_session
from loadplan.spec import LoadPlan
from loadplan.tree import Node

T = TypeVar("T")
R = TypeVar("R")

Where: TypeAlias = ColumnElement[bool] | Sequence[ColumnElement[bool]] | None
"""A condition on the root, or several that must all hold."""

OrderBy: TypeAlias = Any | Sequence[Any] | None
"""One order expression on the root, or several, most significant first."""

ForUpdate: TypeAlias = bool | Mapping[str, Any]
"""Whether to lock the root rows; the keyword arguments of ``with_for_update`` say more."""


class Loader:
    """Fetches the graphs that plans declare.

    Args:
        bind: an ``AsyncEngine`` or ``async_sessionmaker``: each fetch takes a connection of its own, so the loader
            may be shared between tasks. An ``AsyncSession`` or ``AsyncConnection``: it runs inside the caller's
            transaction and sees its flushed work (a session that autoflushes is flushed first); nothing in the
            caller's session is touched.
        snapshot: on an engine or sessionmaker, run a plan of several statements in one REPEATABLE READ, READ ONLY
            transaction on PostgreSQL, so that a graph is never torn by a writer. It costs no round trip.

    Raises:
        LoaderError: LP408, ``bind`` is none of these.
    """

    def __init__(self, bind: Bind, *, snapshot: bool = True) -> None:
        self._bind = bind
        self._snapshot = snapshot
        private_session(bind, snapshot=snapshot)  # refuses a wrong bind here, not at the first fetch

    def __repr__(self) -> str:
        return f"Loader({type(self._bind).__name__})"

    async def fetch(self, plan: LoadPlan[T], id: object, *, for_update: ForUpdate = False) -> T:  # noqa: A002
        """Return the graph of one root, by primary key.

        Args:
            plan: what to load.
            id: a scalar; for a composite key a tuple in the mapping's order, or a mapping by attribute name.
            for_update: lock the root row, and no other, until the caller's transaction ends.

        Raises:
            NotFound: LP402, no row has that key, or a filter of the session hides it.
            IdentityError: LP404, the value cannot be that key; before any SQL.
            LoaderError: LP408, ``for_update`` without a transaction of the caller.
            PlanError: the plan does not resolve.
        """
        found = await self.fetch_or_none(plan, id, for_update=for_update)
        if found is None:
            raise _not_found(plan, [id])
        return found

    async def fetch_or_none(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        for_update: ForUpdate = False,
    ) -> T | None:
        """Return the graph of one root by primary key, or None if there is no such row. See :meth:`fetch`."""

        def prepare(compiled: CompiledGraph[T]) -> Callable[[Session], list[T]]:
            by_id = _by_id(compiled)
            parameters = by_id.bind(by_id.reader.read(id))
            graph = by_id.graph if not for_update else by_id.graph.narrowed(_locking(plan, for_update))
            return lambda session: graph.run(session, parameters)

        found = await self._run(plan, prepare, for_update=for_update)
        return found[0] if found else None

    async def fetch_many(
        self,
        plan: LoadPlan[T],
        ids: Iterable[object],
        *,
        missing: Literal["raise", "skip"] = "raise",
    ) -> list[T]:
        """Return the graphs of many roots by primary key.

        Args:
            plan: what to load.
            ids: as for :meth:`fetch`. An id given twice answers twice, with the same object.
            missing: ``"raise"`` if an id has no row, or ``"skip"`` it.

        Returns:
            The roots in the order of ``ids``. One statement for all of them on PostgreSQL, one for 500 elsewhere.

        Raises:
            NotFound: LP402, with the missing ids in ``missing``.
            IdentityError: LP404, before any SQL.
        """
        asked = list(ids)
        wanted: list[Identity] = []

        def prepare(compiled: CompiledGraph[T]) -> Callable[[Session], dict[Identity, T]]:
            by_ids = _by_ids(compiled)
            wanted.extend(map(by_ids.reader.read, asked))
            return lambda session: by_ids.run(session, list(dict.fromkeys(wanted)))

        found = await self._run(plan, prepare) if asked else {}
        absent = [each for each, identity in zip(asked, wanted, strict=True) if identity not in found] if asked else []
        if absent and missing == "raise":
            raise _not_found(plan, absent)
        return [found[identity] for identity in wanted if identity in found]

    async def fetch_one(self, plan: LoadPlan[T], where: Where, *, for_update: ForUpdate = False) -> T:
        """Return the graph of the one root that meets a condition.

        Raises:
            NotFound: LP402, no row meets it.
            MultipleFound: LP403, more than one does.
        """
        found = await self._fetch_where(plan, where, None, 2, None, for_update)
        if not found:
            raise NotFound(Problem("LP402", f"no '{plan.entity.__name__}' meets the condition", (plan.label,)))
        if len(found) > 1:
            raise MultipleFound(
                Problem(
                    "LP403",
                    f"more than one '{plan.entity.__name__}' meets the condition",
                    (plan.label,),
                    hint="narrow the condition, or use fetch_all(..., limit=1) if any one of them will do.",
                )
            )
        return found[0]

    async def fetch_all(
        self,
        plan: LoadPlan[T],
        where: Where = None,
        order_by: OrderBy = None,
        limit: int | None = None,
        offset: int | None = None,
        *,
        for_update: ForUpdate = False,
    ) -> list[T]:
        """Return the graphs of all roots that meet a condition.

        Args:
            plan: what to load.
            where: one condition on the root, or several that must all hold; None for all rows.
            order_by: one expression on the root, or several. Ties are broken by the primary key, and a limit
                without an order goes by it, so that the answer is the same every time.
            limit: roots at most. It counts roots, never joined rows.
            offset: roots to leave out first.
            for_update: lock the root rows, and no others.
        """
        return await self._fetch_where(plan, where, order_by, limit, offset, for_update)

    def explain(self, plan: LoadPlan[Any]) -> Explanation:
        """Return how a plan is loaded: tree, strategies with their reasons, every statement. Runs nothing."""
        mapper = resolve_plan(plan).root.mapper
        dialect = private_session(self._bind, snapshot=self._snapshot).dialect(mapper)
        return explain_graph(_by_id(compile_graph(plan, dialect)).graph)

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Resolve plans now, for start-up.

        Raises:
            PlanError: with the problems of all of them.
        """
        problems: list[Problem] = []
        for plan in plans:
            try:
                resolve_plan(plan)
            except PlanError as error:
                problems.extend(error.problems)
        if problems:
            raise PlanError(problems)

    async def _fetch_where(
        self,
        plan: LoadPlan[T],
        where: Where,
        order_by: OrderBy,
        limit: int | None,
        offset: int | None,
        for_update: ForUpdate,
    ) -> list[T]:
        def prepare(compiled: CompiledGraph[T]) -> Callable[[Session], list[T]]:
            graph = compiled.narrowed(_narrowing(compiled, where, order_by, limit, offset))
            if for_update:
                graph = graph.narrowed(_locking(plan, for_update))
            return lambda session: graph.run(session, {})

        return await self._run(plan, prepare, for_update=for_update)

    async def _run(
        self,
        plan: LoadPlan[T],
        prepare: Callable[[CompiledGraph[T]], Callable[[Session], R]],
        *,
        for_update: ForUpdate = False,
    ) -> R:
        """Compile, let ``prepare`` check its input and build the work, and only then open a connection."""
        private = private_session(self._bind, snapshot=self._snapshot)
        if for_update and not private.in_transaction_of_caller:
            raise _lock_without_transaction(plan)
        mapper = resolve_plan(plan).root.mapper
        compiled = compile_graph(plan, private.dialect(mapper))
        work = prepare(compiled)
        return await private.run(work, compiled.mappers, statements=1 + len(compiled.follow_ups))


# --- the conditions that a fetch puts on its roots ------------------------------------------------------------------


@attrs.frozen(eq=False)
class _ById:
    """A graph narrowed to one root by primary key; its statement is the same for every id."""

    graph: CompiledGraph[Any]
    reader: IdentityReader

    def bind(self, identity: Identity) -> dict[str, Any]:
        return {f"loadplan_id_{index}": value for index, value in enumerate(identity)}


@attrs.frozen(eq=False)
class _ByIds:
    """A graph narrowed to many roots by primary key."""

    graph: CompiledGraph[Any]
    reader: IdentityReader
    keys: Keys

    def run(self, session: Session, identities: Sequence[Identity]) -> dict[Identity, Any]:
        """Return what is found by identity, in as few executions as the keys go in."""
        keys = [identity[0] for identity in identities] if self.keys.width == 1 else list(identities)
        found: dict[Identity, Any] = {}
        for parameters in self.keys.bind(keys):
            for root in self.graph.run(session, parameters):
                found[mapping.identity_of(root)] = root
        return found


def _root_key(node: Node) -> list[Any]:
    return [getattr(node.entity, name) for name in mapping.primary_key(node.mapper)]


def _by_id(compiled: CompiledGraph[T]) -> _ById:
    by_id: _ById | None = compiled.variants.get("by id")
    if by_id is None:
        conditions = [
            column == bindparam(f"loadplan_id_{index}", type_=column.type)
            for index, column in enumerate(_root_key(compiled.root.node))
        ]
        graph = compiled.narrowed(lambda statement: statement.where(*conditions))
        by_id = compiled.variants["by id"] = _ById(graph, _reader(compiled))
    return by_id


def _by_ids(compiled: CompiledGraph[T]) -> _ByIds:
    by_ids: _ByIds | None = compiled.variants.get("by ids")
    if by_ids is None:
        keys = among_keys(_root_key(compiled.root.node), compiled.dialect)
        graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
        by_ids = compiled.variants["by ids"] = _ByIds(graph, _reader(compiled), keys)
    return by_ids


def _reader(compiled: CompiledGraph[Any]) -> IdentityReader:
    return IdentityReader(compiled.root.node.mapper, compiled.tree.label, compiled.dialect)


def _narrowing(
    compiled: CompiledGraph[Any], where: Where, order_by: OrderBy, limit: int | None, offset: int | None
) -> Narrowing:
    key = _root_key(compiled.root.node)
    conditions = _sequence(where)
    order = _sequence(order_by)
    bounded = limit is not None or offset is not None
    if order or bounded:
        order = [*order, *key]

    def narrow(statement: AnySelect) -> AnySelect:
        return statement.where(*conditions).order_by(*order).limit(limit).offset(offset)

    def narrow_by_subquery(statement: AnySelect) -> AnySelect:
        """Count roots where a join may repeat them."""
        left = key[0] if len(key) == 1 else tuple_(*key)
        return statement.where(left.in_(narrow(select(*key)))).order_by(*order)

    return narrow_by_subquery if bounded and compiled.root.unique else narrow


def _sequence(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _locking(plan: LoadPlan[Any], for_update: ForUpdate) -> Narrowing:
    options = dict(for_update) if isinstance(for_update, Mapping) else {}
    return lambda statement: statement.with_for_update(**{**options, "of": plan.entity})


def _lock_without_transaction(plan: LoadPlan[Any]) -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            "for_update= on a loader that owns its transaction",
            (plan.label,),
            detail="the lock would be gone as soon as the fetch returns.",
            hint="make the Loader with the AsyncSession, or AsyncConnection, that goes on to change the row.",
        )
    )


def _not_found(plan: LoadPlan[Any], missing: Sequence[object]) -> NotFound:
    entity = plan.entity.__name__
    shown = ", ".join(repr(each) for each in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    what = "has the primary key" if len(missing) == 1 else "has one of the primary keys"
    return NotFound(Problem("LP402", f"no '{entity}' {what} {shown}{more}", (plan.label,)), tuple(missing))
