"""Unsigned keys on MariaDB, which may be greater than the greatest signed number of their size."""

from typing import Any

import pytest
from sqlalchemy import Integer, bindparam
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import IdentityError, Loader, LoadPlan
from support import tables


class Base(DeclarativeBase):
    pass


class Long(Base):
    __tablename__ = "unsigned_longs"
    id: Mapped[int] = mapped_column(mysql.BIGINT(unsigned=True), primary_key=True)
    number: Mapped[int] = mapped_column(Integer().with_variant(mysql.INTEGER(unsigned=True), "mariadb", "mysql"))


GREATEST = (1 << 64) - 1


async def test_a_key_takes_all_values_of_its_column(mariadb: AsyncEngine) -> None:
    """``session.get`` finds the row, and so does a fetch: by id, by ids, by a parameter and on pages."""
    plan = LoadPlan(Long)
    async with tables(mariadb, Base.metadata) as engine:
        async with AsyncSession(engine) as session:
            session.add_all([Long(id=1, number=1), Long(id=GREATEST, number=(1 << 32) - 1)])
            await session.commit()
            assert (await session.get_one(Long, GREATEST)).id == GREATEST
        loader = Loader(engine)
        assert (await loader.fetch(plan, GREATEST)).number == (1 << 32) - 1
        assert [each.id for each in await loader.fetch_many(plan, [GREATEST, 1])] == [GREATEST, 1]
        named: Any = await loader.fetch_one(plan, Long.number == bindparam("n"), params={"n": (1 << 32) - 1})
        assert named.id == GREATEST
        page = await loader.fetch_page(plan, Long.id.desc(), 1)
        after = await loader.fetch_page(plan, Long.id.desc(), 1, after=page.next)
        assert [each.id for each in (*page.items, *after.items)] == [GREATEST, 1]
        for wrong in (GREATEST + 1, -1):
            with pytest.raises(IdentityError, match="cannot be the primary key"):
                await loader.fetch(plan, wrong)
