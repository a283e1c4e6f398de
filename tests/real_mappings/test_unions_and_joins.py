"""Classes mapped to unions and to joins: one identity is one root and one item, and every statement compiles."""

from typing import Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    inspect,
    join,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    polymorphic_union,
    registry,
    relationship,
)

from loadplan import Loader, LoadPlan, load, on


async def paged(loader: Loader, plan: LoadPlan[Any], size: int, **arguments: Any) -> list[Any]:
    """Return the roots of all pages, one after the other."""
    found: list[Any] = []
    after = None
    for _ in range(12):
        page = await loader.fetch_page(plan, size=size, after=after, **arguments)
        found += page.items
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")


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


# --- a join with a narrower key -------------------------------------------------------------------------------------

joined = registry(metadata=MetaData())
users = Table("join_users", joined.metadata, Column("id", Integer, primary_key=True), Column("name", String))
addresses = Table(
    "join_addresses",
    joined.metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey(users.c.id)),
    Column("email", String),
)
groups = Table("join_groups", joined.metadata, Column("id", Integer, primary_key=True))
members = Table(
    "join_members",
    joined.metadata,
    Column("group_id", ForeignKey(groups.c.id), primary_key=True),
    Column("user_id", ForeignKey(users.c.id), primary_key=True),
)


class Member:
    pass


class Group:
    pass


joined.map_imperatively(
    Member, join(users, addresses), primary_key=[users.c.id], properties={"address_id": addresses.c.id}
)
joined.map_imperatively(
    Group, groups, properties={"members": relationship(Member, secondary=members, order_by=users.c.id, viewonly=True)}
)

JOIN_ROWS = [
    "INSERT INTO join_users VALUES (7, 'a'), (8, 'b'), (9, 'c')",
    "INSERT INTO join_addresses VALUES (1, 7, 'x'), (2, 8, 'x'), (3, 8, 'y'), (4, 8, 'z'), (5, 9, 'x')",
    "INSERT INTO join_groups VALUES (1)",
    "INSERT INTO join_members VALUES (1, 8), (1, 9)",
]


async def test_roots_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """One identity is one root, and counts once."""
    plan: LoadPlan[Any] = LoadPlan(Member)
    order = Member.id  # type: ignore[attr-defined]
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(plan, order_by=order)] == [7, 8, 9]
        assert [each.id for each in await loader.fetch_all(plan, order_by=order, limit=3)] == [7, 8, 9]
        assert [each.id for each in await paged(loader, plan, 2, order_by=order)] == [7, 8, 9]
        assert [each.id async for each in loader.stream(plan, order_by=order, batch_size=2)] == [7, 8, 9]
        assert (await loader.fetch_one(plan, order == 8)).id == 8
        assert [each.id for each in await loader.fetch_many(plan, [8, 7])] == [8, 7]


async def test_one_object_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """``fetch`` finds it."""
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        found: Any = await loader.fetch(LoadPlan(Member), 8)
        assert found.id == 8


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
async def test_a_collection_of_a_class_mapped_to_a_join(engine: AsyncEngine, strategy: Any) -> None:
    """One identity is one item."""
    plan: LoadPlan[Any] = LoadPlan(Group, load("members", strategy=strategy))
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        (found,) = await loader.fetch_all(plan)
        assert [each.id for each in found.members] == [8, 9]


async def test_a_limit_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """The first two are two objects."""
    plan: LoadPlan[Any] = LoadPlan(Group, load("members", limit=2))
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        (found,) = await loader.fetch_all(plan)
        assert [each.id for each in found.members] == [8, 9]


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


# --- a key that is NULL ---------------------------------------------------------------------------------------------


class NullBase(DeclarativeBase):
    pass


class Half(NullBase):
    """Stands for a view of the database, with a key that somebody chose."""

    __table__ = Table(
        "null_halves",
        NullBase.metadata,
        Column("company_id", Integer),
        Column("part", Integer),
        Column("label", String),
    )
    __mapper_args__ = {"primary_key": [__table__.c.company_id, __table__.c.part]}


class Whole(NullBase):
    __table__ = Table("null_wholes", NullBase.metadata, Column("code", Integer), Column("label", String))
    __mapper_args__ = {"primary_key": [__table__.c.code]}


NULL_ROWS = [
    "INSERT INTO null_halves VALUES (1, 1, 'a'), (1, NULL, 'b'), (NULL, NULL, 'c')",
    "INSERT INTO null_wholes VALUES (1, 'a'), (NULL, 'b')",
]


@pytest.mark.parametrize(("entity", "labels"), [(Half, ["a", "b"]), (Whole, ["a"])])
@pytest.mark.parametrize("call", ["all", "page", "stream"])
async def test_a_row_whose_whole_key_is_null_is_no_object(
    engine: AsyncEngine, entity: Any, labels: list[str], call: str
) -> None:
    """SQLAlchemy gives None for such a row; it is left out, or refused with an error that is loadplan's."""
    plan: LoadPlan[Any] = LoadPlan(entity)
    async with filled(engine, NullBase.metadata, *NULL_ROWS) as loader:
        if call == "all":
            found = await loader.fetch_all(plan, order_by=entity.label)
        elif call == "page":
            found = list((await loader.fetch_page(plan, order_by=entity.label, size=5)).items)
        else:
            found = [each async for each in loader.stream(plan, order_by=entity.label)]
        assert [each.label for each in found if each is not None] == labels


class Owner(NullBase):
    __table__ = Table("null_owners", NullBase.metadata, Column("id", Integer, primary_key=True))


class Held(NullBase):
    __table__ = Table(
        "null_held",
        NullBase.metadata,
        Column("code", Integer),
        Column("owner_id", ForeignKey("null_owners.id")),
        Column("at", Integer),
    )
    __mapper_args__ = {"primary_key": [__table__.c.code]}


NEWEST: Any = relationship(Held, order_by=Held.at.desc(), uselist=False, viewonly=True)
Owner.newest = NEWEST  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_the_newest_of_many_is_the_newest_object(engine: AsyncEngine, strategy: Any) -> None:
    """A newer row whose whole key is NULL is no object, so it takes no place; SQLAlchemy gives None for its parent."""
    newest: Any = Owner.newest  # type: ignore[attr-defined]
    rows = [
        "INSERT INTO null_owners VALUES (1), (2), (3)",
        "INSERT INTO null_held VALUES (1, 1, 5), (NULL, 1, 7), (2, 2, 3), (3, 2, 5), (NULL, 3, 1), (4, NULL, 9)",
    ]
    async with filled(engine, NullBase.metadata, *rows) as loader:
        owners: list[Any] = await loader.fetch_all(LoadPlan(Owner, load(newest, strategy=strategy)), order_by=Owner.id)  # type: ignore[attr-defined]
        assert [each.newest and each.newest.code for each in owners] == [1, 3, None]


async def test_a_key_that_is_null_in_part_is_a_key(engine: AsyncEngine) -> None:
    """SQLAlchemy allows partly NULL keys."""
    async with filled(engine, NullBase.metadata, *NULL_ROWS) as loader:
        found = await loader.fetch_all(LoadPlan(Half), Half.company_id == 1, order_by=Half.label)
        assert [inspect(each).identity for each in found] == [(1, 1), (1, None)]
