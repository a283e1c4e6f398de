"""Facts about the mapping: attributes, keys, links between tables, types, and how drivers read them.

In: mapped classes. Out: facts about them. Nothing here knows a plan or decides anything.
"""
