"""Objects are made while the next statement is on its way to the database, on drivers that can wait."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest
from sqlalchemy import ForeignKey, create_engine, event, func, select, true
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, with_loader_criteria
from sqlalchemy.util import await_only

from loadplan import Loader, LoadPlan, SyncLoader, ViewError, load
from support import tables

SEEN: list[str] = []
"""The statements that are sent and answered, and the objects that are made, in order."""


class Base(DeclarativeBase):
    def __new__(cls, *_: Any, **__: Any) -> Any:
        if not SEEN or SEEN[-1] != cls.__name__:
            SEEN.append(cls.__name__)
        return super().__new__(cls)


class Ship(Base):
    __tablename__ = "loader_overlap_ships"
    id: Mapped[int] = mapped_column(primary_key=True)
    decks: Mapped[list["Deck"]] = relationship(order_by="Deck.id", back_populates="ship")
    boats: Mapped[list["Boat"]] = relationship(order_by="Boat.id")


class Deck(Base):
    __tablename__ = "loader_overlap_decks"
    id: Mapped[int] = mapped_column(primary_key=True)
    ship_id: Mapped[int] = mapped_column(ForeignKey(Ship.id), index=True)
    ship: Mapped[Ship] = relationship(back_populates="decks")
    cabins: Mapped[list["Cabin"]] = relationship(order_by="Cabin.id")


class Cabin(Base):
    __tablename__ = "loader_overlap_cabins"
    id: Mapped[int] = mapped_column(primary_key=True)
    deck_id: Mapped[int] = mapped_column(ForeignKey(Deck.id), index=True)


class Boat(Base):
    __tablename__ = "loader_overlap_boats"
    id: Mapped[int] = mapped_column(primary_key=True)
    ship_id: Mapped[int] = mapped_column(ForeignKey(Ship.id), index=True)


class View:
    def __attrs_post_init__(self) -> None:
        name = type(self).__name__
        if not SEEN or SEEN[-1] != name:
            SEEN.append(name)


@attrs.frozen
class BoatView(View):
    id: int


@attrs.frozen
class CabinView(View):
    id: int


@attrs.frozen
class DeckView(View):
    id: int
    cabins: list[CabinView]


@attrs.frozen
class ShipView(View):
    id: int
    boats: list[BoatView]
    decks: list[DeckView]


DECKS = load(Deck.cabins, strategy="selectin")
SHIPS = LoadPlan(Ship, load(Ship.decks, DECKS, strategy="selectin"), load(Ship.boats, strategy="selectin"))
VIEWS = LoadPlan(
    Ship, load(Ship.boats, strategy="selectin"), load(Ship.decks, DECKS, strategy="selectin"), into=ShipView
)


@attrs.frozen
class NoBoat:
    id: int

    def __attrs_post_init__(self) -> None:
        raise LookupError("no boat")


@attrs.frozen
class Wreck:
    id: int
    boats: list[NoBoat]
    decks: list[DeckView]


WRECKS = LoadPlan(Ship, *VIEWS.loads, into=Wreck, name="wrecks")


def fleet() -> list[Ship]:
    return [
        Ship(
            id=ship,
            boats=[Boat(id=ship * 10 + each) for each in range(2)],
            decks=[
                Deck(id=ship * 10 + each, cabins=[Cabin(id=ship * 100 + each * 10 + cabin) for cabin in range(2)])
                for each in range(2)
            ],
        )
        for ship in (1, 2, 3)
    ]


def note_statements(engine: Engine) -> Callable[[], None]:
    """Note what is sent and answered through an engine, until the returned function is called."""
    names = {each.__tablename__: each.__name__ for each in (Ship, Deck, Cabin, Boat)}

    def name_of(sql: str) -> str:
        table = sql.split("FROM ", 1)[1].split(maxsplit=1)[0] if "FROM " in sql else ""
        return names.get(table, table)

    def before(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        SEEN.append(f"{name_of(sql)} sent")

    def after(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        SEEN.append(f"{name_of(sql)} here")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)

    def stop() -> None:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)

    return stop


@pytest.fixture
async def harbour(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(fleet())
            await session.commit()
        yield engine


@pytest.fixture
def seen(harbour: AsyncEngine) -> Iterator[list[str]]:
    stop = note_statements(harbour.sync_engine)
    SEEN.clear()
    yield SEEN
    stop()


def numbers(ships: list[Any]) -> list[Any]:
    return [
        (
            ship.id,
            [boat.id for boat in ship.boats],
            [(deck.id, [each.id for each in deck.cabins]) for deck in ship.decks],
        )
        for ship in ships
    ]


FLEET = [
    (s, [s * 10, s * 10 + 1], [(s * 10 + d, [s * 100 + d * 10, s * 100 + d * 10 + 1]) for d in (0, 1)])
    for s in (1, 2, 3)
]


async def test_instances_are_made_from_the_roots_down_while_statements_are_on_their_way(
    harbour: AsyncEngine, seen: list[str]
) -> None:
    ships = await Loader(harbour).fetch_all(SHIPS, order_by=Ship.id)
    order = list(seen)
    assert numbers(ships) == FLEET
    assert ships[1].decks[0].ship is ships[1]
    statements = [each.removesuffix(" sent") for each in order if each.endswith(" sent") and each != " sent"]
    assert sorted(statements) == ["Boat", "Cabin", "Deck", "Ship"]
    for earlier, later in itertools.pairwise(statements):
        at = order.index(earlier, order.index(f"{earlier} here"))
        assert at < order.index(f"{later} here"), order
        if harbour.dialect.name == "postgresql":  # aiosqlite waits for its thread before it sends a statement
            assert order.index(f"{later} sent") < at, order
    assert order[-1] == statements[-1], "the objects of the last statement are made last"


async def test_views_are_made_from_the_leaves_up_while_statements_are_on_their_way(
    harbour: AsyncEngine, seen: list[str]
) -> None:
    ships = await Loader(harbour).fetch_all(VIEWS, order_by=Ship.id)
    order = list(seen)
    assert numbers(ships) == FLEET
    boats = order.index("BoatView")
    waits = [at for at, each in enumerate(order) if each.endswith(" sent")]
    assert order.index("Boat here") < boats
    assert waits[-1] > order.index("Boat here"), "another statement is sent after that of the boats"
    assert boats < order.index(order[waits[-1]].replace("sent", "here"))
    assert order[-1] == "ShipView"


@pytest.mark.parametrize("plan", [SHIPS, VIEWS], ids=["entities", "views"])
async def test_many_rows_become_objects_after_the_last_statement(
    harbour: AsyncEngine, seen: list[str], monkeypatch: pytest.MonkeyPatch, plan: LoadPlan[Any]
) -> None:
    """The timeouts of a statement go on while objects are made, so this must be short."""
    monkeypatch.setattr("loadplan.running.making.AT_A_TIME", 2)
    ships = await Loader(harbour).fetch_all(plan, order_by=Ship.id)
    order = list(seen)
    assert numbers(ships) == FLEET
    last = max(at for at, each in enumerate(order) if each.endswith(" here"))
    assert all(order.index(each) > last for each in order if " " not in each)


@pytest.mark.parametrize("plan", [SHIPS, VIEWS], ids=["entities", "views"])
async def test_a_criterion_of_the_session_is_known_before_objects_are_made(
    harbour: AsyncEngine, seen: list[str], plan: LoadPlan[Any]
) -> None:
    async with AsyncSession(harbour) as session:

        @event.listens_for(session.sync_session, "do_orm_execute")
        def only_some(state: Any) -> None:
            state.statement = state.statement.options(with_loader_criteria(Boat, Boat.id % 2 == 0))

        ships = await Loader(session).fetch_all(plan, order_by=Ship.id)
    made = [each for each in seen if " " not in each]
    assert numbers(ships) == [(number, boats[:1], decks) for number, boats, decks in FLEET]
    last = max(at for at, each in enumerate(seen) if each.endswith(" here"))
    assert all(seen.index(each) > last for each in made)


async def test_an_object_that_cannot_be_made_leaves_the_connection_usable(harbour: AsyncEngine) -> None:
    engine = create_async_engine(harbour.url, **_one_connection(harbour))
    if harbour.dialect.name == "sqlite":  # in memory: another engine would be another database
        await engine.dispose()
        engine = harbour
    loader = Loader(engine)
    for _ in range(3):
        with pytest.raises(ViewError, match="no boat") as caught:
            await loader.fetch_all(WRECKS)
        assert caught.value.code == "LP411"
        assert numbers(list(await loader.fetch_all(SHIPS, order_by=Ship.id))) == FLEET
    if engine is not harbour:
        await engine.dispose()


def _one_connection(engine: AsyncEngine) -> dict[str, Any]:
    return {} if engine.dialect.name == "sqlite" else {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}


@pytest.mark.parametrize("plan", [SHIPS, VIEWS], ids=["entities", "views"])
def test_a_synchronous_loader_has_the_same_result(plan: LoadPlan[Any]) -> None:
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        Base.metadata.create_all(session.connection())
        session.add_all(fleet())
        session.flush()
        found = SyncLoader(session).fetch_all(plan, true(), order_by=Ship.id)
        assert numbers(list(found)) == FLEET
    engine.dispose()


@attrs.frozen
class AskingBoat:
    id: int

    def __attrs_post_init__(self) -> None:
        ASK[0]()


@attrs.frozen
class AskingShip:
    id: int
    boats: list[AskingBoat]
    decks: list[DeckView]


ASKING = LoadPlan(Ship, *VIEWS.loads, into=AskingShip, name="asking")
ASK: list[Callable[[], object]] = []


@pytest.mark.parametrize("how", ["session", "loader", "savepoint", "synchronous"])
async def test_a_constructor_may_send_sql_on_the_connection_of_the_fetch(harbour: AsyncEngine, how: str) -> None:
    """It waits until the statement that is on its way has its rows."""
    asked: list[object] = []

    async with AsyncSession(harbour) as session:

        def ask() -> None:
            if how == "session":
                asked.append(await_only(session.scalar(select(func.count(Boat.id)))))
            elif how == "loader":
                asked.append(len(await_only(Loader(session).fetch_all(SHIPS))[0].boats) * 3)
            elif how == "synchronous":
                asked.append(SyncLoader(session.sync_session).count(Boat))
            else:
                session.sync_session.begin_nested().rollback()
                asked.append(6)

        ASK[:] = [ask]
        async with asyncio.timeout(30):
            if how == "synchronous":
                ships = await session.run_sync(lambda given: SyncLoader(given).fetch_all(ASKING, order_by=Ship.id))
            else:
                ships = await Loader(session).fetch_all(ASKING, order_by=Ship.id)
        assert numbers(list(ships)) == FLEET
        assert asked == [6] * 6
        assert await session.scalar(select(func.count(Boat.id))) == 6
