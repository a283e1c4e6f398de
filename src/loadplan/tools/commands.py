"""The commands of ``loadplan``. Only ``check --database`` opens a database, and it writes nothing to it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn, cast

import attrs
import typer
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from loadplan.errors import PlanError, counted, did_you_mean
from loadplan.explained.dialects import dialect_of
from loadplan.explained.explanation import Explanation
from loadplan.mapped.readiness import checking_later
from loadplan.plan import LoadPlan
from loadplan.running.plans import resolve_plan
from loadplan.tools.adopting import NotAdoptable, adopted_of_module, plan_of_options
from loadplan.tools.audit import Severity, audit
from loadplan.tools.baseline import read_baseline, write_baseline
from loadplan.tools.checking import CheckOptions, run_check
from loadplan.tools.findings import as_github, as_sarif, at_least
from loadplan.tools.generated import KINDS, Kind, made_by, source_of_types
from loadplan.tools.printing import plan_code
from loadplan.tools.settings import read_settings, severity_of
from loadplan.tools.targets import (
    BrokenModule,
    FoundPlan,
    TargetError,
    add_folders,
    import_by_name,
    import_target,
    modules_below,
    plans_in,
)

_DIALECT_HELP = "A database or its driver: postgresql, asyncpg, psycopg, sqlite, mysql, mariadb, ..."

app = typer.Typer(
    help="Tools for plans and mappings. Only check --database opens a database.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Exit(IntEnum):
    """Exit codes of the command."""

    PROBLEMS = 1
    USAGE = 2


@app.callback()
def start() -> None:
    """Make the current folder importable, as ``python -m`` does, and its folder ``src`` too."""
    add_folders(Path.cwd())


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="A plan, as package.plans:USER_PAGE.")],
    dialect: Annotated[str | None, typer.Option(help=_DIALECT_HELP)] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the graph as a Mermaid flowchart.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write the graph as a picture to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Show how a plan is loaded: tree, strategies with their reasons, every statement."""
    if sum((mermaid, svg is not None, as_json)) > 1:
        _stop("--mermaid, --svg and --json exclude each other", Exit.USAGE)
    with _usage_errors():
        settings = read_settings(Path.cwd())
        plan = _plan(target)
    try:
        database = dialect_of(dialect or settings.dialect or "postgresql")
    except ValueError as error:
        _stop(str(error), Exit.USAGE)
    try:
        explanation = plan.explain(database)
    except PlanError as error:
        _stop(str(error), Exit.PROBLEMS)
    if mermaid:
        typer.echo(explanation.to_mermaid(), nl=False)
    elif as_json:
        typer.echo(json.dumps(attrs.asdict(explanation), indent=2, ensure_ascii=False))
    elif svg is not None:
        _write(svg, explanation.to_svg())
    else:
        _print_explanation(explanation)


