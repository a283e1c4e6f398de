"""``uv run --group benchmarks python -m benchmarks``: everything. ``--help`` tells the rest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # its modules import each other by their names, as scripts do

from command import app

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
