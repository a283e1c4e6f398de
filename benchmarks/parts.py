"""Parts of the suite with a script of their own, each a closer look at one question.

A script has its own options (``--help`` tells them) and may start itself in another process, where memory is measured.
"""

import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

PARTS: Mapping[str, tuple[str, str]] = {
    "growth": ("growth.py", "time and memory, from 1 root to 100,000"),
    "strategies": ("strategy_costs.py", "what each strategy of an edge costs, where it is right and where it is wrong"),
    "plan-cost": ("compile_cost.py", "what a plan costs before its first fetch, and its objects in memory"),
    "views": ("views.py", "views beside SQL by hand, over a network and in memory"),
    "first-rows": ("top_n.py", "the first rows of each parent, with an index for the order and without"),
    "many-parents": ("many_parents.py", "a collection of 100 to 100,000 parents, keys of one column and of two"),
    "stream": ("stream.py", "a long walk in bounded memory"),
    "charts": ("charts.py", "draws the results that there are"),
}
"""Their commands, files, and what they are about."""

DRAWN = ("growth", "strategies", "plan-cost")
"""Those that leave results for the charts; a run of everything has them too."""


def run_part(name: str, arguments: Sequence[str]) -> None:
    """Run a script as its own command line would."""
    path = HERE / PARTS[name][0]
    before = sys.argv
    sys.argv = [str(path), *arguments]
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
