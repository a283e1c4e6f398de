"""Says how to write a call, if Python refuses its arguments. Python's own message has only their number or a name."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])


def is_refused_here(error: TypeError) -> bool:
    """Tell whether Python refused the arguments of a call, so that no line of the call itself ran.

    Use it in the ``except`` beside the call.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def with_usage(usage: str, name: str | None = None) -> Callable[[F], F]:
    """Return a decorator. If Python refuses the arguments of a call, the error says how to write the call.

    Args:
        usage: the code of a right call, in a sentence.
        name: the name of the call in the error; by default, the name of the function.
    """

    def decorated(call: F) -> F:
        @functools.wraps(call)
        def called(*args: Any, **given: Any) -> Any:
            try:
                return call(*args, **given)
            except TypeError as error:
                if not is_refused_here(error):
                    raise
                words = str(error).removeprefix(f"{call.__qualname__}() ")
                raise TypeError(f"{name or call.__qualname__}() {words}. {usage}") from None

        made: Any = called
        return made  # type: ignore[no-any-return]

    return decorated


def with_usage_of(usages: dict[str, str]) -> Callable[[C], C]:
    """Return a class decorator. The errors of the named methods say how to write the call. See :func:`with_usage`.

    Args:
        usages: a sentence for each method. Use ``__init__`` for a call of the class itself.
    """

    def decorated(made: C) -> C:
        for method, usage in usages.items():
            given = vars(made)[method]
            is_static = isinstance(given, staticmethod)
            call: Any = given.__func__ if is_static else given
            called = with_usage(usage, made.__name__ if method == "__init__" else method)(call)
            setattr(made, method, staticmethod(called) if is_static else called)
        return made

    return decorated
