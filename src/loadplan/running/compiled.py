"""A compiled plan: its statements, the way of each edge, and the functions that make objects, for one dialect."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import Dialect
from sqlalchemy.orm import Mapper

from loadplan.mapped import mapping
from loadplan.mapped.indexes import LearnedIndexes, learned_of
from loadplan.mapped.telling import may_be_nan, same_number
from loadplan.objects.building import Guards
from loadplan.objects.hydrator import Hydrator, make_hydrator
from loadplan.objects.instance_script import InstanceWriter
from loadplan.objects.losses import NOTHING_HIDDEN, Hidden
from loadplan.objects.view_script import ViewWriter
from loadplan.objects.writer import Blueprint
from loadplan.resolved.strategy import Choice, Databases, Learned, Roots, choose_ways, roots_of
from loadplan.resolved.tree import Column, Edge, Tree, edges_below, places_from
from loadplan.statements.builder import StatementBuilder
from loadplan.statements.linked import Narrowing
from loadplan.statements.nested import further_beside_arrays
from loadplan.statements.statement import Slot, Statement

T = TypeVar("T")

#: The number of engines for which a plan keeps its functions, times two.
_HYDRATORS = 128


@attrs.frozen(eq=False)
class CompiledPlan(Generic[T]):
    """A plan, ready to run on one dialect for some number of roots. It is immutable, and all tasks share it.

    Attributes:
        tree: the resolved plan.
        dialect: the dialect of the statements.
        roots: the step for the number of roots, on which the choice of statements depends.
        chosen: the way in which each edge is loaded.
        root: the statement of the roots.
        later: the other statements, in the order in which they run.
        present: by joined edge, the column that is NULL if the row does not exist.
        arrays: by edge, the slots of the rows in its nested array.
        above: by the number of a statement, the number of the statement whose rows have its keys.
        builder: built the statements. It builds a statement again if it contains a changed statement of its parents.
        databases: if classes live in several databases, the number and the dialect of the database of each class.
        learned: indexes that only the databases had when the plan was compiled.
        hydrators: the functions that build objects, made when the first rows come.
        variants: the plan for other numbers of roots, and narrowed plans that are used again.
        mappers: the mapper that each statement selects.
        classes: the mapper of each place.
    """

    tree: Tree
    dialect: Dialect
    roots: Roots
    chosen: Mapping[Edge, Choice]
    root: Statement
    later: tuple[Statement, ...]
    present: Mapping[Edge, Column]
    arrays: Mapping[Edge, Sequence[Slot]]
    above: Mapping[int, int]
    builder: StatementBuilder
    databases: Databases = attrs.field(factory=dict)
    learned: Learned = attrs.field(factory=dict)
    hydrators: dict[tuple[bool, Dialect, Hidden], Hydrator] = attrs.field(factory=dict)
    variants: dict[Any, Any] = attrs.field(factory=dict)
    mappers: tuple[Mapper[Any], ...] = attrs.field(init=False)
    classes: tuple[Mapper[Any], ...] = attrs.field(init=False)

    @mappers.default  # pyright: ignore[reportAttributeAccessIssue] - attrs makes it a field afterwards
    def _mappers(self) -> tuple[Mapper[Any], ...]:
        return tuple(each.place.mapper for each in (self.root, *self.later))

    @classes.default  # pyright: ignore[reportAttributeAccessIssue]
    def _classes(self) -> tuple[Mapper[Any], ...]:
        return tuple(place.mapper for place in places_from(self.tree.root))

    @property
    def mapper(self) -> Mapper[Any]:
        """The mapper of the roots' class."""
        return self.tree.root.mapper

    @property
    def repeats_roots(self) -> bool:
        """True if a join of a statement may return several rows for one object, because it joins a collection."""
        return self.builder.repeats_objects

    @property
    def nests(self) -> bool:
        """True if a statement has nested rows."""
        return bool(self.arrays)

    def narrowed(self, narrow: Narrowing, above: Narrowing | None = None) -> "CompiledPlan[T]":
        """Return the plan for fewer roots.

        Args:
            narrow: adds conditions, order and limit to the statement of the roots.
            above: does the same where a later statement contains that statement as a subquery. By default, it is
                ``narrow``.
        """
        root = self._root(narrow)
        within = root if above is None or all(each.above is None for each in self.later) else self._root(above)
        return attrs.evolve(self, root=root, later=self._later_below(within), variants={})

    def _root(self, narrow: Narrowing) -> Statement:
        select = narrow(self.root.select)
        if self.builder.root_ranks:  # the order of a joined collection comes after the order of its parents
            select = select.order_by(*self.builder.root_ranks)
        return attrs.evolve(self.root, select=select)

    def _later_below(self, root: Statement) -> tuple[Statement, ...]:
        """Return the later statements for a new statement of the roots. Some of them contain it as a subquery."""
        if all(each.above is None for each in self.later):
            return self.later
        statements = [root]
        for number, each in enumerate(self.later, start=1):
            above = statements[self.above[number]]
            is_same = each.above is None or above is each.above
            statements.append(each if is_same or each.edge is None else self.builder.follow_up(each.edge, above))
        return tuple(statements[1:])

    def bringing(self, roots: int | None) -> "CompiledPlan[T]":
        """Return the variant of the plan for at most ``roots`` roots; None stands for any number."""
        return self._variant(roots_of(roots))

    @property
    def countable(self) -> "CompiledPlan[T]":
        """The variant for ``max_rows`` and for streams: no rows are nested in arrays."""
        return self._variant(Roots.COUNTED)

    def across(self, databases: Sequence[tuple[int, Dialect]] | None) -> "CompiledPlan[T]":
        """Return the variant for classes that live in several databases: each statement uses one database.

        Args:
            databases: for each of ``classes``, (number, dialect) of its database; None if one database has them all.
        """
        if databases is None or len({number for number, _ in databases}) == 1:
            return self
        learned = {dialect: learned_of(dialect) for _, dialect in databases}
        key = ("across", tuple(databases), *learned.values())
        found: CompiledPlan[T] | None = self.variants.get(key)
        if found is None:
            given = dict(zip(self.classes, databases, strict=True))
            found = self.variants[key] = _compile(self.tree, self.dialect, self.roots, given, learned)
        return found

    def _variant(self, roots: Roots) -> "CompiledPlan[T]":
        if roots is self.roots and not self.tree.undecodable:
            return self
        key = (roots, tuple(self.tree.undecodable))
        found: CompiledPlan[T] | None = self.variants.get(key)
        if found is None:
            found = self.variants[key] = _compile(self.tree, self.dialect, roots, self.databases, self.learned)
        return found

    def hydrator(self, dialect: Dialect, *, raw: bool, hidden: Hidden = NOTHING_HIDDEN) -> Hydrator:
        """Return the functions that make objects from rows, made at first use.

        Args:
            dialect: the dialect of the engine. Two engines may read JSON with different functions.
            raw: whether rows come directly from the driver.
            hidden: classes whose rows the session may have hidden. The seals of entities note them.
        """
        found = self.hydrators.get((raw, dialect, hidden))
        if found is None:
            if len(self.hydrators) >= _HYDRATORS:
                self.hydrators.clear()
            blueprint = Blueprint(
                self.tree.recipe,
                (self.root, *self.later),
                self.chosen,
                self.present,
                self.arrays,
                self.builder.trees,
                dialect,
                Guards(self.tree.label),
                self.builder.columns.of(self.builder.places),
                self.builder.columns.tellers,
                not self.builder.columns.everywhere,
            )
            writer = (
                InstanceWriter(blueprint, raw=raw, hidden=hidden)
                if self.tree.of_entities
                else ViewWriter(blueprint, raw=raw)
            )
            found = self.hydrators[raw, dialect, hidden] = make_hydrator(writer, blueprint)
        return found

    def without_nesting(self) -> None:
        """Stop nesting rows in all later fetches of the plan, because the driver cannot read a type in a nested row."""
        if self.dialect.driver not in self.tree.undecodable:
            self.tree.undecodable.append(self.dialect.driver)

    @property
    def root_key(self) -> Callable[[Any], Any]:
        """Return a function that reads the key of a root from its row."""
        if self.root.identity:
            return self._picker(self.root.identity)
        names = {*mapping.primary_key(self.mapper)}
        told: Column | None = getattr(self.tree.recipe, "discriminator", None)
        own = [*self.builder.columns.at(self.tree.root)]
        others = getattr(self.tree.recipe, "keys", ())
        wanted = [column for column in own if column.name in names or column is told or column in others]
        return self._picker([self.builder.columns.tellers.get(each, each) for each in wanted])

    def _picker(self, columns: Sequence[Column]) -> Callable[[Any], Any]:
        """Return a function that reads columns of a root from its row."""
        pick = itemgetter(*map(self.root.slots.index, columns))
        if not any(may_be_nan(each.type, self.dialect) for each in columns):
            return pick
        if len(columns) == 1:
            return lambda row: same_number(pick(row))
        return lambda row: tuple(map(same_number, pick(row)))

    def root_with(self, columns: Sequence[Any]) -> Statement:
        """Return the statement of the roots with more columns. The same columns give the same statement."""
        key = ("beside", *map(id, columns))
        if key not in self.variants:  # keep the columns alive, so that no other objects get their ids
            read = further_beside_arrays(columns, self.dialect) if self.root.nests else columns
            select = self.root.select.add_columns(*read)
            self.variants[key] = columns, attrs.evolve(self.root, select=select)
        statement: Statement = self.variants[key][1]
        return statement


def compile_tree(tree: Tree, dialect: Dialect, learned: LearnedIndexes) -> CompiledPlan[Any]:
    """Return a plan that is ready to run on ``dialect``, from its tree and the learned indexes of the database.

    Pure.
    """
    return _compile(tree, dialect, Roots.ONE, {}, {dialect: learned})


def _compile(tree: Tree, dialect: Dialect, roots: Roots, databases: Databases, learned: Learned) -> CompiledPlan[Any]:
    chosen = choose_ways(tree, roots, dialect, databases, learned)
    builder = StatementBuilder(tree.root, chosen, dialect, databases, learned, of_entities=tree.of_entities)
    root = builder.root(tree.root)
    statements, above = [root], dict[int, int]()
    for edge in edges_below(tree.root):
        if chosen[edge].way.own_statement:
            parents = set(builder.parents(edge))
            number = next(at for at, each in enumerate(statements) if parents <= set(each.slots))
            above[len(statements)] = number
            statements.append(builder.follow_up(edge, statements[number]))
    return CompiledPlan(
        tree,
        dialect,
        roots,
        chosen,
        root,
        tuple(statements[1:]),
        builder.present,
        builder.arrays,
        above,
        builder,
        databases,
        learned,
    )
