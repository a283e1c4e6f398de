"""Statements and expressions: what they name, carry and cost nothing to compare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import BindParameter, ClauseElement
from sqlalchemy.orm import (
    LoaderCriteriaOption,
    QueryableAttribute,
)
from sqlalchemy.orm.strategy_options import _AbstractLoad
from sqlalchemy.types import TypeEngine

#: The type of the options that joinedload and load_only return, with ``options()`` for nested ones. Only the concrete
#: ``Load`` is public.
AbstractLoad: TypeAlias = _AbstractLoad


def left_as_is(part: Any) -> Any:
    """Return a part of a statement that the ORM's adapters do not look into.

    A class may be mapped ``with_polymorphic`` to a union or a join. The ORM then replaces its tables by the union or
    join in every expression of a statement, also within subqueries that are about other rows. SQLAlchemy marks the
    subqueries of ``any()``, ``has()`` and its joins with this annotation, and has no public name for it.
    """
    return part._annotate({"no_replacement_traverse": True})


def attribute_behind(expression: ClauseElement) -> tuple[type[Any], str] | None:
    """Return (class, name) of the mapped attribute that an expression is, or None.

    The ORM annotates a column that came from an attribute with its mapper and the attribute's name; nothing public
    leads back from ``Post.id`` inside ``Post.id.desc()`` to the class.
    """
    notes = expression._annotations
    entity, key = notes.get("parententity"), notes.get("proxy_key")
    return None if entity is None or key is None else (entity.class_, key)


def subtype_of(attribute: QueryableAttribute[Any]) -> Any:
    """Return the class of ``Company.employees.of_type(Manager)``, or None; only a private name keeps it."""
    subtype = getattr(attribute, "_of_type", None)
    return None if subtype is None else subtype.entity


def criteria_of(attribute: QueryableAttribute[Any]) -> tuple[Any, ...]:
    """Return the conditions of ``User.posts.and_(Post.published)``, or nothing; only a private name keeps them."""
    return tuple(getattr(attribute, "_extra_criteria", ()))


def variants_of(kind: TypeEngine[Any]) -> Mapping[str, TypeEngine[Any]]:
    """Return the types that ``with_variant`` gave a type, by the names of their dialects.

    ``dialect_impl`` gives the driver's own class, which no longer tells what the mapping says of its values.
    """
    found: Mapping[str, TypeEngine[Any]] = kind._variant_mapping
    return found


def shape_of(expression: ClauseElement) -> tuple[Any, Sequence[BindParameter[Any]]] | None:
    """Return what an expression has in common with those that differ in literal values alone, and those values.

    It is the key that SQLAlchemy's own cache of compiled statements goes by. ``ClauseElement.compare`` is the public
    way to ask, but it compares two; nothing public gives a key to look up.

    Returns:
        A hashable key and the parameters in a fixed order; None for an expression that SQLAlchemy does not cache.
    """
    found = expression._generate_cache_key()
    return None if found is None else (found.key, found.bindparams)


#: Parts of a statement that do not change its rows: comments and hints for the database, and loader options.
_WORDS_OF_A_STATEMENT = frozenset(
    {"_with_options", "_execution_options", "_prefixes", "_suffixes", "_hints", "_statement_hints"}
)


def criteria_added(before: Any, after: Any) -> frozenset[type[Any]] | None:
    """Return the classes that ``with_loader_criteria`` was added to a statement for; None if more was done to it.

    ``LoaderCriteriaOption`` is documented, and what it is about is not: ``entity`` is a mapped class,
    ``root_entity`` a mixin or an unmapped base. A statement keeps its options in ``_with_options``, and each step of
    its making in an attribute that the next one takes over as it is.
    """
    if type(before) is not type(after):
        return None
    known, remembered = vars(before), after._memoized_keys
    for name, value in vars(after).items():
        if known.get(name) is not value and name not in _WORDS_OF_A_STATEMENT and name not in remembered:
            return None
    options: tuple[Any, ...] = after._with_options[len(before._with_options) :]
    added = [each for each in options if issubclass(type(each), LoaderCriteriaOption)]
    return frozenset([each.root_entity if each.entity is None else each.entity.class_ for each in added])


class OptionStep(NamedTuple):
    """One step of a loader option, as ``selectinload(User.posts)`` in ``joinedload(Post.author).selectinload(...)``.

    Attributes:
        path: what it is about: mappers (or aliases) and the attributes between them; a wildcard is its token, a text.
        strategy: what it does there, as ``{"lazy": "selectin"}`` or ``{"deferred": True, "instrument": True}``; None
            where it only leads on, as ``defaultload`` does.
        arguments: ``innerjoin``, ``recursion_depth``, ``entities`` and the like.
        criteria: of ``and_()``.
    """

    path: tuple[Any, ...]
    strategy: Mapping[str, Any] | None
    arguments: Mapping[str, Any]
    criteria: tuple[ClauseElement, ...]


def option_steps(options: Iterable[Any]) -> list[OptionStep] | None:
    """Take loader options apart; None if one of them is not a loader option.

    There is no public way to read what an option does. ``Load.context`` has the steps of a chain, each with the
    attributes that its factory gave it; a wildcard, as ``raiseload("*")``, has its own class.
    """
    found: list[OptionStep] = []
    for option in options:
        if not isinstance(option, _AbstractLoad):
            return None
        element: Any = option
        if hasattr(element, "context"):
            found += [
                OptionStep(
                    tuple(getattr(each.path, "path", each.path)),
                    None if each.strategy is None else dict(each.strategy),
                    dict(each.local_opts),
                    tuple(each._extra_criteria),
                )
                for each in element.context
            ]
        else:
            found.append(OptionStep(tuple(element.path), dict(element.strategy), dict(element.local_opts), ()))
    return found


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return the options that a ``select()`` carries; it has no public attribute for them."""
    return tuple(statement._with_options)
