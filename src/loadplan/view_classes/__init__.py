"""Reads your own result classes: attrs, dataclasses, pydantic, msgspec and named tuples.

In: a class. Out: its fields, and how an object of it is made. Nothing here looks at columns.
"""
