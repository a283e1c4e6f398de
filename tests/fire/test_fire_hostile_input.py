"""Whatever comes as an id, parameter, cursor, number or order: loadplan's error or the right answer, and never SQL."""

import base64
import enum
import hashlib
import hmac
import json
import string
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

import attrs
import pytest
from fire_hostile import (
    RIGHT,
    Base,
    Color,
    EvilClass,
    EvilInt,
    EvilObject,
    EvilStr,
    Marked,
    Named,
    Pair,
    Part,
    Thing,
    seed,
    strange,
)
from fire_models import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import (
    CursorError,
    IdentityError,
    Loader,
    LoaderError,
    LoadPlan,
    LoadPlanError,
    ParameterError,
    PlanError,
    load,
    source,
)
from support import Statements, recording, tables


@attrs.frozen
class PartView:
    id: int
    name: str


@attrs.frozen
class ThingView:
    id: int
    text: str | None
    parts: list[PartView]


@pytest.fixture(scope="session")
async def things(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Two things, and one row of each of the others."""
    async with tables(postgres, Base.metadata):
        await seed(postgres)
        yield postgres


THING, THING_VIEW = LoadPlan(Thing, load(Thing.parts)), LoadPlan(Thing, into=ThingView)
KEYED: dict[str, tuple[LoadPlan[Any], Any, Callable[[Any], Any]]] = {
    "entity": (THING, 1, lambda found: found.id),
    "view": (THING_VIEW, 1, lambda found: found.id),
    "text": (LoadPlan(Named), "one", lambda found: found.name),
    "pair": (LoadPlan(Pair), (1, "one"), lambda found: (found.left, found.right)),
    "uuid": (LoadPlan(Marked), RIGHT["mark"], lambda found: found.mark),
}

Attempt = Callable[[Any], Coroutine[Any, Any, Any]]


async def answers(attempt: Attempt, value: Any) -> Any:
    """Return what an attempt answers, or loadplan's error; nothing else may come out."""
    try:
        return await attempt(value)
    except LoadPlanError as error:
        found = error
    assert 0 < len(str(found)) < 5000
    return found


async def assert_harmless(
    engine: AsyncEngine, attempt: Attempt, harmless: list[Any], values: list[Any]
) -> dict[int, Any]:
    """Make attempts with hostile values; fail if one sends SQL that harmless values do not.

    Returns:
        What was answered, by the place of the value, errors left out.
    """
    with recording(engine) as expected:
        for value in harmless:
            await attempt(value)
    with recording(engine) as sent:
        found = [await answers(attempt, value) for value in values]
    assert unknown(sent, expected) == []
    assert any(isinstance(each, LoadPlanError) for each in found)
    return {at: each for at, each in enumerate(found) if not isinstance(each, LoadPlanError)}


def unknown(sent: Statements, expected: Statements) -> list[str]:
    return sorted(set(sent) - set(expected))


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYED)
async def test_ids(things: AsyncEngine, name: str) -> None:
    plan, right, key_of = KEYED[name]
    loader, values = Loader(things), strange()
    one = await assert_harmless(things, lambda value: loader.fetch_or_none(plan, value), [right], values)
    assert {key_of(each) for each in one.values() if each is not None} <= {right, 2}
    for at, each in one.items():
        assert each is None or key_of(each) in (values[at], *_as_key(values[at]))

    async def many(value: Any) -> Any:
        return await loader.fetch_many(plan, [right, value, right], missing="skip")

    several = await assert_harmless(things, many, [right], strange())
    assert all(found[0] is found[-1] and key_of(found[0]) == right for found in several.values())


def _as_key(value: Any) -> list[Any]:
    """Return what a mapping, or a tuple, of one key stands for."""
    if isinstance(value, dict):
        return list(value.values()) if len(value) == 1 else [tuple(value.values())]
    return list(value) if isinstance(value, tuple) else []


async def test_what_is_no_list_of_ids(things: AsyncEngine) -> None:
    loader = Loader(things)
    for value in (None, 1, object(), EvilObject(), EvilClass(), Color.RED, Thing.id):
        with pytest.raises(IdentityError, match="is no list of ids"):
            await loader.fetch_many(THING, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["12", b"\x01\x02", bytearray(b"\x01"), memoryview(b"\x01")], ids=lambda value: type(value).__name__
)
async def test_one_text_is_no_list_of_ids(things: AsyncEngine, value: Any) -> None:
    """Its letters, or bytes, would be taken for ids."""
    for plan in (THING, LoadPlan(Named)):
        with recording(things) as sent, pytest.raises(IdentityError, match=r"is one value, no list of ids"):
            await Loader(things).fetch_many(plan, value)
        assert sent == []


