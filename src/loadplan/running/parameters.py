"""Checks ``params=``, the values of the bindparams in a plan, before any SQL."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Dialect

from loadplan.errors import ParameterError, Problem, did_you_mean, shown
from loadplan.mapped.values import refusal
from loadplan.resolved.tree import Parameter


def read_parameters(
    label: str, declared: Iterable[Parameter], given: Mapping[str, Any] | None, dialect: Dialect
) -> dict[str, Any]:
    """Return the parameters to execute with.

    Args:
        label: the label of the plan, for errors.
        declared: every bindparam of the plan and of the fetch.
        given: the caller's ``params=``.
        dialect: the dialect of the database, which decides which values a type can hold.

    Raises:
        ParameterError: LP405, a value is missing, unknown, or cannot be compared with its column.
    """
    try:
        return _read(label, declared, given, dialect)
    except ParameterError:
        raise
    except Exception as error:  # the methods of the value's class may raise any error
        message = f"params={shown(given)} cannot be read"
        raise ParameterError(
            Problem("LP405", message, (label,), detail=f"it raises {type(error).__name__}.")
        ) from error


def _no_parameters(name: str) -> str:
    """Return the hint for a value that a plan without parameters cannot use."""
    return f"remove params=, or use the value in a condition of the plan, with bindparam({name})."


def _read(label: str, declared: Iterable[Parameter], given: Any, dialect: Dialect) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        hint = "pass a dictionary: params={'name': value}."
        message = f"params= needs a mapping of names to values, but got {shown(given)}"
        raise ParameterError(Problem("LP405", message, (label,), hint=hint))
    everywhere = tuple(declared)  # the plan and the conditions of the fetch may both have a parameter of one name
    known = dict.fromkeys(parameter.name for parameter in everywhere)
    values = {} if given is None else dict(given)
    for name in values:
        if name not in known:
            hint = did_you_mean(str(name), known, "Parameters") if known else _no_parameters(shown(name))
            raise ParameterError(Problem("LP405", f"the plan has no parameter {shown(name)}", (label,), hint=hint))
    for parameter in everywhere:
        if parameter.name in values:
            _check(label, parameter, values[parameter.name], dialect)
        elif parameter.required:
            raise ParameterError(
                Problem(
                    "LP405",
                    f"parameter '{parameter.name}' has no value",
                    (label,),
                    hint=f"pass the value with the fetch: params={{'{parameter.name}': ...}}.",
                )
            )
    return values


def _check(label: str, parameter: Parameter, value: Any, dialect: Dialect) -> None:
    if parameter.expanding and not isinstance(value, list | tuple | set | frozenset):
        raise _refused(label, parameter, value, f"it takes a list, not {type(value).__name__}")
    for each in value if parameter.expanding else (value,):
        reason = None if each is None else refusal(each, parameter.type, dialect)
        if reason is not None:
            raise _refused(label, parameter, each, reason)


def _refused(label: str, parameter: Parameter, value: Any, reason: str) -> ParameterError:
    return ParameterError(
        Problem(
            "LP405",
            f"{shown(value)} cannot be the value of parameter '{parameter.name}'",
            (label,),
            detail=f"{reason}.",
        )
    )
