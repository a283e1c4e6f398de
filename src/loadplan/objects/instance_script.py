"""Writes the source that makes mapped instances from rows: one function for each statement, once for each plan.

Each function goes through the rows of its statement once. For each new row, it makes an instance: an object with its
``__dict__`` and its state. It also makes the objects that are joined to the row. The functions of later statements
add their objects to this instance.
"""

from collections.abc import Sequence
from typing import Any

from loadplan.objects.instances import Completion, Grown, list_maker
from loadplan.objects.losses import NOTHING_HIDDEN, Hidden
from loadplan.objects.row_script import RowWriter
from loadplan.objects.sites import Site
from loadplan.objects.writer import Blueprint, Scope, tuple_source
from loadplan.resolved.strategy import Way
from loadplan.resolved.tree import Column, Edge, Instance, Place, Recipe, instance_at
from loadplan.statements.statement import Statement


class InstanceWriter(RowWriter):
    """Writes the functions of one plan of entities.

    Args:
        blueprint: the blueprint of the plan.
        raw: whether rows come directly from the driver.
        hidden: the classes whose rows the session may have hidden.
    """

    def __init__(self, blueprint: Blueprint, *, raw: bool, hidden: Hidden = NOTHING_HIDDEN) -> None:
        super().__init__(blueprint, raw=raw, hidden=hidden)
        self._spread: list[tuple[Edge, str]] = []
        classes = {site.number: site.shared for site in self.sites}
        self._completion = Completion([site.mapper for site in self.sites], classes)

    def start(self, statements: int) -> Grown:
        """Return the containers that the functions of a run fill."""
        return self._completion.start(statements)

    def complete(self, grown: Grown, session: Any) -> None:
        """Fill the remaining collections, then fire the load events of the complete graph."""
        self._completion.complete(grown, session)

    def made(self, grown: Grown, session: Any) -> list[Any]:
        """Fill the remaining collections and return every instance once. Fire no events."""
        return self._completion.made(grown, session)

    # --- keys for the statements below ----------------------------------------------------------------------------

    def _guarded(self, statement: Statement, value: str, scope: Scope) -> str:
        """Return the source of a key. For a row without an object at the key's place, the source gives None."""
        edge = statement.edge
        found = None if edge is None else self._part_of.get(edge.owner)
        if found is None:
            return value
        site, number = found
        assert site.instance.discriminator is not None  # noqa: S101 - subclasses are told apart by one
        if site.instance.discriminator not in scope.names:  # the statement has only rows of this part
            return value
        has = self._given_as("has", site.kinds.has(number), key=(site.number, number))
        absent = "None" if len(statement.parents) == 1 else tuple_source(["None"] * len(statement.parents))
        return f"({value} if {has}({self._column(site.instance.discriminator, scope)}) else {absent})"

    # --- functions ------------------------------------------------------------------------------------------------

    def build(self, number: int, statement: Statement, recipe: Recipe) -> None:
        """Write the function that makes instances from the rows of a statement, and adds them to their owners."""
        names = {slot: f"c{at}" for at, slot in enumerate(statement.slots)}
        keys, _ = statement.key_names(names)
        scope = Scope(names, nested=False)
        edge = statement.edge
        instance = recipe if edge is None else instance_at(edge)
        assert isinstance(instance, Instance)  # noqa: S101 - of a plan of entities
        unpacked = statement.unpacked(names)
        self._spread = []
        start = len(self.lines)
        self._line(0, f"def build_{number}(rows, grown):")
        self._line(1, "at, all_of, owners, late = grown.at, grown.all, grown.owners, grown.late")
        head = len(self.lines)
        self._line(1, "roots = []" if edge is None else "groups = {}")
        self._line(1, "for row in rows:")
        self._line(2, f"{unpacked} = row")
        site = self._site_of[instance.place]
        self._line(2, f"if {self._is_row(site, scope)}:")
        made = self._instance(3, site, scope)
        if edge is None:
            self._line(3, f"roots.append({made})")
        else:
            self._group(edge, statement, keys, made)
        self._finish_spread()
        if edge is None:
            once = "list({id(root): root for root in roots}.values())"  # a root may come in several rows
            self._line(1, f"return roots if len(roots) == len(at_{site.number}) else {once}")
        else:
            self._tie(1, edge, f"owners[{number}]", "groups", by_id=bool(statement.identity))
        self.lines[head:head] = self._locals(start)

    def _locals(self, start: int) -> list[str]:
        """Return the lines that give names to the containers that a function uses."""
        text = "\n".join(self.lines[start:])
        shared = {site.shared for site in self.sites if site.shared is not None}
        lines = [f"    at_{site.number} = at[{site.number}]" for site in self.sites if f"at_{site.number}." in text]
        lines += [f"    all_{number} = all_of[{number}]" for number in sorted(shared) if f"all_{number}." in text]
        numbers = range(len(self._statements))
        lines += [f"    own_{number} = owners[{number}].append" for number in numbers if f"own_{number}(" in text]
        lines += [f"    {name} = {{}}" for _, name in self._spread]
        return lines

    def _group(self, edge: Edge, statement: Statement, keys: Sequence[str], made: str) -> None:
        """Write the code that keeps an instance for its owners."""
        self._line(3, f"key = {self._key_of(statement, keys)}")
        if edge.cardinality.to_one:
            self._line(3, "if key not in groups:")
            self._line(4, f"groups[key] = {made}")
            return
        self._line(3, "group = groups.get(key)")
        self._line(3, "if group is None:")
        if statement.identity:  # a row may come several times for one owner
            self._line(4, f"groups[key] = {{id({made}): {made}}}")
            self._line(3, "else:")
            self._line(4, f"group[id({made})] = {made}")
            return
        self._line(4, f"groups[key] = [{made}]")
        self._line(3, "else:")
        self._line(4, f"group.append({made})")

    def _tie(self, depth: int, edge: Edge, owners: str, groups: str, *, by_id: bool = False) -> None:
        """Write the code that gives each owner the instances that were found for its key.

        Args:
            depth: the depth of the code.
            edge: the relationship to set.
            owners: the source of the owners, each after its key.
            groups: the source of the instances, by the key of their owner.
            by_id: whether the instances of an owner are in a dictionary.
        """
        key = repr(edge.key)
        self._line(depth, f"for key, owner in {owners}:")
        self._line(depth + 1, "found = owner.__dict__")
        if edge.cardinality.to_one:
            self._line(depth + 1, f"if {key} not in found:")
            self._line(depth + 2, f"item = found[{key}] = {groups}.get(key)")
            if edge.back is not None:
                self._line(depth + 2, "if item is not None:")
                self._line(depth + 3, f"item.__dict__.setdefault({edge.back!r}, owner)")
            return
        self._line(depth + 1, f"items = {groups}.get(key, ())")
        if by_id:
            self._line(depth + 1, "if items:")
            self._line(depth + 2, "items = items.values()")
        self._collection(depth + 1, edge, "owner", "found", "items")

    def _collection(self, depth: int, edge: Edge, owner: str, found: str, items: str) -> None:
        """Write the code that sets a collection, unless it is set, and the back-references of its items."""
        key = repr(edge.key)
        maker = list_maker(edge.owner.mapper, edge.key)
        if maker is None:
            self._line(depth, f"if {key} not in {found}:")
            self._line(depth + 1, f"late.setdefault((id({owner}), {key}), ({owner}, {key}, list({items})))")
        else:
            make = self._given_as("collect", maker, key=(edge.key,))
            self._line(depth, f"if {key} not in {found}:")
            self._line(depth + 1, f"{found}[{key}] = {make}({self._state(edge.owner, owner, found)}, {items})")
        if edge.back is not None:
            self._line(depth, f"for item in {items}:")
            self._line(depth + 1, f"item.__dict__.setdefault({edge.back!r}, {owner})")

    # --- instances ------------------------------------------------------------------------------------------------

    def _instance(self, depth: int, site: Site, scope: Scope) -> str:
        """Write the code that makes or finds the instance of a row at a place. Return the name of its variable."""
        number = site.number
        made, found = f"o{number}", f"d{number}"
        key = self._key(depth, site, scope)
        self._line(depth, f"{made} = at_{number}.get({key})")
        self._line(depth, f"if {made} is None:")
        inner = depth + 1
        flags = [f"f{number}_{each}" for each in range(len(site.parts))]
        if site.instance.discriminator is not None and not site.by_class:
            self._kind(inner, site, scope, flags)
        if site.shared is None:
            self._make(inner, site, scope, key, flags)
        else:
            self._line(inner, f"{made} = all_{site.shared}.get({key})")
            self._line(inner, f"if {made} is None:")
            self._make(inner + 1, site, scope, key, flags)
            self._line(inner + 1, f"all_{site.shared}[{key}] = {made}")
            self._line(inner, "else:")
            self._meet_again(inner + 1, site, scope, flags)
        self._line(inner, f"at_{number}[{key}] = {made}")
        self._below(inner, site.instance.place, scope, made, found, flags)
        if site.instance.whole is not None:
            edge = site.instance.whole
            own, columns = self._whole(edge)
            onward = tuple_source([self._told(each, scope) for each in columns])
            self._line(inner, f"{own}(({onward}, {made}))")
        for flag, part in zip(flags, site.parts, strict=True):
            if self._has_below(part.place):
                self._line(inner, f"if {self._part_there(flag, part, scope)}:")
                self._below(inner + 1, part.place, scope, made, found, flags)
        self._each_row(depth, site.instance.place, scope, made, found)
        return made

    # --- relationships --------------------------------------------------------------------------------------------

    def _has_below(self, place: Place) -> bool:
        return any(edge.prop is not None for edge in place.edges)

    def _is_spread(self, edge: Edge) -> bool:
        return self._chosen[edge].way.joins and not edge.cardinality.to_one

    def _has_spread(self, edge: Edge) -> bool:
        """Tell whether a joined to-one has a joined collection below it. Its instance then comes in several rows."""
        return self._chosen[edge].way.joins and any(
            self._is_spread(each) or self._has_spread(each) for each in edge.target.edges if each.prop is not None
        )

    def _below(self, at: int, place: Place, scope: Scope, made: str, found: str, flags: Sequence[str]) -> None:
        """Write the code that sets the relationships of a new instance, or notes that later statements set them."""
        for edge in place.edges:
            if edge.prop is None or self._is_spread(edge) or self._has_spread(edge):
                continue
            depth = at
            if again := self._mapped_again(edge, flags):  # through the subclass of the row
                self._line(at, f"if not ({' or '.join(again)}):")
                depth = at + 1
            way = self._chosen[edge].way
            if way.own_statement:
                number = self._numbers[edge]
                key = tuple_source([self._told(each, scope) for each in self._statements[number].parents])
                self._line(depth, f"own_{number}(({key}, {made}))")
            elif way is Way.NESTED:
                self._nested(depth, edge, scope, made, found)
            elif way is Way.TREE:
                self._tree(depth, edge, scope, made)
            else:
                self._joined(depth, edge, scope, made, found, fresh=self._is_alone(place))

    def _mapped_again(self, edge: Edge, flags: Sequence[str]) -> list[str]:
        """Return the flags of subclasses that map the relationship of an edge themselves."""
        site = self._site_of.get(edge.owner) or self._part_of[edge.owner][0]
        return [
            flag
            for flag, part in zip(flags, site.parts, strict=True)
            if part.place.mapper is not edge.owner.mapper
            and part.place.mapper.isa(edge.owner.mapper)
            and any(each.key == edge.key and each.prop is not edge.prop for each in part.place.edges if each.prop)
        ]

    def _is_alone(self, place: Place) -> bool:
        """Tell whether only this place makes instances of its class. A new instance then has no attributes yet."""
        found = self._site_of.get(place)
        return found is not None and found.shared is None

    def _joined(self, depth: int, edge: Edge, scope: Scope, made: str, found: str, *, fresh: bool = False) -> None:
        key = repr(edge.key)
        site = self._site_of[edge.target]
        self._line(depth, f"if {self._is_row(site, scope)}:")
        item = self._instance(depth + 1, site, scope)
        self._line(depth + 1, f"{found}[{key}] = {item}" if fresh else f"{found}.setdefault({key}, {item})")
        if edge.back is not None:
            self._line(depth + 1, f"{item}.__dict__.setdefault({edge.back!r}, {made})")
        self._line(depth, "else:")
        self._line(depth + 1, f"{found}[{key}] = None" if fresh else f"{found}.setdefault({key}, None)")

    def _nested(self, depth: int, edge: Edge, scope: Scope, made: str, found: str) -> None:
        site = self._site_of[edge.target]
        inner, loop = self._loop(edge, scope)
        items = f"i{site.number}"
        self._line(depth, f"{items} = []")
        self._line(depth, f"{loop}:")
        item = self._instance(depth + 1, site, inner)
        self._line(depth + 1, f"{items}.append({item})")
        if not edge.cardinality.to_one:
            self._collection(depth, edge, made, found, items)
            return
        self._line(depth, f"{found}.setdefault({edge.key!r}, {items}[0] if {items} else None)")
        if edge.back is not None:
            self._line(depth, f"if {items}:")
            self._line(depth + 1, f"{items}[0].__dict__.setdefault({edge.back!r}, {made})")

    def _whole(self, edge: Edge) -> tuple[str, Sequence[Column]]:
        """Return what a row of a whole tree notes: the function that takes (key, instance), and the key's columns."""
        if self._chosen[edge].way is Way.TREE:
            return f"own_in_{self._site_of[edge.target].number}", self._trees[edge].onward
        number = self._numbers[edge]
        return f"own_{number}", self._statements[number].onward

    def _tree(self, depth: int, edge: Edge, scope: Scope, made: str) -> None:
        """Write the code that makes the instances of a whole tree, which is in one array, and ties them by keys."""
        site, keys = self._site_of[edge.target], self._trees[edge]
        owners, groups = f"tree_{site.number}", f"groups_{site.number}"
        key = tuple_source([self._told(each, scope) for each in keys.parents])
        self._line(depth, f"{owners} = [({key}, {made})]")
        self._line(depth, f"own_in_{site.number} = {owners}.append")
        self._line(depth, f"{groups} = {{}}")
        inner, loop = self._loop(edge, scope)
        self._line(depth, f"{loop}:")
        item = self._instance(depth + 1, site, inner)
        self._line(depth + 1, f"key = {tuple_source([self._told(each, inner) for each in keys.own])}")
        if edge.cardinality.to_one:
            self._line(depth + 1, f"{groups}.setdefault(key, {item})")
        else:
            self._line(depth + 1, f"if key in {groups}:")
            self._line(depth + 2, f"{groups}[key].append({item})")
            self._line(depth + 1, "else:")
            self._line(depth + 2, f"{groups}[key] = [{item}]")
        self._tie(depth, edge, owners, groups)

    def _each_row(self, depth: int, place: Place, scope: Scope, made: str, found: str) -> None:
        """Write the code for the items of joined collections. Each row of an instance may have another item."""
        for edge in place.edges:
            if edge.prop is None:
                continue
            if self._has_spread(edge) and not self._is_spread(edge):
                self._line(depth, f"{found} = {made}.__dict__")
                self._joined(depth, edge, scope, made, found)
            if not self._is_spread(edge):
                continue
            name = f"spread_{next(self._variables)}"
            self._spread.append((edge, name))
            site = self._site_of[edge.target]
            self._line(depth, f"if id({made}) not in {name}:")
            self._line(depth + 1, f"{name}[id({made})] = ({made}, {{}})")
            self._line(depth, f"if {self._is_row(site, scope)}:")
            item = self._instance(depth + 1, site, scope)
            self._line(depth + 1, f"{name}[id({made})][1][id({item})] = {item}")

    def _finish_spread(self) -> None:
        for edge, name in self._spread:
            self._line(1, f"for owner, held in {name}.values():")
            self._line(2, "found = owner.__dict__")
            self._line(2, "items = list(held.values())")
            self._collection(2, edge, "owner", "found", "items")
