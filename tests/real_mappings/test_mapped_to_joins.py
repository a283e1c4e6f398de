"""Classes mapped to joins: one identity is one root and one item, however many rows it has."""

from typing import Any

import pytest
from real import filled, paged
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    join,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    registry,
    relationship,
)

from loadplan import LoadPlan, load

# --- a join with a narrower key -------------------------------------------------------------------------------------

joined = registry(metadata=MetaData())
users = Table("join_users", joined.metadata, Column("id", Integer, primary_key=True), Column("name", String))
addresses = Table(
    "join_addresses",
    joined.metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey(users.c.id)),
    Column("email", String),
)
groups = Table("join_groups", joined.metadata, Column("id", Integer, primary_key=True))
members = Table(
    "join_members",
    joined.metadata,
    Column("group_id", ForeignKey(groups.c.id), primary_key=True),
    Column("user_id", ForeignKey(users.c.id), primary_key=True),
)


class Member:
    pass


class Group:
    pass


joined.map_imperatively(
    Member, join(users, addresses), primary_key=[users.c.id], properties={"address_id": addresses.c.id}
)
joined.map_imperatively(
    Group, groups, properties={"members": relationship(Member, secondary=members, order_by=users.c.id, viewonly=True)}
)

JOIN_ROWS = [
    "INSERT INTO join_users VALUES (7, 'a'), (8, 'b'), (9, 'c')",
    "INSERT INTO join_addresses VALUES (1, 7, 'x'), (2, 8, 'x'), (3, 8, 'y'), (4, 8, 'z'), (5, 9, 'x')",
    "INSERT INTO join_groups VALUES (1)",
    "INSERT INTO join_members VALUES (1, 8), (1, 9)",
]


async def test_roots_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """One identity is one root, and counts once."""
    plan: LoadPlan[Any] = LoadPlan(Member)
    order = Member.id  # type: ignore[attr-defined]
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        assert [each.id for each in await loader.fetch_all(plan, order_by=order)] == [7, 8, 9]
        assert [each.id for each in await loader.fetch_all(plan, order_by=order, limit=3)] == [7, 8, 9]
        assert [each.id for each in await paged(loader, plan, 2, order_by=order)] == [7, 8, 9]
        assert [each.id async for each in loader.stream(plan, order_by=order, batch_size=2)] == [7, 8, 9]
        assert (await loader.fetch_one(plan, order == 8)).id == 8
        assert [each.id for each in await loader.fetch_many(plan, [8, 7])] == [8, 7]


async def test_one_object_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """``fetch`` finds it."""
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        found: Any = await loader.fetch(LoadPlan(Member), 8)
        assert found.id == 8


@pytest.mark.parametrize("strategy", [None, "joined", "subquery"])
async def test_a_collection_of_a_class_mapped_to_a_join(engine: AsyncEngine, strategy: Any) -> None:
    """One identity is one item."""
    plan: LoadPlan[Any] = LoadPlan(Group, load("members", strategy=strategy))
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        (found,) = await loader.fetch_all(plan)
        assert [each.id for each in found.members] == [8, 9]


async def test_a_limit_of_a_class_mapped_to_a_join(engine: AsyncEngine) -> None:
    """The first two are two objects."""
    plan: LoadPlan[Any] = LoadPlan(Group, load("members", limit=2))
    async with filled(engine, joined.metadata, *JOIN_ROWS) as loader:
        (found,) = await loader.fetch_all(plan)
        assert [each.id for each in found.members] == [8, 9]
