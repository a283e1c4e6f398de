"""``loadplan check``: imports a package, resolves its plans, counts them, and compares them with a database."""

import ast
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from loadplan.errors import PlanError, Problem, counted
from loadplan.explained.dialects import dialect_of
from loadplan.mapped.readiness import checking_later
from loadplan.running.plans import resolve_plan
from loadplan.tools.audit.findings import Severity, is_named
from loadplan.tools.baseline import read_baseline, write_baseline
from loadplan.tools.connecting import DatabaseError, with_database
from loadplan.tools.costs import PlanCost, all_costs, cost_table, growth
from loadplan.tools.findings import CheckFinding, Spot, as_data, counts
from loadplan.tools.held import Held, hold_plans
from loadplan.tools.targets import (
    BrokenModule,
    FoundPlan,
    TargetError,
    broken_once,
    import_by_name,
    modules_below,
    not_imported,
    plans_in,
    relative_path,
    spot_of,
)


@attrs.frozen
class CheckOptions:
    """The options of a check.

    Attributes:
        database: URL of a database to compare the plans with.
        small: tables that need no index.
        rows: tables with fewer rows need no index.
        costs: whether to report the cost of every plan.
        dialect: the dialect for the costs.
        ignore: names of findings to leave out.
        baseline: the file with known findings and costs.
        update: whether to update that file.
    """

    database: str | None = None
    small: tuple[str, ...] = ()
    rows: int | None = None
    costs: bool = False
    dialect: str = "postgresql"
    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    update: bool = False


