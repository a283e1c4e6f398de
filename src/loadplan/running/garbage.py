"""The garbage collector, while the objects of a result are made.

As their number grows it looks at all of them again and again, and finds every one alive.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector still; have it look once afterwards, where it would have looked ten times or more.

    The whole process shares it, so loadplan never waits inside of the block: other tasks would go without it, too.
    They do so while a ``load`` event of the caller sends SQL. A process that has turned it off finds it off. That one
    look counts towards the next full collection, which takes the graphs that nobody holds any more: parents and
    children point at each other, so nothing else frees them.
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
