"""What a view class is to the rest: its fields, and how an object of it is made. Data only."""

import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

import attrs

from loadplan.view_classes.annotations import FieldType


class Unreadable(Exception):  # noqa: N818 - the reason why a class cannot be a view, caught where the plan is resolved
    """A class that cannot be a view, with the reason and what to do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@attrs.frozen(eq=False)
class Field:
    """A field that the constructor of a view class takes.

    Attributes:
        name: of the attribute.
        parameter: what the constructor knows it by.
        type: its annotation.
        keyword: whether the constructor takes it by name alone.
        has_default: whether the constructor can do without it.
        converts: whether code of the class makes the value, of whatever it is given, None among it.
        lenient: whether the library turns values of other types into the annotated one, as pydantic does.
        aliases: names of attributes that the class reads the field from before its own name, as pydantic does.
    """

    name: str
    parameter: str
    type: FieldType
    keyword: bool = False
    has_default: bool = False
    converts: bool = False
    lenient: bool = False
    aliases: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class ViewClass:
    """A class to build.

    Attributes:
        given: the class, or a generic one with its arguments.
        name: to print.
        fields: in the order that the constructor takes them by position.
        build: the constructor; it takes one dictionary where ``by_mapping`` says so.
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
        name: of the field.
        paths: of attributes that it is read from: the first that there is.
        type: its annotation.
        has_default: whether the model does without it.
    """

    name: str
    paths: tuple[tuple[str, ...], ...]
    type: FieldType
    has_default: bool


def class_name(annotation: Any) -> str:
    """Return the name of a class, with the arguments of a generic one."""
    parts = get_args(annotation)
    kind = get_origin(annotation) or annotation
    name = str(getattr(kind, "__name__", kind))
    return f"{name}[{', '.join(map(class_name, parts))}]" if parts else name


def is_subclass(kind: Any, library: str, name: str) -> bool:
    """Tell whether a class is of a library that is perhaps not installed; then nobody can have one of its classes."""
    module = sys.modules.get(library)
    base = None if module is None else getattr(module, name, None)
    return base is not None and isinstance(kind, type) and issubclass(kind, base)
