"""Every way a view can be wrong, as a function from the facts to a :class:`~loadplan.errors.Problem`: LP3xx.

``resolve`` knows when; the wording lives here and nowhere else.
"""

import inspect
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any

from sqlalchemy import ClauseElement, Exists
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import Mapper, MapperProperty, QueryableAttribute, RelationshipProperty
from sqlalchemy.types import TypeEngine

from loadplan import mapping
from loadplan.code import source
from loadplan.errors import Problem, did_you_mean
from loadplan.sources import Aggregate, KeepDefault, Source
from loadplan.spec import Load, LoadPlan, On
from loadplan.sqlalchemy_internals import AbstractLoad
from loadplan.views.annotations import annotation_source
from loadplan.views.fields import Field, Unreadable, ViewClass

At = tuple[str, ...]


def _name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


def required_but_nullable(field: str, what: str, reason: str, annotation: str, at: At) -> Problem:
    """A field without ``None`` for a value that may be missing."""
    return Problem(
        "LP301",
        f"'{field}' is required, but {what} may be None",
        at,
        detail=f"{reason}.",
        hint=f"annotate it '{annotation} | None'.",
    )


def wrong_type(field: str, annotation: str, what: str, reason: str, right: str | None, at: At) -> Problem:
    """A field whose annotation the column's values do not fit."""
    hint = f"annotate it '{right}'." if right else "annotate it with the type of the column's values, or convert them."
    return Problem("LP302", f"'{field}' is '{annotation}', but {what} is not", at, detail=f"{reason}.", hint=hint)


def unknown_field(view: ViewClass, field: Field, mapper: Mapper[Any], at: At) -> Problem:
    """A field that the entity has nothing of that name for."""
    entity = _name(mapper)
    kind = getattr(mapper.class_, field.name, None)
    if kind is not None:
        what = "a method" if inspect.isroutine(kind) else "no mapped attribute"
        what = "a Python property" if isinstance(kind, property) else what
        return Problem(
            "LP303",
            f"'{view.name}.{field.name}' cannot be read from '{entity}'",
            at,
            detail=f"'{entity}.{field.name}' is {what}, and a view is read by SQL.",
            hint="make it a hybrid_property, or say where the value comes from: Annotated[..., source(...)].",
        )
    if field.name in mapper.attrs:
        return Problem(
            "LP303",
            f"'{view.name}.{field.name}' cannot be read from '{entity}'",
            at,
            detail=f"'{field.name}' is a column that '{entity}' is mapped by, but the class has no attribute for it.",
            hint=f"map it as an attribute of '{entity}', or leave the field out.",
        )
    methods = {key for key, each in mapper.all_orm_descriptors.items() if _is_hybrid_method(each)}
    keys = {str(key) for key in mapper.all_orm_descriptors.keys()} - methods  # noqa: SIM118 - no dictionary
    names = [key for key in keys if not key.startswith("_")]
    hint = did_you_mean(field.name, names, f"Attributes of {entity}")
    if field.has_default:
        hint += f" To leave it at its default: Annotated[{annotation_source(field.type.given)}, keep_default]."
    return Problem("LP303", f"'{entity}' has no '{field.name}' for '{view.name}.{field.name}'", at, hint=hint)


def _is_hybrid_method(descriptor: Any) -> bool:
    return descriptor.extension_type is HybridExtensionType.HYBRID_METHOD


def method_of_entity(field: str, entity: str, key: str, at: At) -> Problem:
    """A field of the name of a hybrid method."""
    return Problem(
        "LP303",
        f"'{field}' cannot be read from '{entity}'",
        at,
        detail=f"'{entity}.{key}' is a hybrid method, which is called with arguments.",
        hint=f"call it: Annotated[..., source({entity}.{key}(...))].",
    )


def not_readable(field: str, what: str, at: At) -> Problem:
    """A field whose attribute has no value that a statement could select by itself."""
    return Problem(
        "LP303",
        f"'{field}' cannot be read by a view",
        at,
        detail=f"{what}.",
        hint="say where the value comes from: Annotated[..., source(...)].",
    )


def no_default(field: str, at: At) -> Problem:
    """``keep_default`` on a field without one."""
    return Problem("LP303", f"'{field}' keeps its default, but has none", at, hint="give it a default, or a source.")


def unreadable_class(error: Unreadable, at: At) -> Problem:
    """A class that rows cannot fill."""
    return Problem("LP304", error.reason, at, hint=error.hint)


def mapped_class(name: str, at: At) -> Problem:
    """An entity where a view belongs."""
    return Problem(
        "LP304",
        f"'{name}' is a mapped class, not a view",
        at,
        hint="write a class with the fields to read; a plan without into= loads entities.",
    )


