"""The README shows every import, and its figures are those of the last measurement."""

import ast
import builtins
import re

from pages import README, ROOT, examples_of

RESULTS = (ROOT / "docs" / "benchmarks" / "results.md").read_text("utf-8")


def free_names(code: str) -> set[str]:
    """Return the names that code reads and nothing in it binds."""
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {each.id for each in names if isinstance(each.ctx, ast.Store)} | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            bound |= {(each.asname or each.name).partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            bound.add(node.name)
    return {each.id for each in names} - bound


def test_every_block_shows_its_imports() -> None:
    """A block is a whole program; the first one alone has an engine that stands for the reader's."""
    first, *others = examples_of(README)
    assert free_names(first.block.code) == {"engine"}
    assert {each.block.title: free_names(each.block.code) for each in others} == {
        each.block.title: set() for each in others
    }


def measured(case: str, rival: str) -> tuple[str, str]:
    """Return (time over the limit, statements) of a way in a case, as the table of the case has them."""
    table = RESULTS[RESULTS.index(f"\n### {case}\n") :]
    row = next(line for line in table.splitlines() if line.startswith(f"| {rival} |"))
    cells = [each.strip() for each in row.strip("|").split("|")]
    return cells[2].split(" ")[0], cells[5]


def test_figures_are_the_measured_ones() -> None:
    """Each figure of the first screen is in docs/benchmarks/results.md."""
    text = re.sub(r"\s+", " ", README.read_text("utf-8"))
    views, statements = measured("list-50", "loadplan, views")
    options, _ = measured("list-50", "options in the call")
    lazy, lazy_statements = measured("list-50", "lazy loading")
    assert f"take {statements} statements. Lazy loading takes {lazy_statements}." in text
    assert f"in {views} times the time of SQL by hand" in text
    assert f"options take {options} times as long as that SQL, and lazy loading {lazy} times" in text
