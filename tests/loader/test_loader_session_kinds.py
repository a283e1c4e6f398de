"""Sessions as applications really make them: subclasses, info, routing, several databases, test transactions."""

import datetime
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
from loader_models import AUTHOR, POST_PAGE, POSTS, Author, Post, seed
from loader_models import Base as BlogBase
from sqlalchemy import URL, Engine, ForeignKey, Index, Update, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, ORMExecuteState, Session, foreign, mapped_column, relationship

from loadplan import Loader, LoaderError, LoadPlan, PlanError, load, source
from support import recording, tables


async def test_info_is_shared_with_the_caller(blog: AsyncEngine) -> None:
    """A listener reads what the caller put there, and what it writes the caller finds."""
    seen: list[object] = []

    class Sub(Session):
        pass

    def listen(state: ORMExecuteState) -> None:
        seen.append(state.session.info["tenant"])
        state.session.info["statements"] = state.session.info.get("statements", 0) + 1

    event.listen(Sub, "do_orm_execute", listen)
    async with AsyncSession(blog, sync_session_class=Sub, info={"tenant": 7}) as session:
        await Loader(session).fetch(POSTS, 2)
        session.info["tenant"] = 8
        await Loader(session).fetch(AUTHOR, 2)
        assert seen == [7, 7, 8]
        assert session.info == {"tenant": 8, "statements": 3}
    seen.clear()
    await Loader(async_sessionmaker(blog, sync_session_class=Sub, info={"tenant": 9})).fetch(POSTS, 2)
    assert seen == [9, 9]


