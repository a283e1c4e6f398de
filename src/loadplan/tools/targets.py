"""Finds the objects for names on a command line, such as ``package.module:NAME``."""

import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import attrs

from loadplan.errors import did_you_mean
from loadplan.plan import LoadPlan


class TargetError(Exception):
    """A name on the command line does not exist. The text of the error lists names that exist."""


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
        name: the name of the module.
        error: the error that the import raised.
    """

    name: str
    error: Exception = attrs.field(eq=False)


def import_target(text: str) -> Any:
    """Return the object that ``package.module`` or ``package.module:attribute.of.it`` names.

    Raises:
        TargetError: the module or the attribute does not exist, or the module cannot be imported.
    """
    name, _, path = text.partition(":")
    target: Any = import_by_name(name, "package.module:NAME")
    at = f"module '{name}'"
    for part in path.split(".") if path else ():
        if not hasattr(target, part):
            raise TargetError(f"{at} has no '{part}'\n  hint: {did_you_mean(part, _own_names(target), 'It has')}")
        target = getattr(target, part)
        at = f"'{part}' of {at}"
    return target


def _own_names(target: object) -> set[str]:
    """Return the public names of an object. For a module, leave out names that it imports."""
    here = getattr(target, "__name__", None)
    return {
        name
        for name in dir(target)
        if not name.startswith("_")
        and not isinstance(value := getattr(target, name, None), ModuleType)
        and not (isinstance(target, ModuleType) and isinstance(value, type | FunctionType) and value.__module__ != here)
    }


def import_by_name(name: str, wanted: str = "package.module") -> ModuleType:
    """Return a module by its dotted name.

    Args:
        name: the name.
        wanted: the expected form of the name, for the error.

    Raises:
        TargetError: no module has this name (the error lists the nearest names), or importing the module raises.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"'{name}' is not the name of a module\n  hint: {_instead_of_module(name, wanted)}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TargetError(not_imported(BrokenModule(name, error))) from error
        raise TargetError(_no_module(error.name)) from None
    except Exception as error:
        raise TargetError(not_imported(BrokenModule(name, error))) from error


def _instead_of_module(name: str, wanted: str) -> str:
    module, _, inside = name.partition(":")
    if inside and all(part.isidentifier() for part in module.split(".")):
        return f"write the module alone: {module}. For one plan, run loadplan explain {name}."
    return f"write {wanted}, without a slash or '.py'."


