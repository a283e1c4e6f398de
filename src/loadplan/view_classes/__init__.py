"""Reads your result classes: attrs, dataclasses, pydantic, msgspec and named tuples.

In: a class. Out: its fields, and a function that makes an object of it. This folder never looks at columns.
"""
