"""Reads roots in batches if a server-side cursor cannot stay open: first all keys, then the roots batch by batch.

MariaDB and MySQL end a cursor when the next statement runs on its connection. Their drivers then lose the remaining
rows, at most with a warning. A second connection cannot see the same snapshot. So loadplan first reads the keys of all
roots, in order, and selects each batch by its keys. This takes memory for one batch and for the keys, about a hundred
bytes for each root.

In a list of keys, a key with NULL equals nothing. So each root whose key contains NULL takes a separate statement.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby, islice
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, bindparam, select

from loadplan.mapped.repeats import is_object, row_key
from loadplan.running.graph import load_roots
from loadplan.running.own_connection import Opened
from loadplan.running.plans import Compiled
from loadplan.running.root_keys import told_keys
from loadplan.running.roots import RootQuery, narrowing
from loadplan.running.tally import Tally
from loadplan.statements.keys import keys_of

T = TypeVar("T")

#: Databases whose drivers keep a server-side cursor open while other statements run. For others, a stream reads keys
#: first.
_KEEPS_CURSORS = frozenset({"postgresql", "sqlite"})


def walks_by_keys(dialect: Dialect) -> bool:
    """Tell whether a stream on a database reads its roots in batches by their keys, without a cursor."""
    return dialect.name not in _KEEPS_CURSORS


class KeyWalk(Generic[T]):
    """Reads roots in batches, by their keys.

    Args:
        compiled: the compiled plan, for any number of roots.
        query: the conditions and the order of the roots.
        parameters: the parameters of its statements.
        size: the number of roots in a batch.
        tally: counts rows and statements. Each batch may have ``max_rows`` rows.
    """

    def __init__(
        self, compiled: Compiled[T], query: RootQuery, parameters: Mapping[str, Any], size: int, tally: Tally
    ) -> None:
        self._query = query
        self._parameters = parameters
        self._size = size if tally.max_rows is None else min(size, tally.max_rows + 1)
        self._tally = tally
        self._compiled = compiled
        self._root = told_keys(row_key(compiled.mapper.class_), compiled.dialect)
        self._keys = keys_of(self._root.asked, compiled.dialect)
        self._graph = self._narrowed(self._keys.condition)
        self._rest: Iterator[Sequence[Any]] | None = None

    def _narrowed(self, *by_key: Any) -> Compiled[T]:
        """Return the graph narrowed to keys. The caller's transaction may have no snapshot, so conditions stay."""
        where = (*self._query.where, *by_key)
        return self._compiled.narrowed(narrowing(self._compiled, where, self._query.total_order, None, None))

    @cached_property
    def _graph_of_one(self) -> Compiled[T]:
        """The graph narrowed to one key, in which NULL equals NULL."""
        parts = zip(self._keys.columns, self._names, self._keys.items, strict=True)
        return self._narrowed(*(each.is_not_distinct_from(bindparam(name, type_=item)) for each, name, item in parts))

    @property
    def _names(self) -> list[str]:
        """The parameters of :attr:`_graph_of_one`."""
        return [f"loadplan_key_{index}" for index in range(self._keys.width)]

    def next_batch(self, session: Opened) -> list[T]:
        """Return the next roots with their graphs, detached; an empty list at the end."""
        if self._rest is None:
            self._tally.sent(self._compiled.mapper.class_.__name__)
            self._rest = self._batches(self._all_keys(session))
        for part in self._rest:
            self._tally.start_over()
            roots = self._roots_of(part, session)
            session.expunge_all()
            if roots:  # in a transaction without a snapshot, all roots of a batch may be deleted by now
                return roots
        return []

    def _batches(self, keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Yield the keys of each batch: some keys without NULL, or one key with NULL."""
        for has_null, run in groupby(keys, self._has_null):
            while part := list(islice(run, 1 if has_null else self._size)):
                yield part

    def _has_null(self, key: Any) -> bool:
        values = (key,) if self._keys.width == 1 else key
        return any(value is None for value in values)  # values of some types compare in another way with ==

    def _roots_of(self, part: Sequence[Any], session: Opened) -> list[T]:
        graph, bound = self._graph, list(self._keys.bind(part))
        if self._has_null(part[0]):
            graph, bound = self._graph_of_one, [dict(zip(self._names, part[0], strict=True))]
        executions = [{**self._parameters, **each} for each in bound]
        return load_roots(graph, session, executions, self._tally)

    def _all_keys(self, session: Opened) -> Sequence[Any]:
        solid = is_object(self._compiled.mapper)
        where = self._query.where if solid is None else (*self._query.where, solid)
        statement = select(*self._root.selected).where(*where)
        statement = statement.order_by(*(each.clause for each in self._query.total_order))
        width = self._keys.width
        found: dict[Any, Any] = {}
        for row in session.execute(statement, self._parameters):
            bound = self._root.bound_of(row)
            found.setdefault(self._root.mark_of(row), bound[0] if width == 1 else bound)
        return list(found.values())

    def close(self, session: Opened) -> None:
        """Do nothing, because no cursor is open."""
