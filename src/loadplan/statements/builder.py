"""Turns a tree and its choices into statements, with the position of each column in the rows.

Each statement or subquery selects a mapped class directly. The SQL around a subquery uses the columns of the subquery.
``with_loader_criteria`` ignores aliases of a class, but applies to every class that is selected directly.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect, Integer, and_, case, exists, false, func, literal_column, schema, select
from sqlalchemy.orm import ColumnProperty

from loadplan.declared.sources import is_path
from loadplan.mapped import links, mapping
from loadplan.mapped.indexes import NOTHING_LEARNED, LearnedIndexes
from loadplan.mapped.links import LinkKind
from loadplan.mapped.ordering import Ordering, orderings, with_tie_breaker
from loadplan.mapped.repeats import key_part, may_repeat, row_key
from loadplan.mapped.telling import is_bindable, reads_only_null_as_none
from loadplan.resolved.strategy import LEAVES_OUT, Choice, Databases, Learned, Way
from loadplan.resolved.tree import UNKNOWN, Column, Edge, Place, edges_below, places_from
from loadplan.sqlalchemy_internals import left_as_is
from loadplan.statements.aggregates import grouped
from loadplan.statements.first_rows import numbered, walked_to, why_lateral, why_no_lateral
from loadplan.statements.joined_orders import Join, in_joins, joined_to, joined_value
from loadplan.statements.keys import Keys, among, keys_of, selecting_keys
from loadplan.statements.linked import (
    AnySelect,
    Linked,
    collection_order,
    link_on,
    linked,
    told,
)
from loadplan.statements.nested import array_of, beside_arrays, nested_row
from loadplan.statements.place_columns import PlaceColumns
from loadplan.statements.reached import ordered
from loadplan.statements.selected import labelled, named, plain_number, selecting, shortened, slot_name, slot_of
from loadplan.statements.statement import Slot, Statement
from loadplan.statements.whole_tree import TreeKeys, greatest_depth, in_whole_tree, reached_from


class StatementBuilder:
    """Builds the statements of one tree, for one set of choices.

    Args:
        root: the place of the roots.
        chosen: the way in which each edge is loaded.
        dialect: the dialect of the root's database and its driver.
        databases: the databases of the classes if there are several; empty if all classes are in one database.
        learned: indexes that the databases have and the mapping does not.
        of_entities: whether the rows become mapped instances. They then need their keys.
    """

    def __init__(
        self,
        root: Place,
        chosen: Mapping[Edge, Choice],
        dialect: Dialect,
        databases: Databases,
        learned: Learned,
        *,
        of_entities: bool,
    ) -> None:
        self._chosen = chosen
        self._dialect = dialect
        self._databases = databases
        self._learned = learned
        self._ties: dict[Edge, Linked] = {}
        self._ranks: list[Any] = []
        self._everywhere = any(each.name != dialect.name for _, each in databases.values())
        self.columns = PlaceColumns(dialect, everywhere=self._everywhere)
        self.places = list(places_from(root))
        self._tables = frozenset(root.mapper.registry.metadata.tables)
        self._aliases = set(self._tables)
        self.root_ranks: tuple[Any, ...] = ()
        self.present: dict[Edge, Column] = {}
        self.arrays: dict[Edge, tuple[Slot, ...]] = {}
        self.trees: dict[Edge, TreeKeys] = {}
        for edge in edges_below(root):
            self._prepare(edge)
        #: Whether a join of a statement may return several rows for one object, because it joins a collection.
        self.repeats_objects = any(repeats_rows(each, chosen) for each in self.places)
        self._is_root_repeated = may_repeat(root.mapper)
        if self._is_root_repeated:
            self.columns.identity(root)
        if of_entities:
            for place in [root, *(edge.target for edge in edges_below(root) if edge.prop is not None)]:
                self.columns.tell_objects_apart(place)
        if not self.columns.at(root):  # the first column gives the mapped class of the statement
            self.columns.key(root)
        for edge in edges_below(root):
            if self._chosen[edge].way is Way.NESTED and not self.columns.at(edge.target):  # ROW() needs a column
                self.columns.key(edge.target)

    # --- keys -----------------------------------------------------------------------------------------------------

    def _prepare(self, edge: Edge) -> None:
        """Select the columns that an edge needs at both ends."""
        way = self._chosen[edge].way
        if way is Way.SAME_ROW:
            self.columns.is_in_row_of(edge.target, edge.owner)
        if edge.prop is not None:
            parent = edge.owner.mapper
            link = (
                link_on(edge.prop, parent, self._dialect_of(edge))
                if way.own_statement or way is Way.TREE
                else links.link_in_database(edge.prop, parent)
            )
            ties = self._ties[edge] = linked(edge.prop, parent, link)
            if way.own_statement:
                self._ties[edge] = told(ties, self._dialect_of(edge), everywhere=self._everywhere)
                self.parents(edge)
                if edge.shape.depth == "all":
                    self._onward(edge)
                if way is not Way.GROUPED and self._repeats(edge):
                    self.columns.identity(edge.target)
            if way is Way.TREE:
                self.trees[edge] = TreeKeys(self._own_keys(edge), self.parents(edge), self._onward(edge))
        if way.joins:
            dialect = self._dialect_of(edge)
            plain = (each for each in edge.target.columns if each.never_null and _is_stored(each, dialect))
            self.present[edge] = next(plain, None) or self.columns.key(edge.target)[0]

    def _repeats(self, edge: Edge) -> bool:
        """Tell whether the statement of an edge may return one target several times for a parent.

        If parents come from a subquery, chunks of their keys may also return a target several times.
        """
        return (
            self._ties[edge].link.repeats
            or edge.shape.depth == "all"
            or self._chosen[edge].way is Way.PARENTS
            or repeats_rows(edge.target, self._chosen)
            or may_repeat(edge.target.mapper)
        )

    def parents(self, edge: Edge) -> tuple[Column, ...]:
        """Return the columns of the statement above that hold the keys by which the rows of an edge are found."""
        return tuple(self.columns.told(edge.owner, each) for each in self._keys_at(edge, edge.owner))

    def _onward(self, edge: Edge) -> tuple[Column, ...]:
        """Return the columns of an edge's rows that hold the keys for the next level of a whole tree."""
        return tuple(self.columns.told(edge.target, each) for each in self._keys_at(edge, edge.target))

    def _keys_at(self, edge: Edge, place: Place) -> list[Column]:
        """Return the columns of a place that hold the keys by which the rows of an edge are found."""
        return [self.columns.attribute(place, name) for name in self._ties[edge].link.attributes]

    def _bound(self, edge: Edge, place: Place) -> tuple[Column, ...]:
        """Return the columns of a place whose values the statement of an edge binds as keys."""
        pairs = [(each, self.columns.told(place, each)) for each in self._keys_at(edge, place)]
        return tuple(told if told is key or is_bindable(told.expression) else key for key, told in pairs)

    def _order(self, edge: Edge) -> list[Ordering]:
        """Return the order of the rows at the end of an edge; an empty list if a parent has at most one row."""
        if edge.prop is None or (edge.cardinality.to_one and edge.single):
            return []
        shape, at = edge.shape, (*edge.owner.path, edge.name)
        if shape.order_by is not None:
            by = (ordered(each, edge.target, at) if is_path(each) else each for each in shape.order_by)
            shape = attrs.evolve(shape, order_by=tuple(by))
        return collection_order(edge.prop, shape, self._ties[edge].target)

    def _dialect_of(self, edge: Edge) -> Dialect:
        """Return the dialect of the database that holds the rows at the end of an edge."""
        found = self._databases.get(edge.target.mapper)
        return self._dialect if found is None else found[1]

    def _learned_of(self, edge: Edge) -> LearnedIndexes:
        return self._learned.get(self._dialect_of(edge), NOTHING_LEARNED)

    # --- whole statements -----------------------------------------------------------------------------------------

    def root(self, place: Place) -> Statement:
        """Return the statement of the roots, without a condition."""
        self._ranks = []
        statement, items = self._row(place, select(place.entity).select_from(place.entity))
        self.root_ranks = tuple(self._ranks)
        return Statement(
            place,
            selecting(statement, beside_arrays(items, self._dialect)),
            tuple(slot for slot, _ in items),
            identity=self.columns.identity(place) if self._is_root_repeated else (),
            values=tuple(each for _, each in items),
        )

    def follow_up(self, edge: Edge, above: Statement) -> Statement:
        """Return the statement of an edge, which binds the keys of the parents or contains their statement."""
        grouped = self._chosen[edge].way is Way.GROUPED
        return self._grouped_statement(edge) if grouped else self._rows_statement(edge, above)

    def _rows_statement(self, edge: Edge, above: Statement) -> Statement:
        assert edge.prop is not None  # noqa: S101 - what a subclass adds is joined
        ties, place = self._ties[edge], edge.target
        repeats_parents = self._chosen[edge].way is Way.PARENTS
        keys = None if repeats_parents else keys_of(ties.asked, self._dialect_of(edge))
        order = self._order(edge)
        rows = ties.rows.where(*edge.shape.where)
        how, level_by_level = "", False
        tail: list[Any] = []
        shared: tuple[Slot | None, ...] = ()
        if keys is not None and _limit(edge) is not None:
            order = order or with_tie_breaker(row_key(ties.target), ties.target)
            statement, items, how = self._first_rows(edge, rows, keys, order)
            level_by_level = edge.shape.depth == "all"
        else:
            among = self._among_parents(edge, above) if keys is None else keys.condition
            if edge.shape.depth == "all":
                level_by_level = ties.link.kind is LinkKind.PARENT
                if keys is not None and not level_by_level:
                    among = in_whole_tree(rows, ties.link, keys, ties.target)
                    how = "one recursive statement for the whole tree"
                    tail = greatest_depth(self._dialect_of(edge))
                    how += ", and again below its leaves if the server may have ended it early" if tail else ""
            self._ranks = []
            order, joins = self._in_joins(edge, order)
            joined, items = self._row(place, joined_to(rows.where(among), place.entity, joins))
            shared = tuple(slot_of(column, items) for column in ties.columns)
            own = [column for column, slot in zip(ties.columns, shared, strict=True) if slot is None]
            statement = selecting(joined, [*own, *beside_arrays(items, self._dialect), *tail])
            statement = statement.order_by(*(each.clause for each in order), *self._ranks)
        if level_by_level:
            how = "; ".join(filter(None, [how, "the statement again for each level of the tree"]))
        repeats = self._repeats(edge)
        return Statement(
            place,
            statement,
            tuple(slot for slot, _ in items),
            edge,
            keys,
            parents=self.parents(edge),
            bound=self._bound(edge, edge.owner),
            identity=self.columns.identity(place) if repeats else (),
            onward=self._onward(edge) if edge.shape.depth == "all" else (),
            bound_onward=self._bound(edge, place) if edge.shape.depth == "all" else (),
            level_by_level=level_by_level,
            may_be_cut=bool(tail),
            how=how,
            above=above if repeats_parents else None,
            values=tuple(each for _, each in items),
            shared=shared,
        )

    def _in_joins(self, edge: Edge, order: list[Ordering]) -> tuple[list[Ordering], list[Join]]:
        """Return the order of an edge's rows, and the rows to join that this order reads."""
        place, dialect = edge.target, self._dialect_of(edge)
        if not order or edge.prop is None or place.entity is not edge.prop.mapper.class_:
            return order, []
        given = edge.shape.order_by or ()
        joined = [joined_value(each, place, dialect) if is_path(each) else None for each in given]
        return in_joins(order, joined, reuse=False)

    def _among_parents(self, edge: Edge, above: Statement) -> Any:
        """Return the condition that rows belong to the parents in a statement, which becomes a subquery."""
        columns = [above.values[above.slots.index(slot)] for slot in self._bound(edge, edge.owner)]
        inner = selecting_keys(above.select, columns, above.place)
        if mapping.is_read_elsewhere(edge.target.mapper):
            inner = left_as_is(inner)
        return among(self._ties[edge].asked, inner, self._dialect_of(edge))

    def _first_rows(
        self, edge: Edge, rows: AnySelect, keys: Keys, order: Sequence[Ordering]
    ) -> tuple[AnySelect, list[tuple[Slot, Any]], str]:
        """Return the statement for the first rows of each parent, with LATERAL or a window function."""
        ties, limit = self._ties[edge], plain_number(_limit(edge))
        learned = self._learned_of(edge)
        reason = why_no_lateral(ties.link, keys, edge.shape.where, order, self._dialect_of(edge), learned)
        if reason is None and may_repeat(edge.target.mapper):
            reason = "one of its objects may come in several rows"
        if reason is None and self._asks_subquery(edge.target):
            reason = "a field below it contains a subquery"
        if reason is None and any(self._chosen[each].way is Way.INNER for each in edge.target.edges):
            reason = LEAVES_OUT
        if reason is None and repeats_rows(edge.target, self._chosen):
            reason = "a joined collection below it repeats rows that its limit counts"
        self._ranks = []
        if reason is None:
            parents = keys.rows()
            met = and_(*(left == right for left, right in zip(keys.columns, parents.c, strict=True)))
            statement, items = self._row(edge.target, rows.where(met))
            statement, values = walked_to(parents, statement, [each for _, each in items], order, limit)
            slots = [(slot, each) for (slot, _), each in zip(items, values, strict=True)]
            return statement, slots, why_lateral(keys, order, learned)
        start, parents_of, in_order = numbered(edge, ties, rows.where(keys.condition), order, limit)
        statement, items = self._row(edge.target, start)
        statement = selecting(statement, [*parents_of, *(each for _, each in items)])
        return statement.order_by(*in_order, *self._ranks), items, f"window function: {reason}"

    def _asks_subquery(self, place: Place) -> bool:
        """Tell whether rows contain subqueries. Within LATERAL, SQLAlchemy would warn of a cartesian product."""
        return any(
            self._chosen[edge].way in {Way.SUBQUERY, Way.NESTED}
            or (self._chosen[edge].way.joins and self._asks_subquery(edge.target))
            for edge in place.edges
        )

    def _grouped_statement(self, edge: Edge) -> Statement:
        ties, dialect = self._ties[edge], self._dialect_of(edge)
        keys = keys_of(ties.asked, dialect)  # ``grouped`` may return other columns
        asked = attrs.evolve(ties, statement=ties.statement.where(keys.condition))
        columns, value, statement = grouped(edge, asked)
        return Statement(
            edge.target,
            selecting(statement, [*columns, value]),
            (edge,),
            edge,
            keys,
            parents=self.parents(edge),
            bound=self._bound(edge, edge.owner),
        )

    # --- rows -----------------------------------------------------------------------------------------------------

    def _row(self, place: Place, statement: AnySelect) -> tuple[AnySelect, list[tuple[Slot, Any]]]:
        """Return a statement with the joins of a place added, and the slots of its columns."""
        items: list[tuple[Slot, Any]] = [(column, column.expression) for column in self.columns.at(place)]
        for edge in place.edges:
            way = self._chosen[edge].way
            if way.joins:
                statement, joined = self._joined(edge, statement, inner=way is Way.INNER)
                items += joined
            elif way is Way.SAME_ROW:
                statement, same = self._row(edge.target, statement)
                items += same
            elif way is Way.NESTED:
                items.append((edge, self._array(edge)))
            elif way is Way.TREE:
                items.append((edge, self._tree(edge)))
            elif way is Way.SUBQUERY:
                items.append((edge, self._value(edge)))
        return statement, items

    def _joined(self, edge: Edge, statement: AnySelect, *, inner: bool) -> tuple[AnySelect, list[tuple[Slot, Any]]]:
        """Join the one row at the end of an edge, from a separate subquery."""
        order = self._order(edge)
        before = len(self._ranks)
        below, items, keys = self._subquery(edge, order)
        met = and_(*(below.c[key] == column for key, column in zip(keys, self._parent_key(edge), strict=True)))
        # before the orders of collections that are joined further down
        self._ranks[before:before] = [each.on(below.c[f"order_{index}"]) for index, each in enumerate(order)]
        join = statement.join_from if inner else statement.outerjoin_from
        return join(self.columns.base(edge.owner).entity, below, met), items

    def _subquery(self, edge: Edge, order: Sequence[Ordering] = ()) -> tuple[Any, list[tuple[Slot, Any]], list[str]]:
        """Return the rows at the end of an edge as a subquery, its slots, and the names of its key columns."""
        if edge.prop is None:
            start = select(edge.target.entity).select_from(edge.target.entity)
            columns: Sequence[Any] = [getattr(edge.target.entity, name) for name in self._row_key(edge)]
        else:
            ties = self._ties[edge]
            start, columns = ties.rows.where(*edge.shape.where), ties.columns
        outer, self._ranks = self._ranks, []
        statement, items = self._row(edge.target, start)
        within, self._ranks = orderings(self._ranks), outer
        keys = labelled(columns, "key")
        ranks = labelled([each.expression for each in order], "order")
        further = labelled([each.expression for each in within], "rank")
        taken = {each.name for each in (*keys, *ranks, *further)}
        values = named([(slot_name(slot), each) for slot, each in items], taken)
        below = self._within(edge, selecting(statement, [*keys, *ranks, *further, *values]))
        self._ranks += [each.on(below.c[f"rank_{index}"]) for index, each in enumerate(within)]
        slots = [(slot, below.c[value.name]) for (slot, _), value in zip(items, values, strict=True)]
        return below, slots, [each.name for each in keys]

    def _within(self, edge: Edge, statement: AnySelect) -> Any:
        """Return a statement as the subquery of an edge.

        If a class is mapped to a union or a join, SQLAlchemy replaces its tables in everything that a statement
        selects. This must not change the rows at the end of an edge.
        """
        below = statement.subquery(self._alias(edge))
        return left_as_is(below) if mapping.is_read_elsewhere(self.columns.base(edge.owner).mapper) else below

    def _alias(self, edge: Edge) -> str:
        """Return a name for the subquery of an edge. No table and no other subquery has this name."""
        stem, number = shortened(edge.key), 1
        if stem in self._tables and self._has_aliases:  # SQLAlchemy itself uses this name for an alias of the table
            stem = f"{stem}_rows"
        while (name := f"{stem}_{number}") in self._aliases:
            number += 1
        self._aliases.add(name)
        return name

    @property
    def _has_aliases(self) -> bool:
        """True if SQLAlchemy may name aliases in a statement: aliases of parents or of targets."""
        return any(
            ties.link.kind is LinkKind.PARENT or (edge.prop is not None and edge.prop.entity.is_aliased_class)
            for edge, ties in self._ties.items()
        )

    def _parent_key(self, edge: Edge) -> Iterator[Any]:
        """Yield the expressions of the outer statement. The key columns of an edge's rows must equal them."""
        names = self._row_key(edge) if edge.prop is None else self._ties[edge].link.attributes
        for name in names:
            yield self.columns.expression(edge.owner, name)

    def _row_key(self, edge: Edge) -> tuple[str, ...]:
        return mapping.primary_key(edge.owner.mapper)

    def _array(self, edge: Edge) -> Any:
        """Return the rows at the end of an edge as one array of rows, within the row of their parent."""
        assert edge.prop is not None  # noqa: S101 - what a subclass adds is joined
        order = self._order(edge)
        if not order and edge.cardinality.to_one and not edge.single:
            order = with_tie_breaker(row_key(self._ties[edge].target), self._ties[edge].target)
        below, items, keys = self._subquery(edge, order)
        self.arrays[edge] = tuple(slot for slot, _ in items)
        met = [below.c[key] == column for key, column in zip(keys, self._parent_key(edge), strict=True)]
        in_order = [each.on(below.c[f"order_{index}"]) for index, each in enumerate(order)]
        rows = select(nested_row(items, self._dialect)).select_from(below).where(*met).order_by(*in_order)
        limit = 1 if edge.cardinality.to_one else edge.shape.limit
        if limit is not None:
            rows = rows.limit(plain_number(limit))
        return array_of(rows)

    def _own_keys(self, edge: Edge) -> tuple[Column, ...]:
        """Return the columns that hold the parent's key in each row of a whole tree."""
        held = [(each, each.expression) for each in self.columns.at(edge.target)]
        slots = [slot_of(column, held) for column in self._ties[edge].columns]
        return tuple(
            slot if isinstance(slot, Column) else Column(f"key_{index}", column, column.type)
            for index, (slot, column) in enumerate(zip(slots, self._ties[edge].columns, strict=True))
        )

    def _tree(self, edge: Edge) -> Any:
        """Return all rows of a tree as one array of rows, each with the key of its parent, in the row of the root."""
        ties, order = self._ties[edge], self._order(edge)
        below, items, keys = self._subquery(edge, order)
        held = [slot for slot, _ in items]
        pairs = zip(self.trees[edge].own, (below.c[key] for key in keys), strict=True)
        items = [*((slot, each) for slot, each in pairs if slot not in held), *items]
        self.arrays[edge] = tuple(slot for slot, _ in items)
        onward = [key_part(edge.target.entity, name) for name in ties.link.attributes]
        steps = [*labelled(ties.columns, "key"), *labelled(onward, "onward")]
        links = self._within(edge, selecting(ties.rows.where(*edge.shape.where), steps))
        reached = reached_from(list(self._parent_key(edge)), links)
        met = and_(*(below.c[key] == each for key, each in zip(keys, reached.c, strict=True)))
        rows = select(nested_row(items, self._dialect)).select_from(reached.join(below, met))
        rows = rows.order_by(*(each.on(below.c[f"order_{index}"]) for index, each in enumerate(order)))
        return array_of(rows)

    # --- aggregates -----------------------------------------------------------------------------------------------

    def _value(self, edge: Edge) -> Any:
        """Return the aggregates over the rows at the end of an edge, as values in the row of the parent."""
        assert edge.aggregation is not None  # noqa: S101 - the caller chose it for that
        ties = self._ties[edge]
        if edge.aggregation.kind == "exists":
            held = labelled(ties.columns, "key")
            columns, rows = held, ties.rows.where(*edge.shape.where)
        else:
            keys, value, rows = grouped(edge, ties)
            held = labelled(keys, "key")
            columns = [*held, value.label("value")]
        below = self._within(edge, selecting(rows, columns))
        met = [below.c[key.name] == each for key, each in zip(held, self._parent_key(edge), strict=True)]
        has_rows = exists(select(literal_column("1")).select_from(below).where(*met))
        if edge.aggregation.kind == "exists":
            return has_rows
        found = select(below.c.value).select_from(below).where(*met).scalar_subquery()
        empty = edge.aggregation.empty
        if empty is UNKNOWN:  # only the database knows the aggregate of no rows, and a parent without rows has no group
            without = select(edge.aggregation.expression).select_from(ties.target).where(false())
            return case((has_rows, found), else_=without.correlate(None).scalar_subquery())
        return found if empty is None else func.coalesce(found, literal_column(str(empty), Integer))


def repeats_rows(place: Place, chosen: Mapping[Edge, Choice]) -> bool:
    """Tell whether a join below a place may return several rows for one row of the place.

    Args:
        place: the place at which a statement starts, or a place that is joined to it.
        chosen: the way in which each edge is loaded.
    """
    return any(
        (way.joins and not edge.single) or ((way.joins or way is Way.SAME_ROW) and repeats_rows(edge.target, chosen))
        for edge in place.edges
        for way in (chosen[edge].way,)
    )


def _limit(edge: Edge) -> int | None:
    """Return the limit of an edge: the most rows that each parent gets; None for all rows."""
    if edge.cardinality.to_one and not edge.single and edge.shape.depth is None:
        return 1
    return edge.shape.limit


def _is_stored(column: Column, dialect: Dialect) -> bool:
    """Tell whether a value is a table's column itself. NOT NULL of the column then holds for the value."""
    prop = getattr(column.expression, "property", None)
    stored = isinstance(prop, ColumnProperty) and all(isinstance(each, schema.Column) for each in prop.columns)
    return stored and reads_only_null_as_none(column.type, dialect)
