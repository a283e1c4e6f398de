"""Combines the reports of a test run that pytest-xdist splits over processes. They travel as plain data."""

from collections.abc import Sequence
from typing import Any

import attrs

from loadplan.tools.learning import Lessons, lessons_report
from loadplan.tools.reads import Reads, code_without
from loadplan.tools.together import Missing, PlanReads, merged_reads, plan_at, reads_report


def told_by(reads: Reads | None, lessons: Lessons | None) -> dict[str, Any]:
    """Return the reads and lessons of one process as plain data: numbers, texts, tuples and sets."""
    return {
        "reads": [] if reads is None else [attrs.astuple(each, recurse=False) for each in reads.seen],
        "unwatched": [] if reads is None else reads.unwatched,
        "missing": [] if lessons is None else [attrs.astuple(each, recurse=False) for each in lessons.seen],
    }


def told_together(told: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Return two reports for all processes of a run: attributes that plans lack, and attributes that no code reads.

    A report contains the code of a plan if this process can import the module of the plan.
    """
    missing = [Missing(*each) for process in told for each in process["missing"]]
    seen = merged_reads(PlanReads(*each) for process in told for each in process["reads"])
    unwatched = sorted({name for process in told for name in process["unwatched"]})
    return lessons_report(missing), reads_report(
        seen, unwatched, lambda where, paths: code_without(plan_at(where), paths)
    )
