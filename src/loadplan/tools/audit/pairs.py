"""Finds relationships that need ``back_populates``, and relationships that write the same column."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, TypeAlias

from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty

from loadplan.sqlalchemy_internals import is_told_to_overlap
from loadplan.tools.audit.findings import Finding, Severity

Prop: TypeAlias = RelationshipProperty[Any]


def pair_findings(mappers: Iterable[Mapper[Any]]) -> Iterator[Finding]:
    """Yield a finding for every two relationships over the same keys that ``back_populates`` does not connect."""
    props = [prop for mapper in mappers for prop in mapper.relationships if prop.parent is mapper]
    for one, other in combinations(sorted(props, key=_name), 2):
        if _are_two_sides(one, other):
            yield from _sides(one, other)
        elif _write_the_same(one, other):
            yield _same_columns(one, other)


def _sides(one: Prop, other: Prop) -> Iterator[Finding]:
    named = [prop for prop, far in ((one, other), (other, one)) if prop.back_populates == far.key]
    if len(named) == 2 or one.viewonly or other.viewonly:
        return
    for prop, far in ((one, other), (other, one)):
        if prop.back_populates not in {None, far.key}:  # it is paired with another relationship over the same keys
            return
    if named:
        far = other if named[0] is one else one
        yield Finding(
            Severity.COST,
            "pair",
            f"{_name(far)}, the other side of {_name(named[0])}",
            "back_populates= on one side alone",
            "a change on the side without it does not appear on the other side until you load the other side again.",
            "write back_populates= on both sides.",
        )
    else:
        silenced = (
            "; overlaps= silences SQLAlchemy's warning" if is_told_to_overlap(one) or is_told_to_overlap(other) else ""
        )
        yield Finding(
            Severity.RISK,
            "pair",
            f"{_name(one)} and {_name(other)}",
            "two sides of one relationship, without back_populates=",
            "a change on one side does not appear on the other. Both sides write the same columns: if you change both "
            f"in different ways, the later change wins{silenced}.",
            "write back_populates= on both sides, or viewonly=True on the one that no code changes.",
        )


def _same_columns(one: Prop, other: Prop) -> Finding:
    silenced = is_told_to_overlap(one) or is_told_to_overlap(other)
    return Finding(
        Severity.NOTE if silenced else Severity.RISK,
        "pair",
        f"{_name(one)} and {_name(other)}",
        "two relationships that write the same columns" + (", with overlaps=" if silenced else ""),
        "if you change both in different ways, the later change wins.",
        "nothing, if you want that." if silenced else "write viewonly=True on the one that no code changes.",
    )


def _are_two_sides(one: Prop, other: Prop) -> bool:
    """Tell whether each relationship leads to the class of the other one, over the same keys."""
    if not (one.mapper.isa(other.parent) or other.parent.isa(one.mapper)):
        return False
    if not (other.mapper.isa(one.parent) or one.parent.isa(other.mapper)):
        return False
    if one.secondary is not None or other.secondary is not None:
        return one.secondary is other.secondary and _pairs(one) == _pairs(other) and _near(one) != _near(other)
    ends = {one.direction, other.direction}
    return ends == {RelationshipDirection.MANYTOONE, RelationshipDirection.ONETOMANY} and _pairs(one) == {
        (remote, local) for local, remote in _pairs(other)
    }


def _write_the_same(one: Prop, other: Prop) -> bool:
    """Tell whether two relationships of one direction between the same classes copy the same columns."""
    same_ends = one.parent is other.parent and one.mapper is other.mapper and one.direction is other.direction
    same_keys = one.secondary is other.secondary and _pairs(one) == _pairs(other) and _near(one) == _near(other)
    return same_ends and same_keys and not one.viewonly and not other.viewonly


def _near(prop: Prop) -> set[Any]:
    """Return the columns of an association table that hold the parent's key."""
    return {remote for _, remote in prop.synchronize_pairs} if prop.secondary is not None else set()


def _pairs(prop: Prop) -> set[tuple[Any, Any]]:
    """Return the pairs (local column, remote column) between which a flush of the relationship copies values."""
    if prop.secondary is not None:
        return {*prop.synchronize_pairs, *(prop.secondary_synchronize_pairs or ())}
    return set(prop.local_remote_pairs or ())


def _name(prop: Prop) -> str:
    return f"{prop.parent.class_.__name__}.{prop.key}"
