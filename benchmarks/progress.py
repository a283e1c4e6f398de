"""How far a run is: a line for each step, with the time that has passed and an estimate of what is left."""

import time
from collections.abc import Callable

import attrs
from rich.console import Console


def duration(seconds: float) -> str:
    """Return a duration to read: ``42 s``, ``12 min``, ``1 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float) -> str:
    """Return an estimate to read: in steps of ten seconds, or in minutes."""
    return duration(max(10, round(seconds, -1)) if seconds < 95 else seconds)


@attrs.define
class Progress:
    """Counts steps. Steps are taken to be equally long, unless a step says that it counts for more.

    Attributes:
        console: where lines are printed.
        total: steps of the whole run.
        clock: tells the time in seconds.
    """

    console: Console
    total: float
    clock: Callable[[], float] = time.perf_counter
    _started: float = attrs.field(init=False)
    _first: float | None = attrs.field(init=False, default=None)
    _done: float = attrs.field(init=False, default=0.0)
    _current: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._started = self.clock()

    @property
    def left(self) -> float | None:
        """Seconds that are left if the rest goes as the steps that are done; None before one is done."""
        if self._first is None or not self._done:
            return None
        return (self.clock() - self._first) / self._done * max(0.0, self.total - self._done)

    def step(self, what: str, size: float = 1.0) -> None:
        """End the step before, and begin one.

        Args:
            what: it is about.
            size: of the step, if it is longer than others.
        """
        if self._first is None:
            self._first = self.clock()  # what prepares the first step says nothing of the others
        self._done += self._current
        self._current = size
        self.say(what)

    def say(self, what: str) -> None:
        """Print what goes on within a step."""
        passed = self.clock() - self._started
        left = "" if self.left is None else f", about {duration(self.left)} left"
        share = f"{self._done / self.total:4.0%}"
        self.console.print(f"{passed:6.1f} s  {share}{left}  {what}", style="dim", markup=False)
