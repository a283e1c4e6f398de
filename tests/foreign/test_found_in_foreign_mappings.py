"""What plans over foreign mappings found, each in the smallest form that shows it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    composite,
    mapped_column,
    polymorphic_union,
    registry,
    relationship,
    synonym,
)
from sqlalchemy.types import TypeDecorator

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, count, load
from support import tables


class Base(DeclarativeBase):
    pass


class Document(TypeDecorator[Any]):
    """Documents held as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(value["n"])

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else {"n": int(value)}


class Notes(TypeDecorator[Any]):
    """JSON with a decorator around."""

    impl = sa.JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return value


class Group(Base):
    __tablename__ = "foreign_groups"
    id: Mapped[int] = mapped_column(primary_key=True)
    properties: Mapped[Any] = mapped_column(Document, nullable=True)
    notes: Mapped[Any] = mapped_column(Notes, nullable=True)
    members: Mapped[list["Member"]] = relationship()


class Member(Base):
    __tablename__ = "foreign_members"
    id: Mapped[int] = mapped_column(primary_key=True)
    group_id: Mapped[int] = mapped_column(sa.ForeignKey("foreign_groups.id"))


class Shelf(Base):
    """Its primaryjoin asks something of the parent."""

    __tablename__ = "foreign_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[int]
    books: Mapped[list["Book"]] = relationship(
        primaryjoin="and_(Shelf.id == Book.shelf_id, Shelf.room == 1)", viewonly=True
    )


class Book(Base):
    __tablename__ = "foreign_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(sa.ForeignKey("foreign_shelves.id"))
    shelf: Mapped[Shelf] = relationship()


class Dictionary(Base):
    """Its words are keyed by a synonym, and by a composite."""

    __tablename__ = "foreign_dictionaries"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[dict[str, "Word"]] = relationship(collection_class=attribute_keyed_dict("title"))
    places: Mapped[dict[Any, "Word"]] = relationship(collection_class=attribute_keyed_dict("place"), viewonly=True)


@attrs.frozen
class At:
    page: int
    line: int


class Word(Base):
    __tablename__ = "foreign_words"
    id: Mapped[int] = mapped_column(primary_key=True)
    dictionary_id: Mapped[int] = mapped_column(sa.ForeignKey("foreign_dictionaries.id"))
    text: Mapped[str]
    page: Mapped[int]
    line: Mapped[int]
    title: Mapped[str] = synonym("text")
    place: Mapped[At] = composite(At, "page", "line")


@attrs.frozen
class WordView:
    text: str


