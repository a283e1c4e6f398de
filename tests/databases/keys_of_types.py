"""A relationship whose key is of any type, at both of its ends: its rows, and what must come of them."""

from typing import Any

import pytest
from sqlalchemy.dialects.postgresql import HSTORE
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import Loader, LoadPlan, PlanError, load

STRATEGIES: list[Any] = [None, "joined", "selectin", "subquery"]


async def fill_keys(engine: AsyncEngine, parent: Any, child: Any, keys: list[Any]) -> None:
    """Give each of three parents a key and two children; a seventh child has no parent, where it need not have one."""
    async with AsyncSession(engine) as session:
        session.add_all(parent(id=number, key=key) for number, key in enumerate(keys, 1))
        await session.flush()
        session.add_all(child(id=number, key=keys[number % 3]) for number in range(1, 7))
        if child.key.nullable:
            session.add(child(id=7))
        await session.commit()


async def check_keys(engine: AsyncEngine, down: Any, up: Any, order: list[int] | None) -> None:
    """Check a relationship by such keys in both directions, and the order of pages by the key.

    Args:
        engine: of the database.
        down: the collection of the parent.
        up: the way back.
        order: ids of the parents in the order of their keys; None where no cursor can hold a key.
    """
    loader, parent, child = Loader(engine), down.class_, up.class_
    expected = [[3, 6], [1, 4], [2, 5]]
    for strategy in STRATEGIES:
        parents = await loader.fetch_many(LoadPlan(parent, load(down, strategy=strategy)), [1, 2, 3])
        assert [[each.id for each in getattr(one, down.key)] for one in parents] == expected, strategy
        children = await loader.fetch_all(LoadPlan(child, load(up, strategy=strategy)), order_by=child.id)
        found = [getattr(each, up.key) and getattr(each, up.key).id for each in children]
        assert found == [2, 3, 1, 2, 3, 1, None][: len(children)], strategy
    first = LoadPlan(parent, load(down, order_by=child.id.desc(), limit=1))
    assert [getattr(one, down.key)[0].id for one in await loader.fetch_many(first, [1, 2, 3])] == [6, 4, 5]
    if order is None:
        with pytest.raises(PlanError, match="LP110"):
            await loader.fetch_page(LoadPlan(parent), parent.key)
    if isinstance(parent.key.type, HSTORE):  # sorted, but not compared
        with pytest.raises(PlanError, match="LP110"):
            await loader.fetch_page(LoadPlan(parent, only=[parent.id]), parent.key)
        return
    # a cursor does not hold a value that the page does not show: the database compares it
    hidden = LoadPlan(parent, only=[parent.id])
    for plan in [hidden] if order is None else [hidden, LoadPlan(parent)]:
        paged, after = [], None
        while True:
            page = await loader.fetch_page(plan, parent.key, 1, after=after)
            paged += [each.id for each in page.items]
            if (after := page.next) is None:
                break
        in_order = await loader.fetch_all(plan, order_by=parent.key)
        assert paged == (order or [each.id for each in in_order])
