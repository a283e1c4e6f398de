"""The calls: ``Loader``, ``SyncLoader`` and what they share.

In: a plan and the arguments of a call. Out: what the call returns. One body serves both loaders; how they wait differs.
"""
