"""The resolved plan: declaration and mapping become one tree, with a strategy and its reason on each edge.

In: a plan. Out: a tree of places and edges, or one ``PlanError`` with every problem. Nothing here builds SQL.
"""
