"""Makes the problems of wrong views, LP3xx. For each, a function turns facts into a :class:`~loadplan.errors.Problem`.

All texts are here. The modules that resolve a plan find the problems.
"""

import inspect
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any

import attrs
from sqlalchemy import ClauseElement, ColumnElement, Exists
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import Mapper, MapperProperty, QueryableAttribute, RelationshipProperty
from sqlalchemy.types import TypeEngine

from loadplan.declared.code import source
from loadplan.declared.sources import Aggregate, KeepDefault, Source
from loadplan.declared.spec import Load, On, Plan
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.sqlalchemy_internals import AbstractLoad
from loadplan.view_classes.annotations import Misplaced, annotation_source
from loadplan.view_classes.fields import Field, Unreadable, ViewClass

At = tuple[str, ...]


def _name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


def required_but_nullable(field: str, what: str, reason: str, annotation: str, at: At) -> Problem:
    """Return the problem of a field that does not allow None although its value may be missing."""
    return Problem(
        "LP301",
        f"'{field}' is required, but {what} may be None",
        at,
        detail=f"{reason}.",
        hint=f"annotate it '{annotation} | None'.",
    )


def wrong_type(field: str, annotation: str, what: str, reason: str, right: str | None, at: At) -> Problem:
    """Return the problem of a field whose annotation does not fit the values of its column."""
    hint = f"annotate it '{right}'." if right else "annotate it with the type of the column's values, or convert them."
    return Problem("LP302", f"'{field}' is '{annotation}', but {what} is not", at, detail=f"{reason}.", hint=hint)


def unknown_field(view: ViewClass, field: Field, mapper: Mapper[Any], at: At) -> Problem:
    """Return the problem of a field for which the entity has no attribute."""
    entity = _name(mapper)
    name = f"{view.name}.{field.name}"
    annotation = annotation_source(field.type.given)
    if isinstance(field.type.given, QueryableAttribute):
        column = source(field.type.given)
        return Problem(
            "LP303",
            f"'{name}' is annotated with the attribute '{column}'",
            at,
            detail="an annotation names the type first.",
            hint=f"write {field.name}: Annotated[..., source({column})], with the type of the value.",
        )
    if isinstance(field.type.given, Aggregate | Source):
        kinds = {"count": "int", "exists": "bool"}
        type_name = kinds.get(annotation.partition("(")[0], "...")
        return Problem(
            "LP303",
            f"'{name}' is annotated with {annotation} alone",
            at,
            detail="an annotation names the type first.",
            hint=f"write {field.name}: Annotated[{type_name}, {annotation}].",
        )
    kind = getattr(mapper.class_, field.name, None)
    if kind is not None:
        what = "a method" if inspect.isroutine(kind) else "not a mapped attribute"
        what = "a Python property" if isinstance(kind, property) else what
        renamed = _renamed_column(mapper, field.name)
        hint = "make it a hybrid_property, or name another source: Annotated[..., source(...)]."
        if renamed is not None:
            hint = f"the column of this name is mapped as '{renamed}': Annotated[{annotation}, source({renamed})]."
        return Problem(
            "LP303",
            f"'{name}' cannot be read from '{entity}'",
            at,
            detail=f"'{entity}.{field.name}' is {what}, and the database cannot read it.",
            hint=hint,
        )
    through = _through_relationship(field.name, annotation, mapper)
    if through is not None:
        hint = f"read it through the relationship: Annotated[{annotation}, {through}]."
        return Problem("LP303", f"'{entity}' has no '{field.name}' for '{name}'", at, hint=hint)
    if field.name in mapper.attrs:
        return Problem(
            "LP303",
            f"'{view.name}.{field.name}' cannot be read from '{entity}'",
            at,
            detail=f"'{field.name}' is a column in the mapping of '{entity}', but the class has no attribute for it.",
            hint=f"map it as an attribute of '{entity}', or leave the field out.",
        )
    methods = {key for key, each in mapper.all_orm_descriptors.items() if _is_hybrid_method(each)}
    keys = {str(key) for key in mapper.all_orm_descriptors.keys()} - methods  # noqa: SIM118 - no dictionary
    names = [key for key in keys if not key.startswith("_")]
    hint = did_you_mean(field.name, names, f"Attributes of {entity}")
    if field.has_default:
        hint += f" To keep the default, write Annotated[{annotation}, keep_default]."
    return Problem("LP303", f"'{entity}' has no '{field.name}' for '{name}'", at, hint=hint)


def _renamed_column(mapper: Mapper[Any], name: str) -> str | None:
    """Return the attribute of the column with a name, if it has another name: ``Post.metadata_`` for ``metadata``."""
    for prop in mapping.column_attributes(mapper):
        if getattr(prop.columns[0], "name", None) == name and prop.key != name:
            return f"{_name(mapper)}.{prop.key}"
    return None


