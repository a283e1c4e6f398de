"""Raises errors for arguments that do not exist. The error guesses the intended argument, which Python's does not."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from sqlalchemy.orm import QueryableAttribute

from loadplan.declared.code import is_relationship

_NESTED = "load(...) inside: load(User.posts, load(Post.tags))"

#: Names that other libraries use for the relationships to load.
_LOADS = (
    *("loads", "nested", "children", "options", "load", "joinedload", "selectinload", "prefetch", "prefetch_related"),
    *("select_related", "relations", "related", "includes", "with_", "populate", "preload", "eager", "joins"),
)

#: Names that other libraries use for an argument of ``load``, and the name of this argument in loadplan.
_OF_LOAD = {
    **dict.fromkeys(("filter", "filters", "filter_by", "condition", "conditions", "criteria", "when"), "where="),
    **dict.fromkeys(("columns", "fields", "load_only", "select", "values", "attributes"), "only="),
    **dict.fromkeys(("exclude", "without", "deferred"), "defer="),
    **dict.fromkeys(("order", "sort", "sort_by", "ordering"), "order_by="),
    **dict.fromkeys(("first", "top", "size", "take"), "limit= with order_by="),
    **dict.fromkeys(("levels", "recursive", "recursion_depth", "join_depth"), "depth="),
    **dict.fromkeys(("lazy", "how", "method", "join", "innerjoin", "isouter"), "strategy="),
    **dict.fromkeys(("view", "schema", "model", "as_", "response_model"), "into="),
    **dict.fromkeys(("queryset", "query"), "where= and order_by="),
    **dict.fromkeys(_LOADS, _NESTED),
    "include": f"only= for columns, and {_NESTED}",
}

_AFTER = "load(...) after the class: LoadPlan(User, load(User.posts))"

_OF_PLAN = {
    **{word: meant for word, meant in _OF_LOAD.items() if meant in {"only=", "defer=", "into="}},
    **dict.fromkeys(_LOADS, _AFTER),
    "include": f"only= for columns, and {_AFTER}",
}

#: Arguments of a fetch, which a plan does not take.
_OF_FETCH = frozenset({"where", "order_by", "limit", "offset", "params", "for_update", "size"}) | {
    word for word, meant in _OF_LOAD.items() if meant in {"where=", "order_by=", "limit= with order_by="}
}


def refuse_of_load(unknown: Iterable[str], known: Iterable[str]) -> None:
    """Refuse arguments that ``load`` does not have.

    Raises:
        TypeError: an argument is unknown.
    """
    for name in unknown:
        if name in {"name", "typed", "budget"}:
            raise TypeError(
                f"load() has no argument '{name}'. It belongs to the plan: LoadPlan(User, ..., {name}=...)."
            )
        if name == "offset":
            raise TypeError("load() has no argument 'offset'. limit= loads the first rows of each parent.")
        raise TypeError(f"load() has no argument '{name}'. {_instead(name, _OF_LOAD, known)}")


def refuse_of_plan(unknown: Iterable[str], known: Iterable[str], entity: type[object]) -> None:
    """Refuse arguments that ``LoadPlan`` does not have.

    Args:
        unknown: the arguments.
        known: the names of the arguments that it has.
        entity: the class of the plan, for hints.

    Raises:
        TypeError: an argument is unknown.
    """
    for name in unknown:
        attribute = getattr(entity, name, None)
        if isinstance(attribute, QueryableAttribute):
            what = f"{entity.__name__}.{name}"
            hint = f"Write fetch_all(plan, where={what} == ...) to choose by the column."
            if is_relationship(attribute):
                hint = f"Write load({what}) after the class: LoadPlan({entity.__name__}, load({what}))."
        elif name in _OF_FETCH:
            hint = (
                "Pass conditions, orders and limits of the roots to the fetch: fetch_all(plan, where=..., "
                "order_by=..., limit=...). Write those of a relationship into its load(...)."
            )
        elif name in {"strategy", "depth"} or _OF_LOAD.get(name) in {"strategy=", "depth="}:
            hint = "It belongs to one relationship: load(User.posts, strategy=...), load(Node.children, depth=...)."
        else:
            hint = _instead(name, _OF_PLAN, known)
        raise TypeError(f"LoadPlan() has no argument '{name}'. {hint}")


def check_settings(name: object, budget: object) -> None:
    """Check the name and the budget of a plan.

    Raises:
        TypeError: the name is not text, or the budget is not a :class:`Budget`.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name= takes text, not {_kind(name)}. Write name='order page'.")
    if budget is not None and not hasattr(budget, "statements"):
        raise TypeError(f"budget= takes a Budget, not {_kind(budget)}. Write budget=Budget(rows=1_000, statements=3).")


def _kind(given: object) -> str:
    return f"the class '{given.__name__}'" if isinstance(given, type) else repr(given)


def _instead(name: str, meant: Mapping[str, str], known: Iterable[str]) -> str:
    names = list(known)
    if name in meant:
        return f"Write {meant[name]}."
    near = get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}=?" if near else f"Arguments: {', '.join(names)}."
