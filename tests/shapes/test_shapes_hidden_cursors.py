"""Cursors give away nothing that the page does not show: such values stay in the database."""

import base64
from typing import Annotated, Any

import attrs
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import ForeignKey, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import CursorError, Loader, LoadPlan, load, source
from support import tables


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "hidden_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    salary: Mapped[str | None]
    trusted: Mapped[bool]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("hidden_people.id"))
    boss: Mapped["Person | None"] = relationship(remote_side=id)


@attrs.frozen
class Bare:
    id: int


@attrs.frozen
class Paid:
    id: int
    salary: str | None


SALARIES = ["s-70", "s-30", None, "s-30", "s-90", None]

PEOPLE = [
    {"id": at, "salary": salary, "trusted": at % 2 == 0, "boss_id": at - 1 if at else None}
    for at, salary in enumerate(SALARIES)
]

SALARY_OF_BOSS = source(Person.boss, Person.salary)

ORDERS: dict[str, Any] = {
    "a column": Person.salary.nulls_first(),
    "descending": Person.salary.desc().nulls_last(),
    "a flag": Person.trusted,
    "an expression": func.upper(Person.salary).asc().nulls_first(),
    "of a to-one": SALARY_OF_BOSS.nulls_first(),
    "a subquery": select(func.max(Person.salary)).scalar_subquery(),
    "several": [Person.trusted, SALARY_OF_BOSS.desc().nulls_last(), Person.salary.nulls_first()],
}

PLANS: dict[str, LoadPlan[Any]] = {
    "a view": LoadPlan(Person, into=Bare),
    "an entity": LoadPlan(Person, only=[Person.id]),
}


@pytest.fixture
async def people(engine: AsyncEngine) -> Any:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(Person(**each) for each in PEOPLE)
            await session.commit()
        yield engine


async def remove(people: AsyncEngine, person: int) -> None:
    async with people.begin() as connection:
        await connection.execute(update(Person).where(Person.boss_id == person).values(boss_id=None))
        await connection.execute(delete(Person).where(Person.id == person))


def inside(cursor: str | None) -> str:
    return base64.urlsafe_b64decode(f"{cursor}===")[12:].decode()


async def both_ways(loader: Loader, plan: LoadPlan[Any], order: Any, size: int) -> tuple[list[int], list[str]]:
    """Return the ids of all pages, having walked back as well, and what the cursors hold."""
    pages = [await loader.fetch_page(plan, order, size)]
    while pages[-1].next:
        pages.append(await loader.fetch_page(plan, order, size, after=pages[-1].next))
    back = [pages[-1]]
    while back[0].previous:
        back.insert(0, await loader.fetch_page(plan, order, size, before=back[0].previous))
    found = [each.id for page in pages for each in page.items]
    assert [each.id for page in back for each in page.items] == found
    cursors = [each for page in (*pages, *back) for each in (page.next, page.previous) if each]
    return found, [inside(each) for each in cursors]


async def test_a_page_that_does_not_show_its_order(people: AsyncEngine) -> None:
    """It goes on where it stopped, both ways, and its cursors hold the key alone."""
    loader = Loader(people)
    for name, order in ORDERS.items():
        given = [*(order if isinstance(order, list) else [order]), Person.id]
        expected = [each.id for each in await loader.fetch_all(LoadPlan(Person), order_by=given)]
        for plan in PLANS.values():
            for size in (1, 4):
                found, cursors = await both_ways(loader, plan, order, size)
                assert (name, found) == (name, expected)
                assert cursors
                assert not any(word in cursor.lower() for cursor in cursors for word in ("s-", "bool")), name


@attrs.frozen
class WithTrustedBoss:
    id: int
    boss: Paid | None
    chief: Annotated[int | None, source(Person.boss, Person.boss, Person.id)]


@attrs.frozen
class WithSalaryOfTrustedBoss:
    id: int
    salary: Annotated[str | None, source(Person.boss.and_(Person.trusted), Person.salary)]
    boss: Annotated[int | None, source(Person.boss, Person.id)]


