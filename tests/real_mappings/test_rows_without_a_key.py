"""Rows whose key is NULL, as a whole or in part."""

from typing import Any

import pytest
from real import filled
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    inspect,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    relationship,
)

from loadplan import LoadPlan, load

# --- a key that is NULL ---------------------------------------------------------------------------------------------


class NullBase(DeclarativeBase):
    pass


class Half(NullBase):
    """Stands for a view of the database, with a key that somebody chose."""

    __table__ = Table(
        "null_halves",
        NullBase.metadata,
        Column("company_id", Integer),
        Column("part", Integer),
        Column("label", String),
    )
    __mapper_args__ = {"primary_key": [__table__.c.company_id, __table__.c.part]}


class Whole(NullBase):
    __table__ = Table("null_wholes", NullBase.metadata, Column("code", Integer), Column("label", String))
    __mapper_args__ = {"primary_key": [__table__.c.code]}


NULL_ROWS = [
    "INSERT INTO null_halves VALUES (1, 1, 'a'), (1, NULL, 'b'), (NULL, NULL, 'c')",
    "INSERT INTO null_wholes VALUES (1, 'a'), (NULL, 'b')",
]


@pytest.mark.parametrize(("entity", "labels"), [(Half, ["a", "b"]), (Whole, ["a"])])
@pytest.mark.parametrize("call", ["all", "page", "stream"])
async def test_a_row_whose_whole_key_is_null_is_no_object(
    engine: AsyncEngine, entity: Any, labels: list[str], call: str
) -> None:
    """SQLAlchemy gives None for such a row; it is left out, or refused with an error that is loadplan's."""
    plan: LoadPlan[Any] = LoadPlan(entity)
    async with filled(engine, NullBase.metadata, *NULL_ROWS) as loader:
        if call == "all":
            found = await loader.fetch_all(plan, order_by=entity.label)
        elif call == "page":
            found = list((await loader.fetch_page(plan, order_by=entity.label, size=5)).items)
        else:
            found = [each async for each in loader.stream(plan, order_by=entity.label)]
        assert [each.label for each in found if each is not None] == labels


class Owner(NullBase):
    __table__ = Table("null_owners", NullBase.metadata, Column("id", Integer, primary_key=True))


class Held(NullBase):
    __table__ = Table(
        "null_held",
        NullBase.metadata,
        Column("code", Integer),
        Column("owner_id", ForeignKey("null_owners.id")),
        Column("at", Integer),
    )
    __mapper_args__ = {"primary_key": [__table__.c.code]}


NEWEST: Any = relationship(Held, order_by=Held.at.desc(), uselist=False, viewonly=True)
Owner.newest = NEWEST  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
async def test_the_newest_of_many_is_the_newest_object(engine: AsyncEngine, strategy: Any) -> None:
    """A newer row whose whole key is NULL is no object, so it takes no place; SQLAlchemy gives None for its parent."""
    newest: Any = Owner.newest  # type: ignore[attr-defined]
    rows = [
        "INSERT INTO null_owners VALUES (1), (2), (3)",
        "INSERT INTO null_held VALUES (1, 1, 5), (NULL, 1, 7), (2, 2, 3), (3, 2, 5), (NULL, 3, 1), (4, NULL, 9)",
    ]
    async with filled(engine, NullBase.metadata, *rows) as loader:
        owners: list[Any] = await loader.fetch_all(LoadPlan(Owner, load(newest, strategy=strategy)), order_by=Owner.id)  # type: ignore[attr-defined]
        assert [each.newest and each.newest.code for each in owners] == [1, 3, None]


async def test_a_key_that_is_null_in_part_is_a_key(engine: AsyncEngine) -> None:
    """SQLAlchemy allows partly NULL keys."""
    async with filled(engine, NullBase.metadata, *NULL_ROWS) as loader:
        found = await loader.fetch_all(LoadPlan(Half), Half.company_id == 1, order_by=Half.label)
        assert [inspect(each).identity for each in found] == [(1, 1), (1, None)]