@app.command()
def check(
    package: Annotated[str, typer.Argument(help="A module, or a package with all its submodules.")],
    database: Annotated[
        str | None, typer.Option(help="URL of a migrated database to check every statement against. It may be empty.")
    ] = None,
    small: Annotated[
        list[str] | None, typer.Option(help="A table that needs no index; may be given several times.")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Tables with fewer rows than this need no index.", min=1)] = None,
    costs: Annotated[bool, typer.Option("--costs", help="Print statements, joins and columns of every plan.")] = False,
    dialect: Annotated[str | None, typer.Option(help="The kind of database that the costs are for.")] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="Return 1 for findings of this severity or worse: risk, cost (default), note.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A name to leave out, as lines.order_id; * stands for anything.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="File with the known findings; only new ones are reported.")
    ] = None,
    update_baseline: Annotated[bool, typer.Option("--update-baseline", help="Update the baseline.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    as_annotations: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
    sarif: Annotated[Path | None, typer.Option(help="Write the findings to this file, as SARIF.")] = None,
) -> None:
    """Import a package and resolve its plans. With --database, check every statement against that database."""
    with _usage_errors():
        settings = read_settings(Path.cwd())
        options = CheckOptions(
            database=database or settings.database,
            small=(*settings.small_tables, *(small or ())),
            rows=rows if rows is not None else settings.rows,
            costs=costs,
            dialect=dialect or settings.dialect or "postgresql",
            ignore=(*settings.ignore, *(ignore or ())),
            baseline=baseline or settings.baseline,
            update=update_baseline,
        )
        least = severity_of(fail_on) if fail_on else settings.fail_on or Severity.COST
        _refuse_update_without_file(options.baseline, update=update_baseline)
        if as_json and as_annotations:
            _stop("--json and --github exclude each other", Exit.USAGE)
        done = run_check(package, options)
        modules = [each for each in modules_below(import_by_name(package)) if not isinstance(each, BrokenModule)]
        stale = list(filter(None, map(_stale_types, modules)))
    if sarif is not None:
        _write(sarif, as_sarif(done.findings, done.spot, version("loadplan")))
    if as_json:
        typer.echo(json.dumps(done.as_dict(), indent=2, ensure_ascii=False))
    elif as_annotations:
        typer.echo(as_github(done.findings, done.spot), nl=bool(done.findings))
    elif done.text:
        _print_lines(done.text)
    if stale and not as_json and not as_annotations:
        typer.echo("\n\n".join(stale))
    if stale:
        count, plans, files = map(len, (stale, done.plans, modules))
        _stop(f"\n{counted(count, 'problem')} in {counted(plans, 'plan')} of {counted(files, 'module')}", Exit.PROBLEMS)
    if at_least(done.findings, least):
        if as_json or as_annotations:
            raise typer.Exit(Exit.PROBLEMS)
        _stop(("\n" if done.text else "") + done.summary, Exit.PROBLEMS)
    if not done.plans:
        _stop(done.summary, Exit.USAGE)
    if not as_json and not as_annotations:
        typer.echo(("\n" if done.text else "") + done.summary)


@app.command(name="types")
def types_command(
    module: Annotated[str, typer.Argument(help="A module with plans, as package.plans.")],
    out: Annotated[Path | None, typer.Option(help="Write the classes to this file. Without it, print them.")] = None,
    kind: Annotated[str, typer.Option("--as", help=f"What to write: {', '.join(KINDS)}.")] = "protocol",
    is_check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if the file is out of date.")] = False,
) -> None:
    """Write classes for the results of plans: Protocols for typed=, or view classes for into=."""
    if kind not in KINDS:
        _stop(f"--as {kind} is not known\n  hint: {did_you_mean(kind, KINDS, 'Kinds')}", Exit.USAGE)
    if is_check and out is None:
        _stop("--check compares a file: name it with --out", Exit.USAGE)
    with checking_later(), _usage_errors():  # this command repairs plans that their Protocol no longer fits
        found = plans_in([import_by_name(module)])
    named = _named(found)
    words = [
        "loadplan types",
        module,
        *([f"--as {kind}"] if kind != "protocol" else []),
        *([f"--out {out}"] if out else []),
    ]
    try:
        for _, plan in named:
            if plan.into is None:  # an error in the old file must not prevent writing the new one
                resolve_plan(LoadPlan(plan.entity, *plan.loads, only=plan.only, defer=plan.defer, name=plan.name))
    except PlanError as error:
        _stop(str(error), Exit.PROBLEMS)
    text = source_of_types(named, " ".join(words), cast("Kind", kind))
    if out is None:
        typer.echo(text, nl=False)
    elif not is_check:
        _write(out, text)
    elif not out.is_file() or out.read_text(encoding="utf-8") != text:
        _stop(f"{out} is out of date\n  hint: {' '.join(words)}", Exit.PROBLEMS)
    else:
        typer.echo(f"{out} is up to date")


@app.command(name="audit")
def audit_command(
    targets: Annotated[
        list[str],
        typer.Argument(help="A base, registry, MetaData, mapped class or module, as package.models:Base."),
    ],
    fail_on: Annotated[
        str | None, typer.Option(help="Return 1 for findings of this severity or worse: risk (default), cost, note.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A name to leave out, as User.posts; * stands for anything.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="File with the known findings; only new ones are reported.")
    ] = None,
    update_baseline: Annotated[bool, typer.Option("--update-baseline", help="Update the baseline.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """List the effects of a mapping under asyncio: of relationships, keys, late values and session factories."""
    with _usage_errors():
        settings = read_settings(Path.cwd())
        least = severity_of(fail_on) if fail_on else settings.fail_on or Severity.RISK
        file = baseline or settings.baseline
        _refuse_update_without_file(file, update=update_baseline)
        known = read_baseline(file).audit
        try:
            found = audit(*targets).without((*settings.ignore, *(ignore or ())))
        except PlanError as error:
            _stop(str(error), Exit.PROBLEMS)
        if update_baseline and file is not None:
            write_baseline(file, audit=[each.key for each in found.findings])
            typer.echo(f"wrote {file}", err=as_json)
            known = read_baseline(file).audit
        found = found.without_known(known)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print_lines(str(found))
    if found.from_on(least):
        raise typer.Exit(Exit.PROBLEMS)


def _named(found: Iterable[FoundPlan]) -> list[tuple[str, LoadPlan[Any]]]:
    """Return plans with their names in their module."""
    return [(each.where.partition(":")[2], each.plan) for each in found]


def _stale_types(module: ModuleType) -> str | None:
    """Return an error if a plan has changed since ``loadplan types`` wrote a module, otherwise None."""
    made = made_by(module.__doc__)
    if made is None or module.__file__ is None:
        return None
    command, plans, kind = made
    try:
        text = source_of_types(_named(plans_in([import_by_name(plans)])), command, cast("Kind", kind))
    except (TargetError, PlanError) as error:
        return f"{module.__name__}\n{error}"
    if Path(module.__file__).read_text(encoding="utf-8") == text:
        return None
    return f"{module.__name__}\nits classes are out of date: a plan of '{plans}' has changed\n  hint: {command}"


@app.command()
def adopt(
    target: Annotated[
        str,
        typer.Argument(
            help="A statement with loader options, or a function that returns one, as package.module:name. "
            "If it is a module, all statements and options in the module."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Name of the plan.")] = None,
) -> None:
    """Print the plan that loads the same attributes as your SQLAlchemy options."""
    with _usage_errors():
        found = import_target(target)
        if isinstance(found, ModuleType):
            _adopt_module(found)
            return
        try:
            adopted = plan_of_options(found, name)
        except NotAdoptable as error:
            _stop(str(error), Exit.PROBLEMS)
    typer.echo(adopted.code)
    for each in adopted.remarks:
        typer.echo(f"# {each}")


def _adopt_module(module: ModuleType) -> None:
    """Print a plan for each statement of a module. If a statement has no plan, print the reason as a comment."""
    found = adopted_of_module(module)
    if not found:
        _stop(
            f"module '{module.__name__}' holds no statement with loader options\n"
            f"  hint: name a function that returns one, as {module.__name__}:name.",
            Exit.USAGE,
        )
    for name, adopted in found:
        if isinstance(adopted, NotAdoptable):
            typer.echo("\n".join(f"# {line}" for line in f"{name}: {adopted}".splitlines()) + "\n")
            continue
        lines = [plan_code(adopted.plan, name.rpartition(".")[2].upper()), *(f"# {each}" for each in adopted.remarks)]
        typer.echo("\n".join(lines) + "\n")
    if any(isinstance(adopted, NotAdoptable) for _, adopted in found):
        raise typer.Exit(Exit.PROBLEMS)


def _refuse_update_without_file(file: Path | None, *, update: bool) -> None:
    if update and file is None:
        _stop("--update-baseline needs a file\n  hint: add --baseline loadplan-baseline.json.", Exit.USAGE)


def _plan(target: str) -> LoadPlan[object]:
    """Return the plan that a target names. It is not resolved: a problem of the plan is not a problem of the name.

    Raises:
        TargetError: the target does not exist, or is not a plan.
    """
    with checking_later():
        found = import_target(target)
    if isinstance(found, ModuleType):
        names = [each.where.partition(":")[2] for each in plans_in([found])]
        hint = f"write {target.rstrip(':')}:{names[0] if names else 'NAME'}. {did_you_mean('', names, 'Plans')}"
        raise TargetError(f"'{target}' is a module\n  hint: {hint}")
    if not isinstance(found, LoadPlan):
        module = import_by_name(target.partition(":")[0])
        names = [each.where.partition(":")[2] for each in plans_in([module])]
        hint = did_you_mean(target.partition(":")[2], names, f"Plans of {module.__name__}")
        kind = "class" if isinstance(found, type) else type(found).__name__
        raise TargetError(f"'{target}' is a {kind}, not a plan\n  hint: {hint}")
    return found


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Print an error in the arguments as text, and exit with status 2."""
    try:
        yield
    except TargetError as error:
        _stop(str(error), Exit.USAGE)


def _stop(message: str, status: Exit) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        _stop(f"cannot write '{path}': {error.strerror}", Exit.USAGE)
    typer.echo(f"wrote {path}")


# --- on a terminal --------------------------------------------------------------------------------------------------

_SEVERITIES = {"risk:": "bold red", "cost:": "bold yellow", "note:": "bold blue"}


def _print_explanation(explanation: Explanation) -> None:
    """Print an explanation. On a terminal, colour the SQL and dim the reasons."""
    console = Console()
    if not console.is_terminal:
        typer.echo(str(explanation))
        return
    tree, *statements = str(explanation).split("\n\n-- ")
    for index, line in enumerate(tree.splitlines()):
        is_reason = index > 0 and "─ " not in line
        console.print(line, style="dim" if is_reason else None, markup=False, highlight=False, soft_wrap=True)
    for statement in statements:
        title, _, sql = statement.partition("\n")
        console.print(f"\n[bold]-- {escape(title)}[/]", highlight=False)
        console.print(Syntax(sql, "sql", theme="ansi_dark", background_color="default", word_wrap=True))


def _print_lines(text: str) -> None:
    """Print a text. On a terminal, colour the severities."""
    console = Console()
    if not console.is_terminal:
        typer.echo(text)
        return
    for line in text.splitlines():
        style = _SEVERITIES.get(line.partition(" ")[0])
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
