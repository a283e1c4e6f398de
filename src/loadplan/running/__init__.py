"""Fetching: sessions, snapshots, roots, pages, batches. Only this stage and the loaders wait for a database.

In: a compiled plan, a bind and the wanted roots. Out: finished objects. This folder chooses no strategies, and builds
no statements of edges.
"""
