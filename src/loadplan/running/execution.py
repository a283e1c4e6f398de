"""Executes a compiled plan: reads the rows of each statement, collects the keys for the next one, makes the objects."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, event
from sqlalchemy.orm import ORMExecuteState, Session

from loadplan.mapped.decoding import Undecodable, is_undecodable
from loadplan.mapped.drivers import driver_of
from loadplan.objects.hydrator import Hydrator
from loadplan.objects.losses import NOTHING_HIDDEN
from loadplan.running.binary import in_binary
from loadplan.running.compiled import CompiledPlan
from loadplan.running.making import Kept, Making
from loadplan.running.own_connection import OwnConnection, without_cursor
from loadplan.running.rows import Rows, rows_of
from loadplan.running.tally import Tally
from loadplan.running.watching import Watch, note, watch_of
from loadplan.sqlalchemy_internals import (
    BY_POSITION,
    changes_statements,
    driver_rows,
    is_silent,
    rows_of_text,
    takes_text,
    while_waiting,
)
from loadplan.statements.linked import AnySelect, Parameters
from loadplan.statements.statement import Statement

T = TypeVar("T")


class Execution(Generic[T]):
    """One execution of a compiled plan: its statements from the root down, then its objects."""

    def __init__(
        self,
        session: Session | OwnConnection,
        view: CompiledPlan[T],
        parameters: Parameters,
        tally: Tally,
        kept: Kept | None = None,
    ) -> None:
        self._session = session
        self._view = view
        self._parameters = parameters
        self._tally = tally
        self._kept = kept
        self.dialect: Dialect = session.get_bind(mapper=view.mapper).dialect
        self._executions: dict[int, list[Parameters]] = {0: [parameters]}
        self._asked: Session | None = None
        self._bare = session if isinstance(session, OwnConnection) else None
        self._watch: Watch | None = None
        if not isinstance(session, OwnConnection) and changes_statements(session):
            self._asked = session
            if view.tree.of_entities:
                self._watch = watch_of(session)
            event.listen(session, "do_orm_execute", _without_entities)

    def rows(self, statement: Statement, parameters: Parameters, *, is_bounded: bool = False) -> Rows:
        """Execute a statement and return its rows.

        Raises:
            TooManyRows: LP406, the fetch has more than ``max_rows`` rows.
        """
        select = statement.select if is_bounded else self._tally.bounded(statement.select)
        self._tally.sent(statement.name)
        try:
            rows = self._fetch(statement, select, parameters)
        except Exception as error:
            if is_undecodable(error):
                raise Undecodable from error
            raise
        return self.counted(rows, statement)

    def _fetch(self, statement: Statement, select: AnySelect, parameters: Parameters) -> Rows:
        """Execute a statement of columns without SQLAlchemy's ORM.

        If a listener or a criterion may change the statement, the session executes it. Otherwise the session's
        connection executes it, from the second time on as text.
        """
        arguments: dict[str, Any] = {"mapper": statement.place.mapper, "clause": select}
        if not (statement.nests and driver_of(self.dialect).in_binary):
            return self._sent(statement, select, parameters, arguments)
        with in_binary(self._session.connection(bind_arguments=arguments)):
            return self._sent(statement, select, parameters, arguments)

    def _sent(self, statement: Statement, select: AnySelect, parameters: Parameters, arguments: dict[str, Any]) -> Rows:
        if self._asked is not None:
            return rows_of(ask(self._asked, self._watch, select, parameters), self.dialect)
        connection = self._session.connection(bind_arguments=arguments)
        text = statement.texts.on(connection.dialect) if select is statement.select else None
        if text is not None and self._bare is not None and is_silent(connection) and self._bare.sends_at_once:
            return Rows(rows_of_text(connection, text.sql, text.bind(parameters)), True, connection.dialect)
        if text is not None and takes_text(connection):
            rows = driver_rows(connection.exec_driver_sql(text.sql, text.bind(parameters)))
            return Rows(rows, True, connection.dialect)
        return rows_of(connection.execute(select, parameters, execution_options=BY_POSITION), self.dialect)

    def counted(self, rows: Rows, statement: Statement) -> Rows:
        """Count rows that have arrived, and return them. Raise an error if they are too many."""
        self._tally.counted(rows.rows, statement.name)
        return rows

    def build(self, roots: Rows) -> list[T]:
        """Load everything below the rows of roots, and make the objects.

        While a statement waits for the database, this makes the objects of the rows that are there.
        """
        if not roots.rows:
            return []
        making = Making(self._view, self._hydrator, roots)
        for number, statement in enumerate(self._view.later, start=1):
            above = making.rows[self._view.above[number]]
            keys = self._hydrator(above).keys[number](above.rows)
            fetch = partial(self._rows_below, number, statement, keys)
            # a listener may hide rows of any statement, and then the objects of all statements differ
            is_free = self._asked is None and keys and making.is_ready
            making.add(number, while_waiting(fetch, making.proceed) if is_free else fetch())
        return making.finish(self._session, self._kept)

    def _hydrator(self, rows: Rows) -> Hydrator:
        hidden = NOTHING_HIDDEN if self._watch is None else self._watch.hidden
        return self._view.hydrator(rows.dialect, raw=rows.raw, hidden=hidden)

    def _rows_below(self, number: int, statement: Statement, keys: list[Any] | dict[Any, Any]) -> Rows:
        """Return the rows of a statement for keys of parents.

        For a whole tree, execute the statement again for the next level as long as it has not returned all levels.
        """
        rows: list[Any] = []
        raw, dialect, asked = True, self.dialect, set(keys)
        executions = self._executions[number] = list[Parameters]()
        while keys:
            fresh: dict[Any, Any] = {}
            for parameters in self._bound(number, statement, keys):
                executions.append(parameters)
                part = self.rows(statement, parameters)
                raw, dialect = part.raw, part.dialect
                rows += part.rows
                if statement.level_by_level or statement.was_cut(part.rows):
                    onward = self._hydrator(part).onward[number](part.rows)
                    fresh |= onward if isinstance(onward, dict) else dict(zip(onward, onward, strict=True))
            keys = {key: value for key, value in fresh.items() if key not in asked}
            asked.update(keys)
        return Rows(rows, raw, dialect)

    def _bound(self, number: int, statement: Statement, keys: list[Any] | dict[Any, Any]) -> Iterator[Parameters]:
        """Yield the parameters of each execution of a statement.

        They are the keys of the parents. If the statement contains the parents' statement, they are its parameters.
        """
        if statement.keys is None:
            yield from self._executions[self._view.above[number]]
            return
        for bound in statement.keys.bind(list(keys.values()) if isinstance(keys, dict) else keys):
            yield {**self._parameters, **bound}


def ask(
    session: Session,
    watch: Watch | None,
    select: AnySelect,
    parameters: Parameters,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Execute a statement with the session. ``watch`` notes the changes that listeners make to the statement."""
    if watch is None:
        return session.execute(select, parameters, execution_options=options or {})
    given: Any = parameters
    return watch.over(select, given, lambda: session.execute(select, given, execution_options=options or {}))


def _without_entities(state: ORMExecuteState) -> Any:
    """Execute a statement of columns without SQLAlchemy's ORM.

    This is the last listener of the session. All others have run before it, and have added their criteria.
    """
    if not state.is_select:
        return None
    note(state)
    connection = state.session.connection(bind_arguments=state.bind_arguments)
    # a listener's ``update_execution_options``, such as for a schema_translate_map, changes only the local options
    options = without_cursor({**state.execution_options, **state.local_execution_options})
    return connection.execute(state.statement, state.parameters or {}, execution_options=options)
