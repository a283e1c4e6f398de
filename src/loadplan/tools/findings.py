"""The findings of a check as values, and their reports: text, JSON, GitHub annotations, SARIF."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from loadplan.errors import counted
from loadplan.tools.audit.findings import RANKS, Severity

#: The level of a finding for GitHub and for SARIF.
_GITHUB = {Severity.RISK: "error", Severity.COST: "warning", Severity.NOTE: "notice"}
_SARIF = {Severity.RISK: "error", Severity.COST: "warning", Severity.NOTE: "note"}


@attrs.frozen
class CheckFinding:
    """A finding of a check.

    Attributes:
        severity: how bad it is.
        rule: the kind of finding: ``"import"``, ``"plan"``, ``"statement"``, ``"type"``, ``"index"``, ``"order"``,
            ``"differs"`` or ``"growth"``.
        subject: the name that the finding is about: ``"lines.order_id"``, ``"shop.plans:ORDER_PAGE"``.
        found: the fact that the check found.
        effect: the effect of this fact.
        mends: ways to mend it, one line each, as code if possible.
        plans: the plans that the finding concerns, each with the place in the plan.
    """

    severity: Severity
    rule: str
    subject: str
    found: str
    effect: str = ""
    mends: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The text that identifies the finding in a baseline. It does not contain the plans, which may change."""
        return f"{self.rule}: {self.subject}: {self.found}"

    def __str__(self) -> str:
        head = self.found if self.subject in self.found else f"{self.subject}: {self.found}"
        lines = [f"{self.severity.value}: {head}"]
        lines += [f"  {self.effect}"] if self.effect else []
        lines += [f"  do: {self.mends[0]}"] if self.mends else []
        lines += [f"      {each}" for each in self.mends[1:]]
        lines += [f"    {each}" for each in self.plans]
        return "\n".join(lines)


@attrs.frozen
class Spot:
    """A line of a file, for reports that link to the code."""

    file: str
    line: int


def sorted_findings(findings: Iterable[CheckFinding]) -> list[CheckFinding]:
    """Return findings sorted by severity (the worst first), rule and name."""
    return sorted(set(findings), key=lambda each: (RANKS[each.severity], each.rule, each.subject, each.found))


def at_least(findings: Iterable[CheckFinding], severity: Severity) -> list[CheckFinding]:
    """Return the findings that are as bad as ``severity``, or worse."""
    return [each for each in findings if RANKS[each.severity] <= RANKS[severity]]


def counts(findings: Sequence[CheckFinding]) -> str:
    """Return ``"1 risk, 2 costs, 0 notes"``."""
    found = Counter(each.severity for each in findings)
    return ", ".join(counted(found[each], each.value) for each in Severity)


Where = Callable[[CheckFinding], Spot | None]
"""A function that returns the line at which a report shows a finding."""


def as_github(findings: Iterable[CheckFinding], where: Where) -> str:
    """Return findings as workflow commands. GitHub shows them next to the lines of a pull request."""
    lines = []
    for each in findings:
        spot = where(each)
        place = "" if spot is None else f"file={_property(spot.file)},line={spot.line},"
        title, _, rest = str(each).partition("\n")
        text = "\n".join(line.strip() for line in rest.splitlines()) or title
        lines.append(f"::{_GITHUB[each.severity]} {place}title={_property(title)}::{_data(text)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(findings: Sequence[CheckFinding], where: Where, version: str) -> str:
    """Return findings as a SARIF 2.1.0 log, which code scanning services read."""
    rules = sorted({each.rule for each in findings})
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "loadplan", "version": version, "rules": [{"id": each} for each in rules]}},
                "results": [_result(each, where(each)) for each in findings],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _result(finding: CheckFinding, spot: Spot | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _SARIF[finding.severity],
        "message": {"text": str(finding)},
        "partialFingerprints": {"loadplan/v1": finding.key},
    }
    if spot is not None:
        place = {"artifactLocation": {"uri": Path(spot.file).as_posix()}, "region": {"startLine": spot.line}}
        result["locations"] = [{"physicalLocation": place}]
    return result


def as_data(finding: CheckFinding) -> dict[str, Any]:
    """Return a finding as data for JSON."""
    return attrs.asdict(finding, value_serializer=lambda _, __, value: getattr(value, "value", value))
