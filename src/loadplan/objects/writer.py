"""The base of the two writers of source that makes objects from rows: one function for each statement of a plan.

The source contains no text of the application. Classes, names and values of the application are globals of the
functions, under names that loadplan chooses.
"""

import abc
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from loadplan.mapped.decoding import OfFloats, OfOthers, processor
from loadplan.mapped.telling import may_be_nan, same_number
from loadplan.objects.building import Guards
from loadplan.resolved.strategy import Choice
from loadplan.resolved.tree import (
    Column,
    Edge,
    Many,
    Place,
    Recipe,
    recipes_in,
)
from loadplan.statements.statement import Slot, Statement
from loadplan.statements.whole_tree import TreeKeys


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
        trees: by edge, the columns that tie the rows of a whole tree in its nested array.
        dialect: the dialect of the database that the rows come from.
        guards: makes the functions that raise errors for rows that cannot become a view.
        columns: all columns that are selected at each place.
        tellers: by key column whose values Python cannot compare, the column to compare instead.
        keeps_stored: whether instances keep the values of ``tellers``, so that ``extend`` finds their rows again. They
            do not if databases of several kinds are compared.
    """

    recipe: Recipe
    statements: Sequence[Statement]
    chosen: Mapping[Edge, Choice]
    present: Mapping[Edge, Column]
    arrays: Mapping[Edge, Sequence[Slot]]
    trees: Mapping[Edge, TreeKeys]
    dialect: Dialect
    guards: Guards
    columns: Mapping[Place, Sequence[Column]]
    tellers: Mapping[Column, Column]
    keeps_stored: bool

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
        self._keeps_stored = blueprint.keeps_stored
        self.values: dict[str, Any] = {"first": first, "grow": blueprint.guards.grow}
        self._numbers = {each.edge: number for number, each in enumerate(blueprint.statements)}
        self._statements = blueprint.statements
        self._chosen = blueprint.chosen
        self._present = blueprint.present
        self._arrays = blueprint.arrays
        self._trees = blueprint.trees
        self._tree_numbers: dict[Edge, int] = {}
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
        if isinstance(found, OfFloats | OfOthers):  # checking the class is faster than a call for each value
            process = self._given_as("process", found.process, key=kind)
            unchanged = "is" if isinstance(found, OfOthers) else "is not"
            return f"({name} if {name}.__class__ {unchanged} float else {process}({name}))"
        return f"{self._given_as('process', found, key=kind)}({name})"

    def _loop(self, edge: Edge, scope: Scope) -> tuple[Scope, str]:
        """Return the names for the rows within an array, and the source of the loop over the array."""
        inner, unpacked = self._names_within(edge)
        return inner, f"for {unpacked} in {scope.names[edge]}"

    def _names_within(self, edge: Edge) -> tuple[Scope, str]:
        """Return the names for the rows within an array, and the left side of the assignment that sets them."""
        names = {slot: f"n{next(self._variables)}" for slot in self._arrays[edge]}
        return Scope(names, nested=True), ", ".join(names.values()) + ("," if len(names) == 1 else "")

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


def tuple_source(values: Iterable[str]) -> str:
    """Return the source of one value unchanged, and of several values as a tuple."""
    listed = list(values)
    return listed[0] if len(listed) == 1 else f"({', '.join(listed)})"


def first(items: list[Any], missing: Callable[[], Any] | None) -> Any:
    """Return the only item of an array. If the array is empty, call ``missing``, or return None without it."""
    if items:
        return items[0]
    return None if missing is None else missing()
