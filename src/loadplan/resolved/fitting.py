"""Compares SQL types with annotations: do the values of a type fit? If this cannot be known, they count as fitting."""

import datetime
import decimal
import enum
from typing import Any, TypeVar, get_origin, is_typeddict

from sqlalchemy import ARRAY, types
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.sql.elements import Cast, FunctionFilter, Label, TypeCoerce
from sqlalchemy.sql.functions import FunctionElement

from loadplan.mapped.elements import element_of
from loadplan.resolved.tree import Shape
from loadplan.view_classes.annotations import (
    Container,
    annotation_source,
    literal_values,
    read_annotation,
    union_members,
    without_annotated,
)

#: Aggregate functions that are NULL if there are no rows.
_NULL_WITHOUT_ROWS = frozenset(
    [
        "max",
        "min",
        "sum",
        "avg",
        "array_agg",
        "string_agg",
        "json_agg",
        "jsonb_agg",
        "group_concat",
        "bool_and",
        "bool_or",
        "every",
        "stddev",
        "variance",
        "mode",
        "percentile_cont",
        "percentile_disc",
        "bit_and",
        "bit_or",
    ]
)

#: Pairs of a value's type and an annotation that type checkers and pydantic allow, besides subclasses.
_WIDENED = frozenset({(int, float), (int, complex), (float, complex), (bytearray, bytes)})

#: Pairs of a value's type and an annotation between which pydantic also converts.
_LENIENT = frozenset(
    {
        (decimal.Decimal, float),
        (decimal.Decimal, int),
        (int, decimal.Decimal),
        (float, decimal.Decimal),
        (float, int),
        (int, bool),
        (datetime.date, datetime.datetime),
        (str, bytes),
        (bytes, str),
    }
)


def python_type(kind: types.TypeEngine[Any]) -> type | None:
    """Return the class of a SQL type's values, or None if it is not known."""
    if isinstance(kind, types.TypeDecorator):
        own = type(kind)
        tells = own.python_type is not types.TypeDecorator.python_type
        converts = any(getattr(own, name) is not getattr(types.TypeDecorator, name) for name in _CONVERSIONS)
        return kind.python_type if tells else None if converts else python_type(kind.impl_instance)
    if isinstance(kind, types.NullType | types.JSON | types.PickleType) or type(kind).__name__ == "HSTORE":
        return None
    if any(not each.__module__.startswith("sqlalchemy.") and "result_processor" in vars(each) for each in _bases(kind)):
        return None  # a type of the application, which may convert values to any type
    try:
        found: type = kind.python_type
    except NotImplementedError:
        return None
    return None if found is object else found


#: Methods that a TypeDecorator overrides to convert the values of its column.
_CONVERSIONS = ("process_result_value", "result_processor")


def _bases(kind: types.TypeEngine[Any]) -> tuple[type, ...]:
    return type(kind).__mro__


def misfit(kind: types.TypeEngine[Any], annotation: Any, *, lenient: bool) -> str | None:
    """Return the reason why values of a SQL type do not fit an annotation, or None if they fit.

    Args:
        kind: the SQL type of the column or expression.
        annotation: the annotation of one value, without ``None``.
        lenient: whether the view class converts values of other types to the annotated type.

    Returns:
        A clause for a sentence, as ``"an Integer holds int"``.
    """
    held = python_type(kind)
    if held is None or _accepts(annotation, held, kind, lenient=lenient):
        return None
    article = "an" if type(kind).__name__[0] in "AEIO" else "a"
    return f"{article} {type(kind).__name__} holds {held.__name__}"


def _accepts(annotation: Any, held: type, kind: types.TypeEngine[Any], *, lenient: bool) -> bool:
    bare, _ = without_annotated(annotation)
    if bare is Any or bare is object or isinstance(bare, TypeVar):
        return True
    members = union_members(bare)
    if members:
        return any(_accepts(each, held, kind, lenient=lenient) for each in members)
    literals = literal_values(bare)
    if literals:
        return any(isinstance(each, held) or (isinstance(each, str) and issubclass(held, str)) for each in literals)
    origin = get_origin(bare) or bare
    if not isinstance(origin, type) or is_typeddict(origin):
        return True  # a type that cannot be compared, such as a Protocol of ``typing``
    if isinstance(kind, ARRAY):
        return _accepts_array(bare, kind, lenient=lenient)
    try:
        if issubclass(held, origin) or (held, origin) in _WIDENED:
            return True
    except TypeError:  # a Protocol that does not support issubclass()
        return True
    if issubclass(origin, held) and not issubclass(origin, enum.Enum) and origin.__module__ not in _STANDARD:
        return True  # for example the application's own subclass of str, which the mapping may declare
    return lenient and _pydantic_converts(held, origin)


#: An annotation from these modules does not fit if it is a subclass: a column of ``date`` does not hold ``datetime``.
_STANDARD = frozenset({"builtins", "datetime", "decimal", "uuid"})


def _pydantic_converts(held: type, wanted: type) -> bool:
    known = {int, float, str, bytes, bool, decimal.Decimal, datetime.date, datetime.datetime, list, dict, set, tuple}
    if wanted not in known:  # enums, URLs, secrets, types with their own validators
        return not (issubclass(wanted, enum.Enum) and issubclass(held, enum.Enum))
    if issubclass(held, enum.Enum):  # pydantic turns values into enums, but not enums into values
        return False
    return (held, wanted) in _LENIENT or held not in known


def _accepts_array(annotation: Any, kind: ARRAY[Any], *, lenient: bool) -> bool:
    read = read_annotation(annotation, {})
    origin = get_origin(annotation) or annotation
    if read.container is None:
        plain = origin in {str, bytes, int, float, bool, dict}
        return not plain if lenient else issubclass(tuple if kind.as_tuple else list, origin)
    made = tuple if kind.as_tuple else list
    if read.container is Container.DICT or not (lenient or issubclass(made, origin)):
        return False
    item = read_annotation(read.item, {}).given
    if kind.dimensions is not None and kind.dimensions > 1:
        return True
    return misfit(kind.item_type, item, lenient=lenient) is None


def null_without_rows(expression: Any) -> bool:
    """Tell whether an aggregate is NULL if there are no rows."""
    element = element_of(expression)
    while isinstance(element, Label | Cast | TypeCoerce | FunctionFilter):
        element = (
            element.func if isinstance(element, FunctionFilter) else getattr(element, "clause", None) or element.element
        )
    return isinstance(element, FunctionElement) and str(getattr(element, "name", "")).lower() in _NULL_WITHOUT_ROWS


def spelled(annotation: Any, *, optional: bool) -> str:
    """Return an annotation as text for a hint, with ``| None`` if it is optional."""
    text = annotation_source(annotation)
    return f"{text} | None" if optional and not text.endswith("None") else text


def why_empty(prop: RelationshipProperty[Any], shape: Shape) -> str | None:
    """Return the reason why a to-one may have no row; None if the mapping requires a row."""
    if shape.where:
        return "a where= may leave out its row"
    if shape.depth is not None:
        return "the last level of a tree has no row below it"
    if prop.direction is not RelationshipDirection.MANYTOONE or prop.secondary is not None:
        return "no foreign key in its own table requires a row"
    local: list[Any] = [column for column, _ in prop.local_remote_pairs or ()]
    nullable = [column for column in local if getattr(column, "nullable", True)]
    if nullable:
        return f"foreign key {nullable[0].table.name}.{nullable[0].name} is nullable"
    return None
