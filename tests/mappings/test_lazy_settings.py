"""The eight ``lazy=`` settings: declared they load all the same, undeclared they emit nothing and say so."""

import warnings
from typing import Any

import pytest
from oracle import fill
from sqlalchemy import ForeignKey, inspect, select
from sqlalchemy.exc import SADeprecationWarning
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    configure_mappers,
    mapped_column,
    relationship,
)

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load
from support import recording, tables

LOADABLE = ("select", "raise", "raise_on_sql", "noload", "selectin", "joined", "subquery", "immediate")


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "lazy_countries"
    id: Mapped[int] = mapped_column(primary_key=True)


class City(Base):
    """Has a collection and a to-one of every setting; each collection has a class of its own."""

    __tablename__ = "lazy_cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    country_id: Mapped[int | None] = mapped_column(ForeignKey(Country.id))


class Street(Base):
    __tablename__ = "lazy_streets"
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey(City.id))


class Archive(Base):
    """Has the two settings that cannot be populated."""

    __tablename__ = "lazy_archives"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: DynamicMapped["Page"] = relationship(order_by="Page.id")
    notes: WriteOnlyMapped["Note"] = relationship(order_by="Note.id")


class Page(Base):
    __tablename__ = "lazy_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey(Archive.id))


class Note(Base):
    __tablename__ = "lazy_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    archive_id: Mapped[int] = mapped_column(ForeignKey(Archive.id))


with warnings.catch_warnings():
    warnings.simplefilter("ignore", SADeprecationWarning)  # lazy="noload", since SQLAlchemy 2.1
    for setting in LOADABLE:
        many: Any = relationship(Street, lazy=setting, order_by=Street.id, viewonly=True)
        one: Any = relationship(Country, lazy=setting, viewonly=True)
        setattr(City, f"streets_{setting}", many)
        setattr(City, f"country_{setting}", one)
    configure_mappers()


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, Country(id=1))
    await fill(engine, City(id=1, country_id=1), City(id=2, country_id=None))
    await fill(engine, Street(id=1, city_id=1), Street(id=2, city_id=1))


@pytest.mark.parametrize("lazy", LOADABLE)
async def test_a_declared_collection_loads_whatever_its_setting(engine: AsyncEngine, lazy: str) -> None:
    """Two statements, and an empty collection is a loaded one."""
    plan = LoadPlan(City, load(getattr(City, f"streets_{lazy}")))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            full, empty = await Loader(engine).fetch_many(plan, [1, 2])
        assert len(statements) == 2
        assert [street.id for street in getattr(full, f"streets_{lazy}")] == [1, 2]
        assert getattr(empty, f"streets_{lazy}") == []


@pytest.mark.parametrize("lazy", LOADABLE)
async def test_a_declared_to_one_loads_whatever_its_setting(engine: AsyncEngine, lazy: str) -> None:
    """One statement; a NULL key is None."""
    plan = LoadPlan(City, load(getattr(City, f"country_{lazy}")))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            placed, lost = await Loader(engine).fetch_many(plan, [1, 2])
        assert len(statements) == 1
        assert getattr(placed, f"country_{lazy}").id == 1
        assert getattr(lost, f"country_{lazy}") is None


@pytest.mark.parametrize("lazy", LOADABLE)
@pytest.mark.parametrize("kind", ["streets", "country"])
async def test_by_hand_the_setting_does_not_matter_either(engine: AsyncEngine, kind: str, lazy: str) -> None:
    """``plan.select()`` loads what is declared with as many statements, and the wildcard holds for the rest."""
    key = f"{kind}_{lazy}"
    plan = LoadPlan(City, load(getattr(City, key)))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        async with AsyncSession(engine) as session:
            with recording(engine) as statements:
                city = (await session.scalars(plan.select().where(City.id == 1))).unique().one()
        assert len(statements) == (2 if kind == "streets" else 1)
        assert set(vars(city)) - {"_sa_instance_state"} == {"id", "country_id", key}


