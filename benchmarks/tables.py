"""Tables of results: one for each case, one of all cases, and what was faster than loadplan."""

import statistics
from collections.abc import Iterable, Sequence

import attrs

from benchmarks.measure import spread
from benchmarks.report import Result, Run, by_case
from benchmarks.rivals.by_hand import WHOLE
from benchmarks.rivals.everyone import ENTITIES, LIMIT, NAMED_COLUMNS, VIEWS, beside
from benchmarks.targets import DEFAULT, DRIVERS, MARIADB

KINDS = {ENTITIES: "entities", VIEWS: "views"}


@attrs.frozen
class Table:
    """Rows of texts.

    Attributes:
        title: in a line.
        names: of the columns; the first one is to the left, the others to the right.
        rows: one text a column.
    """

    title: str
    names: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [self.names, (":--", *("--:" for _ in self.names[1:])), *self.rows]
        return "\n".join("| " + " | ".join(each or " " for each in line) + " |" for line in lines)


def named(results: Sequence[Result], name: str) -> Result | None:
    """Return the result of a rival that could do the case."""
    return next((each for each in results if each.rival == name and each.seconds), None)


def limit_of(results: Sequence[Result]) -> Result | None:
    """Return the fastest SQL by hand that reads only the named columns."""
    by_hand = [each for each in _by_hand(results) if not each.rival.endswith(WHOLE)]
    return min(by_hand, key=lambda each: each.milliseconds, default=None)


def whole_rows_of(results: Sequence[Result]) -> Result | None:
    """Return SQL by hand that reads all columns, as entities have them.

    A case without it names the columns that entities have, so the limit stands for it.
    """
    return next((each for each in _by_hand(results) if each.rival.endswith(WHOLE)), None) or limit_of(results)


def _by_hand(results: Sequence[Result]) -> list[Result]:
    return [each for each in results if each.rival.startswith(LIMIT) and each.seconds]


def ratio(result: Result | None, other: Result | None) -> float | None:
    """Return a time in units of another, the median of the rounds."""
    if result is None or other is None or not result.seconds:
        return None
    return statistics.median(result.ratios(other))


def case_table(results: Sequence[Result], title: str) -> Table:
    """Return what each rival took in one case: milliseconds, ratios with their range over the rounds, and counts."""
    references = {"the limit": limit_of(results), ENTITIES: named(results, ENTITIES), VIEWS: named(results, VIEWS)}
    names = ("", "ms", *(f"time / {name}" for name in references), "SQL", "trips", "rows", "kB", "note")
    rows = []
    for each in sorted(results, key=lambda each: each.milliseconds if each.seconds else float("inf")):
        if not each.seconds:
            rows.append((each.rival, *("" for _ in names[2:]), each.note))
            continue
        ratios = (spread(each.ratios(other)) if other else "" for other in references.values())
        counts = (each.statements, each.trips, each.rows)
        rows.append(
            (
                each.rival,
                precise(each.milliseconds),
                *ratios,
                *("" if count is None else f"{count:,}" for count in counts),
                "" if each.sent is None else f"{each.sent / 1e3:,.1f}",
                each.note,
            )
        )
    return Table(title, names, rows)


def overview(results: Iterable[Result], others: Sequence[str]) -> Table:
    """Return a row a case: loadplan in units of the limit, others in units of loadplan's way that does the same.

    Args:
        results: of all cases.
        others: rivals with a column of their own.
    """
    names = (
        "case",
        "limit, ms",
        "views / limit",
        "entities / limit",
        "entities, named columns / limit",
        "entities / whole rows",
        *(f"{name} / {KINDS[beside(name)]}" for name in others),
    )
    rows = []
    for (case, _), found in by_case(results).items():
        limit = limit_of(found)
        rows.append(
            (
                case,
                precise(limit.milliseconds) if limit else "",
                factor(ratio(named(found, VIEWS), limit)),
                factor(ratio(named(found, ENTITIES), limit)),
                factor(ratio(named(found, NAMED_COLUMNS), limit)),
                factor(ratio(named(found, ENTITIES), whole_rows_of(found))),
                *(factor(ratio(named(found, name), named(found, beside(name)))) for name in others),
            )
        )
    return Table("loadplan in units of SQL by hand, others in units of loadplan", names, rows)


