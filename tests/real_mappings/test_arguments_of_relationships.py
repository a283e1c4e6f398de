"""What a mapping says beside the join: ``innerjoin=``, the order of a to-one, a to-one that is the newest of many."""

from typing import Annotated, Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, with_loader_criteria

from loadplan import Loader, LoadPlan, PlanError, TooManyRows, aggregate, count, exists, load


class Base(DeclarativeBase):
    pass


class City(Base):
    __tablename__ = "arguments_cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Team(Base):
    __tablename__ = "arguments_teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city_id: Mapped[int] = mapped_column(ForeignKey(City.id))
    city: Mapped[City] = relationship(innerjoin=True)
    members: Mapped[list["Member"]] = relationship(back_populates="team", order_by="Member.id")


class Member(Base):
    __tablename__ = "arguments_members"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey(Team.id))
    team: Mapped[Team] = relationship(back_populates="members", innerjoin=True, lazy="joined")


class Guarded(Session):
    """Hides the teams and the cities that are named B."""


@event.listens_for(Guarded, "do_orm_execute")
def _hide(state: Any) -> None:
    for entity in (Team, City):
        state.statement = state.statement.options(with_loader_criteria(entity, entity.name != "B"))


@attrs.frozen
class TeamView:
    name: str


@attrs.frozen
class MemberView:
    id: int
    team: TeamView | None


def _rows() -> list[object]:
    a, b = City(id=1, name="A"), City(id=2, name="B")
    return [
        Team(id=1, name="A", city=a, members=[Member(id=1)]),
        Team(id=2, name="B", city=a, members=[Member(id=2)]),
        Team(id=3, name="C", city=b, members=[Member(id=3)]),
    ]


async def test_where_of_a_relationship_mapped_innerjoin_leaves_none(engine: AsyncEngine) -> None:
    """A condition chooses among the targets: the member stays, and its team is None."""
    plan = LoadPlan(Member, load(Member.team, where=Team.name == "A"))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        members = await loader.fetch_all(plan, order_by=Member.id)
        assert [(each.id, each.team and each.team.id) for each in members] == [(1, 1), (2, None), (3, None)]
        assert (await loader.fetch(plan, 2)).team is None


async def test_a_session_criterion_drops_no_parent(engine: AsyncEngine) -> None:
    """A row that a session hides leaves None, and its parent comes all the same."""
    plan = LoadPlan(Member, load(Member.team))
    async with filled(engine, Base.metadata, *_rows()):
        guarded = Loader(async_sessionmaker(engine, sync_session_class=Guarded))
        members = await guarded.fetch_all(plan, order_by=Member.id)
        assert [(each.id, each.team and each.team.id) for each in members] == [(1, 1), (2, None), (3, 3)]


async def test_an_inner_join_two_levels_down_drops_no_parent(engine: AsyncEngine) -> None:
    """The same below a joined to-one, and below a collection."""
    deep = LoadPlan(Member, load(Member.team, load(Team.city, where=City.name == "A")))
    below = LoadPlan(City, load(CITY_TEAMS, load(Team.city, where=City.name == "A")))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        members = await loader.fetch_all(deep, order_by=Member.id)
        assert [each.team.city and each.team.city.id for each in members] == [1, 1, None]
        cities = await loader.fetch_all(below, order_by=City.id)
        assert [[team.id for team in each.teams] for each in cities] == [[1, 2], [3]]  # type: ignore[attr-defined]


async def test_a_view_keeps_the_parents_of_an_inner_join(engine: AsyncEngine) -> None:
    """A view joins outward whatever the mapping says."""
    plan = LoadPlan(Member, load(Member.team, where=Team.name == "A"), into=MemberView)
    async with filled(engine, Base.metadata, *_rows()) as loader:
        views = await loader.fetch_all(plan, order_by=Member.id)
        assert views == [MemberView(1, TeamView("A")), MemberView(2, None), MemberView(3, None)]


