"""Random histories: what is fetched in part, changed, and goes back into a session takes no other row along.

The oracle does the same steps in a session that knows all rows. Where loadplan or the database refuses, nothing may
have changed. ``LOADPLAN_PROPERTY_EXAMPLES=n`` runs n histories on SQLite and n on PostgreSQL.
"""

import collections
import copy
import pickle
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from history_models import Base, random_rows
from history_steps import History, Objects, Step, graph_of, random_history, random_steps
from sqlalchemy import event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, with_loader_criteria
from sqlalchemy.orm.exc import FlushError

from loadplan import Loader, PartialCollectionError
from random_cases import CASES, FIRST
from support import tables

Stored = dict[str, list[tuple[Any, ...]]]


class Soft(Session):
    """Hides the marked rows of the classes in its ``info``."""


@event.listens_for(Soft, "do_orm_execute")
def _hide(state: Any) -> None:
    if state.is_select:
        criteria = (with_loader_criteria(kind, kind.gone.is_(False)) for kind in state.session.info["hides"])
        state.statement = state.statement.options(*criteria)


@pytest.fixture
async def database(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        yield engine


async def fill(engine: AsyncEngine, rows: dict[Any, list[dict[str, Any]]]) -> None:
    async with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())
        for table, some in rows.items():
            await connection.execute(insert(table), some)


async def stored(engine: AsyncEngine) -> Stored:
    async with engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, await connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


async def fetched(engine: AsyncEngine, history: History) -> list[Any]:
    bind: Any = engine
    if history.hides:
        bind = async_sessionmaker(engine, sync_session_class=Soft, info={"hides": history.hides})
    roots: list[Any] = await Loader(bind).fetch_many(history.plan, history.ids, missing="skip")
    if history.travel == "pickled":
        return pickle.loads(pickle.dumps(roots))  # type: ignore[no-any-return]
    return copy.deepcopy(roots) if history.travel == "copied" else roots


def go_back(session: Session, history: History, roots: list[Any], steps: list[Step]) -> None:
    """Bring objects back into a session, in the way of a history."""
    objects = Objects(graph_of(roots))
    if history.way in {"add, then change", "add, then delete"}:
        session.add_all(roots)
    for step in steps:
        objects.apply(step)
    if history.way == "change, then add":
        session.add_all(roots)
    elif history.way == "merge":
        for root in roots:
            session.merge(root)
    elif "delete" in history.way:
        session.delete(roots[0])
    session.commit()


def as_it_should_be(session: Session, history: History, root: Any, steps: list[Step]) -> None:
    """Do the same in a session that sees all rows and has loaded none of them before."""
    objects = Objects(session=session)
    with session.no_autoflush:
        for step in steps:
            objects.apply(step)
        if "delete" in history.way:
            session.delete(objects.get(root))
    session.commit()


async def outcome(session: AsyncSession, work: Any, *arguments: Any) -> str:
    """Return how work ended: what was refused is rolled back."""
    async with session:
        try:
            await session.run_sync(work, *arguments)
        except PartialCollectionError:
            return "refused"
        except (DBAPIError, FlushError):  # SQLAlchemy cannot delete what it has not stored yet
            return "refused by the database"
    return "done"


async def run(engine: AsyncEngine, seed: int) -> tuple[History, list[Step], str]:
    """Run one history, and hold what it leaves behind against what it should."""
    chance = random.Random(seed)  # noqa: S311
    rows, history = random_rows(chance), random_history(chance)
    await fill(engine, rows)
    before = await stored(engine)
    roots = await fetched(engine, history)
    if not roots:
        return history, [], "nothing to see"
    steps = []
    if history.way != "delete":
        graph = graph_of(roots)
        steps = random_steps(chance, graph, harmless=history.writes_filtered or "delete" in history.way)
    kind: Any = Soft if history.writes_filtered else Session
    writer = AsyncSession(engine, sync_session_class=kind, info={"hides": history.hides})
    first = (type(roots[0]), roots[0].id)
    how = await outcome(writer, go_back, history, roots, steps)
    after = await stored(engine)
    if how != "done":
        assert after == before, (seed, history, steps, how)
        is_harmless = history.way.endswith(("add", "change")) and not any(each.loses for each in steps)
        assert how != "refused" or not (history.is_whole or is_harmless), (seed, history, steps)
        return history, steps, how
    if history.way == "merge":  # it brings only what the roots still lead to
        shown = graph_of(roots)
        steps = [each for each in steps if each.owner in shown]
    await fill(engine, rows)
    expected = await outcome(AsyncSession(engine), as_it_should_be, history, first, steps)
    assert expected == "done", (seed, history, steps, expected)
    wrong = {name: (after[name], should) for name, should in (await stored(engine)).items() if after[name] != should}
    assert wrong == {}, (seed, history, steps)
    return history, steps, how


async def test_no_history_loses_a_row(database: AsyncEngine) -> None:
    """All that a history does not change is as it was, and what it changes is as if all rows had been seen."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for seed in range(FIRST, FIRST + CASES):
        history, _, how = await run(database, seed)
        found[history.way, how] += 1
    done = sum(number for (_, how), number in found.items() if how == "done")
    refused = sum(number for (_, how), number in found.items() if how == "refused")
    assert done > CASES / 3, found
    assert refused > CASES / 20, found
