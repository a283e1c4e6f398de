"""Random histories: objects of a session, a graph attached, changes, a commit. No row is lost, orphaned or changed.

The oracle: the same history, with every attribute loaded lazily by SQLAlchemy itself in ``run_sync``.
``LOADPLAN_PROPERTY_EXAMPLES=n`` plays n / 4 histories on each database.
"""

import random
from typing import Any

import attrs
from attached_models import Artist, Base, Label, Step, Tag, Work
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, load_only

from loadplan import Loader, LoadPlan, load
from random_cases import CASES, FIRST

HISTORIES = max(1, CASES // 4)

#: Each plan, with the attributes that its changes may touch.
PLANS: list[tuple[LoadPlan[Any], set[str]]] = [
    (
        LoadPlan(
            Artist,
            load(
                Artist.works,
                load(Work.tags),
                load(Work.labels, load(Label.remarks)),
                load(Work.steps),
                load(Work.sheet),
            ),
            load(Artist.team),
            name="all of an artist",
        ),
        {"works", "tags", "labels", "steps", "sheet", "team"},
    ),
    (LoadPlan(Artist, load(Artist.works, only=[Work.title]), name="works"), {"works"}),
    (
        LoadPlan(
            Work,
            load(Work.artist, load(Artist.works, load(Work.tags))),
            load(Work.tags, load(Tag.works)),
            load(Work.steps),
            name="around a work",
        ),
        {"works", "tags", "steps", "artist"},
    ),
    (LoadPlan(Work, load(Work.labels), load(Work.sheet), only=[Work.title, Work.details]), {"labels", "sheet"}),
]

#: What the extension of a history adds.
MORE: dict[str, Any] = {
    "works": lambda: load(Artist.works, load(Work.tags)),
    "tags": lambda: load(Work.tags),
    "steps": lambda: load(Work.steps),
}


@attrs.frozen
class History:
    """What happens, as numbers: the same for the loader and for the oracle."""

    seed: int
    plan: int
    root: int
    refresh: bool
    autoflush: bool

    @property
    def chance(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311


def random_history(seed: int) -> History:
    chance = random.Random(seed)  # noqa: S311
    plan = chance.randrange(len(PLANS))
    root = chance.randint(1, 2 if PLANS[plan][0].entity is Artist else 3)
    return History(seed, plan, root, chance.random() < 0.5, chance.random() < 0.5)


def before(session: Session, chance: random.Random) -> list[Any]:
    """Do this and that in the session before the fetch; return what somebody goes on holding."""
    held: list[Any] = []
    for _ in range(chance.randint(0, 5)):
        kind = chance.choice([Artist, Work, Work, Tag])
        number = chance.randint(1, 2)
        columns = [kind.id, kind.name if kind is not Work else Work.title]
        options = [load_only(*columns)] if chance.random() < 0.3 else []
        entity: Any = session.scalars(select(kind).where(kind.id == number).options(*options)).one_or_none()
        if entity is None:
            continue
        held.append(entity)
        match chance.randrange(8):
            case 0 if kind is Work:
                entity.title = f"before {chance.random()}"
            case 1 if kind is Work:
                entity.artist = session.get(Artist, chance.randint(1, 2))
                held.append(entity.artist)
                session.flush()  # else no row says that the work is in that collection
            case 2:
                session.flush()
                session.expire(entity)
            case 3 if kind is Work:
                entity.notes = "noted"
                entity.details["before"] = 1
            case 4 if kind is Artist:
                held.append(Work(id=50 + len(held), title="pending", artist=entity))
                session.add(held[-1])
            case 5 if kind is Artist:
                held.append(list(entity.works))
            case 6 if kind is Work:
                held.append(dict(entity.labels))
            case 7 if kind is Work and number == 2:
                held.append(set(entity.tags))
            case _:
                pass
    return held


def by_id(work: Any) -> int:
    number: int = work.id
    return number


def change(root: Any, chance: random.Random, names: set[str]) -> None:
    """Change a graph that is loaded, touching nothing that is not."""
    works = [root] if isinstance(root, Work) else list(root.works)
    works += list(root.artist.works) if "artist" in names and root.artist is not None else []
    works.sort(key=by_id)  # a collection that was there before has the order of its changes, a refreshed one its own
    for number in range(chance.randint(1, 5)):
        work = chance.choice(works) if works else None
        what = chance.choice(["title", *sorted(names)])
        if what == "title" and work is not None:
            work.title = f"after {chance.random()}"
        elif what == "works":
            artist = root if isinstance(root, Artist) else root.artist
            if artist is None:
                continue
            if chance.random() < 0.4 and artist.works:
                gone = chance.choice(sorted(artist.works, key=by_id))
                artist.works.remove(gone)
                works = [each for each in works if each is not gone] or [root] * isinstance(root, Work)
            else:
                artist.works.append(Work(id=60 + number, title="new"))
        elif what == "artist":
            root.artist = None if chance.random() < 0.3 else root.artist
        elif what == "team":
            root.team = []
        elif work is None or work.id >= 50:
            continue
        elif what == "tags" and "tags" in work.__dict__:
            for tag in sorted(work.tags, key=lambda each: each.id)[:1]:
                work.tags.discard(tag)
        elif what == "labels" and "labels" in work.__dict__:
            work.labels.pop("en", None)
            work.labels["fr"] = Label(lang="fr", text="nouveau")
        elif what == "steps" and "steps" in work.__dict__:
            work.steps.insert(0, Step(id=100 * work.id + number, text="before all"))
        elif what == "sheet" and "sheet" in work.__dict__:
            work.sheet = None if chance.random() < 0.5 else work.sheet


def touch(root: Any, plan: LoadPlan[Any]) -> None:
    """Load by reading what a plan names."""
    waiting = [(root, plan.loads)]
    while waiting:
        entity, loads = waiting.pop()
        for each in loads:
            value = getattr(entity, each.relationship.key)
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | set) else [value]
            waiting += [(item, each.loads) for item in items if item is not None]


async def by_loader(session: AsyncSession, history: History) -> None:
    plan, names = PLANS[history.plan]
    chance = history.chance
    held = await session.run_sync(before, chance)
    loader = Loader(session)
    root = await loader.fetch_attached(plan, history.root, refresh=history.refresh)
    change(root, chance, names)
    await session.commit()
    if root not in session:  # deleted as an orphan
        return
    again = await loader.fetch_attached(plan, history.root)
    assert again is root
    assert graph(again, plan) == graph(await loader.fetch(plan, history.root), plan)
    more = chance.choice(sorted(MORE))
    if hasattr(plan.entity, more):
        await loader.extend(root, MORE[more](), refresh=history.refresh)
        change(root, chance, {more})
        await session.commit()
    assert held is not None


def by_hand(session: Session, history: History) -> None:
    plan, names = PLANS[history.plan]
    chance = history.chance
    held = before(session, chance)
    root = session.get_one(plan.entity, history.root)
    touch(root, plan)
    change(root, chance, names)
    session.commit()
    if root not in session:
        return
    more = chance.choice(sorted(MORE))
    if hasattr(plan.entity, more):
        touch(root, plan)
        touch(root, LoadPlan(plan.entity, MORE[more]()))
        change(root, chance, {more})
        session.commit()
    assert held is not None


def graph(root: Any, plan: LoadPlan[Any]) -> Any:
    """Return what a plan names of a graph as values."""

    def value_of(entity: Any, loads: Any) -> Any:
        if entity is None:
            return None
        keys = sorted(set(entity.__dict__) & {"id", "title", "name", "lang", "text", "version", "position"})
        below = {}
        for each in loads:
            value = entity.__dict__[each.relationship.key]
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | set) else [value]
            found = [value_of(item, each.loads) for item in items]
            below[each.relationship.key] = found if isinstance(value, list) else sorted(map(repr, found))
        return {key: entity.__dict__[key] for key in keys}, below

    return value_of(root, plan.loads)


