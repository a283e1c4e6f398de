"""SQLAlchemy's source distributions, which have its tests, and the way to run these with the hook.

They lie in a cache folder of the user's, never in the repository.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "loadplan" / "foreign"

#: The exit codes of pytest after tests that passed, tests that failed, and a file without tests for the database.
RUN = (0, 1, 5)


def cached(version: str) -> Path | None:
    """Return the folder of a version's source distribution, if it is there."""
    folder = CACHE / f"sqlalchemy-{version}"
    return folder if folder.joinpath("test", "conftest.py").exists() else None


def fetched(version: str) -> Path:
    """Return the folder of a version's source distribution. Fetch it where it is missing.

    Raises:
        FileNotFoundError: the package index does not give it.
    """
    if (folder := cached(version)) is not None:
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    download = CACHE / f"download-{version}"
    uvx = shutil.which("uvx")
    pip = [uvx, "pip"] if uvx else [sys.executable, "-m", "pip"]
    command = [*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", str(download), f"sqlalchemy=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    archives = list(download.glob("*.tar.gz"))
    if not archives:
        raise FileNotFoundError(f"SQLAlchemy's source distribution cannot be had: {done.stderr[-300:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(CACHE, filter="data")
    return CACHE / f"sqlalchemy-{version}"


def files_with_tests(folder: Path) -> list[str]:
    """Return the files with tests of the ORM and of its extensions. Some of them map nothing, and cost nothing.

    A file whose name ends in, say, ``_py314`` has the syntax of that Python, which an older one cannot read.
    """
    found = [*folder.glob("test/orm/**/test_*.py"), *folder.glob("test/ext/**/test_*.py")]
    readable = [each for each in found if "asyncio" not in each.parts and needed_python(each) <= sys.version_info]
    return sorted(each.relative_to(folder).as_posix() for each in readable)


def needed_python(file: Path) -> tuple[int, ...]:
    """Return the oldest Python that can read a file of SQLAlchemy's tests, as its name says."""
    said = re.search(r"_py(\d)(\d+)$", file.stem)
    return tuple(map(int, said.groups())) if said else (3,)


def run_tests(folder: Path, report: Path, arguments: Sequence[str], plans: int, url: str | None = None) -> str:
    """Run SQLAlchemy's tests with the hook, and return the end of their output.

    Args:
        folder: of the source distribution.
        report: where the hook writes what it found.
        arguments: of pytest: the files.
        plans: for each test.
        url: of the database. Without it, the tests run on SQLite in memory.

    Raises:
        RuntimeError: pytest could not run them. A file without tests for SQLite is no error.
    """
    paths = [HERE, HERE.parent, ROOT]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "LOADPLAN_FOREIGN_REPORT": str(report),
        "LOADPLAN_FOREIGN_PLANS": str(plans),
        "PYTHONHASHSEED": "0",
    }
    without = [word for name in ("loadplan", "asyncio", "anyio", "xdist") for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-s", "-m", "pytest", "-p", "foreign_hook", *without, "-o", "addopts=", "-q", "--tb=no"]
    command += ["--dburi", url] if url else []
    done = subprocess.run(  # noqa: S603
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout[-2000:] + done.stderr[-2000:]
    if done.returncode not in RUN:
        raise RuntimeError(said)
    return said
