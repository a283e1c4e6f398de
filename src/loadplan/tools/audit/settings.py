"""The effects of ``lazy=`` settings, and of columns that load late, under asyncio.

tests/tools/test_audit_facts.py has SQLAlchemy do it.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty

from loadplan.mapped import links, mapping
from loadplan.tools.audit.findings import Finding, Severity

_FLUSHED = "An object that was just flushed does not have it loaded, and reading it raises MissingGreenlet"
_RAISE = 'map it lazy="raise", and name it in the plans that need it'


def relationship_findings(mapper: Mapper[Any]) -> Iterator[Finding]:
    """Yield a finding for every relationship that a class itself declares."""
    for prop in mapper.relationships:
        if prop.parent is mapper:
            severity, effect, advice = _lazy(prop)
            yield Finding(severity, "lazy", f"{mapper.class_.__name__}.{prop.key}", _found(prop), effect, advice)
            if prop.innerjoin and not prop.uselist:
                yield _inner_join(mapper, prop)
            if _is_unheld_one_to_one(prop):
                yield _unheld(mapper, prop)


def _found(prop: RelationshipProperty[Any]) -> str:
    setting = f"lazy={prop.lazy!r}".replace("'", '"')
    if prop.lazy in {"joined", False, "raise_on_sql"}:
        return f"{setting} on a {'collection' if prop.uselist else 'to-one'}"
    return setting


def _lazy(prop: RelationshipProperty[Any]) -> tuple[Severity, str, str]:
    """Return (severity, effect, advice) for the ``lazy=`` of a relationship."""
    setting: Any = prop.lazy
    match setting:
        case "select" | True:
            return (
                Severity.RISK,
                "reading it when it is not loaded runs SQL: MissingGreenlet, or DetachedInstanceError once the "
                "session is closed.",
                f"{_RAISE}.",
            )
        case "joined" | False if prop.uselist:
            return (
                Severity.COST,
                "every query of the class joins it, repeats the parent's row for each child, and raises without "
                f"unique(). {_FLUSHED}.",
                f"{_RAISE}.",
            )
        case "joined" | False:
            return (
                Severity.COST,
                f"every query of the class joins it, even if no code reads it. {_FLUSHED}.",
                f"{_RAISE}.",
            )
        case "selectin":
            return (
                Severity.COST,
                "every query of the class sends one more statement for each 500 parents, even if no code reads it, "
                f"and also loads the eager relationships of the target. {_FLUSHED}.",
                f"{_RAISE}.",
            )
        case "subquery":
            return (
                Severity.COST,
                f"every query of the class runs again, as a subquery of one more statement. {_FLUSHED}.",
                f"{_RAISE}.",
            )
        case "immediate":
            return (
                Severity.COST,
                f"every query of the class sends a statement for each parent: N+1. {_FLUSHED}.",
                f"{_RAISE}.",
            )
        case "raise":
            return (
                Severity.NOTE,
                "reading it when it is not loaded raises InvalidRequestError, attached or detached.",
                "nothing.",
            )
        case "raise_on_sql" if prop.direction is RelationshipDirection.MANYTOONE:
            return (
                Severity.RISK,
                "reading it works while the session holds the target, and raises an error when Python has freed "
                "the target. So it depends on what else was loaded.",
                f"{_RAISE}.",
            )
        case "raise_on_sql":
            return (
                Severity.NOTE,
                "reading it when it is not loaded raises InvalidRequestError, or DetachedInstanceError once the "
                "session is closed.",
                'nothing; with lazy="raise", the error is the same in both cases.',
            )
        case "noload" | None:
            return (
                Severity.RISK,
                "it gives an empty list or None, whatever the database holds. SQLAlchemy 2.1 deprecates it.",
                f"{_RAISE}.",
            )
        case "dynamic":
            return (
                Severity.RISK,
                "iterating over it raises MissingGreenlet, and gives [] when the session is closed.",
                'map it lazy="write_only", whose select() is awaited; or lazy="raise", to load it by plans.',
            )
        case "write_only":
            return (
                Severity.NOTE,
                "it never loads as a whole; you await its select(). No plan can load it.",
                'nothing; map it lazy="raise" if a plan should load it.',
            )
        case other:
            return (Severity.NOTE, f"a setting that this audit does not know: {other!r}.", "look it up.")


def _inner_join(mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> Finding:
    name = f"{mapper.class_.__name__}.{prop.key}"
    if prop.lazy in {"joined", False}:
        found, who = f'lazy="joined", innerjoin={prop.innerjoin!r}', "every query of the class"
    else:
        found, who = f"innerjoin={prop.innerjoin!r}", "a query with joinedload() of it"
    return Finding(
        Severity.RISK,
        "lazy",
        name,
        found,
        f"{who} drops rows if their target is missing, or if a filter or a row-level policy hides it.",
        f"leave innerjoin out, or {_RAISE}." if prop.lazy in {"joined", False} else "leave innerjoin out.",
    )


def _is_unheld_one_to_one(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a relationship is mapped to one row at most although no key of the tables ensures that."""
    return not prop.uselist and prop.direction is not RelationshipDirection.MANYTOONE and not links.is_single(prop)


