"""Parts of the suite with a script of their own, each a closer look at one question.

A script has its own options (``--help`` tells them) and may start itself in another process, where memory is measured.
"""

import runpy
import sys
from collections.abc import Mapping, Sequence

PARTS: Mapping[str, tuple[str, str]] = {
    "growth": ("growth", "time and memory, from 1 root to 100,000"),
    "strategies": ("strategy_costs", "what each strategy of an edge costs, where it is right and where it is wrong"),
    "plan-cost": ("compile_cost", "what a plan costs before its first fetch, and its objects in memory"),
    "views": ("views", "views beside SQL by hand, over a network and in memory"),
    "first-rows": ("top_n", "the first rows of each parent, with an index for the order and without"),
    "many-parents": ("many_parents", "a collection of 100 to 100,000 parents, keys of one column and of two"),
    "http": ("http.command", "whole requests: an order and a list of 50 from FastAPI, Django and Tortoise ORM"),
    "stream": ("stream", "a long walk in bounded memory"),
    "charts": ("charts", "draws the results that there are"),
}
"""Their commands, modules, and what they are about."""

INCLUDED: Mapping[str, float] = {"growth": 12, "strategies": 24, "plan-cost": 4, "http": 18}
"""Those that a run of everything has too. Each is about as long as so many cases, and leaves results for the pages."""


def run_part(name: str, arguments: Sequence[str]) -> None:
    """Run a script as its own command line would."""
    before = sys.argv
    sys.argv = [f"python -m benchmarks {name}", *arguments]
    try:
        runpy.run_module(f"benchmarks.{PARTS[name][0]}", run_name="__main__")
    finally:
        sys.argv = before