async def rows(engine: AsyncEngine) -> dict[str, list[Any]]:
    async with engine.connect() as connection:
        return {
            table.name: sorted((await connection.execute(select(table))).all(), key=repr)
            for table in Base.metadata.sorted_tables
        }


async def restore(engine: AsyncEngine, content: dict[str, list[Any]]) -> None:
    async with engine.begin() as connection:
        await connection.execute(Artist.__table__.update().values(boss_id=None))  # type: ignore[attr-defined]
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())
        for table in Base.metadata.sorted_tables:
            if content[table.name]:
                await connection.execute(insert(table), [row._asdict() for row in content[table.name]])


async def played(engine: AsyncEngine, history: History, *, loader: bool) -> Any:
    """Play a history, and return all rows behind it, or the error that ended it."""
    async with AsyncSession(engine, autoflush=history.autoflush) as session:
        try:
            await (by_loader(session, history) if loader else session.run_sync(by_hand, history))
        except AssertionError:
            raise
        except Exception as error:
            return type(error)
    return await rows(engine)


async def test_no_history_loses_a_row(studio: AsyncEngine) -> None:
    start = await rows(studio)
    kinds: dict[bool, int] = {True: 0, False: 0}
    for seed in range(FIRST, FIRST + HISTORIES):
        history = random_history(seed)
        expected = await played(studio, history, loader=False)
        await restore(studio, start)
        found = await played(studio, history, loader=True)
        await restore(studio, start)
        assert found == expected, history
        kinds[isinstance(expected, dict)] += 1
    assert kinds[True] > kinds[False]