@pytest.mark.parametrize("value", [None, 1, "plan", Thing, ThingView, THING.select(), load(Thing.parts), EvilObject()])
async def test_what_is_no_plan(things: AsyncEngine, value: Any) -> None:
    loader = Loader(things)

    async def walk() -> None:
        async for _ in loader.stream(value):
            pass

    async def at_once(call: Callable[[Any], Any]) -> None:
        call(value)

    calls = [
        loader.fetch(value, 1),
        loader.fetch_or_none(value, 1),
        loader.fetch_many(value, [1]),
        loader.fetch_many(value, []),
        loader.fetch_many(value, "1"),
        loader.fetch_one(value, Thing.id == 1),
        loader.fetch_all(value),
        loader.fetch_page(value),
        loader.analyze(value, 1),
        walk(),
        at_once(loader.explain),
        at_once(loader.check),
    ]
    with recording(things) as sent:
        for call in calls:
            with pytest.raises(LoaderError, match=r"LP408: .* is no LoadPlan"):
                await call
    assert sent == []


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", RIGHT)
async def test_parameters(things: AsyncEngine, column: str) -> None:
    """A parameter that is compared with a column of each kind; the right value finds its row."""
    attribute, loader = getattr(Thing, column), Loader(things)
    condition = attribute == bindparam("value")

    async def of_root(value: Any) -> Any:
        return await loader.fetch_all(THING, condition, params={"value": value})

    assert [each.id for each in await of_root(RIGHT[column])] == [1]
    found = await assert_harmless(things, of_root, [RIGHT[column]], strange())
    assert {each.id for rows in found.values() for each in rows} <= {1, 2}

    among = attribute.in_(bindparam("values", expanding=True))

    async def of_list(value: Any) -> Any:
        return await loader.fetch_all(THING_VIEW, among, params={"values": [value]})

    if column != "numbers":  # an array in a list of arrays: PostgreSQL has IN for them, SQLAlchemy has not
        assert [each.id for each in await of_list(RIGHT[column])] == [1]
        await assert_harmless(things, of_list, [RIGHT[column], None], strange())


async def test_parameters_of_a_plan_and_their_container(things: AsyncEngine) -> None:
    loader = Loader(things)
    plan = LoadPlan(Thing, load(Thing.parts, where=Part.name == bindparam("name")))
    view = LoadPlan(Thing, load(Thing.parts, where=Part.name == bindparam("name")), into=ThingView)
    for each in (plan, view):
        await assert_harmless(
            things, lambda value, each=each: loader.fetch(each, 1, params={"name": value}), ["one"], strange()
        )
        await assert_harmless(
            things, lambda value, each=each: loader.fetch(each, 1, params=value), [{"name": "one"}], strange()
        )
    listed = Thing.id.in_(bindparam("ids", expanding=True))

    async def expanding(value: Any) -> Any:
        return [each.id for each in await loader.fetch_all(THING, listed, params={"ids": value})]

    found = await assert_harmless(things, expanding, [[1], [1, 2], []], strange())
    assert {1} in map(set, found.values())


# --- cursors --------------------------------------------------------------------------------------------------------


def forged(payload: bytes, order: str) -> str:
    """Return a cursor of a listing that has no secret, made by somebody who has read how."""
    secret = hashlib.blake2b(b"", digest_size=32).digest()
    digest = hashlib.blake2b(order.encode()).digest()
    mac = (
        hmac.new(b"", b"", "sha256").digest()[:0]
        + hashlib.blake2b(digest + payload, key=secret, digest_size=12).digest()
    )
    return base64.urlsafe_b64encode(mac + payload).rstrip(b"=").decode()


ORDER = "fire_things.{0} ASC []"


def order_of(column: str) -> str:
    return f"fire_things.{column} ASC [], fire_things.id ASC []" if column != "id" else "fire_things.id ASC []"


