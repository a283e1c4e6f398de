"""Writes the source that makes one instance from a row: its class, its key, its attributes and its state."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import ref

from loadplan.objects.instances import widened
from loadplan.objects.losses import NOTHING_HIDDEN, Hidden
from loadplan.objects.sites import Site, sites_of
from loadplan.objects.writer import Blueprint, Scope, Writer, tuple_source
from loadplan.resolved.strategy import Way
from loadplan.resolved.tree import Column, Edge, Instance, Part, Place
from loadplan.sqlalchemy_internals import BothKeys, UnfinishedState, install_state, state_script


class RowWriter(Writer, abc.ABC):
    """Writes the parts of a function that make one instance, without its relationships.

    Args:
        blueprint: the blueprint of the plan.
        raw: whether rows come directly from the driver.
        hidden: the classes whose rows the session may have hidden.
    """

    def __init__(self, blueprint: Blueprint, *, raw: bool, hidden: Hidden = NOTHING_HIDDEN) -> None:
        super().__init__(blueprint, raw=raw)
        assert isinstance(blueprint.recipe, Instance)  # noqa: S101 - a plan of entities makes instances
        self.sites = sites_of(blueprint.recipe, blueprint.label, hidden)
        self._site_of = {site.instance.place: site for site in self.sites}
        self._part_of = {part.place: (site, number) for site in self.sites for number, part in enumerate(site.parts)}
        self._any_partial = any(
            each.shape.partial or hidden.touches(each.prop.mapper)
            for site in self.sites
            for each in _edges(site)
            if each.prop is not None
        )
        self.values.update(State=UnfinishedState, ref=ref, both=BothKeys)
        self.values.update(widened=widened, install_state=install_state)

    def _state(self, place: Place, owner: str, found: str) -> str:
        site = self._site_of.get(place) or self._part_of[place][0]
        if site.plain:
            return f"{found}['_sa_instance_state']"
        return f"{owner}._sa_instance_state"

    def _is_row(self, site: Site, scope: Scope) -> str:
        """Return the condition that a place has a row: a left join without a row gives NULL in all of its columns."""
        columns = [self._name(site, name, scope) for name in site.key]
        columns += [scope.names[each] for each in site.instance.keys]
        if site.instance.keys:  # each class of a union has its own key, and NULL in the keys of the others
            return f"not ({' and '.join(f'{each} is None' for each in columns)})"
        if len(columns) == 1 or not site.partial_keys:
            return " and ".join(f"{each} is not None" for each in columns)
        return f"not ({' and '.join(f'{each} is None' for each in columns)})"

    def _name(self, site: Site, name: str, scope: Scope) -> str:
        return scope.names[self._column_named(site, name)]

    def _column_named(self, site: Site, name: str) -> Column:
        return next(each for each in self._columns_at(site.instance.place) if each.name == name)

    def _columns_at(self, place: Place) -> Sequence[Column]:
        return self._columns.get(place, ())

    def _kind(self, depth: int, site: Site, scope: Scope, flags: Sequence[str]) -> None:
        """Write the code that finds the class of a row."""
        assert site.instance.discriminator is not None  # noqa: S101 - the caller asked
        kinds = self._given_as("kinds", site.kinds, key=site.number)
        which = self._column(site.instance.discriminator, scope)
        targets = ", ".join(["new", "cls", "identity", "seal", "origin", *flags])
        self._line(depth, f"{targets} = {kinds}[{which}]")

    def _key(self, depth: int, site: Site, scope: Scope) -> str:
        """Write the code that reads the key of a row. Return the name of its variable.

        If several classes share the place's keys, the key starts with the class.
        """
        number = site.number
        values = [self._told(each, scope) for each in self._keys_at(site)]
        flags = [f"f{number}_{each}" for each in range(len(site.parts))]
        if not site.by_class:
            self._line(depth, f"p{number} = {tuple_source(values)}")
            return f"p{number}"
        if site.instance.discriminator is not None:
            self._kind(depth, site, scope, flags)
            identity = "identity"
        else:
            identity = self._given_as("identity", site.kinds.of(site.mapper)[2], key=("identity", site.number))
        if site.instance.keys:  # a subclass at another place has only its own key
            own = self._given_as("own_key", site.own_keys, key=("own_key", number))
            self._line(depth, f"p{number} = ({identity}, *{own}[cls](({identity}, {', '.join(values)})))")
        else:
            self._line(depth, f"p{number} = ({identity}, {', '.join(values)})")
        return f"p{number}"

    def _keys_at(self, site: Site) -> list[Column]:
        return [*(self._column_named(site, name) for name in site.key), *site.instance.keys]

    def _identity(self, site: Site, scope: Scope, key: str) -> str:
        """Return the source of the identity of a row.

        The identity holds the values of the key columns. The key may hold other values, which Python can compare.
        """
        columns = self._keys_at(site)
        if not (site.instance.keys or any(each in self._tellers for each in columns)):
            return key
        held = self._attributes(site.instance.place)
        values = [f"d{site.number}[{each.name!r}]" if each in held else self._column(each, scope) for each in columns]
        return f"({key}[0], {', '.join(values)})" if site.by_class else tuple_source(values)

    def _stored(self, site: Site, scope: Scope) -> str | None:
        """Return the source of the stored key of a row; None if Python can compare the key itself."""
        columns = [self._column_named(site, name) for name in site.key]
        if not (self._keeps_stored and any(each in self._tellers for each in columns)):
            return None
        return f"({', '.join(self._told(each, scope) for each in columns)},)"

    def _make(self, depth: int, site: Site, scope: Scope, key: str, flags: Sequence[str]) -> None:
        """Write the code that makes a new instance."""
        number = site.number
        made, found = f"o{number}", f"d{number}"
        names = ("new", "cls", "identity", "seal", "origin")
        if site.instance.discriminator is None:
            kind = site.kinds.of(site.mapper)
            given = {
                word: self._given_as(word, value, key=(word, number)) for word, value in zip(names, kind, strict=False)
            }
            for flag, has in zip(flags, kind[5:], strict=True):
                self._line(depth, f"{flag} = {has!r}")
        else:
            given = {word: word for word in names}
        self._line(depth, f"{made} = {given['new']}({given['cls']})")
        self._line(depth, f"{found} = {made}.__dict__")
        for column in self._attributes(site.instance.place):
            self._line(depth, f"{found}[{column.name!r}] = {self._column(column, scope)}")
        for flag, part in zip(flags, site.parts, strict=True):
            columns = self._attributes(part.place)
            if columns:
                self._line(depth, f"if {self._part_there(flag, part, scope)}:")
                for column in columns:
                    self._line(depth + 1, f"{found}[{column.name!r}] = {self._column(column, scope)}")
        key, stored = self._identity(site, scope, key), self._stored(site, scope)
        for text in state_script(made, found, given["origin"], key, plain=site.plain, stored=stored):
            self._line(depth, text)

    def _meet_again(self, depth: int, site: Site, scope: Scope, flags: Sequence[str]) -> None:
        """Write the code that adds the attributes of this place to an instance that another place made."""
        number = site.number
        made, found = f"o{number}", f"d{number}"
        if site.instance.discriminator is None:
            kind = site.kinds.of(site.mapper)
            seal = self._given_as("seal", kind[3], key=("seal", number))
            for flag, has in zip(flags, kind[5:], strict=True):
                self._line(depth, f"{flag} = {has!r}")
        else:
            seal = "seal"
        self._line(depth, f"{found} = {made}.__dict__")
        for column in self._attributes(site.instance.place):
            self._line(depth, f"if {column.name!r} not in {found}:")
            self._line(depth + 1, f"{found}[{column.name!r}] = {self._column(column, scope)}")
        for flag, part in zip(flags, site.parts, strict=True):
            columns = self._attributes(part.place)
            if columns:
                self._line(depth, f"if {self._part_there(flag, part, scope)}:")
                for column in columns:
                    self._line(depth + 1, f"if {column.name!r} not in {found}:")
                    self._line(depth + 2, f"{found}[{column.name!r}] = {self._column(column, scope)}")
        if self._any_partial:
            state = self._state(site.instance.place, made, found)
            self._line(depth, f"state = {state}")
            self._line(depth, f"state.callables = widened(state.callables, {seal})")

    def _attributes(self, place: Place) -> list[Any]:
        """Return the columns of a place whose values become attributes of the instance."""
        loadable = {prop.key for prop in place.mapper.column_attrs}
        return [each for each in self._columns_at(place) if each.name in loadable]

    def _part_there(self, flag: str, part: Part, scope: Scope) -> str:
        """Return the condition that a row has the columns of a subclass."""
        if self._chosen[part.edge].way is Way.SAME_ROW:
            return flag
        return f"{flag} and {scope.names[self._present[part.edge]]} is not None"


def _edges(site: Site) -> Iterator[Edge]:
    yield from site.instance.place.edges
    for part in site.parts:
        yield from part.place.edges
