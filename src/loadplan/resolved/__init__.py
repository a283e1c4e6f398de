"""Resolves plans: combines a declaration and the mapping into one tree, with a strategy and its reason on each edge.

In: a plan. Out: a tree of places and edges, or one ``PlanError`` with every problem. This folder builds no SQL.
"""
