"""Turns declarations back into the code that builds them, for ``repr`` and for hints in errors."""

import enum
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from sqlalchemy import BinaryExpression, BindParameter, BooleanClauseList, ClauseElement, UnaryExpression
from sqlalchemy.orm import QueryableAttribute, RelationshipProperty
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql import functions, operators

from loadplan.sqlalchemy_internals import attribute_behind, criteria_of, subtype_of

_BINARY = {
    operators.eq: "==",
    operators.ne: "!=",
    operators.lt: "<",
    operators.le: "<=",
    operators.gt: ">",
    operators.ge: ">=",
}
_CALLS = {
    operators.is_: "is_",
    operators.is_not: "is_not",
    operators.in_op: "in_",
    operators.not_in_op: "not_in",
    operators.like_op: "like",
    operators.ilike_op: "ilike",
    operators.startswith_op: "startswith",
    operators.endswith_op: "endswith",
    operators.contains_op: "contains",
}
_TRUTHS = {operators.is_true: "", operators.is_false: "~"}
_CONSTANTS = {"true": "true()", "false": "false()", "null": "None"}
_METHODS = {
    operators.desc_op: "desc",
    operators.asc_op: "asc",
    operators.nulls_first_op: "nulls_first",
    operators.nulls_last_op: "nulls_last",
}


def call_source(name: str, positional: Sequence[object], keywords: Mapping[str, object]) -> str:
    """Return the code of a call, without the keyword arguments that are None."""
    given = [argument_source(word, value) for word, value in keywords.items() if value is not None]
    return f"{name}({', '.join([*map(source, positional), *given])})"


def argument_source(word: str, value: Any) -> str:
    """Return the code of a keyword argument. A single condition or order is written without a list."""
    alone = word in {"where", "order_by"} and isinstance(value, tuple) and len(value) == 1
    return f"{word}={source(value[0] if alone else value)}"


def source(value: Any) -> str:
    """Return the code that builds ``value``. If the code of an expression cannot be found, return its SQL in ``<>``."""
    if isinstance(value, QueryableAttribute):
        return f"{value.class_.__name__}.{value.key}{_carried(value)}"
    if isinstance(value, type) and not get_args(value):
        return value.__name__
    if get_origin(value) is not None:
        return _annotation(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(source, value))}]"
    return _expression(value) if isinstance(value, ClauseElement) else _literal(value)


def is_relationship(given: object) -> bool:
    """Tell whether an attribute is a relationship, without configuring any mapper."""
    return isinstance(given, QueryableAttribute) and isinstance(given.comparator, RelationshipProperty.Comparator)


def tied(prop: RelationshipProperty[Any]) -> str | None:
    """Return the join condition of a relationship: ``Post.author_id == User.id``. Return None if it is more complex.

    The condition of a class to itself also is None, because one of the two needs an alias.
    """
    pairs, joined = attribute_pairs(prop), prop.primaryjoin
    parts = [*joined.clauses] if isinstance(joined, BooleanClauseList) else [joined]
    equal = [each for each in parts if isinstance(each, BinaryExpression) and each.operator is operators.eq]
    if prop.secondary is not None or not len(pairs) == len(equal) == len(parts):
        return None
    if prop.mapper.common_parent(prop.parent):
        return None
    here, there = prop.parent.class_.__name__, prop.mapper.class_.__name__
    return ", ".join(f"{there}.{theirs} == {here}.{ours}" for ours, theirs in pairs)


def attribute_pairs(prop: RelationshipProperty[Any]) -> list[tuple[str, str]]:
    """Return the names of the attributes that a relationship compares: ``[("id", "author_id")]`` for ``User.posts``.

    The result is empty if an attribute is missing.
    """
    found = []
    for our, their in prop.local_remote_pairs or ():
        try:
            found.append((prop.parent.get_property_by_column(our).key, prop.mapper.get_property_by_column(their).key))
        except UnmappedColumnError:
            return []
    return found


