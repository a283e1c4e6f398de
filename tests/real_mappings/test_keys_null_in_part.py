"""Joins of one's own over several columns of which some are NULL: NULL in one does not mean that nothing is related."""

import itertools
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from real import filled
from sqlalchemy import and_, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, load


class Base(DeclarativeBase):
    pass


class There(Base):
    __tablename__ = "part_there"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int | None]
    y: Mapped[int | None]


class Here(Base):
    __tablename__ = "part_here"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int | None]
    y: Mapped[int | None]


def far(column: Any) -> Any:
    return foreign(remote(column))


JOINS: dict[str, Callable[[], Any]] = {
    "both": lambda: and_(Here.x == far(There.x), Here.y == far(There.y)),
    "either": lambda: or_(Here.x == far(There.x), Here.y == far(There.y)),
    "the second if there is one": lambda: and_(Here.x == far(There.x), or_(Here.y == far(There.y), Here.y.is_(None))),
    "NULL is NULL": lambda: Here.x.is_not_distinct_from(far(There.x)),
    "both NULL": lambda: and_(
        Here.x == far(There.x), or_(Here.y == far(There.y), and_(Here.y.is_(None), far(There.y).is_(None)))
    ),
    "with a default here": lambda: and_(func.coalesce(Here.x, 1) == far(There.x), Here.y == far(There.y)),
    "with a default there": lambda: Here.x == func.coalesce(far(There.x), 1),
    "many-to-one, either": lambda: or_(foreign(Here.x) == remote(There.x), foreign(Here.y) == remote(There.y)),
    "many-to-one with a default": lambda: func.coalesce(foreign(Here.x), 1) == remote(There.id),
}
NAMES = {name: f"rel_{number}" for number, name in enumerate(JOINS)}
for name, join in JOINS.items():
    setattr(Here, NAMES[name], relationship(There, primaryjoin=join, viewonly=True, uselist=True, order_by=There.id))

PAIRS = list(itertools.product((None, 1, 2), (None, 1, 2)))


@attrs.frozen
class ThereView:
    id: int


@pytest.mark.parametrize("name", JOINS)
async def test_keys_that_are_null_in_part(engine: AsyncEngine, name: str) -> None:
    """Every strategy, one root and many, entities and views, give what SQL gives."""
    attribute = getattr(Here, NAMES[name])
    async with filled(engine, Base.metadata) as loader, AsyncSession(engine) as session:
        for table in (Here, There):
            await session.execute(insert(table), [{"id": n, "x": x, "y": y} for n, (x, y) in enumerate(PAIRS)])
        await session.commit()
        target = aliased(There)
        pairs = (
            select(Here.id, target.id).select_from(Here).join(attribute.of_type(target)).order_by(Here.id, target.id)
        )
        expected: dict[int, list[int]] = {n: [] for n in range(len(PAIRS))}
        for here, there in (await session.execute(pairs)).all():
            expected[here].append(there)
        view: Any = attrs.make_class(
            "View", {"id": attrs.field(type=int), NAMES[name]: attrs.field(type=list[ThereView])}, frozen=True
        )
        plans: list[LoadPlan[Any]] = [
            LoadPlan(Here, load(attribute, strategy=strategy)) for strategy in (None, "joined", "selectin", "subquery")
        ]
        for plan in (*plans, LoadPlan(Here, into=view)):
            found = {each.id: [one.id for one in getattr(each, NAMES[name])] for each in await loader.fetch_all(plan)}
            assert found == expected, plan
        for key, members in expected.items():
            one = await Loader(engine).fetch(plans[0], key)
            assert [each.id for each in getattr(one, NAMES[name])] == members
