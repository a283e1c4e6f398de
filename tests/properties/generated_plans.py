"""Random plans over a generated schema, and random ways to fetch them."""

from typing import Any, Literal, TypeAlias

import attrs
from generated_mappings import Mapping
from generated_rows import Key, Rows, missing_key, rows_of
from generated_schemas import ONE_SIDED, End, Schema, schemas
from hypothesis import strategies as st

from loadplan import Load, LoadPlan, load

#: Levels of relationships in a plan, and relationships in all.
DEPTH = 4
WIDTH = 10

Bind: TypeAlias = Literal["engine", "sessionmaker", "session", "connection"]


@attrs.frozen
class Place:
    """One place of a plan: what is loaded of the objects there."""

    entity: str
    only: tuple[str, ...] | None = None
    defer: tuple[str, ...] | None = None
    branches: "tuple[Branch, ...]" = ()

    def columns(self, schema: Schema) -> set[str]:
        """Return the columns that are declared here, with those that come always."""
        mapped = schema.columns(self.entity)
        default = {name for name, comes in mapped.items() if comes}
        asked = default - set(self.defer or ()) if self.only is None else set(self.only)
        keys = {name for branch in self.branches for name in schema.key_of_edge(schema.end(branch.end))}
        return asked | schema.required(self.entity) | keys


@attrs.frozen
class Branch:
    """One relationship of a plan, and the place that it leads to.

    Attributes:
        nested: whether the place is declared as a plan of its own.
        spelled: by the attribute of the class at hand, that of the class that maps it, or by name.
    """

    end: str
    place: Place
    strategy: Literal["joined", "inner", "selectin", "subquery"] | None = None
    nested: bool = False
    spelled: Literal["here", "owner", "name"] = "here"


@attrs.frozen
class Fetch:
    """One call of a loader; which arguments count depends on the call."""

    call: Literal["fetch", "fetch_or_none", "fetch_many", "fetch_one", "fetch_all"]
    keys: tuple[Key, ...] = ()
    skip_missing: bool = False
    rank: int | None = None
    descending: bool | None = None
    limit: int | None = None
    offset: int | None = None
    bind: Bind = "engine"


@attrs.frozen
class Scenario:
    """Everything that one example of a property is about."""

    schema: Schema
    rows: Rows
    requests: tuple[tuple[Place, Fetch], ...]

    def __repr__(self) -> str:
        requests = "\n".join(map(repr, self.requests))
        return f"<Scenario>\n{self.schema}\n\n{self.rows}\n\n{requests}\n</Scenario>"


def declare(mapping: Mapping, place: Place, name: str | None = None) -> LoadPlan[Any]:
    """Write a plan as a reader of the documentation would."""
    only, defer = _columns(mapping, place, place.only), _columns(mapping, place, place.defer)
    return LoadPlan(mapping.classes[place.entity], *_loads(mapping, place), only=only, defer=defer, name=name)


def _loads(mapping: Mapping, place: Place) -> list[Load[Any]]:
    return [_load(mapping, place, branch) for branch in place.branches]


def _load(mapping: Mapping, place: Place, branch: Branch) -> Load[Any]:
    attribute: Any = branch.end
    if branch.spelled != "name":
        owner = place.entity if branch.spelled == "here" else mapping.schema.end(branch.end).owner
        attribute = getattr(mapping.classes[owner], branch.end)
    below = branch.place
    if branch.nested:
        return load(attribute, declare(mapping, below), strategy=branch.strategy)
    only, defer = _columns(mapping, below, below.only), _columns(mapping, below, below.defer)
    return load(attribute, *_loads(mapping, below), only=only, defer=defer, strategy=branch.strategy)


def _columns(mapping: Mapping, place: Place, names: tuple[str, ...] | None) -> list[Any] | None:
    return None if names is None else [getattr(mapping.classes[place.entity], name) for name in names]


@attrs.define
class _Budget:
    left: int = WIDTH


