"""``python -m loadplan``."""

from loadplan.cli import main

main()
