"""The SQL of a tree: one ``select()`` for the roots, and one for each edge that needs its own.

In: a tree with strategies. Out: statements for one dialect, and what ties their rows together. Nothing here connects.
"""
