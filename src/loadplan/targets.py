"""Names given on a command line, ``package.module:NAME``, to the objects they mean."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import attrs

from loadplan.errors import did_you_mean
from loadplan.spec import LoadPlan


class TargetError(Exception):
    """A name that leads to nothing; the text says what is there instead."""


@attrs.frozen
class FoundPlan:
    """A plan and where it was found.

    Attributes:
        where: ``"shop.plans:ORDER_PAGE"``.
        plan: the plan itself.
    """

    where: str
    plan: LoadPlan[Any] = attrs.field(eq=False)


@attrs.frozen
class BrokenModule:
    """A module whose import fails.

    Attributes:
        name: of the module.
        error: what the import raised.
    """

    name: str
    error: Exception = attrs.field(eq=False)


def import_target(text: str) -> Any:
    """Return what ``package.module`` or ``package.module:attribute.of.it`` names.

    Raises:
        TargetError: there is no such module or attribute, or the module itself cannot be imported.
    """
    name, _, path = text.partition(":")
    target: Any = import_by_name(name)
    at = f"module '{name}'"
    for part in path.split(".") if path else ():
        if not hasattr(target, part):
            raise TargetError(f"{at} has no '{part}'\n  hint: {did_you_mean(part, _own_names(target), 'It has')}")
        target = getattr(target, part)
        at = f"'{part}' of {at}"
    return target


def _own_names(target: object) -> set[str]:
    """Return the public names of something, without what a module has imported from elsewhere."""
    here = getattr(target, "__name__", None)
    return {
        name
        for name in dir(target)
        if not name.startswith("_")
        and not isinstance(value := getattr(target, name, None), ModuleType)
        and not (isinstance(target, ModuleType) and isinstance(value, type | FunctionType) and value.__module__ != here)
    }


def import_by_name(name: str) -> ModuleType:
    """Return a module by its dotted name.

    Raises:
        TargetError: there is none, with the nearest names; or importing it raises.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(
            f"'{name}' is no name of a module\n  hint: write package.module:NAME, without a slash or '.py'."
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TargetError(f"module '{name}' cannot be imported: {_said(error)}") from error
        raise TargetError(_no_module(error.name)) from None
    except Exception as error:
        raise TargetError(f"module '{name}' cannot be imported: {_said(error)}") from error


def modules_below(module: ModuleType) -> Iterator[ModuleType | BrokenModule]:
    """Yield a module and, if it is a package, its submodules at every level, imported, in the order of their names.

    A ``__main__`` is left out: importing it runs it.
    """
    yield module
    for found in sorted(pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}."), key=_name):
        if found.name.rpartition(".")[2] == "__main__":
            continue
        try:
            below = importlib.import_module(found.name)
        except Exception as error:
            yield BrokenModule(found.name, error)
        else:
            yield from modules_below(below)


def values_in(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield the names of a module and their values, without proxies that stand for nothing outside of a request."""
    for name, value in list(vars(module).items()):
        try:
            value.__class__  # noqa: B018 - what isinstance() reads
        except Exception:  # noqa: S112 - a proxy raises what it likes
            continue
        yield name, value


def plans_in(modules: list[ModuleType]) -> list[FoundPlan]:
    """Return every plan that modules hold, each once, in the order of the modules.

    They are looked for among the names of a module, in lists, tuples, sets and dictionaries that have such a name,
    and among the attributes of classes that the module defines.
    """
    found: dict[int, FoundPlan] = {}
    for module in modules:
        for path, plan in _plans_of(module):
            found.setdefault(id(plan), FoundPlan(f"{module.__name__}:{path}", plan))
    return list(found.values())


def _plans_of(module: ModuleType) -> Iterator[tuple[str, LoadPlan[Any]]]:
    for name, value in values_in(module):
        for path, inner in _held(name, value):
            if isinstance(inner, LoadPlan):
                yield path, inner
        if isinstance(value, type) and value.__module__ == module.__name__:
            for inner_name, inner in list(vars(value).items()):
                if isinstance(inner, LoadPlan):
                    yield f"{name}.{inner_name}", inner


def _held(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, list | tuple):
        yield from ((f"{name}[{index}]", inner) for index, inner in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((name, inner) for inner in value)
    elif isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", inner) for key, inner in list(value.items()))
    else:
        yield name, value


def _name(found: pkgutil.ModuleInfo) -> str:
    return found.name


def _said(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _no_module(name: str) -> str:
    """Say that a module is missing, and what its neighbours are called."""
    package, _, last = name.rpartition(".")
    message = f"there is no module '{name}'"
    if package:
        path = getattr(importlib.import_module(package), "__path__", None)
        if path is None:
            return f"{message}: '{package}' is a module and no package\n  hint: write {package}:{last}."
        known = [found.name for found in pkgutil.iter_modules(path)]
        what = f"Modules of {package}"
    else:
        known = sorted(found.name for found in pkgutil.iter_modules([str(Path.cwd())]))
        what = "Modules in the current folder"
    return f"{message}\n  hint: {did_you_mean(last, known, what)}"
