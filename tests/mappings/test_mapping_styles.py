"""Ways to write a mapping down: mixins, dataclasses, imperative, decorated; and the collection classes."""

import dataclasses
from typing import Any, ClassVar

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    attribute_keyed_dict,
    column_keyed_dict,
    declared_attr,
    mapped_column,
    registry,
    relationship,
)

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import tables

STRATEGIES = [None, "joined", "selectin", "subquery"]
metadata = MetaData()
mapping = registry(metadata=metadata)


class Base(DeclarativeBase):
    metadata = metadata


class Stamped:
    """A mixin with a column, a foreign key and a relationship."""

    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(default="n", deferred=True)

    @declared_attr
    def editor_id(cls) -> Mapped[int | None]:  # noqa: N805
        return mapped_column(ForeignKey("styles_editors.id"))

    @declared_attr
    def editor(cls) -> Mapped["Editor | None"]:  # noqa: N805
        return relationship("Editor")


class Editor(Base):
    __tablename__ = "styles_editors"
    id: Mapped[int] = mapped_column(primary_key=True)


class Article(Stamped, Base):
    __tablename__ = "styles_articles"
    pages: Mapped[list["Page"]] = relationship(back_populates="article", order_by="Page.id")


class Page(Stamped, Base):
    __tablename__ = "styles_pages"
    article_id: Mapped[int] = mapped_column(ForeignKey(Article.id))
    article: Mapped[Article] = relationship(back_populates="pages")


class Record(MappedAsDataclass, DeclarativeBase):
    metadata = metadata


class Team(Record):
    __tablename__ = "styles_teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="t")
    members: Mapped[list["Member"]] = relationship(
        back_populates="team", default_factory=list, order_by="Member.id", repr=False
    )


class Member(Record):
    __tablename__ = "styles_members"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id), default=None)
    team: Mapped[Team | None] = relationship(back_populates="members", default=None, compare=False)


@dataclasses.dataclass
class Bag:
    """Mapped imperatively: it knows nothing of SQLAlchemy."""

    bag_id: int
    things: list["Thing"] = dataclasses.field(default_factory=list)


class Thing:
    def __init__(self, thing_id: int, bag: Bag | None = None) -> None:
        self.thing_id = thing_id
        self.bag = bag


bags = Table("styles_bags", metadata, Column("id", Integer, primary_key=True))
things = Table(
    "styles_things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bag_id", ForeignKey("styles_bags.id")),
)
mapping.map_imperatively(
    Bag,
    bags,
    properties={
        "bag_id": bags.c.id,
        "things": relationship(Thing, back_populates="bag", order_by=things.c.id),
    },
)
mapping.map_imperatively(
    Thing,
    things,
    properties={
        "thing_id": things.c.id,
        "_bag_key": things.c.bag_id,
        "bag": relationship(Bag, back_populates="things"),
    },
)


@mapping.mapped
class Shelf:
    """Decorated, over a Table of its own, with no attribute declared."""

    __table__ = Table("styles_shelves", metadata, Column("id", Integer, primary_key=True))
    jars: ClassVar[Any] = relationship("Jar", back_populates="shelf", order_by="Jar.id")


@mapping.mapped
class Jar:
    __tablename__ = "styles_jars"
    id = Column(Integer, primary_key=True)
    shelf_id = Column(ForeignKey("styles_shelves.id"))
    shelf: ClassVar[Any] = relationship("Shelf", back_populates="jars")


class Binder(Base):
    """Every kind of collection class."""

    __tablename__ = "styles_binders"
    id: Mapped[int] = mapped_column(primary_key=True)
    by_name: Mapped[dict[str, "Leaf"]] = relationship(
        collection_class=attribute_keyed_dict("name"), viewonly=True, order_by="Leaf.position"
    )
    by_column: Mapped[dict[str, "Leaf"]] = relationship(
        collection_class=lambda: column_keyed_dict(Leaf.__table__.c.title)(), viewonly=True, order_by="Leaf.position"
    )
    as_set: Mapped[set["Leaf"]] = relationship(viewonly=True)
    ordered: Mapped[list["Leaf"]] = relationship(
        collection_class=ordering_list("position"), order_by="Leaf.position", back_populates="binder"
    )


