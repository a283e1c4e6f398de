"""The benchmarks on other drivers and databases, and how long a run says that it takes."""

import argparse
from pathlib import Path

import pytest
from test_benchmark_cases import benchmarks

from benchmarks.cases import CASES, HEADLINE
from benchmarks.command import Settings
from benchmarks.measure import add_driver, result_file
from benchmarks.report import Result, Run, read_json
from benchmarks.rivals.everyone import ENTITIES, VIEWS
from benchmarks.tables import limit_of, page
from benchmarks.targets import DEFAULT, DRIVERS, Target
from embedded_mariadb import MISSING, find_mariadb


def run_on(folder: Path, name: str, *arguments: str) -> tuple[Run, dict[str, Result]]:
    """Run one case as small as it gets; return its results by rival, which must say how long they were to take."""
    done = benchmarks("run", *arguments, "--smoke", "--results", str(folder))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "on a quiet machine with two cores" in done.stdout.partition("% ")[0], "said before the first step"
    run = read_json(folder / f"{name}.json")
    return run, {each.rival: each for each in run.results}


def test_on_psycopg_its_own_sql_by_hand_is_the_limit(tmp_path: Path) -> None:
    run, found = run_on(tmp_path, "list-50-postgresql-psycopg", "list-50", "--driver", "psycopg")
    assert run.environment["driver"] == "psycopg"
    assert run.environment["database"].startswith("PostgreSQL ")
    told = {"psycopg, one statement": 1, "psycopg, a level": 2, ENTITIES: 1, VIEWS: 1, "options in the call": 2}
    assert {name: found[name].statements for name in told} == told
    assert found["psycopg, a level"].rows == 15
    assert not [name for name in found if name.startswith("asyncpg")]
    limit = limit_of(run.results)
    assert limit is not None
    assert limit.rival.startswith("psycopg, ")
    assert "SQL by hand through psycopg" in (tmp_path / "list-50-postgresql-psycopg.md").read_text()
    if "Piccolo" in found:
        assert found["Piccolo"].note == "cannot: it runs on asyncpg alone"


@pytest.mark.skipif(find_mariadb() is None, reason=MISSING)
@pytest.mark.parametrize(("driver", "case"), [("aiomysql", "top-five"), ("asyncmy", "one")])
def test_on_mariadb_statements_are_counted_by_the_server(tmp_path: Path, driver: str, case: str) -> None:
    run, found = run_on(tmp_path, f"{case}-mariadb-{driver}", case, "--database", "mariadb", "--driver", driver)
    assert run.environment["driver"] == driver
    assert run.environment["database"].startswith("MariaDB ")
    by_hand = f"{driver}, window" if case == "top-five" else f"{driver}, a level"
    told = {by_hand: 2, ENTITIES: 2, VIEWS: 2, "options in the call": 2, "options prebuilt": 2}
    assert {name: found[name].statements for name in told} == told
    assert {found[name].rows for name in told} == {18 if case == "top-five" else 5}
    assert (found[by_hand].trips, found["options in the call"].trips) == (2, 4)
    for name in {"Django", "Piccolo", "Tortoise ORM"} & set(found):
        assert found[name].note == "cannot: the benchmark maps it for PostgreSQL alone"
        assert not found[name].seconds


@pytest.mark.skipif(find_mariadb() is None, reason=MISSING)
def test_a_case_of_the_atlas_is_refused_on_mariadb() -> None:
    done = benchmarks("run", "country", "--database", "mariadb")
    assert done.returncode == 2
    assert "the world atlas is loaded into PostgreSQL alone" in done.stdout


def test_what_the_command_line_leaves_out_is_the_default() -> None:
    assert Target.of(None, None) == Target.of("postgresql", None) == DEFAULT
    assert Target.of("mariadb", None) == Target.of(None, "aiomysql")
    assert Target.of(None, "psycopg").drivername == "postgresql+psycopg"
    names = {Target(database, driver).suffix for database, drivers in DRIVERS.items() for driver in drivers}
    assert names == {"", "-postgresql-psycopg", "-mariadb-aiomysql", "-mariadb-asyncmy"}


def test_a_driver_of_another_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mariadb has no driver 'psycopg' here; there are: aiomysql, asyncmy"):
        Target.of("mariadb", "psycopg")
    with pytest.raises(ValueError, match="no database is called 'oracle'; there are: postgresql, mariadb"):
        Target.of("oracle", None)
    done = benchmarks("run", "row", "--driver", "pg8000")
    assert done.returncode == 2
    assert "postgresql has no driver 'pg8000'" in done.stderr


def test_the_headline_cases_are_some_of_all_and_take_about_five_minutes() -> None:
    names = [each.name for each in CASES]
    assert [each for each in names if each in HEADLINE] == list(HEADLINE)
    headline = [each for each in CASES if each.name in HEADLINE]
    settings = Settings.of(10_000, 7, 50, smoke=False, target=DEFAULT)
    assert 180 < settings.seconds(headline) <= 300
    assert settings.seconds(CASES) > settings.seconds(headline)
    assert Settings.of(10_000, 7, 50, smoke=True, target=DEFAULT).seconds(headline) < 60
    on_mariadb = Settings.of(10_000, 7, 50, smoke=False, target=Target.of("mariadb", None))
    assert on_mariadb.seconds(headline) == settings.seconds(headline) + 90, "a million rows are copied"


def test_a_page_names_the_driver_of_its_run() -> None:
    results = [Result("one", "psycopg, a level", 1, (0.001,), 2), Result("one", ENTITIES, 1, (0.002,), 2)]
    shown = page(Run({"driver": "psycopg"}, results), [])
    assert "by hand through psycopg, with objects built by hand. It reads only" in shown
    assert "as the server counts them" in page(Run({"driver": "aiomysql"}, results), [])


def test_parts_take_drivers_of_postgresql(capsys: pytest.CaptureFixture[str]) -> None:
    """Their results name a driver that is not the default; MariaDB is for the cases."""
    parser = argparse.ArgumentParser()
    add_driver(parser)
    assert parser.parse_args([]).driver == "asyncpg"
    assert parser.parse_args(["--driver", "psycopg"]).driver == "psycopg"
    with pytest.raises(SystemExit):
        parser.parse_args(["--driver", "aiomysql"])
    assert "choose from" in capsys.readouterr().err
    names = [result_file("growth", driver).name for driver in ("asyncpg", "psycopg")]
    assert names == ["growth.json", "growth-postgresql-psycopg.json"]
