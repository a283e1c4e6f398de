"""Finds relationships, columns and fields of views that plans load and your code never reads, over a whole run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_origin

import attrs
from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan.declared.spec import Load, On, tuple_or_none
from loadplan.mapped import mapping
from loadplan.objects.seal import Place, place_of
from loadplan.plan import LoadPlan
from loadplan.resolved.tree import Instance, Make, Part, instance_at, recipes_in
from loadplan.running.plans import resolve_plan
from loadplan.running.tally import watchers
from loadplan.sqlalchemy_internals import items_of
from loadplan.tools.audit.findings import is_named
from loadplan.tools.dict_reads import DictWatch, ViewWatch, is_a_use
from loadplan.tools.learning import FETCHED
from loadplan.tools.printing import plan_code
from loadplan.tools.together import PlanReads, Unread, merged_reads, name_of, reads_report
from loadplan.tools.watching import Get, watching


class Reads:
    """The attributes that were fetched, and the attributes that code has read.

    A read of an object counts for the object's place in the plan. This is so even if the code came to the object by
    another path.
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self._ignore = tuple(ignore)
        self._fetches: Counter[LoadPlan[Any]] = Counter()
        self._met: set[tuple[str, tuple[str, ...]]] = set()
        self._read: set[tuple[str, tuple[str, ...], str]] = set()
        self._elsewhere: set[tuple[str, str]] = set()
        self._views: dict[type[Any], set[str]] = {}
        self._unwatched: dict[type[Any], None] = {}
        self._watches: dict[type[Any], DictWatch | ViewWatch] = {}

    # --- recording ---

    def fetched(self, plan: LoadPlan[Any], bind: object) -> None:
        """Note a fetch, and watch the classes of its plan."""
        if plan.label == FETCHED:
            return
        self._fetches[plan] += 1
        if self._fetches[plan] > 1:
            return
        for recipe in recipes_in(resolve_plan(plan).recipe):
            if isinstance(recipe, Instance):
                for mapper in recipe.place.mapper.self_and_descendants:
                    if mapper.class_ not in self._watches:
                        self._watches[mapper.class_] = DictWatch(mapper.class_, self._used_whole)
            elif isinstance(recipe, Make):
                self._watch_view(get_origin(recipe.view.given) or recipe.view.given)

    def _watch_view(self, view: Any) -> None:
        if not isinstance(view, type) or view in self._views:
            return
        names = self._views[view] = set()
        watch = ViewWatch(view, names.add)
        if watch.ok:
            self._watches[view] = watch
        else:
            self._unwatched[view] = None

    def read(self, read: Get, attribute: Any, instance: Any) -> Any:
        """Return the value of an attribute. Note it as read, unless the code only copies, compares or prints it."""
        value = read(attribute, instance)
        if is_a_use(3):
            place = place_of(instance)
            if place is not None:
                self._note(place, attribute.property, value)
        return value

    def _note(self, place: Place, prop: Any, value: Any) -> None:
        self._met.add((place.plan, place.path))
        self._read.add((place.plan, place.path, prop.key))
        self._elsewhere.add((place.plan, f"{prop.parent.class_.__name__}.{prop.key}"))
        if isinstance(prop, RelationshipProperty):
            for child in items_of(prop, value):
                below = place_of(child)
                if below is not None:
                    self._met.add((below.plan, below.path))

    def _used_whole(self, instance: Any) -> None:
        """Note all loaded attributes of an object as read, because code uses its ``__dict__``."""
        place = place_of(instance)
        if place is None:
            return
        mapper = mapping.mapper_of(type(instance))
        assert mapper is not None  # noqa: S101 - only mapped objects are found at a place
        values = vars(instance)
        for prop in mapper.attrs:
            if prop.key in values and (prop.key in mapper.relationships or prop.key in mapper.column_attrs):
                self._note(place, prop, values[prop.key])

    def stop(self) -> None:
        """Stop watching."""
        for watch in self._watches.values():
            watch.stop()
        self._watches.clear()

    # --- telling ---

    @property
    def seen(self) -> list[PlanReads]:
        """The reads of each plan, as plain data for a run in several processes."""
        return merged_reads(map(self._seen_of, self._fetches))

    @property
    def unread(self) -> list[Unread]:
        """The loads and columns that your code did not read, by plan."""
        return [each for seen in self.seen for each in seen.found]

    @property
    def unwatched(self) -> list[str]:
        """View classes whose fields cannot be watched: named tuples, and classes that cannot be changed."""
        return [each.__name__ for each in self._unwatched]

    def report(self) -> str:
        """Return the report on unread attributes, with the code of each plan without these attributes."""
        plans = {name_of(plan): plan for plan in reversed(self._fetches)}
        return reads_report(self.seen, self.unwatched, lambda where, paths: code_without(plans[where], paths))

    def _seen_of(self, plan: LoadPlan[Any]) -> PlanReads:
        """Return the paths of a plan that were read, and the paths that were not. A path is edges and an attribute."""
        where, tree = name_of(plan), resolve_plan(plan)
        if isinstance(tree.recipe, Instance):
            told = list(self._told_below(plan.label, tree.recipe, tree.root.path))
        else:
            views = [each.view for each in recipes_in(tree.recipe) if isinstance(each, Make)]
            told = [each for view in views for each in self._told_of_fields(view)]
        unread = {
            (what, " > ".join(at) or "its root", (*at, name)): None
            for what, at, name, is_read in told
            if not (is_read or is_named(name, self._ignore) or is_named(where, self._ignore))
        }
        read = frozenset((*at, name) for _, at, name, is_read in told if is_read)
        return PlanReads(where, self._fetches[plan], tuple(each for each in unread if each[2] not in read), read)

    def _told_of_fields(self, view: Any) -> Iterator[tuple[str, tuple[str, ...], str, bool]]:
        """Yield each field of a view class, and whether it was read."""
        names = self._views.get(get_origin(view.given) or view.given)
        if names is None or (get_origin(view.given) or view.given) in self._unwatched:
            return
        for field in view.fields:
            name = f"{view.name}.{field.name}"
            yield name, (), name, field.name in names or "__dict__" in names

    def _told_below(
        self, label: str, made: Instance | Part, place: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[str, ...], str, bool]]:
        """Yield (code, place, name, whether it was read) for each attribute that is loaded at a place or below it."""
        if (label, place) not in self._met:
            return  # no code came here: it did not read the relationship, or there were no rows
        for edge in made.place.relationships:
            is_read = self._is_read(label, place, edge.key, edge.name)
            yield f"load({edge.name})", place, edge.name, is_read
            if is_read:
                yield from self._told_below(label, instance_at(edge), edge.target.path)
        for part in made.parts:
            yield from self._told_below(label, part, place)
        mapper = made.place.mapper
        keys = {key for key in made.columns if _is_key(mapper, key)} | mapping.required_columns(mapper)
        for key in sorted(made.columns - keys):
            name = f"{mapper.class_.__name__}.{key}"
            yield name, place, name, self._is_read(label, place, key, name)

    def _is_read(self, label: str, place: tuple[str, ...], key: str, name: str) -> bool:
        return (label, place, key) in self._read or (label, name) in self._elsewhere


