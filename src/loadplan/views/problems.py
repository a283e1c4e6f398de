"""Every way a view can be wrong, as a function from the facts to a :class:`~loadplan.errors.Problem`: LP3xx.

``resolve`` knows when; the wording lives here and nowhere else.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan import mapping
from loadplan.code import source
from loadplan.errors import Problem, did_you_mean
from loadplan.views.annotations import annotation_source
from loadplan.views.fields import Field, Unreadable, ViewClass

At = tuple[str, ...]


def _name(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)


def required_but_nullable(field: str, what: str, reason: str, annotation: str, at: At) -> Problem:
    """A field without ``None`` for a value that may be missing."""
    return Problem(
        "LP301",
        f"'{field}' is required, but {what} may have none",
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
        what = "a Python property" if isinstance(kind, property) else "no column of it"
        return Problem(
            "LP303",
            f"'{view.name}.{field.name}' cannot be read from '{entity}'",
            at,
            detail=f"'{entity}.{field.name}' is {what}, and a view is read by SQL.",
            hint="make it a hybrid_property, or say where the value comes from: Annotated[..., source(...)].",
        )
    names = [key for key in (*mapper.attrs.keys(), *mapper.all_orm_descriptors.keys()) if not key.startswith("_")]
    hint = did_you_mean(field.name, set(names), f"Attributes of {entity}")
    if field.has_default:
        hint += f" To leave it at its default: Annotated[{annotation_source(field.type.given)}, keep_default]."
    return Problem("LP303", f"'{entity}' has no '{field.name}' for '{view.name}.{field.name}'", at, hint=hint)


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


def not_an_item(field: str, annotation: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """A relationship read into something that is no view class."""
    target = _name(prop.mapper)
    name = f"{_name(prop.parent)}.{prop.key}"
    return Problem(
        "LP304",
        f"'{field}' is '{annotation}', and '{name}' leads to '{target}'",
        at,
        hint=f"annotate it with a class that has fields of '{target}', or name one column: "
        f"Annotated[..., source({name}, {target}.{mapping.primary_key(prop.mapper)[0]})].",
    )


def no_dictionary_key(field: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """A dictionary of a collection that the mapping does not key."""
    return Problem(
        "LP305",
        f"nothing says what '{field}' is keyed by",
        at,
        detail=f"'{_name(prop.parent)}.{prop.key}' is no collection that is keyed by a column.",
        hint="annotate it 'list[...]', or map the relationship with attribute_keyed_dict.",
    )


def unhashable(field: str, item: str, container: str, at: At) -> Problem:
    """A set of what cannot be in one."""
    return Problem(
        "LP305",
        f"'{field}' is a {container} of '{item}', which cannot be hashed",
        at,
        hint=f"freeze '{item}', or use list.",
    )


def not_a_collection(field: str, annotation: str, name: str, at: At) -> Problem:
    """One value for a collection."""
    return Problem(
        "LP306",
        f"'{field}' is one '{annotation}', and '{name}' is a collection",
        at,
        hint=f"annotate it 'list[{annotation}]', or count it: Annotated[int, count({name})].",
    )


def not_to_many(field: str, annotation: str, item: str, name: str, at: At) -> Problem:
    """A collection for one value."""
    return Problem(
        "LP306",
        f"'{field}' is '{annotation}', and '{name}' leads to one row at most",
        at,
        hint=f"annotate it '{item} | None'.",
    )


def several_sources(field: str, markers: Iterable[object], at: At) -> Problem:
    """Two sources for one field."""
    return Problem(
        "LP307", f"'{field}' has several sources: {', '.join(map(repr, markers))}", at, hint="keep one of them."
    )


def wrong_step(field: str, step: object, mapper: Mapper[Any], at: At) -> Problem:
    """A path that goes on from another class than the one it has come to."""
    known = [f"{_name(mapper)}.{each.key}" for each in mapper.relationships]
    listed = f"Relationships of {_name(mapper)}: {', '.join(sorted(known))}." if known else None
    return Problem(
        "LP307", f"the source of '{field}' cannot go by '{source(step)}' from '{_name(mapper)}'", at, hint=listed
    )


def not_a_value(field: str, step: object, at: At) -> Problem:
    """A path that ends in something that is no value of SQL."""
    return Problem(
        "LP307",
        f"the source of '{field}' ends in {source(step)}, which is no column or SQL expression",
        at,
        hint="end the path with a column, a hybrid, an expression, or a count(...).",
    )


def speaks_of_others(field: str, step: object, entity: str, tables: Sequence[str], at: At) -> Problem:
    """An expression about tables that are not there."""
    return Problem(
        "LP307",
        f"the source of '{field}' speaks of '{tables[0]}', not of '{entity}' alone",
        at,
        detail="it would join without a condition.",
        hint=f"go there by relationships: source({entity}.relationship, <{source(step)}>).",
    )


def collection_in_path(field: str, name: str, at: At) -> Problem:
    """A path to one value that meets many."""
    return Problem(
        "LP307",
        f"the source of '{field}' goes through the collection '{name}' to one value",
        at,
        hint="annotate it as a collection, or aggregate it: aggregate(relationship, func.max(...)).",
    )


def contains_itself(field: str, view: str, prop: RelationshipProperty[Any], at: At) -> Problem:
    """A class that contains itself, with nothing to say where it ends."""
    name = f"{_name(prop.parent)}.{prop.key}"
    if prop.mapper.isa(prop.parent) or prop.parent.isa(prop.mapper):
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
        hint=f"give it the default that says so, as '{field.rpartition('.')[2]}: ... | None = None', or depth=\"all\".",
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
        hint=did_you_mean(key, known, f"Relationships that {view} reads"),
    )


def unread_branch(view: str, entity: str, at: At) -> Problem:
    """An ``on(...)`` beside a view that is no union."""
    return Problem(
        "LP310", f"on({entity}) says nothing to '{view}'", at, hint="a union of views is what takes it, with into=."
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


def schema_beyond_plan(field: str, detail: str, hint: str, at: At) -> Problem:
    """Something of a response model that a plan of entities cannot provide."""
    return Problem("LP311", f"'{field}' cannot be provided by a plan", at, detail=detail, hint=hint)
