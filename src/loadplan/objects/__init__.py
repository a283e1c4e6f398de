"""Objects made of rows: generated code that builds view objects, or mapped instances with their seal.

In: places and their columns. Out: functions that turn rows into objects. Nothing here connects.
"""
