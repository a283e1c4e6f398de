"""Chooses a strategy for each edge, with its reason. Pure: it takes a tree, a number of roots and a dialect.

docs/strategies.md has the rules, for entities and for views. The texts of the reasons are in this module.
"""

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Dialect, null, types
from sqlalchemy.orm import Mapper

from loadplan.declared.spec import StrategyName
from loadplan.mapped import links, mapping
from loadplan.mapped.cardinality import Cardinality
from loadplan.mapped.decoding import in_row
from loadplan.mapped.drivers import driver_of
from loadplan.mapped.indexes import NOTHING_LEARNED, LearnedIndexes
from loadplan.mapped.links import LinkKind, Served
from loadplan.mapped.repeats import key_part, may_repeat
from loadplan.mapped.telling import teller
from loadplan.resolved.statement_rows import Size, StatementRow
from loadplan.resolved.tree import UNKNOWN, Edge, Place, Tree

#: Up to this number of roots, one statement loads the whole graph. For more roots, a statement for each level is faster
#: than looking up rows parent by parent. The first rows of each parent are always looked up parent by parent.
FEW_ROOTS = 20

#: The limit for a graph whose collections have no collections below them, such as a page of a list.
PAGE_ROOTS = 100

#: Types whose values may have any size. ``String`` without a length is not one: many mappings use it for names.
UNBOUNDED = (types.Text, types.JSON, types.LargeBinary)

#: A row with this number of columns of these types, or more, counts as wide.
WIDE = 2


class Roots(enum.Enum):
    """The number of roots that a fetch may return, in steps. The choice of a strategy depends on the step."""

    ONE = "one root"
    FEW = f"up to {FEW_ROOTS} roots"
    PAGE = f"up to {PAGE_ROOTS} roots"
    MANY = "many roots"
    COUNTED = "many roots, whose rows are counted or streamed"


def roots_of(number: int | None) -> Roots:
    """Return the step for a number of roots; None stands for any number."""
    if number is None or number > PAGE_ROOTS:
        return Roots.MANY
    if number > FEW_ROOTS:
        return Roots.PAGE
    return Roots.ONE if number == 1 else Roots.FEW


#: The most roots of each step, with None for any number.
STEPS: tuple[int | None, ...] = (1, FEW_ROOTS, PAGE_ROOTS, None)


class Way(enum.Enum):
    """The way in which the rows at the end of an edge are loaded."""

    JOIN = "left join"
    INNER = "inner join"
    NESTED = "nested array"
    TREE = "nested tree"
    SUBQUERY = "computed subquery"
    KEYS = "select-in"
    GROUPED = "grouped select-in"
    PARENTS = "subquery"
    SAME_ROW = "same row"

    @property
    def joins(self) -> bool:
        """True if the columns come from rows that are joined to the parent's row."""
        return self in {Way.JOIN, Way.INNER}

    @property
    def own_statement(self) -> bool:
        """True if a separate statement loads the rows."""
        return self in {Way.KEYS, Way.GROUPED, Way.PARENTS}


#: The way that each value of ``strategy=`` asks for.
ASKED: Mapping[StrategyName, Way] = {
    "joined": Way.JOIN,
    "inner": Way.INNER,
    "selectin": Way.KEYS,
    "subquery": Way.PARENTS,
}


@attrs.frozen(eq=False)
class Choice:
    """The way in which an edge is loaded, and the reason."""

    way: Way
    reason: str


#: If classes live in several databases: for each class, the number of its database and its dialect.
Databases: TypeAlias = Mapping[Mapper[Any], tuple[int, Dialect]]

#: The indexes that loaders have learned, by the dialect of their database.
Learned: TypeAlias = Mapping[Dialect, LearnedIndexes]


def choose_ways(
    tree: Tree, roots: Roots, dialect: Dialect, databases: Databases, learned: Learned
) -> Mapping[Edge, Choice]:
    """Return a way and its reason for every edge.

    Args:
        tree: the resolved tree.
        roots: the number of roots that a fetch may return.
        dialect: the dialect of the database and its driver.
        databases: the databases of the classes if there are several; empty if all classes are in one database.
        learned: indexes that the databases have and the mapping does not.
    """
    nests = dialect.driver not in tree.undecodable
    chooser = Chooser(roots, dialect, nests, databases, learned, of_entities=tree.of_entities)
    chooser.place(tree.root, StatementRow(tree.root, one_parent=roots is Roots.ONE, nested=False))
    return chooser.chosen


