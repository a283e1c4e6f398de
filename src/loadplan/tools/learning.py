"""Plans learned from code: loadplan runs the code, fetches what it reads, and prints the plan that loads it.

Only for development: if an attribute is missing, a second connection fetches it, and the code waits. With an
asynchronous engine, this happens in another thread.
"""

import asyncio
import inspect
import threading
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
from sqlalchemy import Engine, SingletonThreadPool, StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import RelationshipProperty, sessionmaker
from sqlalchemy.orm.attributes import set_committed_value

from loadplan.declared.spec import load
from loadplan.errors import LoaderError, NotLoaded, Problem, counted
from loadplan.loaders.loader import Loader
from loadplan.loaders.sync_loader import SyncLoader
from loadplan.mapped import mapping
from loadplan.plan import LoadPlan
from loadplan.running.tally import watchers
from loadplan.sqlalchemy_internals import items_of
from loadplan.tools.printing import plan_code
from loadplan.tools.targets import import_target
from loadplan.tools.together import Missing, lines_to_add, name_of, plan_at
from loadplan.tools.wanted import Step, Wanted, step_named
from loadplan.tools.watching import Get, watching

T = TypeVar("T")


async def learn(
    loader: Loader,
    start: type[T] | LoadPlan[T],
    id: object,  # noqa: A002 - as fetch has it
    handler: Callable[[T], object | Awaitable[object]],
    *,
    columns: bool = False,
    name: str | None = None,
    quiet: bool = False,
) -> LoadPlan[T]:
    """Run your code, see which attributes it reads, and print the plan that loads them. For development.

    Args:
        loader: a loader on an engine or a sessionmaker. Missing attributes come through a second connection, which sees
            only committed rows.
        start: the class that the graph starts at; or a plan, for example from an earlier run. The new plan then also
            loads everything that this plan loads.
        id: the id of the root, as for :meth:`loadplan.Loader.fetch`.
        handler: your code: a function or a coroutine function, which gets the root.
        columns: name the columns that your code reads, too. By default, the plan loads all columns.
        name: the name of the plan.
        quiet: print nothing.

    Returns:
        The plan. To cover several runs, pass it to the next run.

    Raises:
        LoaderError: LP408, the loader has a session or a connection, or its database is in memory.
    """
    engine = _engine_of(loader, "learn", Loader)
    before = _plan_before(start)
    root = await loader.fetch(before, id)
    learner = _learner(engine, before, root, columns=columns)
    with watching(learner.read):
        done = handler(root)
        if inspect.isawaitable(done):
            await done
    return _learned(learner, start, columns=columns, name=name, quiet=quiet)


def learn_sync(
    loader: SyncLoader,
    start: type[T] | LoadPlan[T],
    id: object,  # noqa: A002 - as fetch has it
    handler: Callable[[T], object],
    *,
    columns: bool = False,
    name: str | None = None,
    quiet: bool = False,
) -> LoadPlan[T]:
    """Run your code, see which attributes it reads, and print the plan that loads them. See :func:`learn`.

    Args:
        loader: a loader on an engine or a sessionmaker.
        start: the class that the graph starts at; or a plan.
        id: the id of the root.
        handler: your code: a function, which gets the root.
        columns: name the columns that your code reads, too.
        name: the name of the plan.
        quiet: print nothing.

    Raises:
        LoaderError: LP408, the loader has a session or a connection, or its database is in memory; or the handler is
            a coroutine function.
    """
    engine = _engine_of(loader, "learn_sync", SyncLoader)
    before = _plan_before(start)
    learner = _learner(engine, before, root := loader.fetch(before, id), columns=columns)
    with watching(learner.read):
        done = handler(root)
    if inspect.iscoroutine(done):
        done.close()
        message = "learn_sync() cannot wait for a coroutine"
        raise LoaderError(Problem("LP408", message, hint="use learn() with a Loader, or pass a plain function."))
    return _learned(learner, start, columns=columns, name=name, quiet=quiet)


def _plan_before(start: type[T] | LoadPlan[T]) -> LoadPlan[T]:
    """Return the plan for the graph that the code starts with."""
    return start if isinstance(start, LoadPlan) else LoadPlan(start)


