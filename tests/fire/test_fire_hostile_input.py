"""Whatever comes as an id, parameter or cursor: loadplan's error or the right answer, and never SQL."""

import base64
import enum
import hashlib
import hmac
import json
import string
from collections.abc import Callable
from typing import Any

import pytest
from fire_attempts import KEYED, THING, THING_VIEW, ThingView, answers, assert_harmless
from fire_hostile import (
    RIGHT,
    Base,
    Color,
    EvilClass,
    EvilInt,
    EvilObject,
    EvilStr,
    Named,
    Part,
    Thing,
    strange,
)
from fire_models import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import (
    CursorError,
    IdentityError,
    Loader,
    LoaderError,
    LoadPlan,
    load,
)
from support import recording

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

    absent = [f"{right}?"] if isinstance(right, str) else []  # the database says whether another text is equal to it
    several = await assert_harmless(things, many, [right, *absent], strange())
    assert all(found[0] is found[-1] and key_of(found[0]) == right for found in several.values())


def _as_key(value: Any) -> list[Any]:
    """Return what a mapping, or a tuple, of one key stands for."""
    if isinstance(value, dict):
        return list(value.values()) if len(value) == 1 else [tuple(value.values())]
    return list(value) if isinstance(value, tuple) else []


async def test_what_is_no_list_of_ids(things: AsyncEngine) -> None:
    loader = Loader(things)
    for value in (None, 1, object(), EvilObject(), EvilClass(), Color.RED, Thing.id):
        with pytest.raises(IdentityError, match="is not a list of ids"):
            await loader.fetch_many(THING, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["12", b"\x01\x02", bytearray(b"\x01"), memoryview(b"\x01")], ids=lambda value: type(value).__name__
)
async def test_one_text_is_no_list_of_ids(things: AsyncEngine, value: Any) -> None:
    """Its letters, or bytes, would be taken for ids."""
    for plan in (THING, LoadPlan(Named)):
        with recording(things) as sent, pytest.raises(IdentityError, match=r"is one value, not a list of ids"):
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
        *([] if isinstance(value, type) else [at_once(loader.explain)]),  # it takes a class
        at_once(loader.check),
    ]
    with recording(things) as sent:
        for call in calls:
            with pytest.raises(LoaderError, match=r"LP408: a fetch needs a LoadPlan, but got "):
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
