"""View classes: which fields a class of attrs, dataclasses, pydantic, msgspec or a NamedTuple has, and how it is built.

None of those libraries but attrs is imported here: a class of theirs cannot be met unless its library is loaded.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import attrs

from loadplan.views.annotations import FieldType, read_annotation


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
        converts: whether the class makes a value of the annotated type from another one.
    """

    name: str
    parameter: str
    type: FieldType
    keyword: bool = False
    has_default: bool = False
    converts: bool = False


@attrs.frozen(eq=False)
class ViewClass:
    """A class to build.

    Attributes:
        given: the class, or a generic one with its arguments.
        name: to print.
        fields: in the order that the constructor takes them by position.
        build: the constructor; it takes one dictionary where ``by_mapping`` says so.
        by_mapping: whether ``build`` takes a dictionary of parameters.
        lenient: whether the class turns values of other types into the annotated ones, as pydantic does.
    """

    given: Any
    name: str
    fields: tuple[Field, ...]
    build: Callable[..., Any]
    by_mapping: bool = False
    lenient: bool = False


def is_view_class(annotation: Any) -> bool:
    """Tell whether an annotation is a class that a view can be made of."""
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and (
        attrs.has(kind)
        or dataclasses.is_dataclass(kind)
        or _is_subclass(kind, "pydantic", "BaseModel")
        or _is_subclass(kind, "msgspec", "Struct")
        or _is_named_tuple(kind)
    )


def read_class(annotation: Any) -> ViewClass:
    """Return the fields of a view class.

    Args:
        annotation: the class, or a generic one with its arguments, as ``Page[PostCard]``.

    Raises:
        Unreadable: it is no such class, or one that rows cannot fill.
    """
    kind: Any = get_origin(annotation) or annotation
    build: Any = kind
    if not is_view_class(annotation):
        raise Unreadable(
            f"{_name(annotation)} is no class that can be filled from rows",
            "use a class of attrs, dataclasses, pydantic or msgspec, or a NamedTuple.",
        )
    if _is_subclass(kind, "pydantic", "BaseModel"):
        return _read_pydantic(annotation, kind)
    arguments = type_arguments(annotation)
    if _is_subclass(kind, "msgspec", "Struct"):
        fields = _msgspec_fields(kind, arguments)
    elif attrs.has(kind):
        fields = _attrs_fields(kind, arguments)
    elif dataclasses.is_dataclass(kind):
        if hasattr(kind, "__pydantic_fields__"):
            return _read_pydantic_dataclass(annotation, kind, arguments)
        fields = _dataclass_fields(kind, arguments)
    else:
        fields = _named_tuple_fields(kind, arguments)
    return ViewClass(annotation, _name(annotation), tuple(fields), build)


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


def read_schema(annotation: Any) -> list[SchemaField]:
    """Return the fields of a model as it reads them from attributes: pydantic by aliases, all others by name.

    Raises:
        Unreadable: it is no class with fields.
    """
    kind: Any = get_origin(annotation) or annotation
    if not _is_subclass(kind, "pydantic", "BaseModel") or _is_subclass(kind, "pydantic", "RootModel"):
        fields = read_class(annotation).fields
        return [SchemaField(each.name, ((each.name,),), each.type, each.has_default) for each in fields]
    _complete(kind)
    found = []
    for name, info in kind.model_fields.items():
        by_name = _reads_by_name(kind)
        paths = _alias_paths(info) if kind.model_config.get("validate_by_alias", True) else []
        if not paths or by_name:
            paths.append((name,))
        kind_of_field = read_annotation(info.annotation, {}, tuple(info.metadata))
        found.append(SchemaField(name, tuple(paths), kind_of_field, not info.is_required()))
    return found


def _alias_paths(info: Any) -> list[tuple[str, ...]]:
    """Return the attributes that pydantic reads a field from, in the order that it tries them."""
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    paths: list[tuple[str, ...]] = []
    for each in getattr(alias, "choices", [alias]):
        parts = [each] if isinstance(each, str) else list(getattr(each, "path", ()))
        names = list(itertools.takewhile(lambda part: isinstance(part, str), parts))
        if names:
            paths.append(tuple(names))
    return paths


def _reads_by_name(kind: Any) -> bool:
    config = kind.model_config
    return bool(config.get("populate_by_name") or config.get("validate_by_name"))


def type_arguments(annotation: Any) -> dict[Any, dict[Any, Any]]:
    """Return, for each class that an annotation's class is made of, what stands for its type variables."""
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


# --- one function a library -----------------------------------------------------------------------------------------


def _attrs_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    by_name_alone = "__attrs_init__" in vars(kind)
    for each in attrs.fields(kind):
        if each.init:
            yield Field(
                name=each.name,
                parameter=each.alias or each.name,
                type=_field_type(kind, each.name, hints, arguments),
                keyword=bool(each.kw_only) or by_name_alone,
                has_default=each.default is not attrs.NOTHING,
                converts=each.converter is not None,
            )


