"""Chooses a strategy for each edge of a plan that SQLAlchemy itself loads, for ``plan.options()``."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Mapper

from loadplan.mapped import mapping
from loadplan.resolved.statement_rows import StatementRow
from loadplan.resolved.strategy import WHOLE_TREE, Choice, Chooser, Roots, Way
from loadplan.resolved.tree import Edge, Place, Tree, edges_below


def choose_for_options(tree: Tree) -> Mapping[Edge, Choice]:
    """Return the ways of a plan of entities for ``plan.options()``: for any number of roots, on any database."""
    ends = [each.target for each in edges_below(tree.root) if each.prop is not None]
    places = Counter(each.mapper.base_mapper for each in (tree.root, *ends))
    chooser = _OptionsChooser(Roots.MANY, DefaultDialect(), False, {}, {}, of_entities=True, places=places)
    chooser.place(tree.root, StatementRow(tree.root, one_parent=False, nested=False))
    return chooser.chosen


@attrs.frozen
class _OptionsChooser(Chooser):
    """Chooses for SQLAlchemy's own loading. It uses the same rules without arrays, and adds SQLAlchemy's limits."""

    places: Counter[Mapper[Any]] = attrs.field(factory=Counter)

    def rows(self, edge: Edge, row: StatementRow) -> Choice:
        if edge.prop is None:
            return super().rows(edge, row)
        no_join = self._why_no_join(edge, row)
        if edge.single and edge.asked in {"selectin", "subquery"} and mapping.ordered_by_another_table(edge.prop):
            if no_join is None:
                return Choice(Way.JOIN, "its mapping orders it by a column that a separate statement would not have")
            return Choice(Way.KEYS, no_join)
        why_not = self._why_no_subquery(edge) if edge.asked == "subquery" else no_join
        return super().rows(edge, row) if why_not is None else Choice(Way.KEYS, why_not)

    def _why_no_subquery(self, edge: Edge) -> str | None:
        """Return the reason why SQLAlchemy would lose rows with a subquery, or None if it would not."""
        for mapper in (edge.owner.mapper, edge.target.mapper):
            if self.places[mapper.base_mapper] > 1:
                # SQLAlchemy loads nothing below a row that another place of the graph has loaded before
                return f"the graph has a {mapper.class_.__name__} at several places"
        if any(map(mapping.tables_of_subqueries, edge.shape.where or ())):
            # SQLAlchemy takes the parents' subquery for the tables that it selects from, also within the condition
            return "its where= has a subquery"
        return None

    @staticmethod
    def _why_no_join(edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why SQLAlchemy would lose rows or values with a join, or None if it would not."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        if edge.cardinality.to_one and not edge.single:
            return "no constraint ensures one row at most, and SQLAlchemy repeats a parent for each row of a join"
        if edge.prop.entity.is_aliased_class and any(map(_would_join, edge.target.relationships)):
            # SQLAlchemy drops the joins below a join to an alias
            return "it leads to an alias, and further joins start at an alias only in a separate statement"
        above = mapping.tables_at(row.start.entity)
        if any(above & mapping.tables_of_subqueries(each.expression) for each in edge.target.columns):
            # in the subquery, SQLAlchemy would take the row of the statement for the table
            return "a subquery in its columns reads a table of the statement above"
        if any(above & mapping.tables_of_subqueries(each) for each in edge.shape.where or ()):
            return "a subquery in its where= reads a table of the statement above"
        if edge.asked in {"joined", "inner"} and not edge.cardinality.to_one:
            # SQLAlchemy loses the list of a row if the row is also at another place of the statement, without the list
            owner = edge.owner.mapper
            if _classes_joined(row.start)[owner.base_mapper] > 1:
                return f"the statement above has a {owner.class_.__name__} at several places"
        return None

    def _why_not_one_row(self, edge: Edge) -> str | None:
        """Return None, because SQLAlchemy can join with any condition, and recognizes a parent that a join repeats."""

    def _why_not_nested(self, edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why an edge that is not joined is loaded by keys. Loader options cannot make arrays."""
        if edge.asked == "selectin":
            return "the plan asks for strategy='selectin'"
        if edge.shape.depth == "all":
            return WHOLE_TREE
        return "a collection: a separate statement never multiplies the parent's rows"


def _classes_joined(place: Place) -> Counter[Mapper[Any]]:
    """Count the places of each class in the statement that starts at a place, over all edges that may be joined."""
    found = Counter([place.mapper.base_mapper])
    for edge in place.relationships:
        if _would_join(edge):
            found += _classes_joined(edge.target)
    return found


def _would_join(edge: Edge) -> bool:
    return edge.asked in {"joined", "inner"} or (edge.asked is None and edge.cardinality.to_one)
