"""Mappers and relationships: the arguments that were declared, and notes that live as long as the mapping."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import (
    KeyFuncDict,
    Mapper,
    RelationshipProperty,
    registry,
)


def mapping_mark(mapper: Mapper[Any]) -> object:
    """Return an object that stays the same until a property is added to a mapper or to a mapper of a subclass.

    ``Mapper.attrs`` is public. That SQLAlchemy replaces it when a property is added is not documented. There is no
    public event for this: ``after_configured`` and ``mapper_configured`` do not fire for a class that is configured
    already.
    """
    return mapper.attrs


def mappers_in(registered: registry) -> list[Mapper[Any]]:
    """Return the mappers of a registry.

    ``registry.mappers`` raises ``UnmappedClassError`` as long as a class is alive whose mapping failed: in a notebook,
    the traceback keeps it. A class of ``DeferredReflection`` has no mapper until it is prepared. This function leaves
    these classes out with ``ClassManager.is_mapped``, as SQLAlchemy itself does.
    """
    return [manager.mapper for manager in list(registered._managers) if manager.is_mapped]


def notes_of(mapper: Mapper[Any]) -> dict[Any, Any]:
    """Return a dictionary that lives as long as the present mapping of a class.

    ``ClassManager.info`` is there for extensions, and not documented. A dictionary with weak references to mappers
    would never lose an entry, because the notes refer to the class.
    """
    notes: dict[Any, Any] = mapper.class_manager.info
    return notes


def waits_for_configuration(mapper: Mapper[Any]) -> bool:
    """Tell whether a class has been mapped since the mappers around a mapper were configured.

    ``registry._new_mappers`` tells this. Without it, each fetch would have to look at all of ``registry.mappers``.
    """
    return bool(getattr(mapper.registry, "_new_mappers", False))


def keyed_by(relationship: RelationshipProperty[Any]) -> tuple[str, ...] | None:
    """Return the attributes that make the key of a dictionary collection; None if a function makes the key.

    ``attribute_keyed_dict`` and ``column_keyed_dict`` keep them in their ``keyfunc``, under private names. SQLAlchemy
    computes the key while it fills the collection, so these attributes must be loaded before.
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
    """Yield the arguments of ``relationship(...)`` that SQLAlchemy evaluates later: names, expressions, lambdas.

    ``RelationshipProperty._init_args`` keeps them. The public attributes exist only when the mappers are configured. If
    they are configured too early, they can never be used again.
    """
    yield relationship.argument
    for name, declared in relationship._init_args._asdict().items():
        if name != "back_populates" and declared.argument is not None:
            yield declared.argument
