"""What a part of a run compared, and what differed: written by the tests, summed by the long run."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs


@attrs.define
class Record:
    """What was compared.

    Attributes:
        plans: how many were drawn and compared.
        relationships: of these plans.
        compared: how often each part of loadplan was held against the oracle.
        refused: plans that loadplan refused, by the code of the error.
        not_walked: plans whose rows SQLAlchemy itself cannot load lazily.
        differences: pairs of where and line, known or not.
    """

    plans: int = 0
    relationships: int = 0
    compared: Counter[str] = attrs.field(factory=Counter, converter=Counter)
    refused: Counter[str] = attrs.field(factory=Counter, converter=Counter)
    not_walked: int = 0
    differences: list[tuple[str, str]] = attrs.field(factory=list)

    def add(self, other: "Record") -> None:
        self.plans += other.plans
        self.relationships += other.relationships
        self.compared.update(other.compared)
        self.refused.update(other.refused)
        self.not_walked += other.not_walked
        self.differences += other.differences

    def __str__(self) -> str:
        parts = [f"{self.plans} plans with {self.relationships} relationships"]
        parts += [f"{sum(self.compared.values())} comparisons", f"{len(self.differences)} differences"]
        parts += [f"{sum(self.refused.values())} refused"] if self.refused else []
        parts += [f"{self.not_walked} not walked"] if self.not_walked else []
        return ", ".join(parts)


def code_in(reason: str) -> str:
    """Return the code of an error of loadplan's. An error of several problems has none in its first line."""
    found = re.search(r"LP\d+", reason)
    return "several" if found is None else found.group()


def keep(record: Record) -> None:
    """Write a record to the file that ``LOADPLAN_FOREIGN_RECORDS`` names, if it names one."""
    if path := os.environ.get("LOADPLAN_FOREIGN_RECORDS"):
        with Path(path).open("a") as file:
            file.write(json.dumps(attrs.asdict(record)) + "\n")


def summed(path: Path) -> Record:
    """Return the sum of the records in a file."""
    lines: Iterable[str] = path.read_text().splitlines() if path.exists() else ()
    total = Record()
    for line in lines:
        given = json.loads(line)
        total.add(Record(**given | {"differences": [(where, found) for where, found in given["differences"]]}))
    return total
