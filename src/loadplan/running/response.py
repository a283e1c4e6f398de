"""Makes pydantic's schemas for pages as response models. pydantic is imported only when it asks for a schema.

Litestar and msgspec can read attrs classes. pydantic can read neither attrs classes nor msgspec structs.
"""

import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs

from loadplan.view_classes.fields import class_name

_BUILDING: ContextVar[frozenset[Any]] = ContextVar("_BUILDING", default=frozenset())


@attrs.frozen
class _Attribute:
    """One field of a class.

    Attributes:
        name: the name of the attribute.
        shown: the name of the field in a response.
        argument: the name of the constructor's argument.
        annotation: the type of the field.
        default: the default of the field, or ``attrs.NOTHING``.
    """

    name: str
    shown: str
    argument: str
    annotation: Any
    default: Any


def response_schema(source: Any, handler: Any) -> Any:
    """Return pydantic's schema for the fields of an attrs class or a msgspec struct.

    In validation, an instance stays unchanged, and a mapping becomes an instance. Serialization gives a mapping.

    Args:
        source: the class, or a generic class with its arguments, such as ``Page[PostCard]``.
        handler: pydantic's function that makes the schema of any other type.
    """
    from pydantic_core import core_schema

    reference = _reference(source)
    if source in _BUILDING.get():  # a class that contains itself
        return core_schema.definition_reference_schema(reference)
    token = _BUILDING.set(_BUILDING.get() | {source})
    try:
        kind: Any = get_origin(source) or source
        fields, arguments = {}, {}
        for each in _attributes(source, kind):
            schema = handler.generate_schema(_known_to_pydantic(each.annotation))
            if _is_factory(each.default):
                schema = core_schema.with_default_schema(schema, default_factory=each.default.factory)
            elif each.default is not attrs.NOTHING:
                schema = core_schema.with_default_schema(schema, default=each.default)
            required = each.default is attrs.NOTHING
            fields[each.shown] = core_schema.typed_dict_field(schema, required=required)
            arguments[each.shown] = each.argument
        names = {each.shown: each.name for each in _attributes(source, kind)}

        def build(values: dict[str, Any]) -> Any:
            return kind(**{arguments[shown]: value for shown, value in values.items()})

        def show(value: Any) -> dict[str, Any]:
            return {shown: getattr(value, name) for shown, name in names.items()}

        title = class_name(source)
        config = core_schema.CoreConfig(title=title)
        mapping = core_schema.typed_dict_schema(fields, cls_name=title, config=config)
        built = core_schema.no_info_after_validator_function(build, mapping)
        return core_schema.json_or_python_schema(
            json_schema=built,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(kind), built]),
            serialization=core_schema.plain_serializer_function_ser_schema(show, return_schema=mapping),
            ref=reference,
        )
    finally:
        _BUILDING.reset(token)


def _attributes(source: Any, kind: Any) -> Iterator[_Attribute]:
    variables = dict(zip(getattr(kind, "__parameters__", ()), get_args(source), strict=False))
    hints = get_type_hints(kind, include_extras=True)
    for each in _plain(kind):
        yield attrs.evolve(each, annotation=_filled(hints[each.name], variables))


def _plain(kind: Any) -> Iterator[_Attribute]:
    if attrs.has(kind):
        for field in attrs.fields(kind):
            if field.init:
                yield _Attribute(field.name, field.name, field.alias or field.name, None, field.default)
        return
    msgspec = sys.modules["msgspec"]
    for each in msgspec.structs.fields(kind):
        default = attrs.NOTHING if each.default is msgspec.NODEFAULT else each.default
        if each.default_factory is not msgspec.NODEFAULT:
            default = attrs.Factory(each.default_factory)
        yield _Attribute(each.name, each.encode_name, each.name, None, default)


def _is_factory(default: Any) -> bool:
    return hasattr(default, "factory") and not getattr(default, "takes_self", False)


def _filled(annotation: Any, variables: dict[Any, Any]) -> Any:
    """Return an annotation in which the arguments of the class replace its type variables."""
    if annotation in variables:
        return variables[annotation]
    parameters = getattr(annotation, "__parameters__", ())
    return annotation[tuple(variables.get(each, Any) for each in parameters)] if parameters else annotation


def _known_to_pydantic(annotation: Any) -> Any:
    """Return an annotation in which a stand-in replaces each class that pydantic cannot read."""
    if _is_unknown(get_origin(annotation) or annotation):
        return _stand_in(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_known_to_pydantic(arguments[0]), *annotation.__metadata__)]
    known = tuple(map(_known_to_pydantic, arguments))
    if origin is None or known == arguments:
        return annotation
    return reduce(or_, known) if origin in (Union, UnionType) else origin[known]


def _is_unknown(kind: Any) -> bool:
    if not isinstance(kind, type) or hasattr(kind, "__get_pydantic_core_schema__"):
        return False
    msgspec = sys.modules.get("msgspec")
    return attrs.has(kind) or (msgspec is not None and issubclass(kind, msgspec.Struct))


@lru_cache(maxsize=512)
def _stand_in(source: Any) -> Any:
    """Return a stand-in class. pydantic asks it for its schema, and gets the schema of ``source``."""

    def schema(_cls: Any, _source: Any, handler: Any) -> Any:
        return response_schema(source, handler)

    return type(class_name(source), (), {"__get_pydantic_core_schema__": classmethod(schema)})


def _reference(source: Any) -> str:
    """Return a unique name for a class, in the form that pydantic uses for references to schemas."""
    kind: Any = get_origin(source) or source
    own = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}:{id(kind)}"
    arguments = get_args(source)
    return f"{own}[{','.join(map(_reference, arguments))}]" if arguments else own
