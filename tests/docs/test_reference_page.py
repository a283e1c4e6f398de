"""docs/reference.md has every public name."""

import re
from pathlib import Path

import loadplan

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_every_public_name_has_its_place() -> None:
    """Whatever can be imported from ``loadplan`` is in the reference, once, and nothing that cannot."""
    shown = re.findall(r"^::: loadplan\.(\w+)$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(loadplan.__all__)
