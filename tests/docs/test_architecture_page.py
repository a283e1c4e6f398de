"""docs/architecture.md names files and functions that are there, and every stage in its order."""

import ast
import re

from pages import ROOT

from test_structure import STAGES

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SOURCE = ROOT / "src" / "loadplan"
ROW = re.compile(r"^\| \d+\w?\. .* \| `(?P<file>[\w/]+\.py)` \| (?P<names>.*) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")
FOLDER = re.compile(r"^\| `(\w+)/` \|", re.MULTILINE)


def test_every_file_that_it_names_is_there() -> None:
    """Paths begin at the package, those of tests at the project."""
    named = set(re.findall(r"`(\w+(?:/\w+)*\.py)`", PAGE)) | set(re.findall(r"`(\w+)/`", PAGE))
    assert len(named) > 30
    assert {each for each in named if not (SOURCE / each).exists() and not (ROOT / each).exists()} == set()


def test_every_step_names_what_its_file_defines() -> None:
    steps = list(ROW.finditer(PAGE))
    assert len(steps) > 12
    for step in steps:
        tree = ast.parse((SOURCE / step["file"]).read_text("utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert set(NAME.findall(step["names"])) <= defined, step["file"]


def test_every_stage_is_in_its_order() -> None:
    """The table of folders has the stages of test_structure.py, from top to bottom."""
    folders = [stage for stage, files in STAGES.items() if files]
    assert FOLDER.findall(PAGE) == folders
