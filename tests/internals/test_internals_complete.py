"""No undocumented name without a test."""

import inspect as python_inspect
from pathlib import Path

from loadplan import sqlalchemy_internals as internals


def test_every_name_of_the_module_is_tested_in_this_folder() -> None:
    """A new dependency on something undocumented brings its test along."""
    functions = {
        name
        for name, value in vars(internals).items()
        if python_inspect.isfunction(value) and value.__module__ == internals.__name__ and not name.startswith("_")
    }
    source = "".join(each.read_text(encoding="utf-8") for each in Path(__file__).parent.glob("test_*.py"))
    assert {name for name in functions if f"internals.{name}(" not in source} == set()