async def test_strategy_inner_drops_parents_as_asked(engine: AsyncEngine) -> None:
    """``strategy="inner"`` says that parents without a row vanish."""
    plan = LoadPlan(Member, load(Member.team, where=Team.name == "A", strategy="inner"))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        assert [each.id for each in await loader.fetch_all(plan, order_by=Member.id)] == [1]


City.teams = relationship(Team, viewonly=True, order_by=Team.id)  # type: ignore[attr-defined]
CITY_TEAMS: Any = City.teams  # type: ignore[attr-defined]


class EventBase(DeclarativeBase):
    pass


class File(EventBase):
    __tablename__ = "arguments_files"
    id: Mapped[int] = mapped_column(primary_key=True)
    events: Mapped[list["Event"]] = relationship(back_populates="file", order_by="desc(Event.time)")
    newest: Mapped["Event | None"] = relationship(
        order_by="desc(Event.time), desc(Event.id)", uselist=False, viewonly=True
    )
    report: Mapped["Report | None"] = relationship(back_populates="file", order_by="desc(Report.id)")


class Event(EventBase):
    __tablename__ = "arguments_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[int]
    file_id: Mapped[int] = mapped_column(ForeignKey(File.id))
    file: Mapped[File] = relationship(back_populates="events", order_by="desc(Event.time)")
    report_id: Mapped[int | None] = mapped_column(ForeignKey("arguments_reports.id"))
    report: Mapped["Report | None"] = relationship(viewonly=True)


class Report(EventBase):
    __tablename__ = "arguments_reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey(File.id), unique=True)
    file: Mapped[File] = relationship(back_populates="report", order_by=[id.desc(), file_id])


@attrs.frozen
class EventView:
    id: int


@attrs.frozen
class FileView:
    id: int
    newest: EventView | None


@attrs.frozen
class FileRef:
    id: int


@attrs.frozen
class EventWithFile:
    id: int
    file: FileRef


def _files() -> list[object]:
    return [
        File(id=1, report=Report(id=1), events=[Event(id=1, time=5), Event(id=2, time=7), Event(id=3, time=6)]),
        File(id=2, report=Report(id=2), events=[Event(id=4, time=9), Event(id=5, time=8)]),
        File(id=3),
    ]


@pytest.mark.parametrize(
    "strategy",
    [None, "joined", "inner", "selectin", "subquery"],
)
async def test_the_order_of_a_to_one_means_nothing(engine: AsyncEngine, strategy: Any) -> None:
    """A many-to-one whose mapping carries an order over the child's own table loads by every strategy."""
    plan = LoadPlan(Event, load(Event.file, strategy=strategy))
    async with filled(engine, EventBase.metadata, *_files()) as loader:
        expected = await lazily(engine, select(Event).order_by(Event.id), lambda each: (each.id, each.file.id))
        events = await loader.fetch_all(plan, order_by=Event.id)
        assert [(each.id, each.file.id) for each in events] == expected


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_the_order_of_a_one_to_one_means_nothing(engine: AsyncEngine, strategy: Any) -> None:
    """The same where both sides are to one, and the order has several terms."""
    plan = LoadPlan(Report, load(Report.file, strategy=strategy))
    async with filled(engine, EventBase.metadata, *_files()) as loader:
        reports = await loader.fetch_all(plan, order_by=Report.id.desc())
        assert [(each.id, each.file.id) for each in reports] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
async def test_the_order_of_a_to_one_is_left_out_of_views(engine: AsyncEngine, strategy: Any) -> None:
    """A view of such a to-one holds its row."""
    plan = LoadPlan(Event, load(Event.file, strategy=strategy), into=EventWithFile)
    async with filled(engine, EventBase.metadata, *_files()) as loader:
        views = await loader.fetch_all(plan, order_by=Event.id)
        assert [(each.id, each.file.id) for each in views] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)]


NEWEST_PLANS = {
    "entities": LoadPlan(File, load(File.newest)),
    "entities, select-in": LoadPlan(File, load(File.newest, strategy="selectin")),
    "views": LoadPlan(File, into=FileView),
}


