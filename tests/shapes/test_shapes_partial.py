"""A limited or filtered collection that goes back into a session is never taken for the whole."""

import contextlib
import copy
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, PartialCollectionError, load, on
from support import tables


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "shq_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="owner")
    items: Mapped[list["Item"]] = relationship(
        back_populates="owner", cascade="all, delete-orphan", foreign_keys="Item.owner_id"
    )
    seen: Mapped[list["Item"]] = relationship(viewonly=True, foreign_keys="Item.owner_id")
    unmerged: Mapped[list["Item"]] = relationship(
        cascade="save-update", overlaps="items,owner", foreign_keys="Item.owner_id"
    )
    badge: Mapped["Badge | None"] = relationship(back_populates="owner", cascade="all, delete-orphan")


class Badge(Base):
    __tablename__ = "shq_badges"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("shq_owners.id"), unique=True)
    owner: Mapped[Owner] = relationship(back_populates="badge")


class Item(Base):
    __tablename__ = "shq_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("shq_owners.id"))
    maker_id: Mapped[int | None] = mapped_column(ForeignKey("shq_owners.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="items", foreign_keys=[owner_id], overlaps="unmerged")
    maker: Mapped[Owner | None] = relationship(foreign_keys=[maker_id])


class Twig(Base):
    __tablename__ = "shq_twigs"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shq_twigs.id"))
    twigs: Mapped[list["Twig"]] = relationship(cascade="all, delete-orphan")


class Person(Base):
    __tablename__ = "shq_people"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Boss(Person):
    __mapper_args__ = {"polymorphic_identity": "boss"}


class Chief(Boss):
    __mapper_args__ = {"polymorphic_identity": "chief"}
    cars: Mapped[list["Car"]] = relationship(cascade="all, delete-orphan")


class Car(Base):
    __tablename__ = "shq_cars"
    id: Mapped[int] = mapped_column(primary_key=True)
    chief_id: Mapped[int | None] = mapped_column(ForeignKey("shq_people.id"))


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Owner 1 with items 1 to 5 and a badge; twigs 1 > (2 > (4, 5), 3); chief 1 with cars 1 to 3."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session, session.begin():
            session.add(Owner(id=1, badge=Badge(id=1)))
            await session.flush()
            session.add_all(Item(id=number, owner_id=1, maker_id=1) for number in range(1, 6))
            session.add(Twig(id=1, twigs=[Twig(id=2, twigs=[Twig(id=4), Twig(id=5)]), Twig(id=3)]))
            session.add(Chief(id=1, cars=[Car(id=number) for number in range(1, 4)]))
        yield engine


async def counts(session: AsyncSession) -> dict[str, int]:
    """How many rows there are, and how many of them have a parent."""
    found = {}
    for name, column in {
        "items": Item.owner_id,
        "made": Item.maker_id,
        "badges": Badge.owner_id,
        "twigs": Twig.parent_id,
        "cars": Car.chief_id,
    }.items():
        found[name] = (await session.execute(select(func.count(column)))).scalar_one()
    return found


UNTOUCHED = {"items": 5, "made": 5, "badges": 1, "twigs": 4, "cars": 3}

PARTIAL = {
    "limited": LoadPlan(Owner, load(Owner.items, order_by=Item.id, limit=2)),
    "filtered": LoadPlan(Owner, load(Owner.items, where=Item.id > 3)),
    "filtered to nothing": LoadPlan(Owner, load(Owner.items, where=Item.id > 99)),
    "limited above what there is": LoadPlan(Owner, load(Owner.items, order_by=Item.id, limit=99)),
}


@pytest.mark.parametrize("shape", PARTIAL)
async def test_added_changed_and_flushed_it_deletes_and_orphans_nothing(filled: AsyncEngine, shape: str) -> None:
    for way in (lambda it: it, lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy):
        owner = way(await Loader(filled).fetch(PARTIAL[shape], 1))
        async with AsyncSession(filled) as session:
            session.add(owner)
            owner.name = "changed"
            for item in owner.items:
                item.maker_id = None
            await session.flush()
            assert await counts(session) == UNTOUCHED | {"made": 5 - len(owner.items)}
            await session.rollback()


@pytest.mark.parametrize("shape", PARTIAL)
async def test_merge_is_refused_also_after_pickling_and_copying(filled: AsyncEngine, shape: str) -> None:
    for way in (lambda it: it, lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy, copy.copy):
        owner = way(await Loader(filled).fetch(PARTIAL[shape], 1))
        async with AsyncSession(filled) as session:
            with pytest.raises(PartialCollectionError) as caught:
                await session.merge(owner)
            assert str(caught.value) == (
                "LP409: 'Owner.items' holds only some of its rows, and merge would delete or orphan the "
                "others\n"
                "  at: Owner\n"
                "  detail: the plan gives it a where= or limit=, but merge expects all rows.\n"
                "  hint: use session.add(obj), or merge an object that was loaded without where= and "
                "limit=."
            )
            await session.flush()
            assert await counts(session) == UNTOUCHED


async def test_merge_of_a_parent_is_refused_for_a_child_that_it_cascades_to(filled: AsyncEngine) -> None:
    """The partial collection hangs below; ``merge`` reaches it through ``maker``."""
    plan = LoadPlan(Item, load(Item.maker, load(Owner.items, where=Item.id > 3)))
    item = await Loader(filled).fetch(plan, 1)
    async with AsyncSession(filled) as session:
        with pytest.raises(PartialCollectionError):
            await session.merge(item)
        await session.flush()
        assert await counts(session) == UNTOUCHED


async def test_merge_of_a_whole_collection_is_allowed(filled: AsyncEngine) -> None:
    owner = await Loader(filled).fetch(LoadPlan(Owner, load(Owner.items, order_by=Item.id.desc())), 1)
    async with AsyncSession(filled) as session:
        await session.merge(owner)
        await session.flush()
        assert await counts(session) == UNTOUCHED


@pytest.mark.parametrize("name", ["seen", "unmerged"])
async def test_merge_is_allowed_where_it_does_not_reach_the_collection(filled: AsyncEngine, name: str) -> None:
    """``viewonly`` is never written, and a cascade without "merge" leaves the collection alone."""
    plan = LoadPlan(Owner, load(getattr(Owner, name), where=Item.id > 3))
    owner = await Loader(filled).fetch(plan, 1)
    async with AsyncSession(filled) as session:
        merged = await session.merge(owner)
        merged.name = "changed"
        await session.flush()
        assert await counts(session) == UNTOUCHED


async def merges_without_loss(engine: AsyncEngine, entity: Any) -> None:
    """Merge and flush: it is refused, or leaves every row as it was."""
    async with AsyncSession(engine) as session:
        with contextlib.suppress(PartialCollectionError):
            await session.merge(entity)
        await session.flush()
        assert await counts(session) == UNTOUCHED


async def test_an_object_found_twice_is_as_partial_as_its_inner_place_made_it(filled: AsyncEngine) -> None:
    """The root comes again through ``maker``, where its items are filtered: the one object has the filtered ones."""
    plan = LoadPlan(Owner, load(Owner.seen, load(Item.maker, load(Owner.items, where=Item.id > 3))))
    owner = await Loader(filled).fetch(plan, 1)
    assert owner.seen[0].maker is owner
    assert len(owner.items) == 2
    await merges_without_loss(filled, owner)


async def test_every_object_of_a_filtered_tree_is_partial(filled: AsyncEngine) -> None:
    """Twig 2, not the root, has lost twig 5 to the filter."""
    plan = LoadPlan(Twig, load(Twig.twigs, where=Twig.id != 5, depth="all"))
    root = await Loader(filled).fetch(plan, 1)
    twig = next(each for each in root.twigs if each.id == 2)
    assert [each.id for each in twig.twigs] == [4]
    await merges_without_loss(filled, twig)


async def test_every_object_of_a_limited_tree_is_partial(filled: AsyncEngine) -> None:
    root = await Loader(filled).fetch(LoadPlan(Twig, load(Twig.twigs, order_by=Twig.id, limit=1, depth="all")), 1)
    await merges_without_loss(filled, root.twigs[0])
    root = await Loader(filled).fetch(LoadPlan(Twig, load(Twig.twigs, order_by=Twig.id, limit=1, depth=2)), 1)
    await merges_without_loss(filled, root.twigs[0])


async def test_a_partial_collection_of_a_branch_in_a_branch_is_seen(filled: AsyncEngine) -> None:
    plan = LoadPlan(Person, on(Boss, on(Chief, load(Chief.cars, where=Car.id > 2))))
    chief = await Loader(filled).fetch(plan, 1)
    assert isinstance(chief, Chief)
    assert [car.id for car in chief.cars] == [3]
    await merges_without_loss(filled, chief)


async def test_a_partial_collection_of_a_branch_is_seen(filled: AsyncEngine) -> None:
    chief = await Loader(filled).fetch(LoadPlan(Person, on(Chief, load(Chief.cars, where=Car.id > 2))), 1)
    async with AsyncSession(filled) as session:
        with pytest.raises(PartialCollectionError):
            await session.merge(chief)


async def test_a_many_to_one_that_a_filter_hid_is_not_set_to_null_by_merge(filled: AsyncEngine) -> None:
    """None stands for "hidden by the filter", not for "has none"."""
    item = await Loader(filled).fetch(LoadPlan(Item, load(Item.maker, where=Owner.name == "nobody")), 1)
    assert item.maker is None
    await merges_without_loss(filled, item)


async def test_a_one_to_one_that_a_filter_hid_is_not_deleted_by_merge(filled: AsyncEngine) -> None:
    owner = await Loader(filled).fetch(LoadPlan(Owner, load(Owner.badge, where=Badge.id > 5)), 1)
    assert owner.badge is None
    await merges_without_loss(filled, owner)


async def test_a_to_one_that_a_filter_hid_survives_add_and_flush(filled: AsyncEngine) -> None:
    owner = await Loader(filled).fetch(LoadPlan(Owner, load(Owner.badge, where=Badge.id > 5)), 1)
    item = await Loader(filled).fetch(LoadPlan(Item, load(Item.maker, where=Owner.name == "nobody")), 1)
    async with AsyncSession(filled) as session:
        session.add_all([owner, item])
        owner.name = "changed"
        await session.flush()
        assert await counts(session) == UNTOUCHED
