"""Import an application's models where most of what the application needs is not installed.

A module that nobody has becomes a stand-in: its names can be called, subclassed, subscripted and used as decorators,
and mean nothing.
"""

import fnmatch
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import sqlalchemy


class StandIn:
    """Something of a module that is not there."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name

    def __repr__(self) -> str:
        return f"<stand-in {self.__name__}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], type | FunctionType):
            return args[0]  # a decorator
        return StandIn(f"{self.__name__}()")

    def __getitem__(self, item: Any) -> Any:
        return self

    def __setitem__(self, item: Any, value: Any) -> None:
        pass

    def __contains__(self, item: Any) -> bool:
        return False

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type[Any], ...]:
        return () if any(isinstance(each, type) for each in bases) else (StandInBase,)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __or__(self, other: Any) -> Any:
        return other

    __ror__ = __or__

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __mul__ = __rmul__ = __add__

    def __str__(self) -> str:
        return ""

    def __int__(self) -> int:
        return 1

    def __lt__(self, other: Any) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__


class StandInBase:
    """What subclasses of a stand-in inherit."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and isinstance(args[0], type) else object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()


class StandInModule(ModuleType):
    """A module that is not there."""

    __path__: Sequence[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":  # packages compare it with the version that they need
            return "99"
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")


class _Loader(importlib.abc.Loader):
    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        pass


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be bare or blank."""

    def __init__(self, root: Path, bare: Iterable[str], blank: Iterable[str]) -> None:
        self.root, self.bare, self.blank = root, set(bare), tuple(blank)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name in self.bare:
            module = ModuleType(name)
            vars(module)["__version__"] = "0"
            folder = str(self.root.joinpath(*name.split(".")))
            spec = importlib.machinery.ModuleSpec(name, _Loader(module), is_package=True)
            spec.submodule_search_locations = [folder]
            return spec
        if any(fnmatch.fnmatch(name, each) for each in self.blank):
            return _stand_in(name)
        return None


class LastFinder(importlib.abc.MetaPathFinder):
    """Answers for what no other finder has found."""

    def __init__(self, own: str) -> None:
        self.own = own

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in _REAL or name.startswith("_"):
            return None
        later = sys.meta_path[sys.meta_path.index(self) + 1 :]  # of packages that make modules, such as six
        return next(filter(None, (each.find_spec(name, path, target) for each in later)), None) or _stand_in(name)


#: Packages whose missing parts are missing: SQLAlchemy itself probes for some.
_REAL = {
    "sqlalchemy",
    "greenlet",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "annotated_types",
    "email_validator",
    "cffi",
    "pycparser",
}


def _stand_in(name: str) -> importlib.machinery.ModuleSpec:
    spec = importlib.machinery.ModuleSpec(name, _Loader(StandInModule(name)), is_package=True)
    spec.submodule_search_locations = []
    return spec


def install(root: Path, own: str, bare: Iterable[str], blank: Iterable[str]) -> None:
    """Make imports start at ``root``, and give stand-ins for what is missing."""
    sqlalchemy.create_engine = lambda *_, **__: StandIn("engine")
    sys.path.insert(0, str(root))
    sys.meta_path.insert(0, Finder(root, bare, blank))
    sys.meta_path.append(LastFinder(own))
