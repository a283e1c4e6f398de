"""The command line of the benchmarks."""

import asyncio
import importlib.util
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import attrs
import typer
from rich import table
from rich.box import SIMPLE_HEAD
from rich.console import Console

from benchmarks.cases import CASES, HEADLINE
from benchmarks.cases.case import Case
from benchmarks.databases import FEW_REVIEWS, REVIEWS, SMALL, Databases, databases
from benchmarks.measure import processor
from benchmarks.parts import INCLUDED, PARTS, run_part
from benchmarks.progress import Progress, about
from benchmarks.report import HERE, Run, by_case, write_json
from benchmarks.rivals.everyone import Everyone, load_rivals
from benchmarks.rivals.rival import Rival
from benchmarks.running import SMOKE, Effort, run_cases
from benchmarks.tables import Table, case_table, losses, overview, overview_alone, page
from benchmarks.targets import DEFAULT, DRIVERS, MARIADB, Target
from embedded_mariadb import MISSING, find_mariadb
from loadplan import __version__

DOCS = HERE.parents[1] / "docs" / "benchmarks"
OVERVIEW = ("options in the call", "options prebuilt", "lazy loading", "sqla-autoloads", "advanced-alchemy")
OTHER_ORMS = ("Tortoise ORM", "Piccolo", "Piccolo, objects", "Django")
GROUP = "`uv run --group benchmarks`"
PACKAGES = ("loadplan", "attrs", "greenlet", "sqlalchemy")

