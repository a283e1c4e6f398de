"""``python -m loadplan``."""

from loadplan.tools.cli import main

main()
