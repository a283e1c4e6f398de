"""The source tells one story from top to bottom: a module imports only from its own stage and from those before it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import loadplan

ROOT = Path(loadplan.__file__).parent

#: The stages that a plan goes through, and the files of each. A module imports from those above it, and from no other.
STAGES = {
    "errors": [],
    "sqlalchemy_internals": [
        "collections",
        "instances",
        "attached",
        "merging",
        "sessions",
        "connections",
        "expressions",
        "mappings",
        "waiting",
    ],
    "declared": [
        "called",
        "code",
        "mistaken",
        "unknown",
        "spec",
        "sources",
    ],
    "mapped": [
        "cardinality",
        "drivers",
        "elements",
        "values_of_postgresql",
        "values",
        "decoding",
        "stored",
        "telling",
        "leading_back",
        "mapping",
        "indexes",
        "repeats",
        "links",
        "ordering",
        "readiness",
    ],
    "view_classes": [
        "annotations",
        "fields",
        "narrowed",
        "pydantic_models",
        "classes",
    ],
    "resolved": [
        "meant",
        "meant_here",
        "tree",
        "parts",
        "fitting",
        "meant_paths",
        "problems",
        "problems_of_orders",
        "number_problems",
        "unloadable",
        "paths",
        "view_problems",
        "source_problems",
        "view_load_problems",
        "form",
        "conditions",
        "sharing",
        "resolving",
        "protocols",
        "statement_rows",
        "strategy",
        "strategy_of_options",
        "entities",
        "view_loads",
        "narrowing",
        "schemas",
        "view_values",
        "view_relationships",
        "views",
    ],
    "statements": [
        "keys",
        "linked",
        "option_problems",
        "options",
        "whole_tree",
        "driver_text",
        "statement",
        "nested",
        "selected",
        "reached",
        "place_columns",
        "joined_orders",
        "first_rows",
        "aggregates",
        "builder",
    ],
    "objects": [
        "building",
        "left_out",
        "losses",
        "guards",
        "seal",
        "wider_seal",
        "settling",
        "going_back",
        "writer",
        "hydrator",
        "instances",
        "sites",
        "row_script",
        "instance_script",
        "view_script",
    ],
    "running": [
        "call_problems",
        "answers",
        "binary",
        "callers",
        "cursors",
        "garbage",
        "binds",
        "ownership",
        "parameters",
        "response",
        "shards",
        "shown",
        "snapshot",
        "refusals",
        "tally",
        "table_indexes",
        "tested",
        "identity",
        "root_keys",
        "mixins",
        "own_connection",
        "call_options",
        "watching",
        "compiled",
        "rows",
        "making",
        "execution",
        "graph",
        "batches",
        "session",
        "own_session",
        "guest_session",
        "private_session",
        "plans",
        "roots",
        "keyed_roots",
        "root_shapes",
        "one_database",
        "key_walk",
        "exact",
        "paging",
    ],
    "explained": [
        "analysis",
        "explained",
        "boxes",
        "mermaid",
        "svg",
        "explanation",
        "dialects",
    ],
    "plan": [],
    "loaders": [
        "call_hints",
        "counting",
        "arguments",
        "missing",
        "calls",
        "attaching",
        "attached_calls",
        "merging",
        "sharding",
        "batching",
        "sync_loader",
        "fetching",
        "loader",
    ],
    "graphql": [],
    "tools": [
        "audit.findings",
        "connecting",
        "dict_reads",
        "generated",
        "needs",
        "printing",
        "statements",
        "targets",
        "wanted",
        "watching",
        "adopting",
        "audit.expiring",
        "audit.keys",
        "audit.pairs",
        "audit.settings",
        "audit.sqlmodel",
        "findings",
        "together",
        "learning",
        "reads",
        "spread",
        "recording",
        "settings",
        "audit",
        "costs",
        "schema",
        "baseline",
        "held_indexes",
        "held",
        "checking",
        "commands",
        "cli",
    ],
    "audit": [],
    "pytest_plugin": [],
    "loadplan": [],
    "__main__": [],
}

FLOW = [name for stage, files in STAGES.items() for name in (*(f"{stage}.{file}" for file in files), stage)]

#: Packages that an extra, the caller or a newer Python brings. Only these are imported inside a function.
OPTIONAL = {"psycopg", "pydantic_core", "greenlet", "annotationlib"}


def modules() -> dict[str, Path]:
    """Every module of the package by its name in the flow."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or "loadplan"] = path
    return found


