"""Reads hand-written loader options, and makes the plan that loads the same attributes."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import attrs
from sqlalchemy import Select
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.sql.base import ExecutableOption

from loadplan.declared.spec import Load, On, StrategyName, load, on
from loadplan.mapped import mapping
from loadplan.plan import LoadPlan
from loadplan.sqlalchemy_internals import AbstractLoad, OptionStep, option_steps, options_of
from loadplan.tools.printing import plan_code
from loadplan.tools.targets import values_in


class NotAdoptable(Exception):  # noqa: N818 - the name states a fact about the options
    """A plan cannot express some options. The text of the error names the options, and says what to do."""


@attrs.frozen
class Adopted:
    """A plan made from options.

    Attributes:
        plan: the plan.
        remarks: parts of the statement that are not in the plan, and differences between the two.
    """

    plan: LoadPlan[Any]
    remarks: tuple[str, ...]

    @property
    def code(self) -> str:
        """The code of the plan."""
        return plan_code(self.plan, "PLAN")


@attrs.define(eq=False)
class _Spot:
    """A place of the graph, with the relationships and columns that the options name there."""

    mapper: Mapper[Any]
    edges: "dict[tuple[type[Any], str], _Way]" = attrs.field(factory=dict)
    only: list[str] | None = None
    deferred: list[str] = attrs.field(factory=list)
    undeferred: list[str] = attrs.field(factory=list)
    refuses_rest: bool = False
    subclasses: list[type[Any]] = attrs.field(factory=list)

    def columns(self, word: str) -> list[Any] | None:
        """Return the value of ``only=`` or ``defer=`` at this place; None if the plan does not need the argument."""
        if self.only is None and not self.undeferred:
            names = list(dict.fromkeys(self.deferred)) if word == "defer" else []
        elif word == "defer":
            names = []
        else:
            start = self.only
            if start is None:
                default = mapping.default_columns(self.mapper)
                start = [each.key for each in mapping.column_attributes(self.mapper) if each.key in default]
            names = [each for each in dict.fromkeys([*start, *self.undeferred]) if each not in self.deferred]
            names = names or list(mapping.primary_key(self.mapper))
        return [getattr(self.mapper.class_, each) for each in names] or None


@attrs.define(eq=False)
class _Way:
    """A relationship that the options name, and the place behind it."""

    prop: RelationshipProperty[Any]
    target: _Spot
    loads: bool = False
    named: bool = False
    inner: bool = False
    where: tuple[Any, ...] = ()
    depth: int | str | None = None


def plan_of_options(found: object, name: str | None = None) -> Adopted:
    """Return the plan that loads the same attributes as loader options.

    Args:
        found: a ``select()`` of one entity, options, or a function that returns either; arguments that the function
            requires are given as None.
        name: the name of the plan.

    Raises:
        NotAdoptable: there are no options, or a plan cannot express one of them.
    """
    given = _called(found)
    reader = _Reader()
    options: Sequence[Any]
    if isinstance(given, Select):
        entity = _entity_of(given)
        options = options_of(given)
        reader.remarks += _remarks_on(given)
    else:
        options = given if isinstance(given, list | tuple) else [given]
        if not options or not all(isinstance(each, ExecutableOption) for each in options):
            kind = type(found).__name__
            raise NotAdoptable(
                f"a {kind} is not a statement with loader options\n"
                "  hint: name a select(Entity).options(...), or a function that returns one."
            )
        entity = _start_of(options)
    root = reader.read(entity, options)
    plan = LoadPlan(
        entity.class_,
        *reader.loads(root, (entity,)),
        only=root.columns("only"),
        defer=root.columns("defer"),
        name=name,
    )
    if "<" in repr(plan):
        reader.remarks.append("replace the text in angle brackets with the code of your statement.")
    return Adopted(plan, tuple(dict.fromkeys(reader.remarks)))


def adopted_of_module(module: ModuleType) -> list[tuple[str, Adopted | NotAdoptable]]:
    """Return the plans for all statements and lists of options in a module or its classes, by name.

    Functions are not called, because only the user knows whether calling them is safe. A statement without options is
    left out, too.
    """
    found: dict[int, tuple[str, object]] = {}
    for name, value in values_in(module):
        found.setdefault(id(value), (name, value))
        if isinstance(value, type) and value.__module__ == module.__name__:
            for inner_name, inner in list(vars(value).items()):
                found.setdefault(id(inner), (f"{name}.{inner_name}", inner))
    return [(name, _adopted_or_not(value)) for name, value in found.values() if _has_options(value)]


def _has_options(value: object) -> bool:
    if isinstance(value, Select):
        return bool(options_of(value))
    options = value if isinstance(value, list | tuple) else [value]
    return bool(options) and all(isinstance(each, AbstractLoad) for each in options)


def _adopted_or_not(value: object) -> Adopted | NotAdoptable:
    try:
        return plan_of_options(value)
    except NotAdoptable as error:
        return error


def _called(found: object) -> object:
    if not inspect.isroutine(found):
        return found
    function: Callable[..., object] = found
    if inspect.iscoroutinefunction(function):
        raise NotAdoptable(
            f"'{function.__name__}' is asynchronous, and is not run\n"
            "  hint: name a function that returns the statement, before it is executed."
        )
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
    ]
    positional = [None for each in required if each.kind is not each.KEYWORD_ONLY]
    keywords = {each.name: None for each in required if each.kind is each.KEYWORD_ONLY}
    try:
        return function(*positional, **keywords)
    except Exception as error:
        raise NotAdoptable(
            f"'{function.__name__}' raises {type(error).__name__} when it is called with None: {error}\n"
            "  hint: name a function without arguments that returns the statement."
        ) from error


def _entity_of(statement: Select[Any]) -> Mapper[Any]:
    described = statement.column_descriptions
    mapper = mapping.mapper_of(described[0]["expr"]) if len(described) == 1 else None
    if mapper is None:
        raise NotAdoptable(
            "the statement does not select one mapped class\n  hint: a plan starts at one entity, as select(User) does."
        )
    return mapper


def _start_of(options: Sequence[Any]) -> Mapper[Any]:
    for step in option_steps(options) or ():
        if isinstance(step.path[0], Mapper):
            return step.path[0]
    raise NotAdoptable("the options name no entity\n  hint: name the whole statement, select(Entity).options(...).")


def _remarks_on(statement: Select[Any]) -> list[str]:
    found = []
    if statement.whereclause is not None:
        found.append("the statement's WHERE chooses the roots: pass where= to fetch_all, or an id to fetch.")
    text = str(statement.with_only_columns(1, maintain_column_froms=True))
    if "ORDER BY" in text:
        found.append("the statement's ORDER BY sorts the roots: pass order_by= to fetch_all.")
    if "LIMIT" in text:
        found.append("the statement's LIMIT counts the roots: pass limit= to fetch_all.")
    return found


@attrs.define(eq=False)
class _Reader:
    """Reads options, one after the other, as SQLAlchemy does: a later one overrides an earlier one."""

    remarks: list[str] = attrs.field(factory=list)
    refuses_rest: bool = False

    def read(self, entity: Mapper[Any], options: Iterable[Any]) -> _Spot:
        root = _Spot(entity)
        for option in options:
            steps = option_steps([option])
            if steps is None:
                raise NotAdoptable(
                    f"{type(option).__name__} is not a loader option\n"
                    "  hint: with_loader_criteria is for every statement of a session. Put it into an event of the "
                    "session. loadplan then applies it."
                )
            only_at = {step.path[:-1] for step in steps if _defers_the_rest(step)}
            for step in steps:
                self._step(root, step, is_only=step.path[:-1] in only_at)
        return root

    def _step(self, root: _Spot, step: OptionStep, *, is_only: bool) -> None:
        first = step.path[0]
        if isinstance(first, str):
            self._everywhere(first, step)
            return
        spot, way = root, None
        for index in range(1, len(step.path), 2):
            attribute = step.path[index]
            if not isinstance(attribute, RelationshipProperty):
                self._columns(spot, attribute, step, is_only=is_only)
                return
            target = step.path[index + 1] if index + 1 < len(step.path) else attribute.mapper
            if not isinstance(target, Mapper) or not isinstance(step.path[index - 1], Mapper):
                raise NotAdoptable(
                    f"the options go through an alias at '{attribute}'\n"
                    "  hint: a plan names classes. Write on(Subclass, ...) for the attributes of a subclass."
                )
            if _repeats_itself(step, index):
                return
            key = (attribute.parent.class_, attribute.key)
            way = spot.edges.get(key)
            if way is None:
                way = spot.edges[key] = _Way(attribute, _Spot(attribute.mapper))
            spot = way.target
            if target is not attribute.mapper and target.isa(attribute.mapper):
                spot.subclasses.append(target.class_)
        if way is None:
            self._class(spot, step)
        else:
            self._relationship(way, step)

    def _everywhere(self, token: str, step: OptionStep) -> None:
        lazy = (step.strategy or {}).get("lazy")
        if token.startswith("relationship") and lazy in {"raise", "raise_on_sql"}:
            self.refuses_rest = True
        elif token.startswith("relationship") and lazy in {"select", True}:
            self.remarks.append(
                'lazyload("*") has no effect in a plan: reading what the plan does not load raises NotLoaded.'
            )
        else:
            raise NotAdoptable(
                "a plan has no option for all attributes at once ('*')\n"
                "  hint: name the attributes. raiseload('*') is always on in a plan."
            )

    def _class(self, spot: _Spot, step: OptionStep) -> None:
        """Note ``selectin_polymorphic``."""
        spot.subclasses += [each.class_ for each in step.arguments.get("entities", ())]

    def _columns(self, spot: _Spot, attribute: Any, step: OptionStep, *, is_only: bool) -> None:
        """Note the columns of ``load_only``, ``defer`` and ``undefer``, and wildcards below a place."""
        strategy = step.strategy or {}
        if isinstance(attribute, str):
            if attribute.startswith("relationship") and strategy.get("lazy") in {"raise", "raise_on_sql"}:
                spot.refuses_rest = True
            elif _defers_the_rest(step):
                spot.only = spot.only or []
            else:
                raise NotAdoptable(f"no plan has an option for '{attribute}'\n  hint: name the attributes.")
        elif not spot.mapper.isa(attribute.parent):
            name = f"{attribute.parent.class_.__name__}.{attribute.key}"
            raise NotAdoptable(
                f"'{name}' is a column of a subclass\n"
                f"  hint: write on({attribute.parent.class_.__name__}, only=[{name}]) by hand."
            )
        elif strategy.get("deferred"):
            spot.deferred.append(attribute.key)
        elif is_only:
            spot.only = [*(spot.only or ()), attribute.key]
        else:
            spot.undeferred.append(attribute.key)

    def _relationship(self, way: _Way, step: OptionStep) -> None:
        if step.criteria:
            way.where = step.criteria
        if step.strategy is None:
            return
        lazy = step.strategy.get("lazy")
        name = f"{way.prop.parent.class_.__name__}.{way.prop.key}"
        if "eager_from_alias" in step.arguments:
            raise NotAdoptable(
                f"contains_eager({name}) takes its rows from the statement's own join\n"
                f"  hint: write load({name}), with where= if the join filters its rows. To choose or sort the roots by "
                f"columns of it, pass where= or order_by=source({name}, ...) to the fetch."
            )
        way.named = True
        way.loads = lazy in mapping.EAGER_LAZY
        way.inner = bool(step.arguments.get("innerjoin")) and lazy == "joined" and not way.prop.uselist
        depth = step.arguments.get("recursion_depth")
        if depth is not None:
            way.depth = "all" if depth < 0 else depth + 1  # SQLAlchemy loads one level more than this number
        if lazy in {"select", True}:
            self.remarks.append(f"lazyload({name}) loads when it is read; add load({name}) if your code reads it.")
        elif lazy == "noload":
            self.remarks.append(f"noload({name}) gives an empty list or None; in a plan, reading it raises NotLoaded.")

    # --- the plan ---

    def loads(self, spot: _Spot, above: tuple[Mapper[Any], ...]) -> list[Load[Any] | On[Any]]:
        """Return the loads of a place: for the options, and for relationships that the mapping loads by default."""
        found: list[Load[Any] | On[Any]] = []
        by_subclass: dict[type[Any], list[Load[Any]]] = {each: [] for each in spot.subclasses}
        for way in self._ways(spot, above):
            made = self._load(way, above)
            owner = way.prop.parent
            if spot.mapper.isa(owner):
                found.append(made)
            else:
                by_subclass.setdefault(owner.class_, []).append(made)
        return [*found, *(on(entity, *inside) for entity, inside in by_subclass.items())]

    def _ways(self, spot: _Spot, above: tuple[Mapper[Any], ...]) -> list[_Way]:
        ways = [way for way in spot.edges.values() if way.loads]
        for prop in spot.mapper.relationships:
            way = spot.edges.get((prop.parent.class_, prop.key))
            if way is not None and way.named:
                continue
            refused = (self.refuses_rest or spot.refuses_rest) and way is None
            if prop.lazy in mapping.EAGER_LAZY and not refused and prop.mapper not in above:
                ways.append(way or _Way(prop, _Spot(prop.mapper)))
        return ways

    def _load(self, way: _Way, above: tuple[Mapper[Any], ...]) -> Load[Any]:
        spot = way.target
        strategy: StrategyName | None = "inner" if way.inner else None
        attribute: Any = getattr(way.prop.parent.class_, way.prop.key)
        depth: Any = way.depth
        made: Load[Any] = load(
            attribute,
            *self.loads(spot, (*above, way.prop.mapper)),
            only=spot.columns("only"),
            defer=spot.columns("defer"),
            where=list(way.where) or None,
            depth=depth,
            strategy=strategy,
        )
        return made


def _defers_the_rest(step: OptionStep) -> bool:
    """Tell whether a step is the second half of ``load_only``, which defers every column that it does not name."""
    last = step.path[-1]
    return isinstance(last, str) and last.startswith("column") and bool((step.strategy or {}).get("deferred"))


def _repeats_itself(step: OptionStep, index: int) -> bool:
    """Tell whether this part of the path is the next level of ``recursion_depth``, which SQLAlchemy writes itself."""
    return step.arguments.get("recursion_depth") is not None and index > 1 and step.path[index] is step.path[index - 2]
