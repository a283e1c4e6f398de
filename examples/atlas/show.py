"""Prints the tour on a terminal. Only this module uses rich."""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from atlas import database
from atlas.cards import CountryCard
from atlas.models import Continent, Country
from atlas.statements import Statement
from loadplan import ExplainedEdge, Explanation

COUNTRIES_SHOWN = 4
NAMES_SHOWN = 6


class Page:
    """A page of numbered sections on a console, indented by two."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.sections = 0

    def put(self, *renderables: RenderableType) -> None:
        """Print blocks, an empty line after each."""
        for renderable in renderables:
            self.console.print(Padding(renderable, (0, 2, 1, 2), expand=False), highlight=False)

    def heading(self, words: str) -> None:
        """Start a section."""
        self.sections += 1
        self.console.rule(f"[bold cyan]{self.sections}  {words}", align="left", style="cyan")
        self.console.print()

    @contextmanager
    def bars(self) -> Generator[database.Progress, None, None]:
        """Show a progress bar for each table that is being loaded."""
        columns = (TextColumn("  {task.description:<17}"), BarColumn(bar_width=40), MofNCompleteColumn())
        bars = Progress(*columns, console=self.console)
        tasks: dict[str, TaskID] = {}

        def advance(table: str, done: int, total: int) -> None:
            bars.start()
            if table not in tasks:
                tasks[table] = bars.add_task(table, total=total)
            bars.update(tasks[table], completed=done)

        try:
            yield advance
        finally:
            if tasks:
                bars.stop()
                self.console.print()


def python(source: str) -> Syntax:
    """Return Python code in colour."""
    return Syntax(source.strip(), "python", theme="ansi_dark", background_color="default")


def explanation_tree(explanation: Explanation) -> Tree:
    """Return a tree with the edges of a plan, each with its strategy and the reason for it."""
    tree = Tree(f"[bold]{explanation.entity}[/bold]  [dim]statement 1[/dim]", guide_style="cyan")
    add_edges(tree, explanation.edges)
    return tree


def add_edges(branch: Tree, edges: Sequence[ExplainedEdge]) -> None:
    """Add edges, and the edges below them, to a branch of the tree."""
    for edge in edges:
        below = branch.add(
            f"[bold]{edge.name}[/bold]  [dim]{edge.cardinality}[/dim]  [green]{edge.strategy}[/green]"
            f"[dim], statement {edge.statement}[/dim]\n{escape(edge.reason)}"
        )
        add_edges(below, edge.edges)


def continent_tree(continent: Continent) -> Tree:
    """Return a tree with the first few countries of a continent."""
    countries = continent.countries
    tree = Tree(
        f"[bold]{escape(continent.name)}[/bold]  "
        f"[dim]{people(continent.population)} people, {len(countries)} countries[/dim]",
        guide_style="cyan",
    )
    for country in countries[:COUNTRIES_SHOWN]:
        add_country(tree, country)
    if len(countries) > COUNTRIES_SHOWN:
        rest = names([country.name for country in countries[COUNTRIES_SHOWN:]])
        tree.add(f"[dim]{escape(rest)}[/dim]")
    return tree


def add_country(tree: Tree, country: Country) -> None:
    """Add a country with its capital, languages, neighbours and largest cities."""
    branch = tree.add(
        f"[bold]{escape(country.name)}[/bold]  [dim]{people(country.population)} people, {country.area_km2:,} km²[/dim]"
    )
    largest = [f"{city.name} {people(city.population)}" for city in country.cities]
    add_fact(branch, "capital", country.capital.name if country.capital else "none")
    add_fact(branch, "languages", names([language.name for language in country.languages]))
    add_fact(branch, "neighbours", names([neighbour.name for neighbour in country.neighbours]))
    add_fact(branch, "largest cities", names(largest))


def add_fact(branch: Tree, fact: str, value: str) -> None:
    """Add a leaf. If its text takes a second line, that line is indented as the first."""
    leaf = Table.grid(padding=(0, 1))
    leaf.add_column(width=14, style="green")
    leaf.add_column()
    leaf.add_row(fact, Text(value))
    branch.add(leaf)


def card_table(cards: Sequence[CountryCard]) -> Table:
    """Return a table with the facts of cards, one column for each country."""
    facts: dict[str, list[str]] = {
        "population": [people(card.population) for card in cards],
        "currency": [card.currency or "none" for card in cards],
        "languages": [names(card.languages) for card in cards],
        "neighbours": [names(card.neighbours) for card in cards],
        "largest cities": [
            ", ".join(f"{city.name} {people(city.population)}" for city in card.largest) or "none" for card in cards
        ],
        "cities": [f"{card.cities:,} ({card.large_cities} above 1M)" for card in cards],
        "northernmost": ["none" if card.northernmost is None else f"{card.northernmost:.1f}°" for card in cards],
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="green")
    for card in cards:
        table.add_column(card.name)
    for fact, values in facts.items():
        table.add_row(fact, *map(Text, values))
    return table


def names(words: Sequence[str]) -> str:
    """Return the first few words as one text, with the number of the remaining words."""
    more = len(words) - NAMES_SHOWN
    shown = ", ".join(words[:NAMES_SHOWN]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown


def people(number: int) -> str:
    """Return a population as a short text.

    >>> people(1_031_833_000), people(144_478_050), people(10_381_222), people(33_000), people(140)
    ('1,032M', '144M', '10.4M', '33k', '140')
    """
    if number >= 100_000_000:
        return f"{number / 1e6:,.0f}M"
    if number >= 1_000_000:
        return f"{number / 1e6:.1f}M"
    return f"{number / 1e3:.0f}k" if number >= 10_000 else f"{number:,}"


def milliseconds(seconds: float) -> str:
    """Return a time as a short text.

    >>> milliseconds(0.0432)
    '43 ms'
    """
    return f"{seconds * 1e3:.0f} ms"


def statement_table(statements: Sequence[Statement]) -> Table:
    """Return a table of the statements with their rows and times."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", style="dim")
    table.add_column("rows", justify="right")
    table.add_column("ms", justify="right")
    table.add_column("SQL")
    for number, statement in enumerate(statements, start=1):
        if number > 1:
            table.add_row()
        sql = Syntax(shorten_sql(statement.sql), "postgresql", theme="ansi_dark", word_wrap=True)
        table.add_row(str(number), f"{statement.rows:,}", f"{statement.seconds * 1e3:.1f}", sql)
    return table


def shorten_sql(sql: str) -> str:
    """Return SQL without the casts of parameters, with short lists of parameters, and one line for each clause."""
    sql = re.sub(r"(\$\d+)::\w+(?:\[\])?", r"\1", sql)
    sql = re.sub(r"(\$\d+), (?:\$\d+, )+(\$\d+)", r"\1, … \2", sql)
    return re.sub(r"\s+(FROM|(?:LEFT OUTER )?JOIN|WHERE|ORDER BY|LIMIT)\b", r"\n\1", sql)


def error_panel(error: Exception) -> Panel:
    """Return the text of an error in a frame."""
    title = Text(type(error).__name__, style="bold red")
    return Panel(Text(str(error)), title=title, title_align="left", border_style="red", expand=False)
