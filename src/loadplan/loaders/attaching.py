"""Checks for graphs in the caller's session and for objects to extend, and the plan of an extension."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs
from sqlalchemy import Dialect, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from loadplan.declared.spec import Below, Load, On, tuple_or_none
from loadplan.errors import LoaderError, PlanError, Problem, shown
from loadplan.loaders.missing import gone
from loadplan.mapped import mapping
from loadplan.mapped.repeats import other_keys
from loadplan.objects.seal import Seal
from loadplan.objects.settling import GraphHome, Home, SessionHome
from loadplan.objects.wider_seal import Stay
from loadplan.plan import LoadPlan
from loadplan.resolved.parts import key_of
from loadplan.resolved.problems import safely_described
from loadplan.resolved.tree import Tree, edges_below
from loadplan.running import call_problems
from loadplan.running.binds import is_async
from loadplan.running.plans import Compiled, resolve_plan
from loadplan.sqlalchemy_internals import installed_loaders


def session_of(bind: object, call: str) -> Session:
    """Return the caller's session that a loader was made with. For an ``AsyncSession``, return its ``sync_session``.

    Raises:
        LoaderError: LP408, the loader was not made with a session.
    """
    if isinstance(bind, AsyncSession):
        return bind.sync_session
    if isinstance(bind, Session):
        return bind
    raise LoaderError(call_problems.not_a_session(call, bind))


def check_attachable(plan: LoadPlan[Any], call: str) -> None:
    """Check that the graph of a plan may be in a session.

    Raises:
        PlanError: LP221, a relationship would hold only some of its rows; LP222, the plan builds views.
    """
    if plan.into is not None:
        raise PlanError([call_problems.view_in_session(plan.label, call)])
    if found := list(_parts(resolve_plan(plan))):
        raise PlanError(found)


def _parts(tree: Tree) -> Iterator[Problem]:
    for edge in edges_below(tree.root):
        if edge.shape.partial:
            yield call_problems.part_in_session(tree.label, edge.target.path, edge.name)


def stay_in(compiled: Compiled[Any]) -> Stay:
    """Return how objects in a session are sealed, which depends on whether its driver must be awaited."""
    return Stay.ASYNC if compiled.dialect.is_async else Stay.SYNC


# --- objects to extend ----------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Given:
    """The objects to extend.

    Attributes:
        objects: the objects, in the order of the call. An object may come twice.
        is_one: whether the caller passed one object, and not a list.
        mapper: the mapper of their common class.
        session: the session of the objects; None if they are detached.
    """

    objects: Sequence[Any]
    is_one: bool
    mapper: Mapper[Any]
    session: Session | None

    @property
    def identities(self) -> list[Any]:
        """The primary key of each object, as a fetch takes it."""
        keys = [mapping.identity_of(each) for each in self.objects]
        # fetch takes a dictionary or a tuple as a composite key, so a key of one such value must stay in its tuple
        return [key[0] if len(key) == 1 and not isinstance(key[0], Mapping | tuple) else key for key in keys]

    @property
    def expired(self) -> list[str]:
        """Columns of the common class that a plan has loaded, and that a commit or a flush has expired."""
        found = {name for each in self.objects for name in _expired(each)}
        return sorted(found & _column_names(self.mapper))

    @property
    def expired_below(self) -> list[On[Any]]:
        """Branches with the expired columns that only subclasses have, for the extension."""
        found: dict[Mapper[Any], set[str]] = {}
        for each in self.objects:
            mapper = instance_state(each).mapper
            if mapper is not self.mapper and (names := _expired(each) - _column_names(self.mapper)):
                found.setdefault(mapper, set()).update(names & _column_names(mapper))
        return [
            On(mapper.class_, (), tuple(getattr(mapper.class_, name) for name in sorted(names)))
            for mapper, names in found.items()
            if names
        ]

    def home(self, stay: Stay, found: Mapping[int, Any], dialect: Dialect) -> Home:
        """Return the home for the loaded graph.

        Args:
            stay: how objects in a session are sealed.
            found: by the position of an object, the loaded root with the same key.
            dialect: the dialect of the database that has the rows.
        """
        roots: dict[int, list[Any]] = {}
        for number, each in enumerate(self.objects):
            there = roots.setdefault(id(found[number]), [])
            if all(each is not other for other in there):
                there.append(each)
        return (
            GraphHome(self.objects, roots, dialect) if self.session is None else SessionHome(self.session, stay, roots)
        )


def _expired(entity: Any) -> set[str]:
    """Return the attributes of an object that a plan has loaded and that have expired since."""
    state: InstanceState[Any] = instance_state(entity)
    loaders = installed_loaders(state)
    known = loaders.origin[2] if isinstance(loaders, Seal) else state.expired_attributes
    return set(state.expired_attributes & known)


def _column_names(mapper: Mapper[Any]) -> set[str]:
    return {prop.key for prop in mapping.column_attributes(mapper)}


def read_objects(given: object, bind: object, loads: Sequence[Any] = ()) -> Given | None:
    """Return the objects to extend; None for an empty list.

    Args:
        given: one object, or several.
        bind: the bind of the loader.
        loads: the loads of the extension. A branch for a subclass is allowed even if other classes are among the
            objects.

    Raises:
        LoaderError: LP416, a value is not a fetched object, or the objects have no common class or session.
        NotFound: LP402, an object was deleted.
    """
    is_one = isinstance(inspect(given, raiseerr=False), InstanceState)
    objects = [given] if is_one else _listed(given)
    if not objects:
        return None
    states: list[InstanceState[Any]] = []
    for each in objects:
        state = inspect(each, raiseerr=False)
        if not isinstance(state, InstanceState):
            listed = isinstance(given, Collection | Iterator)  # a model of pydantic can be iterated over, too
            what = safely_described(each if listed else given)
            raise _cannot(f"{what} is not a mapped object", "pass objects that a fetch returned.")
        states.append(state)
        name = f"a '{state.class_.__name__}'"
        if state.obj() is not each:
            raise _cannot(
                f"{name} is a shallow copy, which shares its state with the original",
                "pass the original, or copy objects with copy.deepcopy().",
                of=state,
            )
        if state.key is None:
            wait = "await " if is_async(bind) else ""
            raise _cannot(f"{name} has no row yet", f"{wait}session.flush() first.")
        if state.deleted or state.was_deleted:
            raise gone([each])
    common = _common(states, _branches(loads))
    _check_keys(states, common)
    return Given(objects, is_one, common, _session(states, bind))


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str | bytes | Mapping):
        raise _cannot(f"{shown(given)} is not a list of objects", "pass one object, or a list of them.")
    try:
        return list(given)
    except Exception as error:
        raise _cannot(
            f"{safely_described(given)} is not a mapped object", "pass one object, or a list of them."
        ) from error


def _branches(loads: Sequence[Any]) -> list[Mapper[Any]]:
    found = (inspect(each.entity, raiseerr=False) for each in loads if isinstance(each, On))
    return [each for each in found if isinstance(each, Mapper)]


def _common(states: Sequence[InstanceState[Any]], branches: Sequence[Mapper[Any]]) -> Mapper[Any]:
    """Return the mapper of the nearest common class of all objects. If possible, it is also a base of all branches."""
    common = [
        candidate
        for candidate in states[0].mapper.iterate_to_root()
        if all(state.mapper.isa(candidate) for state in states)
    ]
    for candidate in common:
        if all(each is not candidate and each.isa(candidate) for each in branches):
            return candidate
    if common:  # no common class fits the branches: the plan then reports the wrong branches
        return common[0]
    names = sorted({state.class_.__name__ for state in states})
    raise _cannot(f"the objects are of different classes: {', '.join(names)}", "call extend() once for each class.")


def _check_keys(states: Sequence[InstanceState[Any]], common: Mapper[Any]) -> None:
    """Check that each object has the key of the common class. Tables of concrete classes may name it differently."""
    if not other_keys(common):
        return
    names = mapping.primary_key(common)
    for state in states:
        if (own := mapping.primary_key(state.mapper)) != names:
            raise _cannot(
                f"'{state.class_.__name__}' and '{common.class_.__name__}' name their primary keys differently",
                "call extend() once for each class.",
                f"the names are {', '.join(own)} and {', '.join(names)}.",
                of=state,
            )


def _session(states: Sequence[InstanceState[Any]], bind: object) -> Session | None:
    """Return the session of all objects, which must be the loader's session; None if all objects are detached."""
    sessions = {id(state.session): state.session for state in states}
    if len(sessions) > 1:
        inside = next(state for state in states if state.session is not None)
        raise _cannot(
            "some of the objects are in a session, and others are not in it",
            "call extend() once for the objects of each session, and once for detached ones.",
            f"one of those in a session is a '{inside.class_.__name__}'.",
            of=inside,
        )
    (found,) = sessions.values()
    ours = bind.sync_session if isinstance(bind, AsyncSession) else bind
    if found is not None and found is not ours:
        raise _cannot(
            f"the '{states[0].class_.__name__}' is in a session that is not the one of this loader",
            f"make the loader with that session: {'Loader' if is_async(bind) else 'SyncLoader'}(session).extend(...).",
            of=states[0],
        )
    return found


