"""Table models in a caller's session: what is not loaded, or has expired, is never written short."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel_models import ADA, Item, User

from loadplan import Loader, LoadPlan, NotLoaded, load

NAMES = LoadPlan(User, load(User.items), only=[User.email], name="names")


async def test_what_the_plan_leaves_out_is_not_passed_over(template: AsyncEngine) -> None:
    async with AsyncSession(template) as session:
        user = await Loader(session).fetch_attached(NAMES, ADA)
        assert [item.title for item in user.items] == ["item 10", "item 11", "item 12"]
        with pytest.raises(NotLoaded, match="is not part of plan 'names'"):
            user.model_dump()
        assert user.items[0].model_dump()["title"] == "item 10"
        await session.refresh(user, ["full_name", "hashed_password", "is_active"])
        assert user.model_dump()["full_name"] == "Ada"


async def test_what_a_commit_expired_is_not_passed_over(template: AsyncEngine) -> None:
    async with AsyncSession(template) as session:
        held = await session.get_one(User, ADA)
        plan = LoadPlan(User, load(User.items), name="users")
        user = await Loader(session).fetch_attached(plan, ADA)
        assert user is held
        whole = user.model_dump()
        user.full_name = "Augusta"
        await session.commit()
        with pytest.raises(NotLoaded, match="has expired since it was loaded"):
            user.model_dump_json()
        with pytest.raises(NotLoaded, match="has expired"):
            _ = user.full_name
        await Loader(session).fetch_attached(plan, ADA)
        assert user.model_dump() == {**whole, "full_name": "Augusta"}


async def test_an_extension_brings_columns_back(template: AsyncEngine) -> None:
    loader = Loader(template)
    item = await loader.fetch(LoadPlan(Item, only=[Item.title], name="titles"), ADA.__class__(int=10))
    with pytest.raises(NotLoaded):
        item.model_dump()
    await loader.extend(item, load(Item.owner), only=[Item.description, Item.owner_id])
    assert item.model_dump()["description"] == "of 10"
    assert item.owner is not None
    assert item.owner.model_dump()["email"] == "ada@example.org"
