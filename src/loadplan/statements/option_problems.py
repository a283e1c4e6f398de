"""Makes the errors of ``plan.options()`` and ``plan.select()`` for plans that loader options cannot express: LP206."""

from collections.abc import Sequence

from loadplan.errors import Problem
from loadplan.resolved.tree import Edge


def view_beyond_options(label: str) -> Problem:
    """Return the problem of a plan of views."""
    return Problem(
        "LP206",
        f"plan '{label}' builds views, and loader options cannot build views",
        (label,),
        hint="fetch the plan with a Loader. For a plan of entities, use LoadPlan.for_schema.",
    )


def beyond_options(label: str, edge: Edge, words: Sequence[str]) -> Problem:
    """Return the problem of an edge with arguments that loader options cannot express."""
    given = " and ".join(f"{word}=" for word in words)
    return Problem(
        "LP206",
        f"loader options cannot express {given} of '{edge.name}'",
        (label, *edge.target.path),
        hint=f"fetch the plan with a Loader, or remove {given}.",
    )


def order_beyond_options(label: str, edge: Edge, why_no_join: str) -> Problem:
    """Return the problem of a to-one that no join can load, with an order that a separate statement cannot have."""
    return Problem(
        "LP206",
        f"loader options cannot load '{edge.name}'",
        (label, *edge.target.path),
        detail=f"it needs a separate statement ({why_no_join}), which lacks the table that its mapping orders by.",
        hint=f"fetch the plan with a Loader, or remove order_by= from the mapping of '{edge.name}'.",
    )


def branch_beyond_options(label: str, name: str) -> Problem:
    """Return the problem of a branch, ``on(...)``."""
    return Problem(
        "LP206",
        f"loader options cannot express {name}",
        (label,),
        hint=f"fetch the plan with a Loader, or remove {name}.",
    )
