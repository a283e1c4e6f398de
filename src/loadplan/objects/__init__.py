"""Objects made from rows: generated code that builds views, or mapped instances with their seal.

In: places of the tree and their columns. Out: functions that turn rows into objects. This folder opens no connection.
"""
