"""Finds facts about the mapping: attributes, keys, links between tables, types, and how drivers read them.

In: mapped classes. Out: facts about them. This folder does not know plans, and decides nothing.
"""
