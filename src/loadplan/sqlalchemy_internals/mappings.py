"""Mappers and relationships: what was declared, and notes that go with the mapping."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import (
    KeyFuncDict,
    Mapper,
    RelationshipProperty,
    registry,
)


def mapping_mark(mapper: Mapper[Any]) -> object:
    """Return an object that stays the same as long as no property joins a mapper, or a mapper below it.

    ``Mapper.attrs`` is public; that a new collection takes its place is not. Nothing public tells of a property that
    joins a configured class: ``after_configured`` and ``mapper_configured`` do not fire for it.
    """
    return mapper.attrs


def mappers_in(registered: registry) -> list[Mapper[Any]]:
    """Return the mappers of a registry.

    ``registry.mappers`` raises ``UnmappedClassError`` as long as a class is alive whose mapping failed: in a notebook,
    the traceback keeps it. ``DeferredReflection`` has classes like this until it prepares them. SQLAlchemy itself
    passes over these classes by ``ClassManager.is_mapped``, as here.
    """
    return [manager.mapper for manager in list(registered._managers) if manager.is_mapped]


def notes_of(mapper: Mapper[Any]) -> dict[Any, Any]:
    """Return a dictionary that lives as long as a class is mapped as it is.

    ``ClassManager.info`` is there for extensions, and not documented. A weak dictionary by mapper would not do: what is
    noted leads back to the class, so no entry would ever go.
    """
    notes: dict[Any, Any] = mapper.class_manager.info
    return notes


def waits_for_configuration(mapper: Mapper[Any]) -> bool:
    """Tell whether a class has been mapped since the mappers around one were configured; ``_new_mappers`` says so.

    ``registry.mappers`` would have to be walked for it, at each fetch.
    """
    return bool(getattr(mapper.registry, "_new_mappers", False))


def keyed_by(relationship: RelationshipProperty[Any]) -> tuple[str, ...] | None:
    """Return the attributes that the key of a dictionary collection is made of; None where only its function knows.

    ``attribute_keyed_dict`` and ``column_keyed_dict`` keep them in their ``keyfunc``, under private names. The key is
    asked for while the collection is filled, so those attributes must have been loaded.
    """
    collection_class: Any = relationship.collection_class
    if collection_class is None:
        return ()
    collection = collection_class()
    if not isinstance(collection, KeyFuncDict):
        return None if isinstance(collection, dict) else ()
    key_function: Any = collection.keyfunc
    if hasattr(key_function, "attr_name"):
        return (key_function.attr_name,)
    if hasattr(key_function, "_cols"):
        mapper = relationship.mapper
        return tuple(mapper.get_property_by_column(column).key for column in key_function._cols(mapper))
    return None


def is_told_to_overlap(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether ``overlaps=`` silences the warning that another relationship writes the same columns.

    SQLAlchemy keeps the argument in ``RelationshipProperty._overlaps``, and nowhere else.
    """
    return bool(relationship._overlaps)


def declared_arguments(relationship: RelationshipProperty[Any]) -> Iterator[Any]:
    """Yield what ``relationship(...)`` was called with and evaluates later: names, expressions in strings, lambdas.

    ``RelationshipProperty._init_args`` keeps them. The public attributes exist only once the mappers are configured,
    and trying that too early ruins the mappers for good.
    """
    yield relationship.argument
    for name, declared in relationship._init_args._asdict().items():
        if name != "back_populates" and declared.argument is not None:
            yield declared.argument
