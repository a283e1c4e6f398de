"""Finds the line of the caller's own code that a fetch, a statement or a warning comes from."""

import os
import sys
import warnings
from collections.abc import Iterator
from inspect import currentframe
from sysconfig import get_path
from types import FrameType

#: Packages between the caller's code and the database, besides the standard library.
_LIBRARIES = frozenset({"sqlalchemy", "loadplan", "pytest_loadplan", "greenlet", "anyio", "trio", "uvloop"})

#: Modules with the functions in which an event loop runs its tasks: ``Handle._run``, and ``Runner.run`` above uvloop.
_LOOPS = frozenset({"asyncio.events", "asyncio.runners"})

#: Folders in which packages and their commands are installed.
_INSTALLED = tuple({f"{get_path(name)}{os.sep}" for name in ("purelib", "platlib", "scripts")})


def frame_of_caller() -> FrameType | None:
    """Return the nearest frame on the stack that runs the caller's own code, or None.

    Installed packages count as libraries. But if all frames are in installed packages, the application itself is
    installed, and its frames count.

    The search ends at the event loop. Frames outside of it started the loop, but not this task. So there is no frame if
    a call of a loader is itself the task, as in ``asyncio.gather(loader.fetch(...), ...)``.
    """
    installed = None
    for frame in _frames():
        code = frame.f_code
        if frame.f_globals.get("__name__") in _LOOPS and code.co_name in {"_run", "run"}:
            break
        if code.co_filename.startswith("<") or _is_library(frame):
            continue
        if not code.co_filename.startswith(_INSTALLED):
            return frame
        installed = installed or frame
    return installed


def warn_caller(message: str, category: type[Warning]) -> None:
    """Issue a warning that names the line of the caller's own code."""
    frame = frame_of_caller()
    if frame is None:
        warnings.warn(message, category, stacklevel=2)
        return
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the stack, innermost first, across greenlets.

    SQLAlchemy runs the synchronous part of ``await session.execute(...)`` in a greenlet. The stack of the greenlet ends
    at its start. The coroutine that waits for it is in the current frame of the parent greenlet.
    """
    from greenlet import getcurrent

    frame: FrameType | None = currentframe()
    greenlet = getcurrent()
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        if greenlet.parent is None:
            return
        greenlet = greenlet.parent
        frame = greenlet.gr_frame


def _is_library(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _LIBRARIES or package in sys.stdlib_module_names
