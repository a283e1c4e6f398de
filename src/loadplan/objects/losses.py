"""Finds relationships that may hold only some of their rows: the plan leaves rows out, or a listener hid them."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.attributes import instance_state

from loadplan.mapped import mapping
from loadplan.resolved.tree import Shape
from loadplan.sqlalchemy_internals import Held, history_of


class Why(enum.Enum):
    """Why a relationship may hold only some of its rows."""

    SHAPE = "shape"
    CRITERIA = "criteria"


@attrs.frozen
class Part:
    """A relationship that may hold only some of its rows.

    Attributes:
        key: the name of the relationship.
        why: the plan leaves rows out, or the session may have hidden some.
        if_none: whether only the value None may be wrong. Every other value is then complete.
    """

    key: str
    why: Why
    if_none: bool = False


@attrs.frozen(cache_hash=True)
class Hidden:
    """The classes whose rows the session's listeners may have hidden from the statements of one fetch.

    Attributes:
        classes: the classes for which listeners added criteria: mapped classes, mixins and bases.
        everything: whether a listener changed a statement in another way, so that any row may be missing.
    """

    classes: frozenset[type[Any]] = frozenset()
    everything: bool = False

    def touches(self, mapper: Mapper[Any]) -> bool:
        """Tell whether rows of a class, or of a class of its inheritance, may be hidden."""
        return self.everything or any(
            issubclass(mapper.class_, each) or any(issubclass(sub.class_, each) for sub in mapper.self_and_descendants)
            for each in self.classes
        )


#: No listener has changed the statements.
NOTHING_HIDDEN = Hidden()

#: A listener may have hidden any row.
EVERYTHING_HIDDEN = Hidden(everything=True)


def part_of(prop: RelationshipProperty[Any], shape: Shape, hidden: Hidden, *, single: bool) -> Part | None:
    """Return a :class:`Part` if a relationship of a plan may lack rows; None if it has all rows that loadplan can see.

    Args:
        prop: the relationship.
        shape: the filters, order and limit that the plan gives the relationship.
        hidden: the rows that the session may have hidden.
        single: whether a constraint of the database ensures one row at most for an object.
    """
    if shape.partial:
        return Part(prop.key, Why.SHAPE, if_none=not prop.uselist and (single or is_reference(prop)))
    if hidden.touches(prop.mapper):
        return Part(prop.key, Why.CRITERIA, if_none=not prop.uselist)
    return None


# --- rows that a change would lose ------------------------------------------------------------------------------------


def is_lost_by_merge(held: Held, prop: RelationshipProperty[Any], part: Part | None) -> bool:
    """Tell whether a merge would overwrite rows that the object does not hold.

    Args:
        held: the object, which has a value for the relationship.
        prop: the relationship, which merge follows.
        part: the reason why the relationship may lack rows, or None.
    """
    if is_reference(prop):
        if not is_hidden(held, prop, part):
            return False
        return held[1][prop.key] is None or prop.cascade.delete_orphan
    return part is not None and (not part.if_none or was_none(held, prop))


def is_unseen(held: Held, prop: RelationshipProperty[Any], theirs: Iterable[object]) -> bool:
    """Tell whether a relationship has rows that were never loaded onto the object.

    Args:
        held: the object.
        prop: the relationship.
        theirs: the rows that a session finds there.
    """
    history = history_of(held, prop.key)
    seen = {_key(each) for part in (history.added, history.unchanged, history.deleted) for each in part or ()}
    keys = map(_key, theirs)
    return any(key is not None and key not in seen for key in keys)


def _key(entity: object) -> Any:
    return None if entity is None else instance_state(entity).key


def is_lost_by_delete(held: Held, prop: RelationshipProperty[Any], part: Part | None) -> bool:
    """Tell whether deleting the object would leave rows behind. The caller checks what the database does with them.

    Args:
        held: the object.
        prop: the relationship.
        part: the reason why the relationship may lack rows, or None.
    """
    if prop.viewonly or prop.key not in held[1]:
        return False
    if is_reference(prop):
        return prop.cascade.delete and is_hidden(held, prop, part)
    return part is not None and not prop.passive_deletes and (not part.if_none or was_none(held, prop))


def is_left_by_new_key(held: Held, prop: RelationshipProperty[Any]) -> bool:
    """Tell whether the object has a new key that the database does not copy into the rows of the relationship."""
    if prop.viewonly or is_reference(prop) or prop.passive_updates:
        return False
    names = (mapping.attribute_of(held[0].mapper, column) for column, _ in _pairs(prop))
    return any(history_of(held, name).deleted for name in names if name is not None)


def is_reference(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a relationship is a to-one whose foreign key is in the object's own row."""
    return prop.direction is RelationshipDirection.MANYTOONE and not prop.uselist


def is_hidden(held: Held, prop: RelationshipProperty[Any], part: Part | None = None) -> bool:
    """Tell whether a to-one came as None, although the object's foreign key is not NULL.

    It compares the values as they were loaded or last flushed, because your code may have set one of them since then.
    """
    if not was_none(held, prop):
        return False
    keys = [_loaded(held, name) for name in foreign_keys(held, prop)]
    known = [each for each in keys if each is not _UNKNOWN]
    if any(each is None for each in known):
        return False
    return part is not None if len(known) < len(keys) else bool(keys)


def was_none(held: Held, prop: RelationshipProperty[Any]) -> bool:
    """Tell whether a to-one was None when it was loaded or last flushed."""
    history = history_of(held, prop.key)
    return not history.deleted and all(each is None for each in history.unchanged or ())


def foreign_keys(held: Held, prop: RelationshipProperty[Any]) -> Sequence[str | None]:
    """Return the attributes of the foreign key of a to-one; None for a column that no attribute maps."""
    return [mapping.attribute_of(held[0].mapper, column) for _, column in _pairs(prop)]


def foreign_key(held: Held, prop: RelationshipProperty[Any]) -> Mapping[str, Any]:
    """Return the foreign key of a to-one, by attribute, as it was loaded."""
    names = [name for name in foreign_keys(held, prop) if name is not None]
    return {name: value for name in names if (value := _loaded(held, name)) is not _UNKNOWN}


_UNKNOWN = object()


def _loaded(held: Held, name: str | None) -> Any:
    """Return the value of a column as it was loaded or last flushed."""
    if name is None:
        return _UNKNOWN
    history = history_of(held, name)
    return next(iter(history.deleted or history.unchanged or ()), _UNKNOWN)


def _pairs(prop: RelationshipProperty[Any]) -> Sequence[tuple[Any, Any]]:
    """Return (referred column, referring column) for each value that a flush copies."""
    return prop.synchronize_pairs


# --- rows that the database takes care of -----------------------------------------------------------------------------


def is_guarded(prop: RelationshipProperty[Any]) -> bool:
    """Tell whether the database handles the rows of a relationship when the object is deleted.

    ``ON DELETE CASCADE`` does the same as a delete cascade, and ``SET NULL`` the same as SQLAlchemy without one. With
    ``RESTRICT`` or ``NO ACTION``, the database refuses to leave a row behind.
    """
    refuses = {"RESTRICT", "NO ACTION"}
    if prop.direction is RelationshipDirection.MANYTOMANY:
        fits = {"CASCADE", *refuses}
    else:
        fits = {"CASCADE", *refuses} if prop.cascade.delete else {"SET NULL", "SET DEFAULT", *refuses}
    pairs = _pairs(prop)
    return bool(pairs) and all(
        any(key.references(source.table) and (key.ondelete or "").upper() in fits for key in column.foreign_keys)
        for source, column in pairs
    )
