"""The declaration: plans, loads, branches, and the sources of fields.

In: your code. Out: immutable values that you can compare, hash and print as code. This folder never looks at a mapper.
"""
