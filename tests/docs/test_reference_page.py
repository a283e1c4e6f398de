"""docs/reference.md has every public name, each with a runnable example and the version that brought it."""

import re
from pathlib import Path

import loadplan
from loadplan import audit, pytest_plugin

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
ENTRY = re.compile(r"^::: loadplan\.(?P<name>[\w.]+)$(?P<body>.*?)(?=^:::|^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def entries() -> dict[str, str]:
    """Return what stands below each name of the page."""
    return {found["name"]: found["body"] for found in ENTRY.finditer(REFERENCE.read_text("utf-8"))}


def test_every_public_name_has_its_place() -> None:
    """Whatever can be imported from ``loadplan`` is in the reference, once, and nothing that cannot."""
    shown = re.findall(r"^::: loadplan\.(\w+)$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(loadplan.__all__)


def test_names_of_the_tools_have_their_places() -> None:
    """Every name of ``loadplan.audit`` and ``loadplan.pytest_plugin`` is in the reference."""
    public = {f"audit.{name}" for name in audit.__all__} | {f"pytest_plugin.{name}" for name in pytest_plugin.__all__}
    assert public - entries().keys() == set()


def test_every_name_has_an_example() -> None:
    """A block below each name imports it, so that it can be copied; test_pages_run.py runs it."""
    lacking = []
    for name, body in entries().items():
        module, _, word = f"loadplan.{name}".rpartition(".")
        statement = re.compile(rf"^from {re.escape(module)} import .*\b{word}\b", re.MULTILINE)
        if not any(statement.search(code) for code in CODE.findall(body)):
            lacking.append(name)
    assert lacking == []


def test_every_name_says_since_when() -> None:
    """Each has the version that brought it, one that the changelog has."""
    changelog = (REFERENCE.parents[1] / "CHANGELOG.md").read_text("utf-8")
    versions = set(re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE))
    for name, body in entries().items():
        added = re.search(r"^Added in (\d+\.\d+\.\d+)\.$", body, re.MULTILINE)
        assert added is not None, f"{name}: since when?"
        assert added[1] in versions, f"{name}: added in {added[1]}, of which the changelog says nothing"
