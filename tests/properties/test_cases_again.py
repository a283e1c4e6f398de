"""A run with new random cases says how to run them again. Doing so draws the same cases."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

DRAWING = """
from hypothesis import given, settings, strategies as st

@settings(max_examples=5)
@given(st.integers())
def test_drawing(number):
    print("drawn", number)
"""


def run(file: Path, **variables: str) -> list[str]:
    """Run a file of tests as a part of these tests, and return its output."""
    named = {"CI", "LOADPLAN_PROPERTY_SEED"}
    environment = {name: value for name, value in os.environ.items() if name not in named} | variables
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "conftest", "-n", "0", "-qs"]
    done = subprocess.run(  # noqa: S603
        [*command, str(file)], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_first_line_of_a_run_runs_its_cases_again(tmp_path: Path) -> None:
    """What the first line names goes into the environment of the second run."""
    file = tmp_path / "test_drawing.py"
    file.write_text(DRAWING)
    first, *lines = run(file, LOADPLAN_PROPERTY_EXAMPLES="5")
    named = dict(word.split("=") for word in first.removeprefix("random cases: ").split())
    assert list(named) == ["LOADPLAN_PROPERTY_EXAMPLES", "LOADPLAN_PROPERTY_SEED"]
    again, *same = run(file, **named)
    assert again == first
    drawn = [line for line in lines if line.startswith("drawn")]
    assert len(set(drawn)) > 1
    assert drawn == [line for line in same if line.startswith("drawn")]