@pytest.mark.parametrize("name", ["entities", "entities, select-in", "views"])
async def test_the_newest_of_many_is_the_first_by_the_mapped_order(engine: AsyncEngine, name: str) -> None:
    """A to-one that nothing holds to one row is the first row by the order of its mapping."""
    async with filled(engine, EventBase.metadata, *_files()) as loader:
        found = await loader.fetch_all(NEWEST_PLANS[name], order_by=File.id)
        assert [each.newest and each.newest.id for each in found] == [2, 4, None]


@pytest.mark.parametrize(
    "name",
    NEWEST_PLANS,
)
async def test_the_newest_of_many_brings_one_row_for_each_parent(engine: AsyncEngine, name: str) -> None:
    """The database takes the first row of each parent: three files and two events are five rows."""
    records: list[Any] = []
    async with filled(engine, EventBase.metadata, *_files()):
        await Loader(engine, on_fetch=records.append).fetch_all(NEWEST_PLANS[name], order_by=File.id)
        sent = await _rows_sent(engine, NEWEST_PLANS[name])
    assert sent <= 5
    assert records[0].rows == sent


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_an_inner_join_below_the_newest_of_many(engine: AsyncEngine, strategy: Any) -> None:
    """The newest event is left out, and no older one takes its place: by each strategy, for one root and for all."""
    plan = LoadPlan(File, load(File.newest, load(Event.report, strategy="inner"), strategy=strategy))
    async with filled(engine, EventBase.metadata, *_files()) as loader:
        async with engine.begin() as connection:
            await connection.execute(update(Event).where(Event.id.in_([1, 4])).values(report_id=1))
        found = await loader.fetch_all(plan, order_by=File.id)
        assert [each.newest and each.newest.id for each in found] == [None, 4, None]
        one = [await loader.fetch(plan, key) for key in (1, 2, 3)]
        assert [each.newest and each.newest.id for each in one] == [None, 4, None]


def test_the_reason_for_a_join_of_the_newest_of_many() -> None:
    """You asked for it: explain does not promise one row."""
    explained = LoadPlan(File, load(File.newest, strategy="joined")).explain("sqlite")
    assert explained.edges[0].strategy == "left join"
    assert explained.edges[0].reason == (
        "the plan asks for it: no constraint holds it to one row, so all rows are sent"
    )


async def test_max_rows_counts_the_rows_of_a_collection(engine: AsyncEngine) -> None:
    """The counterpart: a collection of the same rows is more than the limit allows."""
    async with filled(engine, EventBase.metadata, *_files()):
        with pytest.raises(TooManyRows):
            await Loader(engine, max_rows=5).fetch_all(LoadPlan(File, load(File.events)))


async def _rows_sent(engine: AsyncEngine, plan: LoadPlan[Any]) -> int:
    """Return how many rows the statements of a fetch bring over the wire, as the database counts them."""
    sent: list[tuple[str, Any]] = []

    def before(_c: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        sent.append((sql, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    try:
        await Loader(engine).fetch_all(plan)
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
    total = 0
    async with engine.connect() as connection:
        for sql, parameters in sent:
            total += len((await connection.exec_driver_sql(sql, parameters)).all())
    return total


@pytest.mark.parametrize("computed", [count(File.newest), aggregate(File.newest, func.max(Event.id))], ids=repr)
def test_the_newest_of_many_is_not_counted(computed: Any) -> None:
    """A count of the relationship would count all events, and the entity has one."""
    view = attrs.make_class("Line", {"n": attrs.field(type=Annotated[int | None, computed])})
    with pytest.raises(PlanError) as caught:
        LoadPlan(File, into=view)
    assert str(caught.value) == (
        f"LP306: 'Line.n' is {computed!r}, but 'File.newest' leads to the first of many rows\n"
        "  at: Line\n"
        "  detail: no unique key ensures one row at most, so the database would count all rows.\n"
        "  hint: use exists(File.newest), or name a relationship that is mapped as a collection."
    )
    LoadPlan(File, into=attrs.make_class("Line", {"n": attrs.field(type=Annotated[bool, exists(File.newest)])}))
