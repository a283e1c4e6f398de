"""Tools for plans: held against a database, read from options, learned from code, counted.

Plans and compiled plans come in; findings, texts and reports go out. Nothing in the stages before imports a tool.
"""
