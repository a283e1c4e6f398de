"""The README shows every import, and its figures are those of the last measurement."""

import ast
import builtins
import re

from pages import README, ROOT, examples_of

RESULTS = (ROOT / "docs" / "benchmarks" / "results.md").read_text("utf-8")
HTTP = (ROOT / "docs" / "benchmarks" / "http.md").read_text("utf-8")


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


def over_http(contender: str) -> str:
    """Return how many times the requests of options by hand a contender answers, for the list and on asyncpg."""
    table = HTTP[HTTP.index("\n### Over HTTP: a list of 50\n") :]
    row = next(line for line in table.splitlines() if line.startswith(f"| {contender} |"))
    return row.strip("|").split("|")[2].strip()


def test_figures_are_the_measured_ones() -> None:
    """Each figure of the first screen is in docs/benchmarks/results.md or docs/benchmarks/http.md."""
    text = re.sub(r"\s+", " ", README.read_text("utf-8"))
    views, statements = measured("list-50", "loadplan, views")
    entities, _ = measured("list-50", "loadplan, entities")
    options, _ = measured("list-50", "options in the call")
    lazy, lazy_statements = measured("list-50", "lazy loading")
    many = "statement" if statements == "1" else "statements"
    assert f"take {statements} {many}. Lazy loading takes {lazy_statements}." in text
    assert f"loadplan needs {views} times as long if it builds objects of your own classes." in text
    assert f"It needs {entities} times as long for mapped objects." in text
    assert f"Loader options need {options} times as long, and lazy loading {lazy} times." in text
    msgspec, mapped = over_http("loadplan views, msgspec"), over_http("loadplan entities, pydantic from_attributes")
    assert f"serves this list {msgspec} times as often with views (msgspec) as with loader options." in text
    assert f"With mapped objects from loadplan, it serves the list {mapped} times as often." in text
