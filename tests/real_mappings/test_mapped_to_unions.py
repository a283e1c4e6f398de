"""Classes mapped to unions: one identity is one root and one item, and every statement compiles."""

from typing import Any

import attrs
import pytest
from real import filled, lazily, paged
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    polymorphic_union,
    registry,
    relationship,
)

from loadplan import LoadPlan, load, on

# --- a union whose parts overlap ------------------------------------------------------------------------------------

overlapping = registry(metadata=MetaData())
magazines = Table("union_magazines", overlapping.metadata, Column("id", Integer, primary_key=True))
pages = Table(
    "union_pages",
    overlapping.metadata,
    Column("id", Integer, primary_key=True),
    Column("type", String),
    Column("magazine_id", ForeignKey(magazines.c.id)),
)
ads = Table(
    "union_ads",
    overlapping.metadata,
    Column("cid", ForeignKey(pages.c.id), primary_key=True),
    Column("titles", String),
)


class Magazine:
    pass


class Page:
    pass


class Ad(Page):
    pass


both = polymorphic_union({"p": pages, "c": pages.join(ads)}, None, "both")
overlapping.map_imperatively(
    Page, pages, with_polymorphic=("*", both), polymorphic_on=both.c.type, polymorphic_identity="p"
)
overlapping.map_imperatively(Ad, ads, inherits=Page, polymorphic_identity="c")
overlapping.map_imperatively(Magazine, magazines, properties={"pages": relationship(Page, order_by=both.c.id)})

MAGAZINE_ROWS = [
    "INSERT INTO union_magazines VALUES (1), (2)",
    "INSERT INTO union_pages VALUES (1, 'c', 1), (2, 'p', 1), (3, 'c', 1), (4, 'c', 2)",
    "INSERT INTO union_ads VALUES (1, 't'), (3, 't'), (4, 't')",
]


@pytest.mark.parametrize(
    "strategy",
    [None, "joined", "selectin", "subquery"],
)
async def test_a_collection_over_an_overlapping_union(engine: AsyncEngine, strategy: Any) -> None:
    """A page that is in two parts of the union is one item."""
    plan: LoadPlan[Any] = LoadPlan(Magazine, load("pages", strategy=strategy))
    async with filled(engine, overlapping.metadata, *MAGAZINE_ROWS) as loader:
        found = await loader.fetch_all(plan, order_by=magazines.c.id)
        assert [[page.id for page in each.pages] for each in found] == [[1, 2, 3], [4]]  # type: ignore[attr-defined]


async def test_a_limit_over_an_overlapping_union_counts_objects(engine: AsyncEngine) -> None:
    """The first two pages are two pages."""
    plan: LoadPlan[Any] = LoadPlan(Magazine, load("pages", limit=2))
    async with filled(engine, overlapping.metadata, *MAGAZINE_ROWS) as loader:
        found = await loader.fetch_all(plan, order_by=magazines.c.id)
        assert [[page.id for page in each.pages] for each in found] == [[1, 2], [4]]


async def test_roots_of_an_overlapping_union(engine: AsyncEngine) -> None:
    """Each page is one root: in lists, with a limit, on pages and in streams."""
    plan: LoadPlan[Any] = LoadPlan(Page)
    order = Page.id  # type: ignore[attr-defined]
    async with filled(engine, overlapping.metadata, *MAGAZINE_ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(plan, order_by=order)] == [1, 2, 3, 4]
        assert [each.id for each in await loader.fetch_all(plan, order_by=order, limit=3)] == [1, 2, 3]
        assert [each.id for each in await paged(loader, plan, 2, order_by=order)] == [1, 2, 3, 4]
        assert [each.id async for each in loader.stream(plan, order_by=order, batch_size=2)] == [1, 2, 3, 4]


# --- concrete classes, with other keys in each part -----------------------------------------------------------------

concrete = registry(metadata=MetaData())
refugees = Table(
    "union_refugees",
    concrete.metadata,
    Column("refugee_fid", Integer, primary_key=True),
    Column("refugee_name", String(30), key="name"),
)
offices = Table(
    "union_offices",
    concrete.metadata,
    Column("office_fid", Integer, primary_key=True),
    Column("office_name", String(30), key="name"),
)


class Location:
    pass


class Refugee(Location):
    pass


