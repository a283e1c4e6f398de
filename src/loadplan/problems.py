"""Every way a plan can be wrong, as a function from the facts to a :class:`~loadplan.errors.Problem`.

LP1xx is about the declaration alone, LP2xx about the declaration against the mapping. Wording lives here and nowhere
else; ``resolve`` knows when, not how to say it.
"""

from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy import ClauseElement, UnaryExpression
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan import mapping
from loadplan.code import argument_source, source
from loadplan.errors import Problem, did_you_mean, one_of, shown
from loadplan.spec import Load, LoadPlan, On, StrategyName
from loadplan.sqlalchemy_internals import AbstractLoad, attribute_behind
from loadplan.tree import Edge

At = tuple[str, ...]


def _name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


def _shown(value: object) -> str:
    if isinstance(value, AbstractLoad):
        return "a loader option of SQLAlchemy"
    if isinstance(value, type):
        return repr(value.__name__)
    return f"'{source(value)}'" if isinstance(value, QueryableAttribute) else repr(value)


def _instead_of(given: object, otherwise: str) -> str:
    """Return the hint for what stands in a load's place: of its own for ``selectinload(User.posts)`` and the like."""
    if isinstance(given, AbstractLoad):
        return "write load(User.posts), with what is below it inside; the plan chooses the option itself."
    return otherwise


# --- LP1xx: the declaration alone -----------------------------------------------------------------------------------


def not_a_relationship(given: object, at: At) -> Problem:
    """``load(...)`` of something that no class has as a relationship."""
    return Problem(
        "LP101",
        f"load() is given {_shown(given)}, which is not a relationship of a mapped class",
        at,
        hint=_instead_of(given, "name it as an attribute of the class, as load(User.posts)."),
    )


def relationship_of_alias(given: QueryableAttribute[Any], at: At) -> Problem:
    """``load(aliased(User).posts)``."""
    return Problem(
        "LP101",
        f"load() is given '{given.key}' of an alias",
        at,
        hint=f"name it on the class itself, as load({_name(given.parent.mapper)}.{given.key}).",
    )


def type_of_alias(given: QueryableAttribute[Any], at: At) -> Problem:
    """``load(User.pets.of_type(aliased(Dog)))``."""
    name = f"{_name(given.parent.mapper)}.{given.key}"
    return Problem(
        "LP101",
        f"'{name}' is given the type of an alias",
        at,
        hint=f"name the class itself, as {name}.of_type(Sub).",
    )


def not_a_load(given: object, at: At) -> Problem:
    """Something else stands among the loads."""
    inside = source(given) if isinstance(given, QueryableAttribute) else "..."
    return Problem(
        "LP102",
        f"{_shown(given)} stands where a load(...) belongs",
        at,
        hint=_instead_of(given, f"a relationship goes into load({inside}), a column into only=[...]."),
    )


def only_and_defer(at: At) -> Problem:
    """Both are given."""
    return Problem("LP103", "only= and defer= are given together", at, hint="keep the one that says what you mean.")


def view_below_entity(given: Load[Any] | On[Any] | LoadPlan[Any], at: At) -> Problem:
    """``into=`` below a plan of entities."""
    return Problem(
        "LP111",
        f"into={source(given.into)} stands below a plan of entities",
        at,
        detail="what a mapped attribute holds is mapped objects.",
        hint="give the plan itself an into= class, with a field for what is read here.",
    )


def not_a_column(word: str, given: object, at: At) -> Problem:
    """``only=["id"]`` and the like."""
    return Problem(
        "LP104",
        f"{word}= holds {given!r}, which is not a mapped column",
        at,
        hint=f"name columns as attributes of the class, as {word}=[Post.id, Post.title].",
    )


def not_a_strategy(given: object, at: At) -> Problem:
    """An unknown ``strategy=``."""
    return Problem(
        "LP105",
        f"strategy={given!r} is not a strategy",
        at,
        hint=f"use {one_of(get_args(StrategyName))}, or leave it out to have it chosen.",
    )


def loads_disagree(name: str, word: str, items: Sequence[Load[Any]], at: At) -> Problem:
    """One relationship is named twice at one place, and the two cannot both hold."""
    said = ["nothing" if getattr(item, word) is None else argument_source(word, getattr(item, word)) for item in items]
    return Problem(
        "LP106",
        f"'{name}' is loaded twice, with different {word}=",
        at,
        detail=f"it is given {' and '.join(dict.fromkeys(said))}.",
        hint=f"a relationship named twice is loaded once: give both the same {word}=, or keep one of them.",
    )


