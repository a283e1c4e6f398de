"""Makes hints for wrong values at a place of a plan, with names of the class there. Pure, and never raises."""

import re
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

from sqlalchemy import Boolean, ClauseElement, Integer, UnaryExpression
from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty, class_mapper
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.code import attribute_pairs, is_relationship, source, subquery_over, tied
from loadplan.declared.sources import Aggregate, Source
from loadplan.errors import did_you_mean, shown
from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of, first_aggregate
from loadplan.resolved import meant
from loadplan.sqlalchemy_internals import AbstractLoad, attribute_behind, option_steps

#: An order as text: ``"-created_at"``, ``"created_at desc"`` and ``"author.name"``.
_ORDER = re.compile(r"(?P<minus>-?)(?P<name>[\w.]+)(?:\s+(?P<word>asc|desc))?", re.IGNORECASE)

#: SQL in the code of an expression, whose own code is not known: ``<CAST(posts.id AS VARCHAR)>``.
SQL = re.compile(r"<\S")

#: The characters between the names of a path as text: ``author.name``, and ``author__name`` as Django writes it.
_DOTS = re.compile(r"\.|__")


def load_hint(given: object, here: type[Any] | None, *, within: bool = False) -> str:
    """Return the hint for a value in the place of a ``load(...)``.

    Args:
        given: the value.
        here: the class at the place; None if it is not known.
        within: whether the place is within a load or a branch, which have no name.
    """
    return meant.safely(_load_hint, given, _mapper(here), within) or meant.instead_of_load(given)


def _load_hint(given: Any, here: Mapper[Any] | None, within: bool) -> str | None:
    if isinstance(given, AbstractLoad):
        return _instead_of_option(given)
    if isinstance(given, str) and here is not None:
        way = relationships_of(here, given)
        known = did_you_mean(given, here.relationships.keys(), f"Relationships of {here.class_.__name__}")
        if not way:
            return known if within else None
        return f"write {meant.nested(way, '')}{'' if within else f', or name={given!r} to name the plan'}."
    owner = mapping.owner_of(given) if is_relationship(given) else None
    if owner is not None and here is not None and not here.isa(owner):
        if owner.isa(here):
            return f"write on({owner.class_.__name__}, load({source(given)}))."
        way = meant.route(here, owner)
        return f"write {meant.nested(way, f'load({source(given)})')}." if way else None
    if isinstance(given, FunctionType) and given.__module__.startswith("loadplan.") and here is not None:
        found = [f"{here.class_.__name__}.{each.key}" for each in here.relationships]
        return f"call it, with a relationship: load({found[0]})." if found and given.__name__ == "load" else None
    if isinstance(given, QueryableAttribute) and here is not None and not is_relationship(given):
        deferred = given.key in {each.key for each in mapping.column_attributes(here) if each.deferred}
        return f"write {plan_of_column(here.class_.__name__, given.key)}." if deferred else None
    mapper = mapping.mapper_of(given) if isinstance(given, type) else None
    if mapper is None or here is None:
        return None
    if mapper is not here and mapper.isa(here):
        return f"write on({mapper.class_.__name__})."
    way = meant.route(here, mapper)
    return f"write {meant.nested(way, '')}." if way else None


def relationship_hint(given: object, here: type[Any] | None) -> str:
    """Return the hint for a wrong value in ``load(...)``, with a relationship of the class at the place."""
    hint, mapper = meant.instead_of_relationship(given), _mapper(here)
    if mapper is None or not hint.endswith("for example load(User.posts)."):
        return hint
    target = mapping.mapper_of(given) if isinstance(given, type) else None
    way = [] if target is None else meant.route(mapper, target)
    names = [f"{mapper.class_.__name__}.{each.key}" for each in mapper.relationships]
    if way:
        return f"pass the relationship that leads to it: {meant.nested(way, '')}."
    return hint.replace("User.posts", names[0]) if names else f"'{mapper.class_.__name__}' has no relationships."


def plan_of_column(entity: str, key: str) -> str:
    """Return the code of a plan that adds a deferred column to the other columns of a class."""
    return f"LoadPlan({entity}, only=[{entity}.{key}])"


def names_in(given: str) -> list[str]:
    """Return the names in a path as text: ``["author", "name"]`` for ``"author.name"`` and ``"author__name"``."""
    return _DOTS.split(given)


def example_columns(here: type[Any] | None) -> str:
    """Return the code of two columns of a class for an example."""
    mapper = _mapper(here)
    names = [] if mapper is None else [each.key for each in mapping.column_attributes(mapper)][:2]
    if mapper is None or not names:
        return "Post.id, Post.title"
    return ", ".join(f"{mapper.class_.__name__}.{name}" for name in names)