class Office(Location):
    pass


places = polymorphic_union({"refugee": refugees, "office": offices}, "type", "places")
location = concrete.map_imperatively(Location, places, polymorphic_on=places.c.type, polymorphic_identity="location")
concrete.map_imperatively(Office, offices, inherits=location, concrete=True, polymorphic_identity="office")
concrete.map_imperatively(Refugee, refugees, inherits=location, concrete=True, polymorphic_identity="refugee")

PLACE_ROWS = [
    "INSERT INTO union_refugees VALUES (1, 'r1'), (2, 'r2')",
    "INSERT INTO union_offices VALUES (1, 'o1'), (2, 'o2')",
]


@pytest.mark.parametrize("order", [None, "name"])
@pytest.mark.parametrize("size", [1])
async def test_pages_over_parts_with_other_keys(engine: AsyncEngine, order: str | None, size: int) -> None:
    """Every row comes once, whatever columns are its key."""
    by = None if order is None else getattr(Location, order)
    async with filled(engine, concrete.metadata, *PLACE_ROWS) as loader:
        found = await paged(loader, LoadPlan(Location), size, order_by=by)
        assert sorted(each.name for each in found) == ["o1", "o2", "r1", "r2"]


async def test_all_and_streams_over_parts_with_other_keys(engine: AsyncEngine) -> None:
    """Lists and streams need no cursor."""
    async with filled(engine, concrete.metadata, *PLACE_ROWS) as loader:
        found: list[Any] = await loader.fetch_all(LoadPlan(Location))
        assert sorted(each.name for each in found) == ["o1", "o2", "r1", "r2"]
        streamed: list[Any] = [each async for each in loader.stream(LoadPlan(Location), batch_size=1)]
        assert sorted(each.name for each in streamed) == ["o1", "o2", "r1", "r2"]


# --- a discriminator in the union alone -----------------------------------------------------------------------------

alone = registry(metadata=MetaData())
people = Table(
    "alone_people", alone.metadata, Column("person_id", Integer, primary_key=True), Column("name", String(50))
)
engineers = Table(
    "alone_engineers",
    alone.metadata,
    Column("person_id", ForeignKey(people.c.person_id), primary_key=True),
    Column("status", String(30)),
)
managers = Table(
    "alone_managers",
    alone.metadata,
    Column("person_id", ForeignKey(people.c.person_id), primary_key=True),
    Column("longer", String(30)),
)


class Person:
    pass


class Engineer(Person):
    pass


class Manager(Person):
    pass


staff = polymorphic_union({"engineer": people.join(engineers), "manager": people.join(managers)}, "type", "staff")
alone.map_imperatively(
    Person, people, with_polymorphic=("*", staff), polymorphic_on=staff.c.type, polymorphic_identity="person"
)
alone.map_imperatively(
    Engineer,
    engineers,
    with_polymorphic=([Engineer], people.join(engineers)),
    inherits=Person,
    polymorphic_identity="engineer",
)
alone.map_imperatively(
    Manager,
    managers,
    with_polymorphic=([Manager], people.join(managers)),
    inherits=Person,
    polymorphic_identity="manager",
)

PEOPLE_ROWS = [
    "INSERT INTO alone_people VALUES (1, 'x'), (2, 'y')",
    "INSERT INTO alone_engineers VALUES (2, 'e')",
    "INSERT INTO alone_managers VALUES (1, 'm')",
]

PERSON: Any = Person
ENGINEER: Any = Engineer

PEOPLE_PLANS: dict[str, tuple[Any, list[tuple[str, int]]]] = {
    "the base": (lambda: LoadPlan(PERSON), [("Manager", 1), ("Engineer", 2)]),
    "only=": (lambda: LoadPlan(PERSON, only=[PERSON.name]), [("Manager", 1), ("Engineer", 2)]),
    "a branch": (lambda: LoadPlan(PERSON, on(Engineer)), [("Manager", 1), ("Engineer", 2)]),
    "a subclass": (lambda: LoadPlan(ENGINEER), [("Engineer", 2)]),
    "only= of a subclass": (lambda: LoadPlan(ENGINEER, only=[ENGINEER.name]), [("Engineer", 2)]),
    "defer= of a subclass": (lambda: LoadPlan(ENGINEER, defer=[ENGINEER.name]), [("Engineer", 2)]),
}


