"""Makes the problems of a call: with its plan, its bind, its ids, its cursor. Pure."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import ClauseElement, Connection, Engine, Table, make_url
from sqlalchemy.orm import Mapper, QueryableAttribute, sessionmaker

from loadplan.errors import Problem, shown
from loadplan.mapped import mapping
from loadplan.resolved import meant, meant_here, number_problems
from loadplan.resolved.meant import safely
from loadplan.resolved.problems import At, not_an_expression, safely_described


def not_of_roots(word: str, given: object, at: At, here: type[Any]) -> Problem:
    """Return the problem of a condition or an order of roots that is not a SQL expression.

    The hint also covers ``source(Post.author, User.name) == "Ada"``, which Python evaluates.
    """
    found = not_an_expression(word, given, at, here)
    if word == "where" and type(given) is int and (found.hint or "").endswith(f" == {shown(given)}."):
        return attrs.evolve(found, hint=f"{found.hint} To fetch by primary key, write fetch(plan, {shown(given)}).")
    if word != "where" or type(given) is not bool:
        return found
    path = safely(meant_here.comparing_path, here)
    compared = "" if path is None else f"If you compare a source(...), put the comparison into it: {path}. "
    compared += "If you compare a count(...), write a subquery."
    return attrs.evolve(found, hint=f"{found.hint} {compared}")


def not_a_plan(given: object) -> Problem:
    """Return the problem of ``loader.fetch(User, 1)``, or of another value that is not a plan."""
    message = f"a fetch needs a LoadPlan, but got {safely_described(given)}"
    return Problem("LP408", message, hint=safely(meant.instead_of_plan, given))


def not_a_bind(given: object, loader: str, binds: Sequence[str], *, of_other: bool) -> Problem:
    """Return the problem of ``Loader("postgresql://...")``, or of another value that is not a bind.

    Args:
        given: the value in place of a bind.
        loader: ``"Loader"`` or ``"SyncLoader"``.
        binds: the names of the classes that the loader takes.
        of_other: whether the other loader takes this value.
    """
    around, hint = safely(meant.around_bind, given, loader), safely(meant.instead_of_bind, given, loader)
    if around is not None:
        hint = around
    elif of_other:
        other = "SyncLoader" if loader == "Loader" else "Loader"
        hint = f"use {other}, or give it an {', '.join(binds[:-1])} or {binds[-1]}."
    elif hint is None:
        hint = f"pass an {', '.join(binds[:-1])} or {binds[-1]}."
    what = _without_password(given) if isinstance(given, str) else safely_described(given)
    return Problem("LP408", f"a {loader} cannot use {what}", hint=hint)


def _without_password(given: str) -> str:
    with contextlib.suppress(Exception):  # the text need not be a URL
        given = make_url(given).render_as_string(hide_password=True)
    return shown(given)


def not_a_cursor_key(given: object) -> Problem:
    """Return the problem of ``Loader(engine, cursor_key="secret")``."""
    hint = "encode the text: cursor_key=text.encode()." if isinstance(given, str) else "pass bytes, or a Fernet."
    return Problem("LP408", f"cursor_key= needs bytes or a cipher, but got a {type(given).__name__}", hint=hint)


def several_have_key(label: str, entity: str, given: object) -> Problem:
    """Return the problem of a primary key that several objects have, because concrete classes may share keys."""
    return Problem(
        "LP403",
        f"more than one '{entity}' has the primary key {shown(given)}",
        (label,),
        detail="its subclasses are concrete, and their tables use the same key.",
        hint="fetch a plan of the subclass that you mean, or use fetch_all(..., where=...).",
    )


def not_an_id(given: object, entity: str, detail: str, columns: Sequence[tuple[str, str]], label: str) -> Problem:
    """Return the problem of a value that cannot be a primary key. ``columns`` are the names and types of the key."""
    listed = ", ".join(f"{name} ({kind})" for name, kind in columns)
    shape = "one value" if len(columns) == 1 else f"a tuple of {len(columns)} values, or a mapping by name"
    hint = safely(meant.instead_of_id, given, entity, [kind for _, kind in columns])
    return Problem(
        "LP404",
        f"{_id(given)} cannot be the primary key of '{entity}'",
        (label,),
        detail=f"{detail}.",
        hint=hint or f"pass {shape}: {listed}.",
    )


def _id(given: object) -> str:
    kind = type(given)  # isinstance would read __class__ of the value, which may raise
    has_own_words = issubclass(kind, ClauseElement | type) or kind.__repr__ is object.__repr__
    return safely_described(given) if has_own_words else shown(given)


def joined_in_stream(label: str, edge: Any) -> Problem:
    """Return the problem of ``stream`` with a plan that joins a collection to its root."""
    return Problem(
        "LP216",
        f"stream() cannot join the collection '{edge.name}'",
        (label, *(each.rpartition(".")[2] for each in edge.target.path)),
        detail="a stream reads rows in batches, and a joined collection spreads one root over many rows.",
        hint=f"remove strategy= from load({edge.name}).",
    )


def part_in_session(label: str, path: Sequence[str], name: str) -> Problem:
    """Return the problem of ``fetch_attached`` with a plan that loads only some rows of a relationship."""
    return Problem(
        "LP221",
        f"'{name}' would hold only some of its rows in your session",
        (label, *path),
        detail="the plan gives it a where= or limit=. Other code in the session would treat these rows as all rows.",
        hint="use fetch(plan, id) for a detached graph, or a view (into=), or load it without where= and limit=.",
    )


def view_in_session(label: str, call: str) -> Problem:
    """Return the problem of ``fetch_attached`` with a plan of views."""
    return Problem(
        "LP222",
        f"{call}() loads mapped objects, but the plan has into=",
        (label,),
        detail="a view is not mapped, so a session cannot save it.",
        hint="use fetch(plan, id) for the view, and a plan without into= to change rows.",
    )


def not_a_session(call: str, given: object) -> Problem:
    """Return the problem of ``Loader(engine).fetch_attached(...)``, which has no session of the caller."""
    loader = "SyncLoader" if isinstance(given, Engine | Connection | sessionmaker) else "Loader"
    return Problem(
        "LP408",
        f"{call}() needs your own session, but this loader was made with {type(given).__name__}",
        detail="the objects stay in that session, and your commit saves their changes.",
        hint=f"make the loader with the session: {loader}(session).{call}(plan, id).",
    )


def not_a_lock(given: object, at: At) -> Problem:
    """Return the problem of ``fetch(plan, id, for_update="nowait")``, which would lock and wait."""
    if isinstance(given, str) and given in _LOCKS:
        hint = f"write for_update={{{given!r}: True}}."
    else:
        hint = f"use for_update=True, or a mapping of {', '.join(_LOCKS)}, as for_update={{'nowait': True}}."
    return Problem("LP408", f"for_update={shown(given)} is not a way to lock", at, hint=hint)


#: Arguments of ``with_for_update`` that a fetch accepts. loadplan itself sets ``of``, to the root.
_LOCKS = ("nowait", "read", "skip_locked", "key_share")


def is_lock(given: object) -> bool:
    """Tell whether a value can be passed as ``for_update=``."""
    if given is None or isinstance(given, bool):
        return True
    return isinstance(given, Mapping) and all(name in (*_LOCKS, "of") for name in given)


def locks_root(given: object, entity: type[Any]) -> bool:
    """Tell whether the ``of`` of a ``for_update=`` names only the root: its class, a base, their tables or columns."""
    of = given.get("of") if isinstance(given, Mapping) else None
    named: Sequence[Any] = of if isinstance(of, list | tuple) else () if of is None else (of,)
    mapper = mapping.mapper_behind(entity)
    return all(
        any(each is table for table in mapper.tables)
        or ((of_class := mapping.mapper_of(each)) is not None and mapper.isa(of_class))
        for each in (each.class_ if isinstance(each, QueryableAttribute) else each for each in named)
    )


def lock_of_others(given: Mapping[str, Any], at: At) -> Problem:
    """Return the problem of ``for_update={"of": Comment}``, where the root has another class."""
    of = given["of"]
    return Problem(
        "LP408",
        f"for_update= cannot lock the rows of {safely_described(of)}",
        at,
        detail="a fetch locks the rows of its root, and no others.",
        hint="leave 'of' out, and lock other rows with select(...).with_for_update() in your session.",
    )


def lock_without_transaction(is_async: bool, at: At) -> Problem:
    """Return the problem of ``Loader(engine).fetch(plan, id, for_update=True)``: the caller has no transaction."""
    loader, kind = ("Loader", "Async") if is_async else ("SyncLoader", "")
    return Problem(
        "LP408",
        f"for_update= needs your own transaction, but this {loader} opens a separate one",
        at,
        detail="the lock would end when the fetch returns.",
        hint=f"make the {loader} with the {kind}Session or {kind}Connection that changes the row afterwards.",
    )


def not_pageable(type_name: str, at: At) -> Problem:
    """Return the problem of a page that is ordered by values that a cursor cannot hold."""
    return Problem(
        "LP110",
        f"fetch_page cannot order by values of type {type_name}",
        at,
        detail="a cursor cannot hold them.",
        hint="order by numbers, text, dates, times, UUIDs, enums or bytes.",
    )


def bad_count(word: str, given: object, at: At) -> Problem:
    """Return the problem of a ``limit=`` or ``offset=`` of a fetch that is not a whole number."""
    if number_problems.is_sql(given):
        return number_problems.sql_as_number(word, given, at)
    message = f"{word}={shown(given)} must be a whole number of 0 or more"
    return Problem("LP107", message, at, hint=_COUNT_HINTS.get(word))


_COUNT_HINTS = {
    "limit": "limit= is the number of roots to fetch. Remove it to fetch all roots.",
    "offset": "offset= is the number of roots to skip. Remove it to start at the first root.",
}


def in_two_databases(what: str, mapper: Mapper[Any], other: Mapper[Any] | Table, at: At) -> Problem:
    """Return the problem of a statement that reads classes or tables of two databases."""
    here, there = mapper.class_.__name__, other.fullname if isinstance(other, Table) else other.class_.__name__
    key = mapper.get_property_by_column(mapper.primary_key[0]).key
    hint = f"fetch the keys from '{there}' first, and pass them: where={here}.{key}.in_(keys)."
    if what == "order_by=":
        hint = f"order by columns of '{here}', or sort the objects in Python."
    return Problem(
        "LP215",
        f"{what} of '{here}' reads '{there}', which is in another database",
        at,
        detail="the session's binds= name two databases, and one statement reads one database.",
        hint=hint,
    )
