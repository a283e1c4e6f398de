"""Makes hints for wrong values at a place of a plan, with names of the class there. Pure, and never raises."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BinaryExpression, ClauseElement, Integer, UnaryExpression
from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList

from loadplan.declared.code import source
from loadplan.declared.sources import Aggregate
from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of
from loadplan.resolved import meant
from loadplan.sqlalchemy_internals import AbstractLoad, attribute_behind, criteria_of, option_steps

#: An order as text: ``"-created_at"``, ``"created_at desc"`` and ``"created_at"``.
_ORDER = re.compile(r"(?P<minus>-?)(?P<name>\w+)(?:\s+(?P<word>asc|desc))?", re.IGNORECASE)


def load_hint(given: object, here: type[Any] | None) -> str:
    """Return the hint for a value in the place of a ``load(...)`` below a class; None if the class is not known."""
    return meant.safely(_load_hint, given, _mapper(here)) or meant.instead_of_load(given)


def _load_hint(given: Any, here: Mapper[Any] | None) -> str | None:
    if isinstance(given, AbstractLoad):
        names = _names_of_option(given)
        return f"write {meant.nested(names, '')}. The plan chooses the loading strategy itself." if names else None
    if isinstance(given, QueryableAttribute) and here is not None and not meant.is_relationship(given):
        deferred = given.key in {each.key for each in mapping.column_attributes(here) if each.deferred}
        return f"write {plan_of_column(here.class_.__name__, given.key)}." if deferred else None
    mapper = mapping.mapper_of(given) if isinstance(given, type) else None
    if mapper is None or here is None:
        return None
    if mapper is not here and mapper.isa(here):
        return f"write on({given.__name__})."
    way = meant.route(here, mapper)
    return f"write {meant.nested(way, '')}." if way else None


def plan_of_column(entity: str, key: str) -> str:
    """Return the code of a plan that adds a deferred column to the other columns of a class."""
    return f"LoadPlan({entity}, only=[{entity}.{key}])"


def _names_of_option(given: Any) -> list[str]:
    """Return the longest chain of relationships in a loader option of SQLAlchemy."""
    longest: list[str] = []
    for step in option_steps([given]) or ():
        relationships = [each for each in step.path if getattr(each, "is_property", False) and hasattr(each, "mapper")]
        names = [f"{each.parent.class_.__name__}.{each.key}" for each in relationships]
        longest = max(longest, names, key=len)
    return longest


def expression_hint(word: str, given: object, here: type[Any] | None) -> str | None:
    """Return the hint for a wrong value in ``where=`` or ``order_by=``; None if there is no special hint.

    Args:
        word: ``"where"`` or ``"order_by"``.
        given: the value, which is not a SQL expression.
        here: the class whose rows the argument chooses or orders; None if it is not known.
    """
    return meant.safely(_expression_hint, word, given, here) or meant.safely(meant.instead_of_expression, word, given)


def _expression_hint(word: str, given: Any, here: type[Any] | None) -> str | None:
    if isinstance(given, str) and word == "order_by" and here is not None:
        found = _ORDER.fullmatch(given.strip())
        if found is not None and isinstance(getattr(here, found["name"], None), QueryableAttribute):
            down = bool(found["minus"]) or (found["word"] or "").lower() == "desc"
            return f"write order_by={here.__name__}.{found['name']}{'.desc()' if down else ''}."
    if isinstance(given, Aggregate):
        return _instead_of_aggregate(word, given)
    if word == "where" and isinstance(given, int) and not isinstance(given, bool) and (key := _key_of(here)):
        return f"write where={key} == {given}. To fetch by primary key, write fetch(plan, {given})."
    return None


def _key_of(here: type[Any] | None) -> str | None:
    """Return the code of the primary key of a class, if it is one number."""
    mapper = _mapper(here)
    columns = () if mapper is None else mapper.primary_key
    if mapper is None or len(columns) != 1 or not isinstance(columns[0].type, Integer):
        return None
    return f"{mapper.class_.__name__}.{mapper.get_property_by_column(columns[0]).key}"


def _instead_of_aggregate(word: str, given: Aggregate) -> str:
    name = source(given.relationship)
    if word == "where" and given.kind in {"count", "exists"} and not given.where:
        asked = "any" if given.relationship.property.uselist else "has"
        return f"write {name}.{asked}() to choose rows that have related rows."
    prop: RelationshipProperty[Any] = given.relationship.property
    asked = "func.count()" if given.expression is None else source(given.expression)
    met = tied(prop)
    carried = () if met is None else criteria_of(given.relationship)  # the whole join condition has them in it
    conditions = [f"{name}.expression" if met is None else met, *map(source, (*carried, *given.where))]
    for_views, row = f"{given.kind}(...) is for fields of views.", prop.mapper.class_.__name__
    if not prop.mapper.common_parent(prop.parent):
        code = f"select({asked}).where({', '.join(conditions)}).scalar_subquery()"
        return f"{for_views} Use a subquery: {word}={code}."
    if prop.secondary is not None or len(pairs := attribute_pairs(prop)) != 1:
        return f"{for_views} Use a subquery over aliased({row})."
    ((here, there),) = pairs
    extra = [re.sub(rf"\b{row}\.", "other.", each) for each in (asked, *conditions[1:])]
    conditions = [f"other.{there} == {prop.parent.class_.__name__}.{here}", *extra[1:]]
    code = f"select({extra[0]}).where({', '.join(conditions)}).scalar_subquery()"
    return f"{for_views} Use a subquery over other = aliased({row}): {word}={code}."


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
        names = mapping.attribute_of(prop.parent, our), mapping.attribute_of(prop.mapper, their)
        if names[0] is None or names[1] is None:
            return []
        found.append((names[0], names[1]))
    return found


def _is_of(prop: RelationshipProperty[Any], table: str) -> bool:
    """Tell whether the target of a relationship has a table of this name."""
    return table in {getattr(each, "name", None) for each in prop.mapper.tables}


def _columns_in(given: Sequence[Any], target: type[Any]) -> Iterator[tuple[type[Any], str, list[str]]]:
    """Yield the columns of other classes in orders: the class, the name, and the words of the direction."""
    for each in given:
        element, words = each, list[str]()
        while isinstance(element, UnaryExpression) and element.modifier is not None:
            words.insert(0, element.modifier.__name__.removesuffix("_op"))
            element = element.element
        expression = element_of(element)
        column = attribute_behind(expression) if isinstance(expression, ClauseElement) else None
        if column is not None and not issubclass(target, column[0]):
            yield (*column, words)


def path_to(target: Mapper[Any], given: Sequence[Any]) -> str | None:
    """Return the code of a path to a column of another class, with its direction, if a to-one leads there."""
    for each in given:  # the relationship itself has no order, but a column of its target has one
        prop = each.property if isinstance(each, QueryableAttribute) else None
        if isinstance(prop, RelationshipProperty) and not prop.uselist and prop.parent is target:
            name = _telling_column(prop.mapper)
            return f"source({target.class_.__name__}.{prop.key}, {prop.mapper.class_.__name__}.{name})"
    for owner, name, words in _columns_in(given, target.class_):
        for prop in target.relationships:
            if not prop.uselist and issubclass(prop.mapper.class_, owner):
                path = f"source({target.class_.__name__}.{prop.key}, {prop.mapper.class_.__name__}.{name})"
                return path + "".join(f".{word}()" for word in words)
    return None


def _telling_column(mapper: Mapper[Any]) -> str:
    """Return the name of a column for an example of an order: ``name``, ``title``, or otherwise the first column."""
    names = mapper.column_attrs.keys()
    return next((each for each in ("name", "title") if each in names), names[0])


def subquery_of(target: Mapper[Any], given: Sequence[Any], table: str) -> str:
    """Return the code of a subquery for a column of another class. It is exact if a to-one leads to this class."""
    for owner, name, _ in _columns_in(given, target.class_):
        for prop in target.relationships:
            met = tied(prop)
            if met is not None and not prop.uselist and prop.mapper.class_ is owner:
                return f": select({owner.__name__}.{name}).where({met}).scalar_subquery()"
    for prop in target.relationships:
        met = tied(prop)
        if met is not None and prop.uselist and _is_of(prop, table):
            return f", for example order_by=select(func.count()).where({met}).scalar_subquery()"
    return ", for example order_by=select(User.name).where(User.id == Post.author_id).scalar_subquery()"


def question(target: str, table: str, mapper: Mapper[Any] | None) -> str:
    """Return the code of a condition on related rows, such as ``Post.author.has(...)``."""
    for prop in () if mapper is None else mapper.relationships:
        if _is_of(prop, table):
            return f"{target}.{prop.key}.{'any' if prop.uselist else 'has'}(...)"
    return f"{target}.<relationship>.has(...) or .any(...)"


def behind_proxy(given: object) -> str | None:
    """Return the hint for an association proxy: the relationships that it reads; None for any other value."""
    if not isinstance(given, AssociationProxyInstance):
        return None
    steps = [getattr(given.owning_class, given.target_collection), getattr(given.target_class, given.value_attr, None)]
    way = [each for each in steps if isinstance(getattr(each, "property", None), RelationshipProperty)]
    return f"write {meant.nested([source(each) for each in way], '')}."


def property_name(given: object, here: type[Any] | None) -> str | None:
    """Return the name of a Python property of a class, as ``Line.total``; None if the value is not a property."""
    if not isinstance(given, property) or here is None:
        return None
    found = (name for each in here.__mro__ for name, value in vars(each).items() if value is given)
    name = next(found, None)
    return None if name is None else f"{here.__name__}.{name}"


def _mapper(here: type[Any] | None) -> Mapper[Any] | None:
    mapper = mapping.mapper_of(here)
    return mapper if mapper is not None and mapper.configured else None
