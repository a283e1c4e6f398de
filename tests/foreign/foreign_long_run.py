"""The long run: everything that loadplan is held against, part by part.

A part is an application on a database, a file of SQLAlchemy's own tests, or a file of tests that draws random cases;
each on both lines of SQLAlchemy. What a part found is kept, so a run that was stopped goes on where it was.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from foreign_building import NAMES
from foreign_known import judged
from foreign_records import Record, summed
from foreign_source import HERE, ROOT, fetched, files_with_tests

KEPT = ROOT / ".foreign"

#: The lines of SQLAlchemy that loadplan supports, the newest first.
LINES = {"2.1": "sqlalchemy>=2.1,<2.2", "2.0": "sqlalchemy>=2.0.40,<2.1"}

DATABASES = ("sqlite", "postgresql")

#: What of SQLAlchemy's own tests runs on PostgreSQL as well: the mappings whose statements are the longest.
ON_POSTGRESQL = ("test/orm/inheritance/", "test/orm/declarative/", "test/ext/declarative/")


@attrs.frozen
class Part:
    """One part of the run.

    Attributes:
        name: such as ``2.1/applications/mealie/sqlite``.
        python: the command that starts a Python with its line of SQLAlchemy.
        nodes: what pytest is to run.
        environment: further variables.
    """

    name: str
    python: tuple[str, ...]
    nodes: tuple[str, ...]
    environment: dict[str, str]

    @property
    def path(self) -> Path:
        return KEPT / (re.sub(r"[^\w.]+", "_", self.name) + ".json")

    def kept(self) -> dict[str, Any] | None:
        """Return what an earlier run of this part found."""
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def run(self) -> dict[str, Any]:
        """Run the part, and keep what it found. The output of pytest lies beside it."""
        records, started = self.path.with_suffix(".records"), time.monotonic()
        records.unlink(missing_ok=True)
        environment = os.environ | self.environment | {"LOADPLAN_FOREIGN_RECORDS": str(records)}
        command = [*self.python, "-m", "pytest", "-n", "0", "-s", "-q", "--tb=short", "-p", "no:cacheprovider"]
        with self.path.with_suffix(".log").open("w") as log:
            done = subprocess.run(  # noqa: S603
                [*command, *self.nodes], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        record = summed(records)
        records.unlink(missing_ok=True)
        found = {
            "part": self.name,
            "passed": done.returncode == 0,
            "seconds": round(time.monotonic() - started),
            "revision": revision(),
            "record": attrs.asdict(record),
        }
        self.path.write_text(json.dumps(found))
        return found


def revision() -> str:
    """Return the commit that is checked out, with a mark if files differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "describe", "--always", "--dirty", "--abbrev=8", "--exclude", "*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def python_of(line: str) -> tuple[tuple[str, ...], str]:
    """Return the command that starts a Python with a line of SQLAlchemy, and the version that it has.

    Raises:
        FileNotFoundError: there is no such Python to be had.
    """
    uv = shutil.which("uv")
    ways = [(sys.executable,), *([(uv, "run", "--quiet", "--with", LINES[line], "python")] if uv else [])]
    for way in ways:
        command = [*way, "-c", "import sqlalchemy; print(sqlalchemy.__version__)"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if (version := done.stdout.strip()).startswith(f"{line}."):
            return way, version
    raise FileNotFoundError(f"no Python with SQLAlchemy {line}: install uv")


def parts_of(line: str, plans: int, examples: int) -> list[Part]:
    """Return the parts of one line of SQLAlchemy."""
    python, version = python_of(line)
    long = {"LOADPLAN_FOREIGN": "long"}
    tests = HERE.relative_to(ROOT).as_posix()
    parts = [Part(f"{line}/found", python, (f"{tests}/test_found_in_foreign_mappings.py",), long)]
    for name in NAMES:
        for database in DATABASES:
            words = (f"test_random_plans_on_{database}[{name}]", f"test_histories_on_{database}[{name}]")
            nodes = tuple(f"{tests}/test_foreign_applications.py::{word}" for word in words)
            many = long | {"LOADPLAN_FOREIGN_PLANS": str(plans)}
            parts.append(Part(f"{line}/applications/{name}/{database}", python, nodes, many))
    for file in files_with_tests(fetched(version)):
        own, nodes = long | {"LOADPLAN_FOREIGN_FILES": file}, (f"{tests}/test_foreign_sqlalchemy.py",)
        parts.append(Part(f"{line}/sqlalchemy/{file}", python, nodes, own))
        if file.startswith(ON_POSTGRESQL):
            there = own | {"LOADPLAN_FOREIGN_DATABASE": "postgresql"}
            parts.append(Part(f"{line}/sqlalchemy-on-postgresql/{file}", python, nodes, there))
    many = {"LOADPLAN_PROPERTY_EXAMPLES": str(examples)}
    for path in files_with_random_cases():
        parts.append(Part(f"{line}/random/{path.stem}", python, (path.relative_to(ROOT).as_posix(),), many))  # noqa: PERF401
    return parts


def files_with_random_cases() -> list[Path]:
    """Return the tests that draw as many cases as somebody asks for, without those of this folder."""
    others = (each for each in (ROOT / "tests").glob("*/test_*.py") if each.parent != HERE)
    return sorted(each for each in others if "random_cases" in each.read_text())


def told(number: int, of: int, found: dict[str, Any]) -> str:
    """Return the line of progress of a part."""
    record = Record(**found["record"])
    end = "passed" if found["passed"] else "FAILED"
    what = f"{record}, " if record.plans or record.compared else ""
    return f"[{number}/{of}] {found['part']}: {end}, {what}{found['seconds']} s"


def summary(all_found: Sequence[dict[str, Any]]) -> str:
    """Return what was compared, by line and kind."""
    lines = ["", f"{'':26}{'parts':>7}{'failed':>8}{'plans':>8}{'related':>9}{'comparisons':>13}{'known':>7}"]
    total: Record = Record()
    groups: dict[str, list[dict[str, Any]]] = {}
    for found in all_found:
        groups.setdefault("/".join(found["part"].split("/")[:2]), []).append(found)
    for group, members in groups.items():
        record = Record()
        for each in members:
            record.add(Record(**each["record"]))
        total.add(record)
        failed = sum(not each["passed"] for each in members)
        numbers = (record.plans, record.relationships, sum(record.compared.values()), len(record.differences))
        cells = [f"{number:>{width}}" for number, width in zip(numbers, (8, 9, 13, 7), strict=True)]
        lines.append(f"{group:26}{len(members):>7}{failed:>8}{''.join(cells)}")
    lines.append(f"compared: {dict(total.compared.most_common())}")
    lines.append(f"refused by loadplan: {dict(total.refused.most_common())}; not walked: {total.not_walked}")
    lines.append(f"commits: {', '.join(sorted({each['revision'] for each in all_found}))}")
    return "\n".join(lines)


def stale(all_found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the known differences that nothing showed."""
    found: list[str] = []
    for section in ("applications", "sqlalchemy"):
        seen = [pair for each in all_found if f"/{section}" in each["part"] for pair in each["record"]["differences"]]
        found += judged(section, seen)[1]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=__doc__)
    parser.add_argument("patterns", nargs="*", help="run the parts whose names have one of these, such as '*/mealie/*'")
    parser.add_argument("--list", action="store_true", help="print the parts, and whether they passed")
    parser.add_argument("--anew", action="store_true", help="run parts that have passed, too")
    parser.add_argument("--line", action="append", choices=LINES, help="a line of SQLAlchemy; both if none is given")
    parser.add_argument("--plans", type=int, default=40, help="random plans of an application, for each of 3 fillings")
    parser.add_argument("--examples", type=int, default=500, help="random cases of each test that draws them")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no part after so many minutes")
    given = parser.parse_args()

    KEPT.mkdir(exist_ok=True)
    everything = [part for line in given.line or LINES for part in parts_of(line, given.plans, given.examples)]
    chosen = [part for part in everything if fits(part.name, given.patterns)]
    if given.list:
        for part in chosen:
            found = part.kept()
            print(part.name, "-" if found is None else "passed" if found["passed"] else "FAILED")
        return 0

    ends, all_found, left = time.monotonic() + given.minutes * 60, [], 0
    for number, part in enumerate(chosen, 1):
        found = part.kept()
        if given.anew or found is None or not found["passed"]:
            if time.monotonic() > ends:
                left += 1
                continue
            found = part.run()
            print(told(number, len(chosen), found), flush=True)
            if not found["passed"]:
                print(f"    see {part.path.with_suffix('.log').relative_to(ROOT)}", flush=True)
        all_found.append(found)

    print(summary(all_found))
    failed = [each["part"] for each in all_found if not each["passed"]]
    unseen = stale(all_found) if len(all_found) == len(everything) and not given.line else []
    for each in failed:
        print(f"FAILED {each}")
    for each in unseen:
        print(f"a known difference that is gone: delete it: {each}")
    if left:
        print(f"{left} parts are left: the same command goes on with them")
    return 1 if failed or unseen or left else 0


def fits(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, f"*{each}*") for each in patterns)


if __name__ == "__main__":
    sys.exit(main())
