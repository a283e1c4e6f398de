"""What may be a part goes back into a session: refused where rows would be lost, and nowhere else."""

import contextlib
import copy
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import lost_models
import pytest
from lost_models import Base, Country, Customer, Draft, File, Label, Line, Note, Order, Part, Seal, rows
from real import filled
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, selectinload, with_loader_criteria

from loadplan import Loader, LoadPlan, PartialCollectionError, load

KINDS = [Customer, Draft, Line, Part, Note, Label, Seal, lost_models.Event, File]


class Soft(Session):
    """Hides what is marked as gone."""


@event.listens_for(Soft, "do_orm_execute")
def _hide(state: ORMExecuteState) -> None:
    if state.is_select:
        criteria = (with_loader_criteria(kind, kind.gone.is_(False), include_aliases=True) for kind in KINDS)
        state.statement = state.statement.options(*criteria)


async def stored(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    found = {}
    async with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            rows = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name.removeprefix("lost_")] = [dict(row._mapping) for row in rows]
    return found


@pytest.fixture
async def orders(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with filled(engine, Base.metadata, *rows()):
        yield engine


def soft(engine: AsyncEngine) -> Loader:
    return Loader(async_sessionmaker(engine, sync_session_class=Soft))


def plan_of(*names: str) -> LoadPlan[Order]:
    return LoadPlan(Order, *(load(getattr(Order, name)) for name in names), name="order")


Work = Callable[[AsyncSession, Order], Awaitable[object]]


async def merge(session: AsyncSession, order: Order) -> None:
    await session.merge(order)


async def delete(session: AsyncSession, order: Order) -> None:
    await session.delete(order)


async def add_and_delete(session: AsyncSession, order: Order) -> None:
    session.add(order)
    order.title = "new"
    await session.flush()
    await session.delete(order)


WAYS: dict[str, Work] = {"merge": merge, "delete": delete, "delete where it was added": add_and_delete}


async def refused(engine: AsyncEngine, order: Order, work: Work) -> str:
    """Do work with an order; return what was refused. Nothing may have changed."""
    before = await stored(engine)
    async with AsyncSession(engine) as session:
        with pytest.raises(PartialCollectionError) as caught:
            await _and_commit(session, order, work)
    assert await stored(engine) == before
    return str(caught.value)


async def _and_commit(session: AsyncSession, order: Order, work: Work) -> None:
    await work(session, order)
    await session.commit()


async def done(engine: AsyncEngine, order: Order, work: Work) -> dict[str, list[dict[str, Any]]]:
    """Do work with an order and commit; return what is stored then."""
    async with AsyncSession(engine) as session:
        await _and_commit(session, order, work)
    return await stored(engine)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["draft", "lines", "notes", "labels", "seal"])
async def test_what_the_session_may_have_hidden_is_neither_merged_nor_deleted(
    orders: AsyncEngine, name: str, way: str
) -> None:
    order = await soft(orders).fetch(plan_of(name), 1)
    assert f"'Order.{name}'" in await refused(orders, order, WAYS[way])


TRAVELS: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda each: pickle.loads(pickle.dumps(each)),
    "copied deeply": copy.deepcopy,
    "copied": copy.copy,
}


@pytest.mark.parametrize("travel", TRAVELS)
async def test_it_is_refused_wherever_the_object_has_gone(orders: AsyncEngine, travel: str) -> None:
    for name in ("customer", "lines"):
        order = TRAVELS[travel](await soft(orders).fetch(plan_of(name), 1))
        await refused(orders, order, merge)
    order = await soft(orders).fetch(plan_of("lines"), 1)
    async with AsyncSession(orders) as session:
        with pytest.raises(PartialCollectionError):
            await session.run_sync(_merge_all, [Order(id=9), order])


def _merge_all(session: Session, orders: list[Order]) -> None:
    """``merge_all`` came with SQLAlchemy 2.1: one merge of all of them."""
    together: Any = session
    if hasattr(session, "merge_all"):
        together.merge_all(orders)
    else:
        for order in orders:
            session.merge(order)


