"""The cost of a plan, counted without a database: statements, joins, columns."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from loadplan.explained.explanation import named_statements
from loadplan.plan import LoadPlan
from loadplan.running.keyed_roots import by_id
from loadplan.running.plans import compile_plan
from loadplan.tools.audit.findings import Severity
from loadplan.tools.findings import CheckFinding
from loadplan.tools.targets import FoundPlan

_JOIN = re.compile(r"\bJOIN\b")
_WORDS = re.compile(r"[(),]|\b(?:SELECT|FROM)\b")
_QUOTED = re.compile(r"'(?:[^']|'')*'" + r'|"(?:[^"]|"")*"')


@attrs.frozen
class PlanCost:
    """The cost of a fetch by primary key.

    Attributes:
        where: the name of the plan.
        statements: the number of statements, for up to 500 parents of each edge.
        joins: the number of joins in all statements.
        columns: the number of columns that all statements select. A nested array counts as one.
    """

    where: str
    statements: int
    joins: int
    columns: int


def plan_cost(plan: LoadPlan[Any], dialect: Dialect, where: str = "") -> PlanCost:
    """Return the cost of a fetch of a plan by primary key. Pure.

    Raises:
        PlanError: the plan does not resolve.
    """
    statements = named_statements(by_id(compile_plan(plan, dialect).bringing(1)).graph)
    joins = columns = 0
    for _, select in statements:
        sql = _QUOTED.sub("x", str(select.compile(dialect=dialect)))
        joins += len(_JOIN.findall(sql))
        columns += _selected(sql)
    return PlanCost(where or plan.label, len(statements), joins, columns)


def _selected(sql: str) -> int:
    """Return the number of columns that a statement selects: one more than the commas of its outermost SELECT."""
    depth = number = 0
    for word in _WORDS.findall(sql):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "SELECT":
            number = 1
        elif depth == 0 and word == "FROM":
            return number
        elif depth == 0 and word == ",":
            number += number > 0
    return number


def cost_table(costs: Sequence[PlanCost]) -> str:
    """Return costs as a text table, one plan a line."""
    rows = [("plan", "statements", "joins", "columns")]
    rows += [(each.where, str(each.statements), str(each.joins), str(each.columns)) for each in costs]
    widths = [max(len(row[index]) for row in rows) for index in range(4)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(row[index].rjust(widths[index]) for index in (1, 2, 3))]) for row in rows
    )


def growth(costs: Sequence[PlanCost], before: Mapping[str, PlanCost]) -> Iterator[CheckFinding]:
    """Yield a finding for each plan that costs more than before."""
    for cost in costs:
        known = before.get(cost.where)
        if known is None:
            continue
        words = ("statements", "joins", "columns")
        grown = [word for word in words if getattr(cost, word) > getattr(known, word)]
        if grown:
            found = ", ".join(f"{getattr(cost, word)} {word} instead of {getattr(known, word)}" for word in grown)
            yield CheckFinding(
                Severity.RISK,
                "growth",
                cost.where,
                f"it takes {found}",
                mends=("undo the change that made it grow, or write the baseline again with --update-baseline.",),
            )


def all_costs(plans: Sequence[FoundPlan], dialect: Dialect) -> list[PlanCost]:
    """Return the cost of each plan that resolves."""
    return [plan_cost(each.plan, dialect, each.where) for each in plans]
