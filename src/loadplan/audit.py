"""The audit of a mapping: ``audit(Base)`` lists the effects of relationships, keys and late values under asyncio."""

from loadplan.tools.audit import Audit, Finding, Severity, audit

__all__ = ["Audit", "Finding", "Severity", "audit"]
