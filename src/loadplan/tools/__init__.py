"""Tools for plans and mappings: audit, check, learn, adopt, types, the command line, pytest.

In: plans, mapped classes, code or a database. Out: findings, texts and reports. No stage above imports a tool.
"""
