"""The pytest plugin: a fixture and three options. It imports loadplan only when a test or an option needs it.

It is a separate package, because importing a module of ``loadplan`` imports SQLAlchemy. A test suite that does not use
the fixture only imports this module.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from loadplan.pytest_plugin import Statements


@pytest.fixture
def statements() -> "Iterator[Statements]":
    """Record the SQL statements that all engines execute while the test runs, with the lines of code that sent them."""
    from loadplan.pytest_plugin import record_statements

    with record_statements() as recorded:
        yield recorded


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--loadplan-unread``, ``--loadplan-learn`` and ``--loadplan-ignore``."""
    group = parser.getgroup("loadplan")
    group.addoption("--loadplan-unread", action="store_true", help="Report what plans load and your code never reads.")
    group.addoption(
        "--loadplan-learn", action="store_true", help="Report what plans lack: every NotLoaded of the run, by plan."
    )
    group.addoption(
        "--loadplan-ignore", action="append", default=[], metavar="NAME", help="Leave a plan or an attribute out."
    )


class _Watch:
    """Watches one process of a run, and reports at its end.

    With pytest-xdist, each process passes its report to the main process, which combines the reports.
    """

    def __init__(self, config: pytest.Config) -> None:
        from loadplan.tools.learning import learning
        from loadplan.tools.reads import record_reads

        self._config = config
        self._stack = ExitStack()
        self._reads: Any = None
        self._lessons: Any = None
        self._told: list[dict[str, Any]] = []
        if config.getoption("--loadplan-learn"):
            self._lessons = self._stack.enter_context(learning())
        if config.getoption("--loadplan-unread"):
            self._reads = self._stack.enter_context(record_reads(config.getoption("--loadplan-ignore") or ()))

    def pytest_sessionfinish(self) -> None:
        """In a process of pytest-xdist, pass the recorded reads and lessons to the main process."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            from loadplan.tools.spread import told_by

            output["loadplan"] = told_by(self._reads, self._lessons)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the report of a test process. A process that crashed has not sent a report."""
        told = getattr(node, "workeroutput", {}).get("loadplan")
        if told is not None:
            self._told.append(told)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the reports: attributes that plans lack, and attributes that no code reads."""
        from loadplan.tools.spread import told_together

        if self._told:
            lacking, unread = told_together(self._told)
        else:
            lacking = "\n\n".join(map(str, self._lessons or ()))
            unread = "" if self._reads is None else self._reads.report()
        if self._lessons is not None:
            terminalreporter.section("loadplan: what plans lack")
            terminalreporter.write_line(lacking or "nothing: no attribute was missing")
        if self._reads is not None:
            terminalreporter.section("loadplan: what no code reads")
            terminalreporter.write_line(unread or "nothing: your code read everything that was loaded")

    def pytest_unconfigure(self) -> None:
        """Stop watching."""
        self._stack.close()


def pytest_configure(config: pytest.Config) -> None:
    """Start watching if an option of the run asks for a report."""
    if config.getoption("--loadplan-unread") or config.getoption("--loadplan-learn"):
        config.pluginmanager.register(_Watch(config), "loadplan-watch")
