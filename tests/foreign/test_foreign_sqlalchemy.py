"""SQLAlchemy's own ORM tests run with a hook: after each test, plans over its mappings and rows meet the lazy walk.

The tests come from the source distribution of the installed version. They lie in a cache folder of the
user's, never in the repository.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from foreign_known import judged

LONG = os.environ.get("LOADPLAN_FOREIGN") == "long"
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "loadplan" / "foreign"

#: Folders and files of SQLAlchemy's tests. Some files of ``test/orm`` map nothing, and cost nothing here.
SHORT_RUN = ("test/orm/inheritance/test_relationship.py", "-k", "M2MFilterTest or SelfReferentialM2M or SubClassToSub")
LONG_RUN = ("test/orm",)


def source() -> Path:
    """Return the folder of SQLAlchemy's source distribution. The long form fetches it where it is missing.

    Skips the test where it cannot be had.
    """
    version = sqlalchemy.__version__
    folder = CACHE / f"sqlalchemy-{version}"
    if folder.joinpath("test", "conftest.py").exists():
        return folder
    if not LONG:
        pytest.skip(
            f"no source distribution of SQLAlchemy {version} in the cache: 'python -m tests.foreign' fetches it"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    fetched = CACHE / f"download-{version}"
    uvx = shutil.which("uvx")
    pip = [uvx, "pip"] if uvx else [sys.executable, "-m", "pip"]
    command = [*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", str(fetched), f"sqlalchemy=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    archives = list(fetched.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"SQLAlchemy's source distribution cannot be had: {done.stderr[-300:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(CACHE, filter="data")
    return folder


def run(folder: Path, report: Path, arguments: tuple[str, ...], plans: int) -> str:
    """Run SQLAlchemy's tests with the hook, on SQLite in memory, and return the end of their output."""
    paths = [HERE, HERE.parent, ROOT]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "LOADPLAN_FOREIGN_REPORT": str(report),
        "LOADPLAN_FOREIGN_PLANS": str(plans),
        "PYTHONHASHSEED": "0",
    }
    without = [word for name in ("loadplan", "asyncio", "anyio", "xdist") for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-s", "-m", "pytest", "-p", "foreign_hook", *without, "-o", "addopts=", "-q", "--tb=no"]
    done = subprocess.run(  # noqa: S603
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout[-2000:] + done.stderr[-2000:]


def test_plans_over_the_mappings_of_sqlalchemys_own_tests(tmp_path: Path) -> None:
    """New differences fail, and so do known ones that are gone (in the long form, which sees them all)."""
    report = tmp_path / "report.jsonl"
    said = run(source(), report, LONG_RUN if LONG else SHORT_RUN, plans=1)
    assert report.exists(), said
    entries: list[dict[str, Any]] = [json.loads(line) for line in report.read_text().splitlines()]
    found = [(each["where"], one["line"]) for each in entries for one in each.get("differences", [])]
    plans = {(each["where"], one["line"]): one["plan"] for each in entries for one in each.get("differences", [])}
    figures = {word: sum(each[word] for each in entries) for word in ("mappers", "plans", "relationships")}
    broken = [f"{each['where']}: {each['broken']}" for each in entries if "broken" in each]
    kinds = Counter(reason.partition(": ")[2][:5] for each in entries for reason in each["refused"])
    print(f"{len(entries)} tests, {figures}, refused: {dict(kinds)}, broken: {broken[:5]}")
    new, stale = judged("sqlalchemy", found)
    texts = [f"{where}: {line}\n    {plan}" for (where, line), plan in plans.items() if f"{where}: {line}" in new]
    assert not new, f"{len(new)} new differences\n" + "\n".join(texts)
    assert figures["plans"] >= (1000 if LONG else 5), said
    assert len(broken) <= len(entries) // 100, broken
    if LONG:
        assert not stale
