"""Random plans, random calls: never a row of another tenant, whoever hides it and whichever way the rows come.

The oracle: the same call where the other tenant's rows do not exist. The guards: criteria that a listener of the
session adds, and row-level security of PostgreSQL, which works below SQLAlchemy and beside its listeners.
"""

import asyncio
import collections
import contextlib
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import attrs
import pytest
from fire_checks import listening
from fire_models import LONG, times
from fire_random_plans import forget_views, narrowed, random_plan
from fire_tenants import DOCS, OURS, Base, Doc, Mark, Media, Note, Owned, Person, Photo, Tag, ours_alone, random_rows
from graphql import build_schema, get_named_type, graphql
from sqlalchemy import URL, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from loadplan import Loader, LoadPlan, LoadPlanError, load
from loadplan.graphql import selected_plan
from support import server_settings

#: Plans in all, and after how many of them the rows are others.
PLANS, FRESH = times(8, 300), 8


#: How often each call is made: a statement that is asked for again may take a shorter way.
AGAIN = times(3, 2)


@attrs.frozen
class Databases:
    """The same tables thrice: with our rows alone, with everybody's, and with everybody's for a role that sees ours."""

    alone: AsyncEngine
    everybody: AsyncEngine
    role: AsyncEngine


def on_schema(url: URL, schema: str, **settings: str) -> AsyncEngine:
    return create_async_engine(url, connect_args=server_settings(url, search_path=schema, **settings))