def _through_relationship(name: str, annotation: str, mapper: Mapper[Any]) -> str | None:
    """Return the source that a name like ``author_name``, ``tag_names`` or ``num_comments`` stands for."""
    for prop in mapper.relationships:
        relationship = f"{_name(mapper)}.{prop.key}"
        if prop.uselist and name in {f"{word}_{prop.key}" for word in _NUMBERS}:
            return f"count({relationship})"
        stems = {prop.key, prop.key.removesuffix("s")} if prop.uselist else {prop.key}
        for stem in stems:
            rest = name.removeprefix(f"{stem}_").lstrip("_")
            if rest == name:
                continue
            if prop.uselist and rest in {"count", "number", "total"}:
                return f"count({relationship})"
            columns = {each.key for each in mapping.column_attributes(prop.mapper)}
            many = annotation.partition("[")[0] in {"list", "tuple", "set", "frozenset", "Sequence"}
            found = next((each for each in (rest, rest.removesuffix("s")) if each in columns), None)
            if found is not None and many == bool(prop.uselist):
                return f"source({relationship}, {_name(prop.mapper)}.{found})"
    return None


#: Words before the name of a collection, in names of fields that hold the number of its rows.
_NUMBERS = ("num", "n", "number_of", "total", "count")


def _is_hybrid_method(descriptor: Any) -> bool:
    return descriptor.extension_type is HybridExtensionType.HYBRID_METHOD


def method_of_entity(field: str, entity: str, key: str, at: At) -> Problem:
    """Return the problem of a field with the name of a hybrid method."""
    return Problem(
        "LP303",
        f"'{field}' cannot be read from '{entity}'",
        at,
        detail=f"'{entity}.{key}' is a hybrid method, and a view does not know its arguments.",
        hint=f"call it in a source: Annotated[..., source({entity}.{key}(...))].",
    )


def not_readable(field: str, what: str, at: At) -> Problem:
    """Return the problem of a field whose attribute a statement cannot select."""
    return Problem(
        "LP303",
        f"'{field}' cannot be read by a view",
        at,
        detail=f"{what}.",
        hint="name another source: Annotated[..., source(...)].",
    )


def no_default(field: str, at: At) -> Problem:
    """Return the problem of ``keep_default`` on a field without a default."""
    return Problem("LP303", f"'{field}' has no default to keep", at, hint="give it a default, or remove keep_default.")


def unreadable_class(error: Unreadable, at: At) -> Problem:
    """Return the problem of a class that rows cannot fill."""
    return Problem("LP304", error.reason, at, hint=error.hint)


def mapped_class(name: str, at: At) -> Problem:
    """Return the problem of a mapped class as a view."""
    return Problem(
        "LP304",
        f"'{name}' is a mapped class, not a view class",
        at,
        hint="write a class with the fields that you read. To load mapped objects, remove into=.",
    )


def not_an_item(
    field: str, annotation: str, prop: RelationshipProperty[Any], column: str | None, way: Sequence[str], at: At
) -> Problem:
    """Return the problem of a relationship whose field is not a view class.

    Args:
        field: the field.
        annotation: its annotation.
        prop: the relationship.
        column: a column of the target that fits the annotation, if there is one.
        way: the code of the path that leads to the relationship, with its last item.
        at: the place in the plan.
    """
    target = _name(prop.mapper)
    name = f"{_name(prop.parent)}.{prop.key}"
    hint = f"annotate it with a view class of '{target}'"
    if column is not None:
        hint += f", or read one column: Annotated[{annotation}, source({', '.join([*way, f'{target}.{column}'])})]"
    return Problem("LP304", f"'{field}' is '{annotation}', but '{name}' leads to '{target}'", at, hint=f"{hint}.")


