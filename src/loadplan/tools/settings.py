"""``[tool.loadplan]`` of pyproject.toml: defaults for the options of the command line."""

import tomllib
from pathlib import Path
from typing import Any

import attrs

from loadplan.errors import did_you_mean
from loadplan.tools.audit.findings import Severity
from loadplan.tools.targets import TargetError


@attrs.frozen
class Settings:
    """The settings of a project.

    Attributes:
        fail_on: a command returns 1 for findings of this severity or worse; None for the default of each command.
        ignore: names of findings that are left out, as ``"User.posts"``; ``*`` stands for anything.
        baseline: the file with the known findings and costs.
        small_tables: tables that need no index.
        rows: tables with fewer rows need no index.
        dialect: the dialect for ``explain``.
        database: the URL of the database for ``check``.
    """

    fail_on: Severity | None = None
    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    small_tables: tuple[str, ...] = ()
    rows: int | None = None
    dialect: str | None = None
    database: str | None = None


#: The kind of each key.
_KINDS: dict[str, type[Any]] = {
    "fail-on": str,
    "ignore": list,
    "baseline": str,
    "small-tables": list,
    "rows": int,
    "dialect": str,
    "database": str,
}


def read_settings(folder: Path) -> Settings:
    """Return the settings in the nearest pyproject.toml, in a folder or above it. Without a file, they are empty.

    Raises:
        TargetError: the table has an unknown key or a wrong value.
    """
    for each in (folder, *folder.parents):
        path = each / "pyproject.toml"
        if path.is_file():
            return _settings(path)
    return Settings()


def _settings(path: Path) -> Settings:
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("loadplan", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise TargetError(f"'{path}' cannot be read: {error}") from error
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KINDS:
            hint = did_you_mean(key, _KINDS, "It takes")
            raise TargetError(f"[tool.loadplan] of '{path}' takes no '{key}'\n  hint: {hint}")
        if not isinstance(value, _KINDS[key]):
            kind = _KINDS[key].__name__
            raise TargetError(f"'{key}' in [tool.loadplan] of '{path}' must be a {kind}, not {value!r}")
        given[key.replace("-", "_")] = tuple(map(str, value)) if isinstance(value, list) else value
    if "fail_on" in given:
        given["fail_on"] = severity_of(given["fail_on"])
    if "baseline" in given:
        given["baseline"] = path.parent / given["baseline"]
    return Settings(**given)


def severity_of(word: str) -> Severity:
    """Return the severity with a name.

    Raises:
        TargetError: no severity has this name.
    """
    try:
        return Severity(word)
    except ValueError:
        known = [each.value for each in Severity]
        raise TargetError(f"there is no severity '{word}'\n  hint: {did_you_mean(word, known, 'Severities')}") from None
