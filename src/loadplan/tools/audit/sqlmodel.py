"""Rewrites an audit's advice for SQLModel, whose ``Field`` and ``Relationship`` take other arguments."""

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from sqlalchemy.orm import Mapper

from loadplan.tools.audit.findings import Finding

#: Parts of an advice, and the same parts as SQLModel writes them.
_WORDS = (
    ('map it lazy="raise"', 'say Relationship(sa_relationship_kwargs={"lazy": "raise"})'),
    ('map it lazy="write_only"', 'say Relationship(sa_relationship_kwargs={"lazy": "write_only"})'),
    ('or lazy="raise", to load it', 'or {"lazy": "raise"}, to load it'),
    ("write back_populates= on both sides", "write Relationship(back_populates=...) on both sides"),
    ("viewonly=True on the one", 'sa_relationship_kwargs={"viewonly": True} on the one'),
    ("leave innerjoin out", 'take "innerjoin" out of sa_relationship_kwargs'),
    ("index=True on the column", "Field(index=True) on the column"),
    ("unique=True on the foreign key", "Field(unique=True) on the foreign key"),
    ("a Python function in onupdate=", 'a Python function in sa_column_kwargs={"onupdate": ...}'),
)


def is_sqlmodel(entity: type[Any]) -> bool:
    """Tell whether a class is a table model of SQLModel, without importing SQLModel."""
    return any(each.__module__.partition(".")[0] == "sqlmodel" for each in entity.__mro__)


def in_words_of_sqlmodel(findings: Iterable[Finding], mappers: Iterable[Mapper[Any]]) -> Iterator[Finding]:
    """Yield findings. If a finding is about a class or table of SQLModel, write its advice for SQLModel."""
    models = [each for each in mappers if is_sqlmodel(each.class_)]
    classes = {each.class_.__name__ for each in models}
    tables = {str(getattr(table, "fullname", table)) for each in models for table in each.tables}
    for finding in findings:
        owner = finding.subject.partition(" ")[0].rpartition(".")[0]
        if (
            finding.subject.partition(" ")[0] in classes
            or owner in classes
            or owner in tables
            or (finding.subject.partition(" ")[0] in tables)
        ):
            yield attrs.evolve(finding, advice=_said(finding.advice))
        else:
            yield finding


def _said(advice: str) -> str:
    for plain, ours in _WORDS:
        advice = advice.replace(plain, ours)
    return advice
