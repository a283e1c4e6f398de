"""Numbers whose column in the database has another type than the mapping says."""

import math
from decimal import Decimal
from typing import Any

from sqlalchemy import Double, Float, ForeignKey, Numeric, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import by_keys, tables


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "numbers_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    sizes: Mapped[list["Size"]] = relationship(order_by="Size.id")


class Size(Base):
    __tablename__ = "numbers_sizes"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))
    of_float: Mapped[float | None] = mapped_column(Float)
    of_double: Mapped[float | None] = mapped_column(Double)
    of_decimal: Mapped[Decimal | None] = mapped_column(Numeric(10, 3))
    as_float: Mapped[float | None] = mapped_column(Numeric(10, 3, asdecimal=False))
    as_decimal: Mapped[Decimal | None] = mapped_column(Float(asdecimal=True))
    plain: Mapped[float | None] = mapped_column(Double)


MIGRATED = {
    "of_float": "numeric",
    "of_double": "numeric",
    "of_decimal": "double precision",
    "as_float": "double precision",
    "as_decimal": "numeric",
}
"""The types that the columns have in the database. ``plain`` has the type of its mapping."""


async def test_numbers_have_the_class_that_sqlalchemy_gives_them(postgres: AsyncEngine) -> None:
    """In one statement, and in a statement for each level."""
    columns = [*MIGRATED, "plain"]
    async with tables(postgres, Base.metadata):
        async with postgres.begin() as connection:
            for name, kind in MIGRATED.items():
                await connection.execute(text(f"ALTER TABLE numbers_sizes ALTER COLUMN {name} TYPE {kind}"))
        async with AsyncSession(postgres) as session:
            session.add(Shelf(id=1))
            await session.flush()
            session.add_all(
                Size(id=id_, shelf_id=1, **dict.fromkeys(columns, value))
                for id_, value in enumerate((1.5, -0.25, 0, math.nan, None), 1)
            )
            await session.commit()
            expected = (await session.scalars(select(Size).order_by(Size.id))).all()
            told = [repr([getattr(each, name) for name in columns]) for each in expected]
        plan = LoadPlan(Shelf, load(Shelf.sizes))
        for each in (plan, by_keys(plan)):
            found: list[Any] = (await Loader(postgres).fetch(each, 1)).sizes
            assert [repr([getattr(size, name) for name in columns]) for size in found] == told