async def test_it_is_refused_in_a_process_that_knows_no_plan(orders: AsyncEngine) -> None:
    data = [pickle.dumps(await soft(orders).fetch(plan_of(name), 1)).hex() for name in ("customer", "lines")]
    program = (
        "import sys, pickle, lost_models; from sqlalchemy import create_engine; from sqlalchemy.orm import Session\n"
        "for data in sys.stdin.read().split():\n"
        "    engine = create_engine('sqlite://'); lost_models.Base.metadata.create_all(engine)\n"
        "    session = Session(engine); session.add_all(lost_models.rows()); session.commit()\n"
        "    try: session.merge(pickle.loads(bytes.fromhex(data)))\n"
        "    except Exception as error: print(str(error).splitlines()[0])\n"
    )
    ran = subprocess.run(  # noqa: ASYNC221, S603
        [sys.executable, "-c", program],
        input=" ".join(data),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert ran.stdout == (
        "LP409: 'Order.customer' is None, but its foreign key is not NULL, and merge would write NULL over it\n"
        "LP409: 'Order.lines' may hold only some of its rows, and merge would delete or orphan the others\n"
    )


async def test_the_errors_name_object_reason_and_way_out(orders: AsyncEngine) -> None:
    order = await soft(orders).fetch(plan_of("customer"), 1)
    assert await refused(orders, order, merge) == (
        "LP409: 'Order.customer' is None, but its foreign key is not NULL, and merge would write NULL over it\n"
        "  at: order\n"
        "  detail: the row that customer_id=1 refers to was hidden (by where=, a criterion of the session or row-level "
        "security), or the row does not exist.\n"
        "  hint: use session.add(obj), or merge an object that was loaded in a session that sees all rows."
    )
    order = await soft(orders).fetch(plan_of("notes"), 1)
    assert await refused(orders, order, delete) == (
        "LP409: 'Order.notes' may hold only some of its rows, and delete would leave the others behind\n"
        "  at: order\n"
        "  detail: a listener of the session that loaded it filters its rows, but delete expects all of them.\n"
        "  hint: delete an object that was loaded without load(Order.notes), in a session that sees all rows."
    )


async def test_a_part_further_down_is_refused_before_anything_is_written(orders: AsyncEngine) -> None:
    plan = LoadPlan(Order, load(Order.lines, load(Line.parts, limit=1, order_by=Part.id)))
    order = await Loader(orders).fetch(plan, 1)
    order.title = "new"
    async with AsyncSession(orders) as session:
        with pytest.raises(PartialCollectionError, match=r"Line\.parts"):
            await session.merge(order)
        assert not session.dirty
    assert "'Line.parts'" in await refused(orders, order, delete)


async def test_an_orphan_with_a_part_is_refused(orders: AsyncEngine) -> None:
    """Nobody called delete: the flush finds out."""
    plan = LoadPlan(Order, load(Order.lines, load(Line.parts, where=Part.id > 1)))
    order = await Loader(orders).fetch(plan, 1)

    async def remove(session: AsyncSession, order: Order) -> None:
        session.add(order)
        order.lines.remove(next(line for line in order.lines if line.id == 1))

    assert "'Line.parts'" in await refused(orders, order, remove)


async def test_a_removed_member_goes_and_what_was_hidden_stays(orders: AsyncEngine) -> None:
    async def replace(session: AsyncSession, order: Order) -> None:
        session.add(order)
        order.lines = [Line(id=9)]

    found = await done(orders, await soft(orders).fetch(plan_of("lines"), 1), replace)
    assert [line["id"] for line in found["lines"]] == [2, 9]
    assert found["parts"] == []


async def test_another_row_in_place_of_a_hidden_one_would_orphan_it(orders: AsyncEngine) -> None:
    order = await soft(orders).fetch(plan_of("draft"), 1)

    async def replace(session: AsyncSession, order: Order) -> None:
        session.add(order)
        order.draft = Draft(id=9)

    assert "setting it would orphan its row" in await refused(orders, order, replace)


async def test_what_somebody_changed_is_merged(orders: AsyncEngine) -> None:
    """None that was set by hand, a key that was NULL, and another row over a hidden one are changes, and no parts."""
    order = await Loader(orders).fetch(plan_of("customer"), 1)
    order.customer = None
    assert (await done(orders, order, merge))["orders"][0]["customer_id"] is None
    order = await Loader(orders).fetch(plan_of("customer"), 1)
    order.customer_id = 1
    order.title = "newer"
    assert (await done(orders, order, merge))["orders"][0]["title"] == "newer"
    order = await soft(orders).fetch(plan_of("customer"), 1)
    order.customer = Customer(id=9)
    assert (await done(orders, order, merge))["orders"][0]["customer_id"] == 9


WHOLE = ["customer", "draft", "lines", "notes", "labels", "seal", "events", "files"]


async def test_a_whole_graph_is_merged_and_deleted(orders: AsyncEngine) -> None:
    before = await stored(orders)
    plan = LoadPlan(Order, *(load(getattr(Order, name)) for name in WHOLE), name="whole")
    assert await done(orders, await Loader(orders).fetch(plan, 1), merge) == before
    found = await done(orders, await Loader(orders).fetch(plan, 1), delete)
    assert {name for name, some in found.items() if some} == {"customers", "notes", "labels", "countries", "cities"}
    assert [note["order_id"] for note in found["notes"]] == [None, None]


async def test_rows_that_the_database_takes_care_of_are_left_to_it(orders: AsyncEngine) -> None:
    """``passive_deletes`` says so; ``ON DELETE CASCADE`` alone does where the database keeps its foreign keys."""
    if orders.dialect.name == "sqlite":
        order = await soft(orders).fetch(plan_of("files"), 1)
        await refused(orders, order, delete)
        async with AsyncSession(orders) as session:
            await session.execute(text("PRAGMA foreign_keys = ON"))
    order = await soft(orders).fetch(plan_of("events", "files"), 1)
    try:
        found = await done(orders, order, delete)
    finally:
        if orders.dialect.name == "sqlite":
            async with AsyncSession(orders) as session:
                await session.execute(text("PRAGMA foreign_keys = OFF"))
    assert found["orders"] == found["events"] == found["files"] == []


@pytest.mark.parametrize("way", ["refreshed", "expired", "committed", "queried anew"])
async def test_what_a_session_loads_itself_is_whole(orders: AsyncEngine, way: str) -> None:
    order = await soft(orders).fetch(plan_of("lines"), 1)
    async with AsyncSession(orders) as session:
        session.add(order)
        if way == "expired":
            session.expire(order, ["lines"])
        elif way == "committed":
            await session.commit()
        if way == "queried anew":
            statement = select(Order).options(selectinload(Order.lines)).execution_options(populate_existing=True)
            await session.scalars(statement)
        else:
            await session.refresh(order, ["lines"])
        assert len(order.lines) == 2
        await session.delete(order)
        await session.commit()
    assert (await stored(orders))["lines"] == []


async def test_a_part_stays_one_when_something_else_is_refreshed(orders: AsyncEngine) -> None:
    order = await soft(orders).fetch(plan_of("lines"), 1)

    async def refresh(session: AsyncSession, order: Order) -> None:
        session.add(order)
        await session.refresh(order, ["title"])
        await session.delete(order)

    await refused(orders, order, refresh)


async def test_a_row_that_came_since_is_not_merged_away(orders: AsyncEngine) -> None:
    """Nor is one that row-level security hid: the object never showed it."""
    order = await Loader(orders).fetch(plan_of("lines", "notes", "seal"), 1)
    async with AsyncSession(orders) as session:
        session.add(Note(id=3, order_id=1))
        await session.commit()
    assert "'Order.notes' does not show all of its rows" in await refused(orders, order, merge)
    order.notes.clear()
    assert "'Order.notes'" in await refused(orders, order, merge)


async def test_a_new_key_is_passed_on_to_all_rows_or_to_none(orders: AsyncEngine) -> None:
    country = await Loader(orders).fetch(LoadPlan(Country, load(Country.cities, limit=1)), "it")
    async with AsyncSession(orders) as session:
        session.add(country)
        country.code = "fr"
        with pytest.raises(PartialCollectionError, match="a new primary key would leave the others"):
            await session.commit()
    assert [city["country_code"] for city in (await stored(orders))["cities"]] == ["it", "it"]


# --- who hides ------------------------------------------------------------------------------------------------------


def criteria(state: ORMExecuteState) -> None:
    _hide(state)


def condition(state: ORMExecuteState) -> None:
    if state.bind_mapper is Line.__mapper__:
        state.statement = state.statement.where(Line.gone.is_(False))


def answer(state: ORMExecuteState) -> Any:
    """Answer in the place of all listeners after it, as a cache does."""
    return state.session.connection().execute(state.statement, state.parameters or {})


def criteria_of_others(state: ORMExecuteState) -> None:
    state.statement = state.statement.options(with_loader_criteria(Label, Label.gone.is_(False)))


def comment(state: ORMExecuteState) -> None:
    state.statement = state.statement.prefix_with("/* a comment */").execution_options(tag="t")


def own_question(state: ORMExecuteState) -> None:
    """Ask the database something of its own, and change nothing."""
    if "asked" not in state.session.info:
        state.session.info["asked"] = True
        state.session.execute(select(Label.id).where(Label.id > 0))


HIDING = {criteria, condition, answer}
BINDS = ["engine", "sessionmaker", "session", "connection"]


@contextlib.asynccontextmanager
async def bound(engine: AsyncEngine, kind: str) -> AsyncIterator[Any]:
    bind: AsyncSession | AsyncConnection
    if kind == "session":
        async with AsyncSession(engine) as bind:
            yield bind
    elif kind == "connection":
        async with engine.connect() as bind:
            yield bind
    else:
        yield engine if kind == "engine" else async_sessionmaker(engine)


@pytest.mark.parametrize("listener", [*sorted(HIDING, key=repr), criteria_of_others, comment, own_question])
@pytest.mark.parametrize("kind", BINDS)
async def test_who_may_have_hidden_rows_is_known_on_every_bind(
    orders: AsyncEngine, kind: str, listener: Callable[[ORMExecuteState], Any]
) -> None:
    event.listen(Session, "do_orm_execute", listener)
    try:
        async with bound(orders, kind) as bind:
            loader = Loader(bind)
            walked = [each async for each in loader.stream(plan_of("lines"))]
            page = await loader.fetch_page(plan_of("lines"), Order.id)
            many = await loader.fetch_many(plan_of("lines"), [1])
            alone = await loader.batched().fetch(plan_of("lines"), 1)
    finally:
        event.remove(Session, "do_orm_execute", listener)
    for order in (*walked, *page.items, *many, alone):
        # where the lines come within the statement of their order, a condition on statements of lines hides nothing
        hides = listener in HIDING and not (listener is condition and len(order.lines) == 2)
        async with AsyncSession(orders) as session:
            with pytest.raises(PartialCollectionError) if hides else contextlib.nullcontext():
                await session.merge(order)


async def test_a_session_whose_execute_is_its_own_may_hide_rows(orders: AsyncEngine) -> None:
    class Own(Session):
        def execute(self, statement: Any, *arguments: Any, **words: Any) -> Any:  # type: ignore[override]
            return super().execute(
                statement.options(with_loader_criteria(Line, Line.gone.is_(False))), *arguments, **words
            )

    order = await Loader(async_sessionmaker(orders, sync_session_class=Own)).fetch(plan_of("lines"), 1)
    assert [line.id for line in order.lines] == [1]
    await refused(orders, order, merge)