TAGS = ["bool", "int", "str", "float", "decimal", "datetime", "date", "time", "interval", "uuid", "bytes", "enum", "no"]
ENCODED = [
    5,
    "5",
    None,
    [],
    [1, 2, 3],
    ["a"],
    {},
    {"a": 1},
    True,
    1e400,
    "NaN",
    "sNaN",
    "x" * 1000,
    "RED",
    "\0",
    "\ud800",
]


async def walk(loader: Loader, column: str) -> list[int]:
    """Return the ids of all pages of one root, forwards."""
    found, after = [], None
    while True:
        page = await loader.fetch_page(THING, getattr(Thing, column), 1, after=after)
        found += [each.id for each in page.items]
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize("column", [name for name in RIGHT if name != "numbers"])
async def test_cursors(things: AsyncEngine, column: str) -> None:
    """Forged with the right signature, so that all of it is read; and a page of each kind of key works."""
    loader = Loader(things)
    assert sorted(await walk(loader, column)) == [1, 2]
    cursors: list[Any] = list(strange())
    first = (await loader.fetch_page(THING, getattr(Thing, column), 1)).next
    assert first is not None
    for tag in TAGS:
        for value in ENCODED:
            row = [[tag, value]] if column == "id" else [[tag, value], ["int", "1"]]
            cursors.append(forged(json.dumps(row).encode(), order_of(column)))
    payloads = [b"", b"[]", b"{}", b"1", b'"ab"', b"[" * 100_000, b"null", b"[null,null]", b"\xff", b"[[],[]]"]
    cursors += [forged(each, order_of(column)) for each in payloads]
    cursors += [first[:-1], first + "A", first.upper(), first.encode(), EvilStr(first)]

    async def page(value: Any) -> Any:
        return await loader.fetch_page(THING, getattr(Thing, column), 1, after=value)

    none = forged(json.dumps([None, ["int", "1"]]).encode(), order_of(column))
    await assert_harmless(things, page, [None, first, *([none] if column != "id" else [])], cursors)
    assert (await answers(page, first)).items[0].id == 2
    with pytest.raises(CursorError):
        await page(forged(b"[]", order_of(column)))


async def test_a_forged_cursor_is_read_at_all(things: AsyncEngine) -> None:
    """The forgery above is one: with a value that fits it leads where it says."""
    page = await Loader(things).fetch_page(THING, Thing.id, 1, after=forged(b'[["int","1"]]', order_of("id")))
    assert [each.id for each in page.items] == [2]
    with pytest.raises(CursorError):
        await Loader(things, cursor_key=b"secret").fetch_page(
            THING, Thing.id, 1, after=forged(b'[["int","1"]]', order_of("id"))
        )


# --- numbers and orders ---------------------------------------------------------------------------------------------


async def batches(loader: Loader, size: Any) -> list[Any]:
    return [each async for each in loader.stream(THING, order_by=Thing.id, batch_size=size)]


NUMBERS: dict[str, Callable[[AsyncEngine, Any], Coroutine[Any, Any, Any]]] = {
    "limit": lambda engine, value: Loader(engine).fetch_all(THING, limit=value),
    "limit of views": lambda engine, value: Loader(engine).fetch_all(THING_VIEW, limit=value),
    "offset": lambda engine, value: Loader(engine).fetch_all(THING, offset=value),
    "size": lambda engine, value: Loader(engine).fetch_page(THING, size=value),
    "batch_size": lambda engine, value: batches(Loader(engine), value),
    "max_rows": lambda engine, value: Loader(engine, max_rows=value).fetch_all(THING),
}


