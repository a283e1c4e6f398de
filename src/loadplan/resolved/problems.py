"""Makes the problems of wrong plans. For each, a function turns the facts into a :class:`~loadplan.errors.Problem`.

LP1xx is about the declaration alone, and LP2xx about the declaration and the mapping. All texts are here. The modules
that resolve a plan find the problems.
"""

from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy.orm import Mapper, MapperProperty, QueryableAttribute, RelationshipProperty

from loadplan.declared.code import argument_source, source
from loadplan.declared.spec import Load, On, Plan, StrategyName
from loadplan.errors import Problem, did_you_mean, one_of, shown
from loadplan.mapped import mapping
from loadplan.resolved import meant, meant_here
from loadplan.resolved.meant_paths import meant_path
from loadplan.resolved.tree import Edge
from loadplan.sqlalchemy_internals import AbstractLoad

At = tuple[str, ...]


def _name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


# --- LP1xx: the declaration alone -----------------------------------------------------------------------------------


def not_a_relationship(given: object, at: At, here: type[Any] | None = None) -> Problem:
    """Return the problem of ``load(...)`` with a value that is not a relationship of the class ``here``."""
    message = f"load() needs a relationship, but got {meant.described(given)}"
    of_option = isinstance(given, AbstractLoad)
    hint = meant_here.load_hint(given, None) if of_option else meant_here.relationship_hint(given, here)
    return Problem("LP101", message, at, hint=meant.safely(meant_here.behind_proxy, given) or hint)


def relationship_of_alias(given: QueryableAttribute[Any], at: At) -> Problem:
    """Return the problem of ``load(aliased(User).posts)``."""
    name = f"{_name(given.parent.mapper)}.{given.key}"
    return Problem("LP101", f"load() got '{given.key}' of an alias", at, hint=f"use the class itself: load({name}).")


def type_of_alias(given: QueryableAttribute[Any], at: At) -> Problem:
    """Return the problem of ``load(User.pets.of_type(aliased(Dog)))``."""
    name = f"{_name(given.parent.mapper)}.{given.key}"
    return Problem(
        "LP101",
        f"'{name}' got the type of an alias",
        at,
        hint=f"name the class itself, as {name}.of_type(Sub).",
    )


def not_a_load(given: object, at: At, here: type[Any] | None = None) -> Problem:
    """Return the problem of a value among the loads that is not a load, a branch or a plan."""
    message = f"a plan needs load(...) here, but got {meant.described(given)}"
    return Problem("LP102", message, at, hint=meant_here.load_hint(given, here, within=len(at) > 1))


def only_and_defer(at: At) -> Problem:
    """Return the problem of ``only=`` and ``defer=`` in one load."""
    return Problem(
        "LP103",
        "only= and defer= cannot be used together",
        at,
        hint="keep one of them: only= names the columns to load, defer= names the columns to leave out.",
    )


def view_below_entity(given: Load[Any] | On[Any] | Plan[Any], at: At) -> Problem:
    """Return the problem of ``into=`` below a plan of entities."""
    return Problem(
        "LP111",
        f"into={source(given.into)} cannot be used below a plan of entities",
        at,
        detail="a mapped attribute can hold mapped objects only.",
        hint="pass into= to the LoadPlan itself, and give that class a field for this relationship.",
    )


def not_a_column(word: str, given: object, at: At, owner: str | None = None, here: Any = None) -> Problem:
    """Return the problem of ``only=["id"]``, or of another value that is not a column.

    Args:
        word: ``"only"`` or ``"defer"``.
        given: the value.
        at: the place in the plan.
        owner: the name of the class that should have the column, if it is known.
        here: the class at the place, if it is known.
    """
    name = meant_here.property_name(given, here)
    if name is not None:
        message = f"{word}= needs mapped columns, but '{name}' is a Python property"
        return Problem("LP104", message, at, hint="name the columns that it reads instead.")
    right = meant_here.example_columns(here) if owner is None else f"{owner}.{given}"
    if isinstance(given, MapperProperty):
        right = source(given.class_attribute)
    return Problem(
        "LP104",
        f"{word}= needs mapped columns, but got {meant.described(given)}",
        at,
        hint=f"name columns as attributes of the class, for example {word}=[{right}].",
    )


