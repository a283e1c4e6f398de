"""The oracle: a lazy walk in a plain synchronous session, and the comparison of everything loadplan gives with it."""

import asyncio
import copy
import itertools
import keyword
import os
import pickle
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Annotated, Any, TypeAlias

import attrs
import sqlalchemy as sa
from foreign_drawing import primary_key
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Load, Loader, LoadPlan, NotLoaded, PlanError, count
from loadplan.sqlalchemy_internals import mappers_in
from views.derived_views import column_names, read_views, view_plan

Follow: TypeAlias = Callable[[Any, orm.RelationshipProperty[Any], Load[Any]], Any]

_numbers = itertools.count(1)


@attrs.frozen
class Difference:
    """One thing that loadplan gives otherwise than SQLAlchemy.

    Attributes:
        what: the part of loadplan: entities, views, pages, ...
        entity: the root class.
        found: what was seen, in one line.
        plan: the plan, as the code that makes it.
    """

    what: str
    entity: str
    found: str
    plan: str

    def __str__(self) -> str:
        return f"{self.what} of {self.entity}: {self.found}\n    {self.plan}"

    @property
    def line(self) -> str:
        """What a list of known differences is matched with."""
        return f"{self.what} of {self.entity}: {self.found}"


# --- reading a graph, whether a session loads it lazily or a plan has brought it


@attrs.define
class Reader:
    """Reads the graph of a plan as plain values.

    Attributes:
        follow: returns the value of a relationship.
        declared: of each object met, the attributes that the plan declares.
        members: of each relationship of each row, what it led to: two answers mean two filters for one collection.
        conflicts: whether there are two.
    """

    follow: Follow
    objects: dict[Any, Any] = attrs.field(factory=dict)
    declared: dict[Any, set[str]] = attrs.field(factory=dict)
    members: dict[tuple[Any, str], Any] = attrs.field(factory=dict)
    conflicts: bool = False
    split: list[str] = attrs.field(factory=list)

    def read(self, roots: Iterable[Any], plan: LoadPlan[Any]) -> list[Any]:
        return [self.visit(root, sa.inspect(plan.entity), plan) for root in roots]

    def visit(self, entity: Any, mapper: orm.Mapper[Any], place: Any) -> dict[str, Any]:
        here = identity(entity)
        if self.objects.setdefault(here, entity) is not entity:
            self.split.append(f"two objects for {here}")
        declared = self.declared.setdefault(here, set())
        values: dict[str, Any] = {"class": type(entity).__name__}
        for name in asked(mapper, place):
            declared.add(name)
            values[name] = plain(getattr(entity, name))
        for each in place.loads:
            prop = mapper.relationships[each.relationship.key]
            declared.add(prop.key)
            value = self.follow(entity, prop, each)
            members = sorted(map(repr, map(identity, listed(value))))
            if self.members.setdefault((here, prop.key), members) != members:
                self.conflicts = True
            values[prop.key] = self.below(value, prop, each)
        return values

    def below(self, value: Any, prop: orm.RelationshipProperty[Any], each: Load[Any]) -> Any:
        if value is None:
            return None
        if isinstance(value, Mapping):
            return {repr(key): self.visit(child, prop.mapper, each) for key, child in value.items()}
        if not isinstance(value, list | set | tuple) and not prop.uselist:
            return self.visit(value, prop.mapper, each)
        children = [self.visit(child, prop.mapper, each) for child in value]
        return children if each.order_by and not is_set(prop) else sorted(children, key=repr)


def is_set(prop: orm.RelationshipProperty[Any]) -> bool:
    """Tell whether a relationship gives a set, which keeps no order."""
    made = prop.collection_class() if prop.collection_class else []
    return isinstance(made, Set) or getattr(type(made), "__emulates__", None) is set


def plain(value: Any) -> Any:
    """Return a value that compares by what it holds. A copy of it, say of an enum's member, gives the same."""
    if type(value).__eq__ is not object.__eq__:
        return value
    tells = type(value).__repr__ is not object.__repr__
    return repr(value) if tells else f"{type(value).__qualname__} {getattr(value, '__dict__', '')}"


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, Iterable) and not hasattr(value, "_sa_instance_state") else [value]