async def test_undeclared_settings_emit_nothing_and_say_so(engine: AsyncEngine) -> None:
    """One statement with one table in it; each of the sixteen attributes raises, ``noload`` included."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            city = await Loader(engine).fetch(LoadPlan(City, name="bare"), 1)
        assert len(statements) == 1
        assert "JOIN" not in statements[0]
        assert set(vars(city)) - {"_sa_instance_state"} == {"id", "country_id"}
        for lazy in LOADABLE:
            for kind in ("streets", "country"):
                with recording(engine) as statements, pytest.raises(NotLoaded) as caught:
                    getattr(city, f"{kind}_{lazy}")
                assert not statements
                assert str(caught.value) == (
                    f"LP401: 'City.{kind}_{lazy}' is not part of plan 'bare' (at its root)\n"
                    f"  hint: add load(City.{kind}_{lazy}) to the plan"
                )


async def test_undeclared_settings_below_an_edge_emit_nothing(engine: AsyncEngine) -> None:
    """The same holds for objects that are not roots, joined or with a statement of their own."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        for plan, count in (
            (LoadPlan(Street, load(Street.city)), 1),
            (LoadPlan(Street, load(Street.city, strategy="selectin")), 2),
            (LoadPlan(Street, load(Street.city, strategy="subquery")), 2),
        ):
            with recording(engine) as statements:
                street = await Loader(engine).fetch(plan, 1)
            assert len(statements) == count
            assert set(vars(street.city)) - {"_sa_instance_state"} == {"id", "country_id"}


Street.city = relationship(City, viewonly=True)


@pytest.mark.parametrize(
    ("key", "lazy"),
    [("pages", "dynamic"), ("notes", "write_only")],
)
def test_dynamic_and_write_only_are_refused_where_the_plan_is_written(key: str, lazy: str) -> None:
    """The whole message, with the way out."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Archive, load(getattr(Archive, key)), name="archive page")
    assert str(caught.value) == (
        f"LP205: 'Archive.{key}' cannot be eagerly loaded\n"
        f"  at: archive page > {key}\n"
        f'  detail: it is mapped lazy="{lazy}", which does not support object population.\n'
        '  hint: map it lazy="raise", or leave it out of the plan.'
    )


async def test_undeclared_dynamic_raises_while_detached_and_works_once_attached(engine: AsyncEngine) -> None:
    """Detached, SQLAlchemy alone would answer ``[]``: a lie."""
    async with tables(engine, Base.metadata):
        await fill(engine, Archive(id=1), Page(id=1, archive_id=1), Page(id=2, archive_id=1))
        with recording(engine) as statements:
            archive = await Loader(engine).fetch(LoadPlan(Archive), 1)
        assert len(statements) == 1
        with pytest.raises(NotLoaded) as caught:
            archive.pages.all()
        assert caught.value.code == "LP401"
        assert caught.value.message == "'Archive.pages' is not part of plan 'Archive' (at its root)"
        assert inspect(archive).detached
        async with AsyncSession(engine) as session:
            session.add(archive)
            pages = await session.run_sync(lambda _: [page.id for page in archive.pages])
        assert pages == [1, 2]


async def test_the_hint_for_a_dynamic_relationship_is_no_advice_that_fails(engine: AsyncEngine) -> None:
    """``load(Archive.pages)`` would be refused with LP205, so the error must not propose it."""
    async with tables(engine, Base.metadata):
        await fill(engine, Archive(id=1))
        archive = await Loader(engine).fetch(LoadPlan(Archive), 1)
        with pytest.raises(NotLoaded) as caught:
            archive.pages.all()
        assert "add load(Archive.pages)" not in str(caught.value)


async def test_undeclared_write_only_stays_a_handle(engine: AsyncEngine) -> None:
    """It never holds rows, so it never lies: its ``select()`` works with any session."""
    async with tables(engine, Base.metadata):
        await fill(engine, Archive(id=1), Archive(id=2), Note(id=1, archive_id=1), Note(id=2, archive_id=2))
        with recording(engine) as statements:
            archive = await Loader(engine).fetch(LoadPlan(Archive), 1)
        assert len(statements) == 1
        async with AsyncSession(engine) as session:
            session.add(archive)
            notes = (await session.scalars(archive.notes.select())).all()
            assert [note.id for note in notes] == [1]


async def test_a_dynamic_attribute_of_other_objects_is_left_alone(engine: AsyncEngine) -> None:
    """The guard on the class lets objects pass that no plan has loaded."""
    async with tables(engine, Base.metadata):
        await fill(engine, Archive(id=1), Page(id=1, archive_id=1))
        await Loader(engine).fetch(LoadPlan(Archive), 1)
        async with AsyncSession(engine) as session:
            mine = (await session.scalars(select(Archive))).one()
            assert await session.run_sync(lambda _: [page.id for page in mine.pages.all()]) == [1]
