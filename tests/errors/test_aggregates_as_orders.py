"""Counts and functions of many rows, as orders and conditions of rows, are refused. The hint is code that works."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, ForeignKeyConstraint, and_, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from loadplan import Loader, LoadPlan, PlanError, aggregate, count, load, source


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


NO_VALUE = "it is an aggregate, which has one value for many rows. {} needs a value for each row."
LARGEST = "select(func.max(Item.id)).where(Item.box_id == Box.id).scalar_subquery()"
MANY = "select(func.count(Item.id)).where(Item.box_id == Box.id).scalar_subquery()"
AMONG_BOXES = "Box.id == select(func.max(other.id)).scalar_subquery()"
AMONG_ITEMS = "Item.id == select(func.max(other.id)).where(other.box_id == Item.box_id).scalar_subquery()"

#: name: (the function, the argument that holds it, the code in the hint, the boxes)
FUNCTIONS: dict[str, tuple[Any, str, str, list[int]]] = {
    "the largest value": (func.max(Item.id).desc(), "order_by", f"{LARGEST}.desc()", [3, 2, 1, 4]),
    "within a function": (
        func.coalesce(func.max(Item.id), -1),
        "order_by",
        f"func.coalesce({LARGEST}, -1)",
        [4, 1, 2, 3],
    ),
    "a number of rows": (func.count(Item.id) > 1, "where", f"{MANY} > 1", [1, 2]),
    "a value of the class itself": (func.max(Box.id).desc(), "order_by", "Box.id.desc()", [4, 3, 2, 1]),
    "the class itself": (Box.id == func.max(Box.id), "where", AMONG_BOXES, [4]),
}


@pytest.mark.parametrize(("given", "word", "code", "expected"), FUNCTIONS.values(), ids=FUNCTIONS)
async def test_the_hint_for_a_function_is_code_that_works(
    boxes: AsyncEngine, given: Any, word: str, code: str, expected: list[int]
) -> None:
    plan, known = LoadPlan(Box), {"Box": Box, "Item": Item, "func": func, "select": select, "other": aliased(Box)}
    with pytest.raises(PlanError) as refused:
        await Loader(boxes).fetch_all(plan, **{word: given})
    hint = str(refused.value.hint)
    assert refused.value.detail == NO_VALUE.format("A condition" if word == "where" else "An order")
    assert hint.endswith(f": {word}={code}.")
    found = await Loader(boxes).fetch_all(plan, **{word: eval(code, known)})  # noqa: S307 - the hint is code
    assert [box.id for box in found] == expected


async def test_the_whole_message_of_a_function_in_a_load(boxes: AsyncEngine) -> None:
    with pytest.raises(PlanError) as refused:
        LoadPlan(Box, load(Box.items, where=Item.id == func.max(Item.id)))
    assert str(refused.value) == (
        "LP108: where= cannot use Item.id == func.max(Item.id)\n"
        "  at: Box > items\n"
        f"  detail: {NO_VALUE.format('A condition')}\n"
        f"  hint: compare with a subquery over other = aliased(Item): where={AMONG_ITEMS}."
    )
    known = {"Item": Item, "func": func, "select": select, "other": aliased(Item)}
    plan = LoadPlan(Box, load(Box.items, where=eval(AMONG_ITEMS, known)))  # noqa: S307 - the hint is code
    found = await Loader(boxes).fetch_all(plan)
    assert [[item.id for item in box.items] for box in found] == [[2], [4], [5], []]
    with pytest.raises(PlanError) as refused:
        LoadPlan(Box, load(Box.labels, order_by=func.count(Box.id)))
    assert str(refused.value) == (
        "LP108: order_by= cannot use func.count(Box.id)\n"
        "  at: Box > labels\n"
        f"  detail: {NO_VALUE.format('An order')}\n"
        "  hint: use a subquery that has one value for each 'Label'."
    )