def instead_of_path(word: str, given: Source) -> str | None:
    """Return the hint for a path that leads to many rows, or has a wrong last item; None for any other path.

    A wrong last item is text, another path, a count, or an order with a direction.
    """
    steps, last = given.path[:-1], given.path[-1] if given.path else None
    if isinstance(last, Source):
        whole = Source((*steps, *last.path), (*last.modifiers, *given.modifiers))
        return f"write one path: {word}={source(whole)}."
    if isinstance(last, Aggregate):
        return _instead_of_aggregate(word, last, in_path=True)
    if word == "order_by" and meant.has_direction(last):
        words, element = _without_direction(last)
        path = source(Source((*steps, element), (*words, *given.modifiers)))
        return f"write the direction after the path: {word}={path}."
    if not steps or not all(map(is_relationship, steps)):
        return None
    if not any(step.property.uselist for step in steps):
        return None
    if word == "where":
        return f"write {meant.asked(given.path)}."
    met = tied(steps[0].property) if len(steps) == 1 else None
    if met is None:
        return None
    return f"order by one value: select(func.max({source(given.path[-1])})).where({met}).scalar_subquery()."


def relationships_of(here: Mapper[Any], given: str) -> list[str]:
    """Return the relationships that a text names: ``["User.posts", "Post.tags"]`` for ``"posts.tags"``.

    The result is empty if one of the names is not a relationship.
    """
    names = []
    for key in names_in(given):
        if key not in here.relationships:
            return []
        names.append(f"{here.class_.__name__}.{key}")
        here = here.relationships[key].mapper
    return names


def _instead_of_option(given: Any) -> str | None:
    """Return the hint for a loader option: its longest chain of relationships as loads, or its columns."""
    longest, columns = list[str](), dict[str, list[str]]()
    for step in option_steps([given]) or ():
        properties = [each for each in step.path if getattr(each, "is_property", False)]
        relationships = [each for each in properties if hasattr(each, "mapper")]
        names = [f"{each.parent.class_.__name__}.{each.key}" for each in relationships]
        longest = max(longest, names, key=len)
        if len(relationships) < len(properties) and step.strategy is not None and "deferred" in step.strategy:
            column = f"{properties[-1].parent.class_.__name__}.{properties[-1].key}"
            columns.setdefault("defer" if step.strategy["deferred"] else "only", []).append(column)
    inside = next((f"{word}=[{', '.join(columns[word])}]" for word in ("only", "defer") if word in columns), "")
    if not longest:
        return f"write {inside}." if inside else None
    return f"write {meant.nested(longest, inside)}. The plan chooses the loading strategy itself."


def expression_hint(word: str, given: object, here: type[Any] | None) -> str | None:
    """Return the hint for a wrong value in ``where=`` or ``order_by=``; None if there is no special hint.

    Args:
        word: ``"where"`` or ``"order_by"``.
        given: the value, which is not a SQL expression.
        here: the class whose rows the argument chooses or orders; None if it is not known.
    """
    found = meant.safely(_expression_hint, word, given, here)
    if found is not None:
        return found
    general = meant.safely(meant.instead_of_expression, word, given)
    return general and (meant.safely(_with_names, general, here) or general)


def _with_names(hint: str, here: type[Any] | None) -> str | None:
    """Return a hint with a column of the class in place of the example's column; None if it has other examples, too."""
    mapper, key = _mapper(here), _key_of(here)
    if mapper is None:
        return None
    column = f"{mapper.class_.__name__}.{_telling_column(mapper)}"
    named = hint.replace("Post.created_at", column).replace("Post.title", column)
    named = named if key is None else named.replace("Post.id > 3", f"{key} > 3")
    return None if "Post." in named else named


def _expression_hint(word: str, given: Any, here: type[Any] | None) -> str | None:
    if isinstance(given, Aggregate):
        return _instead_of_aggregate(word, given)
    if here is None:
        return None
    if isinstance(given, str) and word == "order_by":
        return _instead_of_name(given, here)
    if isinstance(given, str) and _is_column(here, given):
        column = getattr(here, given)
        return f"write where={here.__name__}.{given}{'.' if isinstance(column.type, Boolean) else ' == ...'}"
    if isinstance(given, int) and word == "order_by" and (mapper := _mapper(here)):
        return f"name the column, for example order_by={here.__name__}.{_telling_column(mapper)}."
    if isinstance(given, UnaryExpression) and meant.is_named_order(given):
        words, element = _without_direction(given)
        name = getattr(element, "element", None)
        return None if not isinstance(name, str) else _instead_of_name(name, here, words)
    if isinstance(given, dict) and given and all(isinstance(key, str) and _is_column(here, key) for key in given):
        return _instead_of_dictionary(word, given, here)
    if word == "where" and isinstance(given, int) and not isinstance(given, bool) and (key := _key_of(here)):
        return f"write where={key} == {given}."
    return None