def _learner(engine: Engine, before: LoadPlan[Any], root: object, *, columns: bool) -> "Learner":
    mapper = mapping.mapper_of(before.entity)
    assert mapper is not None  # noqa: S101 - the plan resolved
    learner = Learner(engine, Wanted(mapper), columns=columns)
    learner.met(root, ())
    return learner


def _learned(
    learner: "Learner", start: type[T] | LoadPlan[T], *, columns: bool, name: str | None, quiet: bool
) -> LoadPlan[T]:
    """Return the plan for the attributes that the code has read, and print it."""
    plan: LoadPlan[T]
    if isinstance(start, LoadPlan):
        plan = learner.wanted.added_to(start)
    else:
        plan = LoadPlan(start, *learner.wanted.loads(columns=columns), only=learner.wanted.only(columns=columns))
    if name is not None:
        plan = _named(plan, name)
    if not quiet:
        print(plan_code(plan, "PLAN"))
    return plan


def _named(plan: LoadPlan[T], name: str) -> LoadPlan[T]:
    return LoadPlan(plan.entity, *plan.loads, only=plan.only, defer=plan.defer, name=name, budget=plan.budget)


class Learner:
    """Loads the attributes that code reads, and notes each with the path from the root.

    Args:
        engine: the engine for the second connection.
        wanted: the root's place, with notes on every attribute that was read.
        columns: whether to note columns that are loaded, too.
    """

    def __init__(self, engine: Engine, wanted: Wanted, *, columns: bool) -> None:
        self.wanted = wanted
        self._engine = engine
        self._columns = columns
        self._paths: dict[int, tuple[Step, ...]] = {}
        self._alive: list[object] = []  # keep the object alive, so that no other object gets its id

    def met(self, instance: object, path: tuple[Step, ...]) -> None:
        """Note the path on which the code came to an object. The last path counts."""
        if id(instance) not in self._paths:
            self._alive.append(instance)
        self._paths[id(instance)] = path

    def read(self, read: Get, attribute: Any, instance: Any) -> Any:
        """Return the value of an attribute, fetched if the graph does not have it."""
        path = self._paths.get(id(instance))
        if path is None:
            return read(attribute, instance)
        prop = attribute.property
        step: Step = (prop.parent.class_, prop.key)
        missing = False
        try:
            value = read(attribute, instance)
        except NotLoaded as error:
            if not error.add:
                raise
            missing = True
            fetch_missing(self._engine, instance, error.attribute)
            value = read(attribute, instance)
        if not isinstance(prop, RelationshipProperty):
            if missing or self._columns:
                self.wanted.at(path).columns[step] = None
            return value
        children = list(items_of(prop, value))
        if len(children) == 1 and not prop.uselist and self._is_above(children[0], path):
            return value  # the relationship leads back to the object that the code came from
        self.wanted.at(path).edge(step)
        for child in children:
            self.met(child, (*path, step))
        return value

    def _is_above(self, value: object, path: tuple[Step, ...]) -> bool:
        above = self._paths.get(id(value))
        return above is not None and len(above) < len(path) and path[: len(above)] == above


#: The name of the plans that fetch missing attributes. They are not plans of the application.
FETCHED = "loadplan learn"


def fetch_missing(engine: Engine, instance: Any, key: str) -> list[Any]:
    """Fetch an attribute of an object by a second connection, and set it on the object.

    Returns:
        The objects that came, if the attribute is a relationship.

    Raises:
        NotFound: LP402, the object's row is not there, or is not committed yet.
    """
    mapper = mapping.mapper_of(type(instance))
    assert mapper is not None  # noqa: S101 - only mapped objects are sealed
    entity = mapper.class_
    is_relationship = key in mapper.relationships
    attribute = getattr(entity, key)
    loads = [load(attribute)] if is_relationship else []
    plan = LoadPlan(entity, *loads, only=None if is_relationship else [attribute], name=FETCHED)
    identity: Any = mapping.identity_of(instance)
    fetch = _in_thread if engine.dialect.is_async else _at_once
    twin: Any = fetch(engine, plan, identity if len(identity) > 1 else identity[0])
    value = twin.__dict__[key]
    children: list[Any] = []
    if is_relationship:
        prop = mapper.relationships[key]
        children = list(items_of(prop, value))
        reverse = mapping.reverse_of(prop)
        for child in children:
            if reverse is not None and child.__dict__.get(reverse.key) is twin:
                set_committed_value(child, reverse.key, instance)
        value = children if isinstance(value, list | set) else value
    set_committed_value(instance, key, value)
    return children


