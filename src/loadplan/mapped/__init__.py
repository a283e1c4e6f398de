"""Facts about the mapping: attributes, keys, links between tables, types, and how drivers read them.

In: mapped classes. Out: facts about them. This folder knows no plan, and decides nothing.
"""