def identity(entity: Any) -> tuple[str, Any]:
    state = sa.inspect(entity)
    key = (
        state.identity
        if state.identity is not None
        else tuple(vars(entity).get(each) for each in primary_key(state.mapper))
    )
    # without a discriminator a row of a subclass is an object of either class to a session, and both may be there;
    # tables of concrete subclasses may have the same keys
    base = state.mapper.base_mapper
    told_apart = state.key is not None and (base.polymorphic_on is None or state.mapper.concrete)
    return (state.key[0] if told_apart else state.mapper.base_mapper.class_).__name__, key


def asked(mapper: orm.Mapper[Any], place: Any) -> list[str]:
    """Return the columns that a place declares."""
    if place.only is not None:
        return sorted({each.key for each in place.only} | set(primary_key(mapper)))
    left = {each.key for each in place.defer or ()} - set(primary_key(mapper))
    return [name for name in column_names(mapper) if name not in left]


def brought(entity: Any, prop: orm.RelationshipProperty[Any], each: Load[Any]) -> Any:
    return getattr(entity, prop.key)


def lazily(session: orm.Session) -> Follow:
    """Return the way to follow a relationship in a session that loads lazily."""

    def follow(entity: Any, prop: orm.RelationshipProperty[Any], each: Load[Any]) -> Any:
        whole = getattr(entity, prop.key)
        if each.where is None and not each.order_by and each.limit is None:
            return whole
        there = listed(whole)
        order = list(each.order_by or ())
        statement = sa.select(prop.entity).options(orm.lazyload("*"))
        found = session.scalars(statement.where(*(each.where or ())).order_by(*order)).unique()
        kept = [child for child in found if any(child is other for other in there)]
        kept = kept[: each.limit]
        if prop.uselist:
            if isinstance(whole, Mapping):
                return {key: child for key, child in whole.items() if any(child is one for one in kept)}
            return kept
        return kept[0] if kept else None

    return follow


# --- comparing


