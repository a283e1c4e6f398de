"""``uv run --group benchmarks python -m benchmarks``: everything. ``--help`` tells the rest."""

from benchmarks.command import app

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