#: The reason for a separate statement if the two ends of an edge are in two databases.
_ELSEWHERE = "its rows are in another database"

#: The most arrays and joins inside each other. Generated code has a loop for each, and Python allows 20 nested loops.
MAX_DEPTH = 12


#: The reason for a separate statement if the first rows of a parent are not the first rows of a join.
LEAVES_OUT = "an inner join below it leaves out rows that its limit counts"

#: The reason for a separate statement if a plan asks for a tree with all of its levels.
WHOLE_TREE = "a whole tree: as deep as the rows go"

#: The reason for a separate statement if no columns alone connect the rows with their parents.
_MORE_THAN_KEYS = "its condition does more than compare keys"

#: The reason for a separate statement if rows of a subclass have another target.
_MAPPED_AGAIN = "a subclass maps the relationship again"


def _is_first_above_inner(edge: Edge) -> bool:
    """Tell whether an edge leads to the first of many rows, of which an inner join below it may leave out some."""
    is_first = edge.shape.limit is not None or (edge.cardinality.to_one and not edge.single)
    return is_first and any(each.asked == "inner" for each in edge.target.edges)


def _is_mapped_again(edge: Edge) -> bool:
    """Tell whether a subclass that the plan speaks of maps the relationship of an edge in another way."""
    parts = [each.target for each in edge.owner.edges if each.prop is None]
    while parts:
        for each in parts.pop().edges:
            if each.prop is None:
                parts.append(each.target)
            elif each.key == edge.key and each.prop is not edge.prop:
                return True
    return False


def _has_collections(place: Place) -> bool:
    """Tell whether a place has a collection below it, at any depth."""
    return any(
        (edge.prop is not None and edge.aggregation is None and not edge.cardinality.to_one)
        or _has_collections(edge.target)
        for edge in place.edges
    )


def _in_array(edge: Edge, row: StatementRow) -> StatementRow:
    """Return the rows of an array, for an edge whose rows are in an array within other rows."""
    size = Size.of(edge.target)
    return StatementRow(row.start, one_parent=False, nested=True, depth=row.depth + 1, size=size)


def _in_same_row(edge: Edge, choice: Choice, row: StatementRow) -> StatementRow:
    """Return the rows of an edge that is joined to other rows, or that is in the same table. Add it to their size."""
    if not choice.way.joins:
        return attrs.evolve(row, of_subclass=True, below_subclass=True)
    if edge.prop is not None:  # the size of a place includes its subclasses
        row.size.add(edge.target)
    of_subclass = edge.prop is None
    return attrs.evolve(
        row,
        one_parent=row.one_parent and edge.cardinality.to_one,
        of_subclass=of_subclass,
        below_subclass=row.below_subclass or of_subclass,
        depth=row.depth + 1,
    )


