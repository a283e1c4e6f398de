"""What the suite says of loadplan itself: forced strategies, tables, and charts that come out the same each time."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import figures
from benchmarks.report import Result, Run, write_json
from benchmarks.shop import Review
from benchmarks.strategy_cases import CASES, moment_index_claimed, score_index_untold
from benchmarks.strategy_costs import SAME, cell, ratio_to, time_case
from loadplan import Loader
from random_cases import CASES as CASES_TRIED


def results(case: str, *columns: str) -> list[Result]:
    """An automatic choice of 2 s, a forced way of 1 s, and columns that are not timed."""
    notes = (SAME, "it has no such form")
    automatic = Result(case, "automatic", 50, (2.0, 2.0, 4.0), 1)
    forced = Result(case, columns[0], 50, (1.0, 1.0, 2.0), 2)
    return [
        automatic,
        forced,
        *(Result(case, name, 50, note=note) for name, note in zip(columns[1:], notes * 3, strict=False)),
    ]


def test_a_cell_is_the_time_in_units_of_the_automatic_choice() -> None:
    automatic, forced, same, none = results("entities: a", "left join", "inner join", "select-in")
    assert [ratio_to(each, automatic) for each in (forced, same, none)] == [0.5, 1.0, None]
    assert [cell(each, automatic) for each in (forced, same, none)] == ["0.50", "=", "n/a"]


@pytest.mark.parametrize("context", [score_index_untold, moment_index_claimed])
def test_what_the_mapping_says_of_indexes_is_taken_back(context: object) -> None:
    before = set(Review.metadata.tables["shop_review"].indexes)
    assert callable(context)
    with context():
        assert set(Review.metadata.tables["shop_review"].indexes) != before
    assert set(Review.metadata.tables["shop_review"].indexes) == before


async def test_each_forced_way_brings_what_the_automatic_choice_brings(postgres: AsyncEngine) -> None:
    """The comparison is part of the measuring, which raises where two ways differ.

    ``python -m benchmarks --smoke`` measures all cases, in CI too. Here are some, and more with
    ``LOADPLAN_PROPERTY_EXAMPLES``.
    """
    from benchmarks.shop import Base, fill

    await fill(postgres, 100)
    try:
        for case in CASES[:: max(1, 50 // CASES_TRIED)]:
            found = await time_case(postgres, case, case.sizes[0], 1, 1)
            assert found[0].seconds, case.name
            assert {each.rival for each in found[1:]} == set(case.forced)
            assert all(each.seconds or each.note for each in found), f"{case.name}: a column says nothing"
    finally:
        async with postgres.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)


def test_a_collection_that_is_joined_is_never_the_automatic_choice() -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    loader = Loader(create_async_engine("postgresql+asyncpg://nobody@nowhere/none"))
    for case in CASES:
        edges = list(loader.explain(case.automatic).edges)
        for edge in edges:
            edges += edge.edges
            assert "join" not in edge.strategy or not edge.cardinality.endswith("-many"), case.name


def write_results(folder: Path) -> None:
    """A file of results for each page of figures but the plan's."""
    columns = ("left join", "inner join", "select-in", "subquery", "other form")
    views = ("one statement", "statement a level", "other form")
    found = [*results("entities: few parents", *columns), *results("views: few parents", *views)]
    write_json(Run({"measured on": "a machine"}, found), folder / "strategy_costs.json")
    from benchmarks import growth

    sizes = [
        Result(growth.CASE, name, size, (size * 0.001 * place,), place, megabytes=60.0 + size)
        for size in (1, 10)
        for place, name in enumerate(growth.WAYS, 1)
    ]
    write_json(Run({"measured on": "a machine"}, sizes), folder / "growth.json")


def test_tables_of_what_there_is(tmp_path: Path) -> None:
    write_results(tmp_path)
    assert [path.name for path in figures.write_tables(figures.runs_in(tmp_path), tmp_path)] == [
        "growth.md",
        "strategy_costs.md",
    ]
    page = (tmp_path / "strategy_costs.md").read_text()
    assert "| 50 | 2,000 | 0.50 | auto | n/a | auto | n/a |" in page
    assert "- few parents; select-in, other form: n/a, it has no such form" in page
    assert "| 10 | 10.00 (1) | 20.00 (2) | 30.00 (3) | 40.00 (4) | 50.00 (5) |" in (tmp_path / "growth.md").read_text()


def test_the_same_results_make_the_same_charts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks import charts

    write_results(tmp_path)
    for folder in ("one", "two"):
        charts.main(tmp_path, tmp_path / folder)
    made = sorted(path.name for path in (tmp_path / "one").iterdir() if path.suffix in {".svg", ".png"})
    assert made == sorted(
        f"{name}-{theme}.{ending}"
        for name in ("growth", "strategies-entities", "strategies-views")
        for theme in ("light", "dark")
        for ending in ("svg", "png")
    )
    for name in made:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_older_results_are_named_and_the_rest_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that lacks what tables and charts have by now says so, with the command that makes it again."""
    pytest.importorskip("matplotlib")
    from benchmarks import charts, compile_cost

    write_results(tmp_path)
    old = [Result(compile_cost.COLD + "declare", "an older name", 1, (0.001,))]
    write_json(Run({"measured on": "a machine"}, old), tmp_path / "compile_cost.json")
    charts.main(tmp_path, tmp_path / "drawn")
    made, said = {path.stem for path in (tmp_path / "drawn").iterdir()}, capsys.readouterr().err
    assert {"growth", "strategy_costs", "growth-light", "strategies-views-dark"} <= made
    assert not any(each.startswith(("plan-cost", "compile_cost")) for each in made)
    assert said.count("compile_cost.json is of an older version") == 1
    assert f"python -m benchmarks plan-cost --to {tmp_path / 'compile_cost.json'}" in said
