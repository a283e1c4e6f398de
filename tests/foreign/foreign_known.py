"""The differences that are known: a committed list, each with its reason."""

import fnmatch
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import attrs

PATH = Path(__file__).with_name("known_differences.toml")


@attrs.frozen
class Known:
    """One known difference.

    Attributes:
        where: the application, or a pattern of SQLAlchemy's tests.
        line: a regular expression that is found in the difference's line.
        reason: why it is there.
        flaky: whether it need not be seen in every long run, for a difference that hangs on hash order.
    """

    where: str
    line: str
    reason: str
    flaky: bool = False

    def fits(self, where: str, line: str) -> bool:
        return fnmatch.fnmatchcase(where, self.where) and re.search(self.line, line) is not None


def known(section: str) -> list[Known]:
    return [Known(**each) for each in tomllib.loads(PATH.read_text()).get(section, [])]


def judged(section: str, found: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Return the differences that no entry explains, and the entries that explain none.

    Args:
        section: of the list.
        found: pairs of where and line.
    """
    entries, used, new = known(section), set(), []
    for where, line in found:
        fitting = [each for each in entries if each.fits(where, line)]
        used.update(fitting)
        if not fitting:
            new.append(f"{where}: {line}")
    return new, [f"{each.where}: {each.line}" for each in entries if each not in used and not each.flaky]
