"""View classes: the fields and the constructor of a class of attrs, dataclasses, pydantic, msgspec, or a NamedTuple.

This module imports only attrs. If a program has a class of another library, it has already imported that library.
"""

import dataclasses
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from loadplan.view_classes.annotations import FieldType, annotation_source, read_annotation, with_given
from loadplan.view_classes.fields import Field, SchemaField, Unreadable, ViewClass, class_name, is_subclass
from loadplan.view_classes.pydantic_models import read_dataclass, read_model, read_model_schema

_NONE: Final = object()


def is_view_class(annotation: Any) -> bool:
    """Tell whether an annotation is a class that can be a view."""
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and (
        attrs.has(kind)
        or dataclasses.is_dataclass(kind)
        or is_subclass(kind, "pydantic", "BaseModel")
        or is_subclass(kind, "msgspec", "Struct")
        or _is_named_tuple(kind)
    )


def read_class(annotation: Any) -> ViewClass:
    """Return the fields of a view class.

    Args:
        annotation: the class, or a generic class with its arguments, for example ``Page[PostCard]``.

    Raises:
        Unreadable: the annotation is not a class of one of these libraries, or rows cannot fill it.
    """
    kind: Any = get_origin(annotation) or annotation
    if not is_view_class(annotation):
        raise _no_view(annotation)
    if is_subclass(kind, "pydantic", "BaseModel"):
        return read_model(annotation, kind)
    arguments = type_arguments(annotation)
    if is_subclass(kind, "msgspec", "Struct"):
        fields = _msgspec_fields(kind, arguments)
    elif attrs.has(kind):
        fields = _attrs_fields(kind, arguments)
    elif dataclasses.is_dataclass(kind):
        fields = _dataclass_fields(kind, arguments)
        if hasattr(kind, "__pydantic_fields__"):
            return read_dataclass(annotation, kind, fields)
    else:
        fields = _named_tuple_fields(kind, arguments)
    build: Any = get_origin(annotation) or annotation  # type checkers do not see this constructor
    return ViewClass(annotation, class_name(annotation), tuple(_as_taken(build, list(fields))), build)


def _no_view(annotation: Any) -> Unreadable:
    """Return the error for an annotation that is not a class with fields, with a guess at the intended class."""
    kind: Any = get_origin(annotation) or annotation
    name = annotation_source(annotation)
    item = read_annotation(annotation, {})
    if isinstance(annotation, str | TypeVar):
        what = f"the type variable '{name}'" if isinstance(annotation, TypeVar) else f"the text {annotation!r}"
        hint = (
            "name the class, for example Page[PostCard]."
            if isinstance(annotation, TypeVar)
            else "pass the class itself."
        )
        return Unreadable(f"{what} is not a view class", hint)
    if item.container is not None and is_view_class(item.item):
        return Unreadable(
            f"'{name}' is a collection, but into= needs the class of one row",
            f"pass the class of one row: into={annotation_source(item.item)}. fetch_all returns a list of it.",
        )
    if is_view_class(type(annotation)):
        kind_name = type(annotation).__name__
        return Unreadable(f"an object of '{kind_name}' is not a class", f"pass the class, not an object: {kind_name}.")
    if not isinstance(kind, type):
        return Unreadable(f"'{name}' is not a class", "pass the class itself, for example into=PostCard.")
    if kind.__module__ != "builtins" and annotations_of(kind) and not is_typeddict(kind):
        return Unreadable(
            f"'{name}' has annotations, but no constructor that takes them",
            "decorate it with @attrs.frozen or @dataclass, or derive it from BaseModel, Struct or NamedTuple.",
        )
    return Unreadable(
        f"'{name}' cannot be filled from rows",
        "use a class of attrs, dataclasses, pydantic or msgspec, or a NamedTuple.",
    )


def read_schema(annotation: Any) -> list[SchemaField]:
    """Return the fields of a model and the attributes that fill them: by alias for pydantic, by name for all others.

    Raises:
        Unreadable: the annotation is not a class with fields.
    """
    kind: Any = get_origin(annotation) or annotation
    if is_subclass(kind, "pydantic", "BaseModel") and not is_subclass(kind, "pydantic", "RootModel"):
        return list(read_model_schema(kind))
    if dataclasses.is_dataclass(kind) and hasattr(kind, "__pydantic_fields__"):
        return list(read_model_schema(kind))
    fields = read_class(annotation).fields
    return [SchemaField(each.name, ((each.name,),), each.type, each.has_default) for each in fields]


def type_arguments(annotation: Any) -> dict[Any, dict[Any, Any]]:
    """Return, for an annotation's class and each of its base classes, the types that replace its type variables."""
    found: dict[Any, dict[Any, Any]] = {}

    def visit(given: Any, above: Mapping[Any, Any]) -> None:
        kind: Any = get_origin(given) or given
        if not isinstance(kind, type) or kind is Generic:
            return
        names = getattr(kind, "__parameters__", ())
        values = [above.get(each, each) if isinstance(each, TypeVar) else each for each in get_args(given)]
        here = dict(zip(names, values, strict=False))
        found.setdefault(kind, here)
        for base in getattr(kind, "__orig_bases__", kind.__bases__):
            visit(base, here)

    visit(annotation, {})
    return found