def subquery_over(
    relationship: QueryableAttribute[Any], asked: str, where: Sequence[Any] = ()
) -> tuple[str, bool] | None:
    """Return the code of a subquery for the related rows of each row: ``select(func.count()).where(...)``.

    Args:
        relationship: leads from the class of the rows to the class of the related rows.
        asked: the code of the value that the subquery selects.
        where: further conditions on the related rows.

    Returns:
        The code, and whether it is over ``other``, an alias of the related class. None if it needs other code.
    """
    prop: Any = relationship.property
    met = tied(prop)
    carried = () if met is None else criteria_of(relationship)  # the whole join condition has them in it
    conditions = [f"{source(relationship)}.expression" if met is None else met, *map(source, (*carried, *where))]
    is_other = prop.mapper.common_parent(prop.parent)
    if is_other:
        if prop.secondary is not None or len(pairs := attribute_pairs(prop)) != 1:
            return None
        ((here, there),) = pairs
        row = prop.mapper.class_.__name__
        asked, *extra = (re.sub(rf"\b{row}\.", "other.", each) for each in (asked, *conditions[1:]))
        conditions = [f"other.{there} == {prop.parent.class_.__name__}.{here}", *extra]
    return f"select({asked}).where({', '.join(conditions)}).scalar_subquery()", is_other


def _literal(value: Any) -> str:
    """Return the code of a plain value. For a member of an enum, this is not its ``repr``, ``<Status.NEW: 1>``."""
    is_member = isinstance(value, enum.Enum) and value.name
    return f"{type(value).__name__}.{value.name}" if is_member else repr(value)


def _carried(attribute: QueryableAttribute[Any]) -> str:
    """Return the code that follows an attribute with a subclass or a condition: ``.of_type(Sub)``, ``.and_(...)``."""
    subtype, criteria = subtype_of(attribute), criteria_of(attribute)
    of_type = "" if subtype is None else f".of_type({source(subtype)})"
    return f"{of_type}.and_({', '.join(map(source, criteria))})" if criteria else of_type


def _annotation(value: Any) -> str:
    """Return the code of a generic class with its arguments, of a union, or of the type in ``Annotated``."""
    parts = get_args(value)
    if get_origin(value) in {Union, UnionType}:
        return " | ".join("None" if each is type(None) else source(each) for each in parts)
    listed = ", ".join("..." if each is ... else "None" if each is type(None) else source(each) for each in parts)
    origin = get_origin(value)
    return f"{'Annotated' if origin is Annotated else getattr(origin, '__name__', origin)}[{listed}]"


def _expression(value: ClauseElement) -> str:
    attribute = attribute_behind(value)
    if attribute is not None:
        return f"{attribute[0].__name__}.{attribute[1]}"
    if isinstance(value, BindParameter):
        return _literal(value.value) if value.unique else f"bindparam({value.key!r})"
    if isinstance(value, UnaryExpression) and value.modifier in _METHODS:
        return f"{_expression(value.element)}.{_METHODS[value.modifier]}()"
    if isinstance(value, UnaryExpression) and value.operator is operators.distinct_op:
        return f"distinct({_expression(value.element)})"  # SQLAlchemy warns if it prints this alone
    if isinstance(value, BinaryExpression) and value.operator in _BINARY:
        return f"{_expression(value.left)} {_BINARY[value.operator]} {_expression(value.right)}"
    if isinstance(value, BinaryExpression) and value.operator in _CALLS and not any((value.modifiers or {}).values()):
        return f"{_expression(value.left)}.{_CALLS[value.operator]}({_expression(value.right)})"
    if isinstance(value, BooleanClauseList) and value.operator in {operators.and_, operators.or_}:
        return f"{value.operator.__name__}({', '.join(map(_expression, value.clauses))})"
    if isinstance(value, UnaryExpression) and value.operator in _TRUTHS:
        return f"{_TRUTHS[value.operator]}{_expression(value.element)}"
    if value.__visit_name__ in _CONSTANTS:
        return _CONSTANTS[value.__visit_name__]
    if type(value) is functions.Function or isinstance(value, functions.GenericFunction):
        name = ".".join((*value.packagenames, value.name))  # func.app.score() is a function in the schema 'app'
        arguments = ", ".join(map(_expression, value.clauses))
        return f"func.{name}({'' if arguments == '<*>' else arguments})"  # func.count() is count(*)
    return f"<{value}>"