def _is_column(here: type[Any], name: str) -> bool:
    attribute = getattr(here, name, None)
    return isinstance(attribute, QueryableAttribute) and not is_relationship(attribute)


def _instead_of_name(given: str, here: type[Any], words: Sequence[str] = ()) -> str | None:
    """Return the hint for the name of a column as an order: ``"-name"``, ``"author.name"``."""
    found = _ORDER.fullmatch(given.strip())
    if found is None or given.lower() in {"asc", "desc"}:
        return None
    down = bool(found["minus"]) or (found["word"] or "").lower() == "desc"
    words = words or (("desc",) if down else ())
    direction = "".join(f".{word}()" for word in words)
    if _is_column(here, found["name"]):
        return f"write order_by={here.__name__}.{found['name']}{direction}."
    *steps, last = names_in(found["name"])
    mapper, way = _mapper(here), list[str]()
    for step in steps:
        if mapper is None or step not in mapper.relationships or mapper.relationships[step].uselist:
            return None
        way.append(f"{mapper.class_.__name__}.{step}")
        mapper = mapper.relationships[step].mapper
    if mapper is None:
        return None
    if way and _is_column(mapper.class_, last):
        return f"write order_by=source({', '.join(way)}, {mapper.class_.__name__}.{last}){direction}."
    columns = [each.key for each in mapping.column_attributes(mapper)]
    return did_you_mean(last, columns, f"Columns of {mapper.class_.__name__}")


def _instead_of_dictionary(word: str, given: dict[str, Any], here: type[Any]) -> str | None:
    """Return the hint for ``where={"name": "Ada"}`` and ``order_by={"name": "desc"}``."""
    name = here.__name__
    if word == "order_by":
        down = {key: str(value).lower() in {"desc", "-1"} for key, value in given.items()}
        listed = [f"{name}.{key}.desc()" if down[key] else f"{name}.{key}" for key in given]
    elif any(isinstance(value, dict | list | tuple | set) for value in given.values()):
        return None
    else:
        listed = [_compared(f"{name}.{key}", value) for key, value in given.items()]
    return f"write {word}={listed[0] if len(listed) == 1 else '[' + ', '.join(listed) + ']'}."


def _compared(column: str, value: object) -> str:
    if value is None:
        return f"{column}.is_(None)"
    return {True: column, False: f"~{column}"}[value] if isinstance(value, bool) else f"{column} == {shown(value)}"


def _key_of(here: type[Any] | None) -> str | None:
    """Return the code of the primary key of a class, if it is one number."""
    mapper = _mapper(here)
    columns = () if mapper is None else mapper.primary_key
    if mapper is None or len(columns) != 1 or not isinstance(columns[0].type, Integer):
        return None
    return f"{mapper.class_.__name__}.{mapper.get_property_by_column(columns[0]).key}"


def _instead_of_aggregate(word: str, given: Aggregate, *, in_path: bool = False) -> str:
    """Return the hint for ``count(...)`` and its kin as a condition or an order, or as the last item of a path."""
    name = source(given.relationship)
    if word == "where" and given.kind in {"count", "exists"} and not given.where:
        asked = "any" if given.relationship.property.uselist else "has"
        return f"write {name}.{asked}() to choose rows that have related rows."
    for_views, row = f"{given.kind}(...) is for fields of views.", given.relationship.property.mapper.class_.__name__
    asked = "func.count()" if given.expression is None else source(given.expression)
    code, is_other = subquery_over(given.relationship, asked, given.where) or ("", True)
    if not code:
        return f"{for_views} Use a subquery over aliased({row})."
    if not is_other:
        return f"{for_views} {'End the path with a subquery: ' if in_path else f'Use a subquery: {word}='}{code}."
    place = " at the end of the path: " if in_path else f": {word}="
    return f"{for_views} Use a subquery over other = aliased({row}){place}{code}."