# --- one function for each library ----------------------------------------------------------------------------------


def _attrs_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    for each in attrs.fields(kind):
        if each.init:
            yield Field(
                name=each.name,
                parameter=each.alias or each.name,
                type=with_given(
                    _field_type(kind, each.name, hints, arguments),
                    default=each.default,
                    metadata=each.metadata,
                    converter=each.converter,
                    validator=each.validator,
                ),
                keyword=bool(each.kw_only),
                has_default=each.default is not attrs.NOTHING,
                converts=each.converter is not None,
            )


def _dataclass_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    if not kind.__dataclass_params__.init:
        raise Unreadable(f"'{kind.__name__}' is a dataclass with init=False", "remove init=False.")
    given_late = [name for name, hint in hints.items() if isinstance(hint, dataclasses.InitVar)]
    if given_late:
        raise Unreadable(
            f"'{kind.__name__}' has the InitVar '{given_late[0]}', and a row cannot fill it",
            "make it a field, or remove it.",
        )
    for each in dataclasses.fields(kind):
        if each.init:
            yield Field(
                name=each.name,
                parameter=each.name,
                type=with_given(
                    _field_type(kind, each.name, hints, arguments),
                    default=each.default,
                    default_factory=each.default_factory,
                    metadata=each.metadata,
                ),
                keyword=bool(each.kw_only),
                has_default=_has_default(each),
            )


def _named_tuple_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    for name in kind._fields:
        hint = with_given(_field_type(kind, name, hints, arguments), default=kind._field_defaults.get(name))
        yield Field(name=name, parameter=name, type=hint, has_default=name in kind._field_defaults)


def _msgspec_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    defaults = (_NONE,) * (len(kind.__struct_fields__) - len(kind.__struct_defaults__)) + kind.__struct_defaults__
    for name, default in zip(kind.__struct_fields__, defaults, strict=True):
        has_default = default is not _NONE and default is not sys.modules["msgspec"].NODEFAULT
        hint = with_given(_field_type(kind, name, hints, arguments), default=default)
        yield Field(name=name, parameter=name, type=hint, keyword=True, has_default=has_default)


# --- shared by all libraries ----------------------------------------------------------------------------------------


def _as_taken(kind: Any, fields: list[Field]) -> list[Field]:
    """Return fields as the constructor takes them: by position or by keyword. A class may have its own constructor.

    Raises:
        Unreadable: the constructor does not take a field, or requires another argument.
    """
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # a constructor in C without a signature
        return fields
    named = {name: each for name, each in parameters.items() if each.kind in _BY_NAME}
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    hint = "remove __init__, or let it take each field by its name and nothing else."
    wanted = [each for each in fields if each.parameter in named or not (each.has_default and each.type.keeps_default)]
    strange = [each.parameter for each in wanted if each.parameter not in named and not takes_all]
    if strange:
        raise Unreadable(f"the __init__ of '{kind.__name__}' does not take '{strange[0]}'", hint)
    known = {each.parameter for each in fields}
    asked = [name for name, each in named.items() if each.default is inspect.Parameter.empty and name not in known]
    if asked:
        raise Unreadable(f"the __init__ of '{kind.__name__}' needs '{asked[0]}', which is not a field", hint)
    positional = [name for name, each in named.items() if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_position = [each.parameter for each in wanted if not each.keyword]
    in_order = positional[: len(by_position)] == by_position
    return [each if in_order else attrs.evolve(each, keyword=True) for each in wanted]


_BY_NAME = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})


def _hints(kind: Any) -> dict[str, Any]:
    """Return the evaluated annotations of a class. Each is evaluated in the module that contains it.

    If a class is in a function or in another class, its annotations may name the class itself and the classes nested in
    it.
    """
    try:
        try:
            return get_type_hints(kind, include_extras=True)
        except NameError:
            nested = {name: each for name, each in vars(kind).items() if isinstance(each, type)}
            return get_type_hints(kind, localns={kind.__name__: kind, **nested}, include_extras=True)
    except NameError as error:
        raise Unreadable(
            f"an annotation of '{kind.__name__}' uses '{error.name}', but its module does not define it",
            f"define or import '{error.name}' at the top of '{kind.__module__}', not inside a function or under "
            "TYPE_CHECKING.",
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise Unreadable(
            f"an annotation of '{kind.__name__}' cannot be evaluated: {error}", "correct the annotation."
        ) from None


def annotations_of(kind: Any) -> Collection[str]:
    """Return the names that a class itself annotates."""
    if sys.version_info >= (3, 14):  # this evaluates the annotations, which may fail
        import annotationlib

        return annotationlib.get_annotations(kind, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(kind)


def _field_type(kind: Any, name: str, hints: Mapping[str, Any], arguments: Mapping[Any, Any]) -> FieldType:
    owner = next((each for each in kind.__mro__ if name in annotations_of(each)), kind)
    return read_annotation(hints.get(name, Any), arguments.get(owner, {}))


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_field_defaults")
