"""What you write: plans, loads, branches, and where the value of a field comes from.

In: your code. Out: immutable values that you can compare, hash and print as code. Nothing here looks at a mapper.
"""