@attrs.frozen(eq=False)
class Checked:
    """The result of a check.

    Attributes:
        plans: the plans, resolved or not.
        findings: the findings that are neither ignored nor in the baseline.
        text: the report as text, without the summary.
        summary: one line.
        costs: the costs of the plans that resolve, if the options ask for them.
        held: the result of the comparison with a database, if the options name one.
        spots: the line in a file for each name that a finding is about.
    """

    plans: Sequence[FoundPlan]
    findings: Sequence[CheckFinding]
    text: str
    summary: str
    costs: Sequence[PlanCost]
    held: Held | None
    spots: dict[str, Spot]

    def spot(self, finding: CheckFinding) -> Spot | None:
        """Return the line at which reports show a finding: the line of its first plan or of its module, or None."""
        names = [each.partition(" ")[0] for each in (finding.subject, *finding.plans)]
        return next((self.spots[name] for name in names if name in self.spots), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as data for JSON."""
        found: dict[str, Any] = {
            "plans": [each.where for each in self.plans],
            "findings": [as_data(each) for each in self.findings],
        }
        if self.costs:
            found["costs"] = [attrs.asdict(each) for each in self.costs]
        if self.held is not None:
            found["database"] = self.held.database
            found["statements"] = self.held.statements
        return found


def run_check(package: str, options: CheckOptions) -> Checked:
    """Import a package and check every plan in it.

    Raises:
        TargetError: the package, the dialect or the database does not exist.
    """
    modules, broken = _imported(package)
    plans = plans_in(modules)
    spots = {plan.where: spot for plan in plans if (spot := _spot_of_plan(plan.where)) is not None}
    findings: list[CheckFinding] = []
    told: list[str] = []
    for each, others in broken_once(broken):
        finding, text = _import_finding(each, others)
        findings.append(finding)
        told.append(text)
        if (line := spot_of(each.error)) is not None:
            spots[each.name] = Spot(*line)
    good: list[FoundPlan] = []
    for plan in plans:
        try:
            resolve_plan(plan.plan)
        except PlanError as error:
            findings += [_plan_finding(plan, problem) for problem in error.problems]
            told += [f"{plan.where}\n{problem.render()}" for problem in error.problems]
        else:
            good.append(plan)
    problems = len(findings)
    baseline = read_baseline(options.baseline)
    costs: list[PlanCost] = []
    if options.costs or options.baseline is not None:
        try:
            costs = all_costs(good, dialect_of(options.dialect))
        except ValueError as error:
            raise TargetError(str(error)) from error
    if not options.update:
        findings += growth(costs, baseline.plans)
    held = _hold(good, options) if options.database is not None else None
    if held is not None:
        findings += held.findings
    findings = [each for each in findings if not is_named(each.subject, options.ignore)]
    if options.update and options.baseline is not None:
        write_baseline(options.baseline, check=[each.key for each in findings[problems:]], plans=costs)
        baseline = read_baseline(options.baseline)
    findings = [each for each in findings if each.key not in baseline.check]
    later = [each for each in findings if each.rule not in {"import", "plan"}]
    parts = [*told, *(str(each) for each in later)]
    if options.costs and costs:
        parts.insert(0, cost_table(costs))
    summary = _summary(package, plans, modules, findings, problems, later, held)
    return Checked(plans, findings, "\n\n".join(parts), summary, costs if options.costs else (), held, spots)


def _summary(
    package: str,
    plans: Sequence[FoundPlan],
    modules: Sequence[ModuleType],
    findings: Sequence[CheckFinding],
    problems: int,
    later: Sequence[CheckFinding],
    held: Held | None,
) -> str:
    where = f"{counted(len(plans), 'plan')} of {counted(len(modules), 'module')}"
    if problems:
        return f"{counted(problems, 'problem')} in {where}"
    if not plans:
        return f"'{package}' holds no plan ({counted(len(modules), 'module')})"
    if held is not None:
        left_out = f", without indexes of {', '.join(held.small)}" if held.small else ""
        against = f"{counted(held.statements, 'statement')} checked against {held.database}{left_out}"
        return f"{where}: {against}: {counts(later)}"
    return f"{where}: {counts(later)}" if later else f"{where}: every plan resolves"


def _imported(package: str) -> tuple[list[ModuleType], list[BrokenModule]]:
    modules: list[ModuleType] = []
    broken: list[BrokenModule] = []
    with checking_later():
        for each in modules_below(import_by_name(package)):
            if isinstance(each, BrokenModule):
                broken.append(each)
            else:
                modules.append(each)
    return modules, broken


def _import_finding(module: BrokenModule, others: Sequence[str]) -> tuple[CheckFinding, str]:
    first, *rest = not_imported(module).splitlines()
    why = first.partition("cannot be imported: ")[2]
    text = "\n".join([module.name, f"cannot be imported: {why}", *rest])
    if others:
        text += f"\n  the same error in: {', '.join(others)}"
    mends = tuple(line.strip().removeprefix("hint: ") for line in rest if "hint: " in line)
    return CheckFinding(Severity.RISK, "import", module.name, f"cannot be imported: {why}", mends=mends), text


def _plan_finding(plan: FoundPlan, problem: Problem) -> CheckFinding:
    found = f"{problem.code}: {problem.message}"
    lines = [f"at: {' > '.join(problem.path)}"] if problem.path else []
    lines += [f"detail: {problem.detail}"] if problem.detail else []
    effect = "\n  ".join(lines)
    return CheckFinding(Severity.RISK, "plan", plan.where, found, effect, (problem.hint,) if problem.hint else ())


def _hold(plans: Sequence[FoundPlan], options: CheckOptions) -> Held:
    assert options.database is not None  # noqa: S101 - the caller has looked
    try:
        return with_database(
            options.database,
            lambda connection: hold_plans(plans, connection, small=options.small, rows=options.rows),
        )
    except DatabaseError as error:
        raise TargetError(str(error)) from error


def _spot_of_plan(where: str) -> Spot | None:
    """Return the line that gives a plan its name."""
    module, _, path = where.partition(":")
    try:
        name = inspect.getsourcefile(importlib.import_module(module))
        source = Path(name or "").read_text("utf-8")
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, UnicodeDecodeError):
        return None
    assert name is not None  # noqa: S101 - a file was read
    shown = relative_path(name)
    wanted = path.partition("[")[0].rpartition(".")[2]
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == wanted for target in targets):
                return Spot(shown, node.lineno)
    return Spot(shown, 1)
