"""Writes the source that builds views from rows: one function for each statement, once for each plan.

The source contains no text of the application. Classes, names and values of the application are globals of the
functions, under names that loadplan chooses.
"""

import abc
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from loadplan.mapped.decoding import OfFloats, processor
from loadplan.mapped.telling import may_be_nan, same_number
from loadplan.objects.building import Guards
from loadplan.resolved.strategy import Choice, Way
from loadplan.resolved.tree import (
    Choose,
    Column,
    Compose,
    Computed,
    Edge,
    Instance,
    Make,
    Many,
    One,
    Place,
    Read,
    Recipe,
    Total,
    recipes_in,
)
from loadplan.statements.statement import Slot, Statement
from loadplan.view_classes.annotations import Container

#: Code that makes a container from an iterable of its items.
_CONTAINERS: Mapping[Container, Any] = {
    Container.TUPLE: tuple,
    Container.SET: set,
    Container.FROZENSET: frozenset,
    Container.DICT: dict,
}


@attrs.frozen(eq=False)
class Scope:
    """The names of a function, or of the loop over an array.

    Attributes:
        names: the names of the slots.
        nested: whether the names are in a loop over an array.
    """

    names: Mapping[Slot, str]
    nested: bool


@attrs.frozen(eq=False)
class Blueprint:
    """The objects to build, and their rows.

    Attributes:
        recipe: how to build a root.
        statements: the statements. The first one is for the roots. Each other one comes after the statement of its
            parents.
        chosen: the way in which each edge is loaded.
        present: by joined edge, the column that is NULL if the row does not exist.
        arrays: by edge, the slots of the rows in its nested array.
        dialect: the dialect of the database that the rows come from.
        guards: makes the functions that raise errors for rows that cannot become a view.
        columns: all columns that are selected at each place.
        tellers: by key column whose values Python cannot compare, the column to compare instead.
    """

    recipe: Recipe
    statements: Sequence[Statement]
    chosen: Mapping[Edge, Choice]
    present: Mapping[Edge, Column]
    arrays: Mapping[Edge, Sequence[Slot]]
    dialect: Dialect
    guards: Guards
    columns: Mapping[Place, Sequence[Column]]
    tellers: Mapping[Column, Column]

    @property
    def label(self) -> str:
        """The label of the plan."""
        return self.guards.label