def _dataclass_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    if not kind.__dataclass_params__.init:
        raise Unreadable(f"'{kind.__name__}' is a dataclass with init=False", "let the dataclass make its __init__.")
    given_late = [name for name, hint in hints.items() if isinstance(hint, dataclasses.InitVar)]
    if given_late:
        raise Unreadable(
            f"'{kind.__name__}' has an InitVar, '{given_late[0]}'",
            "make it a field, or compute what it is for in __post_init__.",
        )
    for each in dataclasses.fields(kind):
        if each.init:
            yield Field(
                name=each.name,
                parameter=each.name,
                type=_field_type(kind, each.name, hints, arguments),
                keyword=bool(each.kw_only),
                has_default=_has_default(each),
            )


def _named_tuple_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    for name in kind._fields:
        hint = _field_type(kind, name, hints, arguments)
        yield Field(name=name, parameter=name, type=hint, has_default=name in kind._field_defaults)


def _msgspec_fields(kind: Any, arguments: Mapping[Any, Any]) -> Iterator[Field]:
    hints = _hints(kind)
    for each in sys.modules["msgspec"].structs.fields(kind):
        hint = _field_type(kind, each.name, hints, arguments)
        yield Field(name=each.name, parameter=each.name, type=hint, keyword=True, has_default=not each.required)


def _read_pydantic(annotation: Any, kind: Any) -> ViewClass:
    if _is_subclass(kind, "pydantic", "RootModel"):
        raise Unreadable(
            f"'{kind.__name__}' is a RootModel, which has one value and no fields to read columns into",
            "annotate the field with what the RootModel holds, or use a BaseModel with that as a field.",
        )
    _complete(kind)
    by_name = kind.model_config.get("validate_by_alias") is False
    fields = [_pydantic_field(name, info, by_name=by_name) for name, info in kind.model_fields.items()]
    return ViewClass(annotation, _name(annotation), tuple(fields), kind.model_validate, by_mapping=True, lenient=True)


def _complete(kind: Any) -> None:
    """Have pydantic resolve the names in a model's annotations."""
    if not kind.__pydantic_complete__:
        kind.model_rebuild(raise_errors=False)
    if not kind.__pydantic_complete__:
        raise Unreadable(
            f"'{kind.__name__}' names classes that are not defined yet",
            f"define them first, or call {kind.__name__}.model_rebuild() once they are.",
        )


def _read_pydantic_dataclass(annotation: Any, kind: Any, arguments: Mapping[Any, Any]) -> ViewClass:
    infos = kind.__pydantic_fields__
    fields = [
        dataclasses_field
        if (info := infos.get(dataclasses_field.name)) is None
        else attrs.evolve(_pydantic_field(dataclasses_field.name, info, by_name=False), keyword=True)
        for dataclasses_field in _dataclass_fields(kind, arguments)
    ]
    return ViewClass(annotation, _name(annotation), tuple(fields), kind, lenient=True)


def _pydantic_field(name: str, info: Any, *, by_name: bool) -> Field:
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    if alias is not None and not isinstance(alias, str):
        choices = getattr(alias, "choices", ())
        alias = next((each for each in choices if isinstance(each, str)), None)
        if alias is None and not by_name:
            raise Unreadable(
                f"the field '{name}' is filled by an AliasPath, which reads inside of another value",
                "give it a validation_alias that is a name.",
            )
    return Field(
        name=name,
        parameter=name if alias is None or by_name else alias,
        type=read_annotation(info.annotation, {}, tuple(info.metadata)),
        keyword=True,
        has_default=not info.is_required(),
        converts=any(type(each).__name__ in _PYDANTIC_CONVERTERS for each in info.metadata),
    )


#: Annotations that may turn a value of any type, None among them, into the annotated one.
_PYDANTIC_CONVERTERS = frozenset({"BeforeValidator", "WrapValidator", "PlainValidator"})


# --- what they share ------------------------------------------------------------------------------------------------


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)
    except NameError as error:
        raise Unreadable(
            f"an annotation of '{kind.__name__}' names '{error.name}', which is not defined where the class is",
            "define it in the same module, before the plan.",
        ) from None
    except (TypeError, SyntaxError) as error:
        raise Unreadable(
            f"an annotation of '{kind.__name__}' cannot be evaluated: {error}", "write it as Python evaluates it."
        ) from None


def _field_type(kind: Any, name: str, hints: Mapping[str, Any], arguments: Mapping[Any, Any]) -> FieldType:
    owner = next((each for each in kind.__mro__ if name in vars(each).get("__annotations__", {})), kind)
    return read_annotation(hints.get(name, Any), arguments.get(owner, {}))


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_field_defaults")


def _is_subclass(kind: Any, library: str, name: str) -> bool:
    """Tell whether a class is of a library that may not be installed; then none of its classes can be met."""
    module = sys.modules.get(library)
    base = None if module is None else getattr(module, name, None)
    return base is not None and isinstance(kind, type) and issubclass(kind, base)


def _name(annotation: Any) -> str:
    parts = get_args(annotation)
    kind = get_origin(annotation) or annotation
    name = str(getattr(kind, "__name__", kind))
    return f"{name}[{', '.join(map(_name, parts))}]" if parts else name
