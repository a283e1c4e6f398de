"""Makes view classes with only some fields of another view class, for names that come with a request."""

import copy
import dataclasses
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import attrs

from loadplan.view_classes.annotations import FieldType, union_members
from loadplan.view_classes.fields import is_subclass

#: The number of classes that are remembered. Equal field names get one class, so their plans are equal.
MOST_CLASSES = 1024

Fields = tuple[tuple[str, tuple[FieldType, Any]], ...]


def narrowed_class(kind: Any, fields: Fields) -> Any:
    """Return a class of the same library as a view class, with only these fields.

    It has the name of the view class, but is not a subclass of it. It keeps the settings of each field (its alias, its
    converter, pydantic's constraints). It has none of the methods and validators of the class.

    Args:
        kind: the view class.
        fields: by name, the annotation that the field had, and its new annotation without None and ``Annotated``.
    """
    return _made(kind, tuple((name, _annotation(*each)) for name, each in fields))


def _annotation(kind: FieldType, given: Any) -> Any:
    whole = Union[given, None] if kind.optional else given  # noqa: UP007 - either may be any annotation
    return Annotated[(whole, *kind.markers)] if kind.markers else whole


@lru_cache(maxsize=MOST_CLASSES)
def _made(given: Any, fields: tuple[tuple[str, Any], ...]) -> Any:
    kind: Any = get_origin(given) or given
    name = kind.__name__
    if is_subclass(kind, "pydantic", "BaseModel"):
        wanted = {field: (annotation, copy.copy(kind.model_fields[field])) for field, annotation in fields}
        return sys.modules["pydantic"].create_model(name, __config__=kind.model_config, **wanted)
    if is_subclass(kind, "msgspec", "Struct"):
        named = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
        config = kind.__struct_config__
        words = {"frozen": config.frozen, "tag": config.tag, "tag_field": config.tag_field, "kw_only": True}
        return sys.modules["msgspec"].defstruct(name, list(fields), rename=named, **words)
    if attrs.has(kind):
        known = attrs.fields_dict(kind)
        parts: dict[str, Any] = {
            field: attrs.field(
                type=annotation, converter=known[field].converter, alias=known[field].alias, kw_only=True
            )
            for field, annotation in fields
        }
        return attrs.make_class(name, parts, frozen=True)
    if dataclasses.is_dataclass(kind):
        frozen = getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - type checkers do not know it
        return dataclasses.make_dataclass(name, fields, frozen=frozen, kw_only=True)
    return NamedTuple(name, list(fields))


def with_members(annotation: Any, members: Mapping[Any, Any]) -> Any:
    """Return an annotation in which some classes are replaced."""
    try:
        if annotation in members:
            return members[annotation]
    except TypeError:  # an annotation that cannot be hashed is not a class
        return annotation
    parts = get_args(annotation)
    origin: Any = get_origin(annotation)
    if not parts or origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(with_members(parts[0], members), *parts[1:])]
    replaced = tuple(_each(parts, members))
    if replaced == parts:
        return annotation
    return Union[replaced] if union_members(annotation) else origin[replaced]  # noqa: UP007


def _each(parts: Iterable[Any], members: Mapping[Any, Any]) -> Iterable[Any]:
    return (part if part is ... else with_members(part, members) for part in parts)