@st.composite
def places(draw: st.DrawFn, schema: Schema, entity: str, depth: int = DEPTH, budget: _Budget | None = None) -> Place:
    """Draw a plan of an entity, nested up to ``depth`` relationships deep."""
    budget = _Budget() if budget is None else budget
    ends = [end for end in schema.ends(entity) if end.populates]
    branches: list[Branch] = []
    if depth and ends:
        least = min(len(ends), draw(st.sampled_from((1, 2) if depth == DEPTH else (0, 1, 1, 2))))
        for end in draw(st.lists(st.sampled_from(ends), min_size=least, max_size=3, unique=True)):
            if budget.left:
                budget.left -= 1
                branches.append(draw(_branch(schema, end, depth - 1, budget)))
    columns = sorted(schema.columns(entity))
    word = draw(st.sampled_from([None, None, "only", "defer"]))
    named = tuple(draw(st.lists(st.sampled_from(columns), unique=True, max_size=4))) if word else None
    return Place(entity, *((named, None) if word == "only" else (None, named)), tuple(branches))


@st.composite
def _branch(draw: st.DrawFn, schema: Schema, end: End, depth: int, budget: _Budget) -> Branch:
    strategies = [None, "joined", "selectin", "subquery"]
    if end.kind == "many-to-one" and _always_there(schema, end):
        strategies.append("inner")
    return Branch(
        end.name,
        draw(places(schema, end.target, depth, budget)),
        draw(st.sampled_from(strategies)),
        draw(st.booleans()),
        draw(st.sampled_from(["here", "here", "owner", "name"])),
    )


def _always_there(schema: Schema, end: End) -> bool:
    """Tell whether every row refers to a row, so that an INNER JOIN drops none."""
    reference = schema.reference_of(end)
    return not reference.nullable and not reference.loose and ONE_SIDED.isdisjoint(end.arguments)


@st.composite
def _fetch(draw: st.DrawFn, schema: Schema, rows: Rows, entity: str) -> Fetch:
    known = rows.keys(schema, entity) * 3 + rows.keys(schema, schema.root(entity))
    one_key = st.sampled_from([*known, missing_key(schema.entity(entity))])
    calls = ("fetch", "fetch_many", "fetch_all", "fetch_many", "fetch_all", "fetch_one", "fetch_or_none")
    call = draw(st.sampled_from(calls))
    bind = draw(st.sampled_from(["engine", "engine", "sessionmaker", "session", "connection"]))
    fetch = Fetch(call, bind=bind)
    if call == "fetch_all":
        bound = st.sampled_from((None, None, 2, 4, 1, 0))
        return attrs.evolve(
            fetch,
            rank=draw(st.sampled_from([None, None, 0, 1])),
            descending=draw(st.sampled_from([None, False, True])),
            limit=draw(bound),
            offset=draw(st.sampled_from((None, None, 1, 2))),
        )
    if call == "fetch_many":
        keys = tuple(draw(st.lists(one_key, min_size=draw(st.sampled_from((2, 3, 0))), max_size=6)))
        return attrs.evolve(fetch, keys=keys, skip_missing=draw(st.booleans()))
    return attrs.evolve(fetch, keys=(draw(one_key),))


def _worth_a_plan(schema: Schema, rows: Rows) -> list[str]:
    """Return the entities to start at: those that have rows and relationships, more often than others."""
    names = [each.name for each in schema.entities]
    return [*[name for name in names if schema.ends(name) and rows.keys(schema, name)] * 4, *names]


@st.composite
def scenarios(draw: st.DrawFn, requests: int = 3) -> Scenario:
    """Draw a schema, rows, and up to so many plans with a way to fetch each."""
    schema = draw(schemas())
    rows = draw(rows_of(schema))
    drawn = []
    for _ in range(draw(st.sampled_from(range(1, requests + 1)))):
        entity = draw(st.sampled_from(_worth_a_plan(schema, rows)))
        drawn.append((draw(places(schema, entity)), draw(_fetch(schema, rows, entity))))
    return Scenario(schema, rows, tuple(drawn))
