"""For your tests: checks the cost of a plan without a database, and records SQL with the lines of code that sent it.

pytest finds the fixture ``statements`` by itself. The fixture is in ``pytest_loadplan``, which imports loadplan only
when a test uses the fixture.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Dialect, Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.called import with_usage
from loadplan.declared.spec import StrategyName
from loadplan.errors import counted, did_you_mean, one_of
from loadplan.explained.dialects import dialect_of
from loadplan.explained.explained import ExplainedEdge
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import check_plan
from loadplan.plan import LoadPlan
from loadplan.resolved.strategy import ASKED
from loadplan.tools.costs import PlanCost, plan_cost
from loadplan.tools.learning import learn, learn_sync
from loadplan.tools.reads import Reads, record_reads
from loadplan.tools.recording import Repetition, Statement, Statements, record_statements
from loadplan.tools.together import Unread

__all__ = [
    "Reads",
    "Repetition",
    "Statement",
    "Statements",
    "Unread",
    "assert_plan",
    "learn",
    "learn_sync",
    "record_reads",
    "record_statements",
]


@with_usage("Write assert_plan(PLAN, statements=2).")
def assert_plan(
    plan: LoadPlan[Any],
    statements: int | None = None,
    dialect: str | Dialect | Engine | AsyncEngine = "postgresql",
    strategies: Mapping[QueryableAttribute[Any] | str, StrategyName] | None = None,
    *,
    columns: int | None = None,
    joins: int | None = None,
) -> None:
    """Check that a plan resolves and is loaded as expected. This needs no database and no driver.

    Args:
        plan: the plan.
        statements: the number of statements of a fetch by primary key, for up to 500 parents of each relationship; None
            for any number.
        dialect: the name of the database.
        strategies: the strategies of relationships: ``{Post.tags: "selectin"}`` or ``{"Post.tags": "selectin"}``. If
            the plan loads a relationship in several places, all of them must have this strategy.
        columns: the number of columns that all statements select together. A nested array counts as one column.
        joins: the number of joins of all statements together.

    Raises:
        AssertionError: the plan is loaded differently. The message ends with the explained plan.
        LoaderError: LP408, ``plan`` is not a plan.
        PlanError: the plan does not resolve.
        ValueError: no strategy or no dialect has this name.
    """
    __tracebackhide__ = True
    check_plan(plan)
    explanation = plan.explain(dialect)
    found = list(_differences(explanation, statements, strategies or {}))
    if columns is not None or joins is not None:
        found += _cost_differences(plan_cost(plan, dialect_of(dialect)), columns=columns, joins=joins)
    if found:
        tree = str(explanation).partition("\n\n-- ")[0]
        raise AssertionError(
            "\n".join([f"plan '{plan.label}' is not loaded as expected:", *(f"  {each}" for each in found), "", tree])
        )


def _differences(
    explanation: Explanation,
    statements: int | None,
    strategies: Mapping[QueryableAttribute[Any] | str, StrategyName],
) -> Iterator[str]:
    if statements is not None and explanation.statements != statements:
        yield f"{counted(explanation.statements, 'statement')} instead of {statements}"
    edges = list(_all_edges(explanation.edges))
    for relationship, strategy in strategies.items():
        name = relationship if isinstance(relationship, str) else f"{relationship.class_.__name__}.{relationship.key}"
        if strategy not in ASKED:
            raise ValueError(f"there is no strategy {strategy!r}: {one_of(list(ASKED))}")
        here = [edge for edge in edges if edge.name == name]
        if not here:
            yield f"it does not load '{name}': {did_you_mean(name, {edge.name for edge in edges}, 'It loads')}"
        wanted = ASKED[strategy].value
        for edge in here:
            if edge.strategy != wanted:
                yield f"'{name}' by {edge.strategy} instead of {wanted}: {edge.reason}"


def _cost_differences(cost: PlanCost, **wanted: int | None) -> Iterator[str]:
    for word, number in wanted.items():
        if number is not None and getattr(cost, word) != number:
            yield f"{getattr(cost, word)} {word} instead of {number}"


def _all_edges(edges: tuple[ExplainedEdge, ...]) -> Iterator[ExplainedEdge]:
    for edge in edges:
        yield edge
        yield from _all_edges(edge.edges)