def bad_number(word: str, given: object, at: At) -> Problem:
    """A ``limit=`` or ``depth=`` that counts nothing."""
    other = ' or "all"' if word == "depth" else ""
    return Problem("LP107", f"{word}={shown(given)} is not a number of 1 or more{other}", at, hint=_NUMBER_HINTS[word])


def bad_count(word: str, given: object, at: At) -> Problem:
    """A ``limit=`` or ``offset=`` of a fetch that counts nothing."""
    return Problem("LP107", f"{word}={shown(given)} is not a number of 0 or more", at)


def too_large_count(word: str, given: int, at: At) -> Problem:
    """A number of rows that no database counts to."""
    return Problem("LP107", f"{word}={shown(given)} is more than a database counts, which is 64 bits", at)


def too_deep(given: int, most: int, at: At) -> Problem:
    """More levels than anybody writes a plan for."""
    return Problem(
        "LP107",
        f"depth={shown(given)} is more than {most} levels",
        at,
        hint='load the whole tree with depth="all".',
    )


def not_pageable(type_name: str, at: At) -> Problem:
    """A page is ordered by values that have no place in a cursor."""
    return Problem(
        "LP110",
        f"pages cannot be ordered by values of type {type_name}",
        at,
        hint="order by numbers, text, dates, times, UUIDs, enums or bytes.",
    )


_NUMBER_HINTS = {
    "size": "size= is how many roots a page has.",
    "batch_size": "batch_size= is how many roots come at once.",
    "limit": "limit= is how many rows each parent gets; leave it out for all of them.",
    "depth": 'depth= is how many levels of the tree are loaded; "all" is the whole tree.',
}


def not_an_expression(word: str, given: object, at: At) -> Problem:
    """A ``where=`` or ``order_by=`` that is no SQL expression."""
    return Problem(
        "LP108",
        f"{word}= holds {shown(given)}, which is not a SQL expression",
        at,
        hint="write conditions with attributes of the class, as where=Post.published or where=Post.id > 3."
        if word == "where"
        else "order by attributes of the class, as order_by=Post.created_at.desc().",
    )


def paths_disagree(label: str, one: Edge, other: Edge) -> Problem:
    """Two places of a plan want different rows in one collection of one class."""
    return Problem(
        "LP109",
        f"'{other.name}' is loaded over two paths, with different rows",
        (label,),
        detail=f"{' > '.join(one.target.path)} takes {_rows(one)}, "
        f"{' > '.join(other.target.path)} takes {_rows(other)}; "
        "one object has one collection, whichever path it is found by.",
        hint="give both the same where=, order_by= and limit=, or make two plans.",
    )


def _rows(edge: Edge) -> str:
    shape = edge.shape
    words = {"where": shape.where or None, "order_by": shape.order_by, "limit": shape.limit}
    said = [argument_source(word, value) for word, value in words.items() if value is not None]
    return ", ".join(said) or "all rows"


# --- LP2xx: the declaration against the mapping ---------------------------------------------------------------------


def not_mapped(given: object, at: At) -> Problem:
    """``LoadPlan`` or ``on`` of something that is no mapped class."""
    return Problem(
        "LP200", f"{given!r} is not a mapped class", at, hint="LoadPlan(...) and on(...) start with a mapped class."
    )


def no_relationship(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: At) -> Problem:
    """The class at a place has no such relationship: a slip, another class's, a subclass's, or a column."""
    here = _name(mapper)
    at = (*at, key)
    if owner is not None and owner is not mapper and owner.isa(mapper):
        sub = _name(owner)
        return Problem(
            "LP209",
            f"'{sub}.{key}' exists on '{sub}' alone, but here stands any '{here}'",
            at,
            hint=f"put it in a branch: on({sub}, load({sub}.{key})).",
        )
    if owner is not None and not mapper.isa(owner):
        there = _name(owner)
        leads = key in owner.relationships
        routes = [prop.key for prop in mapper.relationships if leads and prop.mapper.isa(owner)]
        return Problem(
            "LP201",
            f"'{here}' has no relationship '{there}.{key}'",
            at,
            detail=f"it belongs to '{there}'.",
            hint=f"nest it: load({here}.{routes[0]}, load({there}.{key}))."
            if routes
            else did_you_mean(key, mapper.relationships.keys(), f"Relationships of {here}"),
        )
    if mapping.columns_behind(mapper, key) or key in mapper.all_orm_descriptors:
        return Problem(
            "LP202",
            f"'{here}.{key}' is {mapping.describe_attribute(mapper, key)}, not a relationship",
            at,
            hint="columns come by themselves; name a subset with only=[...].",
        )
    return Problem(
        "LP201",
        f"'{here}' has no relationship '{key}'",
        at,
        hint=did_you_mean(key, mapper.relationships.keys(), f"Relationships of {here}"),
    )