def overview_alone(results: Sequence[Result], others: Sequence[str]) -> Table | None:
    """Return the overview of the fetch alone, without the reading of the results; None if it was not told apart.

    Args:
        results: of all cases.
        others: rivals with a column of their own in the overview.
    """
    alone = [each.alone for each in results]
    measured = {(each.case, each.size) for each in _by_hand(alone)}
    alone = [each for each in alone if (each.case, each.size) in measured]
    able = {each.rival for each in alone if each.seconds}
    if not able:
        return None
    table = overview(alone, [name for name in others if name in able])
    return attrs.evolve(table, title="The fetch alone")


def losses(results: Iterable[Result]) -> Table:
    """Return each case and rival, SQL by hand aside, that was faster than loadplan's way that does the same."""
    rows = []
    for (case, _), found in by_case(results).items():
        for each in found:
            mine = named(found, beside(each.rival))
            if mine is None or not each.seconds or each.rival.startswith((*LIMIT, "loadplan")):
                continue
            if statistics.median(each.ratios(mine)) < 1:
                times = (precise(each.milliseconds), precise(mine.milliseconds))
                rows.append((case, each.rival, mine.rival, *times, spread(each.ratios(mine))))
    return Table("Faster than loadplan", ("case", "rival", "than", "ms", "loadplan, ms", "time / loadplan"), rows)


def precise(milliseconds: float) -> str:
    """Return milliseconds with three digits or so."""
    return f"{milliseconds:,.2f}" if milliseconds < 100 else f"{milliseconds:,.0f}"


def factor(number: float | None) -> str:
    """Return a ratio; below one, it stands out."""
    if number is None:
        return "-"
    return f"**{number:.2f}**" if number < 0.995 else f"{number:.2f}"


def folded(table: Table) -> tuple[str, ...]:
    """Return a table of which a page shows the title, and the rest when it is asked to."""
    return (f'<details markdown="1"><summary>{table.title}</summary>', table.markdown(), "</details>")


def page(run: Run, others: Sequence[str]) -> str:
    """Return all tables as Markdown, to be a page or a part of one.

    Args:
        run: what to tell.
        others: rivals with a column of their own in the overview.
    """
    driver = run.environment.get("driver", DEFAULT.driver)
    resets = "; its pool resets a connection that comes back, which takes a round trip." if driver == "asyncpg" else "."
    counted = "as the server counts them" if driver in DRIVERS[MARIADB] else "as they pass between client and server"
    parts = [
        "Each ratio is the median over the rounds of one run. Its range is in brackets. In each round, every rival has"
        " its turns, and the order changes with every turn. *The limit* is the fastest SQL by hand through"
        f" {driver}, with objects built by hand{resets} It reads only the columns that a job names. *Whole rows* is"
        " SQL by hand that reads all columns, as entities have them, with one statement for each level. A job ends when"
        " it has read every value that it names. *SQL* is the number of statements that read. *trips* is the number of"
        f" all round trips. We count both, and rows and kilobytes, {counted}.",
        "\n".join(f"- {name}: {value}" for name, value in run.environment.items()),
        overview(run.results, others).markdown(),
        "Below 1.00 (bold), the rival was faster. - means that it did not do the case. We compare rivals that return"
        " mapped objects with entities. We compare rivals that return only the named values with views.",
    ]
    if (alone := overview_alone(run.results, others)) is not None:
        parts += [
            f"### {alone.title}",
            "A call of the table above fetches a result and reads its values. This table has the same calls of the same"
            " run without the time in which they read. The benchmark cannot tell the two apart if an attribute loads"
            " when it is read, if a rival groups rows by hand, or if many tasks run at a time.",
            alone.markdown(),
        ]
    for (case, _), found in by_case(run.results).items():
        parts += [f"### {case}", *folded(case_table(found, found[0].title))]
    lost = losses(run.results)
    parts += [f"### {lost.title}", lost.markdown() if lost.rows else "Only SQL by hand."]
    return "\n\n".join(parts) + "\n"