class Audited(Session):
    """A session that cannot be made without an argument, and keeps things of its own."""

    def __init__(self, *args: Any, user: str, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.user = user
        self.log: list[str] = []

    def note(self, what: str) -> None:
        self.log.append(f"{self.user}: {what}")


@event.listens_for(Audited, "do_orm_execute")
def _audit(state: ORMExecuteState) -> None:
    assert isinstance(state.session, Audited)
    state.session.note("select")


async def test_a_session_subclass_with_arguments_and_attributes(blog: AsyncEngine) -> None:
    async with AsyncSession(blog, sync_session_class=Audited, user="eve") as session:
        await Loader(session).fetch(POSTS, 2)
        assert session.sync_session.log == ["eve: select", "eve: select"]
        session.sync_session.user = "mallory"
        await Loader(session).fetch(AUTHOR, 2)
        assert session.sync_session.log[-1] == "mallory: select"


async def test_a_sessionmaker_of_a_subclass_with_arguments(blog: AsyncEngine) -> None:
    maker = async_sessionmaker(blog, sync_session_class=Audited, user="eve")
    assert [post.id for post in (await Loader(maker).fetch(POSTS, 2)).posts] == [11, 12]


class Unit(AsyncSession):
    """An AsyncSession with an argument and a default session class of its own."""

    sync_session_class = Audited

    def __init__(self, bind: Any = None, *, owner: str, **keywords: Any) -> None:
        super().__init__(bind, user=owner, **keywords)


@pytest.mark.asynchronous
async def test_an_async_session_subclass(blog: AsyncEngine) -> None:
    async with Unit(blog, owner="eve") as session:
        await Loader(session).fetch(POSTS, 2)
        assert session.sync_session.log == ["eve: select", "eve: select"]  # type: ignore[attr-defined]
    maker = async_sessionmaker(blog, class_=Unit, owner="eve")
    assert (await Loader(maker).fetch(POSTS, 2)).name == "Ben"
    async with maker() as session:
        assert (await Loader(session).fetch(POSTS, 2)).name == "Ben"


async def test_listeners_of_the_life_of_objects_do_not_hear_a_fetch_end_the_callers_transaction(
    blog: AsyncEngine,
) -> None:
    """A fetch commits and rolls back nothing, so nobody who waits for that is woken."""
    heard: list[str] = []
    async with AsyncSession(blog) as session:
        for name in ("before_commit", "after_commit", "after_rollback", "after_soft_rollback", "before_flush"):
            event.listen(session.sync_session, name, lambda *_, name=name: heard.append(name))
        await Loader(session).fetch(POST_PAGE, 11)
    assert heard == []


async def test_a_session_that_says_how_it_executes(blog: AsyncEngine) -> None:
    """execution_options of a session (SQLAlchemy 2.1) reach the statements of a fetch."""
    seen: list[object] = []
    try:
        session = AsyncSession(blog, execution_options={"mark": 5})
    except TypeError:
        pytest.skip("sessions take execution_options since SQLAlchemy 2.1")

    def look(state: ORMExecuteState) -> None:
        seen.append(state.execution_options.get("mark"))

    async with session:
        event.listen(session.sync_session, "do_orm_execute", look)
        await Loader(session).fetch(POSTS, 2)
    assert seen == [5, 5]


# --- several databases ----------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class Place(Base):
    """Lives in the first database."""

    __tablename__ = "ldr_kinds_places"
    id: Mapped[int] = mapped_column(primary_key=True)
    events: Mapped[list["Event"]] = relationship(
        primaryjoin="Place.id == foreign(Event.place_id)", order_by="Event.id", back_populates="place"
    )


class Event(Base):
    """Lives in the second one; no foreign key can lead there."""

    __tablename__ = "ldr_kinds_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int]
    place: Mapped[Place | None] = relationship(
        primaryjoin="foreign(Event.place_id) == Place.id", back_populates="events"
    )


PLACE = LoadPlan(Place, load(Place.events))
EVENT = LoadPlan(Event, load(Event.place, strategy="selectin"))


@pytest.fixture(params=["postgresql", "sqlite"])
async def databases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    """Two databases of one kind: places in the first alone, events in the second alone."""
    if request.param == "sqlite":
        first, second = (create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    else:
        url: URL = request.getfixturevalue("postgres_url")
        name = f"{url.database}_second"
        admin = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with admin.connect() as connection:
            await connection.execute(text(f'CREATE DATABASE "{name}"'))
        first, second = create_async_engine(url), create_async_engine(url.set(database=name))
    for engine, entity in ((first, Place), (second, Event)):
        async with engine.begin() as connection:
            await connection.run_sync(entity.__table__.create)  # type: ignore[attr-defined]
    async with first.begin() as connection:
        await connection.execute(insert(Place), [{"id": 1}, {"id": 2}])
    async with second.begin() as connection:
        await connection.execute(
            insert(Event), [{"id": 1, "place_id": 1}, {"id": 2, "place_id": 1}, {"id": 3, "place_id": 9}]
        )
    try:
        yield first, second
    finally:
        async with first.begin() as connection:
            await connection.run_sync(Place.__table__.drop)  # type: ignore[attr-defined]
        await first.dispose()
        await second.dispose()
        if request.param == "postgresql":
            async with admin.connect() as connection:
                await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
            await admin.dispose()


async def assert_both_databases(bind: Any, first: AsyncEngine, second: AsyncEngine) -> None:
    with recording(first) as in_first, recording(second) as in_second:
        place = await Loader(bind).fetch(PLACE, 1)
    assert [each.id for each in place.events] == [1, 2]
    assert all(each.place is place for each in place.events)
    assert (len(in_first.selects), len(in_second.selects)) == (1, 1)
    found = await Loader(bind).fetch_all(EVENT, order_by=Event.id)
    assert [each.place and each.place.id for each in found] == [1, 1, None]


@pytest.mark.parametrize("kind", ["sessionmaker", "session"])
async def test_binds_to_two_databases(databases: tuple[AsyncEngine, AsyncEngine], kind: str) -> None:
    first, second = databases
    maker = async_sessionmaker(binds={Place: first, Event: second})
    if kind == "sessionmaker":
        await assert_both_databases(maker, first, second)
    else:
        async with maker() as session:
            await assert_both_databases(session, first, second)


class Two(DeclarativeBase):
    pass


class Region(Two):
    __tablename__ = "two_regions"
    id: Mapped[int] = mapped_column(primary_key=True)


class City(Two):
    __tablename__ = "two_cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    region_id: Mapped[int]
    streets: Mapped[list["Street"]] = relationship(order_by="Street.id")


class Street(Two):
    __tablename__ = "two_streets"
    __table_args__ = (Index("two_streets_by_city", "city_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey(City.id))


CITIES: Any = relationship(City, primaryjoin=foreign(City.region_id) == Region.id, order_by=City.id, viewonly=True)
Region.cities = CITIES  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
async def test_two_dialects_in_one_session(postgres: AsyncEngine, sqlite: AsyncEngine, strategy: Any) -> None:
    """Arrays of rows are for the database that reads them: one of them is never sent to SQLite."""
    cities: Any = Region.cities  # type: ignore[attr-defined]
    plan = LoadPlan(Region, load(cities, load(City.streets, strategy=strategy)))
    for first, second in ((postgres, sqlite), (sqlite, postgres)):
        async with tables(first, Two.metadata), tables(second, Two.metadata):
            maker = async_sessionmaker(binds={Region: first, City: second, Street: second})
            async with maker() as session:
                session.add_all([Region(id=1), City(id=1, region_id=1, streets=[Street(id=1), Street(id=2)])])
                await session.commit()
            for roots in (await Loader(maker).fetch_all(plan), [await Loader(maker).fetch(plan, 1)]):
                assert [[each.id for each in city.streets] for city in roots[0].cities] == [[1, 2]]


class Apart(DeclarativeBase):
    pass


class Depot(Apart):
    __tablename__ = "apart_depots"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    opened: Mapped[datetime.datetime]


class Lorry(Apart):
    __tablename__ = "apart_lorries"
    id: Mapped[int] = mapped_column(primary_key=True)
    depot_id: Mapped[uuid.UUID]


Depot.lorries = relationship(  # type: ignore[attr-defined]
    Lorry, primaryjoin=foreign(Lorry.depot_id) == Depot.id, order_by=Lorry.id, viewonly=True
)


async def test_two_databases_store_one_key_in_two_forms(postgres: AsyncEngine, sqlite: AsyncEngine) -> None:
    """SQLite has a UUID as text, PostgreSQL has its own type. Python compares the UUIDs."""
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    plan = LoadPlan(Depot, load("lorries"))
    for first, second in ((postgres, sqlite), (sqlite, postgres)):
        async with tables(first, Apart.metadata), tables(second, Apart.metadata):
            maker = async_sessionmaker(binds={Depot: first, Lorry: second})
            async with maker() as session:
                session.add_all([Depot(id=each, opened=datetime.datetime(2026, 1, 1)) for each in (one, other)])
                session.add_all([Lorry(id=n, depot_id=(one, other)[n % 2]) for n in range(4)])
                await session.commit()
            found: list[Any] = await Loader(maker).fetch_many(plan, [one, other])
            assert [[each.id for each in depot.lorries] for depot in found] == [[0, 2], [1, 3]]


def routing(first: Engine, second: Engine, *, keywords: bool) -> type[Session]:
    """A session class with its own get_bind, in both spellings of SQLAlchemy's documentation."""

    def choose(session: Session, mapper: Any, clause: Any) -> Engine:
        if mapper is None or session._flushing or isinstance(clause, Update):
            pytest.fail("a fetch knows what it selects, and writes nothing")
        return first if issubclass(mapper.class_, Place) else second

    class Open(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **kw: Any) -> Engine:  # type: ignore[override]
            return choose(self, mapper, clause)

    class Plain(Session):
        def get_bind(self, mapper: Any = None, clause: Any = None) -> Engine:  # type: ignore[override]
            return choose(self, mapper, clause)

    return Open if keywords else Plain


@pytest.mark.parametrize("keywords", [True, False], ids=["with **kw", "mapper and clause alone"])
@pytest.mark.parametrize("kind", ["sessionmaker", "session"])
async def test_a_session_class_that_routes(
    databases: tuple[AsyncEngine, AsyncEngine], kind: str, keywords: bool
) -> None:
    first, second = databases
    cls = routing(first.sync_engine, second.sync_engine, keywords=keywords)
    maker = async_sessionmaker(sync_session_class=cls)
    if kind == "sessionmaker":
        await assert_both_databases(maker, first, second)
    else:
        async with maker() as session:
            await assert_both_databases(session, first, second)


async def test_uncommitted_work_in_both_databases_is_seen(databases: tuple[AsyncEngine, AsyncEngine]) -> None:
    first, second = databases
    async with async_sessionmaker(binds={Place: first, Event: second})() as session:
        session.add_all([Place(id=50), Event(id=50, place_id=50)])
        assert [each.id for each in (await Loader(session).fetch(PLACE, 50)).events] == [50]


async def test_a_listener_that_picks_the_bind_of_a_statement(blog: AsyncEngine) -> None:
    """It names an engine; the loader on a session still reads in the caller's transaction on that engine."""

    def pick(state: ORMExecuteState) -> None:
        state.bind_arguments["bind"] = blog.sync_engine

    async with AsyncSession(blog) as session:
        event.listen(session.sync_session, "do_orm_execute", pick)
        session.add(Author(id=50, name="not committed"))
        await session.flush()
        assert (await session.scalars(select(Author.name).where(Author.id == 50))).one() == "not committed"
        assert (await Loader(session).fetch(AUTHOR, 50)).name == "not committed"


# --- on a connection, as test suites do -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["create_savepoint", "conditional_savepoint", "rollback_only"])
async def test_a_sessionmaker_bound_to_the_connection_of_a_test(blog_postgres: AsyncEngine, mode: Any) -> None:
    """The application commits, the test rolls everything back; fetches in between end neither."""
    async with blog_postgres.connect() as connection:
        transaction = await connection.begin()
        maker = async_sessionmaker(connection, join_transaction_mode=mode)
        loader = Loader(maker)
        async with maker() as session:
            session.add(Author(id=50, name="new"))
            await session.commit()
        for _ in range(2):
            assert (await loader.fetch(POSTS, 50)).name == "new"
            assert transaction.is_active
        async with maker() as session:
            session.add(Post(id=51, title="t", author_id=50))
            assert [post.id for post in (await Loader(session).fetch(POSTS, 50)).posts] == [51]
            await session.commit()
        assert [post.id for post in (await loader.fetch(POSTS, 50)).posts] == [51]
        await transaction.rollback()
    assert await Loader(blog_postgres).fetch_or_none(AUTHOR, 50) is None


async def test_a_fetch_in_a_session_on_the_connection_of_a_test_leaves_its_savepoint(
    blog_postgres: AsyncEngine,
) -> None:
    async with blog_postgres.connect() as connection:
        await connection.begin()
        async with AsyncSession(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Author(id=50, name="new"))
            await session.flush()
            await Loader(session).fetch(POSTS, 50)
            await session.rollback()
            assert await Loader(session).fetch_or_none(AUTHOR, 50) is None
            session.add(Author(id=51, name="again"))
            await session.commit()
        assert (await Loader(connection).fetch(AUTHOR, 51)).name == "again"
        assert connection.in_transaction()


async def test_the_isolation_of_the_connection_of_a_test_is_left_alone(blog_postgres: AsyncEngine) -> None:
    async with blog_postgres.connect() as connection:
        await connection.begin()
        await Loader(async_sessionmaker(connection)).fetch(POST_PAGE, 11)
        shown = await connection.execute(select(func.current_setting("transaction_read_only")))
        assert shown.scalar() == "off"


async def test_a_sessionmaker_without_autobegin(blog: AsyncEngine) -> None:
    """A sessionmaker's sessions are the loader's own: it begins what must be begun."""
    loader = Loader(async_sessionmaker(blog, autobegin=False))
    assert [post.id for post in (await loader.fetch(POSTS, 2)).posts] == [11, 12]
    assert (await loader.fetch(AUTHOR, 1)).name == "Ann"


async def test_an_engine_with_a_schema_translation(postgres: AsyncEngine) -> None:
    """A tenant by schema: execution options of the engine hold for every statement."""
    async with postgres.begin() as connection:
        await connection.execute(text("CREATE SCHEMA ldr_kinds_tenant"))
    tenant = postgres.execution_options(schema_translate_map={None: "ldr_kinds_tenant"})
    try:
        async with tables(tenant, BlogBase.metadata):
            await seed(tenant)
            assert [post.id for post in (await Loader(tenant).fetch(POSTS, 2)).posts] == [11, 12]
            assert (await Loader(tenant).fetch(AUTHOR, 1)).name == "Ann"
            async with AsyncSession(tenant) as session:
                assert [tag.id for tag in (await Loader(session).fetch(POST_PAGE, 11)).tags] == [1, 2]
    finally:
        async with postgres.begin() as connection:
            await connection.execute(text("DROP SCHEMA ldr_kinds_tenant CASCADE"))


async def test_a_sessionmaker_without_any_bind_says_so(blog: AsyncEngine) -> None:
    """Neither the maker nor its session knows a database: SQLAlchemy's own error, or ours, and no other."""
    from sqlalchemy.exc import UnboundExecutionError

    with pytest.raises((UnboundExecutionError, LoaderError)):
        await Loader(async_sessionmaker()).fetch(AUTHOR, 1)


@attrs.frozen
class EventRow:
    """A field that no statement of events can read."""

    id: int
    name: Annotated[int | None, source(select(Place.id).where(Place.id == Event.place_id).scalar_subquery())]


async def test_a_statement_reads_one_database(databases: tuple[AsyncEngine, AsyncEngine]) -> None:
    """A condition, an order, or a field of a view that reads the other database is refused before any SQL."""
    first, second = databases
    maker = async_sessionmaker(binds={Place: first, Event: second})
    loader, has_events = Loader(maker), Place.events.any(Event.id > 1)
    by_place = source(Event.place, Place.id)
    calls: list[Callable[[], Any]] = [
        lambda: loader.fetch_all(PLACE, where=has_events),
        lambda: loader.fetch_all(LoadPlan(Place), where=Place.events.any()),
        lambda: loader.fetch_one(LoadPlan(Place), where=Place.id.in_(select(Event.place_id))),
        lambda: loader.fetch_all(EVENT, where=Event.place.has()),
        lambda: loader.fetch_all(EVENT, where=source(Event.place, Place.id > 1)),
        lambda: loader.fetch_all(LoadPlan(Event), order_by=by_place),
        lambda: loader.fetch_page(EVENT, order_by=by_place, size=2),
        lambda: loader.count(Place, where=has_events),
        lambda: loader.exists(PLACE, where=has_events),
        lambda: anext(aiter(loader.stream(PLACE, where=has_events))),
        lambda: loader.fetch_all(LoadPlan(Event, into=EventRow)),
        lambda: loader.fetch(LoadPlan(Place, load(Place.events, where=Event.place.has())), 1),
    ]
    with recording(first) as in_first, recording(second) as in_second:
        for call in calls:
            with pytest.raises(PlanError, match="in another database"):
                await call()
    assert (in_first.selects, in_second.selects) == ([], [])
    with pytest.raises(PlanError) as caught:
        await loader.fetch_all(PLACE, where=has_events)
    assert str(caught.value) == (
        "LP215: where= of 'Place' reads 'Event', which is in another database\n"
        "  at: Place\n"
        "  detail: the session's binds= name two databases, and one statement reads one database.\n"
        "  hint: fetch the keys from 'Event' first, and pass them: where=Place.id.in_(keys)."
    )
    same = async_sessionmaker(binds={Place: first, Event: first})
    await assert_refused_by_the_database(Loader(same), has_events)


async def assert_refused_by_the_database(loader: Loader, condition: Any) -> None:
    """Assert that a statement of one database is sent. This database has no events."""
    with pytest.raises(DBAPIError):
        await loader.fetch_all(LoadPlan(Place), where=condition)
