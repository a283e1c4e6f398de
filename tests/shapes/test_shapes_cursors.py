"""Cursors come back from outside: what this listing did not make is a ``CursorError`` before any SQL."""

import base64
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_models import COLUMNS, Base, Row, random_row
from sqlalchemy import case, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import CursorError, Loader, LoadPlan
from loadplan.running.cursors import encode_cursor
from support import recording, tables

PLAN = LoadPlan(Row, name="rows")
ORDER = [Row.maybe.desc(), Row.text, Row.moment, Row.amount]
CHECKED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

REFUSED = (
    "LP407: the cursor does not belong to this listing\n"
    "  at: rows\n"
    "  detail: it was changed or cut short, or made for another order or with another cursor_key.\n"
    "  hint: pass Page.next as after= or Page.previous as before=, with the same order_by=, or start at "
    "page one."
)


@pytest.fixture
async def rows(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Nine rows."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            rnd = random.Random(4)  # noqa: S311 - reproducible rows
            await connection.execute(insert(Row), [random_row(rnd, number) for number in range(9)])
        yield engine


async def refused(loader: Loader, engine: AsyncEngine, cursor: Any, order: Any = ORDER) -> CursorError:
    """Both ways, and before any SQL."""
    with recording(engine) as statements:
        with pytest.raises(CursorError):
            await loader.fetch_page(PLAN, order, 3, before=cursor)
        with pytest.raises(CursorError) as caught:
            await loader.fetch_page(PLAN, order, 3, after=cursor)
    assert statements == []
    return caught.value


async def good(engine: AsyncEngine, key: bytes = b"", order: Any = ORDER) -> str:
    cursor = (await Loader(engine, cursor_key=key).fetch_page(PLAN, order, 3)).next
    assert cursor is not None
    return cursor


async def test_the_whole_message(rows: AsyncEngine) -> None:
    error = await refused(Loader(rows), rows, (await good(rows))[:-1])
    assert str(error) == REFUSED


async def test_every_single_changed_character_shows(rows: AsyncEngine) -> None:
    cursor = await good(rows)
    for place in range(len(cursor)):
        for other in "A_z":
            if cursor[place] != other:
                await refused(Loader(rows), rows, cursor[:place] + other + cursor[place + 1 :])


async def test_every_truncation_and_every_addition_shows(rows: AsyncEngine) -> None:
    cursor = await good(rows)
    for length in range(len(cursor)):
        await refused(Loader(rows), rows, cursor[:length])
    for more in ("A", "=", " ", "\n", cursor):
        await refused(Loader(rows), rows, cursor + more)
        await refused(Loader(rows), rows, more + cursor)


@CHECKED
@given(garbage=st.text() | st.binary() | st.integers() | st.none().map(lambda _: []) | st.floats())
async def test_garbage_is_refused(rows: AsyncEngine, garbage: Any) -> None:
    await refused(Loader(rows), rows, garbage)


@CHECKED
@given(raw=st.binary(max_size=200))
async def test_encoded_garbage_is_refused(rows: AsyncEngine, raw: bytes) -> None:
    await refused(Loader(rows), rows, base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@pytest.mark.parametrize(
    "other",
    [
        [Row.maybe, Row.text, Row.moment, Row.amount],
        [Row.text, Row.maybe.desc(), Row.moment, Row.amount],
        [Row.maybe.desc().nulls_last(), Row.text, Row.moment, Row.amount],
        [Row.maybe.desc()],
        [],
    ],
)
async def test_a_cursor_of_another_order_is_refused(rows: AsyncEngine, other: Any) -> None:
    await refused(Loader(rows), rows, await good(rows), other)
    await refused(Loader(rows), rows, await good(rows, order=other))


async def test_a_cursor_of_the_same_words_with_other_values_is_refused(rows: AsyncEngine) -> None:
    """The order's constants are part of the order."""

    def first(number: int) -> Any:
        return case((Row.number == number, 0), else_=1)

    await refused(Loader(rows), rows, await good(rows, order=first(1)), first(2))


async def test_a_cursor_of_another_key_is_refused(rows: AsyncEngine) -> None:
    cursor = await good(rows, b"one")
    for key in (b"two", b"", b"one "):
        await refused(Loader(rows, cursor_key=key), rows, cursor)
    assert (await Loader(rows, cursor_key=b"one").fetch_page(PLAN, ORDER, 3, after=cursor)).items


async def test_after_and_before_together_are_refused(rows: AsyncEngine) -> None:
    cursor = await good(rows)
    with pytest.raises(CursorError) as caught:
        await Loader(rows).fetch_page(PLAN, ORDER, 3, after=cursor, before=cursor)
    assert str(caught.value) == (
        "LP407: after= and before= cannot be used together\n"
        "  at: rows\n"
        "  hint: pass Page.next as after= to go forward, or Page.previous as before= to go back."
    )


async def test_a_cursor_says_nothing_to_whom_it_is_shown(rows: AsyncEngine) -> None:
    """Opaque: plain ASCII that goes into a URL as it is."""
    cursor = await good(rows)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


def order_text(entity_order: str) -> str:
    return f"shg_rows.{entity_order} ASC, shg_rows.region ASC, shg_rows.number ASC"


FORGED: list[Any] = [
    2**40,
    -1,
    True,
    1.5,
    float("nan"),
    float("inf"),
    "text",
    "a\0b",
    "\ud800",
    b"bytes",
    None,
]


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_forged_value_never_ends_in_an_error_of_the_database(rows: AsyncEngine, column: str) -> None:
    """Without a ``cursor_key`` anybody may sign; what a column cannot hold is refused all the same."""
    loader = Loader(rows)
    for value in FORGED:
        cursor = encode_cursor([value, "a", 3], order_text(column), b"")
        try:
            await loader.fetch_page(PLAN, getattr(Row, column), 3, after=cursor)
        except CursorError:
            continue


@CHECKED
@given(
    payload=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below, max_size=2),
        max_leaves=6,
    ),
    column=st.sampled_from(COLUMNS),
)
async def test_a_signed_payload_of_any_form_is_a_page_or_a_cursor_error(
    rows: AsyncEngine, payload: Any, column: str
) -> None:
    from loadplan.running.cursors import _mac

    order = order_text(column)
    tags = ["int", "str", "float", "decimal", "datetime", "date", "time", "interval", "uuid", "bytes", "bool", "enum"]
    for values in (
        [payload],
        [payload, ["str", "a"], ["int", "3"]],
        *([[t, payload], ["str", "a"], ["int", "3"]] for t in tags),
    ):
        body = json.dumps(values).encode()
        cursor = base64.urlsafe_b64encode(_mac(body, order, b"") + body).rstrip(b"=").decode()
        try:
            await Loader(rows).fetch_page(PLAN, getattr(Row, column), 3, after=cursor)
        except CursorError:
            continue
