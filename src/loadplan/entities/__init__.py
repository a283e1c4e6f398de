"""Entities: a tree becomes statements with loader options; their rows become sealed, detached objects."""
