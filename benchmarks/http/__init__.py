"""A whole request: one order, and a list of 50, over HTTP. ``python -m benchmarks http``.

Each contender is a process of its own that runs uvicorn. All of them answer the same requests with equal JSON.
"""