def imported_names(node: ast.AST) -> list[str]:
    """The full names that a node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{ast.unparse(node)}: imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(path: Path) -> Iterator[str]:
    """Yield each module of ours that a file imports, wherever in the file."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text())):
        for name in imported_names(node):
            package, _, rest = name.partition(".")
            if package == "loadplan":
                while rest and rest not in known:
                    rest = rest.rpartition(".")[0]
                yield rest or "loadplan"


def test_the_stages_name_every_module_once() -> None:
    assert sorted(FLOW) == sorted(modules())


def test_a_module_imports_only_from_its_own_stage_and_those_above_it() -> None:
    wrong = [
        f"{name} imports {imported}, which stands below it"
        for name, path in modules().items()
        for imported in imports(path)
        if FLOW.index(imported) >= FLOW.index(name)
    ]
    assert wrong == []


def test_a_function_imports_only_what_may_be_missing() -> None:
    found = {
        imported.partition(".")[0]
        for path in modules().values()
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        for imported in imported_names(node)
    }
    assert found == OPTIONAL


def test_nothing_is_imported_for_type_checkers_alone() -> None:
    found = [
        name
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    assert found == []


def test_every_stage_says_what_comes_in_and_what_goes_out() -> None:
    for stage, files in STAGES.items():
        if files:
            told = ast.get_docstring(ast.parse((ROOT / stage / "__init__.py").read_text())) or ""
            assert "In: " in told, stage
            assert "Out: " in told, stage


def test_only_the_loader_waits() -> None:
    """``async`` and the asyncio part of SQLAlchemy stay in the modules that own sessions."""
    waits = {
        name
        for name, path in modules().items()
        if any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert waits <= {
        "running.session",
        "loaders.call_hints",  # it wraps the calls, and waits for them
        "loaders.fetching",
        "loaders.batching",
        "loaders.loader",
        "tools.connecting",
        "tools.learning",
    }


def private(name: str | None) -> bool:
    return name is not None and name.startswith("_") and not name.startswith("__")


def private_names_of_ours(trees: list[ast.Module]) -> set[str]:
    """Private functions, classes, fields and attributes that the package itself defines."""
    found: set[str | None] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if name is not None and private(name)}


def uses_private_name(node: ast.AST, allowed: set[str]) -> bool:
    if isinstance(node, ast.Attribute):
        return private(node.attr) and node.attr not in allowed and not node.attr.startswith("_loadplan_")
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
        return any(private(alias.name) for alias in node.names)
    return False


def test_undocumented_names_of_sqlalchemy_stay_in_their_module() -> None:
    """A private name of something that is not ours: ``state._foo``, ``from sqlalchemy.x import _Bar``."""
    trees = {
        name: ast.parse(path.read_text())
        for name, path in modules().items()
        if not name.startswith("sqlalchemy_internals")
    }
    allowed = private_names_of_ours(list(trees.values())) | {
        "_asdict",
        "_replace",
        "_mapping",
        "_fields",
        "_field_defaults",
    }
    found: list[str] = []
    for name, tree in trees.items():
        found += [f"{name}: {ast.unparse(node)}" for node in ast.walk(tree) if uses_private_name(node, allowed)]
    assert found == []


def test_every_public_name_is_importable_from_the_package() -> None:
    assert loadplan.__all__ == sorted(loadplan.__all__)
    assert all(hasattr(loadplan, name) for name in loadplan.__all__)
