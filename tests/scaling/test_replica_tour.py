"""The example's command runs, and shows what it is there to show."""

import subprocess
import sys
from pathlib import Path

from replicas.pooler import find_pgbouncer

DEMO = Path(__file__).parents[2] / "examples" / "replicas" / "demo.py"


def test_the_demo_tells_its_story() -> None:
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "primary: leads; ['message 5 of topic 5', 'message 4 of topic 5']" in done.stdout
    assert "standby: follows; ['message 5 of topic 5', 'message 4 of topic 5']" in done.stdout
    assert "'just written'" in done.stdout
    assert "a read: 0 on the primary, 2 on the standby" in done.stdout
    assert "0 on the standby 'not committed yet'" in done.stdout
    assert "cannot execute SELECT FOR UPDATE in a read-only transaction" in done.stdout
    pooled = "200 graphs" if find_pgbouncer() else "is not installed"
    assert pooled in done.stdout