@attrs.frozen
class Chooser:
    """Chooses the ways of a tree, from the roots down.

    Attributes:
        roots: the number of roots that a fetch may return.
        dialect: the dialect of the roots' database and its driver.
        nests: whether the driver can read every type of the plan within a row.
        databases: the databases of the classes if there are several.
        learned: indexes that the databases have and the mapping does not.
        of_entities: whether the rows become mapped instances.
        chosen: the choices so far.
    """

    roots: Roots
    dialect: Dialect
    nests: bool
    databases: Databases
    learned: Learned
    of_entities: bool
    chosen: dict[Edge, Choice] = attrs.field(factory=dict)

    def place(self, place: Place, row: StatementRow) -> None:
        """Choose the ways of all edges that start at a place, and of all edges below them."""
        for edge in place.edges:
            self.edge(edge, row)

    def edge(self, edge: Edge, row: StatementRow) -> None:
        """Choose the way of an edge, and of all edges below it."""
        if edge.aggregation is not None:
            self.chosen[edge] = self.aggregate(edge, row)
            return
        choice = self.chosen[edge] = self.rows(edge, row)
        if choice.way.own_statement:
            row = StatementRow(edge.target, one_parent=False, nested=False, of_roots=False)
        elif choice.way in {Way.NESTED, Way.TREE}:
            row = _in_array(edge, row)
        else:
            row = _in_same_row(edge, choice, row)
        self.place(edge.target, row)

    def aggregate(self, edge: Edge, row: StatementRow) -> Choice:
        """Return the way in which an aggregate is computed."""
        if self._is_elsewhere(edge):
            return Choice(Way.GROUPED, _ELSEWHERE)
        if row.nested or row.one_parent:
            return Choice(Way.SUBQUERY, "computed within the row, not loaded")
        assert edge.aggregation is not None  # noqa: S101 - the caller asked
        if edge.aggregation.empty is UNKNOWN:
            return Choice(
                Way.SUBQUERY, "computed within the row: only the database knows its value if there are no rows"
            )
        if (served := self._served(edge)) is not None:
            return Choice(Way.SUBQUERY, f"computed within the row: {served.value} finds the rows of each parent")
        return Choice(Way.GROUPED, "no index finds the rows of one parent, so one pass computes it for all parents")

    def rows(self, edge: Edge, row: StatementRow) -> Choice:
        """Return the way in which the rows at the end of an edge are loaded."""
        if edge.prop is None and edge.in_row:
            return Choice(Way.SAME_ROW, "the subclass is in the same table, so its columns are in the same row")
        if edge.prop is None:
            return Choice(Way.JOIN, "adds the columns of the subclass to the row")
        if self._is_elsewhere(edge):
            return Choice(Way.KEYS, _ELSEWHERE)
        if edge.asked == "subquery" and self.of_entities and self.roots is not Roots.COUNTED:
            if _is_first_above_inner(edge):
                return Choice(Way.KEYS, LEAVES_OUT)
            return Choice(Way.PARENTS, "the plan asks for strategy='subquery'")
        why_not = self._why_not_joined(edge, row)
        if edge.cardinality.to_one and why_not is None and edge.asked not in {"selectin", "subquery"}:
            return self._joined_row(edge, row)
        if edge.asked == "inner" and self.of_entities:
            reason = self._why_not_spread(edge, row)
            if reason is None:
                return Choice(Way.INNER, "the plan asks for strategy='inner'")
            return Choice(Way.KEYS, reason)
        reason = self._why_not_nested(edge, row)
        if reason is not None and edge.asked == "joined" and self.of_entities:
            reason = self._why_not_spread(edge, row) or row.size.why_impossible(edge.target, self.dialect)
            if reason is None:
                return Choice(Way.JOIN, "the plan asks for strategy='joined'")
        if reason is None:
            if edge.shape.depth == "all":
                return Choice(Way.TREE, "one root: one statement for the whole tree, in an array within its row")
            if edge.asked == "joined":
                return Choice(Way.NESTED, "the plan asks for it")
            few = "few rows" if edge.shape.limit is None else "the first rows of each parent"
            why = f"{few}: one statement for all"
            if not row.one_parent and self._served(edge) is Served.BY_DATABASE:
                why += f"; {Served.BY_DATABASE.value} finds the rows of each parent"
            return Choice(Way.NESTED, why)
        if edge.cardinality.to_one:
            return Choice(Way.KEYS, why_not or f"the plan asks for strategy={edge.asked!r}")
        return Choice(Way.KEYS, reason)

    def _joined_row(self, edge: Edge, row: StatementRow) -> Choice:
        """Return the way of a to-one that may be joined: with a join, unless the statement would grow too large."""
        if edge.asked == "inner":
            reason = self._why_not_inner(edge, row)
            if reason is None:
                return Choice(Way.INNER, "the plan asks for strategy='inner'")
            return Choice(Way.JOIN, f"LEFT OUTER: {reason}")
        if edge.asked is None and row.depth >= MAX_DEPTH:
            return Choice(Way.KEYS, f"it is {MAX_DEPTH} joins deep in the statement above")
        if edge.asked is None and (no_more := row.size.why_no_more(edge.target)) is not None:
            return Choice(Way.KEYS, no_more)
        if (impossible := row.size.why_impossible(edge.target, self.dialect)) is not None:
            return Choice(Way.KEYS, impossible)
        if self._is_wide_and_shared(edge, row):
            return Choice(Way.KEYS, "many roots may share few wide rows, and by key, each wide row comes once")
        if not edge.single:
            return Choice(Way.JOIN, "the plan asks for it: no constraint holds it to one row, so all rows are sent")
        return Choice(Way.JOIN, "one row at most; LEFT OUTER, so a missing or hidden row never drops its parent")

    def _is_wide_and_shared(self, edge: Edge, row: StatementRow) -> bool:
        """Tell whether a join would repeat wide rows: for many roots, if columns may have values of any size."""
        here = self._dialect_of(edge)
        if edge.asked is not None or self.roots is not Roots.MANY or row.nested or here.name != "postgresql":
            return False
        if edge.cardinality is not Cardinality.MANY_TO_ONE:
            return False
        return sum(isinstance(column.type, UNBOUNDED) for column in edge.target.columns) >= WIDE

    def _is_elsewhere(self, edge: Edge) -> bool:
        """Tell whether the two ends of an edge are in different databases."""
        here, there = self.databases.get(edge.owner.mapper), self.databases.get(edge.target.mapper)
        return here is not None and there is not None and here[0] != there[0]

    def _why_not_spread(self, edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why a join must not repeat a parent in several rows, or None if it may."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        if self.roots is Roots.COUNTED:
            return "rows are counted as they arrive, and a join would count a parent several times"
        if row.nested or row.below_subclass:
            return "the parent is a part of another row, and a join would repeat that row"
        if edge.shape.depth == "all":
            return WHOLE_TREE
        if edge.asked == "joined" and _is_first_above_inner(edge):
            return LEAVES_OUT
        if _is_mapped_again(edge):
            return _MAPPED_AGAIN
        return mapping.why_not_joined(edge.owner.mapper)

    def _why_not_inner(self, edge: Edge, row: StatementRow) -> str | None:
        """Return why an inner join of a to-one would leave out more than the parents without a target, or None."""
        if row.of_subclass:
            return "the parent is a part of a row, and an inner join would leave out the rest of that row"
        if _is_mapped_again(edge):
            return f"{_MAPPED_AGAIN}, and an inner join would ask its rows for the wrong target"
        return None

    def _why_not_joined(self, edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why a to-one cannot or should not be joined to its parent's row, or None."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        if self._is_elsewhere(edge):
            return _ELSEWHERE
        if edge.shape.depth == "all":
            return WHOLE_TREE
        if self.of_entities and (reason := mapping.why_not_joined(edge.owner.mapper)) is not None:
            return reason
        if self.of_entities and edge.asked is not None:  # the plan accepts the cost of a join
            return None if edge.single else self._why_not_spread(edge, row)
        return self._why_not_one_row(edge)

    def _why_not_one_row(self, edge: Edge) -> str | None:
        """Return the reason why a join of a to-one may add more than one row, or None if it adds one row at most."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        if not edge.single:
            return "no constraint ensures that it has one row at most"
        link = links.link_in_database(edge.prop, edge.owner.mapper)
        return None if link.kind is LinkKind.TARGET else _MORE_THAN_KEYS

    def _why_not_nested(self, edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why an edge should not come as an array within its parent's row, or None if it should."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        driver, here = self.dialect.driver, self._dialect_of(edge)
        if not driver_of(here).nests:
            return f"a statement for each level: {here.driver} does not read rows within rows"
        if here.driver != driver:
            return f"a statement for each level: {here.driver} reads its rows, and {driver} reads the roots"
        if not self.nests:
            return f"a column has a type that the mapping does not know and {driver} cannot read within a row"
        if self.roots is Roots.COUNTED:
            return "rows are counted as they arrive, and rows within an array cannot be counted"
        if edge.asked == "selectin":
            return "the plan asks for strategy='selectin'"
        if edge.shape.depth == "all" and (reason := self._why_no_tree(edge, row)) is not None:
            return reason
        if row.depth >= MAX_DEPTH:
            return f"it is {MAX_DEPTH} arrays and joins deep in the statement above"
        if edge.asked is None and edge.shape.limit is None and not row.nested:
            if self.roots is Roots.MANY:
                return f"a statement for each level: more than {PAGE_ROOTS} roots, or an unknown number"
            if self.roots is Roots.PAGE and not (row.of_roots and not _has_collections(edge.target)):
                return f"a statement for each level: more than {FEW_ROOTS} roots, and collections below each other"
        link = links.link_in_database(edge.prop, edge.owner.mapper)
        if link.kind is LinkKind.PARENT:
            return _MORE_THAN_KEYS
        if may_repeat(edge.target.mapper):
            return "one of its objects may come in several rows"
        if _is_first_above_inner(edge):
            return LEAVES_OUT
        if link.repeats:
            return "the association may hold a pair twice, because no constraint prevents it"
        if edge.asked is None and not row.one_parent and self._served(edge) is None:
            return "no index finds the rows of one parent"
        return self._why_not_within(edge.target, _in_array(edge, row))

    def _why_no_tree(self, edge: Edge, row: StatementRow) -> str | None:
        """Return the reason why a whole tree cannot be in the row of its root, or None if it can.

        Python ties the rows of the tree by their keys, so they must be keys that Python can compare.
        """
        assert edge.prop is not None  # noqa: S101 - the caller asked
        reason = WHOLE_TREE
        if row.nested or row.of_subclass or not row.one_parent or edge.asked == "joined":
            return reason
        if edge.shape.limit is not None or (edge.cardinality.to_one and not (edge.single and self.of_entities)):
            return reason
        if edge.owner.entity is not edge.target.entity or mapping.is_read_elsewhere(edge.owner.mapper):
            return reason
        link = links.link(edge.prop, edge.owner.mapper)
        keys = [*link.columns, *(key_part(edge.owner.entity, name) for name in link.attributes)]
        if link.kind is LinkKind.PARENT or any(teller(each, self.dialect) is not None for each in keys):
            return reason
        undecodable = (each for each in keys if in_row(each, each.type, self.dialect, origin=each) is None)
        return None if next(undecodable, None) is None else reason

    def _why_not_within(self, place: Place, row: StatementRow) -> str | None:
        """Return the reason why a place and everything below it cannot be in the rows of an array, or None.

        It makes the choices of :meth:`edge` for these rows. None of them may be a separate statement.
        """
        for column in place.columns:
            if in_row(column.expression, column.type, self.dialect, origin=column.expression) is None:
                kind, driver = type(column.type).__name__, self.dialect.driver
                return f"{driver} has no decoder for the {kind} of '{column.name}' within a row"
        for edge in place.edges:
            if edge.aggregation is not None:
                computed = edge.aggregation
                if in_row(null(), computed.type, self.dialect, origin=computed.expression) is None:
                    return f"{self.dialect.driver} has no decoder for '{edge.field}' within a row"
                continue
            choice = self.rows(edge, row)
            if choice.way.own_statement:
                return f"'{edge.name}' below it takes a separate statement: {choice.reason}"
            if choice.way in {Way.NESTED, Way.TREE}:  # ``rows`` has looked below it
                continue
            if (reason := self._why_not_within(edge.target, _in_same_row(edge, choice, row))) is not None:
                return reason
        return None

    def _served(self, edge: Edge) -> Served | None:
        """Return the source that names an index for the rows of one parent, or None if no index is known."""
        assert edge.prop is not None  # noqa: S101 - the caller asked
        link = links.link_in_database(edge.prop, edge.owner.mapper)
        if link.kind is LinkKind.PARENT:
            return None
        learned = self.learned.get(self._dialect_of(edge), NOTHING_LEARNED)
        return links.served_by(link.columns, (), learned)

    def _dialect_of(self, edge: Edge) -> Dialect:
        """Return the dialect of the database that has the rows at the end of an edge."""
        found = self.databases.get(edge.target.mapper)
        return self.dialect if found is None else found[1]
