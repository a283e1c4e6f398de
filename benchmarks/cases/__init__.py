"""What is measured: one module a graph, each with its cases, in the order in which they run."""

from benchmarks.cases import carriers, chain, country, orders, products, sheets, top_five, tree
from benchmarks.cases.case import Case

CASES: tuple[Case, ...] = (
    *orders.CASES,
    *country.CASES,
    *sheets.CASES,
    *chain.CASES,
    *products.CASES,
    *top_five.CASES,
    *tree.CASES,
    *carriers.CASES,
    *orders.NETWORK,
    *orders.TASKS,
)
"""All of them."""

HEADLINE = ("row", "one", "list-50", "list-1000", "country", "chain", "siblings", "top-five", "tree", "delay-1")
"""Names of the cases of a quick run: one of each kind, without the largest ones."""
