"""Reads the annotation of a field: one value or many, whether it may be None, its class, and its source."""

import collections.abc
import enum
import functools
import types
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin

import attrs

from loadplan.declared.sources import Aggregate, KeepDefault, Source
from loadplan.declared.spec import Load, On
from loadplan.mapped.mapping import mapper_of


class Container(enum.Enum):
    """The class that holds the items of a collection."""

    LIST = "list"
    TUPLE = "tuple"
    SET = "set"
    FROZENSET = "frozenset"
    DICT = "dict"


_CONTAINERS: Mapping[Any, Container] = {
    list: Container.LIST,
    tuple: Container.TUPLE,
    set: Container.SET,
    frozenset: Container.FROZENSET,
    dict: Container.DICT,
    collections.abc.Sequence: Container.LIST,
    collections.abc.MutableSequence: Container.LIST,
    collections.abc.Collection: Container.LIST,
    collections.abc.Iterable: Container.LIST,
    collections.abc.Set: Container.FROZENSET,
    collections.abc.MutableSet: Container.SET,
    collections.abc.Mapping: Container.DICT,
    collections.abc.MutableMapping: Container.DICT,
}

#: Values in ``Annotated[...]`` that say where the value of a field comes from.
_MARKERS = (Aggregate, KeepDefault, Source, Load)

#: Packages whose objects and classes are errors in ``Annotated[...]``, unless they are markers: SQLAlchemy and
#: loadplan.
_LIBRARIES = frozenset({"sqlalchemy", "loadplan"})

#: Packages whose objects in ``Annotated[...]`` hold other objects: ``AfterValidator(...)``, ``Meta(extra=...)``.
_DESCRIBING = frozenset({"pydantic", "annotated_types", "msgspec"})

#: The class of ``attrs.Factory(...)``. To type checkers it is a function.
_FACTORY: Any = attrs.Factory

#: Modules whose classes are values, not views.
_NO_VIEWS = frozenset({"builtins", "datetime", "decimal", "uuid", "typing"})


@attrs.frozen(eq=False)
class FieldType:
    """The parts of an annotation.

    Attributes:
        given: the annotation without ``Annotated`` and ``None``.
        optional: whether the annotation allows None.
        container: the class of the collection; None for one value.
        item: the annotation of each item of a collection, or of the one value.
        key: the annotation of the keys of a dictionary.
        markers: loadplan's markers in ``Annotated``, such as ``count(...)``.
        strays: objects in ``Annotated`` or in the parts of the annotation that look like a mistaken marker: an SQL
            expression, an attribute, a function that is not called. Also a default of the field that looks like one.
    """

    given: Any
    optional: bool
    container: Container | None
    item: Any
    key: Any = None
    markers: tuple[Any, ...] = ()
    strays: tuple[Any, ...] = ()

    @property
    def keeps_default(self) -> bool:
        """True if the field has no source and keeps its default."""
        return any(isinstance(each, KeepDefault) for each in self.markers)


@attrs.frozen(eq=False)
class Misplaced:
    """A source or a SQL expression that is in a field, but not in its annotation.

    Attributes:
        value: the source or the expression.
        annotation: the annotation of the field, without ``Annotated``.
        place: where the value is: ``"as its default"``, ``"in its metadata"``.
    """

    value: Any
    annotation: Any
    place: str


def is_marker(given: Any) -> bool:
    """Tell whether a value in ``Annotated[...]`` says where the value of a field comes from."""
    return isinstance(given, _MARKERS)


def with_given(kind: FieldType, **given: Any) -> FieldType:
    """Return the type of a field with the strays in other arguments of the field.

    Args:
        kind: the type that the annotation says.
        given: the arguments by their names: ``default``, ``factory``, ``metadata`` and others.
    """
    strays = tuple(
        Misplaced(each, kind.given, f"in its {name}" if name == "metadata" else f"as its {name}")
        for name, value in given.items()
        for each in _sources_in(value)
    )
    return attrs.evolve(kind, strays=(*kind.strays, *strays)) if strays else kind