def instead_of_function(
    word: str, given: Any, here: Mapper[Any], through: RelationshipProperty[Any] | None
) -> str | None:
    """Return the hint for a condition or an order of rows with a function that has one value for many rows.

    Args:
        word: ``"where"`` or ``"order_by"``.
        given: the condition or the order, as ``func.max(Comment.id) > 3``.
        here: the class of the rows.
        through: the relationship that leads to the rows; None for roots.
    """
    function = first_aggregate(given)
    code, whole, name = source(function), source(given), here.class_.__name__
    if code not in whole:
        return None
    parts: Any = iterate(function)
    owners = [found[0] for found in map(attribute_behind, parts) if found is not None]
    theirs = [each for each in owners if not _are_related(each, here.class_)]
    if not owners or theirs or function.name == "count":
        is_plain = theirs and not SQL.search(code)
        for prop in here.relationships:
            if prop.uselist and (not theirs or issubclass(theirs[0], prop.mapper.class_)):
                found = subquery_over(getattr(here.class_, prop.key), code if is_plain else "func.count()")
                if found is not None and not found[1]:
                    example = "" if theirs else ", for example"
                    return f"use a subquery for each '{name}'{example}: {word}={whole.replace(code, found[0])}."
        return None
    if SQL.search(code):
        return None
    if word == "order_by":
        argument = source(next(iter(function.clauses)))
        return f"order by a value of each row: {word}={whole.replace(code, argument)}."
    is_direct = through is not None and through.uselist and through.secondary is None
    pairs = attribute_pairs(through) if through is not None and is_direct else []
    among = ", ".join(f"other.{there} == {name}.{there}" for _, there in pairs)
    other = re.sub(rf"\b{name}\.", "other.", code)
    code_of_all = f"select({other}){f'.where({among})' if among else ''}.scalar_subquery()"
    return f"compare with a subquery over other = aliased({name}): {word}={whole.replace(code, code_of_all)}."


def _is_of(prop: RelationshipProperty[Any], table: str) -> bool:
    """Tell whether the target of a relationship has a table of this name."""
    return table in {getattr(each, "name", None) for each in prop.mapper.tables}


def _columns_in(given: Sequence[Any], target: type[Any]) -> Iterator[tuple[type[Any], str, list[str]]]:
    """Yield the columns of other classes in orders: the class, the name, and the words of the direction."""
    for each in given:
        words, element = _without_direction(each)
        expression = element_of(element)
        column = attribute_behind(expression) if isinstance(expression, ClauseElement) else None
        if column is not None and not issubclass(target, column[0]):
            yield (*column, words)


def _without_direction(given: Any) -> tuple[list[str], Any]:
    """Return the words of the direction of an order, and the order without them."""
    element, words = given, list[str]()
    while isinstance(element, UnaryExpression) and element.modifier is not None:
        words.insert(0, element.modifier.__name__.removesuffix("_op"))
        element = element.element
    return words, element


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


def comparing_path(here: type[Any]) -> str | None:
    """Return the code of a path that compares a value of a to-one of a class; None if the class has no to-one."""
    for prop in class_mapper(here).relationships:
        if not prop.uselist:
            target = f"{prop.mapper.class_.__name__}.{_telling_column(prop.mapper)}"
            return f"source({here.__name__}.{prop.key}, {target} == ...)"
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


def question(target: Mapper[Any], table: str, given: Sequence[Any], parent: Mapper[Any] | None) -> str:
    """Return the hint for a condition on related rows: ``Post.author.has(User.active)``.

    Args:
        target: the class whose rows the condition chooses.
        table: the name of another table in the condition.
        given: the conditions, of which one or more use the table.
        parent: the class that loads the rows. A condition on its row must not become one on any row of its class.
    """
    here = target.class_.__name__
    wrong = [each for each in given if _other_owner(each, target) is not None]
    owner = mapping.mapper_of(_other_owner(wrong[0], target)) if wrong else None
    way, at = list[RelationshipProperty[Any]](), target
    for name in () if owner is None else meant.route(target, owner):
        way.append(at.relationships[name.rpartition(".")[2]])
        at = way[-1].mapper
    asked = source(wrong[0]) if len(wrong) == 1 else "..."
    there = None if parent is None or owner is None or not parent.isa(owner) else parent.class_.__name__
    if there is not None and (not way or any(each.uselist for each in way)):
        return f"use columns of '{here}' in it. To choose rows of '{there}', pass where= to their fetch or load."
    if not way:
        way = [each for each in target.relationships if _is_of(each, table)][:1]
    asked = "..." if SQL.search(asked) else asked
    for prop in reversed(way):
        asked = f"{prop.parent.class_.__name__}.{prop.key}.{'any' if prop.uselist else 'has'}({asked})"
    asked = asked if way else f"{here}.<relationship>.has(...) or .any(...)"
    return f"write the condition with a relationship: {asked}."


def _other_owner(condition: Any, target: Mapper[Any]) -> type[Any] | None:
    """Return a class in a condition that is not in the hierarchy of another class, or None."""
    element = element_of(condition)
    parts: Any = iterate(element) if isinstance(element, ClauseElement) else ()
    owners = (found[0] for found in map(attribute_behind, parts) if found is not None)
    return next((each for each in owners if not _are_related(each, target.class_)), None)


def _are_related(one: type[Any], other: type[Any]) -> bool:
    return issubclass(one, other) or issubclass(other, one)


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
