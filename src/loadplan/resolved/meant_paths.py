"""Guesses the source or the path that was meant by a wrong one, for hints. Pure, and never raises."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy import Boolean, ClauseElement, Column, ColumnElement, UnaryExpression, func
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.code import call_source, is_relationship, source
from loadplan.declared.sources import Aggregate, Source
from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of, first_aggregate
from loadplan.resolved import meant, meant_here
from loadplan.resolved.fitting import misfit, spelled, why_empty
from loadplan.resolved.tree import Shape
from loadplan.sqlalchemy_internals import attribute_behind
from loadplan.view_classes.annotations import FieldType, read_annotation

#: A relationship in a path: its code and its property.
Step = tuple[str, RelationshipProperty[Any]]


@attrs.frozen(eq=False)
class Written:
    """A source as its author wrote it. It may be wrong.

    Attributes:
        start: the mapper of the class at which it starts.
        given: the source, or a count or another aggregate. It is None if the field has none.
        kind: the annotation of the field.
    """

    start: Mapper[Any]
    given: Any
    kind: FieldType

    def meant(self) -> str | None:
        """Return the code that was probably meant: ``Annotated[str, source(Post.author, User.name)]``, or None."""
        path = self.given.path if isinstance(self.given, Source) else (self.given,)
        return meant.safely(_meant, self.start, path, self.kind)

    def meant_aggregate(self) -> str | None:
        """Return the code of the count or other aggregate that was probably meant, or None."""
        return meant.safely(_meant_aggregate, self.start, self.given)

    def path_to(self, prop: RelationshipProperty[Any]) -> list[str]:
        """Return the code of the path that leads to a relationship, with its last item."""
        if isinstance(self.given, Source):
            return list(map(source, self.given.path))
        return [f"{prop.parent.class_.__name__}.{prop.key}"]


def meant_path(word: str, start: Mapper[Any], path: Sequence[Any]) -> str | None:
    """Return the code of the path in ``where=`` or ``order_by=`` that was probably meant, or None."""
    code = meant.safely(_meant, start, path, read_annotation(Any, {}))
    kind, _, inside = ("" if code is None else code).removesuffix(")]").partition(", source(")
    if not inside or kind.startswith("Annotated[list["):
        return None
    last = path[-1] if path else None
    is_value = isinstance(last, QueryableAttribute | ColumnElement) and not is_relationship(last)
    if word == "where" and not (is_value and isinstance(element_of(last).type, Boolean)):
        inside += " == ..."
    return f"source({inside})" if "," in inside else inside  # a column of the class itself needs no path


def _meant(start: Mapper[Any], path: Sequence[Any], kind: FieldType) -> str | None:
    here, steps, end, is_detour = start, list[Step](), None, False
    items = [*_items(path)]
    for item in [*filter(_is_step, items), *(each for each in items if not _is_step(each))]:
        attribute: Any = getattr(here.class_, item, None) if isinstance(item, str) else item
        owner = _owner_of(attribute, here)
        if isinstance(item, str) and not isinstance(attribute, QueryableAttribute):
            return None
        if owner is None:
            continue
        if start.isa(owner) and (is_detour or not here.isa(owner)):
            here, steps = start, []
        elif not here.isa(owner):
            anew, onward, is_detour = _route(start, owner), _route(here, owner), True
            if not (anew or onward):
                return None
            steps = anew if not onward or (anew and len(anew) < len(steps) + len(onward)) else [*steps, *onward]
            here = steps[-1][1].mapper
        if is_relationship(attribute):
            prop: Any = attribute.property
            steps.append((source(attribute), prop))
            here = prop.mapper
        elif not isinstance(attribute, type):
            end = attribute
    return _code_of(steps, end, here, kind)


def _items(path: Sequence[Any]) -> Iterator[Any]:
    """Yield the items of a path, also of paths and lists in it. Text is taken apart at its dots."""
    for item in path:
        if isinstance(item, list | tuple | Source):
            yield from _items(item.path if isinstance(item, Source) else item)
        elif isinstance(item, str):
            yield from meant_here.names_in(item)
        elif isinstance(item, UnaryExpression) and item.modifier is not None:
            yield item.element
        else:
            yield item


def _is_step(item: Any) -> bool:
    return isinstance(item, str) or is_relationship(item)


def _owner_of(item: Any, here: Mapper[Any]) -> Mapper[Any] | None:
    """Return the class that an item of a path belongs to; None if a path cannot have this item."""
    if isinstance(item, QueryableAttribute):
        return mapping.owner_of(item) or item.parent.mapper
    if isinstance(item, Aggregate):
        return mapping.owner_of(item.relationship)
    if isinstance(item, type):
        return mapping.mapper_of(item)
    if not isinstance(item, ClauseElement):
        return None
    parts: Any = iterate(element_of(item))
    owners = [each[0] for each in map(attribute_behind, parts) if each is not None]
    return mapping.mapper_of(owners[0]) if owners else here


def _route(start: Mapper[Any], owner: Mapper[Any]) -> list[Step]:
    """Return the shortest way between two classes, with the properties of its relationships."""
    found: list[Step] = []
    for name in () if start.isa(owner) else meant.route(start, owner):
        prop = (found[-1][1].mapper if found else start).relationships[name.rpartition(".")[2]]
        found.append((name, prop))
    return found


def _code_of(steps: Sequence[Step], end: Any, here: Mapper[Any], kind: FieldType) -> str | None:
    """Return the code of a path with an annotation that fits it. Without an end, it is a column that fits a field."""
    codes, many = [code for code, _ in steps], [prop for _, prop in steps if prop.uselist]
    wanted = kind.given if kind.container is None else read_annotation(kind.item, {}).given
    optional = any(why_empty(prop, Shape()) is not None for _, prop in steps if not prop.uselist)
    function = first_aggregate(end) if isinstance(end, ClauseElement) else None
    is_row = bool(steps) and bool(steps[-1][1].uselist)
    if isinstance(end, Aggregate) or (is_row and function is not None) or (is_row and end is None and wanted is int):
        return _counting(steps, end, function, spelled(wanted, optional=kind.optional))
    if function is not None:  # one row has one value
        end = next(iter(function.clauses))
    if isinstance(end, QueryableAttribute):
        codes.append(f"{here.class_.__name__}.{end.key}")
    elif end is not None:
        codes.append(source(end))
    elif (column := column_that_fits(here, wanted)) is not None:
        codes.append(f"{here.class_.__name__}.{column}")
        optional = optional or mapping.may_be_null(here, column)
    if len(codes) == len(steps) or meant_here.SQL.search(codes[-1]):
        return None
    shown = spelled(wanted, optional=kind.optional or optional)
    if many and kind.container is None:
        shown = f"list[{spelled(wanted, optional=optional)}]"
    elif kind.container is not None:
        shown = spelled(kind.given, optional=kind.optional)
    return f"Annotated[{shown}, source({', '.join(codes)})]"


def _counting(steps: Sequence[Step], end: Any, function: Any, annotation: str) -> str:
    """Return the code of a path that ends with a count or another aggregate."""
    codes = [code for code, _ in steps]
    if isinstance(end, Aggregate):
        codes.append(source(end))
    elif end is None or function.name == "count":
        codes[-1] = f"count({codes[-1]})"
    else:
        codes[-1] = f"aggregate({codes[-1]}, {source(end)})"
        annotation = annotation if annotation.endswith("None") else f"{annotation} | None"
    return f"Annotated[{annotation}, {path_of(codes)}]"


def path_of(codes: Sequence[str]) -> str:
    """Return the code of a path that ends with a count or another aggregate, which can be alone."""
    return codes[0] if len(codes) == 1 else f"source({', '.join(codes)})"


def _meant_aggregate(start: Mapper[Any], given: Aggregate) -> str | None:
    relationship: Any = given.relationship
    expression: Any = given.expression
    if is_relationship(expression) and not is_relationship(relationship):
        relationship, expression = expression, relationship
    if isinstance(relationship, str):
        relationship = getattr(start.class_, relationship, None)
    owner = _owner_of(relationship, start)
    if owner is None or (start.isa(owner) and not is_relationship(relationship)):
        return None
    steps = _route(start, owner)
    if is_relationship(relationship):
        steps = [*steps, (source(relationship), relationship.property)]
    if not steps or not (steps[-1][1].uselist or given.kind == "exists"):
        return None
    if given.kind == "aggregate" and not isinstance(expression, ClauseElement):
        expression = _function(expression if expression is not None else relationship, steps[-1][1].mapper)
    codes = [code for code, _ in steps]
    inside = f", {source(expression)}" if given.kind == "aggregate" else ""
    met = call_source("", [], {"where": given.where or None})[1:-1]
    codes[-1] = f"{given.kind}({codes[-1]}{inside}{f', {met}' if met else ''})"
    return path_of(codes)


def _function(given: Any, mapper: Mapper[Any]) -> Any:
    """Return the function that was probably meant by a column, by the name of a function, or by Python's function."""
    name = given if isinstance(given, str) else getattr(given, "__name__", "")
    column = given if isinstance(given, QueryableAttribute) and mapping.owner_of(given) is mapper else None
    if column is None:
        key = column_that_fits(mapper, int) or column_that_fits(mapper, Any)
        column = getattr(mapper.class_, str(key))
    return getattr(func, name if name in {"min", "max", "sum", "avg", "count"} else "max")(column)


