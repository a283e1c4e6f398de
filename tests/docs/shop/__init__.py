"""The package that the commands on docs/tools.md speak of."""
