"""Checks whether mappers can be configured now.

These checks only read, because mappers cannot be used again after a configuration that fails.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType, MethodType
from typing import Any, TypeAlias

from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan.mapped.mapping import mapper_of, still_to_be_mapped
from loadplan.sqlalchemy_internals import declared_arguments, mappers_in, mapping_mark, waits_for_configuration

#: Whether a plan is checked on the line where it is written.
checks_early: ContextVar[bool] = ContextVar("checks_early", default=True)


@contextmanager
def checking_later() -> Iterator[None]:
    """Check no plan on the line where it is written, while the block runs.

    A tool imports modules in this block, because the first wrong plan of a module would hide the others.
    """
    token = checks_early.set(False)
    try:
        yield
    finally:
        checks_early.reset(token)


def can_configure(entity: object) -> bool:
    """Tell whether the mappers around ``entity`` are configured, or can certainly be configured now.

    This only reads. Mappers can never be used again after a configuration that failed half-way. So this function must
    notice a class that is not imported yet before loadplan tries to configure the mappers.
    """
    mapper = mapper_of(entity)
    if mapper is None:
        return still_to_be_mapped(entity) is None
    if not waits_for_configuration(mapper):
        return True  # without a look at each class: a request handler may build a plan for each request
    mappers = mappers_in(mapper.registry)
    if all(each.configured for each in mappers):
        return True
    known = {each.class_.__name__ for each in mappers} | set(mapper.registry.metadata.tables)
    return all(
        _is_known(argument, known)
        for each in mappers
        if not each.configured
        for relationship in _unconfigured_relationships(each)
        for argument in declared_arguments(relationship)
    )


def _unconfigured_relationships(mapper: Mapper[Any]) -> Iterator[RelationshipProperty[Any]]:
    for attribute in vars(mapper.class_).values():
        if isinstance(attribute, QueryableAttribute):
            prop = getattr(attribute.comparator, "prop", None)
            if isinstance(prop, RelationshipProperty):
                yield prop


#: The first part of each name in ``"and_(User.id == Post.user_id)"``. A name before a parenthesis is a function.
_NAMES = re.compile(r"(?<![\w.'\"])([A-Za-z_]\w*)(?=\s*(?:\.|$))")


def _is_known(argument: object, known: set[str]) -> bool:
    """Tell whether an argument of ``relationship(...)`` can be evaluated now."""
    if isinstance(argument, str):
        return argument.rpartition(".")[2] in known or all(
            name in known or any(each.endswith(f".{name}") for each in known)
            for name in _NAMES.findall(argument.replace("func.", ""))
            if name != "None"
        )
    if isinstance(argument, list | tuple):
        return all(_is_known(each, known) for each in argument)
    if isinstance(argument, FunctionType | MethodType):
        try:
            argument()
        except Exception:  # a name that is not imported yet may raise any error
            return False
    return True


def missing_targets(mapper: Mapper[Any]) -> list[str]:
    """Return texts about the relationships around a class whose target is a name that no mapped class has yet."""
    mappers = mappers_in(mapper.registry)
    known = {each.class_.__name__ for each in mappers}
    return [
        f"'{each.class_.__name__}.{relationship.key}' leads to '{relationship.argument}'"
        for each in mappers
        if not each.configured
        for relationship in _unconfigured_relationships(each)
        if isinstance(relationship.argument, str)
        and relationship.argument.replace(".", "_").isidentifier()
        and relationship.argument.rpartition(".")[2] not in known
    ]


Mapped: TypeAlias = tuple[tuple[Mapper[Any], object], ...]
"""The state of mappers at one time."""


def as_mapped(mappers: Iterable[Mapper[Any]]) -> Mapped:
    """Return the present state of mappers, for a later call of :func:`is_mapped_still`."""
    return tuple((each, mapping_mark(each)) for each in dict.fromkeys(mappers))


def is_mapped_still(before: Mapped) -> bool:
    """Tell whether mappers are unchanged. A tree that was resolved against them is then still right.

    The answer is False if a class or one of its subclasses has a new relationship or column, or if the mappers were
    cleared. (When SQLAlchemy clears the mappers of a registry, it also clears the registries that refer to it.) The
    answer is also False while a class waits for its configuration, because its ``backref`` may add a relationship to
    another class.
    """
    root = before[0][0]
    if waits_for_configuration(root) or mapper_of(root.class_) is not root:
        return False
    return all(mapping_mark(mapper) is mark for mapper, mark in before)
