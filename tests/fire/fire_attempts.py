"""Attempts with hostile values, and what each of them may come to."""

from collections.abc import Callable, Coroutine
from typing import Any

import attrs
from fire_hostile import (
    RIGHT,
    Marked,
    Named,
    Pair,
    Thing,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import (
    LoadPlan,
    LoadPlanError,
    load,
)
from support import Statements, recording


@attrs.frozen
class PartView:
    id: int
    name: str


@attrs.frozen
class ThingView:
    id: int
    text: str | None
    parts: list[PartView]


THING, THING_VIEW = LoadPlan(Thing, load(Thing.parts)), LoadPlan(Thing, into=ThingView)
KEYED: dict[str, tuple[LoadPlan[Any], Any, Callable[[Any], Any]]] = {
    "entity": (THING, 1, lambda found: found.id),
    "view": (THING_VIEW, 1, lambda found: found.id),
    "text": (LoadPlan(Named), "one", lambda found: found.name),
    "pair": (LoadPlan(Pair), (1, "one"), lambda found: (found.left, found.right)),
    "uuid": (LoadPlan(Marked), RIGHT["mark"], lambda found: found.mark),
}

Attempt = Callable[[Any], Coroutine[Any, Any, Any]]


async def answers(attempt: Attempt, value: Any) -> Any:
    """Return what an attempt answers, or loadplan's error; nothing else may come out."""
    try:
        return await attempt(value)
    except LoadPlanError as error:
        found = error
    assert 0 < len(str(found)) < 5000
    return found


async def assert_harmless(
    engine: AsyncEngine, attempt: Attempt, harmless: list[Any], values: list[Any]
) -> dict[int, Any]:
    """Make attempts with hostile values; fail if one sends SQL that harmless values do not.

    Returns:
        What was answered, by the place of the value, errors left out.
    """
    with recording(engine) as expected:
        for value in harmless:
            await attempt(value)
    with recording(engine) as sent:
        found = [await answers(attempt, value) for value in values]
    assert unknown(sent, expected) == []
    assert any(isinstance(each, LoadPlanError) for each in found)
    return {at: each for at, each in enumerate(found) if not isinstance(each, LoadPlanError)}


def unknown(sent: Statements, expected: Statements) -> list[str]:
    return sorted(set(sent) - set(expected))
