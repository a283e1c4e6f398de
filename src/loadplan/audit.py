"""The audit of a mapping: ``audit(Base)`` says what each relationship does under async."""

from loadplan.tools.audit import Audit, Finding, Severity, audit

__all__ = ["Audit", "Finding", "Severity", "audit"]
