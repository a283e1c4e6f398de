"""Inheritance: conditions on columns of a base class, columns left out of subclasses, relationships mapped again."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, aggregate, count, load, on, source
from support import recording


def shelves(prefix: str, **mapper_args: Any) -> Any:
    """Return a mapping of nodes, files, folders and shelves: joined inheritance, with arguments for the base."""

    class Base(DeclarativeBase):
        pass

    class Node(Base):
        __tablename__ = f"{prefix}_nodes"
        id: Mapped[int] = mapped_column(primary_key=True)
        type: Mapped[str]
        name: Mapped[str | None]
        __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "node", **mapper_args}

    class File(Node):
        __tablename__ = f"{prefix}_files"
        id: Mapped[int] = mapped_column(ForeignKey(Node.id), primary_key=True)
        body: Mapped[str]
        folder_id: Mapped[int | None] = mapped_column(ForeignKey(f"{prefix}_folders.id"))
        __mapper_args__ = {"polymorphic_identity": "file", "inherit_condition": id == Node.id}

    class Folder(Node):
        __tablename__ = f"{prefix}_folders"
        id: Mapped[int] = mapped_column(ForeignKey(Node.id), primary_key=True)
        files = relationship(File, foreign_keys=File.folder_id, order_by=File.id)
        __mapper_args__ = {"polymorphic_identity": "folder", "inherit_condition": id == Node.id}

    class Shelf(Base):
        __tablename__ = f"{prefix}_shelves"
        id: Mapped[int] = mapped_column(primary_key=True)
        node_id: Mapped[int] = mapped_column(ForeignKey(Node.id))
        node = relationship(Node, foreign_keys=node_id)
        file_id: Mapped[int | None] = mapped_column(ForeignKey(File.id))
        file = relationship(File, foreign_keys=file_id)

    return attrs.make_class("Shelves", ["Base", "Node", "File", "Folder", "Shelf"])(Base, Node, File, Folder, Shelf)


MAPPINGS = {"plain": shelves("plain"), "with_polymorphic": shelves("star", with_polymorphic="*")}


def _rows(m: Any) -> list[object]:
    top = m.Folder(id=1, name="top", files=[m.File(id=2, name="a", body="x"), m.File(id=3, name="b", body="y")])
    return [top, m.Shelf(id=1, node_id=2, file_id=2), m.Shelf(id=2, node_id=1, file_id=3), m.Shelf(id=3, node_id=3)]


@attrs.frozen
class FileView:
    body: str


@attrs.frozen
class ShelfView:
    id: int
    file: FileView | None


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
@pytest.mark.parametrize("column", ["Node.name", "File.name", "File.body"])
@pytest.mark.parametrize("mapping", MAPPINGS)
async def test_where_of_a_to_one_takes_columns_of_its_base(
    engine: AsyncEngine, mapping: str, column: str, strategy: Any
) -> None:
    """A column is a column of the class, whichever of its tables has it."""
    m = MAPPINGS[mapping]
    entity, name = column.split(".")
    attribute = getattr(getattr(m, entity), name)
    plan = LoadPlan(m.Shelf, load(m.Shelf.file, where=attribute == ("x" if name == "body" else "a"), strategy=strategy))
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        found = await loader.fetch_all(plan, order_by=m.Shelf.id)
        assert [each.file and each.file.id for each in found] == [2, None, None]


@pytest.mark.parametrize("column", ["Node.name", "File.name"])
@pytest.mark.parametrize("mapping", MAPPINGS)
async def test_where_of_a_view_takes_columns_of_its_base(engine: AsyncEngine, mapping: str, column: str) -> None:
    """The same in a view."""
    m = MAPPINGS[mapping]
    attribute = getattr(m, column.split(".")[0]).name
    plan = LoadPlan(m.Shelf, load(m.Shelf.file, where=attribute == "a"), into=ShelfView)
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        found = await loader.fetch_all(plan, order_by=m.Shelf.id)
        assert found == [ShelfView(1, FileView("x")), ShelfView(2, None), ShelfView(3, None)]


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
@pytest.mark.parametrize("column", ["Node.name", "File.name"])
@pytest.mark.parametrize("mapping", MAPPINGS)
async def test_where_and_order_of_a_collection_take_columns_of_its_base(
    engine: AsyncEngine, mapping: str, column: str, strategy: Any
) -> None:
    """The same of a collection: its condition, its order, its limit."""
    m = MAPPINGS[mapping]
    attribute = getattr(m, column.split(".")[0]).name
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        where = LoadPlan(m.Folder, load(m.Folder.files, where=attribute == "a", strategy=strategy))
        assert [[each.id for each in one.files] for one in await loader.fetch_all(where)] == [[2]]
        if strategy is None:
            order = LoadPlan(m.Folder, load(m.Folder.files, order_by=attribute.desc(), limit=1))
            assert [[each.id for each in one.files] for one in await loader.fetch_all(order)] == [[3]]


@pytest.mark.parametrize("mapping", ["plain", "with_polymorphic"])
async def test_conditions_on_roots_take_columns_of_the_base(engine: AsyncEngine, mapping: str) -> None:
    """``fetch_all(where=Node.name == ...)`` of files, its order, and a page."""
    m = MAPPINGS[mapping]
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        assert [each.id for each in await loader.fetch_all(LoadPlan(m.File), m.Node.name == "a")] == [2]
        files = await loader.fetch_all(LoadPlan(m.File), order_by=m.Node.name.desc())
        assert [each.id for each in files] == [3, 2]
        page = await loader.fetch_page(LoadPlan(m.File), order_by=m.Node.name, size=1)
        assert [each.id for each in page.items] == [2]


@pytest.mark.parametrize("mapping", MAPPINGS)
async def test_fields_of_views_take_columns_of_the_base(engine: AsyncEngine, mapping: str) -> None:
    """In an expression, in a count, in an aggregate."""
    m = MAPPINGS[mapping]
    upper = Annotated[str | None, source(func.upper(m.Node.name))]
    number = Annotated[int, count(m.Folder.files, where=m.Node.name == "a")]
    last = Annotated[str | None, aggregate(m.Folder.files, func.max(m.Node.name))]
    loud: Any = attrs.make_class("Loud", {"loud": attrs.field(type=upper)}, frozen=True)
    kind: Any = attrs.make_class("Counted", {"number": attrs.field(type=number), "last": attrs.field(type=last)})
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        files: list[Any] = await loader.fetch_all(LoadPlan(m.File, into=loud), order_by=m.Node.name.desc())
        assert [each.loud for each in files] == ["B", "A"]
        (folder,) = await loader.fetch_all(LoadPlan(m.Folder, into=kind))
        assert (folder.number, folder.last) == (1, "b")


def _loaded(entity: Any) -> set[str]:
    return {key for key in vars(entity) if not key.startswith("_")}


ONLY: dict[str, Callable[[Any], tuple[Any, set[str]]]] = {
    "only= of the base": lambda m: (LoadPlan(m.Node, only=[m.Node.name]), {"id", "type", "name"}),
    "only= of nothing": lambda m: (LoadPlan(m.Node, only=[]), {"id", "type"}),
    "defer= of a branch": lambda m: (
        LoadPlan(m.Node, on(m.File, defer=[m.File.body])),
        {"id", "type", "name", "folder_id"},
    ),
    "only= of a branch": lambda m: (
        LoadPlan(m.Node, on(m.File, only=[m.File.body]), only=[m.Node.name]),
        {"id", "type", "name", "body"},
    ),
    "nothing of a branch": lambda m: (LoadPlan(m.Node), {"id", "type", "name"}),
}


@pytest.mark.parametrize("name", ONLY)
@pytest.mark.parametrize("mapping", MAPPINGS)
async def test_columns_that_are_left_out_stay_out(
    request: pytest.FixtureRequest, engine: AsyncEngine, mapping: str, name: str
) -> None:
    """``only=`` and ``defer=`` hold for what subclasses add, in SQL and in the seal, at the root and below."""
    m = MAPPINGS[mapping]
    plan, columns = ONLY[name](m)
    if mapping == "with_polymorphic" and name == "nothing of a branch":
        columns = {*columns, "body", "folder_id"}  # the mapping loads them
    nested = LoadPlan(m.Shelf, load(m.Shelf.node, plan))
    async with filled(engine, m.Base.metadata, *_rows(m)) as loader:
        with recording(engine) as recorded:
            root = next(each for each in await loader.fetch_all(plan, order_by=m.Node.id) if isinstance(each, m.File))
            below = (await loader.fetch_all(nested, order_by=m.Shelf.id))[0].node
        for found in (root, below):
            assert _loaded(found) == columns
            for key in {"body", "folder_id"} - columns:
                with pytest.raises(NotLoaded):
                    getattr(found, key)
        assert "body" in columns or not any("body" in sql for sql in recorded)


def chain(prefix: str, **args: Any) -> Any:
    """Return a class, a subclass and a subclass of that, each with a table."""

    class Base(DeclarativeBase):
        pass

    class A(Base):
        __tablename__ = f"{prefix}_a"
        id: Mapped[int] = mapped_column(primary_key=True)
        t: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "t", "polymorphic_identity": "a"}

    class B(A):
        __tablename__ = f"{prefix}_b"
        id: Mapped[int] = mapped_column(ForeignKey(A.id), primary_key=True)
        b: Mapped[int]
        big: Mapped[str]
        __mapper_args__ = {"polymorphic_identity": "b", **args}

    class C(B):
        __tablename__ = f"{prefix}_c"
        id: Mapped[int] = mapped_column(ForeignKey(B.id), primary_key=True)
        c: Mapped[int]
        __mapper_args__ = {"polymorphic_identity": "c", **args}

    return attrs.make_class("Chain", ["Base", "A", "B", "C"])(Base, A, B, C)


CHAINS = {
    "not mapped": chain("chain_not"),
    "selectin": chain("chain_selectin", polymorphic_load="selectin"),
    "inline": chain("chain_inline", polymorphic_load="inline"),
}

CHAIN_PLANS: dict[str, Callable[[Any], tuple[Any, list[set[str]]]]] = {
    "the base alone": lambda m: (LoadPlan(m.A), [{"id", "t"}, {"id", "t"}]),
    "branches": lambda m: (
        LoadPlan(m.A, on(m.B), on(m.C)),
        [{"id", "t", "b", "big"}, {"id", "t", "b", "big", "c"}],
    ),
    "branches with only=": lambda m: (
        LoadPlan(m.A, on(m.B, only=[m.B.b]), on(m.C, only=[m.C.c])),
        [{"id", "t", "b"}, {"id", "t", "b", "c"}],
    ),
    "a branch below another class": lambda m: (
        LoadPlan(m.A, on(m.C, only=[m.C.c])),
        [{"id", "t"}, {"id", "t", "c"}],
    ),
    "a branch that leaves out": lambda m: (
        LoadPlan(m.A, on(m.C, defer=[m.C.big])),
        [{"id", "t"}, {"id", "t", "b", "c"}],
    ),
    "a whole branch below another class": lambda m: (
        LoadPlan(m.A, on(m.C)),
        [{"id", "t"}, {"id", "t", "b", "big", "c"}],
    ),
    "a branch in a branch": lambda m: (
        LoadPlan(m.A, on(m.B, on(m.C, only=[]), only=[m.B.b])),
        [{"id", "t", "b"}, {"id", "t", "b"}],
    ),
    "a branch above others": lambda m: (
        LoadPlan(m.A, on(m.B, only=[m.B.b])),
        [{"id", "t", "b"}, {"id", "t", "b"}],
    ),
}

#: What each of two rows has where the mapping loads subclasses with their base, and the plan names no branch.
BY_MAPPING = [{"id", "t", "b", "big"}, {"id", "t", "b", "big", "c"}]


@pytest.mark.parametrize("name", CHAIN_PLANS)
@pytest.mark.parametrize("mapping", CHAINS)
async def test_a_plan_says_what_is_loaded_of_subclasses(
    request: pytest.FixtureRequest, engine: AsyncEngine, mapping: str, name: str
) -> None:
    """Its branches, once each, in the statements that ``explain`` counts; without branches what the mapping loads."""
    m = CHAINS[mapping]
    plan, columns = CHAIN_PLANS[name](m)
    if name == "the base alone" and mapping in {"selectin", "inline"}:
        columns = BY_MAPPING
    if name == "a branch above others" and mapping in {"selectin", "inline"}:
        columns[1].add("c")  # what C adds comes by the mapping, and 'big' is left out by the branch
    if name in {"a branch below another class", "a branch that leaves out", "a whole branch below another class"}:
        columns[0] |= {"b", "big"} if mapping != "not mapped" else set()  # what B adds comes by the mapping
    rows = [m.A(id=1), m.B(id=2, b=1, big="x"), m.C(id=3, b=1, big="y", c=2)]
    async with filled(engine, m.Base.metadata, *rows) as loader:
        with recording(engine) as recorded:
            found = await loader.fetch_all(plan, order_by=m.A.id)
        assert [_loaded(each) for each in found[1:]] == columns
        assert len(recorded.selects) == Loader(engine).explain(plan).statements
        for each in found:
            for attribute in inspect(each).mapper.column_attrs:
                if attribute.key not in vars(each):
                    with pytest.raises(NotLoaded):
                        getattr(each, attribute.key)


class AgainBase(DeclarativeBase):
    pass


class Owner(AgainBase):
    __tablename__ = "again_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    pets: Mapped[list["Pet"]] = relationship(order_by="Pet.id", viewonly=True)


class Pet(AgainBase):
    __tablename__ = "again_pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    owner = relationship(Owner, viewonly=True)
    toys = relationship("Toy", viewonly=True, order_by="Toy.id")
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "pet"}


class Dog(Pet):
    owner = relationship(Owner)
    toys = relationship("Toy", order_by="Toy.id.desc()")
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Toy(AgainBase):
    __tablename__ = "again_toys"
    id: Mapped[int] = mapped_column(primary_key=True)
    pet_id: Mapped[int] = mapped_column(ForeignKey(Pet.id))


AGAIN_ROWS = [
    "INSERT INTO again_owners VALUES (1)",
    "INSERT INTO again_pets VALUES (1, 'pet', 1), (2, 'dog', 1)",
    "INSERT INTO again_toys VALUES (1, 1), (2, 1), (3, 2), (4, 2)",
]

AGAIN: dict[str, Any] = {
    "plain": lambda: LoadPlan(Pet, load(Pet.owner)),
    "selectin": lambda: LoadPlan(Pet, load(Pet.owner, strategy="selectin")),
    "only=": lambda: LoadPlan(Pet, load(Pet.owner), only=[Pet.type]),
    "with a branch": lambda: LoadPlan(Pet, load(Pet.owner), on(Dog)),
    "with a branch that loads it": lambda: LoadPlan(Pet, load(Pet.owner), on(Dog, load(Dog.owner))),
}


@pytest.mark.filterwarnings("ignore:relationship .* will copy column:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("name", AGAIN)
async def test_a_relationship_that_a_subclass_maps_again_is_loaded(
    request: pytest.FixtureRequest, engine: AsyncEngine, name: str
) -> None:
    """Declared on the base, it answers on every object there."""
    async with filled(engine, AgainBase.metadata, *AGAIN_ROWS) as loader:
        expected = await lazily(engine, select(Pet).order_by(Pet.id), lambda each: each.owner.id)
        found = await loader.fetch_all(AGAIN[name](), order_by=Pet.id)
        assert [each.owner.id for each in found] == expected == [1, 1]


async def test_a_collection_that_a_subclass_maps_again_is_loaded(engine: AsyncEngine) -> None:
    """The same of a collection, in the order that each class maps, and below another relationship."""
    async with filled(engine, AgainBase.metadata, *AGAIN_ROWS) as loader:
        expected = await lazily(engine, select(Pet).order_by(Pet.id), lambda each: [toy.id for toy in each.toys])
        found = await loader.fetch_all(LoadPlan(Pet, load(Pet.toys)), order_by=Pet.id)
        assert [[toy.id for toy in each.toys] for each in found] == expected == [[1, 2], [4, 3]]
        owner = await loader.fetch(LoadPlan(Owner, load(Owner.pets, load(Pet.toys))), 1)
        assert [[toy.id for toy in each.toys] for each in owner.pets] == expected


async def test_what_a_subclass_maps_again_is_sealed(engine: AsyncEngine) -> None:
    """Where the plan does not name it, it raises NotLoaded on every object."""
    async with filled(engine, AgainBase.metadata, *AGAIN_ROWS) as loader:
        for each in await loader.fetch_all(LoadPlan(Pet), order_by=Pet.id):
            for key in ("owner", "toys"):
                with pytest.raises(NotLoaded):
                    getattr(each, key)
        dog = await loader.fetch(LoadPlan(Dog, load(Dog.owner)), 2)
        assert dog.owner.id == 1
        for plan in (LoadPlan(Pet, load(Pet.owner)),):
            dog = (await loader.fetch_all(plan, Pet.id == 2))[0]
            assert dog.owner.id == 1


@attrs.frozen
class ToyRow:
    id: int


@attrs.frozen
class PetRow:
    id: int
    toys: list[ToyRow]


@attrs.frozen
class DogRow:
    id: int
    toys: list[ToyRow]


@attrs.frozen
class Counted:
    """The order that a subclass maps is nothing to these."""

    id: int
    toys: Annotated[int, count(Pet.toys)]
    last: Annotated[list[ToyRow], load(Pet.toys, order_by=Toy.id.desc(), limit=1)]


async def test_a_view_reads_no_relationship_that_a_subclass_maps_again(engine: AsyncEngine) -> None:
    """One statement would read the base's for every row. The hint leads to views that are right."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Pet, into=PetRow)
    assert str(caught.value) == (
        "LP309: 'PetRow.toys' reads 'Pet.toys', but 'Dog' maps 'toys' again\n"
        "  at: PetRow\n"
        "  detail: a row of the subclass has other related rows than a row of the base class.\n"
        "  hint: make other views of these rows: Annotated[..., on(Pet)] | Annotated[..., on(Dog)]."
    )
    both: Any = Annotated[PetRow, on(Pet)] | Annotated[DogRow, on(Dog)]
    async with filled(engine, AgainBase.metadata, *AGAIN_ROWS) as loader:
        found = await loader.fetch_all(LoadPlan(Pet, into=both), order_by=Pet.id)
        assert found == [PetRow(1, [ToyRow(1), ToyRow(2)]), DogRow(2, [ToyRow(4), ToyRow(3)])]
        plain = await loader.fetch_all(LoadPlan(Pet, into=Counted), order_by=Pet.id)
        assert plain == [Counted(1, 2, [ToyRow(2)]), Counted(2, 2, [ToyRow(4)])]
