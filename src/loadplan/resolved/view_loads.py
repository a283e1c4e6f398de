"""The loads of a plan with ``into=``, and the position of a field. Resolving passes these from place to place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.orm import Mapper

from loadplan.declared.spec import Load, On, Plan
from loadplan.mapped.mapping import owner_of
from loadplan.resolved.form import is_reference, spelled_out
from loadplan.resolved.meant_paths import Written
from loadplan.resolved.parts import key_of
from loadplan.resolved.tree import Edge
from loadplan.view_classes.annotations import FieldType, literal_values
from loadplan.view_classes.fields import Field

At = tuple[str, ...]


class Loads:
    """The loads and branches next to a view class in a plan. This class notes which of them a field has used.

    Args:
        given: loads, branches, and nested plans, whose loads count, too.
        read: the loads in ``given`` that fields at another place use.
    """

    def __init__(self, given: Iterable[Any], read: Iterable[Any] = ()) -> None:
        self.loads: list[Load[Any]] = []
        self.branches: list[On[Any]] = []
        self.plans: list[Plan[Any]] = []
        self._used = {id(each) for each in read}
        waiting = list(given)
        for item in waiting:  # the loads of nested plans are added later
            if isinstance(item, Plan):
                self.plans.append(item)
                waiting.extend(item.loads)
            elif isinstance(item, On):
                self.branches.append(item)
            elif isinstance(item, Load) and is_reference(item):
                self.loads.append(spelled_out(item))

    def of(self, key: str, items: Sequence[Any], *, shared: bool) -> list[Load[Any]]:
        """Return the loads of a relationship that a field reads.

        Args:
            key: the name of the relationship.
            items: the classes that the field holds.
            shared: whether several fields read the relationship. ``into=`` then shows which field a load is for.
        """
        named = [each for each in self.loads if key_of(each) == key and (each.into is None or each.into in items)]
        if shared and any(each.into is not None for each in named):
            named = [each for each in named if each.into is not None]
        self._used |= {id(each) for each in named}
        return named

    def branch_of(self, member: Any) -> On[Any] | None:
        """Return the branch whose rows become objects of a view class."""
        for branch in self.branches:
            if branch.into is not None and branch.into == member:
                self._used.add(id(branch))
                return branch
        return None

    def branch_for(self, entity: type[Any]) -> list[Any]:
        """Return the loads that branches have for a subclass."""
        found = [branch for branch in self.branches if branch.entity is entity]
        self._used |= {id(branch) for branch in found}
        return [item for branch in found for item in branch.loads]

    def unread(self) -> Iterator[Load[Any] | On[Any]]:
        """Yield the loads and branches that no field has used."""
        given: list[Load[Any] | On[Any]] = [*self.loads, *self.branches]
        yield from (each for each in given if id(each) not in self._used)


@attrs.frozen(eq=False)
class Trail:
    """The way to a place: the view classes that contain it, and the trees that it is a level of.

    Attributes:
        containers: (view class, mapper) of every object that contains the place.
        trees: the containers that are levels of a tree.
        whole: by relationship with ``depth="all"``, its edge.
        levels: by relationship with more levels below, its loads with the remaining depth.
        ends: by relationship that ends at the place, its depth.
    """

    containers: tuple[tuple[Any, Mapper[Any]], ...] = ()
    trees: tuple[tuple[Any, Mapper[Any]], ...] = ()
    whole: Mapping[str, Edge] = attrs.field(factory=dict)
    levels: Mapping[str, Load[Any]] = attrs.field(factory=dict)
    ends: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Spot:
    """A field and its position.

    Attributes:
        field: the field, or an item of it.
        name: the name of the field for messages.
        at: the place of the view in the plan.
        written: the source of the whole field, for hints.
    """

    field: Field
    name: str
    at: At
    written: Written

    @property
    def type(self) -> FieldType:
        """The annotation of the field."""
        return self.field.type

    def key(self, mapper: Mapper[Any]) -> str:
        """Return the attribute that the field reads without a source: an alias of the field, or its own name."""
        return self.path(mapper)[0]

    def path(self, mapper: Mapper[Any]) -> tuple[str, ...]:
        """Return the path of that attribute, which may lead on into its value."""
        known = mapper.all_orm_descriptors
        return next((each for each in self.field.aliases if each[0] in known), (self.field.name,))

    @property
    def needs_value(self) -> bool:
        """True if the field must not be None."""
        free = self.type.given is Any or self.type.given is object or self.field.converts
        return not (self.type.optional or free or None in literal_values(self.type.given))

    def of(self, given: FieldType) -> "Spot":
        """Return the spot for an item of this field."""
        return attrs.evolve(self, field=attrs.evolve(self.field, type=given))


def belongs(step: Any, mapper: Mapper[Any]) -> bool:
    """Tell whether an attribute belongs to a class or to one of its base classes."""
    if isinstance(step, str):
        return True
    owner = owner_of(step)
    return owner is not None and mapper.isa(owner)