def _is_key(mapper: Mapper[Any], key: str) -> bool:
    """Tell whether a column is a foreign key. A plan needs it to find other rows, even if no code reads it."""
    column: Any = mapper.attrs[key].columns[0]
    return bool(getattr(column, "foreign_keys", None))


def code_without(plan: LoadPlan[Any] | None, paths: Sequence[tuple[str, ...]]) -> str | None:
    """Return the code of a plan without some paths; None for a plan with ``into=``, whose class you must change."""
    return None if plan is None or plan.into is not None else plan_code(without(plan, paths))


def without(plan: LoadPlan[Any], paths: Sequence[tuple[str, ...]]) -> LoadPlan[Any]:
    """Return a plan without the relationships and columns that paths lead to."""
    loads = _kept(plan.loads, (), set(paths))
    only, defer = _kept_columns(plan, plan.entity, (), paths)
    return LoadPlan(plan.entity, *loads, only=only, defer=defer, name=plan.name, budget=plan.budget)


def _kept(loads: Sequence[Any], at: tuple[str, ...], paths: set[tuple[str, ...]]) -> list[Any]:
    kept: list[Any] = []
    for each in loads:
        if isinstance(each, On | LoadPlan):
            kept.append(attrs.evolve(each, loads=tuple(_kept(each.loads, at, paths))) if isinstance(each, On) else each)
        elif isinstance(each, Load) and not isinstance(each.relationship, str):
            here = (*at, f"{each.relationship.class_.__name__}.{each.relationship.key}")
            if here in paths:
                continue
            only, defer = _kept_columns(each, each.relationship.property.mapper.class_, here, tuple(paths))
            inside = tuple(_kept(each.loads, here, paths))
            kept.append(attrs.evolve(each, loads=inside, only=tuple_or_none(only), defer=tuple_or_none(defer)))
        else:
            kept.append(each)
    return kept


def _kept_columns(
    part: Any, entity: type[Any], at: tuple[str, ...], paths: Sequence[tuple[str, ...]]
) -> tuple[Sequence[Any] | None, Sequence[Any] | None]:
    mapper = mapping.mapper_of(entity)
    assert mapper is not None  # noqa: S101 - the plan resolved
    names = [path[-1].rpartition(".")[2] for path in paths if path[:-1] == at]
    gone = [key for key in names if key in mapper.column_attrs]
    if not gone:
        return part.only, part.defer
    if part.only is not None:
        kept = [each for each in part.only if each.key not in gone]
        return kept or [getattr(entity, key) for key in mapping.primary_key(mapper)], None
    return None, [*(part.defer or ()), *(getattr(entity, key) for key in sorted(gone))]


@contextmanager
def record_reads(ignore: Iterable[str] = ()) -> Iterator[Reads]:
    """Record which attributes of fetched graphs your code reads while the block runs, in all threads and tasks.

    Args:
        ignore: names to leave out: attributes such as ``"Post.text"``, or plans such as ``"shop.plans:USER_PAGE"``.
            ``*`` stands for anything.

    Yields:
        The record. Read its ``unread`` or ``report()`` at the end, also after the block.
    """
    reads = Reads(ignore)
    watchers.append(reads.fetched)
    try:
        with watching(reads.read):
            yield reads
    finally:
        watchers.remove(reads.fetched)
        reads.stop()
