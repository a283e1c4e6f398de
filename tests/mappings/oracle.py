"""The oracle of these tests: the graph of a plan, read once from loadplan's result and once by plain lazy loading."""

import copy
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapper, Session, lazyload

from loadplan import Load, Loader, LoadPlan, NotLoaded
from support import recording
from views.derived_views import read_views, view_plan, without_classes


async def fill(engine: AsyncEngine, *rows: object) -> None:
    """Store rows in a session of their own."""
    async with AsyncSession(engine) as session:
        session.add_all(rows)
        await session.commit()


async def same_as_lazy(
    engine: AsyncEngine,
    plan: LoadPlan[Any],
    statements: int | None,
    *,
    by_hand: bool = True,
    deep_copy: bool = True,
) -> list[Any]:
    """Fetch every root of ``plan`` and compare it, value by value, with what lazy loading gives.

    Also compared: a deep copy and a pickled copy, and ``plan.select()`` executed by hand.

    Args:
        engine: of the filled database.
        plan: of a mapping whose relationships may all load lazily.
        statements: that ``plan.select()`` takes by hand, no more and no fewer. The fetch takes as many, or as many
            as ``explain`` foretells where the loader goes another way than SQLAlchemy. None for the latter alone.
        by_hand: also execute ``plan.select()``.
        deep_copy: also compare a deep copy. SQLAlchemy itself duplicates members where both ends of a
            many-to-many are loaded: restoring one collection fires the events of the other.

    Returns:
        The roots, in the order of their primary keys.
    """
    foretold = Loader(engine).explain(plan, roots=None).statements
    order = _primary_key(plan.entity)
    expected = await read_lazily(engine, plan)
    with recording(engine) as recorded:
        roots = await Loader(engine).fetch_all(plan, order_by=order)
    assert len(recorded) in {foretold, foretold if statements is None else statements}, "\n\n".join(recorded)
    assert read(roots, plan) == expected
    assert_sealed(roots, plan)
    if deep_copy:
        assert read(copy.deepcopy(roots), plan) == expected
    unpickled = pickle.loads(pickle.dumps(roots))
    assert read(unpickled, plan) == expected
    assert_sealed(unpickled, plan)
    await same_as_views(engine, plan, expected)
    if by_hand:
        async with AsyncSession(engine) as session:
            with recording(engine) as recorded:
                selected = (await session.scalars(plan.select().order_by(*order))).unique().all()
            assert statements is None or len(recorded) == statements, "\n\n".join(recorded)
        assert read(selected, plan) == expected
    return roots


async def same_as_views(engine: AsyncEngine, plan: LoadPlan[Any], expected: list[Any]) -> None:
    """Assert that views of the plan's shape hold the same values: by level, in one statement, and one by one."""
    views, order = view_plan(plan), _primary_key(plan.entity)
    wanted, loader = without_classes(expected), Loader(engine)
    assert _sorted(read_views(await loader.fetch_all(views, order_by=order), plan)) == _sorted(wanted)
    assert _sorted(read_views(await loader.fetch_all(views, order_by=order, limit=50), plan)) == _sorted(wanted[:50])
    names = [column.key for column in order]
    for each in wanted[:3]:
        identity = tuple(each[name] for name in names)
        view = await loader.fetch(views, identity if len(identity) > 1 else identity[0])
        assert _sorted(read_views([view], plan)) == _sorted([each])


def _sorted(value: Any) -> Any:
    """Return values with the members of unordered collections in one order: views lack the names of classes."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    return sorted(map(_sorted, value), key=repr) if isinstance(value, list) else value


async def read_lazily(engine: AsyncEngine, plan: LoadPlan[Any]) -> list[Any]:
    """Return the graph of ``plan`` as SQLAlchemy's lazy loading gives it, in a greenlet of its own."""

    def walk(session: Session) -> list[Any]:
        statement = select(plan.entity).options(lazyload("*")).order_by(*_primary_key(plan.entity))
        return read(session.scalars(statement).all(), plan)

    async with AsyncSession(engine) as session:
        return await session.run_sync(walk)


def _primary_key(entity: Any) -> list[Any]:
    mapper = inspect(entity)
    return [getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key]


def read(roots: Iterable[Any], plan: LoadPlan[Any]) -> list[Any]:
    """Return the plan's graph as plain values; one row must be one object throughout."""
    visit = _Visit()
    return [visit.read(root, inspect(plan.entity), plan.loads) for root in roots]


def assert_sealed(roots: Iterable[Any], plan: LoadPlan[Any]) -> None:
    """Assert that every object is detached and clean, and that what the plan does not name raises ``NotLoaded``."""
    visit = _Visit()
    for root in roots:
        visit.read(root, inspect(plan.entity), plan.loads)
    for entity in visit.objects.values():
        state = inspect(entity)
        assert state.detached
        assert not state.modified
        may_be_there = visit.declared[id(entity)] | visit.back_references.get(id(entity), set())
        for prop in state.mapper.relationships:
            if prop.lazy in {"dynamic", "write_only"}:
                continue
            if prop.key in vars(entity):
                assert prop.key in may_be_there, f"{entity!r} came with {prop.key}"
            else:
                assert prop.key not in visit.declared[id(entity)]
                with pytest.raises(NotLoaded):
                    getattr(entity, prop.key)
        for prop in state.mapper.column_attrs:
            if prop.key not in vars(entity) and is_loadable(prop):
                with pytest.raises(NotLoaded):
                    getattr(entity, prop.key)


def is_loadable(prop: Any) -> bool:
    """Tell columns from ``query_expression`` and what has no attribute."""
    flags = dict(prop.strategy_key)
    return flags.get("instrument", True) and "query_expression" not in flags


@attrs.define
class _Visit:
    """One walk over a result: the objects met, what the plan declares on each, what may point back to it."""

    objects: dict[tuple[Any, ...], Any] = attrs.field(factory=dict)
    declared: dict[int, set[str]] = attrs.field(factory=dict)
    back_references: dict[int, set[str]] = attrs.field(factory=dict)

    def read(self, entity: Any, mapper: Mapper[Any], loads: Sequence[Load[Any] | LoadPlan[Any]]) -> dict[str, Any]:
        state = inspect(entity)
        identity = (state.mapper.base_mapper, state.identity)
        assert self.objects.setdefault(identity, entity) is entity, f"two objects for {identity}"
        declared = self.declared.setdefault(id(entity), set())
        values: dict[str, Any] = {"class": type(entity).__name__}
        for prop in mapper.column_attrs:
            if not prop.deferred and is_loadable(prop):
                values[prop.key] = getattr(entity, prop.key)
        for item in loads:
            if isinstance(item, LoadPlan):
                values |= self.read(entity, inspect(item.entity), item.loads)
                continue
            key = item.relationship if isinstance(item.relationship, str) else item.relationship.key
            prop = mapper.relationships[key]
            declared.add(key)
            values[key] = self.read_value(getattr(entity, key), prop, item.loads)
        return values

    def read_value(self, value: Any, prop: Any, loads: Sequence[Load[Any] | LoadPlan[Any]]) -> Any:
        def below(child: Any) -> dict[str, Any]:
            if prop.back_populates:
                self.back_references.setdefault(id(child), set()).add(prop.back_populates)
            return self.read(child, prop.mapper, loads)

        if value is None:
            return None
        if not prop.uselist:
            return below(value)
        if isinstance(value, Mapping):
            return {key: below(child) for key, child in value.items()}
        children = [below(child) for child in value]
        return children if prop.order_by else sorted(children, key=repr)
