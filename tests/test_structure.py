"""The source tells one story from top to bottom: a module imports only from those above it in the flow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import loadplan

ROOT = Path(loadplan.__file__).parent

#: declaration -> resolved tree -> compiled plan -> result; what is named later may import what is named earlier.
FLOW = [
    "errors",
    "sqlalchemy_internals",
    "code",
    "spec",
    "sources",
    "tree",
    "mapping",
    "repeats",
    "links",
    "readiness",
    "meant",
    "problems",
    "strategy",
    "form",
    "resolve",
    "values",
    "answers",
    "identity",
    "parameters",
    "cursors",
    "ordering",
    "keys",
    "linked",
    "whole_tree",
    "tally",
    "tested",
    "snapshot",
    "own_connection",
    "garbage",
    "entities",
    "entities.options",
    "entities.left_out",
    "views",
    "views.annotations",
    "views.fields",
    "views.pydantic_models",
    "views.classes",
    "views.fitting",
    "views.tree",
    "entities.places",
    "entities.seal",
    "views.problems",
    "views.loads",
    "views.narrowed",
    "views.values",
    "views.relationships",
    "views.resolve",
    "places",
    "protocols",
    "generated",
    "views.drivers",
    "views.decoding",
    "views.binary",
    "views.driver_text",
    "views.strategy",
    "views.statements",
    "views.building",
    "views.script",
    "entities.instances",
    "entities.script",
    "views.graph",
    "plans",
    "schemas",
    "narrowing",
    "graphql",
    "reached",
    "roots",
    "key_walk",
    "analysis",
    "explain",
    "dialects",
    "pictures.boxes",
    "pictures.mermaid",
    "pictures.svg",
    "pictures",
    "session",
    "response",
    "paging",
    "counting",
    "ownership",
    "calls",
    "batching",
    "loader",
    "sync_loader",
    "targets",
    "audit.findings",
    "audit.settings",
    "audit.expiring",
    "audit.pairs",
    "audit.keys",
    "audit.sqlmodel",
    "audit",
    "recording",
    "tools",
    "tools.findings",
    "tools.settings",
    "tools.statements",
    "tools.needs",
    "tools.schema",
    "tools.connecting",
    "tools.held",
    "tools.costs",
    "tools.baseline",
    "tools.checking",
    "tools.printing",
    "tools.adopting",
    "tools.watching",
    "tools.wanted",
    "tools.learning",
    "tools.dict_reads",
    "tools.reads",
    "pytest_plugin",
    "commands",
    "cli",
    "__main__",
    "loadplan",
]

#: Imports inside a function, or for type checkers alone. ``LoadPlan`` checks and explains itself and hands out
#: statements: methods of the declaration that need what stands below it. An explanation draws itself, and the command
#: line looks whether its extra is there.
INSIDE_FUNCTIONS = {
    ("spec", "plans"),
    ("spec", "schemas"),
    ("spec", "narrowing"),
    ("spec", "entities.options"),
    ("spec", "explain"),
    ("spec", "dialects"),
    ("explain", "pictures.mermaid"),
    ("explain", "pictures.svg"),
    ("cli", "commands"),
}


def modules() -> dict[str, Path]:
    """Every module of the package by its name in the flow."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or "loadplan"] = path
    return found


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (module of ours, whether inside a function or for type checkers) for each import of a file."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(function, ast.If) and ast.unparse(function.test) == "TYPE_CHECKING")
        for node in ast.walk(function)
    }
    known = modules()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "loadplan":
                while rest and rest not in known:
                    rest = rest.rpartition(".")[0]
                yield rest or "loadplan", id(node) in inside


def test_the_flow_names_every_module_once() -> None:
    assert sorted(FLOW) == sorted(modules())


def test_a_module_imports_only_from_those_above_it() -> None:
    wrong = [
        f"{name} imports {imported}, which stands below it"
        for name, path in modules().items()
        for imported, inside_function in imports(path)
        if not inside_function and FLOW.index(imported) >= FLOW.index(name)
    ]
    assert wrong == []


def test_imports_inside_functions_are_the_declared_exceptions() -> None:
    found = {
        (name, imported)
        for name, path in modules().items()
        for imported, inside_function in imports(path)
        if inside_function
    }
    assert found == INSIDE_FUNCTIONS


def test_only_the_loader_waits() -> None:
    """``async`` and the asyncio part of SQLAlchemy stay in the modules that own sessions."""
    waits = {
        name
        for name, path in modules().items()
        if any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert waits <= {"session", "batching", "loader", "tools.connecting", "tools.learning"}


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
    trees = {name: ast.parse(path.read_text()) for name, path in modules().items() if name != "sqlalchemy_internals"}
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
