"""The baseline file: known findings, and the costs of plans when the file was written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from loadplan.tools.costs import PlanCost
from loadplan.tools.targets import TargetError


@attrs.frozen
class Baseline:
    """The findings that were known when the file was written.

    Attributes:
        audit: keys of the findings of ``loadplan audit``.
        check: keys of the findings of ``loadplan check``.
        plans: the costs of plans, by the place of each plan, such as ``"shop.plans:USER_PAGE"``.
    """

    audit: frozenset[str] = frozenset()
    check: frozenset[str] = frozenset()
    plans: Mapping[str, PlanCost] = attrs.field(factory=dict)


def read_baseline(path: Path | None) -> Baseline:
    """Return the baseline in a file. If the file does not exist, the baseline is empty.

    Raises:
        TargetError: the file is not a baseline.
    """
    if path is None or not path.exists():
        return Baseline()
    try:
        data: Any = json.loads(path.read_text("utf-8"))
        plans = {where: PlanCost(where=where, **cost) for where, cost in data.get("plans", {}).items()}
        return Baseline(frozenset(data.get("audit", ())), frozenset(data.get("check", ())), plans)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        hint = "write it again with --update-baseline."
        raise TargetError(f"'{path}' is not a baseline of loadplan: {error}\n  hint: {hint}") from error


def write_baseline(
    path: Path,
    *,
    audit: Sequence[str] | None = None,
    check: Sequence[str] | None = None,
    plans: Sequence[PlanCost] | None = None,
) -> None:
    """Write the present findings and costs into a file. Parts that are None stay as they are in the file.

    Raises:
        OSError: the file cannot be written.
    """
    before = read_baseline(path)
    costs = plans if plans is not None else list(before.plans.values())
    data = {
        "audit": sorted(audit if audit is not None else before.audit),
        "check": sorted(check if check is not None else before.check),
        "plans": {
            each.where: {"statements": each.statements, "joins": each.joins, "columns": each.columns}
            for each in sorted(costs, key=lambda each: each.where)
        },
    }
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
