"""Rows whose discriminator names no class: NULL, an unknown value, or a class outside of the hierarchy.

SQLAlchemy raises an error for each of them, and so does loadplan. It never makes an object of a class that the row does
not name. A view holds columns and no class, so it may hold these rows.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import pytest
from oracle import fill, read_lazily
from sqlalchemy import ForeignKey, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship

from loadplan import Loader, LoadPlan, load, on
from support import tables


class Base(DeclarativeBase):
    pass


class Keeper(Base):
    __tablename__ = "classless_keepers"
    id: Mapped[int] = mapped_column(primary_key=True)
    first_id: Mapped[int | None]
    animals: Mapped[list["Animal"]] = relationship(back_populates="keeper", order_by="Animal.id")
    first: Mapped["Animal | None"] = relationship(
        primaryjoin=lambda: foreign(Keeper.first_id) == Animal.id, viewonly=True
    )
    fish: Mapped["Fish | None"] = relationship(primaryjoin=lambda: foreign(Keeper.first_id) == Fish.id, viewonly=True)


class Animal(Base):
    __tablename__ = "classless_animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str | None]
    keeper_id: Mapped[int | None] = mapped_column(ForeignKey(Keeper.id))
    keeper: Mapped[Keeper | None] = relationship(back_populates="animals")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Cat(Animal):
    claws: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "cat"}


class Fish(Animal):
    __tablename__ = "classless_fish"
    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    fins: Mapped[int]
    fans: Mapped[list[Keeper]] = relationship(primaryjoin=lambda: foreign(Keeper.first_id) == Fish.id, viewonly=True)
    __mapper_args__ = {"polymorphic_identity": "fish"}


@attrs.frozen
class AnimalView:
    id: int
    kind: str | None


@attrs.frozen
class KeeperView:
    id: int
    animals: list[AnimalView]


@pytest.fixture
async def zoo(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        await fill(engine, Keeper(id=1), Keeper(id=2, first_id=3))
        await fill(engine, Animal(id=1, keeper_id=1), Cat(id=2, keeper_id=1), Fish(id=3, keeper_id=2, fins=2))
        yield engine


async def _set_class(engine: AsyncEngine, kind: str | None) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE classless_animals SET kind = :kind WHERE id = 3"), {"kind": kind})


PLANS: dict[str, LoadPlan[Any]] = {
    "roots": LoadPlan(Animal),
    "roots of a joined subclass": LoadPlan(Fish),
    "roots of some columns": LoadPlan(Animal, only=[Animal.id]),
    "roots with branches": LoadPlan(Animal, on(Cat), on(Fish)),
    "statements below a branch": LoadPlan(Animal, on(Fish, load(Fish.fans, strategy="selectin"))),
    "a collection": LoadPlan(Keeper, load(Keeper.animals)),
    "first rows": LoadPlan(Keeper, load(Keeper.animals, limit=3)),
    "a collection with branches": LoadPlan(Keeper, load(Keeper.animals, on(Fish, load(Fish.fans)))),
    "a to-one": LoadPlan(Keeper, load(Keeper.first)),
    "a to-one of a joined subclass": LoadPlan(Keeper, load(Keeper.fish)),
    "a to-one with branches": LoadPlan(Keeper, load(Keeper.first, on(Fish, load(Fish.fans, strategy="selectin")))),
}
PLANS |= {
    f"{name}, {strategy}": LoadPlan(Keeper, load(relationship, strategy=strategy))
    for name, relationship in {"a collection": Keeper.animals, "a to-one": Keeper.first}.items()
    for strategy in ("joined", "selectin", "subquery")
}


async def _all(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return await loader.fetch_all(plan)


async def _few(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return await loader.fetch_all(plan, limit=9)


async def _page(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return await loader.fetch_page(plan, order_by=plan.entity.id, size=9)


async def _one(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return await loader.fetch(plan, 3 if issubclass(plan.entity, Animal) else 2)


async def _stream(loader: Loader, plan: LoadPlan[Any]) -> Any:
    return [each async for each in loader.stream(plan, order_by=plan.entity.id)]


@pytest.mark.parametrize("call", [_all, _few, _page, _one, _stream])
@pytest.mark.parametrize("name", PLANS)
async def test_a_row_without_a_class_is_an_error(
    zoo: AsyncEngine, name: str, call: Callable[[Loader, LoadPlan[Any]], Awaitable[Any]]
) -> None:
    """With its class, the row is an object in each way. Without, it is none."""
    if call is _stream and name == "a collection, joined":
        pytest.skip("no stream joins a collection")
    await call(Loader(zoo), PLANS[name])
    await _set_class(zoo, None)
    with pytest.raises(InvalidRequestError, match=r"has no class, because its discriminator '.*kind' is NULL"):
        await call(Loader(zoo), PLANS[name])
    await _set_class(zoo, "dragon")
    with pytest.raises(AssertionError, match="'dragon'"):
        await call(Loader(zoo), PLANS[name])


@pytest.mark.parametrize("name", ["roots", "roots of a joined subclass", "a collection", "a to-one"])
async def test_the_lazy_walk_is_an_error_too(zoo: AsyncEngine, name: str) -> None:
    await _set_class(zoo, None)
    with pytest.raises(InvalidRequestError, match="is NULL"):
        await read_lazily(zoo, PLANS[name])
    await _set_class(zoo, "dragon")
    with pytest.raises(AssertionError, match="'dragon'"):
        await read_lazily(zoo, PLANS[name])


async def test_a_single_table_subclass_leaves_the_row_out(zoo: AsyncEngine) -> None:
    """As in SQLAlchemy: the statement asks for the discriminators of the subclass."""
    await _set_class(zoo, None)
    assert [each.id for each in await Loader(zoo).fetch_all(LoadPlan(Cat))] == [2]


async def test_a_view_holds_the_columns_of_the_row(zoo: AsyncEngine) -> None:
    plan = LoadPlan(Keeper, load(Keeper.animals), into=KeeperView)
    for kind in (None, "dragon"):
        await _set_class(zoo, kind)
        found = await Loader(zoo).fetch(plan, 2)
        assert [each.kind for each in found.animals] == [kind]
