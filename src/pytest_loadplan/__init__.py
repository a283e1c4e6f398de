"""What pytest loads of loadplan: a fixture, and nothing else until a test asks for it.

It is a package of its own, as importing anything of ``loadplan`` imports SQLAlchemy: a suite that does not use the
fixture pays for one import of pytest.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loadplan.pytest_plugin import Statements


@pytest.fixture
def statements() -> "Iterator[Statements]":
    """The SQL statements that all engines execute while the test runs: what, where and how often."""
    from loadplan.pytest_plugin import record_statements

    with record_statements() as recorded:
        yield recorded