def unsaid_items(field: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of a relationship whose field does not name a class."""
    name = f"{_name(prop.parent)}.{prop.key}"
    what = "the class of its items" if prop.uselist else "its class"
    return Problem(
        "LP304",
        f"'{field}' does not name {what}",
        at,
        hint=f"annotate it with a view class of '{_name(prop.mapper)}', or name that class in the plan: "
        f"load({name}, into=...).",
    )


def no_dictionary_key(field: str, item: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of a dictionary for a collection that the mapping does not key."""
    return Problem(
        "LP305",
        f"'{field}' is a dictionary, but its keys are unknown",
        at,
        detail=f"the mapping of '{_name(prop.parent)}.{prop.key}' does not key the collection by a column.",
        hint=f"annotate it 'list[{item}]', or map the relationship with attribute_keyed_dict.",
    )


def wrong_key(field: str, given: str, what: str, reason: str, right: str, at: At) -> Problem:
    """Return the problem of a dictionary whose keys do not have the type of the column that keys the collection."""
    return Problem(
        "LP302",
        f"the keys of '{field}' are '{given}', but {what} is not",
        at,
        detail=f"{reason}.",
        hint=f"annotate it '{right}'.",
    )


def unhashable(field: str, item: str, container: str, at: At) -> Problem:
    """Return the problem of a set of items that cannot be hashed."""
    return Problem(
        "LP305",
        f"'{field}' is a {container}, but '{item}' cannot be hashed",
        at,
        hint=f"make '{item}' frozen, or annotate the field 'list[{item}]'.",
    )


def not_a_collection(field: str, annotation: str, name: str, at: At, values: str | None = None) -> Problem:
    """Return the problem of a field with one value for a collection. ``values`` is the hint for plain values."""
    return Problem(
        "LP306",
        f"'{field}' is one '{annotation}', but '{name}' is a collection",
        at,
        hint=values or f"annotate it 'list[{annotation}]', or count the rows: Annotated[int, count({name})].",
    )


def one_tuple(field: str, annotation: str, name: str, at: At) -> Problem:
    """Return the problem of ``tuple[TagRef]`` for a collection."""
    return Problem(
        "LP306",
        f"'{field}' is '{annotation}', a tuple of fixed length, but '{name}' is a collection",
        at,
        hint=f"annotate it '{annotation.removesuffix(']').partition(',')[0]}, ...]'.",
    )


def not_to_many(field: str, annotation: str, item: str, name: str, at: At) -> Problem:
    """Return the problem of a field with a collection for one value."""
    return Problem(
        "LP306",
        f"'{field}' is '{annotation}', but '{name}' leads to one row at most",
        at,
        hint=f"annotate it {item}.",
    )


def several_sources(field: str, markers: Iterable[object], at: At) -> Problem:
    """Return the problem of a field with two sources."""
    return Problem(
        "LP307", f"'{field}' has more than one source: {', '.join(map(repr, markers))}", at, hint="keep one of them."
    )


def beyond_entity(field: str, entity: str, as_view: str, given: object, at: At) -> Problem:
    """Return the problem of ``for_schema`` with a model that has ``count(...)`` or another SQL value."""
    return Problem(
        "LP303",
        f"no '{entity}' can give '{field}' its value",
        at,
        detail=f"{source(given)} is computed by SQL, and for_schema loads attributes of mapped objects.",
        hint=f"build the model itself: {as_view}.",
    )


def stray_annotation(field: str, given: Any, at: At, code: str | None = None) -> Problem:
    """Return the problem of a value of SQLAlchemy or loadplan that is misplaced in a field, or is not a source.

    Args:
        field: the field.
        given: the value.
        at: the place in the plan.
        code: the source that was probably meant, if it is known.
    """
    if isinstance(given, Misplaced):
        shown, name = source(given.value), field.rpartition(".")[2]
        written = f"Annotated[{annotation_source(given.annotation)}, {_as_source(given.value, shown)}]"
        return Problem(
            "LP307",
            " ".join((f"'{field}' has", shown, given.place)),
            at,
            detail="only the annotation can tell loadplan where a value comes from.",
            hint=f"move it into the annotation: {name}: {written}.",
        )
    if isinstance(given, Source) and given.modifiers:
        message, order = (
            f"'{field}' is annotated with {source(given)}, which is an order",
            attrs.evolve(given, modifiers=()),
        )
        return Problem("LP307", message, at, hint=f"leave out the direction: {source(order)}.")
    shown, hint = _stray(given)
    if code is not None and isinstance(given, ColumnElement | QueryableAttribute) and not isinstance(given, Exists):
        hint = f"make it a source: {code}."
    return Problem("LP307", f"'{field}' is annotated with {shown}, which is not a source", at, hint=hint)


def _as_source(given: Any, code: str) -> str:
    return code if isinstance(given, Aggregate | Source | Load | KeepDefault) else f"source({code})"


def _stray(given: Any) -> tuple[str, str]:
    """Return (description of the value, what to write instead)."""
    code = source(given)
    if isinstance(given, Aggregate | Source | Load | KeepDefault):
        return f"{code} within", "put it around the whole annotation: Annotated[list[...], ...]."
    if isinstance(given, On):
        return code, "annotate the members of a union with it: Annotated[..., on(...)] | ...."
    if isinstance(given, Plan):
        return "a plan", "pass the plan's loads next to into=, or annotate the field with load(...)."
    if isinstance(given, QueryableAttribute):
        return f"'{code}'", f"make it a source: Annotated[..., source({code})]."
    if isinstance(given, AbstractLoad):
        return "a loader option of SQLAlchemy", "write load(...), with nested loads inside."
    if isinstance(given, Exists):
        hint = "use loadplan's exists: Annotated[bool, exists(Post.comments)]; or make it a source(...)."
        return "an exists() of SQLAlchemy", hint
    if isinstance(given, MapperProperty | TypeEngine):
        return f"a {type(given).__name__} of SQLAlchemy", "leave it out: it belongs to the mapping."
    if isinstance(given, ClauseElement) or hasattr(given, "__clause_element__"):
        if code.startswith("func.count("):
            return "a SQL expression", "count related rows with loadplan's count: Annotated[int, count(Post.comments)]."
        inside = code if code.startswith("func.") else "..."
        return "a SQL expression", f"make it a source: Annotated[..., source({inside})]."
    if isinstance(given, list | tuple | set | frozenset | dict):
        return f"a {type(given).__name__}", "write its contents next to the type: Annotated[..., source(...)]."
    if isinstance(given, type | FunctionType):
        name = str(getattr(given, "__name__", given))
        of_ours = str(given.__module__).startswith("loadplan") and name in {
            "count",
            "exists",
            "aggregate",
            "source",
            "load",
        }
        what = "class" if isinstance(given, type) and not of_ours else "function"
        return f"the {what} '{name}'", f"call it, for example {name}(Post.comments)." if of_ours else _SAY_FROM_WHERE
    return f"a {type(given).__name__}", _SAY_FROM_WHERE


_SAY_FROM_WHERE = "say where the value comes from: Annotated[..., source(...)]."


def contains_itself(
    field: str, view: str, prop: RelationshipProperty[Any], at: At, *, several: bool = False
) -> Problem:
    """Return the problem of a class that contains itself without a depth. ``several``: in more than one field."""
    name = f"{_name(prop.parent)}.{prop.key}"
    if not several and (prop.mapper.isa(prop.parent) or prop.parent.isa(prop.mapper)):
        hint = f'set the depth: load({name}, depth=3), or depth="all".'
    else:
        hint = f"use a smaller class for '{field}', without the field that leads back."
    return Problem("LP308", f"'{field}' contains '{view}' again, without an end", at, hint=hint)


def no_default_at_depth(field: str, depth: int, at: At) -> Problem:
    """Return the problem of a field of a tree without a default for the last level."""
    return Problem(
        "LP308",
        f"'{field}' needs a default: loadplan loads nothing below level {depth}",
        at,
        hint='give the field a default, or load the whole tree with depth="all".',
    )


def no_branch(field: str, member: str, mapper: Mapper[Any], at: At) -> Problem:
    """Return the problem of a member of a union that names no subclass."""
    subs = ", ".join(_name(each) for each in mapper.self_and_descendants)
    return Problem(
        "LP309",
        f"'{field}' does not say which rows of '{_name(mapper)}' become '{member}'",
        at,
        hint=f"name the class in the union, Annotated[{member}, on(...)], or in the plan, on(..., into={member}). "
        f"Classes: {subs}.",
    )


def uncovered(field: str, missing: Sequence[str], mapper: Mapper[Any], at: At) -> Problem:
    """Return the problem of subclasses without a member in the union."""
    return Problem(
        "LP309",
        f"'{field}' has no member for {', '.join(map(repr, missing))}",
        at,
        hint=f"add a member for it, or one for '{_name(mapper)}' itself, which takes all other rows.",
    )


def aggregate_of_first(field: str, given: Aggregate, prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of ``count(...)`` of a to-one that may have many rows. The database would count all rows."""
    name = f"{_name(prop.parent)}.{prop.key}"
    return Problem(
        "LP306",
        f"'{field}' is {source(given)}, but '{name}' leads to the first of many rows",
        at,
        detail="no unique key ensures one row at most, so the database would count all rows.",
        hint=f"use exists({name}), or name a relationship that is mapped as a collection.",
    )


def mapped_again(field: str, mapper: Mapper[Any], key: str, subs: Sequence[Mapper[Any]], at: At) -> Problem:
    """Return the problem of a relationship that a subclass maps in another way. One statement cannot read both."""
    here, names = _name(mapper), [_name(sub) for sub in subs]
    members = " | ".join(f"Annotated[..., on({name})]" for name in [here, *names])
    return Problem(
        "LP309",
        f"'{field}' reads '{here}.{key}', but {', '.join(map(repr, names))} maps '{key}' again",
        at,
        detail="a row of the subclass has other related rows than a row of the base class.",
        hint=f"make other views of these rows: {members}.",
    )


def not_polymorphic(field: str, mapper: Mapper[Any], at: At) -> Problem:
    """Return the problem of a union of views for a class without subclasses."""
    return Problem(
        "LP309",
        f"'{field}' is a union, but '{_name(mapper)}' has no discriminator",
        at,
        hint="use one class instead of a union.",
    )