@pytest.mark.parametrize("name", PEOPLE_PLANS)
async def test_a_discriminator_that_lives_in_the_union_alone(
    request: pytest.FixtureRequest, engine: AsyncEngine, name: str
) -> None:
    """Plans of the base and of its subclasses run, and find the rows that lazy loading finds."""
    make, expected = PEOPLE_PLANS[name]
    plan = make()
    async with filled(engine, alone.metadata, *PEOPLE_ROWS) as loader:
        lazy = await lazily(engine, select(plan.entity), lambda each: (type(each).__name__, each.person_id))
        assert sorted(lazy) == sorted(expected)
        found = await loader.fetch_all(plan)
        assert sorted((type(each).__name__, each.person_id) for each in found) == sorted(expected)


# --- an order by a column of a union --------------------------------------------------------------------------------

ordered = registry(metadata=MetaData())
companies = Table("ordered_companies", ordered.metadata, Column("id", Integer, primary_key=True))
workers = Table(
    "ordered_workers",
    ordered.metadata,
    Column("pid", Integer, primary_key=True),
    Column("cid", ForeignKey(companies.c.id)),
    Column("type", String),
    Column("name", String),
)
coders = Table(
    "ordered_coders",
    ordered.metadata,
    Column("pid", ForeignKey(workers.c.pid), primary_key=True),
    Column("lang", String),
)
leads = Table(
    "ordered_leads",
    ordered.metadata,
    Column("pid", ForeignKey(workers.c.pid), primary_key=True),
    Column("golf", String),
)


class Company:
    pass


class Worker:
    pass


class Coder(Worker):
    pass


class Lead(Worker):
    pass


crew = polymorphic_union({"coder": workers.join(coders), "lead": workers.join(leads)}, None, "crew")
ordered.map_imperatively(Company, companies, properties={"workers": relationship(Worker, order_by=workers.c.pid)})
ordered.map_imperatively(Worker, workers, with_polymorphic=("*", crew), polymorphic_on=crew.c.type)
ordered.map_imperatively(Coder, coders, inherits=Worker, polymorphic_identity="coder")
ordered.map_imperatively(Lead, leads, inherits=Worker, polymorphic_identity="lead")

CREW_ROWS = [
    "INSERT INTO ordered_companies VALUES (1)",
    "INSERT INTO ordered_workers VALUES (1, 1, 'coder', 'e'), (2, 1, 'lead', 'm'), (3, 1, 'coder', 'f')",
    "INSERT INTO ordered_coders VALUES (1, 'x'), (3, 'y')",
    "INSERT INTO ordered_leads VALUES (2, 'g')",
]

WORKER: Any = Worker


@attrs.frozen
class WorkerView:
    pid: int


@attrs.frozen
class CompanyView:
    id: int
    workers: list[WorkerView]


CREW_PLANS: dict[str, tuple[Any, list[int]]] = {
    "plain": (lambda: LoadPlan(Company, load("workers")), [1, 2, 3]),
    "joined": (lambda: LoadPlan(Company, load("workers", strategy="joined")), [1, 2, 3]),
    "subquery": (lambda: LoadPlan(Company, load("workers", strategy="subquery")), [1, 2, 3]),
    "limit=": (lambda: LoadPlan(Company, load("workers", limit=2)), [1, 2]),
    "order_by=": (lambda: LoadPlan(Company, load("workers", order_by=WORKER.name)), [1, 3, 2]),
    "a branch": (lambda: LoadPlan(Company, load("workers", on(Lead))), [1, 2, 3]),
    "a view": (lambda: LoadPlan(Company, into=CompanyView), [1, 2, 3]),
    "a view with limit=": (lambda: LoadPlan(Company, load("workers", limit=2), into=CompanyView), [1, 2]),
}


@pytest.mark.parametrize("name", CREW_PLANS)
async def test_an_order_by_a_column_of_a_union(engine: AsyncEngine, name: str) -> None:
    """A mapped order that names a table stands for the union's column, under SQLAlchemy 2.0 too."""
    make, expected = CREW_PLANS[name]
    async with filled(engine, ordered.metadata, *CREW_ROWS) as loader:
        found = await loader.fetch_all(make())
        assert [[worker.pid for worker in each.workers] for each in found] == [expected]