def not_an_item(field: str, annotation: str, prop: RelationshipProperty[Any], column: str | None, at: At) -> Problem:
    """A relationship read into something that is no view class; ``column`` of the target would fit it."""
    target = _name(prop.mapper)
    name = f"{_name(prop.parent)}.{prop.key}"
    hint = f"annotate it with a class that has fields of '{target}'"
    if column is not None:
        hint += f", or name one column: Annotated[{annotation}, source({name}, {target}.{column})]"
    return Problem("LP304", f"'{field}' is '{annotation}', and '{name}' leads to '{target}'", at, hint=f"{hint}.")


def unsaid_items(field: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """A relationship read into nobody knows what."""
    name = f"{_name(prop.parent)}.{prop.key}"
    many = "what its items are" if prop.uselist else "what it is"
    return Problem(
        "LP304",
        f"'{field}' does not say {many}",
        at,
        hint=f"annotate it with a class that has fields of '{_name(prop.mapper)}', or give that class in the plan: "
        f"load({name}, into=...).",
    )


def no_dictionary_key(field: str, item: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """A dictionary of a collection that the mapping does not key."""
    return Problem(
        "LP305",
        f"nothing says what '{field}' is keyed by",
        at,
        detail=f"'{_name(prop.parent)}.{prop.key}' is no collection that is keyed by a column.",
        hint=f"annotate it 'list[{item}]', or map the relationship with attribute_keyed_dict.",
    )


def wrong_key(field: str, given: str, what: str, reason: str, right: str, at: At) -> Problem:
    """A dictionary whose keys are of another type than the column that the mapping keys it by."""
    return Problem(
        "LP302",
        f"'{field}' is keyed by '{given}', but {what} is not",
        at,
        detail=f"{reason}.",
        hint=f"annotate it '{right}'.",
    )


def unhashable(field: str, item: str, container: str, at: At) -> Problem:
    """A set of what cannot be in one."""
    return Problem(
        "LP305",
        f"'{field}' is a {container} of '{item}', which cannot be hashed",
        at,
        hint=f"freeze '{item}', or annotate the field 'list[{item}]'.",
    )


def not_a_collection(field: str, annotation: str, name: str, at: At) -> Problem:
    """One value for a collection."""
    return Problem(
        "LP306",
        f"'{field}' is one '{annotation}', and '{name}' is a collection",
        at,
        hint=f"annotate it 'list[{annotation}]', or count it: Annotated[int, count({name})].",
    )


def one_tuple(field: str, annotation: str, name: str, at: At) -> Problem:
    """``tuple[TagRef]`` for a collection."""
    return Problem(
        "LP306",
        f"'{field}' is '{annotation}', a tuple of fixed length, and '{name}' is a collection",
        at,
        hint=f"annotate it '{annotation.removesuffix(']').partition(',')[0]}, ...]'.",
    )


def not_to_many(field: str, annotation: str, item: str, name: str, at: At) -> Problem:
    """A collection for one value."""
    return Problem(
        "LP306",
        f"'{field}' is '{annotation}', and '{name}' leads to one row at most",
        at,
        hint=f"annotate it {item}.",
    )


def several_sources(field: str, markers: Iterable[object], at: At) -> Problem:
    """Two sources for one field."""
    return Problem(
        "LP307", f"'{field}' has several sources: {', '.join(map(repr, markers))}", at, hint="keep one of them."
    )


def beyond_entity(field: str, entity: str, model: str, given: object, at: At) -> Problem:
    """``for_schema`` of a model with ``count(...)`` and the like."""
    return Problem(
        "LP303",
        f"no '{entity}' can give '{field}' its value",
        at,
        detail=f"{source(given)} is computed by SQL, and for_schema loads attributes of mapped objects.",
        hint=f"build the model itself: LoadPlan({entity}, into={model}).",
    )


def stray_annotation(field: str, given: Any, at: At) -> Problem:
    """Something of SQLAlchemy or of loadplan that stands bare where a source belongs, or not around the whole."""
    shown, hint = _stray(given)
    return Problem("LP307", f"'{field}' is annotated with {shown}, which says nothing by itself", at, hint=hint)


def _stray(given: Any) -> tuple[str, str]:
    """Return what a stray is, and what to write in its place."""
    code = source(given)
    if isinstance(given, Aggregate | Source | Load | KeepDefault):
        return f"{code} within", "put it around the whole annotation: Annotated[list[...], ...]."
    if isinstance(given, On):
        return code, "annotate the members of a union with it: Annotated[..., on(...)] | ...."
    if isinstance(given, LoadPlan):
        return "a plan", "give the plan's loads beside the view, or annotate the field with load(...)."
    if isinstance(given, QueryableAttribute):
        return f"'{code}'", f"make it a source: Annotated[..., source({code})]."
    if isinstance(given, AbstractLoad):
        return "a loader option of SQLAlchemy", "write load(...), with what is below it inside."
    if isinstance(given, Exists):
        hint = "ask with loadplan's exists: Annotated[bool, exists(Post.comments)]; or make it a source(...)."
        return "an exists() of SQLAlchemy", hint
    if isinstance(given, MapperProperty | TypeEngine):
        return f"a {type(given).__name__} of SQLAlchemy", "leave it out: it belongs to the mapping."
    if isinstance(given, ClauseElement) or hasattr(given, "__clause_element__"):
        inside = code if code.startswith("func.") else "..."
        return "a SQL expression", f"make it a source: Annotated[..., source({inside})]."
    if isinstance(given, type | FunctionType):
        name = str(getattr(given, "__name__", given))
        of_ours = str(given.__module__).startswith("loadplan") and name in {
            "count",
            "exists",
            "aggregate",
            "source",
            "load",
        }
        return f"'{name}' itself", f"call it, as {name}(Post.comments)." if of_ours else _SAY_FROM_WHERE
    return f"a {type(given).__name__}", _SAY_FROM_WHERE


_SAY_FROM_WHERE = "say where the value comes from: Annotated[..., source(...)]."


def type_of_step(field: str, step: QueryableAttribute[Any], at: At) -> Problem:
    """``.of_type()`` of something that no row of the relationship can be told to be."""
    return Problem(
        "LP307",
        f"the source of '{field}' cannot go by {source(step)}",
        at,
        detail="of_type() takes a subclass of the relationship's class, told from others by a discriminator.",
        hint="name a mapped subclass, not an alias, or say which rows with where=.",
    )


def wrong_step(field: str, step: object, mapper: Mapper[Any], at: At) -> Problem:
    """A path that goes on from another class than the one it has come to, or by something that leads nowhere."""
    here = _name(mapper)
    if isinstance(step, str):
        message = f"the source of '{field}' is '{step}', and '{here}' has no such relationship"
        return Problem(
            "LP307", message, at, hint=did_you_mean(step, mapper.relationships.keys(), f"Relationships of {here}")
        )
    listed = f"Relationships of {here}: {', '.join(sorted(mapper.relationships.keys())) or 'none'}."
    if not isinstance(step, QueryableAttribute) or not hasattr(step.parent, "mapper"):
        message = f"the source of '{field}' cannot go by {source(step)} from '{here}'"
        return Problem("LP307", message, at, hint=f"go by relationships. {listed}")
    owner: Mapper[Any] = step.parent.mapper
    if mapper.isa(owner):
        what = mapping.describe_attribute(mapper, step.key)
        message = f"the source of '{field}' goes by '{source(step)}', which is {what}, not a relationship"
        return Problem("LP307", message, at, hint=listed)
    routes = [prop.key for prop in mapper.relationships if prop.mapper.isa(owner)]
    hint = f"go there first: source({here}.{routes[0]}, {source(step)})." if routes else listed
    message = f"the source of '{field}' is at '{here}', which has no '{source(step)}'"
    return Problem("LP307", message, at, hint=hint)


def not_an_aggregate(field: str, given: object, at: At) -> Problem:
    """``aggregate(Post.comments, Comment.score)``."""
    return Problem(
        "LP307",
        f"'{field}' aggregates {source(given)}, which is no aggregate function",
        at,
        hint=f"say which value of all of them: func.max({source(given)}), func.min(...), func.sum(...).",
    )


def not_a_value(field: str, step: object, at: At) -> Problem:
    """A path that ends in something that is no value of SQL."""
    return Problem(
        "LP307",
        f"the source of '{field}' ends in {source(step)}, which is no column or SQL expression",
        at,
        hint="end the path with a column, a hybrid, an expression, or a count(...).",
    )


def empty_source(field: str, at: At) -> Problem:
    """``source()``."""
    return Problem("LP307", f"the source of '{field}' is empty", at, hint="name a column, as source(Post.title).")


def speaks_of_others(field: str, step: object, mapper: Mapper[Any], tables: Sequence[str], at: At) -> Problem:
    """An expression about tables that are not there."""
    entity = _name(mapper)
    routes = [each.key for each in mapper.relationships if tables[0] in {table.name for table in each.mapper.tables}]
    way = routes[0] if routes else "<relationship>"
    return Problem(
        "LP307",
        f"the source of '{field}' speaks of '{tables[0]}', not of '{entity}' alone",
        at,
        detail="it would join without a condition.",
        hint=f"go there by relationships: source({entity}.{way}, {source(step)}).",
    )


def collection_in_path(field: str, name: str, annotation: str, at: At) -> Problem:
    """A path to one value that meets many."""
    return Problem(
        "LP307",
        f"the source of '{field}' goes through the collection '{name}' to one value",
        at,
        hint=f"annotate it 'list[{annotation}]', or make one value of all: aggregate({name}, func.max(...)).",
    )


def contains_itself(
    field: str, view: str, prop: RelationshipProperty[Any], at: At, *, several: bool = False
) -> Problem:
    """A class that contains itself, with nothing to say where it ends; ``several`` fields of it may do so."""
    name = f"{_name(prop.parent)}.{prop.key}"
    if not several and (prop.mapper.isa(prop.parent) or prop.parent.isa(prop.mapper)):
        hint = f'say how deep it goes: load({name}, depth=3), or depth="all".'
    else:
        hint = f"use a smaller class for '{field}', one that does not lead back."
    return Problem("LP308", f"'{field}' contains '{view}' again, without an end", at, hint=hint)


def no_default_at_depth(field: str, depth: int, at: At) -> Problem:
    """The innermost level of a tree needs something to hold."""
    return Problem(
        "LP308",
        f"'{field}' has no default, and nothing is loaded below level {depth}",
        at,
        hint='give the field a default to end with, or load the whole tree with depth="all".',
    )


def no_branch(field: str, member: str, mapper: Mapper[Any], at: At) -> Problem:
    """A member of a union that nothing ties to a subclass."""
    subs = ", ".join(_name(each) for each in mapper.self_and_descendants)
    return Problem(
        "LP309",
        f"nothing says which rows of '{_name(mapper)}' become '{member}' in '{field}'",
        at,
        hint=f"say it in the union, Annotated[{member}, on(...)], or in the plan, on(..., into={member}), "
        f"or give it the discriminator as a Literal field. Classes: {subs}.",
    )


def uncovered(field: str, missing: Sequence[str], mapper: Mapper[Any], at: At) -> Problem:
    """Subclasses whose rows would become nothing."""
    return Problem(
        "LP309",
        f"no member of '{field}' is for {', '.join(map(repr, missing))}",
        at,
        hint=f"add one, or one for '{_name(mapper)}' itself: it takes the rows that no other member is for.",
    )


def not_polymorphic(field: str, mapper: Mapper[Any], at: At) -> Problem:
    """A union of views for a class without subclasses."""
    return Problem(
        "LP309",
        f"'{field}' is a union, and '{_name(mapper)}' has no discriminator to choose by",
        at,
        hint="use one class.",
    )


def unread_load(view: str, key: str, known: Iterable[str], at: At) -> Problem:
    """A load beside a view that no field of it reads."""
    return Problem(
        "LP310",
        f"no field of '{view}' reads '{key}'",
        at,
        hint=f"{did_you_mean(key, known, f'Relationships that {view} reads')} "
        f"Give '{view}' a field for it, or leave the load out.",
    )


def unread_into(view: str, key: str, into: str, items: Iterable[str], at: At) -> Problem:
    """A load with ``into=`` beside a view that reads the relationship into another class."""
    return Problem(
        "LP310",
        f"no field of '{view}' reads '{key}' into '{into}'",
        at,
        hint=f"leave into= out, or give it the class of the field: {', '.join(sorted(set(items)))}.",
    )


def nested_into(plan: str, into: str, item: str, at: At) -> Problem:
    """A nested plan that makes another class of the rows than the field holds."""
    return Problem(
        "LP310",
        f"plan '{plan}' makes '{into}', and the field holds '{item}'",
        at,
        hint=f"annotate the field with '{into}', or nest a plan into '{item}'.",
    )


def unread_branch(view: str, entity: str, at: At) -> Problem:
    """An ``on(...)`` beside a view that is no union."""
    return Problem(
        "LP310",
        f"on({entity}) says nothing to '{view}', which is made of all rows here",
        at,
        hint="leave the branch out, or make a union of views, each with an on(..., into=...).",
    )


def columns_of_view(word: str, view: str, at: At) -> Problem:
    """``only=`` or ``defer=`` beside ``into=``."""
    return Problem(
        "LP310",
        f"{word}= has no say where '{view}' is built",
        at,
        detail="the fields of the class are the columns.",
        hint=f"leave {word}= out.",
    )


def strategy_of_view(strategy: str, name: str, at: At) -> Problem:
    """A strategy that views do not have."""
    hint = "use 'joined' (in the parent's statement), 'selectin' (a statement of its own), or leave it out."
    return Problem("LP310", f"strategy={strategy!r} of '{name}' is not for views", at, hint=hint)


def disagreeing_loads(name: str, at: At) -> Problem:
    """Two loads for one field."""
    return Problem(
        "LP310",
        f"'{name}' is loaded twice, with different conditions",
        at,
        hint="keep one load(...), or tell them apart by into= if two fields read it.",
    )
