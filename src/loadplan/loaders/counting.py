"""Counts roots, asks PostgreSQL's planner for an estimate, or tells only whether a root exists."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import attrs
from sqlalchemy import Dialect, event, func, select, type_coerce
from sqlalchemy.orm import Mapper
from sqlalchemy.types import NullType

from loadplan.errors import LoaderError, Problem, shown
from loadplan.explained.explained import ExplainedStatement
from loadplan.explained.explanation import sql_text
from loadplan.mapped.repeats import is_never_null, is_object, row_key
from loadplan.plan import LoadPlan
from loadplan.resolved.strategy import Way
from loadplan.running.own_connection import AT_ONCE, Opened
from loadplan.running.plans import Compiled
from loadplan.running.roots import root_key
from loadplan.running.tally import Tally
from loadplan.statements.keys import row_of
from loadplan.statements.linked import AnySelect

Total: TypeAlias = Literal["exact", "estimated"]
"""How ``fetch_page`` finds the number of all roots."""


@attrs.frozen(eq=False)
class RootCount:
    """The statements that count the roots of a graph, without the loads below them.

    All of them select from the root's class itself, so criteria of the session apply.

    Attributes:
        mapper: the mapper of the root.
        dialect: the dialect of the root's database.
        count: the statement that selects the number of roots.
        exists: the statement that selects a row if a root exists.
        estimated: the statement for ``EXPLAIN``. It selects one column of each root.
    """

    mapper: Mapper[Any]
    dialect: Dialect
    count: AnySelect
    exists: AnySelect
    estimated: AnySelect

    def number(self, opened: Opened, parameters: Mapping[str, Any], tally: Tally) -> int:
        """Return the number of roots, with one statement."""
        return int(_first(opened, self.count, parameters, self.mapper, tally)[0])

    def any(self, opened: Opened, parameters: Mapping[str, Any], tally: Tally) -> bool:
        """Tell whether a root exists, with one statement."""
        return _first(opened, self.exists, parameters, self.mapper, tally) is not None

    def total(self, how: Total, opened: Opened, parameters: Mapping[str, Any], tally: Tally) -> int:
        """Return the number of roots, counted or estimated. On databases other than PostgreSQL, always count them."""
        if how == "exact" or self.dialect.name != "postgresql":
            return self.number(opened, parameters, tally)
        answer: Any = _explained(opened, self.estimated, parameters, self.mapper, tally)
        plan = json.loads(answer) if isinstance(answer, str | bytes) else answer
        return int(plan[0]["Plan"]["Plan Rows"])

    def explained(self, call: Literal["count", "exists"] | Total) -> ExplainedStatement:
        """Return the statement of a call, or of a page's total, as ``explain`` shows it."""
        name = self.mapper.class_.__name__
        if call == "exists":
            return ExplainedStatement(f"{name} exists", self._text(self.exists))
        if call == "estimated" and self.dialect.name == "postgresql":
            return ExplainedStatement(f"{name} estimated", f"{_EXPLAIN}{self._text(self.estimated)}")
        return ExplainedStatement(f"{name} count", self._text(self.count))

    def _text(self, statement: AnySelect) -> str:
        return sql_text(statement, self.dialect)


def root_count(graph: Compiled[Any]) -> RootCount:
    """Return the statements that count the roots of a graph. Later calls for the graph return the same statements.

    Args:
        graph: the graph with the conditions for the roots, without a limit.
    """
    found: RootCount | None = graph.variants.get("count")
    if found is None:
        found = graph.variants["count"] = _root_count(graph)
    return found


def _root_count(graph: Compiled[Any]) -> RootCount:
    statement: Any = graph.root.select
    key = root_key(graph.mapper)
    solid = is_object(graph.mapper)  # a row whose whole key is NULL is not a root
    conditions = () if solid is None else (solid,)
    if statement.whereclause is not None:
        conditions = (statement.whereclause,)
    if any(choice.way is Way.INNER for choice in graph.chosen.values()):  # only inner joins change the number of roots
        inside = statement.with_only_columns(*key, maintain_column_froms=True).order_by(None).correlate(None)
        conditions = (row_of(key).in_(inside),)
    return RootCount(
        graph.mapper,
        graph.dialect,
        _counting(graph, conditions),
        select(*key).where(*conditions).limit(1),
        select(type_coerce(key[0], NullType())).where(*conditions),
    )


def _counting(graph: Compiled[Any], conditions: Sequence[Any]) -> AnySelect:
    """Return a statement for the number of roots. It selects from the root's class, so the session's criteria apply."""
    mapper, key = graph.mapper, root_key(graph.mapper)
    solid = next((each for each in key if is_never_null(mapper, each)), None)
    if solid is not None and not graph.root.identity:
        return select(func.count(solid)).where(*conditions)
    # the root is a union of tables, or may come in several rows
    rows = select(*row_key(mapper.class_)).where(*conditions)
    return select(func.count()).select_from((rows.distinct() if graph.root.identity else rows).subquery())


def _first(
    opened: Opened,
    statement: AnySelect,
    parameters: Mapping[str, Any],
    mapper: Mapper[Any],
    tally: Tally,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Execute a statement that returns at most one row, and return the row or None."""
    tally.sent(mapper.class_.__name__)
    arguments = {"mapper": mapper}
    row = opened.execute(statement, parameters, execution_options=options, bind_arguments=arguments).first()
    tally.rows += row is not None
    return row


# --- the planner's figure -------------------------------------------------------------------------------------------

_EXPLAIN = "EXPLAIN (FORMAT JSON) "


def _explained(
    opened: Opened, statement: AnySelect, parameters: Mapping[str, Any], mapper: Mapper[Any], tally: Tally
) -> Any:
    """Return PostgreSQL's plan for a statement, with the criteria that the session's listeners add.

    The session executes the statement, so its listeners see it. Before the driver gets the text, loadplan puts
    ``EXPLAIN`` in front of it.

    Raises:
        LoaderError: LP408, a listener of the session returns another result for the statement.
    """
    asked: list[bool] = []

    def ask(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> tuple[str, Any]:
        asked.append(True)
        return f"{_EXPLAIN}{sql}", values

    connection = opened.connection(bind_arguments={"mapper": mapper})
    event.listen(connection, "before_cursor_execute", ask, retval=True)
    try:
        row = _first(opened, statement, parameters, mapper, tally, AT_ONCE)
    finally:
        event.remove(connection, "before_cursor_execute", ask)
    if not asked:
        raise LoaderError(
            Problem(
                "LP408",
                'total="estimated" cannot ask the planner in this session',
                detail="a do_orm_execute listener of the session answers the statement itself.",
                hint='use total="exact".',
            )
        )
    return row[0]


# --- plans that are only counted, and checks --------------------------------------------------------------------------


@lru_cache(maxsize=256)
def plan_of_class(entity: type[Any]) -> LoadPlan[Any]:
    """Return the plan to count the rows of a mapped class."""
    return LoadPlan(entity, only=[])


def check_total(plan: LoadPlan[Any], total: object) -> None:
    """Check the ``total=`` of ``fetch_page``.

    Raises:
        LoaderError: LP408, the value is not ``"exact"``, ``"estimated"`` or None.
    """
    if total is not None and (not isinstance(total, str) or total not in ("exact", "estimated")):
        message = f"total={shown(total)} is not a way to count"
        hint = 'use total="exact", total="estimated", or leave it out.'
        raise LoaderError(Problem("LP408", message, (plan.label,), hint=hint))