def modules_below(module: ModuleType) -> Iterator[ModuleType | BrokenModule]:
    """Import and yield a module and, if it is a package, its submodules at every level, in the order of their names.

    ``__main__`` is left out, because importing it runs the program.
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
    """Yield the names of a module and their values, without proxies that only work in a request."""
    for name, value in list(vars(module).items()):
        try:
            value.__class__  # noqa: B018 - what isinstance() reads
        except Exception:  # noqa: S112 - a proxy raises what it likes
            continue
        yield name, value


def plans_in(modules: list[ModuleType]) -> list[FoundPlan]:
    """Return every plan that modules hold, each once, in the order of the modules.

    It looks at the names of a module, at lists, tuples, sets and dictionaries with these names, and at attributes of
    classes.
    """
    found: dict[int, FoundPlan] = {}
    for module in modules:
        for path, plan in _plans_of(module):
            found.setdefault(id(plan), FoundPlan(f"{module.__name__}:{path}", plan))
    return list(found.values())


def _plans_of(module: ModuleType) -> Iterator[tuple[str, LoadPlan[Any]]]:
    for name, value in values_in(module):
        yield from _held(name, value)
        if isinstance(value, type) and value.__module__ == module.__name__:
            for inner_name, inner in list(vars(value).items()):
                yield from _held(f"{name}.{inner_name}", inner)


#: How many levels of nested containers are searched for plans.
_DEEPEST = 4


def _held(name: str, value: object, depth: int = _DEEPEST) -> Iterator[tuple[str, LoadPlan[Any]]]:
    """Yield each plan in a value, with the code that reads the plan. The value may be a plan itself."""
    inside: list[tuple[str, object]] = []
    if isinstance(value, LoadPlan):
        yield name, value
    elif isinstance(value, list | tuple):
        inside = [(f"{name}[{index}]", inner) for index, inner in enumerate(value)]
    elif isinstance(value, set | frozenset):
        inside = [(name, inner) for inner in value]
    elif isinstance(value, Mapping):
        inside = [(f"{name}[{key!r}]", inner) for key, inner in list(value.items())]
    for path, inner in inside if depth else ():
        yield from _held(path, inner, depth - 1)


def _name(found: pkgutil.ModuleInfo) -> str:
    return found.name


# --- modules that cannot be imported ------------------------------------------------------------------------------

#: The name of an environment variable in code that reads it.
_ASKED = re.compile(r"""(?:getenv|environ\.get|environ|environ\.pop)[\[(]\s*["'](\w+)["']""")

#: Folders of code that is not the project's own.
_HERE = Path(__file__).parents[1]
_OTHERS = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))


def not_imported(module: BrokenModule) -> str:
    """Return the reason why a module cannot be imported: the error, its line in the project, and a hint."""
    lines = [f"module '{module.name}' cannot be imported: {_said(module.error)}"]
    spot = spot_of(module.error)
    if spot is not None:
        lines.append(f"  at: {spot[0]}:{spot[1]}")
    if names := _unset_variables(module.error):
        listed = " and ".join(names)
        lines.append(f"  hint: set {listed} in the environment. Importing connects to nothing, so any value will do.")
    return "\n".join(lines)


def broken_once(modules: Iterable[BrokenModule]) -> list[tuple[BrokenModule, list[str]]]:
    """Return the modules that cannot be imported, one for each cause, with the other modules that it breaks."""
    found: dict[object, tuple[BrokenModule, list[str]]] = {}
    for module in modules:
        cause = (spot_of(module.error), _said(module.error))
        if cause[0] is not None and cause in found:
            found[cause][1].append(module.name)
        else:
            found[cause if cause[0] is not None else module.name] = (module, [])
    return list(found.values())


def spot_of(error: BaseException) -> tuple[str, int] | None:
    """Return the file and line of the project's code that an error comes from, or None."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return relative_path(error.filename), error.lineno
    found = None
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(("<", *_OTHERS)) and _HERE not in Path(frame.filename).parents:
            found = relative_path(frame.filename), frame.lineno or 1
    return found


def relative_path(name: str) -> str:
    """Return the path of a file relative to the current folder. Return it unchanged if the file is elsewhere."""
    path, here = Path(name), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else name


def _unset_variables(error: Exception) -> list[str]:
    """Return the environment variables that an import needs and that are not set."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    if isinstance(error, KeyError) and any(each.filename.endswith(("os.py", "<frozen os>")) for each in last):
        return [str(error.args[0])]
    if type(error).__name__ == "ValidationError" and (told := getattr(error, "errors", None)) is not None:
        missing = [each["loc"][0] for each in told() if each.get("type") == "missing" and each.get("loc")]
        return [str(name).upper() for name in missing] if "ettings" in str(error).partition("\n")[0] else []
    spot = spot_of(error)
    if spot is None or not _is_about_a_value(error):
        return []
    try:
        lines = Path(spot[0]).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    asked = dict.fromkeys(_ASKED.findall("\n".join(lines)))
    return [name for name in asked if name not in os.environ]


def _is_about_a_value(error: Exception) -> bool:
    """Tell whether an error may come from a variable that is not set, because the code got None instead of a text."""
    return type(error).__name__ in {"ArgumentError", "TypeError", "AttributeError"} and "None" in str(error)


def _said(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# --- where modules are --------------------------------------------------------------------------------------------


def add_folders(folder: Path) -> None:
    """Make a folder importable, and its folder ``src`` if that contains packages."""
    inside = folder / "src"
    if inside.is_dir() and str(inside) not in sys.path and not (inside / "__init__.py").exists():
        sys.path.insert(0, str(inside))
    if sys.path[:1] != [""] and str(folder) not in sys.path[:2]:
        sys.path.insert(0, str(folder))


def _elsewhere(name: str) -> Path | None:
    """Return a folder near the current one that has a package of this name, or None."""
    here = Path.cwd()
    near = [*here.parents[:3], *(each for each in sorted(here.glob("*")) if each.is_dir())]
    for folder in near:
        for root in (folder, folder / "src"):
            if (root / name / "__init__.py").is_file() or (root / f"{name}.py").is_file():
                return folder
    return None


def _no_module(name: str) -> str:
    """Return the text of the error for a missing module, with the names of the modules next to it."""
    package, _, last = name.rpartition(".")
    message = f"there is no module '{name}'"
    if package:
        path = getattr(importlib.import_module(package), "__path__", None)
        if path is None:
            return f"{message}: '{package}' is a module, not a package\n  hint: write {package}:{last}."
        known = [found.name for found in pkgutil.iter_modules(path)]
        what = f"Modules of {package}"
    else:
        folder = _elsewhere(name)
        if folder is not None:
            return f"{message} in the current folder\n  hint: it is in '{folder}'; run loadplan there."
        folders = [Path.cwd(), Path.cwd() / "src"]
        known = sorted(found.name for found in pkgutil.iter_modules([str(each) for each in folders]))
        what = "Modules in the current folder"
        if not known:
            return (
                f"{message}: the current folder, '{Path.cwd()}', has no modules\n"
                "  hint: run loadplan in the folder of your project."
            )
    return f"{message}\n  hint: {did_you_mean(last, known, what)}"