class Person(Base):
    __tablename__ = "foreign_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    boss_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("foreign_bosses.id", use_alter=True, name="foreign_boss", deferrable=True, initially="DEFERRED")
    )
    boss: Mapped["Boss | None"] = relationship(foreign_keys=boss_id, post_update=True)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Boss(Person):
    __tablename__ = "foreign_bosses"
    id: Mapped[int] = mapped_column(sa.ForeignKey("foreign_people.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "boss", "inherit_condition": id == Person.id}


@pytest.fixture
async def filled(sqlite: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(sqlite, Base.metadata):
        async with sqlite.begin() as connection:
            await connection.execute(
                sa.insert(Group.__table__), [{"id": n, "properties": {"n": n % 2} if n else None} for n in range(5)]
            )
            await connection.execute(sa.insert(Shelf.__table__), [{"id": 1, "room": 1}, {"id": 2, "room": 2}])
            await connection.execute(sa.insert(Book.__table__), [{"id": n, "shelf_id": 1 + n % 2} for n in range(4)])
            people = [(1, "boss", 2), (2, "boss", 1), (3, "person", 2)]
            rows = [{"id": key, "kind": kind, "boss_id": boss} for key, kind, boss in people]
            await connection.execute(sa.insert(Person.__table__), rows)
            await connection.execute(sa.insert(Boss.__table__), [{"id": 1}, {"id": 2}])
        yield sqlite


@pytest.mark.parametrize("strategy", [None, "joined"])
@pytest.mark.parametrize("size", [1, 2, 5])
async def test_pages_ordered_by_documents_held_as_text_bring_every_row_once(
    filled: AsyncEngine, strategy: Any, size: int
) -> None:
    """The documents stay in the database, which orders their text; a first page of NULLs is one of them."""
    loader, plan = Loader(filled), LoadPlan(Group, load(Group.members, strategy=strategy))
    page = await loader.fetch_page(plan, [Group.properties], size)
    found = [each.id for each in page.items]
    while page.next:
        page = await loader.fetch_page(plan, [Group.properties], size, after=page.next)
        found += [each.id for each in page.items]
    assert found == [0, 2, 4, 1, 3]


@pytest.mark.parametrize("strategy", [None, "joined"])
async def test_pages_ordered_by_decorated_json_are_refused_at_the_first_page(
    filled: AsyncEngine, strategy: Any
) -> None:
    """Its values have no order that a cursor could keep, with rows or without."""
    with pytest.raises(PlanError, match="LP110"):
        await Loader(filled).fetch_page(LoadPlan(Group, load(Group.members, strategy=strategy)), [Group.notes], 1)


async def test_a_view_whose_join_asks_something_of_the_parent(filled: AsyncEngine) -> None:
    """The parent's table is in the children's statement for its condition and again for their own to-one."""

    @attrs.frozen
    class ShelfView:
        id: int

    @attrs.frozen
    class BookView:
        id: int
        shelf: ShelfView

    @attrs.frozen
    class ShelfWithBooks:
        id: int
        books: list[BookView]

    plan = LoadPlan(Shelf, load(Shelf.books, order_by=Book.id), into=ShelfWithBooks)
    shelves = await Loader(filled).fetch_all(plan, order_by=Shelf.id)
    assert [(shelf.id, [(book.id, book.shelf.id) for book in shelf.books]) for shelf in shelves] == [
        (1, [(0, 1), (2, 1)]),
        (2, []),
    ]


async def test_a_view_of_a_dictionary_keyed_by_a_synonym(sqlite: AsyncEngine) -> None:
    """The key is the column that the synonym stands for."""

    @attrs.frozen
    class DictionaryView:
        words: dict[str, WordView]

    async with tables(sqlite, Base.metadata):
        async with sqlite.begin() as connection:
            await connection.execute(sa.insert(Dictionary), [{"id": 1}])
            word = {"dictionary_id": 1, "page": 1, "line": 1}
            await connection.execute(sa.insert(Word.__table__), [{**word, "id": 1, "text": "a"}])
        found = await Loader(sqlite).fetch(LoadPlan(Dictionary, into=DictionaryView), 1)
    assert found == DictionaryView({"a": WordView("a")})


def test_a_view_of_a_dictionary_keyed_by_a_composite_is_refused() -> None:
    """No one column is its key."""

    @attrs.frozen
    class DictionaryView:
        places: dict[Any, WordView]

    with pytest.raises(PlanError, match=r"LP305: .DictionaryView\.places. is a dictionary"):
        LoadPlan(Dictionary, into=DictionaryView)


async def test_a_subquery_to_a_joined_subclass_gives_one_object_a_row(filled: AsyncEngine) -> None:
    """The bosses are roots and the targets of roots."""
    plan = LoadPlan(Person, load(Person.boss, strategy="subquery"))
    people = {person.id: person for person in await Loader(filled).fetch_all(plan, order_by=Person.id)}
    assert people[1].boss is people[2]
    assert people[3].boss is people[2]


async def test_a_page_below_a_subquery_is_ordered_by_a_column_of_the_base(filled: AsyncEngine) -> None:
    """The parents' subquery has only the subclass's table, the order names the base's."""
    plan = LoadPlan(Boss, load(Boss.boss, strategy="subquery"))
    page = await Loader(filled).fetch_page(plan, [Boss.kind, Boss.id], 2)
    assert [boss.id for boss in page.items] == [1, 2]


async def test_a_class_that_is_mapped_again_is_sealed_by_its_new_mapping(sqlite: AsyncEngine) -> None:
    """Plans that are equal before and after ``clear_mappers`` are not the same plan."""
    metadata = sa.MetaData()
    owners = sa.Table("foreign_owners", metadata, sa.Column("id", sa.Integer, primary_key=True))
    pets = sa.Table(
        "foreign_pets",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner_id", sa.ForeignKey("foreign_owners.id")),
    )

    class Owner:
        pass

    class Pet:
        pass

    async with tables(sqlite, metadata):
        async with sqlite.begin() as connection:
            await connection.execute(sa.insert(owners), [{"id": 1}])
        first = registry(metadata=metadata)
        first.map_imperatively(Owner, owners)
        assert (await Loader(sqlite).fetch(LoadPlan(Owner), 1)).id == 1
        first.dispose()
        second = registry(metadata=metadata)
        second.map_imperatively(Pet, pets)
        second.map_imperatively(Owner, owners, properties={"pets": relationship(Pet)})
        try:
            owner: Any = await Loader(sqlite).fetch(LoadPlan(Owner), 1)
            with pytest.raises(NotLoaded):
                owner.pets  # noqa: B018 - the reading is what is tested
        finally:
            second.dispose()


@attrs.frozen
class Garage:
    """Cars and off-road cars, read through a union. The discriminator is a column of the union alone."""

    engine: AsyncEngine
    owner: Any
    car: Any
    offroad: Any


@pytest.fixture
async def garage(sqlite: AsyncEngine) -> AsyncIterator[Garage]:
    metadata = sa.MetaData()
    owners = sa.Table(
        "foreign_keepers",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("car_id", sa.ForeignKey("foreign_cars.id")),
    )
    cars = sa.Table(
        "foreign_cars",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String),
        sa.Column("part_of", sa.ForeignKey("foreign_keepers.id", use_alter=True, name="foreign_part_of")),
    )
    offroads = sa.Table(
        "foreign_offroads", metadata, sa.Column("id", sa.ForeignKey("foreign_cars.id"), primary_key=True)
    )
    plain = cars.outerjoin(offroads).select().where(offroads.c.id.is_(None)).reduce_columns().subquery()
    both = polymorphic_union({"car": plain, "offroad": cars.join(offroads)}, "type", "vehicles")
    own = registry(metadata=metadata)
    owner, car = type("Keeper", (), {}), type("Car", (), {})
    offroad = type("Offroad", (car,), {})
    own.map_imperatively(
        car, cars, with_polymorphic=("*", both), polymorphic_on=both.c.type, polymorphic_identity="car"
    )
    own.map_imperatively(offroad, offroads, inherits=car, polymorphic_identity="offroad")
    own.map_imperatively(
        owner,
        owners,
        properties={
            "car": relationship(car, foreign_keys=owners.c.car_id),
            "fleet": relationship(car, foreign_keys=cars.c.part_of),
        },
    )
    async with tables(sqlite, metadata):
        async with sqlite.begin() as connection:
            names = [(1, "x", 1), (2, None, 1), (3, "y", 2)]
            await connection.execute(
                sa.insert(cars), [{"id": key, "name": name, "part_of": keeper} for key, name, keeper in names]
            )
            await connection.execute(sa.insert(offroads), [{"id": 2}])
            await connection.execute(sa.insert(owners), [{"id": 1, "car_id": 2}, {"id": 2, "car_id": 3}])
        yield Garage(sqlite, owner, car, offroad)
    own.dispose()


async def test_counts_within_rows_that_are_read_through_a_join(sqlite: AsyncEngine) -> None:
    """The rows that are counted come from a union of the very tables that the join around it is made of."""
    metadata = sa.MetaData()
    notes = sa.Table(
        "foreign_notes",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("about_id", sa.ForeignKey("foreign_letters.id", use_alter=True, name="foreign_about")),
    )
    key = sa.Column("id", sa.ForeignKey("foreign_notes.id"), primary_key=True)
    letters = sa.Table("foreign_letters", metadata, key)
    same = letters.c.id == notes.c.id
    plain = notes.outerjoin(letters, same).select().where(letters.c.id.is_(None)).reduce_columns().subquery()
    both = polymorphic_union({"note": plain, "letter": letters.join(notes, same)}, "type", "all")
    own = registry(metadata=metadata)
    note: Any = type("Note", (), {})
    letter: Any = type("Letter", (note,), {})
    own.map_imperatively(
        note, notes, with_polymorphic=("*", both), polymorphic_on=both.c.type, polymorphic_identity="note"
    )
    own.map_imperatively(
        letter,
        letters,
        inherits=note,
        inherit_condition=same,
        with_polymorphic=("*", letters.join(notes, same)),
        polymorphic_identity="letter",
        properties={"notes": relationship(note, primaryjoin=letters.c.id == notes.c.about_id)},
    )
    view = attrs.make_class(
        "LetterView", {"id": attrs.field(type=int), "many": attrs.field(type=Annotated[int, count(letter.notes)])}
    )
    try:
        async with tables(sqlite, metadata):
            async with sqlite.begin() as connection:
                rows = [(1, None), (2, 1), (3, 1), (4, 2)]
                await connection.execute(sa.insert(notes), [{"id": key, "about_id": about} for key, about in rows])
                await connection.execute(sa.insert(letters), [{"id": 1}, {"id": 2}])
            found = await Loader(sqlite).fetch_all(LoadPlan(letter, into=view), order_by=letter.id)
            assert [(each.id, each.many) for each in found] == [(1, 2), (2, 1)]
            for strategy in ("selectin", "subquery"):
                plan = LoadPlan(letter, load(letter.notes, strategy=strategy), name=strategy)
                roots = await Loader(sqlite).fetch_all(plan, order_by=letter.id)
                assert [sorted(each.id for each in root.notes) for root in roots] == [[2, 3], [4]], strategy
    finally:
        own.dispose()


async def test_counts_of_a_collection_of_a_union(garage: Garage) -> None:
    view = attrs.make_class(
        "KeeperView",
        {"id": attrs.field(type=int), "many": attrs.field(type=Annotated[int, count(garage.owner.fleet)])},
    )
    found = await Loader(garage.engine).fetch_all(LoadPlan(garage.owner, into=view), order_by=garage.owner.id)
    assert [each.many for each in found] == [2, 1]


async def test_a_filter_on_a_to_one_into_a_union(garage: Garage) -> None:
    plan = LoadPlan(garage.owner, load(garage.owner.car, where=garage.car.name.is_(None)))
    found = await Loader(garage.engine).fetch_all(plan, order_by=garage.owner.id)
    assert [each.car and each.car.id for each in found] == [2, None]


async def test_roots_of_a_subclass_below_a_union(garage: Garage) -> None:
    found = await Loader(garage.engine).fetch_all(LoadPlan(garage.offroad), order_by=garage.offroad.id)
    assert [(each.id, each.name) for each in found] == [(2, None)]


async def test_without_a_discriminator_a_row_is_an_object_of_each_class_it_is_met_as(sqlite: AsyncEngine) -> None:
    """A row of the base class is met as base class, and by the relationship as subclass, with the subclass's columns.

    A session does the same: the two have identities of their own.
    """
    metadata = sa.MetaData()
    people = sa.Table(
        "foreign_staff",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("manager_id", sa.ForeignKey("foreign_managers.id", use_alter=True, name="foreign_manager")),
    )
    managers = sa.Table(
        "foreign_managers",
        metadata,
        sa.Column("id", sa.ForeignKey("foreign_staff.id"), primary_key=True),
        sa.Column("grade", sa.String),
    )
    own = registry(metadata=metadata)
    person: Any = type("Staff", (), {})
    manager: Any = type("Manager", (person,), {})
    own.map_imperatively(
        person,
        people,
        properties={"manager": relationship(manager, foreign_keys=people.c.manager_id, post_update=True)},
    )
    own.map_imperatively(manager, managers, inherits=person, inherit_condition=managers.c.id == people.c.id)
    try:
        async with tables(sqlite, metadata):
            async with sqlite.begin() as connection:
                await connection.execute(sa.insert(people), [{"id": 1, "manager_id": 2}, {"id": 2, "manager_id": None}])
                await connection.execute(sa.insert(managers), [{"id": 2, "grade": "high"}])
            for strategy in ("joined", "subquery", "selectin"):
                plan = LoadPlan(person, load(person.manager, strategy=strategy), name=strategy)
                found = await Loader(sqlite).fetch_all(plan, order_by=person.id)
                assert [type(each) for each in found] == [person, person], strategy
                assert [(type(each), each.id) for each in (found[0].manager,)] == [(manager, 2)], strategy
                assert found[0].manager.grade == "high", strategy
    finally:
        own.dispose()


@pytest.mark.skipif(not sa.__version__.startswith("2.0."), reason="SQLAlchemy 2.1 has no second mappers of a class")
@pytest.mark.filterwarnings("ignore:The mapper.non_primary parameter is deprecated")
def test_a_relationship_to_a_second_mapper_of_a_class_is_refused() -> None:
    """Its condition is about an alias that no statement of the class reads: each parent would get all rows."""
    metadata = sa.MetaData()
    users = sa.Table("foreign_users", metadata, sa.Column("id", sa.Integer, primary_key=True))
    orders = sa.Table(
        "foreign_orders",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.ForeignKey("foreign_users.id")),
        sa.Column("is_open", sa.Boolean),
    )
    own, alias = registry(metadata=metadata), orders.alias()
    user: Any = type("SecondUser", (), {})
    order: Any = type("SecondOrder", (), {})
    own.map_imperatively(order, orders)
    second = own.map_imperatively(order, alias, non_primary=True)
    condition = sa.and_(alias.c.is_open, users.c.id == alias.c.user_id)
    own.map_imperatively(user, users, properties={"open_orders": relationship(second, primaryjoin=condition)})
    counting = attrs.make_class("Counting", {"number": attrs.field(type=Annotated[int, count(user.open_orders)])})
    try:
        for make in (
            lambda: LoadPlan(user, load(user.open_orders), name="user page"),
            lambda: LoadPlan(user, into=counting, name="user page"),
        ):
            with pytest.raises(PlanError, match=r"LP205: 'SecondUser\.open_orders' cannot be eagerly loaded"):
                make()
    finally:
        own.dispose()
