"""Refuses statements that would read two databases. Only a session with ``binds=`` tells where classes are."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.sources import is_path
from loadplan.declared.spec import tuple_or_none
from loadplan.errors import PlanError
from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of
from loadplan.resolved.paths import target_of
from loadplan.running import call_problems
from loadplan.running.plans import Compiled
from loadplan.running.session import PrivateSession
from loadplan.sqlalchemy_internals import criteria_of, has_binds, mappers_in

At = tuple[str, ...]


def check_in_one_database(private: PrivateSession, compiled: Compiled[Any], where: Any, order_by: Any) -> None:
    """Check that each statement of a fetch reads one database.

    Args:
        private: the session of the fetch. It is not open yet.
        compiled: the plan.
        where: the conditions on the roots: one, several or None. They were checked before.
        order_by: the orders of the roots, in the same way.

    Raises:
        PlanError: LP215, a condition, an order or a load reads a class of another database.
    """
    session = getattr(private, "session", None)
    if not isinstance(session, Session) or not has_binds(session):
        return
    if type(session).get_bind is not Session.get_bind:  # it may choose another replica in each call
        return
    root, at = compiled.mapper, (compiled.tree.label,)
    words = (("where", where), ("order_by", order_by))
    asked = [
        *((f"{word}=", root, _classes_in(each, root)) for word, given in words for each in tuple_or_none(given) or ()),
        *((f"the statement '{name}'", mapper, others) for mapper, name, others in _classes_of_statements(compiled)),
    ]
    found = [
        call_problems.in_two_databases(what, mapper, other, at)
        for what, mapper, others in asked
        if (other := _elsewhere(private, mapper, others)) is not None
    ]
    if found:
        raise PlanError(found)


def _elsewhere(private: PrivateSession, mapper: Mapper[Any], others: Sequence[Mapper[Any]]) -> Mapper[Any] | None:
    """Return a class that is in another database than the first one, or None."""
    numbers = private.databases([mapper, *others]) if others else None
    if numbers is None:
        return None
    return next((each for each, (number, _) in zip(others, numbers[1:], strict=True) if number != numbers[0][0]), None)


def _classes_of_statements(compiled: Compiled[Any]) -> Sequence[tuple[Mapper[Any], str, Sequence[Mapper[Any]]]]:
    """Return, for each statement of a plan, the class that it selects, its name, and all classes that it reads."""
    found: Any = compiled.variants.get("classes of statements")
    if found is None:
        found = compiled.variants["classes of statements"] = tuple(
            (each.place.mapper, each.name, _mapped_to(_tables_in(each.select), each.place.mapper))
            for each in (compiled.root, *compiled.later)
        )
    read: Sequence[tuple[Mapper[Any], str, Sequence[Mapper[Any]]]] = found
    return read


def _classes_in(expression: Any, mapper: Mapper[Any]) -> Sequence[Mapper[Any]]:
    """Return the classes that a condition or an order on a class reads."""
    if not is_path(expression):
        return _mapped_to(_tables_in(element_of(expression)), mapper)
    *steps, end = expression.path
    found: list[Mapper[Any]] = []
    tables = _tables_in(element_of(end))
    for step in steps:
        prop = mapping.relationship(mapper, step.key)
        assert prop is not None  # noqa: S101 - the path was checked
        mapper = target_of(prop, step)
        found.append(mapper)
        for each in criteria_of(step):
            tables |= _tables_in(each)
    return [*found, *_mapped_to(tables, mapper)]


def _tables_in(expression: Any) -> set[Table]:
    parts = set(iterate(expression))
    columns = {getattr(each, "table", None) for each in parts}
    return {each for each in parts | columns if isinstance(each, Table)}


def _mapped_to(tables: set[Table], mapper: Mapper[Any]) -> list[Mapper[Any]]:
    """Return the classes that are mapped to tables."""
    return [*_known(tables, mapper)] if tables - set(mapper.tables) else []


def _known(tables: set[Table], mapper: Mapper[Any]) -> Iterator[Mapper[Any]]:
    for each in mappers_in(mapper.registry):
        if each.local_table in tables and each.local_table not in mapper.tables:
            yield each
