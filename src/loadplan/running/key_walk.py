"""Reads roots in batches if a server-side cursor cannot stay open: first all keys, then the roots batch by batch.

MariaDB and MySQL end a cursor when the next statement runs on its connection. Their drivers then lose the remaining
rows, at most with a warning. A second connection cannot see the same snapshot. So loadplan first reads the keys of all
roots, in order, and selects each batch by its keys. This takes memory for one batch and for the keys, about a hundred
bytes for each root.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, select

from loadplan.running.graph import load_roots
from loadplan.running.own_connection import Opened
from loadplan.running.plans import Compiled
from loadplan.running.root_keys import root_keys
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
        self._name = compiled.mapper.class_.__name__
        self._root = root_keys(compiled.mapper.class_, compiled.mapper, compiled.dialect)
        self._keys = keys_of(self._root.asked, compiled.dialect)
        # check the conditions again: the caller's transaction may have no snapshot
        where = (*query.where, self._keys.condition)
        self._graph = compiled.narrowed(narrowing(compiled, where, query.total_order, None, None))
        self._rest: Iterator[Any] | None = None

    def next_batch(self, session: Opened) -> list[T]:
        """Return the next roots with their graphs, detached; an empty list at the end."""
        if self._rest is None:
            self._tally.sent(self._name)
            self._rest = iter(self._all_keys(session))
        while part := list(islice(self._rest, self._size)):
            self._tally.start_over()
            executions = [{**self._parameters, **bound} for bound in self._keys.bind(part)]
            roots: list[T] = load_roots(self._graph, session, executions, self._tally)
            session.expunge_all()
            if roots:  # in a transaction without a snapshot, all roots of a batch may be deleted by now
                return roots
        return []

    def _all_keys(self, session: Opened) -> Sequence[Any]:
        statement = select(*self._root.selected).where(*self._query.where)
        statement = statement.order_by(*(each.clause for each in self._query.total_order))
        width = len(self._root.columns)
        found: dict[Any, Any] = {}
        for row in session.execute(statement, self._parameters):
            bound = self._root.bound_of(row)
            found.setdefault(self._root.mark_of(row), bound[0] if width == 1 else bound)
        return list(found.values())

    def close(self, session: Opened) -> None:
        """Do nothing, because no cursor is open."""
