"""Statements and expressions: the attributes, options and criteria that they contain, and keys to compare them by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import BindParameter, ClauseElement
from sqlalchemy.orm import (
    LoaderCriteriaOption,
    Mapper,
    QueryableAttribute,
)
from sqlalchemy.orm.strategy_options import _AbstractLoad
from sqlalchemy.types import TypeEngine

#: The type of the options that joinedload and load_only return, with ``options()`` for nested ones. Only the concrete
#: ``Load`` is public.
AbstractLoad: TypeAlias = _AbstractLoad


def left_as_is(part: Any) -> Any:
    """Mark a part of a statement so that the ORM does not replace tables in it, and return it.

    A class may be mapped ``with_polymorphic`` to a union or a join. The ORM then replaces its tables by the union or
    join in every expression of a statement, also within subqueries that are about other rows. SQLAlchemy marks the
    subqueries of ``any()``, ``has()`` and its joins with this annotation, and has no public name for it.
    """
    return part._annotate({"no_replacement_traverse": True})


def attribute_behind(expression: ClauseElement) -> tuple[type[Any], str] | None:
    """Return (class, name) if an expression is a mapped attribute, otherwise None.

    If a column came from an attribute, the ORM annotates it with the mapper and the name of the attribute. No public
    function returns the class of ``Post.id`` inside ``Post.id.desc()``.
    """
    notes = expression._annotations
    entity, key = notes.get("parententity"), notes.get("proxy_key")
    return None if entity is None or key is None else (entity.class_, key)


def mappers_of(parts: Iterable[Any]) -> Iterator[Mapper[Any]]:
    """Yield the mappers of the columns and tables in a statement that came from mapped classes.

    The ORM annotates them with their class or alias. No relationship may lead to this class. SQLAlchemy 2.0 does not
    annotate tables, and not the columns in ``any()`` and ``has()``.
    """
    for each in parts:
        entity = getattr(each, "_annotations", {}).get("parententity")
        if entity is not None:
            yield entity.mapper


def subtype_of(attribute: QueryableAttribute[Any]) -> Any:
    """Return the class in an attribute's ``of_type``: ``Manager`` for ``Company.employees.of_type(Manager)``, or None.

    SQLAlchemy keeps it under a private name.
    """
    subtype = getattr(attribute, "_of_type", None)
    return None if subtype is None else subtype.entity


def criteria_of(attribute: QueryableAttribute[Any]) -> tuple[Any, ...]:
    """Return the conditions of ``User.posts.and_(Post.published)``. SQLAlchemy keeps them under a private name."""
    return tuple(getattr(attribute, "_extra_criteria", ()))


def variants_of(kind: TypeEngine[Any]) -> Mapping[str, TypeEngine[Any]]:
    """Return the types that ``with_variant`` gave a type, by the names of their dialects.

    ``dialect_impl`` gives the driver's own class, which has lost the facts that the mapping gives about its values.
    """
    found: Mapping[str, TypeEngine[Any]] = kind._variant_mapping
    return found


def shape_of(expression: ClauseElement) -> tuple[Any, Sequence[BindParameter[Any]]] | None:
    """Return a key that expressions share if they differ only in literal values, and the literal values.

    SQLAlchemy's own cache of compiled statements uses the same key. The public ``ClauseElement.compare`` compares two
    expressions, but gives no key to look up.

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
    """Return the classes for which ``with_loader_criteria`` was added to a statement.

    The result is None if anything else changed in it.

    ``LoaderCriteriaOption`` is documented, but its attributes are not: ``entity`` is a mapped class, and
    ``root_entity`` is a mixin or an unmapped base. A statement keeps its options in ``_with_options``. A method such as
    ``where()`` copies all other attributes unchanged.
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
        path: the path to its attribute: mappers (or aliases) and the attributes between them. For a wildcard, it ends
            with a text.
        strategy: how the attribute is loaded, for example ``{"lazy": "selectin"}`` or ``{"deferred": True,
            "instrument": True}``. None if the step only leads to the next one, as ``defaultload`` does.
        arguments: the other arguments of the option, for example ``innerjoin``, ``recursion_depth`` and ``entities``.
        criteria: the conditions in the attribute's ``and_()``.
    """

    path: tuple[Any, ...]
    strategy: Mapping[str, Any] | None
    arguments: Mapping[str, Any]
    criteria: tuple[ClauseElement, ...]


def option_steps(options: Iterable[Any]) -> list[OptionStep] | None:
    """Split loader options into their steps. Return None if one of them is not a loader option.

    There is no public way to read an option. ``Load.context`` has the steps of a chain, each with the attributes that
    its factory gave it. A wildcard such as ``raiseload("*")`` has its own class.
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
    """Return the options of a ``select()``, which has no public attribute for them."""
    return tuple(statement._with_options)