def _sources_in(given: Any) -> Iterator[Any]:
    """Yield the sources and the objects of SQLAlchemy in an argument of a field, at any depth."""
    inner = list(_inside(given))
    if isinstance(given, _MARKERS) or (not inner and _is_stray(given)):
        yield given
    for each in inner:
        yield from _sources_in(each)


def read_annotation(annotation: Any, arguments: Mapping[Any, Any], metadata: tuple[Any, ...] = ()) -> FieldType:
    """Split an annotation into its parts.

    Args:
        annotation: the evaluated annotation, with its ``Annotated``.
        arguments: the types that replace the type variables of a generic class.
        metadata: metadata of the field that is not in the annotation.
    """
    given, markers = without_annotated(substitute(annotation, arguments))
    markers = (*metadata, *markers)
    optional = False
    members = union_members(given)
    if members:
        rest = tuple(each for each in members if not is_none(each))
        optional = len(rest) < len(members)
        given = rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007 - as many as there are
        if optional:
            given, more = without_annotated(given)
            markers = (*markers, *more)
    found = tuple(each for each in markers if isinstance(each, _MARKERS))
    strays = (*(stray for each in markers for stray in _strays_of(each, given)), *_strays_in_parts(given))
    origin, parts = get_origin(given) or given, get_args(given)
    container = _CONTAINERS.get(origin) if isinstance(origin, type) else None
    if container is Container.DICT:
        key, item = parts if len(parts) == 2 else (Any, Any)
        return FieldType(given, optional, container, item, key, found, strays)
    if container is Container.TUPLE:
        if len(parts) != 2 or parts[1] is not ...:  # tuple[int, str] is one value
            container = Container.TUPLE if not parts else None
            return FieldType(given, optional, container, Any if container else given, None, found, strays)
        return FieldType(given, optional, container, parts[0], None, found, strays)
    if container is not None:
        return FieldType(given, optional, container, parts[0] if parts else Any, None, found, strays)
    return FieldType(given, optional, None, given, None, found, strays)


def _strays_of(metadata: Any, annotation: Any) -> Iterator[Any]:
    """Yield an object in ``Annotated[...]`` if it is a stray. If it is a library's object, yield the strays in it."""
    if not _is_stray(metadata):
        return
    if _describes(metadata):
        place = f"in its {type(metadata).__name__}"
        yield from (Misplaced(each, annotation, place) for each in _sources_in(metadata))
        return
    yield metadata


def _describes(given: Any) -> bool:
    return not isinstance(given, type) and _library_of(type(given)) in _DESCRIBING


def _is_stray(metadata: Any) -> bool:
    """Tell whether an object in ``Annotated[...]`` comes from SQLAlchemy or loadplan, but has no meaning there."""
    if isinstance(metadata, _MARKERS):
        return False
    if isinstance(metadata, MethodType):
        return _is_stray(metadata.__self__)
    inner = list(_inside(metadata))
    if inner:
        return any(isinstance(each, _MARKERS) or _is_stray(each) for each in inner)
    kind = metadata if isinstance(metadata, type) else type(metadata)
    if isinstance(metadata, FunctionType):
        return _library_of(metadata) in _LIBRARIES
    if hasattr(kind, "__clause_element__") or any(_library_of(each) in _LIBRARIES for each in kind.__mro__):
        return True
    return isinstance(metadata, type) and mapper_of(metadata) is not None


def _inside(given: Any) -> Iterator[Any]:
    """Yield the objects in a container, or in an object by which a library describes a field: ``msgspec.Meta(...)``."""
    if isinstance(given, list | tuple | set | frozenset):
        yield from given
    elif isinstance(given, Mapping):
        yield from given
        yield from given.values()
    elif isinstance(given, functools.partial):
        yield given.func
        yield from given.args
        yield from given.keywords.values()
    elif isinstance(given, _FACTORY):
        yield given.factory
    elif _describes(given):
        kind = type(given)
        names: Any = getattr(kind, "__match_args__", None) or getattr(kind, "__dataclass_fields__", ())
        known = {*names, "extra", "extra_json_schema"}
        yield from (getattr(given, name) for name in sorted(known) if getattr(given, name, None) is not None)