def _unheld(mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> Finding:
    return Finding(
        Severity.RISK,
        "one-to-one",
        f"{mapper.class_.__name__}.{prop.key}",
        "a one-to-one without a unique key",
        "if a parent has two rows, SQLAlchemy reads both and uses either of them.",
        "unique=True on the foreign key; or map it as a collection, and load it with order_by= and limit=1.",
    )


def dataclass_findings(mapper: Mapper[Any]) -> Iterator[Finding]:
    """Yield a finding for every relationship that ``repr()`` or ``==`` of a mapped dataclass reads."""
    entity = mapper.class_
    if not dataclasses.is_dataclass(entity):
        return
    fields = {each.name: each for each in dataclasses.fields(entity)}
    has_repr, has_eq = _is_generated(entity, "__repr__"), _is_generated(entity, "__eq__")
    for prop in mapper.relationships:
        field = fields.get(prop.key)
        if field is None or prop.parent is not mapper:
            continue
        words = [
            word for word, reads in (("repr", field.repr and has_repr), ("compare", field.compare and has_eq)) if reads
        ]
        if words:
            reads = " and ".join({"repr": "repr()", "compare": "=="}[word] for word in words)
            verb = "reads" if len(words) == 1 else "read"
            missing = ", ".join(f"{word}=False" for word in words)
            yield Finding(
                Severity.RISK,
                "dataclass",
                f"{entity.__name__}.{prop.key}",
                f"MappedAsDataclass, a relationship without {missing}",
                f"{reads} of an object {verb} it. If it is not loaded, reading it raises an error, even in a log. If "
                "two objects refer to each other, the call does not end.",
                f"write {missing} in its relationship(...).",
            )


def _is_generated(entity: type[Any], name: str) -> bool:
    """Tell whether ``dataclasses`` has written a method of a class."""
    method = vars(entity).get(name)
    code = getattr(getattr(method, "__wrapped__", method), "__code__", None)
    return code is not None and code.co_filename == "<string>"


def deferred_findings(mapper: Mapper[Any]) -> Iterator[Finding]:
    """Yield a finding for every deferred column that loads itself when code reads it."""
    for prop in mapping.column_attributes(mapper):
        if prop.deferred and prop.parent is mapper and not dict(prop.strategy_key).get("raiseload"):
            yield Finding(
                Severity.RISK,
                "deferred",
                f"{mapper.class_.__name__}.{prop.key}",
                "deferred=True",
                "reading it when it is not loaded runs SQL: MissingGreenlet.",
                "add deferred_raiseload=True, and name it in the only= of the plans that need it.",
            )


def inheritance_findings(mapper: Mapper[Any]) -> Iterator[Finding]:
    """Yield a finding for every subclass whose own columns a query of the base class does not load."""
    base = mapper.inherits
    if base is None or mapper.concrete or mapper in mapper.base_mapper.with_polymorphic_mappers:
        return
    own = mapping.default_columns(mapper) - mapping.default_columns(base)
    if own and mapper.polymorphic_load is None and mapper.base_mapper.polymorphic_on is not None:
        yield Finding(
            Severity.RISK,
            "inheritance",
            f"{mapper.class_.__name__} ({', '.join(sorted(own))})",
            "columns of a subclass, without polymorphic_load",
            "a query of the base class leaves them out, and reading one runs SQL: MissingGreenlet.",
            'load them with on(...) in a plan, or map the subclass polymorphic_load="inline" or "selectin".',
        )
