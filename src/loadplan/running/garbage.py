"""Pauses the garbage collector while the objects of a result are made.

Otherwise, the collector would check the growing number of objects again and again, although all of them are in use.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector. If it would have run ten times or more, let it run once afterwards.

    The whole process shares the collector, so loadplan never waits for a database inside the block. Only a ``load``
    event of the caller may send SQL there. If the process has turned the collector off, it stays off. The later run
    counts towards the next full collection. Full collections free unused graphs. Nothing else frees them, because
    parents and children refer to each other.
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
