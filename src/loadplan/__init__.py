"""Declare the object graph a use case needs; fetch it complete, detached and typed from async SQLAlchemy 2."""

from loadplan.declared.sources import RootCondition, RootOrderBy, aggregate, count, exists, keep_default, source
from loadplan.declared.spec import Budget, Depth, Load, On, StrategyName, load, on
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
from loadplan.explained.analysis import Analysis, AnalyzedStatement, SequentialScan
from loadplan.explained.explained import ExplainedEdge, ExplainedStatement
from loadplan.explained.explanation import Explanation
from loadplan.loaders.loader import BatchedLoader, Loader
from loadplan.loaders.sync_loader import SyncLoader
from loadplan.mapped.indexes import LearnedIndex
from loadplan.plan import LoadPlan
from loadplan.running.cursors import CursorCipher
from loadplan.running.paging import Page
from loadplan.running.tally import FetchRecord

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "AnalyzedStatement",
    "BatchedLoader",
    "Budget",
    "CursorCipher",
    "CursorError",
    "Depth",
    "ExplainedEdge",
    "ExplainedStatement",
    "Explanation",
    "FetchRecord",
    "IdentityError",
    "LearnedIndex",
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
    "RootCondition",
    "RootOrderBy",
    "RowInSessionError",
    "SequentialScan",
    "StrategyName",
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
