"""The tree of one root is in an array within its row on PostgreSQL: equal to the same tree from separate statements."""

import datetime
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import Column, ForeignKey, String, Table, TypeDecorator, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    column_property,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from loadplan import Loader, LoadPlan, NotLoaded, ViewError, count, load, on, source
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Upper(TypeDecorator[str]):
    """Keys that the database has in other letters."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, _: Any) -> str | None:
        return value and value.upper()

    def process_result_value(self, value: str | None, _: Any) -> str | None:
        return value and value.lower()


class Unit(Base):
    """A class with subclasses in its table and in a table of their own."""

    __tablename__ = "tia_units"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    number: Mapped[int]
    colour: Mapped[Colour]
    since: Mapped[datetime.date]
    up_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tia_units.id"))
    home_id: Mapped[int | None] = mapped_column(ForeignKey("tia_homes.id"))
    size: Mapped[int | None]
    below: Mapped[list["Unit"]] = relationship(
        back_populates="up", order_by="Unit.number.desc()", foreign_keys="Unit.up_id"
    )
    up: Mapped["Unit | None"] = relationship(back_populates="below", remote_side=[id], foreign_keys="Unit.up_id")
    home: Mapped["Home | None"] = relationship(foreign_keys="Unit.home_id")
    tags: Mapped[list["Tag"]] = relationship(order_by="Tag.id")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "unit"}


class Team(Unit):
    motto: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "team"}


class Office(Unit):
    __tablename__ = "tia_offices"
    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tia_units.id"), primary_key=True)
    floor: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "office"}


class Home(Base):
    __tablename__ = "tia_homes"
    id: Mapped[int] = mapped_column(primary_key=True)
    top_id: Mapped[uuid.UUID | None]
    top: Mapped["Unit | None"] = relationship(
        primaryjoin="foreign(Home.top_id) == Unit.id", viewonly=True, foreign_keys="Home.top_id"
    )


class Tag(Base):
    __tablename__ = "tia_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    unit_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tia_units.id"), index=True)


Unit.tag_count = column_property(  # type: ignore[attr-defined]
    select(func.count(Tag.id)).where(Tag.unit_id == Unit.id).correlate_except(Tag).scalar_subquery()
)

LEADS = Table(
    "tia_leads",
    Base.metadata,
    Column("from_id", ForeignKey("tia_pages.id"), primary_key=True),
    Column("to_id", ForeignKey("tia_pages.id"), primary_key=True),
)


class Page(Base):
    __tablename__ = "tia_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    leads: Mapped[list["Page"]] = relationship(
        secondary=LEADS,
        primaryjoin=id == LEADS.c.from_id,
        secondaryjoin=id == LEADS.c.to_id,
        order_by=id,
    )


class Word(Base):
    __tablename__ = "tia_words"
    id: Mapped[str] = mapped_column(Upper(10), primary_key=True)
    up_id: Mapped[str | None] = mapped_column(Upper(10), ForeignKey("tia_words.id"))
    below: Mapped[list["Word"]] = relationship(order_by=id)


def ident(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


PARENTS = {1: None, 2: 1, 3: 1, 4: 2, 5: 4, 6: 5, 7: 3, 8: None, 9: 8}


@pytest.fixture
async def units(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([Home(id=1, top_id=ident(1)), Home(id=2, top_id=None)])
            await session.flush()
            for n, up in PARENTS.items():
                cls, more = ((Unit, {}), (Team, {"motto": f"m{n}"}), (Office, {"floor": n}))[n % 3]
                made: Unit = cls(
                    id=ident(n),
                    number=n,
                    colour=Colour.RED if n % 2 else Colour.BLUE,
                    since=datetime.date(2020, 1, n),
                    up_id=ident(up) if up else None,
                    home_id=1 + n % 2,
                    size=n,
                    **more,
                )
                session.add(made)
                await session.flush()
                session.add(Tag(id=n, unit_id=ident(n)))
            session.add_all([Page(id=n) for n in range(1, 7)])
            session.add_all([Word(id="top"), Word(id="a", up_id="top"), Word(id="b", up_id="a")])
            await session.commit()
        async with engine.begin() as connection:  # 1 > 2 > 3 > 1, 3 > 4, 4 > 4, 1 > 3, 5 > 6
            pairs = [(1, 2), (2, 3), (3, 1), (3, 4), (4, 4), (1, 3), (5, 6)]
            await connection.execute(insert(LEADS), [{"from_id": a, "to_id": b} for a, b in pairs])
        yield engine


def seen(entity: Any, names: list[str], around: frozenset[int] = frozenset()) -> Any:
    """Return all values of an entity and of everything below it, and where it is sealed."""
    if id(entity) in around:
        return ("again", entity.id)
    found: list[Any] = [type(entity).__name__]
    for name in names:
        if not hasattr(type(entity), name):
            continue
        try:
            value = getattr(entity, name)
        except NotLoaded:
            value = "sealed"
        if isinstance(value, list):
            value = [seen(each, names, around | {id(entity)}) for each in value]
        elif isinstance(value, Base):
            value = seen(value, names, around | {id(entity)})
        found.append((name, value))
    return tuple(found)


NAMES = ["id", "number", "colour", "since", "up_id", "size", "motto", "floor", "tag_count", "below", "up", "home"]
NAMES += ["tags", "top", "leads"]

#: Each plan with the id of a root, and whether PostgreSQL takes one statement.
PLANS: dict[str, tuple[LoadPlan[Any], Any, bool]] = {
    "down": (LoadPlan(Unit, load(Unit.below, depth="all")), ident(1), True),
    "up": (LoadPlan(Unit, load(Unit.up, depth="all")), ident(6), True),
    "both": (LoadPlan(Unit, load(Unit.up, depth="all"), load(Unit.below, depth="all")), ident(4), True),
    "only": (LoadPlan(Unit, load(Unit.below, depth="all", only=[Unit.size])), ident(1), True),
    "where": (LoadPlan(Unit, load(Unit.below, depth="all", where=Unit.number != 4)), ident(1), True),
    "order": (LoadPlan(Unit, load(Unit.below, depth="all", order_by=[Unit.kind, Unit.size])), ident(1), True),
    "joined below": (LoadPlan(Unit, load(Unit.below, load(Unit.home), depth="all")), ident(1), True),
    "arrays below": (LoadPlan(Unit, load(Unit.below, load(Unit.tags), load(Unit.home), depth="all")), ident(1), True),
    "limit below": (LoadPlan(Unit, load(Unit.below, load(Unit.tags, limit=1), depth="all")), ident(1), True),
    "statement below": (
        LoadPlan(Unit, load(Unit.below, load(Unit.tags, strategy="selectin"), depth="all")),
        ident(1),
        False,
    ),
    "asked": (LoadPlan(Unit, load(Unit.below, depth="all", strategy="selectin")), ident(1), False),
    "limited": (LoadPlan(Unit, load(Unit.below, depth="all", limit=1)), ident(1), False),
    "branches": (LoadPlan(Unit, load(Unit.below, on(Team), on(Office), depth="all")), ident(1), True),
    "below a to-one": (LoadPlan(Home, load(Home.top, load(Unit.below, depth="all"))), 1, True),
    "below no row": (LoadPlan(Home, load(Home.top, load(Unit.below, depth="all"))), 2, True),
    "beside": (LoadPlan(Unit, load(Unit.tags), load(Unit.home), load(Unit.below, depth="all")), ident(1), True),
    "many-to-many": (LoadPlan(Page, load(Page.leads, depth="all")), 1, True),
    "itself": (LoadPlan(Page, load(Page.leads, depth="all")), 4, True),
    "leaf": (LoadPlan(Unit, load(Unit.below, depth="all")), ident(9), True),
    "decorated keys": (LoadPlan(Word, load(Word.below, depth="all")), "top", False),
    "from a subclass": (LoadPlan(Office, load(Office.below, depth="all")), ident(2), False),
}


@pytest.mark.parametrize("name", PLANS)
async def test_a_tree_in_an_array_equals_the_tree_from_statements(units: AsyncEngine, name: str) -> None:
    plan, key, at_once = PLANS[name]
    with recording(units) as statements:
        one = await Loader(units).fetch(plan, key)
    if units.dialect.name == "postgresql":
        assert (len(statements.selects) == 1) == at_once
        assert (Loader(units).explain(plan).statements == 1) == at_once
    with recording(units) as statements:
        # rows in arrays cannot be counted
        other = await Loader(units, max_rows=1000).fetch(plan, key)
    assert not any("ARRAY(" in each.upper() for each in statements.selects)
    assert seen(one, NAMES) == seen(other, NAMES)
    if name == "down":
        assert [each.number for each in one.below] == [3, 2]
        assert [each.number for each in one.below[1].below[0].below[0].below] == [6]


async def test_objects_of_a_tree_are_made_once_and_know_their_parents(units: AsyncEngine) -> None:
    one = await Loader(units).fetch(LoadPlan(Page, load(Page.leads, depth="all")), 1)
    two, three = one.leads
    assert two.leads == [three]
    assert three.leads[0] is one
    assert three.leads[1].leads == [three.leads[1]]
    top = await Loader(units).fetch(LoadPlan(Unit, load(Unit.below, depth="all")), ident(1))
    assert all(each.up is top for each in top.below)
    async with AsyncSession(units) as session:
        merged = await session.merge(top, load=False)
        assert [each.number for each in merged.below] == [3, 2]
        assert not session.dirty


async def test_criteria_of_a_session_hold_within_a_tree(units: AsyncEngine) -> None:
    plan = LoadPlan(Unit, load(Unit.below, depth="all"))
    async with AsyncSession(units) as session:

        @event.listens_for(session.sync_session, "do_orm_execute")
        def _without_four(state: ORMExecuteState) -> None:
            state.statement = state.statement.options(with_loader_criteria(Unit, Unit.number != 4))

        with recording(units) as statements:
            top = await Loader(session).fetch(plan, ident(1))
        assert len(statements.selects) == (1 if units.dialect.name == "postgresql" else 2)
    assert [[each.number for each in below.below] for below in top.below] == [[7], []]


@attrs.frozen
class HomeView:
    id: int


@attrs.frozen
class UnitView:
    number: int
    colour: Colour
    home: HomeView | None
    tags: Annotated[int, count(Unit.tags)]
    below: tuple["UnitView", ...]


@attrs.frozen
class Sizes:
    size: int | None
    below: Annotated[list["Sizes"], source(Unit.below)]


@pytest.mark.parametrize("view", [UnitView, Sizes])
async def test_views_of_a_tree_in_an_array(units: AsyncEngine, view: type[Any]) -> None:
    plan = LoadPlan(Unit, load(Unit.below, depth="all"), into=view)
    with recording(units) as statements:
        one = await Loader(units).fetch(plan, ident(1))
    if units.dialect.name == "postgresql":
        assert len(statements.selects) == 1
    assert one in await Loader(units).fetch_all(plan)
    assert [each.size if view is Sizes else each.number for each in one.below] == [3, 2]


@attrs.frozen
class PageView:
    id: int
    leads: list["PageView"]


async def test_a_view_of_a_cycle_is_refused(units: AsyncEngine) -> None:
    plan = LoadPlan(Page, load(Page.leads, depth="all"), into=PageView)
    with pytest.raises(ViewError, match="LP412"):
        await Loader(units).fetch(plan, 1)
    assert await Loader(units).fetch(plan, 5) == PageView(5, [PageView(6, [])])


@attrs.frozen
class Odd:
    number: int
    below: list["Odd"]

    def __attrs_post_init__(self) -> None:
        if self.number == 5:
            raise ValueError("five is not allowed")


async def test_a_view_class_that_refuses_a_row_of_a_tree(units: AsyncEngine) -> None:
    plan = LoadPlan(Unit, load(Unit.below, depth="all"), into=Odd)
    with pytest.raises(ViewError, match="five is not allowed"):
        await Loader(units).fetch(plan, ident(1))