async def made(coroutine: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await coroutine()


@pytest.mark.parametrize("word", NUMBERS)
async def test_numbers(things: AsyncEngine, word: str) -> None:
    async def attempt(value: Any) -> Any:
        return await NUMBERS[word](things, value)

    harmless = [1, 2, 2**40] if word in {"size", "batch_size", "max_rows"} else [0, 1, 2, 2**40, None]
    harmless += [None] if word == "max_rows" else []
    await assert_harmless(things, lambda value: attempt_quietly(attempt, value), harmless, strange())


async def attempt_quietly(attempt: Attempt, value: Any) -> Any:
    """Have too many rows, of a small ``max_rows``, be an answer."""
    return await answers(attempt, value)


async def test_numbers_that_only_sixty_four_bits_hold(things: AsyncEngine) -> None:
    loader = Loader(things)
    most = 2**63 - 2
    assert len(await loader.fetch_all(THING, limit=most)) == 2
    assert len(await loader.fetch_all(THING, limit=2**31)) == 2
    assert await loader.fetch_all(THING, offset=2**40) == []
    assert len((await loader.fetch_page(THING, size=most)).items) == 2
    assert len(await Loader(things, max_rows=most).fetch_all(THING_VIEW)) == 2
    for word in ("limit", "offset"):
        with pytest.raises(PlanError, match="is more than a database counts"):
            await loader.fetch_all(THING, **{word: 2**63})  # type: ignore[arg-type]
    with pytest.raises(LoaderError, match="LP408: max_rows=-1 is not a number of 0 or more"):
        Loader(things, max_rows=-1)
    with pytest.raises(PlanError, match="LP107: batch_size=0 is not a number of 1 or more"):
        await batches(loader, 0)


@pytest.mark.parametrize("word", ["where", "order_by"])
async def test_conditions_and_orders_that_are_none(things: AsyncEngine, word: str) -> None:
    loader = Loader(things)
    no_sql = [each for each in strange() if each is not Thing.id and not hasattr(each, "__clause_element__")]
    no_sql = [each for each in no_sql if not type(each).__module__.startswith("sqlalchemy")]

    async def attempt(value: Any) -> Any:
        return await loader.fetch_all(THING, **{word: value})

    harmless = [None, Thing.id == 1 if word == "where" else Thing.id]
    await assert_harmless(things, attempt, harmless, no_sql)


@pytest.mark.parametrize(
    "given",
    [
        "id",
        "id DESC; --",
        b"id",
        ["id", Thing.id],
        text("id"),
        text("pg_sleep(9)"),
        select(Thing.id),
        Thing.__table__,
        Thing.parts,
        Thing,
        Thing.id.desc,
        lambda: Thing.id,
        {"id": 1},
        [[Thing.id]],
        [Thing.id, None],
        True,
    ],
)
async def test_orders_from_outside(things: AsyncEngine, given: Any) -> None:
    """Names of columns are no orders, nor is SQL that stands in a text, even one that the application made."""
    loader = Loader(things)
    calls = [
        loader.fetch_all(THING, order_by=given),
        loader.fetch_all(THING_VIEW, order_by=given, limit=1),
        loader.fetch_page(THING, given),
        batches_by(loader, given),
    ]
    with recording(things) as sent:
        for call in calls:
            with pytest.raises(PlanError, match=r"LP108|LP215"):
                await call
        with pytest.raises(PlanError, match=r"LP108|LP2"):
            LoadPlan(Thing, load(Thing.parts, order_by=given, limit=2)).select()
    assert sent == []


@pytest.mark.parametrize("given", ["id = 1", True, select(Thing.id), Thing.__table__, Thing, lambda: True])
async def test_conditions_from_outside(things: AsyncEngine, given: Any) -> None:
    for plan in (THING, THING_VIEW):
        with recording(things) as sent, pytest.raises(PlanError, match="LP108"):
            await Loader(things).fetch_all(plan, [Thing.id == 1, given])
        assert sent == []
    with pytest.raises(PlanError, match="LP108"):
        LoadPlan(Thing, load(Thing.parts, where=given)).select()
    assert len(await Loader(things).fetch_all(THING, text("fire_things.id = 1"))) == 1


async def batches_by(loader: Loader, order: Any) -> list[Any]:
    return [each async for each in loader.stream(THING, order_by=order)]


RAGGED: list[Any] = [
    [[1], [1, 2]],
    [1, [2]],
    [[1], 2],
    [[1], []],
    [[1], None],
    [None, [1]],
    [[[1]], [1]],
    [(1,), [2, 3]],
    [[[1, 2], [3]], [[4, 5], [6, 7]]],
]


@pytest.mark.parametrize("value", RAGGED)
async def test_arrays_that_are_no_rectangle(things: AsyncEngine, value: Any) -> None:
    """PostgreSQL's arrays are rectangles; a driver finds out when it is too late for a clear word."""
    for plan in (THING, THING_VIEW):
        with recording(things) as sent, pytest.raises(ParameterError, match="rows of one length"):
            await Loader(things).fetch_all(plan, Thing.numbers == bindparam("value"), params={"value": value})
        assert sent == []


@pytest.mark.parametrize(
    "value",
    [[], [[1, 2], [3, 4]], [None], [[None, 1], (2, None)], (1, 2), [[[[[[1]]]]]]],
)
async def test_arrays_that_are(things: AsyncEngine, value: Any) -> None:
    found = await Loader(things).fetch_all(THING, Thing.numbers == bindparam("value"), params={"value": value})
    assert [each.id for each in found] == ([1] if list(value) == [1, 2] else [])


@attrs.frozen
class WithRow:
    id: int
    row: Annotated[Any, source(func.row(Thing.id, Thing.color))]


@attrs.frozen
class WithRowAndParts:
    id: int
    row: Annotated[Any, source(func.row(Thing.id, Thing.color))]
    parts: list[PartView]


@pytest.mark.parametrize("view", [WithRow, WithRowAndParts])
async def test_a_row_as_a_column_that_the_driver_cannot_read_is_an_error_and_no_loop(
    things: AsyncEngine, postgres_url: URL, view: Any
) -> None:
    """No way of loading helps: the column itself is a row that holds an enum, which a new connection does not know."""
    engine = create_async_engine(postgres_url)
    plan: LoadPlan[Any] = LoadPlan(Thing, into=view)
    with pytest.raises(Exception, match="no decoder for composite type element"):
        await Loader(engine).fetch(plan, 1)
    with pytest.raises(Exception, match="no decoder for composite type element"):
        await Loader(engine, max_rows=5).fetch_all(plan)
    await engine.dispose()


# --- whatever Hypothesis thinks of ----------------------------------------------------------------------------------


class Evil(enum.Enum):
    """Stands for an evil object while Hypothesis draws: it asks what it has drawn for its class."""

    INT = "int"
    STR = "str"
    OBJECT = "object"
    CLASS = "class"


EVIL: dict[Evil, Callable[[], Any]] = {
    Evil.INT: lambda: EvilInt(1),
    Evil.STR: lambda: EvilStr("one"),
    Evil.OBJECT: EvilObject,
    Evil.CLASS: EvilClass,
}


def brought_to_life(drawn: Any) -> Any:
    """Return what was drawn, with the evil objects that it speaks of."""
    if isinstance(drawn, Evil):
        return EVIL[drawn]()
    if isinstance(drawn, dict):
        return {key: brought_to_life(each) for key, each in drawn.items()}
    return type(drawn)(map(brought_to_life, drawn)) if isinstance(drawn, list | tuple) else drawn


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.decimals(),
    st.text(st.characters(codec=None)),
    st.text(string.printable),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(list(RIGHT.values())),
    st.sampled_from(Evil),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["id", "left", "right", "value", "\0", ""]), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(
    max_examples=times(60, 5000),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=anything, column=st.sampled_from(list(RIGHT)), data=st.data())
