"""Test runs that pytest-xdist spreads over processes: what each saw crosses as plain data, and is put together."""

from collections.abc import Sequence
from typing import Any

import attrs

from loadplan.tools.learning import Lessons, lessons_report
from loadplan.tools.reads import Reads, code_without
from loadplan.tools.together import Missing, PlanReads, merged_reads, plan_at, reads_report


def told_by(reads: Reads | None, lessons: Lessons | None) -> dict[str, Any]:
    """Return what one process saw, made of numbers, texts, tuples and sets alone."""
    return {
        "reads": [] if reads is None else [attrs.astuple(each, recurse=False) for each in reads.seen],
        "unwatched": [] if reads is None else reads.unwatched,
        "missing": [] if lessons is None else [attrs.astuple(each, recurse=False) for each in lessons.seen],
    }


def told_together(told: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Return what plans lack, and what no code reads, as all processes of a run saw it together.

    The code of a plan is printed where a module holds the plan that this process can import.
    """
    missing = [Missing(*each) for process in told for each in process["missing"]]
    seen = merged_reads(PlanReads(*each) for process in told for each in process["reads"])
    unwatched = sorted({name for process in told for name in process["unwatched"]})
    return lessons_report(missing), reads_report(
        seen, unwatched, lambda where, paths: code_without(plan_at(where), paths)
    )
