"""Shapes of PostGIS, in a process of their own: GeoAlchemy2 listens to every statement of every engine of a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from system_postgres import find_postgres

CHECKS = Path(__file__).with_name("postgis_checks.py")


def test_shapes_in_entities_views_and_pages() -> None:
    found = find_postgres()
    if found is None or not found.has("postgis"):
        pytest.skip("PostGIS is not installed (Debian: apt-get install postgresql-postgis)")
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(CHECKS)]
    done = subprocess.run(command, cwd=CHECKS.parents[2], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