app = typer.Typer(
    help="loadplan beside its rivals: the same jobs on the same data, equal results, timed in turn.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
console = Console(width=max(Console().width, 170), highlight=False)

Size = Annotated[int, typer.Option(help="Orders of the shop; no case asks for more roots.")]
Rounds = Annotated[int, typer.Option(help="How often to measure.")]
Calls = Annotated[int, typer.Option(help="Calls of each rival in a round, fewer where they are slow.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Everything tiny: to see that it runs and results are equal.")]
Results = Annotated[Path, typer.Option(help="Folder for results.")]
Driver = Annotated[
    str | None,
    typer.Option(
        help="; ".join(f"{name}: {', '.join(drivers)}" for name, drivers in DRIVERS.items()) + ". Cases only."
    ),
]
Database = Annotated[
    str | None, typer.Option(help=f"{' or '.join(DRIVERS)}; the driver tells it, too. Parts run on {DEFAULT.database}.")
]

PREPARING = 20.0
"""Seconds until the first case begins: servers start and rows are made."""

COPYING = 90.0
"""Seconds for a million reviews on their way to MariaDB, whose data is gone after each run."""


@attrs.frozen
class Settings:
    """What was asked for on the command line.

    Attributes:
        orders: of the shop.
        reviews: of the shop that has many.
        effort: of measuring.
        prefix: of the databases' names: what is tiny does not drive out what took long to fill.
        target: the database and driver.
    """

    orders: int
    reviews: int
    effort: Effort
    prefix: str = ""
    target: Target = DEFAULT

    @classmethod
    def of(cls, size: int, rounds: int, calls: int, smoke: bool, target: Target) -> "Settings":
        """Return what the options mean."""
        if smoke:
            return cls(SMALL, FEW_REVIEWS, SMOKE, "smoke_", target)
        return cls(size, REVIEWS, Effort(rounds, calls, roots=size), target=target)

    def seconds(self, cases: Sequence[Case], more: float = 0) -> float:
        """Return about how long a run takes.

        Args:
            cases: that it has.
            more: what else it has, in units of a case.
        """
        copied = self.target.database == MARIADB and any(each.data == "reviews" for each in cases)
        copying = COPYING * self.reviews / REVIEWS if copied else 0
        return PREPARING + copying + (len(cases) + more) * self.effort.case_seconds


def target_of(database: str | None, driver: str | None) -> Target:
    """Return the target that the options name.

    Raises:
        typer.BadParameter: there is none, or its server or its driver is not installed.
    """
    try:
        target = Target.of(database, driver)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if importlib.util.find_spec(target.driver) is None:
        raise typer.BadParameter(f"{target.driver} is not installed; {GROUP} has it")
    if target.database == MARIADB and find_mariadb() is None:
        raise typer.BadParameter(MISSING)
    return target


def possible(cases: Sequence[Case], target: Target) -> list[Case]:
    """Return the cases whose data the target can have; the world atlas is loaded into PostgreSQL alone."""
    left_out = [each.name for each in cases if target.database == MARIADB and each.data == "atlas"]
    if left_out:
        console.print(f"left out: {', '.join(left_out)}; the world atlas is loaded into PostgreSQL alone", style="red")
    return [each for each in cases if each.name not in left_out]


def say_how_long(cases: Sequence[Case], parts: Mapping[str, float], settings: Settings) -> None:
    """Print what is going to run, and about how long it takes."""
    seconds = about(settings.seconds(cases, sum(parts.values())))
    what = ", ".join((f"{len(cases)} cases" if len(cases) > 1 else cases[0].name, *parts))
    where = f"{settings.target.database} through {settings.target.driver}"
    console.print(f"{what} on {where}: about {seconds} on a quiet machine with two cores")


@app.callback(invoke_without_command=True)
def everything(
    context: typer.Context,
    size: Size = 10_000,
    rounds: Rounds = 7,
    calls: Calls = 50,
    smoke: Smoke = False,
    results: Results = HERE,
    docs: Annotated[bool, typer.Option("--docs", help="Write table and charts for the pages, too.")] = False,
    only_cases: Annotated[bool, typer.Option("--cases", help="The cases alone, without growth and costs.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="The headline cases alone: about five minutes.")] = False,
    driver: Driver = None,
    database: Database = None,
) -> None:
    """Run all cases, then how time grows and what strategies and plans cost; write tables, results and charts."""
    if context.invoked_subcommand is not None:
        return
    target = target_of(database, driver)
    settings = Settings.of(size, rounds, calls, smoke, target)
    cases = possible([each for each in CASES if not quick or each.name in HEADLINE], target)
    parts = {} if only_cases or quick or target != DEFAULT else INCLUDED
    steps = len(cases) + sum(parts.values())
    say_how_long(cases, parts, settings)
    progress = Progress(console, steps)
    run = measure(cases, settings, progress)
    write(run, results, f"cases{target.suffix}")
    for part, weight in parts.items():
        progress.step(part, weight)
        console.rule(f"{part}: {PARTS[part][1]}", style="dim")
        to = results / f"{PARTS[part][0].partition('.')[0]}.json"
        run_part(part, ["--to", str(to), *(["--smoke"] if smoke else [])])
    if target == DEFAULT:
        draw(results, results)
    if docs:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / f"results{target.suffix}.md").write_text(as_page(run), encoding="utf-8")
        if "http" in parts:
            shutil.copy(results / "http.md", DOCS)
        if target == DEFAULT:
            draw(results, DOCS)


def draw(results: Path, to: Path) -> None:
    """Draw charts of the results in a folder, if what draws them is installed."""
    if importlib.util.find_spec("matplotlib"):
        run_part("charts", ["--results", str(results), "--to", str(to)])
    else:
        console.print(f"no charts: matplotlib is not installed; {GROUP} has it", style="red")


@app.command("run")
def run_some(
    cases: Annotated[list[str], typer.Argument(help="Names of cases, as `list` shows them.")],
    size: Size = 10_000,
    rounds: Rounds = 7,
    calls: Calls = 50,
    smoke: Smoke = False,
    results: Results = HERE,
    driver: Driver = None,
    database: Database = None,
) -> None:
    """Run some cases."""
    known = {each.name: each for each in CASES}
    if unknown := [each for each in cases if each not in known]:
        raise typer.BadParameter(f"no case is called {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    target = target_of(database, driver)
    settings = Settings.of(size, rounds, calls, smoke, target)
    chosen = possible([known[each] for each in cases], target)
    if not chosen:
        raise typer.BadParameter(f"none of these cases runs on {target.database}")
    say_how_long(chosen, {}, settings)
    run = measure(chosen, settings, Progress(console, len(chosen)))
    write(run, results, (cases[0] if len(cases) == 1 else "some") + target.suffix)


@app.command("list")
def list_all(driver: Driver = None, database: Database = None) -> None:
    """List cases, rivals, and the parts with options of their own."""
    everyone = load_rivals(target_of(database, driver))
    show(Table("Cases: run NAME", ("name", "data", "asks"), [(each.name, each.data, each.title) for each in CASES]))
    rows = [
        (each.name, ", ".join(f"{name} {version_of(name)}" for name in each.packages), cannot(each))
        for each in everyone.rivals
    ]
    show(Table("Rivals", ("name", "package", "cannot"), rows))
    say_who_is_absent(everyone)
    show(Table("Parts: NAME --help", ("name", "asks"), [(name, title) for name, (_, title) in PARTS.items()]))


def cannot(rival: Rival) -> str:
    """Return what a rival cannot do, and why."""
    return "; ".join(f"{graph}: {reason}" for graph, reason in rival.cannot.items())


def add_part(name: str, title: str) -> None:
    """Make a part a command, whose options are those of its script."""

    def command(context: typer.Context) -> None:
        run_part(name, context.args)

    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(name, help=title.capitalize() + ".", context_settings=passed_on)(command)


for _name, (_, _title) in PARTS.items():
    add_part(_name, _title)


def measure(cases: Sequence[Case], settings: Settings, progress: Progress) -> Run:
    """Run cases with all rivals that are installed, and show a table for each; each case is a step of the run."""
    everyone = load_rivals(settings.target)
    say_who_is_absent(everyone)

    async def run() -> Run:
        async with databases(settings.orders, settings.reviews, settings.prefix, settings.target) as data:
            ran_on = await environment(data, everyone, settings)
            return Run(ran_on, await run_cases(cases, everyone.rivals, data, settings.effort, progress))

    found = asyncio.run(run())
    for name, value in found.environment.items():
        console.print(f"{name}: {value}")
    for (case, _), results in by_case(found.results).items():
        show(case_table(results, f"{case}: {results[0].title}"))
    show(overview(found.results, columns(found)))
    if (alone := overview_alone(found.results, columns(found))) is not None:
        show(alone)
    if (lost := losses(found.results)).rows:
        show(lost)
    return found


async def environment(data: Databases, everyone: Everyone, settings: Settings) -> dict[str, str]:
    """Return database, driver, versions, machine and settings."""
    present = (name for each in everyone.rivals if each.ways for name in each.packages)
    names = dict.fromkeys((*PACKAGES, settings.target.driver, *present))
    packages = ", ".join(f"{name} {version_of(name)}" for name in names)
    effort = settings.effort
    atlas = "" if settings.target.database == MARIADB else "; the atlas"
    return {
        "database": await data.version(),
        "driver": settings.target.driver,
        "versions": f"Python {platform.python_version()}, {packages}",
        "machine": f"{processor()}, {platform.system()} {platform.machine()}; client and server share it",
        "connection": "Unix socket; through a relay on localhost where a case has a delay",
        "data": f"{settings.orders:,} orders, {settings.reviews:,} reviews where first rows are asked for{atlas}",
        "measured": f"{effort.rounds} rounds of up to {effort.calls} calls, fewer where a call is slow",
    }


def version_of(package: str) -> str:
    """Return the version of a package; loadplan need not be installed, for it is here."""
    return __version__ if package == "loadplan" else version(package)


def say_who_is_absent(everyone: Everyone) -> None:
    """Name rivals that are not installed."""
    if everyone.absent:
        console.print(f"not installed: {', '.join(everyone.absent)}; {GROUP} has them", style="red")


def columns(run: Run) -> list[str]:
    """Return the rivals of the overview that took part."""
    present = {each.rival for each in run.results}
    return [name for name in (*OVERVIEW, *OTHER_ORMS) if name in present]


def as_page(run: Run) -> str:
    """Return all tables as Markdown."""
    return page(run, columns(run))


def write(run: Run, folder: Path, name: str) -> None:
    """Write results and tables."""
    write_json(run, folder / f"{name}.json")
    (folder / f"{name}.md").write_text(as_page(run), encoding="utf-8")
    console.print(f"{folder / name}.json, {name}.md")


def show(shown: Table) -> None:
    """Print a table."""
    printed = table.Table(title=shown.title, title_justify="left", box=SIMPLE_HEAD)
    texts = {0, len(shown.names) - 1} if shown.names[-1] in ("note", "asks", "cannot") else {0}
    for place, name in enumerate(shown.names):
        printed.add_column(name, justify="left" if place in texts else "right", no_wrap=place == 0)
    for row in shown.rows:
        printed.add_row(*(each.replace("**", "") for each in row))
    console.print(printed)
