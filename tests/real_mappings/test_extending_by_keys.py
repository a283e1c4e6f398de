"""``extend`` finds the rows of objects by their keys: keys with NULL, keys that classes share, and copies."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from real import filled
from sqlalchemy import ForeignKey, String, event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoaderError, LoadPlan, NotFound, load


class Base(DeclarativeBase):
    pass


class Point(Base):
    """A row is identified by two columns, of which one may be NULL."""

    __tablename__ = "keyed_points"
    number: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int | None] = mapped_column()
    y: Mapped[int | None] = mapped_column()
    name: Mapped[str] = mapped_column(String(9))
    signs: Mapped[list["Sign"]] = relationship(
        primaryjoin="Point.name == foreign(Sign.place)", order_by="Sign.id", viewonly=True
    )
    __mapper_args__ = {"primary_key": [x, y]}


class Sign(Base):
    __tablename__ = "keyed_signs"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(9))
    code: Mapped[int]


class Car(ConcreteBase, Base):
    """Its subclass has a table of its own, with the same numbers."""

    __tablename__ = "keyed_cars"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    code: Mapped[int]
    signs: Mapped[list[Sign]] = relationship(
        primaryjoin="Car.code == foreign(Sign.code)", order_by="Sign.id", viewonly=True
    )
    __mapper_args__ = {"polymorphic_identity": "car", "concrete": True}


class Van(Car):
    __tablename__ = "keyed_vans"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    code: Mapped[int]
    load_limit: Mapped[int] = mapped_column(default=1)
    signs: Mapped[list[Sign]] = relationship(
        primaryjoin="Van.code == foreign(Sign.code)", order_by="Sign.id", viewonly=True
    )
    __mapper_args__ = {"polymorphic_identity": "van", "concrete": True}


POINTS: list[dict[str, Any]] = [
    {"number": 1, "x": 1, "y": 1, "name": "both"},
    {"number": 2, "x": 1, "y": None, "name": "x"},
    {"number": 3, "x": None, "y": 1, "name": "y"},
]
SIGNS = [("both", 1), ("x", 2), ("x", 3), ("car 1", 4), ("van 1", 5), ("van 1", 6), ("car 2", 7)]
CODES = {name: code for code, name in enumerate(dict.fromkeys(name for name, _ in SIGNS))}


def _rows() -> list[object]:
    cars = [Car(id=1, name="car 1"), Car(id=2, name="car 2"), Van(id=1, name="van 1", load_limit=5)]
    for car in cars:
        car.code = CODES[car.name]
    signs = [Sign(id=number, place=name, code=CODES[name]) for name, number in SIGNS]
    return [*(Point(**each) for each in POINTS), *signs, *cars]


def _seen(objects: Any) -> dict[str, list[int]]:
    return {each.name: [sign.id for sign in each.signs] for each in objects}


def _signs(*names: str) -> dict[str, list[int]]:
    return {each: [number for name, number in SIGNS if name == each] for each in names}


@pytest.mark.parametrize("attached", [False, True], ids=["detached", "in a session"])
async def test_keys_with_null(engine: AsyncEngine, attached: bool) -> None:
    """Their objects get what the others get."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        if not attached:
            found = await loader.fetch_all(LoadPlan(Point))
            assert await loader.extend(found, load(Point.signs)) == found
            assert _seen(found) == _signs("both", "x", "y")
            return
        async with AsyncSession(engine) as session:
            found = list(await session.scalars(select(Point)))
            await Loader(session).extend(found, load(Point.signs))
            assert _seen(found) == _signs("both", "x", "y")


def _as_they_are(objects: Any) -> Any:
    return objects


