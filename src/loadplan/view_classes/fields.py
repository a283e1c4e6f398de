"""A view class as data: its fields, and how to make an object of it."""

import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

import attrs

from loadplan.view_classes.annotations import FieldType


class Unreadable(Exception):  # noqa: N818 - the reason why a class cannot be a view, caught where the plan is resolved
    """A class cannot be a view. The error has the reason and a hint."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def reads_a_part(name: str) -> Unreadable:
    """Return the error for a field whose alias leads into another value."""
    return Unreadable(
        f"the field '{name}' has an AliasPath, which reads a part of another value",
        "give it a validation_alias that is one name.",
    )


@attrs.frozen(eq=False)
class Field:
    """A field that the constructor of a view class takes.

    Attributes:
        name: the name of the attribute.
        parameter: the name of the constructor's parameter.
        type: the annotation of the field.
        keyword: whether the constructor takes the field only as a keyword.
        has_default: whether a call of the constructor may leave the field out.
        converts: whether the class converts the given value with its own code, which may take any value, also None.
        lenient: whether the library converts values of other types to the annotated type, as pydantic does.
        aliases: paths of attributes that the class tries before the field's own name, as pydantic does.
    """

    name: str
    parameter: str
    type: FieldType
    keyword: bool = False
    has_default: bool = False
    converts: bool = False
    lenient: bool = False
    aliases: tuple[tuple[str, ...], ...] = ()


@attrs.frozen(eq=False)
class ViewClass:
    """A view class.

    Attributes:
        given: the class, or a generic class with its arguments.
        name: its name for messages.
        fields: its fields, in the order of the constructor's positional parameters.
        build: the constructor. If ``by_mapping`` is True, it takes one dictionary.
        by_mapping: whether ``build`` takes a dictionary of parameters.
    """

    given: Any
    name: str
    fields: tuple[Field, ...]
    build: Callable[..., Any]
    by_mapping: bool = False


@attrs.frozen(eq=False)
class SchemaField:
    """A field of a model that is filled from an object's attributes.

    Attributes:
        name: the name of the field.
        paths: paths of attributes. The model reads the field from the first path that exists. An index or a key follows
            the name of a collection.
        type: the annotation of the field.
        has_default: whether the model has a default for the field.
    """

    name: str
    paths: tuple[tuple[str, ...], ...]
    type: FieldType
    has_default: bool


def class_name(annotation: Any) -> str:
    """Return the name of a class. For a generic class, include its arguments: ``Page[PostCard]``."""
    parts = get_args(annotation)
    kind = get_origin(annotation) or annotation
    name = str(getattr(kind, "__name__", kind))
    return f"{name}[{', '.join(map(class_name, parts))}]" if parts else name


def is_subclass(kind: Any, library: str, name: str) -> bool:
    """Tell whether a class inherits from a library's class. If the library is not imported, return False."""
    module = sys.modules.get(library)
    base = None if module is None else getattr(module, name, None)
    return base is not None and isinstance(kind, type) and issubclass(kind, base)
