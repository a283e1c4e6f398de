"""Attributes of mapped classes as the SQL expressions that stand for them. Pure."""

from typing import Any


def element_of(expression: Any) -> Any:
    """Return the SQL expression that an attribute or another object stands for; a SQL expression is returned unchanged.

    SQLAlchemy asks objects for ``__clause_element__`` in the same way.
    """
    return expression.__clause_element__() if hasattr(expression, "__clause_element__") else expression
