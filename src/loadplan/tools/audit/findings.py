"""Findings of an audit: values with a readable text."""

import enum
from collections import Counter
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

import attrs

from loadplan.errors import counted


class Severity(enum.Enum):
    """How bad a finding is. ``loadplan audit`` returns 1 if there is a risk."""

    RISK = "risk"
    """It raises an error, gives a wrong value, or writes something by mistake."""

    COST = "cost"
    """It works, but takes time or memory in queries that do not need it."""

    NOTE = "note"
    """It works, and you should know it."""


#: The rank of each severity. The worst one has the lowest.
RANKS = {severity: index for index, severity in enumerate(Severity)}


@attrs.frozen
class Finding:
    """A finding about one name of the mapping.

    Attributes:
        severity: how bad it is.
        rule: the kind of finding: ``"lazy"``, ``"one-to-one"``, ``"dataclass"``, ``"deferred"``, ``"inheritance"``,
            ``"expires"``, ``"session"``, ``"pair"`` or ``"index"``.
        subject: the name that the finding is about: ``"User.posts"``, ``"posts.author_id"`` or
            ``"shop.database:sessions"``.
        found: the fact, for example ``'lazy="select"'``.
        effect: the effect of this fact under asyncio.
        advice: what you can do about it.
    """

    severity: Severity
    rule: str
    subject: str
    found: str
    effect: str
    advice: str

    @property
    def key(self) -> str:
        """The text that identifies the finding in a baseline."""
        return f"{self.rule}: {self.subject}: {self.found}"


@attrs.frozen
class Audit:
    """The result of an audit of a mapping. Print it to read it.

    Attributes:
        target: the name of the audited object.
        classes: how many mapped classes were read.
        tables: how many tables were read.
        findings: the findings, sorted by severity, rule, ``found`` and name.
    """

    target: str
    classes: int
    tables: int
    findings: tuple[Finding, ...]

    @property
    def risks(self) -> tuple[Finding, ...]:
        """The findings that are risks."""
        return self.of(Severity.RISK)

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def from_on(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of this severity, or worse."""
        return tuple(finding for finding in self.findings if RANKS[finding.severity] <= RANKS[severity])

    def without(self, names: Iterable[str]) -> "Audit":
        """Return the audit without the findings about some names, as ``"User.posts"`` or ``"User.*"``."""
        given = tuple(names)
        kept = tuple(each for each in self.findings if not is_named(each.subject, given))
        return attrs.evolve(self, findings=kept)

    def without_known(self, keys: Collection[str]) -> "Audit":
        """Return the audit without the findings that a baseline knows."""
        return attrs.evolve(self, findings=tuple(each for each in self.findings if each.key not in keys))

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as data for JSON."""
        return attrs.asdict(self, value_serializer=lambda _, __, value: getattr(value, "value", value))

    def __str__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        summary = ", ".join(counted(counts[severity], severity.value) for severity in Severity)
        lines = [f"{self.target}: {counted(self.classes, 'class')}, {counted(self.tables, 'table')}: {summary}"]
        for _, group in groupby(self.findings, _group):
            findings = list(group)
            first = findings[0]
            number = f" ({len(findings)})" if len(findings) > 1 else ""
            lines += ["", f"{first.severity.value}: {first.found}{number}"]
            lines += [f"  {first.effect}", f"  do: {first.advice}"]
            lines += [f"    {finding.subject}" for finding in findings]
        return "\n".join(lines)


def is_named(subject: str, names: Iterable[str]) -> bool:
    """Tell whether one of the names matches the subject, or the first name in a subject of two names.

    ``*`` in a name stands for anything.
    """
    words = {subject, subject.split(" ")[0].rstrip(",")}
    return any(fnmatchcase(word, name) for word in words for name in names)


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of the report, each once."""
    return tuple(sorted(set(findings), key=lambda each: (*_group(each), each.subject)))


def _group(finding: Finding) -> tuple[int, str, str, str, str]:
    return RANKS[finding.severity], finding.rule, finding.found, finding.effect, finding.advice
