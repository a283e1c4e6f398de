"""The SQL of a tree: one ``select()`` for the roots, and one for each edge that needs its own.

In: a tree with strategies. Out: statements for one dialect, and the keys that connect their rows. Nothing here
    connects.
"""
