"""What the mapping says: attributes, keys, links between tables, types, and what a driver makes of them.

In: mapped classes. Out: facts about them. Nothing here knows a plan or decides anything.
"""
