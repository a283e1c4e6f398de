"""The columns that are selected at each place: for the result, and for keys and identities."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Dialect

from loadplan.mapped import mapping
from loadplan.mapped.repeats import DISCRIMINATOR, is_of_row, key_part, other_keys, shares_keys
from loadplan.mapped.telling import teller
from loadplan.resolved.tree import Column, Place


class PlaceColumns:
    """The columns that a plan's statements select at each place. A column is added when something first needs it.

    Args:
        dialect: the dialect of the root's database.
        everywhere: whether keys of databases of several kinds are compared.

    Attributes:
        everywhere: the same.
        tellers: by key column whose values Python cannot compare, the column to compare instead.
    """

    def __init__(self, dialect: Dialect, *, everywhere: bool) -> None:
        self._dialect = dialect
        self.everywhere = everywhere
        self._extra: dict[Place, list[Column]] = {}
        self._rows_of_base: dict[Place, Place] = {}
        self.tellers: dict[Column, Column] = {}

    def at(self, place: Place) -> list[Column]:
        """Return all columns that are selected at a place."""
        return [*place.columns, *self._extra.get(place, ())]

    def of(self, places: Iterable[Place]) -> Mapping[Place, list[Column]]:
        """Return, by place, all columns that are selected there."""
        return {place: self.at(place) for place in places}

    def is_in_row_of(self, place: Place, owner: Place) -> None:
        """Note that a place of a subclass reads the rows of its base."""
        self._rows_of_base[place] = self.base(owner)

    def base(self, place: Place) -> Place:
        """Return the place whose rows a place reads: for a subclass in the same table, its base."""
        return self._rows_of_base.get(place, place)

    def expression(self, place: Place, name: str) -> Any:
        """Return an attribute of a place as an expression for its statement."""
        base = self._rows_of_base.get(place)
        if base is None:
            return key_part(place.entity, name)
        if is_of_row(name):
            return key_part(base.entity, name)
        columns = mapping.columns_in_row(place.mapper, base.mapper, frozenset({name}))
        assert columns is not None  # noqa: S101 - else the subclass would have rows of its own
        return columns[name]

    def attribute(self, place: Place, name: str) -> Column:
        """Return the column of a place for an attribute. Select it if it is not selected yet."""
        for each in self.at(place):
            if each.name == name and _is_attribute(each):
                return each
        expression = self.expression(place, name)
        if is_of_row(name):
            return self._further(place, name, expression)
        column = Column(name, expression, expression.type, is_attribute=True)
        self._extra.setdefault(place, []).append(column)
        return column

    def key(self, place: Place) -> list[Column]:
        """Return the primary key of a place."""
        return [self.attribute(place, name) for name in mapping.primary_key(place.mapper)]

    def identity(self, place: Place) -> tuple[Column, ...]:
        """Return the columns that identify the objects of a place. Select them if they are not selected yet."""
        found, mapper = self.key(place), place.mapper
        further: dict[str, Any] = {} if place.entity is not mapper.class_ else other_keys(mapper)
        if shares_keys(mapper):
            further = {DISCRIMINATOR: mapper.polymorphic_on, **further}
        found += (self._further(place, name, expression) for name, expression in further.items())
        return tuple(self.told(place, each) for each in found)

    def _further(self, place: Place, name: str, expression: Any) -> Column:
        """Return the column of a place for an expression that is not an attribute. Select it if needed."""
        for each in self.at(place):
            if each.expression is expression or (is_of_row(name) and each.name == name != DISCRIMINATOR):
                return each
        column = Column(name, expression, expression.type)
        self._extra.setdefault(place, []).append(column)
        return column

    def told(self, place: Place, column: Column) -> Column:
        """Return the column that Python compares instead of a key column, or the key column itself."""
        if column in self.tellers:
            return self.tellers[column]
        expression = teller(column.expression, self._dialect, everywhere=self.everywhere)
        if expression is not None:
            name = f"loadplan_{column.name}"
            self.tellers[column] = Column(name, expression.label(name), expression.type)
            self._extra.setdefault(place, []).append(self.tellers[column])
        return self.tellers.get(column, column)

    def tell_objects_apart(self, place: Place) -> None:
        """Select the columns that Python compares instead of the key of a place, if it cannot compare the key."""
        others = other_keys(place.mapper).values()
        held = [each for each in place.columns if any(each.expression is other for other in others)]
        for column in [*self.key(place), *held]:
            self.told(place, column)


def _is_attribute(column: Column) -> bool:
    named = hasattr(column.expression, "property") and column.name == getattr(column.expression, "key", None)
    return column.is_attribute or named
