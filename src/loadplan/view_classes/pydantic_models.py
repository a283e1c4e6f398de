"""Reads the fields of pydantic's models and dataclasses from these classes, without an import of pydantic."""

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from loadplan.view_classes.annotations import FieldType, read_annotation, with_given
from loadplan.view_classes.fields import (
    Field,
    SchemaField,
    Unreadable,
    ViewClass,
    class_name,
    is_subclass,
    reads_a_part,
)

#: Metadata that may convert a value of any type, also None, into the annotated type.
_CONVERTERS = frozenset({"BeforeValidator", "WrapValidator", "PlainValidator"})

#: Modes of a validator that gets the value before pydantic converts it.
_BEFORE = frozenset({"before", "wrap", "plain"})


def read_model(annotation: Any, kind: Any) -> ViewClass:
    """Return a pydantic model as a view class.

    Raises:
        Unreadable: the model is a RootModel, or you cannot set one of its fields by a name.
    """
    if is_subclass(kind, "pydantic", "RootModel"):
        raise Unreadable(
            f"'{kind.__name__}' is a RootModel, which has no fields",
            "use the type that the RootModel holds, or a BaseModel with that type as a field.",
        )
    if not hasattr(kind, "__pydantic_generic_metadata__"):
        raise Unreadable("'BaseModel' has no fields", "derive a class from BaseModel, with the fields that you read.")
    complete(kind)
    fields = tuple(_fields(kind, kind.model_fields, kind.model_config))
    return ViewClass(annotation, class_name(annotation), fields, kind.model_validate, by_mapping=True)


def read_dataclass(annotation: Any, kind: Any, plain: Iterable[Field]) -> ViewClass:
    """Return a dataclass of pydantic as a view class.

    Args:
        annotation: the class, or a generic class with its arguments.
        kind: the class without arguments.
        plain: the fields of the class, read with the standard library.
    """
    known = {each.name: each for each in _fields(kind, kind.__pydantic_fields__, kind.__pydantic_config__)}
    return ViewClass(annotation, class_name(annotation), tuple(known.get(each.name, each) for each in plain), kind)


def read_model_schema(kind: Any) -> Iterator[SchemaField]:
    """Yield the fields of a model or dataclass, with the attributes of an object that fill them."""
    is_model = is_subclass(kind, "pydantic", "BaseModel")
    if is_model:
        complete(kind)
    config = kind.model_config if is_model else kind.__pydantic_config__
    infos = kind.model_fields if is_model else kind.__pydantic_fields__
    for name, info in infos.items():
        paths = _alias_paths(info) if config.get("validate_by_alias", True) else []
        if not paths or _reads_by_name(config):
            paths.append((name,))
        yield SchemaField(name, tuple(paths), _type(info), not info.is_required())


def complete(kind: Any) -> None:
    """Make pydantic resolve the names in a model's annotations."""
    if not kind.__pydantic_complete__:
        kind.model_rebuild(raise_errors=False)
    if not kind.__pydantic_complete__:
        raise Unreadable(
            f"'{kind.__name__}' uses classes that are not defined yet",
            f"define them first, or call {kind.__name__}.model_rebuild() afterwards.",
        )


def _fields(kind: Any, infos: Any, config: Any) -> Iterator[Field]:
    decorators = kind.__pydantic_decorators__
    before = {
        name
        for each in decorators.field_validators.values()
        if each.info.mode in _BEFORE
        for name in (infos if "*" in each.info.fields else each.info.fields)
    }
    before |= {
        name
        for each in decorators.root_validators.values()
        for name in infos
        if getattr(each.info, "mode", None) in _BEFORE
    }
    if any(each.info.mode in {"before", "wrap"} for each in decorators.model_validators.values()):
        before = set(infos)
    for name, info in infos.items():
        field = _field(name, info, config)
        yield attrs.evolve(field, converts=field.converts or name in before)


def _field(name: str, info: Any, config: Any) -> Field:
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    if alias is not None and not isinstance(alias, str):
        choices = getattr(alias, "choices", ())
        alias = next((each for each in choices if isinstance(each, str)), name if _reads_by_name(config) else None)
        if alias is None:
            raise reads_a_part(name)
    strict = next((each.strict for each in info.metadata if type(each).__name__ == "Strict"), config.get("strict"))
    return Field(
        name=name,
        parameter=name if alias is None or config.get("validate_by_alias") is False else alias,
        type=_type(info),
        keyword=True,
        has_default=not info.is_required(),
        converts=any(type(each).__name__ in _CONVERTERS for each in info.metadata),
        lenient=not strict,
        aliases=tuple(_alias_paths(info)) if config.get("validate_by_alias", True) else (),
    )


def _type(info: Any) -> FieldType:
    return with_given(
        read_annotation(info.annotation, {}, tuple(info.metadata)),
        default=info.default,
        default_factory=info.default_factory,
        json_schema_extra=info.json_schema_extra,
        examples=info.examples,
    )


def _alias_paths(info: Any) -> list[tuple[str, ...]]:
    """Return the attributes from which pydantic reads a field, in the order of its attempts.

    In a path, the name of a collection is followed by an index or a key.
    """
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    paths: list[tuple[str, ...]] = []
    for each in getattr(alias, "choices", [alias]):
        parts = [each] if isinstance(each, str) else list(getattr(each, "path", ()))
        if parts:
            paths.append(tuple(map(str, parts)))
    return paths


def _reads_by_name(config: Any) -> bool:
    return bool(
        config.get("populate_by_name") or config.get("validate_by_name") or config.get("validate_by_alias") is False
    )
