"""The benchmarks in their smallest form: every rival brings equal values, with the statements it is said to send."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.cases import CASES
from benchmarks.parts import PARTS
from benchmarks.report import Run, read_json
from benchmarks.rivals.everyone import ENTITIES, MODULES, VIEWS
from loadplan import Loader

ROOT = Path(__file__).resolve().parents[2]

#: statements of one call, as counted on the wire; three roots each, one of a tree and of those with a key
FORETOLD = {
    "row": {"asyncpg, one statement": 1, "options in the call": 1, "options prebuilt": 1, "Django": 1},
    "one": {
        "asyncpg, a level": 2,
        "lazy loading": 7,
        "options in the call": 2,
        "sqla-autoloads": 2,
        "Piccolo, objects": 2,
    },
    "list-50": {"asyncpg, one statement": 1, "lazy loading": 19, "options prebuilt": 2, "Tortoise ORM": 2, "Django": 2},
    "country": {"asyncpg, a level": 4, "options in the call": 4, "advanced-alchemy": 4, "Django": 4},
    "wide": {"options in the call": 1, "Tortoise ORM": 1},
    "chain": {"options in the call": 1, "sqla-autoloads": 1, "Django": 1},
    "siblings": {"asyncpg, a level": 4, "lazy loading": 10, "options prebuilt": 4, "Django": 4},
    "top-five": {
        "asyncpg, LATERAL": 2,
        "lazy loading": 4,
        "options in the call": 2,
        "sqla-autoloads": 1,
        "Piccolo": 4,
        "Piccolo, objects": 4,
    },
    "tree": {"asyncpg, one statement": 1, "lazy loading": 128, "options in the call": 8, "Django": 8},
    "few-parents": {"options in the call": 1, "options, selectinload": 2, 'loadplan, entities, "selectin"': 2},
    "tasks-50": {"asyncpg, one statement": 4, "options in the call": 8, "Django": 8},
}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: some rivals configure the process that they are in."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours


def run_smoke(folder: Path) -> Run:
    """Run all cases as small as they get, or read the run that CI has made with all rivals."""
    if made := os.environ.get("LOADPLAN_BENCHMARK_RESULTS"):
        return read_json(Path(made) / "cases.json")
    done = benchmarks("--cases", "--smoke", "--results", str(folder))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Faster than" in (folder / "cases.md").read_text()
    return read_json(folder / "cases.json")


def foretold_by_loadplan(case_name: str, rival: str, size: int) -> int:
    """What ``explain`` says beforehand of the statements of a case."""
    case = next(each for each in CASES if each.name == case_name)
    loader = Loader(create_async_engine("postgresql+asyncpg://"))
    plan = case.graph.plan if rival == ENTITIES else case.graph.views
    if case.tasks > 1:
        return loader.explain(plan, roots=1).statements * size
    return loader.explain(plan, roots=1 if case.key is not None else size).statements


def test_every_rival_brings_equal_values_with_the_statements_that_it_is_said_to_send(tmp_path: Path) -> None:
    run = run_smoke(tmp_path)
    found = {(each.case, each.rival): each for each in run.results}
    assert {case for case, _ in found} == {each.name for each in CASES}
    for (case, rival), result in found.items():
        if rival in (ENTITIES, VIEWS):
            assert result.statements == foretold_by_loadplan(case, rival, result.size), (case, rival)
        assert bool(result.seconds) != result.note.startswith("cannot: "), (case, rival)
    told = {(case, rival): count for case, counts in FORETOLD.items() for rival, count in counts.items()}
    present = {rival for _, rival in found}
    assert {key: found[key].statements for key in told if key[1] in present} == {
        key: count for key, count in told.items() if key[1] in present
    }
    assert all(each.trips and each.rows and each.sent for each in run.results if each.seconds)


def test_list_names_cases_rivals_and_parts() -> None:
    done = benchmarks("list")
    assert done.returncode == 0, done.stderr
    for name in (*(each.name for each in CASES), ENTITIES, VIEWS, *PARTS):
        assert name in done.stdout


def test_a_case_that_there_is_not_is_an_error_that_names_those_there_are() -> None:
    done = benchmarks("run", "nonsense")
    assert done.returncode == 2
    assert "no case is called 'nonsense'" in done.stderr
    assert "top-five" in done.stderr


def test_all_rivals_are_there() -> None:
    absent = [each for needs in MODULES.values() for each in needs if importlib.util.find_spec(each) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}; the dependency group `benchmarks` has them")
