"""Fetch, change, add to a session, flush: the rows afterwards are those of the same steps in plain SQLAlchemy.

Two equal databases go through one history: one with objects that loadplan fetched, one with objects that a session
loaded lazily. Every row of every table is compared.
"""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import sqlalchemy as sa
from foreign_comparing import identity, listed
from foreign_drawing import primary_key
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm.interfaces import RelationshipDirection

from loadplan import Loader, LoadPlan, LoadPlanError, load


@attrs.frozen
class Step:
    """One change of one root.

    Attributes:
        word: set a column, remove or add a member, set a to-one, or clear it.
        root: position of the root.
        name: of the attribute.
        value: of a column, or a position.
    """

    word: str
    root: int
    name: str
    value: Any = None


@attrs.define
class History:
    """A plan of a root and its relationships, and changes to what it brings."""

    plan: LoadPlan[Any]
    steps: list[Step]

    @classmethod
    def drawn(cls, chance: random.Random, mapper: orm.Mapper[Any]) -> "History":
        populated = [each for each in mapper.relationships if each.lazy not in {"dynamic", "write_only"}]
        chosen = chance.sample(populated, min(len(populated), chance.choice((1, 2, 3))))
        loads = [load(getattr(mapper.class_, prop.key)) for prop in chosen]
        steps = []
        free = [
            prop.key
            for prop in mapper.column_attrs
            if isinstance(prop.columns[0], sa.Column)
            and isinstance(prop.columns[0].type, sa.String)
            and not isinstance(prop.columns[0].type, sa.Enum)
            and not prop.columns[0].primary_key
            and not prop.columns[0].foreign_keys
            and prop.columns[0] is not mapper.polymorphic_on
            and not prop.deferred
        ]
        for _ in range(chance.choice((1, 2, 4))):
            root = chance.randrange(3)
            if free and chance.random() < 0.5:
                steps.append(Step("set", root, chance.choice(free), chance.choice(("new", "", "é"))))
            elif chosen:
                prop = chosen.pop()  # an object that is moved twice without a backref has no one right owner
                moves = prop.back_populates if prop.uselist else prop.direction is RelationshipDirection.MANYTOONE
                words = ("remove", "add") if prop.uselist else ("clear", "move")
                words = words if moves else words[:1]
                steps.append(Step(chance.choice(words), root, prop.key, chance.randrange(3)))
        return cls(LoadPlan(mapper.class_, *loads, name="history"), steps)

    @property
    def key(self) -> list[Any]:
        return [getattr(self.plan.entity, name) for name in primary_key(sa.inspect(self.plan.entity))]

    def apply(self, roots: list[Any]) -> None:
        for step in self.steps:
            if step.root < len(roots):
                self.change(roots, roots[step.root], step)

    def change(self, roots: list[Any], root: Any, step: Step) -> None:
        if step.word == "set":
            setattr(root, step.name, step.value)
            return
        there = sorted(listed(getattr(root, step.name)), key=lambda each: repr(identity(each)))
        others = [
            each
            for other in roots
            for each in listed(getattr(other, step.name))
            if not any(each is one for one in there)
        ]
        others.sort(key=lambda each: repr(identity(each)))
        held = getattr(root, step.name)
        if step.word == "clear":
            setattr(root, step.name, None)
        elif step.word == "move" and others:
            setattr(root, step.name, others[step.value % len(others)])
        elif step.word == "remove" and there:
            child = there[step.value % len(there)]
            if isinstance(held, dict):
                held.pop(next(key for key, each in held.items() if each is child))
            else:
                held.remove(child)
        elif step.word == "add" and others and not isinstance(held, dict):
            (held.add if isinstance(held, set) else held.append)(others[step.value % len(others)])


async def differences(
    history: History, database: Callable[[], AbstractAsyncContextManager[AsyncEngine]], metadata: sa.MetaData
) -> tuple[str | None, str]:
    """Run a history on two equal databases, one after the other.

    Returns:
        The first difference, or None; and how it ended: ``same``, ``differs``, ``refused`` by
        loadplan, or ``SQLAlchemy fails``.
    """
    async with database() as engine:
        plain = await _plainly(history, engine)
        expected = await _all_rows(engine, metadata)
    async with database() as engine:
        try:
            fetched = await _with_plan(history, engine)
        except LoadPlanError as error:
            return None, f"refused: {str(error).splitlines()[0]}"
        found = await _all_rows(engine, metadata)
    if plain is not None:
        return None, "SQLAlchemy fails"
    if fetched is not None:
        return f"ended in {_brief(fetched)}", "differs"
    for table in found:
        if found[table] != expected[table]:
            less = [row for row in expected[table] if row not in found[table]][:1]
            more = [row for row in found[table] if row not in expected[table]][:1]
            return f"rows of {table}: {more} instead of {less}", "differs"
    return None, "same"


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"


async def _plainly(history: History, engine: AsyncEngine) -> Exception | None:
    def work(session: orm.Session) -> None:
        statement = sa.select(history.plan.entity).options(orm.lazyload("*")).order_by(*history.key)
        roots = list(session.scalars(statement).unique())
        with session.no_autoflush:
            for root in roots:
                for each in history.plan.loads:
                    listed(getattr(root, each.relationship.key))
            history.apply(roots)
        session.commit()

    async with AsyncSession(engine) as session:
        try:
            await session.run_sync(work)
        except Exception as error:
            return error
    return None


async def _with_plan(history: History, engine: AsyncEngine) -> Exception | None:
    roots = await Loader(engine).fetch_all(history.plan, order_by=history.key)
    async with AsyncSession(engine) as session:
        try:
            session.add_all(roots)

            def work(session: orm.Session) -> None:
                with session.no_autoflush:
                    history.apply(roots)
                session.commit()

            await session.run_sync(work)
        except LoadPlanError:
            raise
        except Exception as error:
            return error
    return None


async def _all_rows(engine: AsyncEngine, metadata: sa.MetaData) -> dict[str, list[str]]:
    async with engine.connect() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in await connection.execute(sa.select(table)))
            for table in metadata.tables.values()
        }
