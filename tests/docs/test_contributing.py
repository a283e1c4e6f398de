"""CONTRIBUTING.md, the workflows and the hooks speak of files that are there."""

import re

import pytest
from pages import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATH = re.compile(r"(?<![\w/])(?:benchmarks|docs|examples|src|tests|typing_tests|\.github|\.ci)/[\w/.-]*\w")
FILES = [
    "CONTRIBUTING.md",
    ".ci/run",
    ".pre-commit-config.yaml",
    *(f".github/workflows/{name}.yml" for name in ("ci", "release")),
]


@pytest.mark.parametrize("file", FILES)
def test_files_that_it_names_exist(file) -> None:
    """Of ``benchmarks/results`` alone it is the run that makes it."""
    named = {each.partition("::")[0].rstrip(".") for each in PATH.findall((ROOT / file).read_text("utf-8"))}
    assert {each for each in named if not (ROOT / each).exists()} - {"benchmarks/results"} == set()


def test_every_folder_of_tests_is_explained() -> None:
    """A newcomer finds where a test belongs."""
    folders = {f"tests/{each.parent.name}" for each in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - set(re.findall(r"`(tests/\w+)`", CONTRIBUTING)) == set()


def test_every_error_code_starts_as_it_says() -> None:
    """The ranges of codes that it gives are those of the errors' page."""
    codes = set(re.findall(r"^### LP(\d)\d\d", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE))
    assert codes == set(re.findall(r"LP(\d)xx", CONTRIBUTING))


def test_the_version_stands_in_two_places() -> None:
    """The steps of a release name both; they agree."""
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    package = re.search(r'^__version__ = "(.+)"$', (ROOT / "src/loadplan/__init__.py").read_text("utf-8"), re.MULTILINE)
    assert project is not None
    assert package is not None
    assert project[1] == package[1]
