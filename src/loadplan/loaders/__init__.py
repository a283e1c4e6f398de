"""The calls: ``Loader``, ``SyncLoader`` and their shared code.

In: a plan and the arguments of a call. Out: the result of the call. Both loaders share their code, but wait
    differently.
"""