@attrs.define
class Comparison:
    """Compares what one plan gives with the lazy walk, in every way that loadplan has.

    Attributes:
        refused: plans that loadplan refused with a PlanError. That is an answer, not a difference.
        compared: how often each part of loadplan was held against the walk.
        walked: whether SQLAlchemy itself could load the rows lazily; where it cannot, nothing is compared.
    """

    engine: AsyncEngine
    plan: LoadPlan[Any]
    differences: list[Difference] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)
    expected: list[Any] = attrs.field(factory=list)
    conflicts: bool = False
    compared: Counter[str] = attrs.field(factory=Counter)
    walked: bool = True

    @property
    def mapper(self) -> orm.Mapper[Any]:
        found: orm.Mapper[Any] = sa.inspect(self.plan.entity)
        return found

    @property
    def key(self) -> list[Any]:
        return [getattr(self.plan.entity, name) for name in primary_key(self.mapper)]

    @property
    def batch(self) -> int:
        """The size of pages and batches: small, and few of them where a table is long."""
        return max(2, len(self.expected) // 5)

    def differs(self, what: str, found: str) -> None:
        text = " ".join(found.split())[: int(os.environ.get("LOADPLAN_FOREIGN_WIDTH", "400"))]
        self.differences.append(
            Difference(what, self.plan.entity.__name__, text, " ".join(repr(self.plan).split())[:1500])
        )

    async def all(self, order: Sequence[Any]) -> None:
        """Compare entities, copies, views, counts, pages and streams."""
        try:
            await self.walk()
        except Exception:  # SQLAlchemy itself cannot walk these rows
            self.walked = False
            return
        for what, compare in (
            ("entities", self.entities),
            ("views", self.views),
            ("counts", self.counts),
            ("calls", self.calls),
            ("pages", lambda: self.pages(order)),
            ("streams", self.streams),
        ):
            try:
                await asyncio.wait_for(compare(), 60)
            except PlanError as error:
                self.refused.append(f"{what} of {self.plan.entity.__name__}: {str(error).splitlines()[0]}")
            except Exception as error:
                self.differs(what, f"{type(error).__name__}: {error}")

    async def walk(self) -> None:
        def walk(session: orm.Session) -> None:
            statement = sa.select(self.plan.entity).options(orm.lazyload("*")).order_by(*self.key)
            reader = Reader(lazily(session))
            self.expected = reader.read(session.scalars(statement).unique(), self.plan)
            self.conflicts = reader.conflicts

        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            async with AsyncSession(self.engine) as session:
                await session.run_sync(walk)
        if any("Multiple rows returned with uselist=False" in str(each.message) for each in warned):
            self.conflicts = True  # any one of them is right

    def compare(self, what: str, found: list[Any], expected: list[Any], *, ordered: bool = True) -> None:
        self.compared[what] += 1
        if not ordered:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        if found != expected:
            self.differs(what, first_difference(found, expected, self.plan.entity.__name__))

    async def entities(self) -> None:
        roots = await Loader(self.engine).fetch_all(self.plan, order_by=self.key)
        if self.conflicts:
            return
        self.same_graph("entities", roots)
        if importable(roots):
            self.same_graph("pickles", pickle.loads(pickle.dumps(roots)))
        self.same_graph("copies", copy.deepcopy(roots))
        if roots and None not in sa.inspect(roots[0]).identity:
            keys = [sa.inspect(root).identity for root in roots]
            ids = [key if len(key) > 1 or isinstance(key[0], dict) else key[0] for key in keys]
            many = await Loader(self.engine).fetch_many(self.plan, ids[::-1])
            self.compare("fetch_many", Reader(brought).read(many, self.plan), self.expected[::-1])
            one = await Loader(self.engine).fetch(self.plan, ids[0])
            if self.plan.loads:
                self.compare("fetch", Reader(brought).read([one], self.plan), self.expected[:1])

    def same_graph(self, what: str, roots: list[Any]) -> None:
        reader = Reader(brought)
        self.compare(what, reader.read(roots, self.plan), self.expected)
        for each in reader.split[:1]:
            self.differs(what, each)
        for here, entity in reader.objects.items():
            state = sa.inspect(entity)
            if not state.detached:
                self.differs(what, f"{here} is not detached")
                return
            if state.modified:
                self.differs(what, f"{here} is modified")
                return
            for prop in state.mapper.relationships:
                if prop.key in reader.declared[here] or prop.lazy in {"dynamic", "write_only"}:
                    continue
                try:
                    getattr(entity, prop.key)
                except NotLoaded:
                    continue
                if prop.uselist:
                    self.differs(what, f"undeclared {prop} answers")
                    return

    async def views(self) -> None:
        if not all(each.isidentifier() and not keyword.iskeyword(each) for each in names_in(self.mapper, self.plan)):
            return  # no class can have such a field
        views = view_plan(self.plan_of_all_columns())
        found = read_views(await Loader(self.engine).fetch_all(views, order_by=self.key), self.plan_of_all_columns())
        async with AsyncSession(self.engine) as session:

            def walk(session: orm.Session) -> list[Any]:
                statement = sa.select(self.plan.entity).options(orm.lazyload("*")).order_by(*self.key)
                return Reader(lazily(session)).read(session.scalars(statement).unique(), self.plan_of_all_columns())

            expected = await session.run_sync(walk)
        if not self.conflicts:
            self.compare("views", same_form(found), same_form(expected))

    def plan_of_all_columns(self) -> LoadPlan[Any]:
        def whole(each: Load[Any]) -> Load[Any]:
            return attrs.evolve(each, only=None, defer=None, loads=tuple(map(whole, each.loads)))

        return LoadPlan(self.plan.entity, *map(whole, self.plan.loads), name=self.plan.name)

    async def calls(self) -> None:
        """``count`` and ``exists``, of all roots and of those that a condition keeps."""
        loader = Loader(self.engine)
        for key in (None, self.key[0].is_not(None), self.key[0].is_(None)):
            statement = sa.select(*self.key) if key is None else sa.select(*self.key).where(key)
            async with AsyncSession(self.engine) as session:
                rows = await session.scalar(sa.select(sa.func.count()).select_from(statement.distinct().subquery()))
            if key is None and rows != len(self.expected):  # rows that come several times, or have no key
                return
            self.compared["calls"] += 1
            if (found := await loader.count(self.plan, key)) != rows:
                self.differs("calls", f"count() is {found} instead of {rows}")
            if await loader.exists(self.plan, key) != bool(rows):
                self.differs("calls", f"exists() is not {bool(rows)}")

    async def counts(self) -> None:
        """Views that count: against the lazily loaded collections, and the roots against SQL."""
        collections = [
            each for each in self.mapper.relationships if each.uselist and each.lazy not in {"dynamic", "write_only"}
        ][:4]
        fields = {
            f"count_{number}": attrs.field(type=Annotated[int, count(getattr(self.plan.entity, prop.key))])
            for number, prop in enumerate(collections)
        }
        fields |= {name: attrs.field(type=Any) for name in primary_key(self.mapper)}
        view = attrs.make_class(f"Counts{next(_numbers)}", fields, frozen=True)
        found = await Loader(self.engine).fetch_all(LoadPlan(self.plan.entity, into=view), order_by=self.key)

        def walk(session: orm.Session) -> tuple[list[list[int]], int]:
            statement = sa.select(self.plan.entity).options(orm.lazyload("*")).order_by(*self.key)
            lengths = []
            for root in session.scalars(statement).unique():
                lengths.append([])
                for prop in collections:
                    value = getattr(root, prop.key)
                    if isinstance(value, Mapping):  # members of one key hide each other
                        related = sa.select(prop.entity).where(
                            orm.with_parent(root, getattr(self.plan.entity, prop.key))
                        )
                        value = session.scalars(related.options(orm.lazyload("*"))).unique().all()
                    lengths[-1].append(len(listed(value)))
            rows = session.scalar(sa.select(sa.func.count()).select_from(sa.select(*self.key).subquery()))
            return lengths, int(rows or 0)

        async with AsyncSession(self.engine) as session:
            lengths, rows = await session.run_sync(walk)
        self.compare(
            "counts", [[getattr(each, name) for name in list(fields)[: len(collections)]] for each in found], lengths
        )
        if len(found) != rows and rows == len(self.expected):
            self.differs("counts", f"{len(found)} roots, SQL counts {rows}")

    async def pages(self, order: Sequence[Any]) -> None:
        def keys(session: orm.Session) -> list[Any]:
            statement = sa.select(self.plan.entity).options(orm.lazyload("*")).order_by(*order, *self.key)
            return [identity(root) for root in session.scalars(statement).unique()]

        async with AsyncSession(self.engine) as session:
            expected = await session.run_sync(keys)
        loader, found, page, size = Loader(self.engine), [], None, self.batch
        pages, graphs = [], []
        while page is None or page.next:
            page = await loader.fetch_page(self.plan, order, size, after=page.next if page else None)
            pages.append([identity(each) for each in page.items])
            found += pages[-1]
            graphs += [Reader(brought).read([each], self.plan)[0] for each in page.items]
            if len(found) > len(expected) + 2 * size:
                break
        self.compare("pages", found, expected)
        if not self.conflicts and found == expected:
            self.compare("graphs of pages", graphs, self.expected, ordered=False)
        if page.previous and len(pages) > 1:
            before = await loader.fetch_page(self.plan, order, size, before=page.previous)
            self.compare("pages back", [identity(each) for each in before.items], pages[-2])

    async def streams(self) -> None:
        found: list[Any] = []
        async for root in Loader(self.engine).stream(self.plan, order_by=self.key, batch_size=self.batch):
            found.append(Reader(brought).read([root], self.plan)[0])  # noqa: PERF401
        if not self.conflicts:
            self.compare("streams", found, self.expected)


def names_in(mapper: orm.Mapper[Any], place: Any) -> Iterator[str]:
    """Yield the names of the columns and relationships of a plan."""
    yield from column_names(mapper)
    for each in place.loads:
        prop = mapper.relationships[each.relationship.key]
        yield prop.key
        yield from names_in(prop.mapper, each)


def same_form(value: Any) -> Any:
    """Return values in one order and without the names of classes, which views lack."""
    if isinstance(value, dict):
        return {str(key).strip("'"): same_form(each) for key, each in value.items() if key != "class"}
    return sorted(map(same_form, value), key=repr) if isinstance(value, list) else plain(value)


def first_difference(found: Any, expected: Any, path: str) -> str:
    """Return where two graphs part, in one line."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in expected:
            if key not in found:
                return f"{path}.{key} is missing"
            if found[key] != expected[key]:
                return first_difference(found[key], expected[key], f"{path}.{key}")
        return f"{path} has {sorted(found.keys() - expected.keys())} too much"
    if isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            return f"{path} has {len(found)} members instead of {len(expected)}"
        for one, other in zip(found, expected, strict=True):
            if one != other:
                return first_difference(one, other, f"{path}[]")
    return f"{path} is {_brief(found)} instead of {_brief(expected)}"


def _brief(value: Any) -> str:
    return repr(value)[:80]


def importable(roots: Iterable[Any]) -> bool:
    """Tell whether pickle can find the classes."""
    for root in roots:
        for mapper in mappers_in(sa.inspect(type(root)).registry):
            each: Any = sys.modules.get(mapper.class_.__module__)
            for name in mapper.class_.__qualname__.split("."):
                each = getattr(each, name, None)
            if each is not mapper.class_:
                return False
        return True
    return False