def _cannot(what: str, hint: str, detail: str | None = None, of: InstanceState[Any] | None = None) -> LoaderError:
    """Return the error LP416. ``of`` is the object that the error is about, which may know the plan that loaded it."""
    loaders = None if of is None else installed_loaders(of)
    at = loaders.where() if isinstance(loaders, Seal) else ()
    message = f"extend() cannot use what it was given: {what}"
    return LoaderError(Problem("LP416", message, at, detail=detail, hint=hint))


def _nothing() -> LoaderError:
    return _cannot("nothing to load", "name the missing relationships or columns: extend(objects, load(User.posts)).")


# --- the plan of an extension ---------------------------------------------------------------------------------------


def extension(objects: Given, loads: Sequence[Any], only: Any) -> LoadPlan[Any]:
    """Return the plan that loads the missing attributes of objects. Equal arguments return the same plan.

    Raises:
        PlanError: the plan does not resolve.
        LoaderError: LP416, the plan would load nothing.
    """
    given = tuple_or_none(only) or ()
    mapper, expired, below = objects.mapper, objects.expired, objects.expired_below
    if not (loads or given or expired or below):
        raise _nothing()
    return _extending(mapper, (*loads, *below), given, expired)


def extension_by(plan: LoadPlan[Any]) -> LoadPlan[Any]:
    """Return the plan of ``extend(objects, *plan.loads, only=plan.only)``, for objects without expired attributes.

    Raises:
        LoaderError: LP416, the plan has an argument that ``extend`` does not take, or loads nothing.
    """
    if plan.into is not None or plan.defer is not None:
        word = "defer" if plan.into is None else "into"
        raise _cannot(f"the plan has {word}=", f"leave out {word}=. extend() takes loads and only=.")
    if not (plan.loads or plan.only):
        raise _nothing()
    return _extending(resolve_plan(plan).root.mapper, plan.loads, plan.only or ())


