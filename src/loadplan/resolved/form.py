"""Checks the form of a plan: everything about a declaration that can be checked without a mapper."""

from collections.abc import Iterable, Iterator
from typing import Any, get_args

import attrs
from sqlalchemy import BinaryExpression, Boolean, BooleanClauseList, ColumnElement, TextClause, UnaryExpression
from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.code import is_relationship
from loadplan.declared.sources import is_path
from loadplan.declared.spec import Below, Load, On, Plan, StrategyName
from loadplan.errors import Problem
from loadplan.mapped import mapping
from loadplan.resolved import meant, number_problems, problems
from loadplan.sqlalchemy_internals import criteria_of, subtype_of

#: The largest ``depth=``: each level is a separate edge inside the level above it.
MOST_LEVELS = 20

#: The largest number of rows that a database can count, minus one row that tells whether there are more.
MOST = (1 << 63) - 2


def form_problems(plan: Plan[Any]) -> Iterator[Problem]:
    """Yield the problems of a plan that do not depend on the mapping: LP101 to LP108, LP111, and LP200."""
    if mapping.mapper_of(plan.entity) is None and mapping.still_to_be_mapped(plan.entity) is None:
        yield problems.not_mapped(plan.entity, () if plan.name is None else (plan.name,))
    yield from _part_problems(plan, (plan.label,), None)
    if plan.into is None:
        yield from _views_of(plan, (plan.label,))


def _views_of(part: Below, at: tuple[str, ...]) -> Iterator[Problem]:
    """Yield a problem for each ``into=`` below a plan of entities."""
    for item in part.loads:
        if isinstance(item, Load | On | Plan):
            if item.into is not None:
                yield problems.view_below_entity(item, at)
            yield from _views_of(item, at)


def _part_problems(part: Below, at: tuple[str, ...], above: type[Any] | None) -> Iterator[Problem]:
    """Yield the problems of a part. ``above`` is the class in which a load finds its relationship, if it is known."""
    here = _class_at(part, above)
    if part.only is not None and part.defer is not None:
        yield problems.only_and_defer(at)
    for word in ("only", "defer"):
        for column in getattr(part, word) or ():
            if not isinstance(column, QueryableAttribute):
                yield problems.not_a_column(word, column, at, _owner(here, column), here)
    if isinstance(part, Load):
        yield from _argument_problems(part, at, here)
    items: tuple[object, ...] = part.loads
    for item in items:
        if isinstance(item, Plan):
            yield from _part_problems(item, at, here)
        elif isinstance(item, On):
            if mapping.mapper_of(item.entity) is None:
                yield problems.not_mapped(item.entity, at, "on")
            yield from _part_problems(item, at, here)
        elif isinstance(item, Load):
            yield from load_problems(item, at, here)
        else:
            yield problems.not_a_load(item, at, here)


def _owner(here: type[Any] | None, column: object) -> str | None:
    """Return the name of the class that a column given as text should belong to; None if the class is not known."""
    if here is None or not isinstance(column, str) or not column.isidentifier():
        return None
    named = getattr(here, column, None)
    return None if named is None or is_relationship(named) else here.__name__


def _class_at(part: Below, above: type[Any] | None) -> type[Any] | None:
    """Return the class whose columns a part of a plan names; None if the class is not known yet.

    Args:
        part: the plan, load or branch.
        above: the class in which a load finds its relationship; None if it is not known.
    """
    named: Any = part.relationship if isinstance(part, Load) else part.entity
    if isinstance(named, str):
        named = getattr(above, named, None)
    if is_relationship(named) and named.parent.mapper.configured:
        subtype = subtype_of(named)
        named = named.property.mapper.class_ if subtype is None else subtype
    return named if isinstance(named, type) else None


def condition_problems(
    word: str, expressions: Iterable[object], at: tuple[str, ...], here: type[Any] | None = None
) -> Iterator[Problem]:
    """Yield a problem for each condition or order of a load that is not a SQL expression."""
    for expression in expressions:
        if not is_expression(word, expression):
            yield problems.not_an_expression(word, expression, at, here)