def not_a_strategy(given: object, at: At) -> Problem:
    """Return the problem of an unknown ``strategy=``."""
    return Problem(
        "LP105",
        f"strategy={shown(given) if isinstance(given, str) else f'({safely_described(given)})'} is unknown",
        at,
        hint=f"use {one_of(get_args(StrategyName))}, or remove strategy= and let the plan choose.",
    )


def loads_disagree(name: str, word: str, items: Sequence[Load[Any]], at: At) -> Problem:
    """Return the problem of two loads of one relationship at one place that disagree about an argument."""
    said = [
        f"no {word}=" if getattr(item, word) is None else argument_source(word, getattr(item, word)) for item in items
    ]
    return Problem(
        "LP106",
        f"'{name}' is loaded twice, with different {word}=",
        at,
        detail=f"the loads have {' and '.join(dict.fromkeys(said))}. A plan loads each relationship once.",
        hint=f"give both the same {word}=, or keep one of them.",
    )


def not_an_expression(word: str, given: object, at: At, here: type[Any] | None = None) -> Problem:
    """Return the problem of a ``where=`` or ``order_by=`` that is not a SQL expression over the class ``here``."""
    if word == "where" and meant.has_direction(given):
        return order_as_condition(given, at)
    if word == "where" and issubclass(type(given), QueryableAttribute):
        hint = f"compare it: where={source(given)} == ... To sort, pass it as order_by=."
        return Problem("LP108", f"where= needs a condition, but got the column '{source(given)}'", at, hint=hint)
    message = f"{word}= needs a SQL expression, but got {safely_described(given)}"
    return Problem("LP108", message, at, hint=meant_here.expression_hint(word, given, here))


def order_as_condition(given: object, at: At) -> Problem:
    """Return the problem of an order as a condition: ``fetch_all(plan, Post.id.desc())``."""
    return Problem(
        "LP108",
        f"where= got an order, {safely_described(given)}",
        at,
        hint="to sort, pass it as order_by=. To choose rows, compare the column, for example where=Post.id > 3.",
    )


def safely_described(given: object) -> str:
    """Return a description of a value. If describing it raises an error, name its class."""
    try:
        return meant.described(given)
    except Exception:  # the methods of the value's class may raise any error
        return shown(given)


def paths_disagree(label: str, one: Edge, other: Edge) -> Problem:
    """Return the problem of two places of a plan that load different rows for one relationship of a class."""
    what = "reference" if one.cardinality.to_one else "collection"
    return Problem(
        "LP109",
        f"'{other.name}' is loaded over two paths, with different rows",
        (label,),
        detail=f"{' > '.join(one.target.path)} loads {_rows(one)}. "
        f"{' > '.join(other.target.path)} loads {_rows(other)}. One object has only one {what} of this name.",
        hint="use the same where=, order_by= and limit= on both paths, or make two plans.",
    )


def _rows(edge: Edge) -> str:
    shape = edge.shape
    words = {"where": shape.where or None, "order_by": shape.order_by, "limit": shape.limit}
    said = [argument_source(word, value) for word, value in words.items() if value is not None]
    return ", ".join(said) or "all rows"


# --- LP2xx: the declaration against the mapping ---------------------------------------------------------------------


def not_mapped(given: object, at: At, word: str = "LoadPlan") -> Problem:
    """Return the problem of ``LoadPlan`` or ``on`` with a value that is not a mapped class."""
    what = safely_described(given).removeprefix("the class ")
    if later := mapping.still_to_be_mapped(given):
        hint = "complete its mapping before you use the plan."
        return Problem("LP200", f"{what} is not mapped yet", at, detail=later, hint=hint)
    way_out = meant.safely(meant.instead_of_class, given)
    way_out = way_out and way_out.replace("LoadPlan(", f"{word}(")
    return Problem("LP200", f"{what} is not a mapped class", at, hint=way_out)


