"""Finds values that expire at a flush or a commit. The next access to the value would run SQL.

tests/tools/test_audit_facts.py has SQLAlchemy do it.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Mapper, scoped_session, sessionmaker

from loadplan.mapped import mapping
from loadplan.tools.audit.findings import Finding, Severity
from loadplan.tools.targets import values_in

_TOUCH = "the next read of it runs SQL: MissingGreenlet."


def expiring_findings(mapper: Mapper[Any]) -> Iterator[Finding]:
    """Yield a finding for every column whose value the database makes and a flush does not read back.

    ``eager_defaults="auto"`` is the default. If the database has RETURNING, it reads back the values that an INSERT
    makes; it never reads back the values that an UPDATE makes. ``True`` reads back both, ``False`` neither. SQLAlchemy
    always reads back a primary key.
    """
    for prop in mapping.column_attributes(mapper):
        if prop.parent is not mapper:
            continue
        subject = f"{mapper.class_.__name__}.{prop.key}"
        column = prop.columns[0]
        if not isinstance(column, Column):
            yield from _expression(subject, prop.expire_on_flush)
        elif not column.primary_key and mapper.eager_defaults is not True:
            yield from _made_by_database(subject, column, inserts_come_back=mapper.eager_defaults == "auto")


def _made_by_database(subject: str, column: Column[Any], *, inserts_come_back: bool) -> Iterator[Finding]:
    advice = '__mapper_args__ = {"eager_defaults": True}'
    if found := _on_update(column):
        yield Finding(
            Severity.RISK,
            "expires",
            subject,
            f"{found}, eager_defaults={'auto' if inserts_come_back else False!r}",
            f"an UPDATE does not bring the new value back, and {_TOUCH}",
            f"{advice}, or a Python function in onupdate=." if found == "onupdate= with SQL" else f"{advice}.",
        )
    if not inserts_come_back and (found := _on_insert(column)):
        yield Finding(
            Severity.RISK,
            "expires",
            subject,
            f"{found}, eager_defaults=False",
            f"an INSERT does not bring the value back, and {_TOUCH}",
            f'{advice}, or "auto".',
        )


def _on_update(column: Column[Any]) -> str | None:
    if column.computed is not None:
        return "Computed"
    if column.server_onupdate is not None:
        return "server_onupdate="
    return "onupdate= with SQL" if column.onupdate is not None and column.onupdate.is_clause_element else None


def _on_insert(column: Column[Any]) -> str | None:
    if column.computed is not None:
        return "Computed"
    if column.server_default is not None:
        return "server_default="
    return "default= with SQL" if column.default is not None and column.default.is_clause_element else None


def _expression(subject: str, expire_on_flush: bool) -> Iterator[Finding]:
    when = "a flush of the object" if expire_on_flush else "the INSERT of the object"
    yield Finding(
        Severity.RISK,
        "expires",
        subject,
        "column_property of an expression",
        f"{when} expires its value, and {_TOUCH}",
        "fetch the object again after the flush, by a plan or by session.refresh().",
    )


def session_findings(modules: list[ModuleType]) -> Iterator[Finding]:
    """Yield a finding for every session factory in modules whose sessions expire their objects at a commit."""
    for name, factory in session_factories(modules):
        if factory.kw.get("expire_on_commit", True):
            yield _expiring_session(name, factory)


def session_factories(modules: list[ModuleType]) -> Iterator[tuple[str, Any]]:
    """Yield the session factories that modules hold, each once, with its first name."""
    seen: set[int] = set()
    for module in modules:
        for name, value in values_in(module):
            factory: Any = value.session_factory if isinstance(value, scoped_session | async_scoped_session) else value
            if isinstance(factory, sessionmaker | async_sessionmaker) and id(factory) not in seen:
                seen.add(id(factory))
                yield f"{module.__name__}:{name}", factory


def _expiring_session(subject: str, factory: "sessionmaker[Any] | async_sessionmaker[AsyncSession]") -> Finding:
    is_async = isinstance(factory, async_sessionmaker)
    return Finding(
        Severity.RISK if is_async else Severity.NOTE,
        "session",
        subject,
        f"{'async_sessionmaker' if is_async else 'sessionmaker'} with expire_on_commit=True",
        "commit() expires every value of every object, and the next read runs SQL"
        + (": MissingGreenlet." if is_async else "; in synchronous code that works."),
        "pass expire_on_commit=False." if is_async else "nothing, unless objects of it go to asynchronous code.",
    )