class Leaf(Base):
    __tablename__ = "styles_leaves"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column("title", String(10))
    position: Mapped[int]
    binder_id: Mapped[int | None] = mapped_column(ForeignKey(Binder.id))
    binder: Mapped[Binder | None] = relationship(back_populates="ordered")


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_mixins(engine: AsyncEngine, strategy: str | None) -> None:
    """Columns and relationships that a mixin declares belong to each class."""
    plan = LoadPlan(
        Article,
        load(Article.editor),
        load(Article.pages, load(Page.editor), strategy=strategy),  # type: ignore[arg-type]
    )
    async with tables(engine, metadata):
        await fill(engine, Editor(id=1), Article(id=1, editor_id=1), Article(id=2))
        await fill(engine, Page(id=1, article_id=1, editor_id=1), Page(id=2, article_id=1))
        articles = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
    assert articles[0].pages[0].editor is articles[0].editor


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_mapped_dataclasses(engine: AsyncEngine, strategy: str | None) -> None:
    """Equality of a dataclass compares fields, so objects of a result must be told apart by identity."""
    plan = LoadPlan(Team, load(Team.members, strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(Member, load(Member.team, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, metadata):
        await fill(engine, Team(id=1, members=[Member(id=1), Member(id=2)]), Team(id=2), Member(id=3))
        teams = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2, deep_copy=False)
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 2, deep_copy=False)
        alone = await Loader(engine).fetch(LoadPlan(Team), 1)
    assert teams[0].members[0].team is teams[0]
    with pytest.raises(NotLoaded, match=r"'Team\.members'"):
        _ = alone.members


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_imperative_mapping(engine: AsyncEngine, strategy: str | None) -> None:
    """Classes without ``__mapper__`` in their source, attributes by other names than the columns."""
    down = LoadPlan(Bag, load("things", strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(Thing, load(Thing.bag, strategy=strategy))  # type: ignore[arg-type, attr-defined]
    async with tables(engine, metadata):
        await fill(engine, Bag(1, [Thing(1), Thing(2)]), Bag(2), Thing(3))
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2, deep_copy=False)
        await same_as_lazy(engine, up, 1 if strategy in {None, "joined"} else 2)
        assert (await Loader(engine).fetch(down, 1)).things[1].thing_id == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_decorated_classes_without_annotations(engine: AsyncEngine, strategy: str | None) -> None:
    """``registry.mapped`` over a Table, and over bare columns."""
    down = LoadPlan(Shelf, load(Shelf.jars, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, metadata):
        await fill(engine, Shelf(id=1, jars=[Jar(id=1), Jar(id=2)]), Shelf(id=2), Jar(id=3))  # type: ignore[call-arg]
        await same_as_lazy(engine, down, 1 if strategy == "joined" else 2)
        await same_as_lazy(engine, LoadPlan(Jar, load(Jar.shelf)), 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", ["by_name", "by_column", "as_set", "ordered"])
async def test_collection_classes(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """Dictionaries have the mapped keys in the mapped order; lists and sets are of their kind, empty ones too."""
    attribute = getattr(Binder, key)
    plan = LoadPlan(Binder, load(attribute, strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, metadata):
        await fill(engine, Binder(id=1), Binder(id=2))
        await fill(engine, *(Leaf(id=n, name=f"n{n}", position=9 - n, binder_id=1) for n in range(1, 5)))
        full, empty = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2, deep_copy=key != "by_column")
    found = getattr(full, key)
    if key == "as_set":
        assert {leaf.id for leaf in found} == {1, 2, 3, 4}
    elif key == "ordered":
        assert [leaf.position for leaf in found] == [5, 6, 7, 8]
        assert all(leaf.binder is full for leaf in found)
    else:
        assert {name: leaf.id for name, leaf in found.items()} == {f"n{n}": n for n in (4, 3, 2, 1)}
        assert list(found) == ["n4", "n3", "n2", "n1"]
    assert len(getattr(empty, key)) == 0


async def test_below_a_keyed_dictionary(engine: AsyncEngine) -> None:
    """Its values, and not its keys, lead on; joined and not."""
    for strategy in ("joined", "selectin"):
        plan = LoadPlan(Binder, load(Binder.by_name, load(Leaf.binder, load(Binder.as_set)), strategy=strategy))  # type: ignore[arg-type]
        async with tables(engine, metadata):
            await fill(engine, Binder(id=1))
            await fill(engine, *(Leaf(id=n, name=f"n{n}", position=n, binder_id=1) for n in range(1, 4)))
            await same_as_lazy(engine, plan, None if strategy == "joined" else 3, by_hand=False)


async def test_a_dictionary_whose_key_the_plan_leaves_out(engine: AsyncEngine) -> None:
    """The collection needs the key column to be built at all, so ``only=`` cannot leave it out."""
    plan = LoadPlan(Binder, load(Binder.by_name, only=[Leaf.position]))
    async with tables(engine, metadata):
        await fill(engine, Binder(id=1))
        await fill(engine, Leaf(id=1, name="n1", position=1, binder_id=1))
        binder = await Loader(engine).fetch(plan, 1)
    assert list(binder.by_name) == ["n1"]