class Writer(abc.ABC):
    """Writes the functions of one plan.

    Args:
        blueprint: the blueprint of the plan.
        raw: whether rows come directly from the driver. Otherwise SQLAlchemy's types have converted their values.
    """

    def __init__(self, blueprint: Blueprint, *, raw: bool) -> None:
        self.lines: list[str] = []
        self._columns = blueprint.columns
        self._tellers = blueprint.tellers
        self.values: dict[str, Any] = {"first": first, "grow": blueprint.guards.grow}
        self._numbers = {each.edge: number for number, each in enumerate(blueprint.statements)}
        self._statements = blueprint.statements
        self._chosen = blueprint.chosen
        self._present = blueprint.present
        self._arrays = blueprint.arrays
        self._dialect = blueprint.dialect
        self._guards = blueprint.guards
        self._raw = raw
        self._used: set[int] = set()
        self._variables = itertools.count()
        self._given: dict[Any, str] = {}
        self._dictionaries = {
            each.edge: each.key
            for each in recipes_in(blueprint.recipe)
            if isinstance(each, Many) and each.key is not None
        }

    @abc.abstractmethod
    def start(self, statements: int) -> Any:
        """Return the containers that the functions of a run fill in addition to their results."""

    @abc.abstractmethod
    def complete(self, grown: Any, session: Any) -> None:
        """Do the remaining work when all functions of a run have returned."""

    @abc.abstractmethod
    def made(self, grown: Any, session: Any) -> list[Any]:
        """Return the instances that the functions of a run have made."""

    # --- functions ------------------------------------------------------------------------------------------------

    def keys_of(self, number: int, statement: Statement) -> None:
        """Write the function that collects the keys for a statement from the rows of the statement above it."""
        if not statement.parents:
            return
        above = next(each for each in self._statements if set(statement.parents) <= set(each.slots))
        scope = Scope({slot: f"row[{above.width + at}]" for at, slot in enumerate(above.slots)}, nested=False)
        value = tuple_source([self._told(each, scope) for each in statement.parents])
        bound = self._bound(statement.bound, statement.parents, scope)
        self._keys_function(f"keys_{number}", self._guarded(statement, value, scope), len(statement.parents), bound)
        if statement.level_by_level or statement.may_be_cut:
            self._onward(number, statement)

    def _onward(self, number: int, statement: Statement) -> None:
        """Write the function that collects the keys for the next level of a tree.

        If one statement returns several levels, these are the keys of the rows that have no rows below them.
        """
        positions: dict[Slot, str] = {slot: f"row[{statement.width + at}]" for at, slot in enumerate(statement.slots)}
        scope = Scope(positions, nested=False)
        value = tuple_source([self._told(each, scope) for each in statement.onward])
        bound = self._bound(statement.bound_onward, statement.onward, scope)
        parent = None
        if statement.may_be_cut:
            keys, own = statement.key_names(positions)
            places = {name: f"row[{at}]" for at, name in enumerate(own)}
            parent = self._key_of(statement, [places.get(each, each) for each in keys])
        self._keys_function(f"onward_{number}", value, len(statement.onward), bound, parent)

    def _bound(self, bound: Sequence[Column], told: Sequence[Column], scope: Scope) -> str | None:
        """Return the source of the value to bind for a key; None if the key itself is bound."""
        return None if bound == told else tuple_source([self._column(each, scope) for each in bound])

    def _keys_function(self, name: str, value: str, width: int, bound: str | None, parent: str | None = None) -> None:
        """Write a function that collects keys: each once, and none that is the key of a row's parent."""
        asked = "key is not None" if width == 1 else "None not in key"
        self._line(0, f"def {name}(rows):")
        if parent is not None:
            self._line(1, f"parents = {{{parent} for row in rows}}")
            asked += " and key not in parents"
        if bound is None:
            self._line(1, f"return [key for key in dict.fromkeys([{value} for row in rows]) if {asked}]")
        else:
            self._line(1, f"return {{key: {bound} for row in rows for key in ({value},) if {asked}}}")

    @abc.abstractmethod
    def build(self, number: int, statement: Statement, recipe: Recipe) -> None:
        """Write the function that builds the objects for the rows of a statement."""

    def _guarded(self, statement: Statement, value: str, scope: Scope) -> str:
        """Return the source of a key. A writer for entities makes it None for rows without an object at its place."""
        return value

    def _key_of(self, statement: Statement, keys: Sequence[str]) -> str:
        """Return the source of the parent's key in a row of its child, equal to the key in the row of the parent."""
        scope = Scope(dict(zip(statement.parents, keys, strict=True)), nested=False)
        return tuple_source([self._told(each, scope) for each in statement.parents])

    # --- values ---------------------------------------------------------------------------------------------------

    def _column(self, column: Column, scope: Scope) -> str:
        return self._processed(scope.names[column], column.type, scope)

    def _told(self, column: Column, scope: Scope) -> str:
        """Return the source of a value by which Python compares rows: the column, or its replacement in ``tellers``."""
        column = self._tellers.get(column, column)
        value = self._column(column, scope)
        if may_be_nan(column.type, self._dialect):
            return f"{self._given_as('same', same_number)}({value})"
        return value

    def _marked(self, column: Column, scope: Scope) -> str:
        """Return the source of a value by which Python compares rows of one statement. It needs no conversion."""
        return self._told(column, scope) if may_be_nan(column.type, self._dialect) else scope.names[column]

    def _processed(self, name: str, kind: Any, scope: Scope) -> str:
        if not scope.nested and not self._raw:
            return name
        found = processor(kind, self._dialect)
        if found is None:
            return name
        if isinstance(found, OfFloats):  # checking the class is faster than a call for each value
            process = self._given_as("process", found.process, key=kind)
            return f"({name} if {name}.__class__ is not float else {process}({name}))"
        return f"{self._given_as('process', found, key=kind)}({name})"

    def _loop(self, edge: Edge, scope: Scope) -> tuple[Scope, str]:
        """Return the names for the rows within an array, and the source of the loop over the array."""
        slots = self._arrays[edge]
        names = {slot: f"n{next(self._variables)}" for slot in slots}
        unpacked = ", ".join(names.values()) + ("," if len(names) == 1 else "")
        return Scope(names, nested=True), f"for {unpacked} in {scope.names[edge]}"

    # --- text -----------------------------------------------------------------------------------------------------

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def _given_as(self, word: str, value: Any, *, key: Any = None) -> str:
        """Return the name under which generated code finds a value of the application."""
        mark = (word, id(value) if key is None else key)
        name = self._given.get(mark)
        if name is None:
            name = self._given[mark] = f"{word}_{sum(1 for each in self._given if each[0] == word)}"
            self.values[name] = value
        return name


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
        if recipe.view.by_mapping:
            pairs = [
                f"{self._given_as('name', each.parameter)}: {values[each.name]}"
                for each in recipe.view.fields
                if each.name in values
            ]
            return f"{build}({{{', '.join(pairs)}}})"
        arguments: list[str] = []
        by_position = [each for each in recipe.view.fields if not each.keyword]
        while len(arguments) < len(by_position) and by_position[len(arguments)].name in values:
            arguments.append(values.pop(by_position[len(arguments)].name))
        keywords = [
            f"{self._given_as('name', each.parameter)}: {values[each.name]}"
            for each in recipe.view.fields
            if each.name in values
        ]
        if keywords:
            arguments.append(f"**{{{', '.join(keywords)}}}")
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
        """Return two sources: the objects built from the statement of an edge, and the key to look one up."""
        number = self._numbers[edge]
        self._used.add(number)
        statement = self._statements[number]
        columns = statement.parents
        if not all(each in scope.names for each in columns):  # one level further down a whole tree
            columns = statement.onward
        return f"found_{number}", tuple_source([self._told(each, scope) for each in columns])


def tuple_source(values: Iterable[str]) -> str:
    """Return the source of one value unchanged, and of several values as a tuple."""
    listed = list(values)
    return listed[0] if len(listed) == 1 else f"({', '.join(listed)})"


def first(items: list[Any], missing: Callable[[], Any] | None) -> Any:
    """Return the only item of an array. If the array is empty, call ``missing``, or return None without it."""
    if items:
        return items[0]
    return None if missing is None else missing()
