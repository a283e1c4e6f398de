"""Declare the object graph a use case needs; fetch it complete, detached and typed from async SQLAlchemy 2."""

from loadplan.analysis import Analysis, AnalyzedStatement, SequentialScan
from loadplan.errors import (
    CursorError,
    IdentityError,
    LoaderError,
    LoadPlanError,
    MultipleFound,
    NotFound,
    NotLoaded,
    OverBudget,
    OverBudgetWarning,
    ParameterError,
    PartialCollectionError,
    PlanError,
    Problem,
    RelatedNotFound,
    RowInSessionError,
    TooManyRows,
    ViewError,
)
from loadplan.explain import ExplainedEdge, ExplainedStatement, Explanation
from loadplan.loader import BatchedLoader, Loader
from loadplan.paging import Page
from loadplan.sources import aggregate, count, exists, keep_default, source
from loadplan.spec import Budget, Load, LoadPlan, On, load, on
from loadplan.sync_loader import SyncLoader
from loadplan.tally import FetchRecord

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "AnalyzedStatement",
    "BatchedLoader",
    "Budget",
    "CursorError",
    "ExplainedEdge",
    "ExplainedStatement",
    "Explanation",
    "FetchRecord",
    "IdentityError",
    "Load",
    "LoadPlan",
    "LoadPlanError",
    "Loader",
    "LoaderError",
    "MultipleFound",
    "NotFound",
    "NotLoaded",
    "On",
    "OverBudget",
    "OverBudgetWarning",
    "Page",
    "ParameterError",
    "PartialCollectionError",
    "PlanError",
    "Problem",
    "RelatedNotFound",
    "RowInSessionError",
    "SequentialScan",
    "SyncLoader",
    "TooManyRows",
    "ViewError",
    "aggregate",
    "count",
    "exists",
    "keep_default",
    "load",
    "on",
    "source",
]
