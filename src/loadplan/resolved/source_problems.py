"""Makes the problems of wrong sources, counts and aggregates of a view's field: LP307."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy import Boolean, ClauseElement, Column, UnaryExpression, func
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.code import call_source, is_relationship, source
from loadplan.declared.sources import Aggregate, Source
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of, first_aggregate
from loadplan.resolved import meant, meant_here
from loadplan.resolved.fitting import misfit, spelled, why_empty
from loadplan.resolved.tree import Shape
from loadplan.sqlalchemy_internals import attribute_behind
from loadplan.view_classes.annotations import FieldType, read_annotation

At = tuple[str, ...]

#: A relationship in a path: its code and its property.
Step = tuple[str, RelationshipProperty[Any]]


# --- the source that was meant ----------------------------------------------------------------------------------------


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
    return f"Annotated[{annotation}, {_path_of(codes)}]"


def _path_of(codes: Sequence[str]) -> str:
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
    return _path_of(codes)


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
    number = f"Annotated[int, {_path_of(counted)}]"
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


# --- problems ---------------------------------------------------------------------------------------------------------


def type_of_step(field: str, step: QueryableAttribute[Any], at: At) -> Problem:
    """Return the problem of a path with ``.of_type()`` and a class that the relationship's rows cannot have."""
    return Problem(
        "LP307",
        f"the source of '{field}' cannot use {source(step)}",
        at,
        detail="of_type() takes a subclass of the relationship's class. A discriminator must identify its rows.",
        hint="name a mapped subclass, not an alias, or choose the rows with where=.",
    )


def wrong_step(
    field: str, step: object, mapper: Mapper[Any], at: At, word: str = "source", written: Written | None = None
) -> Problem:
    """Return the problem of a path with a step of the wrong class, or with a step that is not a relationship.

    Args:
        field: the name of the field.
        step: the wrong step.
        mapper: the mapper of the class that the path leads to before this step.
        at: the place of the field in the plan.
        word: ``"source"``, ``"count"``, ``"exists"`` or ``"aggregate"``.
        written: the whole source; None for a load.
    """
    here = mapper.class_.__name__
    names = ", ".join(sorted(mapper.relationships.keys()))
    hint = f"use a relationship of {here}: {names}." if names else f"{here} has no relationships."
    code = None if written is None else written.meant() if word == "source" else written.meant_aggregate()
    hint = hint if code is None else f"write {code}."
    if isinstance(step, str):
        if code is not None:
            message = f"{word}() of '{field}' needs attributes of the classes, but got the text {step!r}"
            return Problem("LP307", message, at, hint=hint)
        message = f"'{field}' is read from '{step}', but '{here}' has no such relationship"
        known = did_you_mean(step, mapper.relationships.keys(), f"Relationships of {here}")
        return Problem("LP307", message, at, hint=known)
    if not isinstance(step, QueryableAttribute) or not hasattr(step.parent, "mapper"):
        message = f"{word}() of '{field}' needs a relationship of '{here}', but got {meant.described(step)}"
        return Problem("LP307", message, at, hint=hint)
    if mapper.isa(mapping.owner_of(step) or step.parent.mapper):
        what = mapping.describe_attribute(mapper, step.key)
        message = f"{word}() of '{field}' needs a relationship, but '{source(step)}' is {what}"
        return Problem("LP307", message, at, hint=hint)
    message = f"'{field}' is read from '{here}', which has no '{source(step)}'"
    if word != "source":
        message = f"{word}() of '{field}' needs a relationship of '{here}', but got '{source(step)}'"
    return Problem("LP307", message, at, hint=hint)


def not_an_aggregate(field: str, given: object, at: At, written: Written) -> Problem:
    """Return the problem of ``aggregate(Post.comments, Comment.score)``, which has no function."""
    code = written.meant_aggregate()
    hint = "choose a function, such as func.max(...), func.min(...) or func.sum(...)."
    message = f"aggregate() of '{field}' needs a function, but got {meant.described(given)}"
    return Problem("LP307", message, at, hint=hint if code is None else f"write {code}.")


def not_a_value(field: str, step: object, mapper: Mapper[Any], at: At, written: Written) -> Problem:
    """Return the problem of a path that does not end with a SQL value. ``mapper`` is the class at its end."""
    code = written.meant()
    hint = "end the path with a column, a hybrid, a SQL expression, or a count(...)."
    if isinstance(step, str):
        names = [each.key for each in mapping.column_attributes(mapper)]
        hint = did_you_mean(step, names, f"Columns of {mapper.class_.__name__}")
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {meant.described(step)}, which is not a column or a SQL expression",
        at,
        hint=hint if code is None else f"write {code}.",
    )


def not_of_one_row(field: str, step: object, at: At, written: Written) -> Problem:
    """Return the problem of a path that ends with an order, or with a function that has one value for many rows."""
    code = written.meant()
    what = "an order" if meant.has_direction(step) else "an aggregate, which has one value for many rows"
    hint = "use a subquery that has one value for each row, with .scalar_subquery()."
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {source(step)}, {what}",
        at,
        hint=hint if code is None else f"write {code}.",
    )


def select_as_value(field: str, step: object, at: At) -> Problem:
    """Return the problem of a path that ends with ``select(...)``, which is not one value."""
    message = f"the source of '{field}' ends with {meant.described(step)}, which is not one value"
    return Problem("LP307", message, at, hint="make it one value: select(...).scalar_subquery().")


def empty_source(field: str, at: At, written: Written) -> Problem:
    """Return the problem of ``source()`` without arguments."""
    code = written.meant()
    hint = "name a column." if code is None else f"name a column, for example {code}."
    return Problem("LP307", f"the source of '{field}' is empty", at, hint=hint)


def speaks_of_others(
    field: str,
    step: object,
    mapper: Mapper[Any],
    tables: Sequence[str],
    at: At,
    written: Written,
    *,
    through: str | None = None,
) -> Problem:
    """Return the problem of an expression with columns of another table.

    Args:
        field: the field that the expression is for.
        step: the expression.
        mapper: the class that the expression is over.
        tables: the names of the other tables.
        at: the place in the plan.
        written: the whole source.
        through: the name of the relationship to an alias that the path ends with; None for any other path.
    """
    entity = mapper.class_.__name__
    code = None if isinstance(written.given, Aggregate) else written.meant()
    hint = "use columns of this class, or a subquery with .scalar_subquery()." if code is None else f"write {code}."
    if through is not None:
        hint = f"'{through}' leads to an alias of '{entity}'. Use the attributes of that alias."
    return Problem(
        "LP307",
        f"the source of '{field}' uses '{tables[0]}', but only '{entity}' is available here",
        at,
        detail="without a join condition, every row would be paired with every row of the other table.",
        hint=hint,
    )


def collection_in_path(
    field: str, name: str, annotation: str, rest: Sequence[Any], at: At, written: Written
) -> Problem:
    """Return the problem of a path through a collection for a field with one value. ``rest`` follows the collection."""
    code = written.meant() if isinstance(written.given, Source) else None
    hint = f"annotate it 'list[{annotation}]'" if code is None else f"write {code}"
    if len(rest) == 1 and isinstance(rest[0], QueryableAttribute):
        path = written.given.path if isinstance(written.given, Source) else ()
        *steps, last = [*map(source, path[:-1])] or [name]
        hint += f", or compute one value: {_path_of([*steps, f'aggregate({last}, func.max({source(rest[0])}))'])}"
    return Problem(
        "LP307",
        f"the source of '{field}' leads through the collection '{name}', but the field holds one value",
        at,
        hint=f"{hint}.",
    )