def no_column(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: At) -> Problem:
    """``only=`` or ``defer=`` names something that is no column of the class at a place."""
    here = _name(mapper)
    if owner is not None and mapper.isa(owner):
        what = mapping.describe_attribute(mapper, key)
        return Problem(
            "LP203",
            f"'{here}.{key}' is {what}, not a column",
            at,
            hint=f"load it with load({here}.{key})."
            if what == "a relationship"
            else "name the columns that it reads; it is computed from them.",
        )
    if owner is not None and owner.isa(mapper):
        sub = _name(owner)
        return Problem(
            "LP203",
            f"'{sub}.{key}' is a column of '{sub}' alone, but here stands any '{here}'",
            at,
            hint=f"put it in a branch: on({sub}, only=[{sub}.{key}]).",
        )
    there = "?" if owner is None else _name(owner)
    known = [prop.key for prop in mapping.column_attributes(mapper)]
    return Problem(
        "LP203",
        f"'{there}.{key}' is not a column of '{here}'",
        at,
        hint=did_you_mean(key, known, f"Columns of {here}"),
    )


def wrong_plan(mapper: Mapper[Any], plan: LoadPlan[Any], at: At) -> Problem:
    """A nested plan speaks of another class than stands there."""
    here = _name(mapper)
    name = getattr(plan.entity, "__name__", repr(plan.entity))
    return Problem(
        "LP204",
        f"plan '{plan.label}' is for '{name}', but here stands '{here}'",
        at,
        hint=f"nest a LoadPlan({here}, ...), or move this one to a relationship to '{name}'.",
    )


def unloadable(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: At) -> Problem:
    """``lazy="dynamic"`` or ``"write_only"``."""
    return Problem(
        "LP205",
        f"'{_name(mapper)}.{prop.key}' cannot be eagerly loaded",
        (*at, prop.key),
        detail=f'it is mapped lazy="{prop.lazy}", which does not support object population.',
        hint='map it lazy="raise" (or add a second, viewonly=True relationship that is), or leave it out of the plan.',
    )


def view_beyond_options(label: str) -> Problem:
    """``plan.select()`` or ``plan.options()`` of a plan of views."""
    return Problem(
        "LP206",
        f"'{label}' builds views, which no loader option does",
        (label,),
        hint="fetch it with a Loader, or declare the entities: LoadPlan.for_schema makes that plan of the same class.",
    )


def beyond_options(label: str, edge: Edge, words: Sequence[str]) -> Problem:
    """``plan.options()`` of something that SQLAlchemy's loader options do not have."""
    return Problem(
        "LP206",
        f"loader options cannot carry {' and '.join(f'{word}=' for word in words)} of '{edge.name}'",
        (label, *edge.target.path),
        hint="fetch the plan with a Loader, or take this out of the plan whose options you want.",
    )


def branch_beyond_options(label: str, name: str) -> Problem:
    """``plan.options()`` of a plan with ``on(...)``."""
    return Problem(
        "LP206",
        f"loader options cannot carry {name}",
        (label,),
        hint="fetch the plan with a Loader, or take this out of the plan whose options you want.",
    )


def joined_in_stream(label: str, edge: Any) -> Problem:
    """``stream`` of a plan that joins a collection to its root."""
    return Problem(
        "LP216",
        f"a stream cannot join the collection '{edge.name}'",
        (label, edge.key),
        detail="a cursor cuts rows into batches, and a joined collection spreads one root over many rows.",
        hint="leave strategy= out of that load().",
    )


def mapping_incomplete(mapper: Mapper[Any], missing: Sequence[str], at: At) -> Problem:
    """A class that the mapping names has not been imported."""
    return Problem(
        "LP208",
        f"the mapping around '{_name(mapper)}' is not complete",
        at,
        detail=f"{'; '.join(missing)}, and no mapped class has that name yet.",
        hint="import the module of that class before the plan is used.",
    )


