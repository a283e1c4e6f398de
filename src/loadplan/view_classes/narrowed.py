"""Makes view classes with only some fields of another view class, for names that come with a request."""

import copy
import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import attrs

from loadplan.view_classes.annotations import FieldType, is_marker, union_members
from loadplan.view_classes.fields import is_subclass

#: The number of classes that are remembered. Equal field names get one class, so their plans are equal.
MOST_CLASSES = 1024

Fields = tuple[tuple[str, tuple[FieldType, Any]], ...]
Annotations = tuple[tuple[str, Any], ...]


def narrowed_class(kind: Any, fields: Fields) -> Any:
    """Return a class of the same library as a view class, with only these fields.

    It has the name of the view class, but is not a subclass of it. It keeps the settings of each field (its default,
    its alias, its converter, pydantic's constraints). It has none of the methods and validators of the class.

    Args:
        kind: the view class.
        fields: by name, the annotation that the field had, and its new annotation without None and ``Annotated``.
    """
    return _made(kind, tuple((name, _annotation(*each)) for name, each in fields))


def _annotation(kind: FieldType, given: Any) -> Any:
    whole = Union[given, None] if kind.optional else given  # noqa: UP007 - either may be any annotation
    return Annotated[(whole, *kind.markers)] if kind.markers else whole


@lru_cache(maxsize=MOST_CLASSES)
def _made(given: Any, fields: Annotations) -> Any:
    kind: Any = get_origin(given) or given
    name = kind.__name__
    if is_subclass(kind, "pydantic", "BaseModel"):
        wanted = {field: (annotation, _described(kind.model_fields[field])) for field, annotation in fields}
        return sys.modules["pydantic"].create_model(name, __config__=kind.model_config, **wanted)
    if is_subclass(kind, "msgspec", "Struct"):
        return _made_struct(kind, fields)
    if attrs.has(kind):
        known = attrs.fields_dict(kind)
        parts: dict[str, Any] = {
            field: attrs.field(
                type=annotation,
                default=known[field].default,
                converter=known[field].converter,
                alias=known[field].alias,
                kw_only=True,
            )
            for field, annotation in fields
        }
        return attrs.make_class(name, parts, frozen=True)
    if dataclasses.is_dataclass(kind):
        return _made_dataclass(kind, fields)
    return _made_tuple(kind, fields)


def _made_struct(kind: Any, fields: Annotations) -> Any:
    library = sys.modules["msgspec"]
    known = {each.name: each for each in library.structs.fields(kind)}
    config = kind.__struct_config__
    parts = [
        (field, annotation, library.field(default=known[field].default, default_factory=known[field].default_factory))
        for field, annotation in fields
    ]
    named = {field: known[field].encode_name for field, _ in fields}
    words = {"frozen": config.frozen, "tag": config.tag, "tag_field": config.tag_field, "kw_only": True}
    return library.defstruct(kind.__name__, parts, rename=named, **words)


def _made_dataclass(kind: Any, fields: Annotations) -> Any:
    frozen = getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - type checkers do not know it
    if hasattr(kind, "__pydantic_fields__"):
        space = {field: _described(kind.__pydantic_fields__[field]) for field, _ in fields}
        plain = types.new_class(kind.__name__, (), {}, _filled(kind, space, fields))
        pydantic = sys.modules["pydantic.dataclasses"]
        return pydantic.dataclass(plain, frozen=frozen, kw_only=True, config=kind.__pydantic_config__)
    known = {each.name: each for each in dataclasses.fields(kind)}
    field_of: Any = dataclasses.field  # to type checkers it takes a default or a factory, not both
    parts = [
        (field, annotation, field_of(default=known[field].default, default_factory=known[field].default_factory))
        for field, annotation in fields
    ]
    return dataclasses.make_dataclass(kind.__name__, parts, frozen=frozen, kw_only=True)


def _made_tuple(kind: Any, fields: Annotations) -> Any:
    defaults = {field: kind._field_defaults[field] for field, _ in fields if field in kind._field_defaults}
    return types.new_class(kind.__name__, (NamedTuple,), {}, _filled(kind, defaults, fields))


def _filled(kind: Any, values: Mapping[str, Any], fields: Annotations) -> Callable[[dict[str, Any]], None]:
    """Return a function that fills the namespace of a class with annotations and values."""
    return lambda space: space.update(values, __annotations__=dict(fields), __module__=kind.__module__)


def _described(info: Any) -> Any:
    """Return a copy of a FieldInfo without loadplan's markers. pydantic adds the markers of the new annotation."""
    copied = copy.copy(info)
    copied.metadata = [each for each in info.metadata if not is_marker(each)]
    return copied


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
    replaced = tuple(with_members(part, members) for part in parts)
    if replaced == parts:
        return annotation
    return Union[replaced] if union_members(annotation) else origin[replaced]  # noqa: UP007
