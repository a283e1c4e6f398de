"""The benchmarks: ``uv run --group benchmarks python -m benchmarks``."""
