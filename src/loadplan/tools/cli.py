"""The command ``loadplan``. If its extra is not installed, it says so."""

import sys
from collections.abc import Callable

_run: Callable[[], object] | None
try:
    from loadplan.tools.commands import app as _run
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
        raise
    _run = None


def main() -> None:
    """Run the command line, then exit with 0 (all is well), 1 (it found problems) or 2 (it cannot run the command)."""
    if _run is None:
        print("The command 'loadplan' needs typer and rich: pip install 'loadplan[cli]'", file=sys.stderr)
        sys.exit(2)
    _run()