def _second(engine: Engine) -> Engine:
    """Return an engine on the same database with a separate pool, so that it takes no connection from the caller."""
    return Engine(engine.pool.recreate(), engine.dialect, engine.url)


def _at_once(engine: Engine, plan: LoadPlan[Any], identity: object) -> Any:
    second = _second(engine)
    try:
        return SyncLoader(second).fetch(plan, identity)
    finally:
        second.dispose()


def _in_thread(engine: Engine, plan: LoadPlan[Any], identity: object) -> Any:
    """Fetch with an asynchronous driver: in another thread, with a separate event loop."""
    found: list[Any] = []

    async def fetch() -> None:
        second = AsyncEngine(_second(engine))
        try:
            found.append(await Loader(second).fetch(plan, identity))
        finally:
            await second.dispose()

    def run() -> None:
        try:
            asyncio.run(fetch())
        except BaseException as error:  # raised in the code that waits for the thread
            found.append(_Raised(error))

    thread = threading.Thread(target=run, name="loadplan-learn")
    thread.start()
    thread.join()
    if isinstance(found[0], _Raised):
        raise found[0].error
    return found[0]


@attrs.frozen(eq=False)
class _Raised:
    error: BaseException


def _engine_of(loader: Loader | SyncLoader, call: str, kind: type[Loader | SyncLoader]) -> Engine:
    """Return the engine of a loader, for a second connection.

    Args:
        loader: the caller's loader.
        call: the name of the function that the caller has called.
        kind: the class of loader that this function takes.

    Raises:
        LoaderError: LP408, the loader has no engine, its database allows one connection, or its class is not ``kind``.
    """
    if not isinstance(loader, kind):
        other = "learn_sync" if kind is Loader else "learn"
        message = f"{call}() needs a {kind.__name__}, but got a {type(loader).__name__}"
        raise LoaderError(Problem("LP408", message, hint=f"use {other}()."))
    engine = engine_behind(loader._bind)
    if engine is None:
        binds = "an AsyncEngine or async_sessionmaker" if kind is Loader else "an Engine or sessionmaker"
        raise LoaderError(
            Problem(
                "LP408",
                f"{call}() needs a second connection, and the loader cannot give it one",
                detail="it is on a session, a connection, or a database in memory.",
                hint=f"make the {kind.__name__} with {binds}, and commit the rows first.",
            )
        )
    return engine


def engine_behind(bind: object) -> Engine | None:
    """Return an engine for a second connection, or None. For an asynchronous engine, return its synchronous core."""
    engine = bind.kw.get("bind") if isinstance(bind, async_sessionmaker | sessionmaker) else bind
    if isinstance(engine, AsyncEngine):
        engine = engine.sync_engine
    if not isinstance(engine, Engine) or isinstance(engine.pool, StaticPool | SingletonThreadPool):
        return None
    return engine


# --- a whole run ----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Lesson:
    """The attributes that code has read during a run, and that a plan does not load. Plans of one name share a lesson.

    Attributes:
        plan: one of the plans with the name.
        wanted: the attributes that the plan lacks.
        times: how often code has read a missing attribute.
        missing: the missing attributes and how often each was missing, as plain data for a run in several processes.
    """

    plan: LoadPlan[Any]
    wanted: Wanted
    times: int = 0
    missing: Counter[Missing] = attrs.field(factory=Counter)

    def __str__(self) -> str:
        code = plan_code(self.wanted.added_to(self.plan))
        times = counted(self.times, "time")
        return f"{self.plan.label}: code read missing attributes {times}. The plan that loads them, too:\n{code}"


