"""``typed=``: checks that a plan loads every member of a Protocol."""

from collections.abc import Iterator
from typing import Any, get_type_hints

from sqlalchemy.orm import ColumnProperty, RelationshipProperty

from loadplan.declared.code import source as code_of
from loadplan.declared.spec import Load, Plan
from loadplan.errors import PlanError, Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.resolved.fitting import misfit, spelled, why_empty
from loadplan.resolved.parts import DeclaredPlace
from loadplan.resolved.tree import Shape
from loadplan.view_classes.annotations import FieldType, annotation_source, read_annotation

At = tuple[str, ...]


def check_typed(plan: Plan[Any]) -> None:
    """Check that a plan of entities loads each member of its Protocol, with the type that the Protocol says.

    Raises:
        PlanError: the plan does not load a member (LP121), or the member has another type (LP122). The error lists all
            of these members.
    """
    mapper = mapping.mapper_of(plan.entity)
    if plan.typed is None or mapper is None:
        return
    if plan.into is not None:
        hint = "leave typed= out: a plan with into= has the type of that class."
        raise PlanError([Problem("LP121", "typed= and into= cannot be used together", (plan.label,), hint=hint)])
    if not is_protocol(plan.typed):
        problem = Problem(
            "LP121",
            f"typed={annotation_source(plan.typed)} is not a Protocol",
            (plan.label,),
            hint="derive it from typing.Protocol. To build a class, pass it as into=.",
        )
        raise PlanError([problem])
    found = list(_problems(plan.typed, DeclaredPlace(mapper, [plan]), (plan.label,), ()))
    if found:
        raise PlanError(found)


def is_protocol(kind: Any) -> bool:
    """Tell whether a value is a Protocol class."""
    return isinstance(kind, type) and bool(getattr(kind, "_is_protocol", False))


def members_of(protocol: Any) -> dict[str, Any]:
    """Return the members of a Protocol with their types. A method has the type None."""
    found: dict[str, Any] = {}
    for base in reversed(protocol.__mro__):
        if is_protocol(base) and base.__module__ != "typing":
            hints = get_type_hints(base, include_extras=True)
            found |= {name: hint for name, hint in hints.items() if not name.startswith("_")}
            for name, value in vars(base).items():
                if isinstance(value, property):
                    found[name] = get_type_hints(value.fget, include_extras=True).get("return", Any)
                elif callable(value) and not name.startswith("_"):
                    found[name] = None
    return found


def _problems(protocol: Any, place: DeclaredPlace, at: At, around: tuple[Any, ...]) -> Iterator[Problem]:
    mapper, loads, columns = place.mapper, place.loads(), place.loaded_columns()
    for name, hint in members_of(protocol).items():
        member = f"{protocol.__name__}.{name}"
        kind = read_annotation(hint, {})
        if kind.markers or kind.strays:
            said = (*kind.markers, *kind.strays)[0]
            yield Problem(
                "LP122",
                f"'{member}' is annotated with {code_of(said)}, but a plan with typed= loads entities",
                at,
                hint="remove it, or use a view with into= in place of typed=.",
            )
        prop = mapping.relationship(mapper, name)
        behind = mapping.columns_behind(mapper, name)
        if prop is not None and prop.key in loads:
            yield from _relationship(member, kind, prop, loads[prop.key][0], (*at, name))
            inner = kind.item
            if is_protocol(inner) and (inner, prop) not in around:
                yield from _problems(inner, place.below(prop.key), (*at, name), (*around, (inner, prop)))
        elif behind is not None and columns.issuperset(behind):
            yield from _column(member, kind, mapper.attrs.get(behind[0]), place, name, at)
        elif prop is not None:
            yield _not_loaded(member, mapper, name, f"add load({mapper.class_.__name__}.{name}) {_where(at)}.", at)
        elif behind is not None:
            yield _not_loaded(
                member,
                mapper,
                name,
                f"add the column {mapper.class_.__name__}.{name} to the plan, {_place(at)}.",
                at,
            )
        elif not hasattr(mapper.class_, name):
            known = [*mapper.relationships.keys(), *mapper.column_attrs.keys()]
            entity = mapper.class_.__name__
            hint_ = did_you_mean(name, known, f"Attributes of {entity}")
            yield Problem("LP121", f"'{entity}' has no '{name}' for '{member}'", at, hint=hint_)


def _where(at: At) -> str:
    return "to the plan" if len(at) == 1 else f"under {'.'.join(at[1:])}"


def _place(at: At) -> str:
    return "at its root" if len(at) == 1 else f"at {'.'.join(at[1:])}"


def _not_loaded(member: str, mapper: Any, name: str, hint: str, at: At) -> Problem:
    return Problem(
        "LP121",
        f"'{member}' is in the Protocol, but the plan does not load '{mapper.class_.__name__}.{name}'",
        at,
        hint=hint,
    )


def _column(member: str, kind: FieldType, prop: Any, place: DeclaredPlace, name: str, at: At) -> Iterator[Problem]:
    if name not in place.mapper.attrs or not isinstance(prop, ColumnProperty) or prop.key != name:
        return  # a composite or a synonym, whose value the mapping makes
    optional = mapping.may_be_null(place.mapper, name)
    wrong = misfit(prop.columns[0].type, kind.given, lenient=False)
    if wrong is not None:
        yield Problem("LP122", f"'{member}' is a '{annotation_source(kind.given)}', but {wrong}", at)
    elif optional and not kind.optional and kind.given is not Any:
        hint = f"annotate it '{spelled(kind.given, optional=True)}'."
        column = mapping.column_name(place.mapper, name)
        yield Problem("LP122", f"'{member}' does not allow None, but {column} is nullable", at, hint=hint)


def _relationship(
    member: str, kind: FieldType, prop: RelationshipProperty[Any], item: Load[Any], at: At
) -> Iterator[Problem]:
    many = bool(prop.uselist)
    inner = annotation_source(kind.item)
    if many and kind.container is None and kind.given is not Any:
        yield Problem(
            "LP122",
            f"'{member}' is one '{inner}', but the relationship is a collection",
            at,
            hint=f"annotate it 'Sequence[{inner}]'.",
        )
        return
    if not many and kind.container is not None:
        yield Problem(
            "LP122",
            f"'{member}' is a collection, but the relationship leads to one row",
            at,
            hint=f"annotate it '{inner}'.",
        )
        return
    why = None if many else why_empty(prop, Shape(where=item.where or (), depth=item.depth))
    if why is not None and not kind.optional and kind.given is not Any:
        yield Problem(
            "LP122",
            f"'{member}' does not allow None, but {why}",
            at,
            hint=f"annotate it '{spelled(kind.given, optional=True)}'.",
        )
    mapper = mapping.mapper_of(kind.item)
    if mapper is not None and not prop.mapper.isa(mapper):
        yield Problem(
            "LP122", f"'{member}' is a '{inner}', but the relationship leads to '{prop.mapper.class_.__name__}'", at
        )