def no_relationship(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: At) -> Problem:
    """Return the problem of a name that is not a relationship of the class.

    The name may be mistyped, a relationship of another class or of a subclass, or a column.
    """
    here = _name(mapper)
    at = (*at, key)
    if owner is not None and owner is not mapper and owner.isa(mapper):
        sub = _name(owner)
        return Problem(
            "LP209",
            f"'{sub}.{key}' belongs to the subclass '{sub}', but any '{here}' may be at this place",
            at,
            hint=f"put it into a branch: on({sub}, load({sub}.{key})).",
        )
    known = did_you_mean(key, mapper.relationships.keys(), f"Relationships of {here}")
    if owner is not None and not mapper.isa(owner):
        there = _name(owner)
        way = meant.route(mapper, owner) if key in owner.relationships else []
        return Problem(
            "LP201",
            f"'{here}' has no relationship '{there}.{key}'",
            at,
            detail=f"'{there}.{key}' belongs to '{there}'.",
            hint=f"nest it: {meant.nested(way, f'load({there}.{key})')}." if way else known,
        )
    if mapping.columns_behind(mapper, key) or key in mapper.all_orm_descriptors:
        what = mapping.describe_attribute(mapper, key)
        message = f"'{here}.{key}' is {what}, not a relationship"
        return Problem("LP202", message, at, hint=_instead_of_load_of(mapper, key, what))
    if len(meant_here.names_in(key)) > 1:
        return _dotted(mapper, key, at)
    return Problem("LP201", f"'{here}' has no relationship '{key}'", at, hint=known)


def _dotted(mapper: Mapper[Any], given: str, at: At) -> Problem:
    """Return the problem of ``load("comments.author")``: relationships with dots, one of which may be wrong."""
    message = f"'{_name(mapper)}' has no relationship '{given}'"
    names = []
    for key in meant_here.names_in(given):
        here = _name(mapper)
        if key not in mapper.relationships:
            known = did_you_mean(key, mapper.relationships.keys(), f"Relationships of {here}")
            return Problem("LP201", message, at, detail=f"'{here}' has no relationship '{key}'.", hint=known)
        names.append(f"{here}.{key}")
        mapper = mapper.relationships[key].mapper
    return Problem("LP201", message, at, hint=f"nest one load in the other: {meant.nested(names, '')}.")


def _instead_of_load_of(mapper: Mapper[Any], key: str, what: str) -> str:
    here = _name(mapper)
    proxy: Any = mapper.all_orm_descriptors.get(key)
    behind = getattr(proxy, "target_collection", None)
    if behind is not None and behind in mapper.relationships:
        return f"load the relationship that it reads: load({here}.{behind})."
    if what == "a column" and key not in mapping.default_columns(mapper):
        return (
            f"the mapping defers this column. To load it with the others, nest {meant_here.plan_of_column(here, key)}."
        )
    if what == "a column":
        return f"remove this load: columns load by themselves. To load only some of them, write only=[{here}.{key}]."
    return "remove this load. Load the relationships that the attribute reads."


