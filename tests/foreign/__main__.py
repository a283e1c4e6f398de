"""``python -m tests.foreign``: the long form, in one command. Further arguments go to pytest."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    environment = os.environ | {"LOADPLAN_FOREIGN": "long"}
    command = [sys.executable, "-m", "pytest", str(FOLDER), "-s", *sys.argv[1:]]
    sys.exit(subprocess.run(command, env=environment, cwd=FOLDER.parent.parent, check=False).returncode)  # noqa: S603
