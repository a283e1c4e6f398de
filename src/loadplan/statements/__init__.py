"""Makes the SQL of a tree: one ``select()`` for the roots, and one for each edge that needs a statement.

In: a tree with strategies. Out: statements for one dialect, and the keys that connect their rows. This folder never
opens a connection.
"""
