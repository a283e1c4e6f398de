"""The calls: ``Loader``, ``SyncLoader`` and their shared code.

In: a plan and the arguments of a call. Out: the result of the call. Both loaders run the same code. ``Loader`` awaits
the result.
"""