async def test_anything_anywhere(things: AsyncEngine, drawn: Any, column: str, data: st.DataObject) -> None:
    loader, value = Loader(things), brought_to_life(drawn)
    attribute = getattr(Thing, column)
    before = await rows(things)
    for plan, _, _ in KEYED.values():
        await answers(lambda given, plan=plan: loader.fetch_or_none(plan, given), value)
        await answers(lambda given, plan=plan: loader.fetch_many(plan, [given], missing="skip"), value)
    same = attribute == bindparam("value")
    found = await answers(lambda given: loader.fetch_all(THING_VIEW, same, params={"value": given}), value)
    if isinstance(found, list) and found:
        assert [each.id for each in found] == [1]
    await answers(lambda given: loader.fetch_all(THING, same, params=given), value)
    tag = data.draw(st.sampled_from(TAGS))
    try:
        payload = json.dumps([[tag, value]] if column == "id" else [[tag, value], ["int", "1"]]).encode()
    except Exception:  # what JSON cannot say cannot come in a cursor
        payload = data.draw(st.binary())
    cursor = forged(payload, order_of(column))
    await answers(lambda given: loader.fetch_page(THING, attribute, 1, after=given), cursor)
    await answers(lambda given: loader.fetch_page(THING, attribute, 1, before=given), value)
    assert await rows(things) == before


async def rows(engine: AsyncEngine) -> list[int]:
    """Count what is in the tables: nothing that comes in changes it."""
    async with engine.connect() as connection:
        counts = [select(func.count()).select_from(table) for table in Base.metadata.sorted_tables]
        return [int((await connection.execute(each)).scalar_one()) for each in counts]
