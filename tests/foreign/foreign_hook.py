"""A pytest plugin for SQLAlchemy's own tests: after each test it holds loadplan against the mappings and rows at hand.

``test_foreign_sqlalchemy`` starts SQLAlchemy's tests with ``-p foreign_hook``. A database on SQLite is copied, so
nothing here can change what the test goes on with. One on PostgreSQL is read where it is. Differences and figures go
to the file that ``LOADPLAN_FOREIGN_REPORT`` names, one JSON object a line.
"""

import asyncio
import json
import os
import random
import sqlite3
import warnings
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from foreign_comparing import Comparison
from foreign_databases import restored
from foreign_drawing import Drawer, size_of
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import mapperlib

from loadplan import PlanError
from loadplan.sqlalchemy_internals import mappers_in

REPORT = Path(os.environ.get("LOADPLAN_FOREIGN_REPORT", os.devnull))
PLANS = int(os.environ.get("LOADPLAN_FOREIGN_PLANS", "2"))
#: How often the same mappings over the same rows are worth new plans: many tests share a fixture.
SAME = int(os.environ.get("LOADPLAN_FOREIGN_SAME", "2"))
seen: Counter[Any] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Let SQLAlchemy's tests start on a PostgreSQL without the extensions that they ask for."""
    from sqlalchemy.dialects.postgresql import provision as _registers  # noqa: F401
    from sqlalchemy.testing import provision  # its plugin must load it first

    provision.post_configure_engine.fns.pop("postgresql", None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run the test, then compare before anything is torn down. A test that fails is none of our business."""
    result = yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hold(item.nodeid)
    return result


def hold(where: str) -> None:
    """Draw plans over the mappings that the test has left, and compare."""
    mappers = live_mappers()
    if not mappers:
        return
    there = database()
    if there is None:
        return
    alike = signature(mappers, there.content)
    seen[alike] += 1
    if seen[alike] > SAME:
        return
    chance = random.Random(where)  # noqa: S311
    report: dict[str, Any] = {"where": where, "mappers": len(mappers), "plans": 0, "relationships": 0, "refused": []}
    report |= {"compared": {}, "not walked": 0}
    try:
        report["differences"] = asyncio.run(asyncio.wait_for(compare(there, mappers, chance, report), 120))
    except Exception as error:
        report["broken"] = f"{type(error).__name__}: {error}"[:300]
    with REPORT.open("a") as file:
        file.write(json.dumps(report) + "\n")


def live_mappers() -> list[orm.Mapper[Any]]:
    """Return the mappers that can be configured, in an order that is the same in every run."""
    found: list[orm.Mapper[Any]] = []
    for registry in mapperlib._all_registries():
        try:
            registry.configure()
        except Exception:  # noqa: S112 - a test of what cannot be configured
            continue
        # the mapping of some classes fails, as it has to in their tests
        found += [mapper for mapper in mappers_in(registry) if mapper.configured]
    return sorted(found, key=lambda each: (each.class_.__module__, each.class_.__qualname__, str(each.local_table)))


def signature(mappers: list[orm.Mapper[Any]], content: bytes) -> Any:
    """Return what tells the mappings and rows of one test from those of another."""
    shape = [
        (each.class_.__name__, str(each.local_table), each.with_polymorphic is not None)  # noqa: RUF005
        + tuple((prop.key, getattr(prop, "lazy", None), str(getattr(prop, "order_by", ""))) for prop in each.attrs)
        for each in mappers
    ]
    return hash(content), repr(shape)


@attrs.frozen
class Database:
    """What SQLAlchemy's tests run on.

    Attributes:
        url: of a database on PostgreSQL. None for one on SQLite, which is copied.
        content: what tells it from the same database at another time. The copy of a SQLite database is made of it.
    """

    url: sa.URL | None
    content: bytes

    async def engine(self) -> AsyncEngine:
        if self.url is None:
            return await restored(self.content)
        # a test may have locked its tables
        settings = {"server_settings": {"lock_timeout": "2000"}}
        return create_async_engine(self.url, poolclass=sa.NullPool, connect_args=settings)


def database() -> Database | None:
    """Return the database that SQLAlchemy's tests run on."""
    from sqlalchemy.testing import config  # its plugin must load it first

    engine = config.db
    if engine is None or engine.dialect.is_async:
        return None
    if engine.dialect.name == "postgresql":
        return Database(engine.url.set(drivername="postgresql+asyncpg"), rows_of(engine))
    content = copied(engine) if engine.dialect.name == "sqlite" else None
    return Database(None, content) if content else None


def rows_of(engine: sa.Engine) -> bytes:
    """Return all rows of a database on PostgreSQL, as text."""
    with engine.connect() as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        quoted = engine.dialect.identifier_preparer.quote
        rows = [sorted(connection.scalars(sa.text(f"SELECT t::text FROM {quoted(name)} AS t"))) for name in names]  # noqa: S608
    return repr([*zip(names, rows, strict=True)]).encode()


def copied(engine: sa.Engine) -> bytes | None:
    """Return the whole database of an engine on SQLite."""
    raw: Any = engine.raw_connection()
    try:
        content: bytes = raw.driver_connection.serialize()
    except sqlite3.OperationalError:  # a test without tables has nothing to serialize
        return None
    finally:
        raw.close()
    return content


async def compare(
    there: Database, mappers: list[orm.Mapper[Any]], chance: random.Random, report: dict[str, Any]
) -> list[dict[str, str]]:
    """Draw plans of the mappers that have tables, and return what differs."""
    engine = await there.engine()
    found: list[dict[str, str]] = []
    try:
        async with engine.connect() as connection:
            names = set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
            names |= set(await connection.run_sync(lambda sync: sa.inspect(sync).get_view_names()))
        usable = [each for each in mappers if tables_of(each) and tables_of(each) <= names]
        for mapper in chance.sample(usable, min(len(usable), PLANS)):
            drawer = Drawer(chance)
            try:
                plan = drawer.plan(mapper, depth=2)
                order = [chance.choice(drawer.comparable(mapper.class_))]
            except PlanError as error:
                report["refused"].append(str(error).splitlines()[0])
                continue
            except Exception as error:
                report.setdefault("not drawn", []).append(f"{type(error).__name__}: {error}"[:200])
                continue
            comparison = Comparison(engine, plan)
            await comparison.all(order)
            report["plans"] += 1
            report["compared"] = Counter(report["compared"]) + comparison.compared
            report["not walked"] += not comparison.walked
            report["relationships"] += size_of(plan)
            report["refused"] += comparison.refused
            found += [{"line": each.line, "plan": each.plan} for each in comparison.differences]
    finally:
        await engine.dispose()
    return found


def tables_of(mapper: orm.Mapper[Any]) -> set[str]:
    """Return the names of the tables below a mapper; of none that has a schema, which the copy lacks."""
    selectable: Any = mapper.persist_selectable
    tables = {each for each in sa.sql.visitors.iterate(selectable) if isinstance(each, sa.Table)}
    return {f"{each.schema}.{each.name}" if each.schema else each.name for each in tables}
