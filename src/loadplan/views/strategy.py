"""Which way each edge of a view takes, and why. Pure: a tree, a number of roots and a dialect in, choices out.

The rules are published in docs/views.md; a reason is a sentence of theirs.
"""

import enum
from collections.abc import Mapping

import attrs
from sqlalchemy import Dialect, null

from loadplan import links
from loadplan.linked import link_on
from loadplan.links import LinkKind
from loadplan.tree import Strategy
from loadplan.views.decoding import in_row
from loadplan.views.drivers import driver_of
from loadplan.views.tree import UNKNOWN, Edge, Place, ViewTree

#: Roots up to which the whole graph comes in one statement. Beyond, the server takes longer to look up rows parent by
#: parent than a round trip a level takes; save for the first rows of each parent, which are looked up so in any case.
FEW_ROOTS = 20


class Roots(enum.Enum):
    """How many roots a fetch may bring, as far as the choice depends on it."""

    ONE = "one root"
    FEW = f"up to {FEW_ROOTS} roots"
    MANY = "many roots"
    COUNTED = "many roots, whose rows are counted or streamed"


def roots_of(number: int | None) -> Roots:
    """Return how many roots that is; None for any number of them."""
    if number is None or number > FEW_ROOTS:
        return Roots.MANY
    return Roots.ONE if number == 1 else Roots.FEW


class Way(enum.Enum):
    """How the rows at the end of an edge come."""

    JOIN = "left join"
    INNER = "inner join"
    NESTED = "nested array"
    SUBQUERY = "subquery"
    KEYS = "select-in"
    GROUPED = "grouped select-in"

    @property
    def joins(self) -> bool:
        """Whether the columns stand in the parent's own row."""
        return self in {Way.JOIN, Way.INNER}

    @property
    def own_statement(self) -> bool:
        """Whether a statement of its own brings the rows."""
        return self in {Way.KEYS, Way.GROUPED}


@attrs.frozen(eq=False)
class Choice:
    """The way of an edge, and why."""

    way: Way
    reason: str


def choose_ways(tree: ViewTree, roots: Roots, dialect: Dialect) -> Mapping[Edge, Choice]:
    """Return a way and its reason for every edge.

    Args:
        tree: resolved.
        roots: that a fetch may bring.
        dialect: of the database and its driver.
    """
    chooser = _Chooser(roots, dialect, nests=dialect.driver not in tree.undecodable)
    chooser.place(tree.root, _Row(one_parent=roots is Roots.ONE, nested=False))
    return chooser.chosen


@attrs.frozen
class _Row:
    """The rows that a place stands in.

    Attributes:
        one_parent: whether the statement brings one of them, so that a subquery runs once.
        nested: whether they are packed into an array of a row around.
    """

    one_parent: bool
    nested: bool