def mapping_broken(mapper: Mapper[Any], error: Exception, at: At) -> Problem:
    """SQLAlchemy cannot configure the mappers."""
    return Problem(
        "LP208",
        f"the mapping around '{_name(mapper)}' cannot be configured",
        at,
        detail=str(error).partition("\n")[0],
        hint="mend the mapping, or import the module of the class it names before the plan is used.",
    )


def not_a_subclass(mapper: Mapper[Any], sub: Mapper[Any], at: At) -> Problem:
    """``on(...)`` of a class that no object at a place can be of."""
    here = _name(mapper)
    subs = [_name(each) for each in mapper.self_and_descendants if each is not mapper]
    return Problem(
        "LP210",
        f"'{_name(sub)}' is not a subclass of '{here}'",
        (*at, f"on({_name(sub)})"),
        hint=f"Subclasses of {here}: {', '.join(subs)}." if subs else f"'{here}' has no subclasses.",
    )


def limit_without_order(prop: RelationshipProperty[Any], at: At) -> Problem:
    """The first five of nothing in particular."""
    return Problem(
        "LP211",
        f"limit= of '{_name(prop.parent)}.{prop.key}' needs an order",
        at,
        detail="without one, which rows come first is up to the database, and changes.",
        hint=f"add order_by=, as order_by={_name(prop.mapper)}.{mapping.primary_key(prop.mapper)[0]}.",
    )


def to_one_in_order(prop: RelationshipProperty[Any], word: str, at: At) -> Problem:
    """``order_by=`` or ``limit=`` of a relationship that has one row at most."""
    return Problem(
        "LP212",
        f"{word}= is for collections, and '{_name(prop.parent)}.{prop.key}' is {mapping.cardinality(prop).value}",
        at,
        hint=f"leave {word}= out.",
    )


def not_a_tree(prop: RelationshipProperty[Any], at: At) -> Problem:
    """``depth=`` of a relationship that does not lead back to its own class."""
    here, there = _name(prop.parent), _name(prop.mapper)
    return Problem(
        "LP213",
        f"depth= is for a class related to itself, and '{here}.{prop.key}' leads from '{here}' to '{there}'",
        at,
        hint="nest one load(...) a level.",
    )


def strategy_cannot(prop: RelationshipProperty[Any], strategy: str, word: str, at: At) -> Problem:
    """A forced strategy that has no way to do what another argument asks."""
    return Problem(
        "LP214",
        f"strategy={strategy!r} cannot serve {word}= of '{_name(prop.parent)}.{prop.key}'",
        at,
        hint="leave strategy= out, or use 'selectin': a statement of its own can.",
    )


def speaks_of_others(
    name: str,
    target: Mapper[Any],
    word: str,
    tables: Sequence[str],
    given: Sequence[Any],
    at: At,
    *,
    to_alias: bool = False,
) -> Problem:
    """A condition or order whose columns are not the target's: it would join every row with every other."""
    here = _name(target)
    hint = f"ask through a relationship of '{here}': {here}.relation.has(...) or .any(...)."
    if word == "order_by":
        hint = f"order by a subquery, as {_subquery_of(target, given)}."
    if to_alias:
        hint = f"'{name}' leads to an alias of '{here}': write {word}= with the attributes of that alias."
    return Problem(
        "LP215",
        f"{word}= of '{name}' speaks of {one_of(tables)}, not of '{here}' alone",
        at,
        detail="it would join without a condition.",
        hint=hint,
    )


def _subquery_of(target: Mapper[Any], given: Sequence[Any]) -> str:
    """Return the code of a subquery for a column of another class: the very one, where a to-one leads there."""
    for each in given:
        element: Any = each.element if isinstance(each, UnaryExpression) else each
        expression = element.__clause_element__() if hasattr(element, "__clause_element__") else element
        column = attribute_behind(expression) if isinstance(expression, ClauseElement) else None
        if column is None or target.class_ is column[0]:
            continue
        for prop in target.relationships:
            pairs = prop.local_remote_pairs or ()
            if prop.uselist or prop.secondary is not None or len(pairs) != 1 or prop.mapper.class_ is not column[0]:
                continue
            here, there = mapping.attribute_of(target, pairs[0][0]), mapping.attribute_of(prop.mapper, pairs[0][1])
            if here is not None and there is not None:
                other = _name(prop.mapper)
                condition = f"{other}.{there} == {_name(target)}.{here}"
                return f"select({other}.{column[1]}).where({condition}).scalar_subquery()"
    return "select(...).where(...).scalar_subquery()"
