"""A type of the application decides what it binds: what ``session.get`` takes, ``fetch`` takes."""

import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from binding_models import (
    SOME,
    Account,
    Base,
    ByChar,
    ByGuid,
    ByLower,
    ByPlain,
    ByRoman,
    BySize,
    ByText,
    ByTextId,
    ByUuidText,
    Entry,
    Size,
)
from sqlalchemy import bindparam, delete, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import CursorError, IdentityError, Loader, LoadPlan, NotFound, ParameterError, PlanError, load
from support import recording, tables

KEYS = [uuid.UUID(int=number) for number in range(12)]


@pytest.fixture
async def rows(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A row of each class, and twelve accounts."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([ByTextId(id=SOME), ByGuid(id=SOME), BySize(id=Size.LARGE), ByLower(id="RED")])
            session.add_all([ByRoman(id=7), ByPlain(id=7), ByUuidText(id=str(SOME)), ByChar(id="de"), ByChar(id="fra")])
            session.add_all([ByText(id="a"), ByText(id="b")])
            session.add_all(
                Account(
                    id=key,
                    number=number,
                    secret=f"s{number}",
                    maybe=None if number % 3 == 0 else f"m{number}",
                    size=Size.SMALL if number % 2 else Size.LARGE,
                    settings=None if number % 2 else {"a": 1},
                    entries=[Entry(id=number)],
                )
                for number, key in enumerate(KEYS)
            )
            await session.commit()
        yield engine


TAKEN: list[tuple[Any, Any]] = [
    (ByTextId, SOME),
    (ByTextId, str(SOME)),
    (ByGuid, SOME),
    (ByGuid, str(SOME)),
    (ByGuid, str(SOME).upper()),
    (ByGuid, SOME.hex),
    (BySize, Size.LARGE),
    (BySize, "l"),
    (ByLower, "RED"),
    (ByLower, "red"),
    (ByRoman, 7),
    (ByRoman, "7"),
    (ByPlain, 7),
]


@pytest.mark.parametrize(("entity", "given"), TAKEN)
async def test_what_session_get_takes_every_call_takes(rows: AsyncEngine, entity: Any, given: Any) -> None:
    async with AsyncSession(rows) as session:
        expected = inspect(await session.get_one(entity, given)).identity
    loader, plan = Loader(rows), LoadPlan(entity)
    assert inspect(await loader.fetch(plan, given)).identity == expected
    for missing in ("raise", "skip"):
        (found,) = await loader.fetch_many(plan, [given], missing=missing)  # type: ignore[arg-type]
        assert inspect(found).identity == expected
    by_parameter = await loader.fetch_all(plan, entity.id == bindparam("key"), params={"key": given})
    assert [inspect(each).identity for each in by_parameter] == [expected]


REFUSED: list[tuple[Any, Any, str]] = [
    (ByGuid, "no uuid", "Guid refuses it: badly formed hexadecimal UUID string."),
    (ByGuid, 7, "Guid refuses it: 'int' object has no attribute 'replace'."),
    (BySize, "xl", "ByValue refuses it: 'xl' is not a valid Size."),
    (ByLower, "green", "it must be one of 'red', 'blue'."),
    (ByRoman, "seven", "Roman refuses it: invalid literal for int() with base 10: 'seven'."),
    (ByPlain, "7", "it takes int, not str."),
]


@pytest.mark.parametrize(("entity", "given", "detail"), REFUSED)
async def test_what_the_type_refuses_is_the_error(rows: AsyncEngine, entity: Any, given: Any, detail: str) -> None:
    loader, plan = Loader(rows), LoadPlan(entity)
    with recording(rows) as statements:
        with pytest.raises(IdentityError) as caught:
            await loader.fetch(plan, given)
        assert caught.value.detail == detail
        with pytest.raises(ParameterError) as parameter:
            await loader.fetch_all(plan, entity.id == bindparam("key"), params={"key": given})
        assert parameter.value.detail == detail
    assert statements == []


async def test_the_hint_names_the_type_that_decides(rows: AsyncEngine) -> None:
    with pytest.raises(IdentityError) as caught:
        await Loader(rows).fetch(LoadPlan(ByGuid), "no uuid")
    assert str(caught.value) == (
        "LP404: 'no uuid' cannot be the primary key of 'ByGuid'\n"
        "  at: ByGuid\n"
        "  detail: Guid refuses it: badly formed hexadecimal UUID string.\n"
        "  hint: pass one value: id (a value that Guid takes)."
    )


@attrs.frozen
class CharRow:
    id: str


@pytest.mark.parametrize("into", [None, CharRow], ids=["entities", "views"])
async def test_the_database_says_which_row_answers_an_id(postgres: AsyncEngine, into: Any) -> None:
    """CHAR(n) fills up with blanks, a UUID as text has capitals: equal in the database alone."""
    plan: LoadPlan[Any] = LoadPlan(ByChar) if into is None else LoadPlan(ByChar, into=into)
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add_all([ByChar(id="de"), ByChar(id="fra"), ByUuidText(id=str(SOME))])
            await session.commit()
        loader = Loader(postgres)
        with recording(postgres) as statements:
            found = await loader.fetch_many(plan, ["fra", "de", "de ", "fra"])
        assert [each.id for each in found] == ["fra", "de ", "de ", "fra"]
        assert found[1] is found[2]
        assert len(statements.selects) == 2
        with pytest.raises(NotFound) as caught:
            await loader.fetch_many(plan, ["de", "xx", "fra"])
        assert caught.value.missing == ("xx",)
        (doc,) = await loader.fetch_many(LoadPlan(ByUuidText), [str(SOME).upper()])
        assert doc.id == str(SOME)


async def test_whole_numbers_and_uuids_take_one_statement(rows: AsyncEngine) -> None:
    """Only for keys of other types the database is asked again, once, if some are missing."""
    loader = Loader(rows)
    with recording(rows) as statements:
        assert len(await loader.fetch_many(LoadPlan(Entry), [1, 2, 99], missing="skip")) == 2
    assert len(statements.selects) == 1
    with recording(rows) as statements:
        assert len(await loader.fetch_many(LoadPlan(ByText), ["a", "b"], missing="skip")) == 2
    assert len(statements.selects) == 1
    with recording(rows) as statements:
        assert len(await loader.fetch_many(LoadPlan(ByText), ["a", *map(str, range(150))], missing="skip")) == 1
    assert len(statements.selects) == 2


@attrs.frozen
class Row:
    number: int


PLANS = {
    "entities": LoadPlan(Account),
    "loads": LoadPlan(Account, load(Account.entries)),
    "views": LoadPlan(Account, into=Row),
}
ORDERS: dict[str, Any] = {
    "key": None,
    "plain": Account.number.desc(),
    "enum": Account.size,
    "encrypting": Account.secret,
    "encrypting, backwards": Account.secret.desc(),
    "encrypting, NULL": [Account.maybe.desc().nulls_last(), Account.size],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PLANS)
async def test_pages_bring_every_row_once(rows: AsyncEngine, name: str, order: str) -> None:
    """The database compares what it holds; what the type would bind anew is compared with nothing."""
    loader, plan = Loader(rows), PLANS[name]
    pages = [await loader.fetch_page(plan, ORDERS[order], 5)]
    while pages[-1].next:
        pages.append(await loader.fetch_page(plan, ORDERS[order], 5, after=pages[-1].next))
    forward = [each.number for page in pages for each in page.items]
    assert sorted(forward) == list(range(12))
    back = [pages[-1]]
    while back[0].previous:
        back.insert(0, await loader.fetch_page(plan, ORDERS[order], 5, before=back[0].previous))
    assert [each.number for page in back for each in page.items] == forward


def inside(cursor: str | None) -> str:
    assert cursor is not None
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[12:].decode()


async def test_a_cursor_holds_nothing_of_a_text_with_a_type_of_its_own(rows: AsyncEngine) -> None:
    """It names its row; the next page reads the value there, as the database has it."""
    loader, plan = Loader(rows), LoadPlan(Account)
    page = await loader.fetch_page(plan, [Account.secret, Account.number], 5)
    held = json.loads(inside(page.next))
    assert held[0] == ["bool", True]
    assert held[1] == ["int", str(page.items[-1].number)]
    assert page.items[-1].secret not in str(held)


async def test_a_cursor_whose_row_is_gone_says_so(rows: AsyncEngine) -> None:
    """No page ends early because its place cannot be found."""
    loader, plan = Loader(rows), LoadPlan(Account)
    page = await loader.fetch_page(plan, Account.secret, 5)
    async with AsyncSession(rows) as session:
        await session.execute(delete(Entry))
        await session.execute(delete(Account).where(Account.number == page.items[-1].number))
        await session.commit()
    with pytest.raises(CursorError) as caught:
        await loader.fetch_page(plan, Account.secret, 5, after=page.next)
    assert str(caught.value) == (
        "LP407: the row of the cursor is gone\n"
        "  at: Account\n"
        "  detail: the listing is ordered by a column with your own type, and cursors do not hold its values.\n"
        "  hint: start at page one."
    )


async def test_a_cipher_hides_all_of_it(rows: AsyncEngine) -> None:
    from cryptography.fernet import Fernet, MultiFernet

    first, second = Fernet(Fernet.generate_key()), Fernet(Fernet.generate_key())
    loader = Loader(rows, cursor_key=first)
    page = await loader.fetch_page(LoadPlan(Account), Account.number, 5)
    assert page.next is not None
    assert "number" not in page.next
    token = base64.urlsafe_b64decode(page.next + "=" * (-len(page.next) % 4))
    assert b'"int"' in first.decrypt(token)
    after = await loader.fetch_page(LoadPlan(Account), Account.number, 5, after=page.next)
    assert [each.number for each in after.items] == [5, 6, 7, 8, 9]
    both = await Loader(rows, cursor_key=MultiFernet([second, first])).fetch_page(
        LoadPlan(Account), Account.number, 5, after=page.next
    )
    assert [each.number for each in both.items] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("order", [Account.settings, Account.settings["a"]], ids=["column", "member"])
async def test_json_orders_no_pages(rows: AsyncEngine, order: Any) -> None:
    """At the first page, with rows or without: JSON has a null of its own."""
    with recording(rows) as statements, pytest.raises(PlanError) as caught:
        await Loader(rows).fetch_page(LoadPlan(Account, name="accounts"), order, 5)
    assert statements == []
    assert caught.value.code == "LP110"