def is_expression(word: str, given: object) -> bool:
    """Tell whether a value can be a condition or an order.

    ``text()`` cannot be an order: it hides the direction. ``Post.id.desc()`` and ``Post.title`` cannot be conditions.
    """
    try:
        if not is_sql(given):
            return False
        if word == "where":
            return not meant.has_direction(given) and not meant.is_text(given)
        return not isinstance(given, TextClause)
    except Exception:  # reading __class__ of the value may raise any error
        return False


def is_sql(given: object) -> bool:
    """Tell whether a value is an expression of SQL that names its columns, and not by their names as text."""
    try:
        if isinstance(given, UnaryExpression) and meant.is_named_order(given):
            return False
        return isinstance(given, QueryableAttribute | ColumnElement | TextClause)
    except Exception:  # reading __class__ of the value may raise any error
        return False


def is_condition(given: object) -> bool:
    """Tell whether an order is a comparison without a direction.

    As the only order, it is nearly always a condition in the wrong place. Before other orders it is a way to sort,
    as in ``[User.boss_id.is_(None), User.name]``.
    """
    return isinstance(given, BinaryExpression | BooleanClauseList) and isinstance(given.type, Boolean)


def _argument_problems(item: Load[Any], at: tuple[str, ...], here: type[Any] | None) -> Iterator[Problem]:
    strategy: object = item.strategy
    if strategy is not None and not (isinstance(strategy, str) and strategy in get_args(StrategyName)):
        yield problems.not_a_strategy(strategy, at)
    for word in ("limit", "depth"):
        given: Any = getattr(item, word)
        if given is None or (word, given) == ("depth", "all"):
            continue
        if not _counts(given):
            yield number_problems.bad_number(word, given, at)
        elif word == "depth" and given > MOST_LEVELS:
            yield number_problems.too_deep(given, MOST_LEVELS, at)
        elif word == "limit" and given > MOST:
            yield number_problems.too_large_count(word, given, at)
    for word in ("where", "order_by"):
        given = getattr(item, word) or ()
        if word == "order_by":
            given = [each for each in given if not is_path(each)]
        yield from condition_problems(word, given, at, here)


def _counts(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def load_problems(item: Load[Any], at: tuple[str, ...], above: type[Any] | None = None) -> Iterator[Problem]:
    """Yield the problems in the form of a load and of the loads inside it. ``above`` is the class around the load."""
    named: object = item.relationship
    if isinstance(named, str):
        yield from _part_problems(item, (*at, named), above)
    elif not isinstance(named, QueryableAttribute) or not hasattr(named.parent, "mapper"):
        yield problems.not_a_relationship(named, at, above)
    elif named.parent.is_aliased_class:
        yield problems.relationship_of_alias(named, at)
    elif (subtype := subtype_of(named)) is not None and mapping.mapper_of(subtype) is None:
        yield problems.type_of_alias(named, at)
    else:
        yield from condition_problems("where", criteria_of(named), (*at, named.key), _class_at(item, above))
        yield from _part_problems(item, (*at, named.key), above)


@attrs.frozen(repr=False)
class OfType(On[Any]):
    """The branch that ``of_type()`` in the relationship of a load stands for."""


def spelled_out(item: Load[Any]) -> Load[Any]:
    """Return the load with the condition and the subclass of its attribute written as arguments.

    ``load(User.posts.and_(Post.published))`` is read as ``load(User.posts, where=Post.published)``, and
    ``load(Company.employees.of_type(Manager), ...)`` as ``load(Company.employees, on(Manager, ...))``.
    """
    named = item.relationship
    if isinstance(named, str):
        return item
    subtype, criteria = subtype_of(named), criteria_of(named)
    if subtype is None and not criteria:
        return item
    plain = getattr(named.parent.class_, named.key)
    where = (*criteria, *(item.where or ())) or None
    if subtype is None:
        return attrs.evolve(item, relationship=plain, where=where)
    branch = OfType(subtype, item.loads, item.only, item.defer)
    return attrs.evolve(item, relationship=plain, where=where, loads=(branch,), only=None, defer=None)


def is_reference(item: Load[Any]) -> bool:
    """Tell whether a load names an attribute, or a name that a mapper can look up."""
    return not any(each.code == "LP101" for each in load_problems(item, ()))
