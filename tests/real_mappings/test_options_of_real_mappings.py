"""``plan.options()`` in a plain session: SQLAlchemy's own loading gives the graph that a loader gives."""

from typing import Any

import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, StrategyName, load


class Base(DeclarativeBase):
    pass


class Area(Base):
    __tablename__ = "opt_areas"
    id: Mapped[int] = mapped_column(primary_key=True)
    up_id: Mapped[int | None] = mapped_column(ForeignKey("opt_areas.id"))
    up: Mapped["Area | None"] = relationship(remote_side=id, back_populates="downs")
    downs: Mapped[list["Area"]] = relationship(back_populates="up", order_by="Area.id")
    spots: Mapped[list["Spot"]] = relationship(back_populates="area", order_by="Spot.pos")
    last: Mapped["Spot | None"] = relationship(viewonly=True, order_by="Spot.pos.desc()")


class Spot(Base):
    __tablename__ = "opt_spots"
    id: Mapped[int] = mapped_column(primary_key=True)
    pos: Mapped[int]
    area_id: Mapped[int] = mapped_column(ForeignKey(Area.id))
    area: Mapped[Area] = relationship(back_populates="spots", order_by="Spot.pos")


def rows() -> list[Any]:
    """A tree of four areas, the last three with three spots each."""
    spots = [Spot(id=area * 10 + pos, pos=pos, area_id=area) for area in (2, 3, 4) for pos in (2, 3, 1)]
    return ["INSERT INTO opt_areas (id, up_id) VALUES (1, NULL), (2, 1), (3, 1), (4, 2)", *spots]


async def by_options(engine: AsyncEngine, plan: LoadPlan[Any], entity: Any, read: Any) -> list[Any]:
    """Return what ``read`` finds on each root of the plan's own statement, in a plain session."""
    return await lazily(engine, plan.select().order_by(entity.id), read)


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
async def test_a_to_one_of_many_rows_repeats_no_parent(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """SQLAlchemy joins all rows of the to-one, and a list then holds its parent once for each of them."""
    plan = LoadPlan(Area, load(Area.downs, load(Area.last, strategy=strategy)))

    def read(area: Area) -> Any:
        return [(down.id, down.last and down.last.id) for down in area.downs]

    async with filled(engine, Base.metadata, *rows()):
        with pytest.warns(Warning, match="Multiple rows"):
            found = await by_options(engine, plan, Area, read)
    assert found == [[(2, 23), (3, 33)], [(4, 43)], [], []]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_the_order_of_a_to_one_stops_no_statement(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """The mapping orders the to-one by its own child's column, which a statement of the parents lacks."""
    plan = LoadPlan(Spot, load(Spot.area, strategy=strategy))
    async with filled(engine, Base.metadata, *rows()) as loader:
        found = await by_options(engine, plan, Spot, lambda spot: (spot.id, spot.area.id))
        fetched = await loader.fetch_all(plan, order_by=Spot.id)
    assert found == [(spot.id, spot.area.id) for spot in fetched] == [(n, n // 10) for n, _ in found]
    assert len(found) == 9


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_a_subquery_below_a_row_that_is_also_a_root(engine: AsyncEngine, strategy: StrategyName | None) -> None:
    """SQLAlchemy's subqueryload loads nothing below a row that it has met at another place."""
    plan = LoadPlan(Area, load(Area.up, load(Area.downs), strategy=strategy))

    def read(area: Area) -> Any:
        return area.up and [down.id for down in area.up.downs]

    async with filled(engine, Base.metadata, *rows()):
        found = await by_options(engine, plan, Area, read)
        right = await lazily(engine, select(Area).order_by(Area.id), read)
    assert found == right