PARTLY_SHOWN: dict[str, LoadPlan[Any]] = {
    "one of two fields": LoadPlan(Person, load(Person.boss, where=Person.trusted), into=WithTrustedBoss),
    "a field with a condition": LoadPlan(Person, into=WithSalaryOfTrustedBoss),
    "a row that an inner join leaves out": LoadPlan(Person, load(Person.boss, load(Person.boss, strategy="inner"))),
}


@pytest.mark.parametrize("name", PARTLY_SHOWN)
async def test_a_value_that_some_objects_do_not_show(people: AsyncEngine, name: str) -> None:
    """The order has the values of all rows, and the page shows some of them. Cursors hold none."""
    loader, plan = Loader(people), PARTLY_SHOWN[name]
    order = SALARY_OF_BOSS.nulls_first()
    expected = [each.id for each in await loader.fetch_all(plan, order_by=[order, Person.id])]
    found, cursors = await both_ways(loader, plan, order, 1)
    assert found == expected
    assert cursors
    assert not any("s-" in each for each in cursors)


SHOWN: dict[str, tuple[LoadPlan[Any], Any]] = {
    "a view": (LoadPlan(Person, into=Paid), Person.salary.desc().nulls_last()),
    "an entity": (LoadPlan(Person), Person.salary.desc().nulls_last()),
    "an expression over what is shown": (LoadPlan(Person), func.lower(Person.salary).desc().nulls_last()),
    "of a to-one": (LoadPlan(Person, load(Person.boss, only=[Person.salary])), SALARY_OF_BOSS.desc().nulls_last()),
}


@pytest.mark.parametrize("name", SHOWN)
async def test_a_cursor_holds_what_the_page_shows(people: AsyncEngine, name: str) -> None:
    """Then a page goes on even if the row of the cursor is gone."""
    plan, order = SHOWN[name]
    loader = Loader(people)
    page = await loader.fetch_page(plan, order, 1)
    assert "s-90" in inside(page.next)
    expected = [each.id for each in (await loader.fetch_page(plan, order, 9, after=page.next)).items]
    await remove(people, page.items[0].id)
    found = await loader.fetch_page(plan, order, 9, after=page.next)
    assert {each.id for each in found.items} == {*expected}


async def test_a_hidden_value_whose_row_is_gone(people: AsyncEngine) -> None:
    """Nobody knows the place any more; the error says what helps, and it does."""
    order = Person.salary.desc().nulls_last()
    page = await Loader(people).fetch_page(PLANS["a view"], order, 1)
    secret = Loader(people, cursor_key=Fernet(Fernet.generate_key()))
    encrypted = await secret.fetch_page(PLANS["a view"], order, 1)
    await remove(people, 4)
    with pytest.raises(CursorError) as caught:
        await Loader(people).fetch_page(PLANS["a view"], order, 9, after=page.next)
    assert str(caught.value) == (
        "LP407: the row of the cursor is gone\n"
        "  at: Bare\n"
        "  detail: the listing is ordered by a value that the page does not show, so the cursor does not hold it.\n"
        "  hint: start at page one. If readers may see the value, load it in the plan; or pass a cipher as cursor_key=."
    )
    goes_on = await secret.fetch_page(PLANS["a view"], order, 9, after=encrypted.next)
    assert [each.id for each in goes_on.items] == [0, 1, 3, 2, 5]


async def test_a_cursor_of_a_page_that_showed_less_or_more(people: AsyncEngine) -> None:
    """A page that shows more goes on from it. One that shows less refuses the value: it would tell by its place."""
    order = Person.salary.desc().nulls_last()
    loader = Loader(people)
    less = await loader.fetch_page(PLANS["a view"], order, 2)
    more = await loader.fetch_page(LoadPlan(Person, into=Paid), order, 2)
    found = await loader.fetch_page(LoadPlan(Person, into=Paid), order, 2, after=less.next)
    assert [each.id for each in found.items] == [1, 3]
    with pytest.raises(CursorError):
        await loader.fetch_page(PLANS["a view"], order, 2, after=more.next)