class Lessons:
    """The missing loads of each plan of a run.

    If a second connection can fetch a missing attribute, the run goes on as if the plan had loaded it.
    """

    def __init__(self) -> None:
        self._plans: dict[str, tuple[LoadPlan[Any], object]] = {}
        self._lessons: dict[str, Lesson] = {}
        self._ways: dict[int, tuple[weakref.ref[Any], str, tuple[str, ...]]] = {}

    def __iter__(self) -> Iterator[Lesson]:
        return iter(self._lessons.values())

    def fetched(self, plan: LoadPlan[Any], bind: object) -> None:
        """Note a plan that is fetched, and the engine or session that fetches it."""
        if plan.label != FETCHED:
            self._plans[plan.label] = (plan, bind)

    @property
    def seen(self) -> list[Missing]:
        """The missing attributes, as plain data for a run in several processes."""
        return [each.counted(times) for lesson in self for each, times in lesson.missing.items()]

    def read(self, read: Get, attribute: Any, instance: Any) -> Any:
        """Return the value of an attribute. If it is missing, note it, and fetch it if possible."""
        try:
            return read(attribute, instance)
        except NotLoaded as error:
            _, label, path = self._ways.get(id(instance), (None, error.plan, error.path))
            bind = self._note(error, label, path)
            engine = engine_behind(bind)
            if engine is None or not error.add:
                raise
            try:
                children = fetch_missing(engine, instance, error.attribute)
            except Exception:  # the row is not committed or is hidden, or the database is gone: NotLoaded says more
                raise error from None
            for child in children:
                self._met(child, label, (*path, f"{attribute.class_.__name__}.{error.attribute}"))
            return read(attribute, instance)

    def _met(self, instance: object, label: str, path: tuple[str, ...]) -> None:
        """Note the plan that lacks an object, and the path to the object, as long as the object lives."""
        ways, key = self._ways, id(instance)
        ways[key] = (weakref.ref(instance, lambda _: ways.pop(key, None)), label, path)

    def _note(self, error: NotLoaded, label: str, path: tuple[str, ...]) -> object:
        known = self._plans.get(label)
        if known is None or error.entity is None:
            return None
        plan, bind = known
        lesson = _lesson(self._lessons, plan)
        entity = f"{error.entity.__module__}:{error.entity.__qualname__}"
        lesson.missing[Missing(plan.label, name_of(plan), path, entity, error.attribute, error.add or "")] += 1
        note(lesson, path, error.entity, error.attribute, 1)
        return bind


def _lesson(lessons: dict[str, Lesson], plan: LoadPlan[Any]) -> Lesson:
    mapper = mapping.mapper_of(plan.entity)
    assert mapper is not None  # noqa: S101 - it was fetched
    return lessons.setdefault(plan.label, Lesson(plan, Wanted(mapper)))


def note(lesson: Lesson, path: Sequence[str], entity: type[Any], attribute: str, times: int) -> None:
    """Note an attribute that a plan lacks. Attributes beyond a branch or an alias are left out.

    Args:
        lesson: the lesson of the plan.
        path: the relationships that lead to the object from the root.
        entity: the class that has the attribute.
        attribute: the name of the attribute.
        times: how often code has read it.
    """
    try:
        place = lesson.wanted
        for name in path:
            place = place.edge(step_named(place.mapper, name))
    except KeyError:
        return
    owner = mapping.mapper_of(entity)
    assert owner is not None  # noqa: S101 - it has an attribute that a plan may load
    prop = owner.attrs[attribute]
    step: Step = (prop.parent.class_, prop.key)
    lesson.times += times
    if isinstance(prop, RelationshipProperty):
        place.edge(step)
    else:
        place.columns[step] = None


def lessons_report(seen: Iterable[Missing]) -> str:
    """Return the report on the attributes that plans lack, for all processes of one run.

    If a module holds the plan, it is printed with everything that it lacks. Otherwise, only the lines to add are
    printed.
    """
    by_plan: dict[str, list[Missing]] = {}
    for each in seen:
        by_plan.setdefault(each.where, []).append(each)
    parts: list[str] = []
    for where, missing in by_plan.items():
        plan = plan_at(where)
        if plan is None:
            parts.append(lines_to_add(missing))
            continue
        lesson = _lesson({}, plan)
        for each in missing:
            note(lesson, each.path, import_target(each.entity), each.attribute, each.times)
        parts.append(str(lesson))
    return "\n\n".join(parts)


@contextmanager
def learning() -> Iterator[Lessons]:
    """Note the attributes that plans lack while the block runs."""
    lessons = Lessons()
    watchers.append(lessons.fetched)
    try:
        with watching(lessons.read):
            yield lessons
    finally:
        watchers.remove(lessons.fetched)