def _library_of(given: Any) -> str:
    return str(getattr(given, "__module__", "")).partition(".")[0]


def _strays_in_parts(annotation: Any) -> Iterator[Any]:
    """Yield markers that have no meaning, because they are inside the members of a union or the items of a collection.

    The source of a field must annotate the whole field. Only ``on(...)`` annotates a member, which must be a view
    class.
    """
    if not union_members(annotation) and get_origin(annotation) not in _CONTAINERS:
        return
    for part in get_args(annotation):
        bare, metadata = without_annotated(part)
        for each in metadata:
            is_branch = isinstance(each, On) and getattr(bare, "__module__", None) not in _NO_VIEWS
            if not is_branch and (isinstance(each, _MARKERS) or _is_stray(each)):
                yield each
        yield from _strays_in_parts(bare)


def without_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the annotation inside ``Annotated``, ``Required`` and type aliases, and the metadata of ``Annotated``."""
    metadata: tuple[Any, ...] = ()
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *found = get_args(annotation)
            metadata = (*metadata, *found)
        elif origin in {Required, NotRequired}:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        elif _is_alias(annotation):  # ``type X = ...``, since Python 3.12
            annotation = annotation.__value__
        elif _is_alias(origin):  # ``type Many[T] = ...``, as Many[Tag]
            arguments = dict(zip(origin.__type_params__, get_args(annotation), strict=False))
            annotation = substitute(origin.__value__, arguments)
        else:
            return annotation, metadata


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"


def is_none(annotation: Any) -> bool:
    """Tell whether a member of a union is None."""
    return annotation is None or annotation is type(None)


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; an empty tuple for any other annotation."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return get_args(annotation)
    return ()


def members_with_branches(annotation: Any) -> Iterator[tuple[Any, On[Any] | None]]:
    """Yield the members of a union, or the only class, each with the ``on(...)`` of its ``Annotated``.

    None does not count as a member, because it stands for a missing row.
    """
    bare, metadata = without_annotated(annotation)
    members = [each for each in union_members(bare) if not is_none(each)]
    if members:
        for member in members:
            yield from members_with_branches(member)
        return
    yield bare, next((each for each in metadata if isinstance(each, On)), None)


def literal_values(annotation: Any) -> tuple[Any, ...]:
    """Return the values that a ``Literal[...]`` allows; an empty tuple for any other annotation."""
    bare, _ = without_annotated(annotation)
    return get_args(bare) if get_origin(bare) is Literal else ()


def substitute(annotation: Any, arguments: Mapping[Any, Any]) -> Any:
    """Return the annotation with its type variables replaced by their types."""
    if not arguments:
        return annotation
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, annotation)
    parts = get_args(annotation)
    if not parts or get_origin(annotation) is Literal:
        return annotation
    if get_origin(annotation) is Annotated:
        inner, *metadata = parts
        return Annotated[(substitute(inner, arguments), *metadata)]
    replaced = tuple(substitute(each, arguments) for each in parts)
    if replaced == parts:
        return annotation
    if union_members(annotation):
        return Union[replaced]  # noqa: UP007
    try:
        return annotation.copy_with(replaced)  # aliases of the typing module have this method
    except AttributeError:
        origin: Any = get_origin(annotation)
        return origin[replaced]


def annotation_source(annotation: Any) -> str:
    """Return an annotation as text for a message. The names of classes have no modules in front."""
    bare, _ = without_annotated(annotation)
    members = union_members(bare)
    if members:
        return " | ".join(map(annotation_source, members))
    parts = get_args(bare)
    origin = get_origin(bare)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    if parts:
        return f"{annotation_source(origin)}[{', '.join(map(annotation_source, parts))}]"
    if is_none(bare):
        return "None"
    return "..." if bare is ... else str(getattr(bare, "__name__", None) or bare)