def no_column(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: At) -> Problem:
    """Return the problem of ``only=`` or ``defer=`` with an attribute that is not a column of the class at a place."""
    here = _name(mapper)
    if owner is not None and mapper.isa(owner):
        what = mapping.describe_attribute(mapper, key)
        hints = {
            "a relationship": f"write load({here}.{key}) beside only= or defer=. Without this load, it is not loaded.",
            "a query_expression": "leave it out: it is not a column of a table.",
        }
        return Problem(
            "LP203",
            f"'{here}.{key}' is {what}, not a column",
            at,
            hint=hints.get(what, "name the columns that it reads instead."),
        )
    if owner is not None and owner.isa(mapper):
        sub = _name(owner)
        return Problem(
            "LP203",
            f"'{sub}.{key}' belongs to the subclass '{sub}', but any '{here}' may be at this place",
            at,
            hint=f"put it into a branch: on({sub}, only=[{sub}.{key}]).",
        )
    there = "?" if owner is None else _name(owner)
    known = [prop.key for prop in mapping.column_attributes(mapper)]
    way = [] if owner is None else meant.route(mapper, owner)
    return Problem(
        "LP203",
        f"'{there}.{key}' is not a column of '{here}'",
        at,
        hint=f"move it to the load of '{there}': {meant.nested(way, f'only=[{there}.{key}]')}."
        if way
        else did_you_mean(key, known, f"Columns of {here}"),
    )


def wrong_plan(mapper: Mapper[Any], plan: Plan[Any], at: At) -> Problem:
    """Return the problem of a nested plan for another class."""
    here = _name(mapper)
    name = getattr(plan.entity, "__name__", repr(plan.entity))
    return Problem(
        "LP204",
        f"plan '{plan.label}' loads '{name}', but a plan of '{here}' is needed here",
        at,
        hint=f"nest a plan of '{here}', or move this one to a relationship that leads to '{name}'.",
    )


def key_without_hash(mapper: Mapper[Any], column: Any, at: At) -> Problem:
    """Return the problem of a primary key whose values are dictionaries or lists."""
    return Problem(
        "LP223",
        f"the primary key of '{_name(mapper)}' has values without a hash",
        at,
        detail=f"'{column.name}' is of type {type(column.type).__name__}. An object is found by its key, also in a "
        "SQLAlchemy session.",
        hint="read the rows as a view, with into=; or map a primary key of another type.",
    )


def key_outside_of_sessions(mapper: Mapper[Any], identity: Sequence[Any]) -> Problem:
    """Return the problem of an object for a session if the session cannot find the object by its key."""
    kinds = ", ".join(type(each).__name__ for each in identity)
    return Problem(
        "LP223",
        f"the primary key of '{_name(mapper)}' has values without a hash",
        detail=f"its values are of type {kinds}. A SQLAlchemy session finds an object by its key.",
        hint="use fetch, whose objects are in no session.",
    )


def not_a_path(word: str, given: Any, detail: str, at: At, mapper: Mapper[Any]) -> Problem:
    """Return the problem of ``source(...)`` in a condition or an order if it does not lead to one value.

    ``mapper`` is the class at which the path starts.
    """
    code = meant_path(word, mapper, given.path)
    example = "name relationships that lead to one row, then the value." if code is None else f"write {word}={code}."
    return Problem(
        "LP112",
        f"{word}= cannot use {source(given)}",
        at,
        detail=f"{detail}.",
        hint=meant.safely(meant_here.instead_of_path, word, given) or example,
    )


def path_mapped_again(given: object, step: str, subs: Sequence[Mapper[Any]], at: At) -> Problem:
    """A path through a relationship that a subclass maps in another way: it would read other rows than are loaded."""
    names = ", ".join(repr(_name(each)) for each in subs)
    return Problem(
        "LP112",
        f"{source(given)} cannot go through '{step}'",
        at,
        detail=f"{names} maps it again, so a row of that class has other rows behind it.",
        hint="write the SQL expression that you mean.",
    )


def path_from_union(given: object, step: str, mapper: Mapper[Any], at: At) -> Problem:
    """A path that joins by an expression over the rows of a union: SQLAlchemy would pair rows of other classes."""
    name = mapper.class_.__name__
    return Problem(
        "LP112",
        f"{source(given)} cannot go through '{step}'",
        at,
        detail=f"the rows of '{name}' are a union of tables, and its primaryjoin is more than equal columns.",
        hint=f"fetch each concrete class by itself, or sort the objects of '{name}' in Python.",
    )