@pytest.fixture(scope="session")
async def databases(postgres: AsyncEngine, postgres_url: URL) -> AsyncIterator[Databases]:
    role = f"loadplan_tenant_{uuid.uuid4().hex[:8]}"
    async with postgres.begin() as connection:
        for schema in ("fire_alone", "fire_everybody"):
            await connection.execute(text(f"CREATE SCHEMA {schema}"))
    alone, everybody = on_schema(postgres_url, "fire_alone"), on_schema(postgres_url, "fire_everybody")
    for engine in (alone, everybody):
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
    async with everybody.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {role}"))
        await connection.execute(text(f"GRANT USAGE ON SCHEMA fire_everybody TO {role}"))
        for table in Base.metadata.sorted_tables:
            await connection.execute(text(f"GRANT SELECT ON {table.name} TO {role}"))
            if "tenant" in table.c:
                seen = "tenant = current_setting('loadplan.tenant')::int"
            elif table is Photo.__table__:
                seen = f"EXISTS (SELECT FROM {Media.__table__.name} AS media WHERE media.id = {table.name}.id)"
            else:
                continue
            await connection.execute(text(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY"))
            await connection.execute(text(f"CREATE POLICY tenants ON {table.name} USING ({seen})"))
    as_role = on_schema(postgres_url, "fire_everybody", role=role, **{"loadplan.tenant": str(OURS)})
    try:
        yield Databases(alone, everybody, as_role)
    finally:
        for engine in (alone, everybody, as_role):
            await engine.dispose()
        async with postgres.begin() as connection:
            await connection.execute(text("DROP SCHEMA fire_alone, fire_everybody CASCADE"))
            await connection.execute(text(f"DROP ROLE {role}"))


async def fill(databases: Databases, chance: random.Random) -> None:
    """Give both databases rows of their own."""
    rows = random_rows(chance)
    for engine, found in ((databases.everybody, rows), (databases.alone, ours_alone(rows))):
        async with engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                await connection.execute(table.delete())
            for table, some in found.items():
                if some:
                    await connection.execute(insert(table), some)


# --- guards ---------------------------------------------------------------------------------------------------------


def hiding(kinds: list[Any]) -> Callable[[ORMExecuteState], None]:
    """Return the listener that SQLAlchemy's documentation shows for tenants."""

    def listener(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(
                *(with_loader_criteria(kind, lambda cls: cls.tenant == OURS, include_aliases=True) for kind in kinds)
            )

    return listener


@contextlib.contextmanager
def no_guard() -> Iterator[None]:
    yield


def by_mixin() -> contextlib.AbstractContextManager[None]:
    return listening(Session, "do_orm_execute", hiding([Owned]))


def by_classes() -> contextlib.AbstractContextManager[None]:
    kinds = [Doc, Note, Mark, Tag, Person, Media]
    # without include_aliases SQLAlchemy leaves the parents in a subquery alone: rows of ours that nothing asks for come
    return listening(Session, "do_orm_execute", hiding(kinds))


Guard = Callable[[], contextlib.AbstractContextManager[None]]


# --- calls ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Call:
    """One call of a loader, with values drawn."""

    name: str
    id: int
    ids: list[int]
    size: int
    offset: int
    descending: bool
    by_rank: bool
    filtered: bool
    max_rows: int | None
    bind: str

    @property
    def order(self) -> Any:
        column = Doc.rank if self.by_rank else Doc.id
        return column.desc() if self.descending else column

    @property
    def where(self) -> Any:
        return Doc.label != "t1-3" if self.filtered else None


CALLS = [
    "fetch",
    "fetch_or_none",
    "fetch_many",
    "fetch_one",
    "fetch_all",
    "limit",
    "pages",
    "stream",
    "fetch_attached",
    "extend",
    "count",
    "exists",
    "counted pages",
    "batched",
]


def random_call(chance: random.Random, name: str) -> Call:
    return Call(
        name=name,
        id=chance.randint(1, DOCS),
        ids=chance.sample(range(1, DOCS + 3), chance.randint(1, DOCS)),
        size=chance.randint(1, 4),
        offset=chance.randint(0, 2),
        descending=chance.random() < 0.5,
        by_rank=chance.random() < 0.5,
        filtered=chance.random() < 0.3,
        max_rows=chance.choice([None, None, None, 10_000, chance.randint(1, 40)]),
        bind=_bind(name, chance.choice(["engine", "engine", "sessionmaker", "session", "connection"])),
    )


def _bind(name: str, chosen: str) -> str:
    return "session" if name == "fetch_attached" else chosen


@contextlib.asynccontextmanager
async def bound(engine: AsyncEngine, call: Call) -> AsyncIterator[Loader]:
    bind: AsyncEngine | AsyncSession | AsyncConnection | async_sessionmaker[Any]
    if call.bind == "session":
        async with AsyncSession(engine) as bind:
            yield Loader(bind, max_rows=call.max_rows)
    elif call.bind == "connection":
        async with engine.connect() as bind:
            yield Loader(bind, max_rows=call.max_rows)
    else:
        bind = engine if call.bind == "engine" else async_sessionmaker(engine)
        yield Loader(bind, max_rows=call.max_rows)


async def outcome(engine: AsyncEngine, plan: LoadPlan[Any], call: Call) -> Any:
    """Return all that a call brings, as values that compare; or the code of the error that it raises."""
    async with bound(engine, call) as loader:
        try:
            return plain(await roots(loader, plan, call))
        except LoadPlanError as error:
            return error.code


async def noted(engine: AsyncEngine, plan: LoadPlan[Any], call: Call, what: str) -> Any:
    """Do the same; an error of anybody else says what it was about."""
    try:
        return await outcome(engine, plan, call)
    except Exception as error:
        error.add_note(f"{what}: {call!r} of {plan!r}")
        raise


async def roots(loader: Loader, plan: LoadPlan[Any], call: Call) -> list[Any]:
    order, where = call.order, call.where
    match call.name:
        case "fetch":
            return [await loader.fetch(plan, call.id)]
        case "fetch_or_none":
            return [await loader.fetch_or_none(plan, call.id)]
        case "fetch_many":
            return list(await loader.fetch_many(plan, call.ids, missing="skip"))
        case "fetch_one":
            return [await loader.fetch_one(plan, Doc.id == call.id)]
        case "fetch_all":
            return list(await loader.fetch_all(plan, where, order))
        case "limit":
            return list(await loader.fetch_all(plan, where, order, call.size, call.offset))
        case "count":
            return [await loader.count(plan, where)]
        case "exists":
            return [await loader.exists(plan, Doc.id == call.id)]
        case "batched":
            batched = loader.batched()
            return await asyncio.gather(*(batched.fetch_or_none(plan, each) for each in call.ids))
        case "stream":
            return [each async for each in loader.stream(plan, where, order, call.size)]
        case "fetch_attached":
            return [await loader.fetch_attached(plan, call.id)]
        case "extend":
            found = await loader.fetch_all(LoadPlan(Doc, only=[Doc.label]), where, order)
            return await loader.extend(found, *plan.loads)
        case _:
            return await pages(loader, plan, call)


async def pages(loader: Loader, plan: LoadPlan[Any], call: Call) -> list[Any]:
    """Walk to the end and back again."""
    found, after = [], None
    total: Literal["exact"] | None = "exact" if call.name == "counted pages" else None
    while True:
        page = await loader.fetch_page(plan, call.order, call.size, after=after, where=call.where, total=total)
        found += [*page.items, page.total] if total else page.items
        after, before = page.next, page.previous
        if after is None:
            break
    while before is not None:
        page = await loader.fetch_page(plan, call.order, call.size, before=before, where=call.where)
        found += page.items
        before = page.previous
    return found


def plain(found: list[Any]) -> Any:
    """Return views as nested values, and entities as what is loaded of each, by identity; numbers as they are."""
    return [
        each
        if each is None or isinstance(each, int)
        else attrs.asdict(each)
        if attrs.has(type(each))
        else _one(each, {})
        for each in found
    ]


def _one(root: Any, met: dict[Any, Any]) -> Any:
    """Return an entity's loaded attributes, and those of all that it leads to."""
    waiting = [root]
    while waiting:
        entity = waiting.pop()
        name = _name(entity)
        if name in met:
            continue
        values = met[name] = {}
        relationships = inspect(type(entity)).relationships.keys()
        for key, value in sorted(inspect(entity).dict.items()):
            if key not in relationships:
                values[key] = value
            elif isinstance(value, list):
                values[key] = [_name(each) for each in value]
                waiting += value
            else:
                values[key] = None if value is None else _name(value)
                waiting += [] if value is None else [value]
        values.pop("_sa_instance_state", None)
    return _name(root), met


def _name(entity: Any) -> tuple[str, int]:
    return type(entity).__name__, entity.id


# --- the property ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["entities", "views"])
async def test_no_row_of_another_tenant_ever_appears(databases: Databases, kind: Any) -> None:
    chance = random.Random(kind)  # noqa: S311
    guards: dict[str, tuple[AsyncEngine, Guard]] = {
        "criteria on the mixin": (databases.everybody, by_mixin),
        "criteria on the classes": (databases.everybody, by_classes),
        "row-level security": (databases.role, no_guard),
    }
    calls: collections.Counter[str] = collections.Counter()
    names, hidden, answered = itertools.cycle(CALLS), 0, 0
    for number in range(PLANS):
        if number % FRESH == 0:
            await fill(databases, chance)
            forget_views()
        plan = random_plan(chance, kind)
        if chance.random() < 0.4:
            plan = narrowed(chance, plan)
        for call in (random_call(chance, next(names)), random_call(chance, next(names))):
            expected = await noted(databases.alone, plan, call, f"plan {number}, alone")
            assert "'t2-" not in repr(expected)
            for name, (engine, guard) in guards.items():
                for again in range(AGAIN):
                    with guard():
                        found = await noted(engine, plan, call, f"plan {number}, {name}")
                    assert found == expected, (number, name, again, call, plan)
            calls[call.name] += 1
            answered += not isinstance(expected, str)
            hidden += await outcome(databases.everybody, plan, call) != expected
    assert set(calls) == set(CALLS)
    assert hidden > 0.5 * calls.total()
    assert answered > 0.5 * calls.total()
    if LONG:  # for whoever watches it with -s
        guarded = len(guards) * AGAIN * calls.total()
        print(f"{kind}: {guarded} guarded calls, {answered} of {calls.total()} answered, {hidden} with rows to hide")


# --- GraphQL --------------------------------------------------------------------------------------------------------

SCHEMA = build_schema("""
type Query { docs: [Doc!]! }
type Doc { id: Int!  label: String!  author: Person  parent: Doc  notes: [Note!]!  tags: [Tag!]!  media: [Media!]! }
type Person { label: String!  boss: Person  reports: [Person!]! }
type Note { label: String!  writer: Person  marks: [Mark!]! }
type Mark { label: String!  points: Int! }
type Tag { label: String!  owner: Person }
type Media { label: String!  maker: Person }
""")
PEOPLE = (load(Person.boss), load(Person.reports))
API = LoadPlan(
    Doc,
    load(Doc.author, *PEOPLE),
    load(Doc.parent, load(Doc.tags)),
    load(Doc.notes, load(Note.writer, *PEOPLE), load(Note.marks)),
    load(Doc.tags, load(Tag.owner, *PEOPLE)),
    load(Doc.media, load(Media.maker, *PEOPLE)),
)


def random_selection(chance: random.Random, kind: str, depth: int) -> str:
    """Return a selection of fields of a type that the plan allows."""
    allowed = {"parent": "label tags { label }", "boss": "label", "reports": "label"}
    words = ["label"]
    for name, field in SCHEMA.type_map[kind].fields.items():
        target = get_named_type(field.type)
        if hasattr(target, "fields") and depth and chance.random() < 0.6:
            below = allowed.get(name) or random_selection(chance, target.name, depth - 1)
            words.append(f"{name} {{ {below} }}")
    return " ".join(words)


async def test_a_graphql_query_brings_no_row_of_another_tenant(databases: Databases) -> None:
    chance = random.Random("graphql")  # noqa: S311
    differing = 0
    for number in range(PLANS):
        if number % FRESH == 0:
            await fill(databases, chance)
        query = f"{{ docs {{ {random_selection(chance, 'Doc', 3)} }} }}"

        async def ask(engine: AsyncEngine, query: str = query) -> Any:
            async def docs(_root: Any, info: Any) -> list[Doc]:
                return await Loader(engine).fetch_all(selected_plan(info, API), order_by=Doc.id)

            SCHEMA.query_type.fields["docs"].resolve = docs
            result = await graphql(SCHEMA, query)
            assert result.errors is None, (query, result.errors)
            return result.data

        expected = await ask(databases.alone)
        assert await ask(databases.role) == expected, query
        for guard in (by_mixin, by_classes):
            with guard():
                assert await ask(databases.everybody) == expected, query
        differing += await ask(databases.everybody) != expected
    assert differing > PLANS / 2
