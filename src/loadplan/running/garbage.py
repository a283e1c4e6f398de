"""Pauses the garbage collector while the objects of a result are made.

As their number grows, the collector would check all of them again and again, and find that all are in use.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector. Let it run once afterwards, if it would have run ten times or more.

    The whole process shares the collector, so loadplan never waits for a database inside of the block. Only a ``load``
    event of the caller may send SQL there. If the process has turned the collector off, it stays off. The run
    afterwards counts for the next full collection. That one frees unused graphs: their parents and children refer to
    each other, so nothing else frees them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        each, times, _ = gc.get_threshold()
        is_late = 0 < each * times < gc.get_count()[0]  # check this first: the next new tuple may start the collector
        gc.enable()
        if is_late:
            gc.collect(1)
