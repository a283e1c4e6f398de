"""Pages by keys: any mix of orders, forward and back, while rows come and go; no row twice, none missing."""

import datetime
import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_models import COLUMNS, VALUES, Base, Mark, Row, random_row
from sqlalchemy import BigInteger, ForeignKey, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.sql.operators import nulls_first_op, nulls_last_op

from loadplan import Loader, LoadPlan, PlanError, load
from random_cases import CASES, SAME_EACH_TIME
from support import recording, tables

PLAN = LoadPlan(Row, load(Row.marks, limit=2))
CHECKED = settings(
    max_examples=max(1, CASES // 2),
    deadline=None,
    derandomize=SAME_EACH_TIME,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def rows(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An empty table of rows and one of marks."""
    async with tables(engine, Base.metadata):
        yield engine


async def refill(engine: AsyncEngine, found: Sequence[dict[str, Any]], marks: int = 3) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(Mark))
        await connection.execute(delete(Row))
        if found:
            await connection.execute(insert(Row), list(found))
            keys = [{"row_region": row["region"], "row_number": row["number"]} for row in found] * marks
            if keys:
                await connection.execute(insert(Mark), keys)


def order_of(column: str, descending: bool, nulls: str | None) -> Any:
    expression = Row.doubled if column == "doubled" else getattr(Row, column)
    order = expression.desc() if descending else expression.asc()
    return order if nulls is None else order.nulls_first() if nulls == "first" else order.nulls_last()


orders = st.lists(
    st.builds(
        order_of,
        st.sampled_from([*COLUMNS, "region", "number"]),
        st.booleans(),
        st.sampled_from([None, "first", "last"]),
    ),
    max_size=4,
)


def placed_by_two_terms(order: Any) -> list[Any]:
    """MariaDB has no NULLS FIRST."""
    if order.modifier not in (nulls_first_op, nulls_last_op):
        return [order]
    is_null = order.element.element.is_(None)
    return [is_null.desc() if order.modifier is nulls_first_op else is_null, order.element]


async def in_order(engine: AsyncEngine, order: Sequence[Any]) -> list[tuple[str, int]]:
    """The keys of all rows as the database itself orders them."""
    if engine.dialect.name == "mariadb":
        order = [term for each in order for term in placed_by_two_terms(each)]
    async with engine.connect() as connection:
        statement = select(Row.region, Row.number).order_by(*order, Row.region, Row.number)
        return [tuple(row) for row in await connection.execute(statement)]  # type: ignore[misc]


def key(row: Row) -> tuple[str, int]:
    return row.region, row.number


@CHECKED
@given(order=orders, size=st.integers(1, 7), seed=st.integers(0, 10**6), count=st.integers(0, 25))
async def test_forward_and_back_in_any_order(
    rows: AsyncEngine, order: list[Any], size: int, seed: int, count: int
) -> None:
    rnd = random.Random(seed)  # noqa: S311 - reproducible rows
    await refill(rows, [random_row(rnd, number) for number in range(count)])
    expected = await in_order(rows, order)
    loader = Loader(rows, cursor_key=b"secret")
    found, after, last = [], None, None
    for _ in range(count // size + 2):
        with recording(rows) as statements:
            page = await loader.fetch_page(PLAN, order, size, after=after)
        assert len(statements.selects) == (loader.explain(PLAN, roots=size).statements if page.items else 1)
        assert all(len(row.marks) == 2 for row in page.items)
        found += [key(row) for row in page.items]
        assert len(page.items) == size or page.next is None
        last, after = page, page.next
        if after is None:
            break
    assert last is not None
    assert last.next is None
    assert found == expected
    back = [key(row) for row in last.items]
    before = last.previous
    while before is not None and len(back) <= count:
        page = await loader.fetch_page(PLAN, order, size, before=before)
        back = [key(row) for row in page.items] + back
        before = page.previous
    assert back == expected


@CHECKED
@given(order=orders, size=st.integers(1, 4), seed=st.integers(0, 10**6), zigzag=st.booleans())
async def test_while_rows_come_and_go_no_row_twice_and_none_missing(
    rows: AsyncEngine, order: list[Any], size: int, seed: int, zigzag: bool
) -> None:
    """Rows that are there from beginning to end come once; one that is inserted or deleted, once at most."""
    rnd = random.Random(seed)  # noqa: S311 - reproducible rows
    await refill(rows, [random_row(rnd, number) for number in range(20)], marks=0)
    undisturbed = set(await in_order(rows, order))
    loader = Loader(rows)
    found: list[tuple[str, int]] = []
    after, fresh = None, 100
    while True:
        page = await loader.fetch_page(LoadPlan(Row), order, size, after=after)
        found += [key(row) for row in page.items]
        if page.next is None:
            break
        after = page.next
        async with rows.begin() as connection:
            for _ in range(rnd.randrange(4) if fresh < 120 else 0):
                fresh += 1
                await connection.execute(insert(Row), [random_row(rnd, fresh)])
            for gone in rnd.sample(sorted(undisturbed), min(len(undisturbed), rnd.randrange(3))):
                undisturbed.discard(gone)
                await connection.execute(delete(Row).where(Row.region == gone[0], Row.number == gone[1]))
        if zigzag:
            there = await loader.fetch_page(LoadPlan(Row), order, size, before=page.previous) if page.previous else None
            assert there is None or not {key(row) for row in there.items} & {key(row) for row in page.items}
    assert len(found) == len(set(found))
    assert undisturbed <= set(found)
    positions = {each: place for place, each in enumerate(await in_order(rows, order))}
    kept = [positions[each] for each in found if each in positions]
    assert kept == sorted(kept)


async def ten(engine: AsyncEngine) -> None:
    rnd = random.Random(1)  # noqa: S311 - reproducible rows
    await refill(engine, [random_row(rnd, number) | {"region": "a"} for number in range(10)])


async def test_the_way_back_from_an_empty_page_misses_nothing(rows: AsyncEngine) -> None:
    """All rows past the cursor were deleted; the row at the cursor is still there, and comes on the way back."""
    await ten(rows)
    loader = Loader(rows)
    page = await loader.fetch_page(LoadPlan(Row), Row.number, 3)
    async with rows.begin() as connection:
        await connection.execute(delete(Mark))
        await connection.execute(delete(Row).where(Row.number > 2))
    beyond = await loader.fetch_page(LoadPlan(Row), Row.number, 3, after=page.next)
    assert (beyond.items, beyond.next) == ([], None)
    assert beyond.previous is not None
    back = await loader.fetch_page(LoadPlan(Row), Row.number, 3, before=beyond.previous)
    assert [row.number for row in back.items] == [0, 1, 2]


async def test_the_way_forward_from_an_empty_page_misses_nothing(rows: AsyncEngine) -> None:
    await ten(rows)
    loader = Loader(rows)
    first = await loader.fetch_page(LoadPlan(Row), Row.number, 3)
    second = await loader.fetch_page(LoadPlan(Row), Row.number, 3, after=first.next)
    async with rows.begin() as connection:
        await connection.execute(delete(Mark))
        await connection.execute(delete(Row).where(Row.number < 3))
    beyond = await loader.fetch_page(LoadPlan(Row), Row.number, 3, before=second.previous)
    assert (beyond.items, beyond.previous) == ([], None)
    assert beyond.next is not None
    forth = await loader.fetch_page(LoadPlan(Row), Row.number, 3, after=beyond.next)
    assert [row.number for row in forth.items] == [3, 4, 5]


async def test_the_first_and_the_last_page_say_so(rows: AsyncEngine) -> None:
    await ten(rows)
    loader = Loader(rows)
    only = await loader.fetch_page(PLAN, size=10)
    assert (len(only.items), only.next, only.previous) == (10, None, None)
    none = await loader.fetch_page(PLAN, size=10, where=Row.number > 99)
    assert (none.items, none.next, none.previous) == ([], None, None)


async def test_conditions_and_parameters_hold_on_every_page(rows: AsyncEngine) -> None:
    await ten(rows)
    found, after = [], None
    while True:
        page = await Loader(rows).fetch_page(
            LoadPlan(Row, load(Row.marks, where=Mark.id > bindparam("mark"))),
            func.abs(Row.number - bindparam("near")),
            2,
            after=after,
            where=Row.number < bindparam("top"),
            params={"near": 4, "top": 8, "mark": 10**6},
        )
        found += [row.number for row in page.items]
        assert all(row.marks == [] for row in page.items)
        after = page.next
        if after is None:
            break
    assert found == [4, 3, 5, 2, 6, 1, 7, 0]


async def test_a_hybrid_is_an_order(rows: AsyncEngine) -> None:
    await ten(rows)
    order = [order_of("doubled", True, "last")]
    async with rows.begin() as connection:
        await connection.execute(Row.__table__.update().values(maybe=Row.number % 3))
    expected, found, after = await in_order(rows, order), [], None
    while True:
        page = await Loader(rows).fetch_page(LoadPlan(Row), order, 2, after=after)
        found += [key(row) for row in page.items]
        after = page.next
        if after is None:
            break
    assert found == expected


class Account(Base):
    __tablename__ = "shg_accounts"
    id: Mapped[int] = mapped_column(primary_key=True)


class Payment(Base):
    __tablename__ = "shg_payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    cents: Mapped[int]
    large: Mapped[int] = mapped_column(BigInteger)


def total(column: Any) -> Any:
    """A sum of integers: SQLAlchemy calls it an integer, and databases give a wider one, or a Decimal."""
    return column_property(select(func.sum(column)).where(Payment.account_id == Account.id).scalar_subquery())


Account.cents = total(Payment.cents)  # type: ignore[attr-defined]
Account.large = total(Payment.large)  # type: ignore[attr-defined]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["cents", "large"])
async def test_a_sum_is_an_order(rows: AsyncEngine, name: str, descending: bool) -> None:
    """The sums take more bits than the column; one is NULL."""
    sums = [(1, 2_000_000_000, 1 << 61), (1, 2_000_000_000, 1 << 61), (2, 7, 7), (4, 7, 7)]
    async with rows.begin() as connection:
        await connection.execute(insert(Account), [{"id": key} for key in (1, 2, 3, 4)])
        payments = [{"account_id": key, "cents": cents, "large": large} for key, cents, large in sums]
        await connection.execute(insert(Payment), payments)
    order = getattr(Account, name)
    order = order.desc().nulls_last() if descending else order.asc().nulls_first()
    found, after = [], None
    while True:
        page = await Loader(rows).fetch_page(LoadPlan(Account), order, 1, after=after)
        found += [each.id for each in page.items]
        after = page.next
        if after is None:
            break
    assert found == ([1, 2, 4, 3] if descending else [3, 2, 4, 1])


@pytest.mark.not_on("mariadb", reason="it stores finite numbers alone")
@pytest.mark.parametrize("descending", [False, True])
async def test_infinite_numbers_have_a_place_in_the_order(rows: AsyncEngine, descending: bool) -> None:
    """PostgreSQL and SQLite store and order them."""
    rnd = random.Random(2)  # noqa: S311 - reproducible rows
    ratios = [math.inf, -math.inf, 1.5, math.inf, None, -math.inf]
    await refill(rows, [random_row(rnd, n) | {"ratio": ratio} for n, ratio in enumerate(ratios)])
    order = [order_of("ratio", descending, "last")]
    expected, found, after = await in_order(rows, order), [], None
    while True:
        page = await Loader(rows).fetch_page(LoadPlan(Row), order, 1, after=after)
        found += [key(row) for row in page.items]
        after = page.next
        if after is None:
            break
    assert found == expected


async def test_a_page_is_found_by_keys_and_not_by_offset(rows: AsyncEngine) -> None:
    await ten(rows)
    page = await Loader(rows).fetch_page(PLAN, Row.number, 3)
    with recording(rows) as statements:
        await Loader(rows).fetch_page(PLAN, Row.number, 3, after=page.next)
    assert "WHERE" in statements.selects[0]
    if rows.dialect.name == "postgresql":
        assert "OFFSET" not in statements.selects[0]


@pytest.mark.parametrize("size", [0, -1, True, "3", 2.0, None])
async def test_a_size_that_counts_nothing_is_refused(rows: AsyncEngine, size: Any) -> None:
    with pytest.raises(PlanError) as caught:
        await Loader(rows).fetch_page(PLAN, size=size)
    assert str(caught.value) == (
        f"LP107: size={size!r} must be a whole number of 1 or more\n"
        "  at: Row\n  hint: size= is the number of roots on a page."
    )


def test_every_type_has_ties_and_all_but_one_nulls() -> None:
    """What the properties above rest on."""
    assert set(VALUES) == set(COLUMNS)
    assert all(None in values for name, values in VALUES.items() if name != "small")
    assert isinstance(VALUES["moment"][1], datetime.datetime)