def values_of_rows(wanted: Any, annotation: str, way: Sequence[str], target: Mapper[Any]) -> str:
    """Return the hint for a field with one plain value for a collection: a column of each row, or the number of rows.

    Args:
        wanted: the type of the value.
        annotation: the annotation of the field.
        way: the code of the path that leads to the collection, with its last item.
        target: the class of the rows.
    """
    counted = [*way[:-1], f"count({way[-1]})"]
    number = f"Annotated[int, {path_of(counted)}]"
    column = column_that_fits(target, wanted)
    listed = f"Annotated[list[{annotation}], source({', '.join([*way, f'{target.class_.__name__}.{column}'])})]"
    if wanted is int:
        return f"count the rows: {number}" + ("." if column is None else f", or read a column: {listed}.")
    return ("" if column is None else f"read a column of each row: {listed}, or ") + f"count the rows: {number}."


def column_that_fits(mapper: Mapper[Any], wanted: Any) -> str | None:
    """Return a column whose values have the wanted type, a key only if no other fits. A boolean is not an integer."""
    plain = {column for column in mapper.columns if not (column.primary_key or column.foreign_keys)}
    plain = {column for column in plain if isinstance(column, Column)}
    props = sorted(mapping.column_attributes(mapper), key=lambda each: each.columns[0] not in plain)
    props = [each for each in props if wanted is bool or not isinstance(each.columns[0].type, Boolean)]
    fitting = (each.key for each in props if misfit(each.columns[0].type, wanted, lenient=False) is None)
    return next(fitting, None)