def mapping_incomplete(mapper: Mapper[Any], missing: Sequence[str], at: At) -> Problem:
    """Return the problem of a mapping that names a class which has not been imported."""
    return Problem(
        "LP208",
        f"the mapping around '{_name(mapper)}' is not complete",
        at,
        detail=f"{'; '.join(missing)}, but no mapped class has that name yet.",
        hint="import the module of that class before you use the plan.",
    )


def mapping_broken(mapper: Mapper[Any], error: Exception, at: At) -> Problem:
    """Return the problem of a mapping that SQLAlchemy cannot configure."""
    return Problem(
        "LP208",
        f"SQLAlchemy cannot configure the mapping around '{_name(mapper)}'",
        at,
        detail=str(error).partition("\n")[0],
        hint="correct the mapping, or import the module of the class that is missing.",
    )


def not_a_subclass(mapper: Mapper[Any], sub: Mapper[Any], at: At, *, of_type: bool = False) -> Problem:
    """Return the problem of ``on(...)``, or of ``of_type(...)``, with a class that is not a subclass."""
    here = _name(mapper)
    word = "of_type" if of_type else "on"
    subs = [_name(each) for each in mapper.self_and_descendants if each is not mapper]
    return Problem(
        "LP210",
        f"'{_name(sub)}' is not a subclass of '{here}'",
        (*at, f"{word}({_name(sub)})"),
        hint=f"Subclasses of {here}: {', '.join(subs)}."
        if subs
        else f"remove {word}(...): '{here}' has no subclasses.",
    )


def not_a_tree(prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of ``depth=`` for a relationship that does not lead back to its own class."""
    here, there = _name(prop.parent), _name(prop.mapper)
    return Problem(
        "LP213",
        f"depth= needs a relationship from a class to itself, but '{here}.{prop.key}' leads to '{there}'",
        at,
        hint="remove depth=, and nest one load(...) for each level.",
    )


def tree_mapped_again(prop: RelationshipProperty[Any], sub: Mapper[Any], at: At) -> Problem:
    """Return the problem of ``depth="all"`` for a relationship that a subclass maps to other rows."""
    name = f"{_name(prop.parent)}.{prop.key}"
    return Problem(
        "LP213",
        f"depth=\"all\" cannot follow '{name}', because '{_name(sub)}' maps it in another way",
        at,
        detail="one statement loads all levels, and it follows one relationship for all rows.",
        hint="write depth= as a number of levels.",
    )


def strategy_cannot(prop: RelationshipProperty[Any], strategy: str, word: str, at: At) -> Problem:
    """Return the problem of a strategy that does not support another argument."""
    return Problem(
        "LP214",
        f"strategy={strategy!r} does not support {word}= of '{_name(prop.parent)}.{prop.key}'",
        at,
        hint="remove strategy=, or use strategy='selectin'.",
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
    parent: Mapper[Any] | None = None,
) -> Problem:
    """Return the problem of a condition or an order with columns of another table.

    Without a join condition, the database would pair every row with every row of the other table.
    """
    here = _name(target)
    hint = meant.safely(meant_here.question, target, tables[0], given, parent)
    if word == "order_by":
        path = None if to_alias else meant_here.path_to(target, given)
        subquery = meant_here.subquery_of(target, given, tables[0])
        hint = f"order by a subquery{subquery}." if path is None else f"write order_by={path}."
    if tables[0] in {f"an alias of {getattr(each, 'name', None)}" for each in target.tables}:
        hint = f"use the attributes of '{here}' itself, not of an alias."
    if to_alias:
        hint = f"'{name}' leads to an alias of '{here}'. Use the attributes of that alias in {word}=."
    return Problem(
        "LP215",
        f"{word}= of '{name}' uses {one_of(tables)}, but only '{here}' is available here",
        at,
        detail="without a join condition, every row would be paired with every row of the other table.",
        hint=hint,
    )
