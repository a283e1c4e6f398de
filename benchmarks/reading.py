"""Tells the time of reading apart from the time of fetching, within one call.

A job ends when every value that it names was read. Reading an attribute of a mapped object takes SQLAlchemy far longer
than reading one of a plain object, whoever made it. So a call has two times: the whole job, and the fetch alone.
"""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Counts the seconds that calls spend in reading."""

    def __init__(self) -> None:
        self._seconds = 0.0

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Count the time of the block. All objects are there before the block, and the block only reads them."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds += time.perf_counter() - started

    def taken(self) -> float:
        """Return the seconds since this method was last called; zero if no call told its reading apart."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


CLOCK = Clock()
"""The clock of this process. Calls run one at a time, so one clock does for all."""

reading = CLOCK.reading
"""The time of this block is reading."""
