"""Results: one record for each way to do a case, and the file they are kept in."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent / "results"
"""Where a run leaves its files, unless it is told otherwise."""


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


@attrs.frozen
class Result:
    """What one rival did in one case.

    Attributes:
        case: its name, as ``list`` shows it.
        rival: its name, as tables show it.
        size: of the case: number of roots, tasks, nodes or objects.
        seconds: for each round the median seconds of the rival's calls; empty if it cannot do the case. The rounds of
            all rivals of one case and size are measured in turn, so that they may be divided one by one.
        statements: that a call sends, without those that begin and end transactions; None if not counted.
        trips: round trips that a call takes, with everything; None if not counted.
        rows: that the server sends; None if not counted.
        sent: bytes that the server sends; None if not counted.
        title: of the case, at that size.
        note: why it cannot, or what is to be known beside the figures.
        megabytes: most that a process held that did nothing else; None if not measured.
        fetching: as ``seconds``, of calls without the reading of their results; empty if that is not told apart.
    """

    case: str
    rival: str
    size: int
    seconds: tuple[float, ...] = attrs.field(default=(), converter=_floats)
    statements: int | None = None
    trips: int | None = None
    rows: int | None = None
    sent: int | None = None
    title: str = ""
    note: str = ""
    megabytes: float | None = None
    fetching: tuple[float, ...] = attrs.field(default=(), converter=_floats)

    @property
    def milliseconds(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.seconds) * 1e3

    @property
    def alone(self) -> "Result":
        """The same with the times of the fetch alone."""
        return attrs.evolve(self, seconds=self.fetching)

    def ratios(self, other: "Result") -> list[float]:
        """Return this one's time in units of another's, round by round: of one case and size alone."""
        if (self.case, self.size) != (other.case, other.size):
            raise ValueError(f"{self.case!r} and {other.case!r} were not measured in turn")
        return [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]


@attrs.frozen
class Run:
    """All that a run found.

    Attributes:
        environment: versions, machine and settings by name.
        results: of all cases, in the order in which they ran.
    """

    environment: Mapping[str, str]
    results: Sequence[Result]


def write_json(run: Run, path: Path) -> None:
    """Write a run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(attrs.asdict(run), indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Run:
    """Read a run from a file that ``write_json`` made."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Run(found["environment"], [Result(**each) for each in found["results"]])


def lacking(results: Iterable[Result], wanted: Iterable[tuple[str, int, str]]) -> list[str]:
    """Return the results that a table or a chart needs and that an older run does not have.

    Args:
        results: of a run.
        wanted: case, size and rival of each.
    """
    held = {(each.case, each.size, each.rival) for each in results}
    return [f"'{case}' of '{rival}'" for case, size, rival in wanted if (case, size, rival) not in held]


def by_case(results: Iterable[Result]) -> dict[tuple[str, int], list[Result]]:
    """Return results by case and size, in the order in which they came."""
    found: dict[tuple[str, int], list[Result]] = {}
    for each in results:
        found.setdefault((each.case, each.size), []).append(each)
    return found
