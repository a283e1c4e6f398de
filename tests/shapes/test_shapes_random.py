"""Random shapes, on random rows of a schema with every kind of relationship, against the naive walk.

The oracle follows plain lazy relationships in a synchronous session and filters, sorts and slices in Python.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from shapes_models import Base, Comment, Country, Node, Note, Post, Tag, User, empty, insert_rows, random_rows
from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from loadplan import Load, Loader, LoadPlan, NotLoaded, PlanError, load
from random_cases import CASES, SAME_EACH_TIME
from support import recording, tables

CHECKED = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=SAME_EACH_TIME,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

#: A column of each class to filter and order by; it ties, and some are NULL.
FACT = {User: "name", Post: "score", Note: "score", Tag: "name", Comment: "n", Node: "rank", Country: "name"}
EDGES: dict[type[Any], dict[str, tuple[type[Any], bool]]] = {
    User: {"country": (Country, True), "posts": (Post, False), "notes": (Note, False)},
    Post: {"author": (User, True), "tags": (Tag, False), "comments": (Comment, False)},
    Note: {"country": (Country, True)},
    Tag: {"posts": (Post, False)},
    Comment: {"post": (Post, True), "author": (User, True)},
    Node: {"kids": (Node, False), "parent": (Node, True), "friends": (Node, False)},
    Country: {},
}

#: These point back to the parent that an object was found through; filters on them have a test in test_shapes_paths.
BACK = {(Post, "author"), (Comment, "post"), (Node, "parent")}


@attrs.frozen
class Edge:
    """One relationship of a random plan."""

    owner: type[Any]
    key: str
    threshold: int | None
    descending: bool | None
    limit: int | None
    only: bool
    strategy: Any
    below: "tuple[Edge, ...]"

    @property
    def target(self) -> type[Any]:
        return EDGES[self.owner][self.key][0]

    @property
    def to_one(self) -> bool:
        return EDGES[self.owner][self.key][1]

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.threshold, self.descending, self.limit

    def load(self) -> Load[Any]:
        where = self.target.id > bindparam(f"over_{self.threshold}") if self.threshold is not None else None
        fact = getattr(self.target, FACT[self.target])
        return load(
            getattr(self.owner, self.key),
            *(each.load() for each in self.below),
            where=where,
            order_by=None
            if self.descending is None
            else fact.desc().nulls_last()
            if self.descending
            else fact.nulls_first(),
            limit=self.limit,
            only=[self.target.id] if self.only else None,
            strategy=self.strategy,
        )

    def take(self, entities: list[Any]) -> list[Any]:
        """Filter, sort and slice in Python."""
        kept = [each for each in dict.fromkeys(entities) if self.threshold is None or each.id > self.threshold]
        if self.descending is not None:
            name = FACT[self.target]
            kept.sort(key=lambda each: each.id)
            kept.sort(key=lambda each: (getattr(each, name) is not None, _value(each, name)), reverse=self.descending)
        return kept[: self.limit]

    def walk(self) -> Iterator["Edge"]:
        yield self
        for each in self.below:
            yield from each.walk()


def _value(entity: Any, name: str) -> Any:
    value = getattr(entity, name)
    return (0, "") if value is None else (value, "") if isinstance(value, int) else (0, value)


@st.composite
def edges(draw: st.DrawFn, owner: type[Any], depth: int) -> tuple[Edge, ...]:
    keys = sorted(EDGES[owner])
    found = []
    for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=3)) if keys and depth else ():
        target, to_one = EDGES[owner][key]
        descending = None if to_one else draw(st.sampled_from([None, True, False]))
        limit = None if descending is None else draw(st.sampled_from([None, 1, 2, 5]))
        strategies = [None, None, "selectin", *(["subquery"] if limit is None else [])]
        found.append(
            Edge(
                owner,
                key,
                None if (owner, key) in BACK else draw(st.sampled_from([None, None, 0, 4, 30])),
                descending,
                limit,
                draw(st.booleans()),
                draw(st.sampled_from(strategies)),
                draw(edges(target, depth - 1)),
            )
        )
    return tuple(found)


@st.composite
def plans(draw: st.DrawFn) -> tuple[type[Any], tuple[Edge, ...]]:
    root = draw(st.sampled_from([User, Post, Tag, Comment, Node]))
    return root, draw(edges(root, 3))


def conflicting(loads: tuple[Edge, ...]) -> bool:
    """Whether two places want different rows of one relationship."""
    seen: dict[tuple[type[Any], str], tuple[Any, ...]] = {}
    return any(
        seen.setdefault((each.owner, each.key), each.shape) != each.shape for top in loads for each in top.walk()
    )


@pytest.fixture
async def bare(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The tables, for rows of each example's own."""
    async with tables(engine, Base.metadata):
        yield engine


def compare(ours: Any, plain: Any, loads: tuple[Edge, ...]) -> None:
    """Assert that an object has what a plan declares of it, as the walk finds it."""
    assert type(ours) is type(plain)
    assert ours.id == plain.id
    for edge in loads:
        value, whole = getattr(ours, edge.key), getattr(plain, edge.key)
        expected = edge.take([whole] if whole is not None else []) if edge.to_one else edge.take(list(whole))
        found = ([value] if value is not None else []) if edge.to_one else list(value)
        if edge.descending is None:
            found, expected = sorted(found, key=_id), sorted(expected, key=_id)
        assert [each.id for each in found] == [each.id for each in expected], (edge.owner, edge.key, plain.id)
        for one, other in zip(found, expected, strict=True):
            compare(one, other, edge.below)
    declared = {edge.key for edge in loads}
    for key in EDGES[type(plain)]:
        if key not in declared and key not in ours.__dict__:
            with pytest.raises(NotLoaded):
                getattr(ours, key)


def _id(entity: Any) -> int:
    return int(entity.id)


@CHECKED
@given(plan=plans(), seed=st.integers(0, 5), call=st.sampled_from(["all", "limit", "page", "stream", "many"]))
async def test_random_shapes_are_what_the_naive_walk_finds(
    bare: AsyncEngine, plan: tuple[type[Any], tuple[Edge, ...]], seed: int, call: str
) -> None:
    root, loads = plan
    if conflicting(loads):
        with pytest.raises(PlanError, match="LP109"):
            LoadPlan(root, *(each.load() for each in loads))
        event("refused")
        return
    declared = LoadPlan(root, *(each.load() for each in loads))
    note(repr(declared))
    await empty(bare)
    await insert_rows(bare, random_rows(seed, users=6))
    params = {
        f"over_{each.threshold}": each.threshold for top in loads for each in top.walk() if each.threshold is not None
    }
    loader = Loader(bare)
    with recording(bare) as statements:
        match call:
            case "all":
                found = await loader.fetch_all(declared, order_by=root.id, params=params)
            case "limit":
                found = await loader.fetch_all(declared, order_by=root.id, limit=7, offset=2, params=params)
            case "page":
                found = (await loader.fetch_page(declared, root.id.desc(), 5, params=params)).items
            case "stream":
                found = [each async for each in loader.stream(declared, order_by=root.id, batch_size=9, params=params)]
            case _:
                found = await loader.fetch_many(declared, range(1, 15), missing="skip", params=params)
    if call != "stream":
        assert len(statements.selects) <= loader.explain(declared, roots=None).statements

    def walk(session: Session) -> None:
        for ours in found:
            plain = session.get(root, ours.id)
            compare(ours, plain, loads)

    async with AsyncSession(bare) as session:
        await session.run_sync(walk)
