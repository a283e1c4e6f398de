"""Refuses statements that would read two databases. Only a session with ``binds=`` tells where classes are."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Table
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.sources import is_path
from loadplan.declared.spec import tuple_or_none
from loadplan.errors import PlanError
from loadplan.mapped.elements import element_of
from loadplan.resolved.paths import steps_of, target_of
from loadplan.running import call_problems
from loadplan.running.plans import Compiled
from loadplan.running.session import PrivateSession
from loadplan.sqlalchemy_internals import criteria_of, has_binds, mappers_in, mappers_of, tables_in_binds

#: A mapped class that a statement reads, or a table without a class.
Read: TypeAlias = Mapper[Any] | Table


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
        *((f"{word}=", root, _read_by(each, root)) for word, given in words for each in tuple_or_none(given) or ()),
        *((f"the statement '{name}'", mapper, others) for mapper, name, others in _read_by_statements(compiled)),
    ]
    found = [
        call_problems.in_two_databases(what, mapper, other, at)
        for what, mapper, others in asked
        if (other := _elsewhere(session, mapper, others)) is not None
    ]
    if found:
        raise PlanError(found)


def _elsewhere(session: Session, mapper: Mapper[Any], others: Sequence[Read]) -> Read | None:
    """Return a class or table that is in another database than a class, or None."""
    if not others:
        return None
    here, tables = session.get_bind(mapper=mapper), tables_in_binds(session)
    return next((each for each in others if _bind_of(session, each, tables, here) is not here), None)


def _bind_of(session: Session, read: Read, tables: Mapping[Any, Any], default: Any) -> Any:
    """Return the database of a class or table, and the default if the session does not tell it."""
    if isinstance(read, Table):
        return tables.get(read, default)
    try:
        return session.get_bind(mapper=read)
    except UnboundExecutionError:  # no bind names the class, and SQLAlchemy asks only for the class that is selected
        return default


def _read_by_statements(compiled: Compiled[Any]) -> Sequence[tuple[Mapper[Any], str, Sequence[Read]]]:
    """Return, for each statement of a plan, the class that it selects, its name, and all classes that it reads."""
    found: Any = compiled.variants.get("read by statements")
    if found is None:
        found = compiled.variants["read by statements"] = tuple(
            (each.place.mapper, each.name, _read_in(_parts(each.select), each.place.mapper))
            for each in (compiled.root, *compiled.later)
        )
    read: Sequence[tuple[Mapper[Any], str, Sequence[Read]]] = found
    return read


def _read_by(expression: Any, mapper: Mapper[Any]) -> Sequence[Read]:
    """Return the classes and tables that a condition or an order on a class reads."""
    if not is_path(expression):
        return _read_in(_parts(element_of(expression)), mapper)
    found: list[Mapper[Any]] = []
    parts = _parts(element_of(expression.path[-1]))
    for prop, step in steps_of(expression, mapper):
        mapper = target_of(prop, step)
        found.append(mapper)
        for each in (*criteria_of(step), *(() if prop.secondary is None else (prop.secondary,))):
            parts |= _parts(each)
    return [*found, *_read_in(parts, mapper)]


def _parts(expression: Any) -> set[Any]:
    """Return all parts of an expression, and the tables of its columns."""
    parts: set[Any] = set(iterate(expression))
    return parts | {getattr(each, "table", None) for each in parts}


def _read_in(parts: set[Any], mapper: Mapper[Any]) -> Sequence[Read]:
    """Return the classes that are mapped to tables in parts of a statement, and the tables without a class."""
    tables = {each for each in parts if isinstance(each, Table)} - set(mapper.tables)
    if not tables:
        return ()
    known = dict.fromkeys([*_mappers_around(mapper), *mappers_of(parts)])
    classes = [each for each in known if each.local_table in tables]
    others: list[Table] = sorted(tables.difference(each.local_table for each in classes), key=str)
    return [*classes, *others]


def _mappers_around(mapper: Mapper[Any]) -> list[Mapper[Any]]:
    """Return all mappers of a class's registry, and of the registries to which relationships lead from there."""
    registries, found = [mapper.registry], list[Mapper[Any]]()
    for each in registries:  # it grows
        here = mappers_in(each)
        found += here
        targets = (relationship.mapper.registry for one in here for relationship in one.relationships)
        registries += dict.fromkeys(target for target in targets if target not in registries)
    return found
