"""Prints plans as code that you can paste: their ``repr``, on several lines."""

from collections.abc import Iterator, Sequence
from typing import Any

from loadplan.declared.code import argument_source, source
from loadplan.declared.spec import Load, On
from loadplan.plan import LoadPlan

_WIDTH = 100
_WORDS = ("only", "defer", "where", "order_by", "limit", "depth", "strategy", "into", "name")


def plan_code(plan: LoadPlan[Any], variable: str | None = None) -> str:
    """Return the code that builds a plan, in lines of about 100 characters at most.

    Args:
        plan: the plan to print.
        variable: the name that the code assigns the plan to; None for the plan alone.
    """
    start = "" if variable is None else f"{variable} = "
    return start + _lines(plan, len(start), 0)


def _lines(part: Any, used: int, level: int) -> str:
    short = source(part) if not isinstance(part, Load | On | LoadPlan) else repr(part)
    if used + len(short) + 4 * level <= _WIDTH or not isinstance(part, Load | On | LoadPlan):
        return short
    indent = "    " * (level + 1)
    return "\n".join(
        [f"{_head(part)}(", *(f"{indent}{each}," for each in _arguments(part, level + 1)), "    " * level + ")"]
    )


def _head(part: Load[Any] | On[Any] | LoadPlan[Any]) -> str:
    return "load" if isinstance(part, Load) else "on" if isinstance(part, On) else "LoadPlan"


def _arguments(part: Load[Any] | On[Any] | LoadPlan[Any], level: int) -> Iterator[str]:
    yield source(part.relationship if isinstance(part, Load) else part.entity)
    nested: Sequence[Any] = part.loads
    for each in nested:
        yield _lines(each, 1, level)
    for word in _WORDS:
        value = getattr(part, word, None)
        if value is not None:
            yield argument_source(word, value)
