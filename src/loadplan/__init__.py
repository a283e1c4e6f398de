"""Declare the object graph a use case needs; fetch it complete, detached and typed from async SQLAlchemy 2."""

from loadplan.errors import (
    IdentityError,
    LoaderError,
    LoadPlanError,
    MultipleFound,
    NotFound,
    NotLoaded,
    PartialCollectionError,
    PlanError,
    Problem,
)
from loadplan.explain import ExplainedEdge, ExplainedStatement, Explanation
from loadplan.loader import Loader
from loadplan.spec import Load, LoadPlan, load

__version__ = "0.1.0"

__all__ = [
    "ExplainedEdge",
    "ExplainedStatement",
    "Explanation",
    "IdentityError",
    "Load",
    "LoadPlan",
    "LoadPlanError",
    "Loader",
    "LoaderError",
    "MultipleFound",
    "NotFound",
    "NotLoaded",
    "PartialCollectionError",
    "PlanError",
    "Problem",
    "load",
]
