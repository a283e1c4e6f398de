"""``python -m tests.foreign``: the long form, in one command. ``--help`` says how to run parts of it."""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    command = [sys.executable, str(Path(__file__).with_name("foreign_long_run.py")), *sys.argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603