def _extending(
    mapper: Mapper[Any], loads: Sequence[Any], only: Iterable[Any], expired: Sequence[str] = ()
) -> LoadPlan[Any]:
    """Return a plan with loads and columns, for objects that loadplan finds by their primary keys."""
    entity = mapper.class_
    columns = [getattr(entity, name) for name in (*mapping.primary_key(mapper), *expired)]
    return _remembered(On(entity, tuple(loads), (*columns, *only)), None)


def in_fewer_statements(plan: LoadPlan[Any]) -> LoadPlan[Any] | None:
    """Return an extension whose first collection is joined to the rows of the objects; None if that is not possible.

    This plan sends one statement for each new relationship and no other, and still notices deleted rows of the objects.
    """
    for edge in resolve_plan(plan).root.relationships:
        shape = edge.shape
        is_plain = shape.order_by is None and shape.limit is None and shape.depth is None
        if not edge.cardinality.to_one and edge.asked is None and is_plain:
            return _remembered(On(plan.entity, plan.loads, plan.only), edge.key)
    return None


def _remembered(declared: On[Any], joined: str | None) -> LoadPlan[Any]:
    try:
        return _plan_of(declared, joined)
    except TypeError:  # an argument cannot be hashed: the plan reports it
        return _plan_of.__wrapped__(declared, joined)


@lru_cache(maxsize=512)
def _plan_of(declared: On[Any], joined: str | None) -> LoadPlan[Any]:
    loads = tuple(_joined(each) if _is(each, joined) else each for each in declared.loads)
    name = f"extend({declared.entity.__name__})"
    return LoadPlan(declared.entity, *loads, only=declared.only, name=name)


def _is(load: Below, key: str | None) -> bool:
    return key is not None and isinstance(load, Load) and key_of(load) == key


def _joined(load: Any) -> Any:
    return attrs.evolve(load, strategy="joined")
