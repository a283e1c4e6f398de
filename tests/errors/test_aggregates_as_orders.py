"""A count in the place of an order is refused. The hint has the code of a subquery, which gives the right order."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, ForeignKeyConstraint, and_, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from loadplan import Loader, LoadPlan, PlanError, aggregate, count, source


class Base(DeclarativeBase):
    pass


labelled = sa.Table(
    "labelled",
    Base.metadata,
    sa.Column("box_id", ForeignKey("boxes.id"), primary_key=True),
    sa.Column("label_id", ForeignKey("labels.id"), primary_key=True),
)


class Label(Base):
    __tablename__ = "labels"
    id: Mapped[int] = mapped_column(primary_key=True)


class Item(Base):
    __tablename__ = "items"
    __table_args__ = (ForeignKeyConstraint(["box_shelf", "box_place"], ["boxes.shelf", "boxes.place"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("boxes.id"))
    box_shelf: Mapped[int]
    box_place: Mapped[int]
    broken: Mapped[bool] = mapped_column(default=False)


class Box(Base):
    __tablename__ = "boxes"
    __table_args__ = (sa.UniqueConstraint("shelf", "place"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf: Mapped[int]
    place: Mapped[int]
    within_id: Mapped[int | None] = mapped_column(ForeignKey("boxes.id"))
    items: Mapped[list[Item]] = relationship(foreign_keys=Item.box_id)
    by_place: Mapped[list[Item]] = relationship(foreign_keys=[Item.box_shelf, Item.box_place], viewonly=True)
    whole: Mapped[list[Item]] = relationship(
        primaryjoin=lambda: and_(Item.box_id == Box.id, ~Item.broken), foreign_keys=Item.box_id, viewonly=True
    )
    labels: Mapped[list[Label]] = relationship(secondary=labelled)
    boxes: Mapped[list["Box"]] = relationship()


@pytest.fixture
async def boxes() -> AsyncIterator[AsyncEngine]:
    """Box 1 has the most items, box 2 the most whole ones and labels, box 3 the most boxes and the newest item."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=sa.StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        labels = [Label(id=1), Label(id=2)]
        session.add_all([Box(id=1, shelf=1, place=1, labels=labels[:1]), Box(id=2, shelf=1, place=2, labels=labels)])
        session.add_all([Box(id=3, shelf=2, place=1), Box(id=4, shelf=2, place=2, within_id=3)])
        await session.flush()
        places = {1: (1, 1), 2: (1, 2), 3: (2, 1)}
        rows = [(1, True), (1, True), (1, False), (2, False), (2, False), (3, False)]
        for number, (box, broken) in enumerate(rows):
            shelf, place = places[box]
            session.add(Item(id=number, box_id=box, box_shelf=shelf, box_place=place, broken=broken))
    yield engine
    await engine.dispose()


#: name: (the order that is refused, the boxes with the largest value first)
ORDERS: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "one column": (lambda: count(Box.items), [1, 2, 3, 4]),
    "two columns": (lambda: count(Box.by_place), [1, 2, 3, 4]),
    "a condition in the mapping": (lambda: count(Box.whole), [2, 1, 3, 4]),
    "a condition of the count": (lambda: count(Box.items, where=Item.id > 1), [2, 1, 3, 4]),
    "a condition of the relationship": (lambda: count(Box.items.and_(Item.id >= 4)), [2, 3, 1, 4]),
    "an association table": (lambda: count(Box.labels), [2, 1, 3, 4]),
    "a class to itself": (lambda: count(Box.boxes), [3, 1, 2, 4]),
    "a condition of a class to itself": (lambda: count(Box.boxes, where=Box.place == 2), [3, 1, 2, 4]),
    "the largest value": (lambda: aggregate(Box.items, func.max(Item.id)), [3, 2, 1, 4]),
}


@pytest.mark.parametrize(("given", "expected"), ORDERS.values(), ids=ORDERS)
async def test_the_hint_orders_by_the_value_of_each_root(
    boxes: AsyncEngine, given: Callable[[], Any], expected: list[int]
) -> None:
    loader, plan = Loader(boxes), LoadPlan(Box)
    with pytest.raises(PlanError) as refused:
        await loader.fetch_all(plan, order_by=given())
    known: dict[str, Any] = {each.__name__: each for each in (Box, Item, Label)}
    known |= {"func": func, "select": select, "other": aliased(Box)}
    hint = re.search(r"Use a subquery( over other = aliased\(Box\))?: order_by=(.*)\.", str(refused.value))
    assert hint is not None, str(refused.value)
    order = eval(hint[2], known)  # noqa: S307 - the hint is code
    found = await loader.fetch_all(plan, order_by=[order.desc(), Box.id])
    assert [box.id for box in found] == expected


WRONG_PATHS: dict[str, Callable[[], Any]] = {
    "a count": lambda: source(count(Box.items)),
    "a count in a direction": lambda: source(count(Box.items)).desc(),
    "a number": lambda: source(5),
    "a text": lambda: source("items"),
    "a column": lambda: source(Box.shelf),
    "nothing": source,
}


@pytest.mark.parametrize("given", WRONG_PATHS.values(), ids=WRONG_PATHS)
async def test_a_path_that_is_none_is_an_error_of_the_plan(boxes: AsyncEngine, given: Callable[[], Any]) -> None:
    loader, plan = Loader(boxes), LoadPlan(Box)
    with pytest.raises(PlanError, match="LP112: order_by= cannot use source"):
        await loader.fetch_all(plan, order_by=given())
    with pytest.raises(PlanError, match="LP112: order_by= cannot use source"):
        await loader.fetch_page(plan, given(), 2)
    with pytest.raises(PlanError, match="LP112: order_by= cannot use source"):
        [each async for each in loader.stream(plan, order_by=given())]
    with pytest.raises(PlanError, match=r"LP(108|112): "):
        await loader.count(plan, given())
