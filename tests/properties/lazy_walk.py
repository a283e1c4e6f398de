"""The oracle: what a plan must bring, found by walking plain lazy relationships, and the comparison with what came.

An object may be reached over several paths of one plan. It has what all of them declare, so the walk collects facts by
row: values of columns, and keys of the rows that relationships lead to.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import pytest
from generated_mappings import Mapping
from generated_plans import Fetch, Place
from generated_schemas import End, Schema
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, aliased

from loadplan import ExplainedEdge, Explanation, NotLoaded

Identity: TypeAlias = tuple[str, tuple[Any, ...]]
Path: TypeAlias = tuple[str, ...]


@attrs.define
class Facts:
    """What a plan must bring.

    Attributes:
        roots: in the order of the fetch, if it has one.
        ordered: whether it has one.
        missing: keys that the fetch asks for and no row has.
        loaded: of each row, the attributes that must be there and their values; a row stands for itself by identity.
        classes: of each row.
        asking: of each path that had parents with a key, how many.
    """

    roots: list[Identity] = attrs.field(factory=list)
    ordered: bool = True
    missing: list[tuple[Any, ...]] = attrs.field(factory=list)
    loaded: dict[Identity, dict[str, Any]] = attrs.field(factory=dict)
    classes: dict[Identity, str] = attrs.field(factory=dict)
    asking: Counter[Path] = attrs.field(factory=Counter)


@attrs.frozen
class Walk:
    """A walk over the plain mapping, in a synchronous session that loads lazily."""

    plain: Mapping
    session: Session
    facts: Facts = attrs.field(factory=Facts)

    @property
    def schema(self) -> Schema:
        return self.plain.schema

    def of(self, place: Place, fetch: Fetch) -> Facts:
        """Return the facts of a fetch of the plan that starts at ``place``."""
        roots = self.roots(place.entity, fetch)
        self.facts.roots.extend(map(self.plain.identity, roots))
        self.visit(place, list(dict.fromkeys(roots)), ())
        return self.facts

    def roots(self, entity: str, fetch: Fetch) -> list[Any]:
        root, key = self.plain.classes[entity], self.plain.key(entity)
        if fetch.call != "fetch_all":
            found = [(wanted, self.session.get(root, wanted)) for wanted in fetch.keys]
            self.facts.missing.extend(wanted for wanted, each in found if each is None)
            return [each for _, each in found if each is not None]
        self.facts.ordered = any(each is not None for each in (fetch.descending, fetch.limit, fetch.offset))
        rank = getattr(root, "rank")  # noqa: B009 - of a class that no checker knows
        order = [] if fetch.descending is None else [rank.desc() if fetch.descending else rank]
        statement = select(root).order_by(*order, *key).limit(fetch.limit).offset(fetch.offset)
        if fetch.rank is not None:
            statement = statement.where(rank == fetch.rank)
        return list(self.session.scalars(statement))

    def visit(self, place: Place, objects: Sequence[Any], path: Path) -> None:
        columns = place.columns(self.schema)
        for each in objects:
            identity = self.plain.identity(each)
            self.facts.classes[identity] = type(each).__name__
            names = set(columns)
            if place.only is None and not place.defer:
                names |= self.schema.brought_along(place.entity, type(each).__name__)
            self.facts.loaded.setdefault(identity, {}).update({name: getattr(each, name) for name in names})
        for branch in place.branches:
            children = self.follow(self.schema.end(branch.end), objects, (*path, branch.end))
            self.visit(branch.place, children, (*path, branch.end))

    def foreign_key(self, end: End) -> tuple[str, ...]:
        """Return the columns of the target that hold the key of its parent."""
        return self.schema.reference_of(end).columns if end.kind in {"one-to-many", "one-to-one"} else ()

    def follow(self, end: End, parents: Sequence[Any], path: Path) -> list[Any]:
        key = self.schema.key_of_edge(end)
        children: dict[Any, None] = {}
        for parent in parents:
            self.facts.asking[path] += all(getattr(parent, name) is not None for name in key)
            apart = self.schema.compares_apart(end)
            value = by_join(self.plain, self.session, parent, end) if apart else getattr(parent, end.name)
            found = [each for each in ([value] if end.to_one else value) if each is not None]
            identities = [self.plain.identity(each) for each in found]
            here = self.plain.identity(parent)
            self.facts.loaded[here][end.name] = next(iter(identities), None) if end.to_one else identities
            for identity, child in zip(identities, found, strict=True):
                children[child] = None
                if not end.to_one or end.kind == "one-to-one":  # foreign keys that loading goes by come too
                    keys = self.foreign_key(end)
                    self.facts.loaded.setdefault(identity, {}).update({name: getattr(child, name) for name in keys})
                if points_back(end):
                    self.facts.loaded.setdefault(identity, {})[str(end.opposite)] = here
        return list(children)


def by_join(plain: Mapping, session: Session, parent: Any, end: End) -> Any:
    """Follow a relationship by SQL: a lazy load binds the key as Python has it, and so finds nothing."""
    schema = plain.schema
    owner, target = plain.classes[end.owner], aliased(plain.classes[end.target], flat=True)
    own = [getattr(owner, name) == getattr(parent, name) for name in schema.entity(end.owner).key_names]
    statement = select(target).select_from(owner).join(getattr(owner, end.name).of_type(target)).where(*own)
    if end.ordered:
        rank = f"{end.target.lower()}_rank" if schema.entity(end.target).parent else "rank"
        keys = (getattr(target, name) for name in schema.entity(end.target).key_names)
        statement = statement.order_by(getattr(target, rank).desc(), *keys)
    found = session.scalars(statement).unique().all()
    return next(iter(found), None) if end.to_one else found


def roots_of(fetch: Fetch) -> int | None:
    """Return how many roots a call may bring, as far as it says so."""
    match fetch.call:
        case "fetch" | "fetch_or_none":
            return 1
        case "fetch_one":
            return 2
        case "fetch_many":
            return len(fetch.keys)
    return fetch.limit


def points_back(end: End) -> bool:
    """Tell whether targets have a many-to-one that points at the parent they were loaded through."""
    return end.opposite is not None and end.kind in {"one-to-many", "one-to-one"}


def statements_foretold(explanation: Explanation, facts: Facts) -> int:
    """Return how many statements ``explain`` foretells for these data: an edge without parents sends none."""
    skipped = [path for path in _follow_ups(explanation.edges, 1, ()) if not facts.asking[path]]
    return explanation.statements - len(skipped)


def _follow_ups(edges: Sequence[ExplainedEdge], statement: int, path: Path) -> list[Path]:
    """Return the paths that have statements of their own."""
    found: list[Path] = []
    for edge in edges:
        here = (*path, edge.name.rpartition(".")[2])
        found += [here] if edge.statement != statement else []
        found += _follow_ups(edge.edges, edge.statement, here)
    return found


def compare(mapping: Mapping, roots: Sequence[Any], facts: Facts, *, detached: bool = True) -> list[Any]:
    """Assert that objects are what the facts say, no less and no more, each row once.

    Every attribute of every object is touched: what is not in the facts must raise ``NotLoaded``.

    Returns:
        All objects of the result.
    """
    came = [mapping.identity(each) for each in roots]
    assert came == facts.roots if facts.ordered else Counter(came) == Counter(facts.roots)
    met: dict[Identity, Any] = {}
    waiting = list(roots)
    while waiting:
        entity = waiting.pop()
        identity = mapping.identity(entity)
        if identity in met:
            assert met[identity] is entity, f"two objects for {identity}"
            continue
        met[identity] = entity
        assert type(entity) is mapping.classes[facts.classes[identity]]
        state = inspect(entity)
        assert state.detached == detached
        assert not state.modified
        for name in mapping.schema.columns(type(entity).__name__):
            touch(entity, name, facts.loaded[identity])
        for end in mapping.schema.ends(type(entity).__name__):
            waiting += _touch_end(mapping, entity, end, facts.loaded[identity])
    assert met.keys() == facts.loaded.keys()
    return list(met.values())


def touch(entity: Any, name: str, loaded: dict[str, Any]) -> None:
    """Assert that an attribute answers with its value, or says that it is not loaded."""
    if name in loaded:
        assert getattr(entity, name) == loaded[name], f"{name} of {entity!r}"
    else:
        with pytest.raises(NotLoaded, match=rf"LP401: '\w+\.{name}' is not part of plan 'random'"):
            getattr(entity, name)


def _touch_end(mapping: Mapping, entity: Any, end: End, loaded: dict[str, Any]) -> list[Any]:
    """Do the same for a relationship; return what it leads to."""
    if end.name not in loaded:
        is_handle = end.lazy == "write_only" or (end.lazy == "dynamic" and inspect(entity).session is not None)
        if not is_handle:  # for statements; it holds no rows
            touch(entity, end.name, loaded)
        return []
    value = getattr(entity, end.name)
    if end.to_one:
        assert (None if value is None else mapping.identity(value)) == loaded[end.name], f"{end.name} of {entity!r}"
        return [] if value is None else [value]
    if isinstance(value, dict):
        assert {"keyed", "keyed_by_column", "keyed_by_function"} & {*end.arguments}
        assert all(key == child.id for key, child in value.items())
        value = list(value.values())
    assert isinstance(value, set if end.as_set else list)
    identities = [mapping.identity(each) for each in value]
    if end.ordered:
        assert identities == loaded[end.name], f"{end.name} of {entity!r}"
    else:
        assert Counter(identities) == Counter(loaded[end.name]), f"{end.name} of {entity!r}"
    return list(value)