WAYS: dict[str, Callable[[Any], Any]] = {
    "fetched": _as_they_are,
    "pickled": lambda each: pickle.loads(pickle.dumps(each)),
    "copied": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
async def test_classes_that_share_keys(engine: AsyncEngine, way: str) -> None:
    """The class of an object says which of two rows with its key is its own."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        found = WAYS[way](await loader.fetch_all(LoadPlan(Car)))
        await loader.extend(found, load(Car.signs))
        assert _seen(found) == _signs("car 1", "car 2", "van 1")
        one = WAYS[way](await loader.fetch_one(LoadPlan(Car), where=Car.name == "car 1"))
        await loader.extend(one, load(Car.signs))
        assert _seen([one]) == _signs("car 1")


async def test_classes_that_share_keys_in_a_session(engine: AsyncEngine) -> None:
    async with filled(engine, Base.metadata, *_rows()), AsyncSession(engine) as session:
        found = list(await session.scalars(select(Car)))
        await Loader(session).extend(found, load(Car.signs))
        assert _seen(found) == _signs("car 1", "car 2", "van 1")


async def test_the_row_of_another_class_is_no_substitute(engine: AsyncEngine) -> None:
    """The row of the object was deleted, and a row of another class has its key."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        car = await loader.fetch_one(LoadPlan(Car), where=Car.name == "car 1")
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM keyed_cars WHERE id = 1"))
        with pytest.raises(NotFound):
            await loader.extend(car, load(Car.signs))


class OtherBase(DeclarativeBase):
    pass


class Shop(ConcreteBase, OtherBase):
    __tablename__ = "keyed_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    goods: Mapped[list["Good"]] = relationship(primaryjoin="Shop.id == Good.shop_id", viewonly=True)
    __mapper_args__ = {"polymorphic_identity": "shop", "concrete": True}


class Stall(Shop):
    """Its table names the key in its own way."""

    __tablename__ = "keyed_stalls"
    number: Mapped[int] = mapped_column(primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "stall", "concrete": True, "exclude_properties": ["id"]}


class Good(OtherBase):
    __tablename__ = "keyed_goods"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey(Shop.id))


async def test_keys_with_other_names(engine: AsyncEngine) -> None:
    """A class with another key is refused, not taken for deleted."""
    async with filled(engine, OtherBase.metadata, Shop(id=1), Stall(number=2)) as loader:
        found = await loader.fetch_all(LoadPlan(Shop))
        with pytest.raises(LoaderError) as refused:
            await loader.extend(found, load(Shop.goods))
        assert str(refused.value) == (
            "LP416: extend() cannot use what it was given: "
            "'Stall' and 'Shop' name their primary keys differently\n"
            "  at: Shop\n"
            "  detail: the names are number and id.\n"
            "  hint: call extend() once for each class."
        )
        shops = [each for each in found if type(each) is Shop]
        await loader.extend(shops, load(Shop.goods))
        assert [each.goods for each in shops] == [[]]


async def test_shallow_copies(engine: AsyncEngine) -> None:
    """A shallow copy shares the state of its original, so it cannot get anything of its own."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        point = await loader.fetch(LoadPlan(Point), (1, 1))
        again = copy.copy(point)
        for given in (again, [point, again]):
            with pytest.raises(LoaderError, match="a 'Point' is a shallow copy") as refused:
                await loader.extend(given, load(Point.signs))
            assert refused.value.hint == "pass the original, or copy objects with copy.deepcopy()."
        await loader.extend(point, load(Point.signs))
        del point
        with pytest.raises(LoaderError, match="a 'Point' is a shallow copy"):
            await loader.extend(again, load(Point.signs))


async def test_ids_with_null_are_one_snapshot(asyncpg: AsyncEngine) -> None:
    """An id with NULL takes a statement of its own, which must see what the first one saw."""
    seen: list[Any] = []
    busy = False

    def after(connection: Any, *_: Any) -> None:
        nonlocal busy
        if not busy:
            busy = True
            seen.append(connection.exec_driver_sql("SHOW transaction_isolation").scalar())
            busy = False

    async with filled(asyncpg, Base.metadata, *_rows()) as loader:
        event.listen(asyncpg.sync_engine, "after_cursor_execute", after)
        try:
            found = await loader.fetch_many(LoadPlan(Point), [(1, None), (1, 1), (None, 1)])
        finally:
            event.remove(asyncpg.sync_engine, "after_cursor_execute", after)
    assert [each.name for each in found] == ["x", "both", "y"]
    assert seen == ["repeatable read"] * 3