@attrs.frozen
class _Chooser:
    roots: Roots
    dialect: Dialect
    nests: bool
    chosen: dict[Edge, Choice] = attrs.field(factory=dict)

    def place(self, place: Place, row: _Row) -> None:
        for edge in place.edges:
            self.edge(edge, row)

    def edge(self, edge: Edge, row: _Row) -> None:
        """Choose for an edge and for all below it."""
        if edge.aggregation is not None:
            self.chosen[edge] = self.aggregate(edge, row)
            return
        choice = self.chosen[edge] = self.rows(edge, row)
        if choice.way is Way.KEYS:
            row = _Row(one_parent=False, nested=False)
        elif choice.way is Way.NESTED:
            row = _Row(one_parent=False, nested=True)
        self.place(edge.target, row)

    def aggregate(self, edge: Edge, row: _Row) -> Choice:
        if row.nested or row.one_parent:
            return Choice(Way.SUBQUERY, "computed within the row, not loaded")
        assert edge.aggregation is not None  # noqa: S101 - the caller asked
        if edge.aggregation.empty is UNKNOWN:
            return Choice(Way.SUBQUERY, "computed within the row: the database alone knows its value without rows")
        if self._is_served(edge):
            return Choice(Way.SUBQUERY, "computed within the row: an index finds the rows of each parent")
        return Choice(Way.GROUPED, "no index finds the rows of one parent: one pass computes it for all")

    def rows(self, edge: Edge, row: _Row) -> Choice:
        if edge.prop is None:
            return Choice(Way.JOIN, "what the subclass adds to the row")
        why_not = self._why_not_joined(edge)
        if edge.cardinality.to_one and why_not is None and edge.asked != Strategy.SELECTIN.value:
            if edge.asked == Strategy.INNER.value:
                return Choice(Way.INNER, "the plan asks for strategy='inner'")
            return Choice(Way.JOIN, "one row at most; LEFT OUTER, so a missing or hidden one never drops its parent")
        reason = self._why_not_nested(edge, row)
        if reason is None:
            if edge.asked == Strategy.JOINED.value:
                return Choice(Way.NESTED, "the plan asks for it")
            few = "few rows" if edge.shape.limit is None else "the first rows of each parent"
            return Choice(Way.NESTED, f"{few}: one statement for all")
        if edge.cardinality.to_one:
            return Choice(Way.KEYS, why_not or f"the plan asks for strategy={edge.asked!r}")
        return Choice(Way.KEYS, reason)

    def _why_not_joined(self, edge: Edge) -> str | None:
        assert edge.prop is not None  # noqa: S101 - the caller asked
        if edge.shape.depth == "all":
            return "a whole tree: as deep as the rows go"
        if not edge.single:
            return "no constraint holds it to one row"
        link = link_on(edge.prop, edge.owner.mapper, self.dialect)
        return None if link.kind is LinkKind.TARGET else "its condition is more than equal keys"

    def _why_not_nested(self, edge: Edge, row: _Row) -> str | None:
        """Return why an edge cannot come as an array within its parent's row, or None if it can and should."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        driver = self.dialect.driver
        if not driver_of(self.dialect).nests:
            return f"a statement a level: {driver} does not read rows within rows"
        if not self.nests:
            return f"a column is of a type, unknown to the mapping, that {driver} cannot read within a row"
        if self.roots is Roots.COUNTED:
            return "rows are counted as they come, which those within an array cannot be"
        if edge.asked == Strategy.SELECTIN.value:
            return "the plan asks for strategy='selectin'"
        if edge.shape.depth == "all":
            return "a whole tree: as deep as the rows go"
        if edge.asked is None and edge.shape.limit is None and not row.nested and self.roots is Roots.MANY:
            return f"a statement a level: more than {FEW_ROOTS} roots, or nobody knows how many"
        link = link_on(edge.prop, edge.owner.mapper, self.dialect)
        if link.kind is LinkKind.PARENT:
            return "its condition is more than equal keys"
        if link.repeats:
            return "the association may hold a pair twice, and no constraint keeps it from that"
        if edge.asked is None and not row.one_parent and not self._is_served(edge):
            return "no index finds the rows of one parent"
        return self._why_not_within(edge.target)

    def _why_not_within(self, place: Place) -> str | None:
        """Return why a place and all below it cannot stand within a nested row."""
        for column in place.columns:
            if in_row(column.expression, column.type, self.dialect) is None:
                kind, driver = type(column.type).__name__, self.dialect.driver
                return f"{driver} has no decoder for the {kind} of '{column.name}' within a row"
        for edge in place.edges:
            if edge.aggregation is not None:
                if in_row(null(), edge.aggregation.type, self.dialect) is None:
                    return f"{self.dialect.driver} has no decoder for '{edge.field}' within a row"
                continue
            choice = self.rows(edge, _Row(one_parent=False, nested=True))
            if choice.way.own_statement:
                return f"'{edge.name}' below it takes a statement of its own: {choice.reason}"
            if choice.way.joins and (reason := self._why_not_within(edge.target)) is not None:
                return reason
        return None

    def _is_served(self, edge: Edge) -> bool:
        """Tell whether an index, known to the metadata, finds the rows of one parent."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        link = link_on(edge.prop, edge.owner.mapper, self.dialect)
        if link.kind is LinkKind.PARENT:
            return False
        return links.index_serves(link.columns, ())
