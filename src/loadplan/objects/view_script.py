"""Writes the source that builds views from rows: one function for each statement, once for each plan."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from loadplan.objects.writer import Scope, Writer, tuple_source
from loadplan.resolved.strategy import Way
from loadplan.resolved.tree import (
    Choose,
    Compose,
    Computed,
    Edge,
    Instance,
    Make,
    Many,
    One,
    Read,
    Recipe,
    Total,
)
from loadplan.statements.statement import Statement
from loadplan.view_classes.annotations import Container

#: Code that makes a container from an iterable of its items.
_CONTAINERS: Mapping[Container, Any] = {
    Container.TUPLE: tuple,
    Container.SET: set,
    Container.FROZENSET: frozenset,
    Container.DICT: dict,
}


class ViewWriter(Writer):
    """Writes the functions of one plan of views."""

    def start(self, statements: int) -> Any:
        """Return a dictionary for the objects of each statement, by the number of the statement."""
        return {}

    def complete(self, grown: Any, session: Any) -> None:
        """Do nothing: a view is complete when it is made."""

    def made(self, grown: Any, session: Any) -> list[Any]:
        """Return nothing: a view is not an instance of a mapped class."""
        return []

    def build(self, number: int, statement: Statement, recipe: Recipe) -> None:
        """Write the function that builds the objects for the rows of a statement."""
        names = {slot: f"c{at}" for at, slot in enumerate(statement.slots)}
        keys, _ = statement.key_names(names)
        unpacked = statement.unpacked(names)
        scope = Scope(names, nested=False)
        edge = statement.edge
        self._used = set()
        if edge is None:
            item = self._value(recipe, scope)
        elif edge.aggregation is not None:
            item = self._processed(names[edge], edge.aggregation.type, scope)
        else:
            item = self._outputs(edge, scope)
        whole = edge is not None and edge.shape.depth == "all"
        self._line(0, f"def build_{number}(rows, found):")
        for used in sorted(self._used - {number}):
            self._line(1, f"found_{used} = found[{used}]")
        if whole:
            self._tree(number, statement, unpacked, item, scope)
            return
        self._line(1, "row = None")
        self._line(1, f"built = {'[]' if edge is None else '{}'}")
        if edge is None:
            self._line(1, "add = built.append")
        if statement.identity:
            self._line(1, "seen = set()")
        self._line(1, "try:")
        self._line(2, "for row in rows:")
        self._line(3, f"{unpacked} = row")
        if edge is None:
            if statement.identity:  # a root may come in several rows
                self._once([], statement, scope)
            self._line(3, f"add({item})")
        else:
            self._group(edge, statement, keys, item, scope)
        self._failing(number)
        self._line(1, "return built")

    def _group(self, edge: Edge, statement: Statement, keys: Sequence[str], item: str, scope: Scope) -> None:
        """Write the code that puts an item under the key of its parent."""
        self._line(3, f"key = {self._key_of(statement, keys)}")
        if edge.aggregation is not None:
            self._line(3, f"built[key] = {item}")
            return
        if edge.cardinality.to_one:
            self._line(3, "if key not in built:")
            self._line(4, f"built[key] = {item}")
            return
        if statement.identity:
            self._once(["key"], statement, scope)
        self._line(3, "if key in built:")
        self._line(4, f"built[key].append({item})")
        self._line(3, "else:")
        self._line(4, f"built[key] = [{item}]")

    def _once(self, held: Sequence[str], statement: Statement, scope: Scope) -> None:
        mark = ", ".join([*held, *(self._marked(each, scope) for each in statement.identity), ""])
        self._line(3, f"mark = ({mark})")
        self._line(3, "if mark in seen:")
        self._line(4, "continue")
        self._line(3, "seen.add(mark)")

    def _tree_within(self, edge: Edge, scope: Scope) -> str:
        """Write the function that builds a whole tree from an array. Return the source that calls it."""
        number = self._tree_numbers.setdefault(edge, len(self._tree_numbers))
        inner, unpacked = self._names_within(edge)
        item = self._outputs(edge, inner)
        keys = self._trees[edge]
        self._line(0, f"def tree_{number}(rows):")
        self._line(1, f"found_in_{number} = {{}}")
        self._line(1, "grouped = {}")
        self._line(1, "for row in rows:")
        self._line(2, f"{unpacked} = row")
        key, onward = (
            tuple_source([self._told(each, inner) for each in columns]) for columns in (keys.own, keys.onward)
        )
        self._line(2, f"grouped.setdefault({key}, []).append(({onward}, row))")
        self._line(1, "def make(row):")
        self._line(2, f"{unpacked} = row")
        self._line(2, f"return {item}")
        self._line(1, f"grow(grouped, make, found_in_{number}, False)")
        self._line(1, f"return found_in_{number}")
        return f"tree_{number}({scope.names[edge]})"

    def _tree(self, number: int, statement: Statement, unpacked: str, item: str, scope: Scope) -> None:
        """Write the code that builds a whole tree: first the rows of each parent, then objects from the leaves up."""
        keys, _ = statement.key_names(scope.names)
        onward = [self._told(each, scope) for each in statement.onward]
        self._line(1, f"found_{number} = {{}}")
        self._line(1, "grouped = {}")
        self._line(1, "seen = set()")
        self._line(1, "for row in rows:")
        self._line(2, f"{unpacked} = row")
        self._line(2, f"key = {self._key_of(statement, keys)}")
        mark = ", ".join(["key", *(self._marked(each, scope) for each in statement.identity)])
        self._line(2, f"mark = ({mark})")
        self._line(2, "if mark not in seen:")
        self._line(3, "seen.add(mark)")
        self._line(3, f"grouped.setdefault(key, []).append(({tuple_source(onward)}, row))")
        self._line(1, "def make(row):")
        self._line(2, "try:")
        self._line(3, f"{unpacked} = row")
        self._line(3, f"return {item}")
        self._line(2, "except Exception as error:")
        self._line(3, f"raise {self._given_as('failed', self._guards.failed(statement))}(row, error)")
        to_one = statement.edge is not None and statement.edge.cardinality.to_one
        self._line(1, f"grow(grouped, make, found_{number}, {to_one!r})")
        self._line(1, f"return found_{number}")

    def _failing(self, number: int) -> None:
        failed = self._given_as("failed", self._guards.failed(self._statements[number]))
        self._line(1, "except Exception as error:")
        self._line(2, f"raise {failed}(row, error)")

    # --- values ---------------------------------------------------------------------------------------------------

    def _outputs(self, edge: Edge, scope: Scope) -> str:
        """Return the source that builds the objects of a row behind an edge, for all fields that read this row."""
        values = [self._value(each, scope) for each in edge.outputs]
        key = self._dictionaries.get(edge)
        if key is not None:
            values.insert(0, self._column(key, scope))
        return tuple_source(values)

    def _value(self, recipe: Recipe, scope: Scope) -> str:
        """Return the source of the expression that builds the value of a recipe."""
        match recipe:
            case Read(column):
                return self._column(column, scope)
            case Compose(columns, make):
                return f"{self._given_as('make', make)}({', '.join(self._column(each, scope) for each in columns)})"
            case Make():
                return self._object(recipe, scope)
            case One():
                return self._one(recipe, scope)
            case Many():
                return self._many(recipe, scope)
            case Total(parts, function):
                return f"{self._given_as('total', function)}({self._many(parts, scope)})"
            case Computed(edge):
                return self._computed(edge, scope)
            case Choose():
                return self._chosen_member(recipe, scope)
            case Instance():
                raise AssertionError("no view holds a mapped instance")

    def _object(self, recipe: Make, scope: Scope) -> str:
        build = self._given_as("view", recipe.view.build)
        values = {name: self._value(each, scope) for name, each in recipe.fields}
        arguments: list[str] = []
        if not recipe.view.by_mapping:
            for field in recipe.view.fields:
                if not field.keyword:
                    if field.name not in values:
                        break
                    arguments.append(values.pop(field.name))
        named = ", ".join(
            f"{self._given_as('name', each.parameter)}: {values[each.name]}"
            for each in recipe.view.fields
            if each.name in values
        )
        if recipe.view.by_mapping:
            return f"{build}({{{named}}})"
        if named:
            arguments.append(f"**{{{named}}}")
        return f"{build}({', '.join(arguments)})"

    def _one(self, recipe: One, scope: Scope) -> str:
        edge, way = recipe.edge, self._chosen[recipe.edge].way
        absent = self._given_as("missing", self._guards.missing(recipe)) if recipe.required else None
        otherwise = "None" if absent is None else f"{absent}()"
        if way.joins:
            value = self._value(edge.outputs[recipe.output], scope)
            if way is Way.INNER:
                return value
            return f"({value} if {scope.names[self._present[edge]]} is not None else {otherwise})"
        if way is Way.NESTED:
            inner, loop = self._loop(edge, scope)
            value = self._value(edge.outputs[recipe.output], inner)
            return f"first([{value} {loop}], {absent or None})"
        found, key = self._found(edge, scope)
        chosen = f"{found}[{key}]" + (f"[{recipe.output}]" if len(edge.outputs) > 1 else "")
        return f"({chosen} if {key} in {found} else {otherwise})"

    def _many(self, recipe: Many, scope: Scope) -> str:
        edge, container = recipe.edge, recipe.container
        if recipe.flat:
            parts = self._many(attrs.evolve(recipe, flat=False, container=Container.LIST), scope)
            part, item = f"n{next(self._variables)}", f"n{next(self._variables)}"
            items = f"[{item} for {part} in {parts} for {item} in {part} or ()]"
            return items if container is Container.LIST else f"{self._container(container)}({items})"
        if self._chosen[edge].way is Way.NESTED:
            inner, loop = self._loop(edge, scope)
            value = self._value(edge.outputs[0], inner)
            if recipe.key is not None:
                return f"{{{self._column(recipe.key, inner)}: {value} {loop}}}"
            if container is Container.SET:
                return f"{{{value} {loop}}}"
            items = f"[{value} {loop}]"
            return items if container is Container.LIST else f"{self._container(container)}({items})"
        found, key = self._found(edge, scope)
        if container is Container.LIST:
            return f"[*{found}.get({key}, ())]"
        return f"{self._container(container)}({found}.get({key}, ()))"

    def _container(self, container: Container) -> str:
        return self._given_as("container", _CONTAINERS[container])

    def _computed(self, edge: Edge, scope: Scope) -> str:
        assert edge.aggregation is not None  # noqa: S101 - it is computed
        if self._chosen[edge].way is Way.GROUPED:
            found, key = self._found(edge, scope)
            return f"{found}.get({key}, {edge.aggregation.empty!r})"
        return self._processed(scope.names[edge], edge.aggregation.type, scope)

    def _chosen_member(self, recipe: Choose, scope: Scope) -> str:
        discriminator = self._column(recipe.column, scope)
        text = f"{self._given_as('unknown', self._guards.unknown(recipe))}({discriminator})"
        for identities, member in reversed(recipe.members):
            known = self._given_as("known", frozenset(identities))
            text = f"{self._value(member, scope)} if {discriminator} in {known} else {text}"
        return f"({text})"

    def _found(self, edge: Edge, scope: Scope) -> tuple[str, str]:
        """Return two sources: the objects built from the rows of an edge, and the key to look one up."""
        if self._chosen[edge].way is Way.TREE:
            columns = self._trees[edge].parents if edge in scope.names else self._trees[edge].onward
            found = self._tree_within(edge, scope) if edge in scope.names else f"found_in_{self._tree_numbers[edge]}"
            return found, tuple_source([self._told(each, scope) for each in columns])
        number = self._numbers[edge]
        self._used.add(number)
        statement = self._statements[number]
        columns = statement.parents
        if not all(each in scope.names for each in columns):  # one level further down a whole tree
            columns = statement.onward
        return f"found_{number}", tuple_source([self._told(each, scope) for each in columns])
