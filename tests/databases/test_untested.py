"""A database or a driver that no test runs on is named once; those that tests run on never are."""

import warnings

import pytest
from sqlalchemy.dialects import mysql, oracle, postgresql, sqlite

from loadplan.running import tested


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process does."""
    monkeypatch.setattr(tested, "_told", set())


def test_an_untested_driver_is_named_once() -> None:
    dialect = oracle.dialect()
    with pytest.warns(UserWarning, match=r"loadplan is not tested on oracle\+\w+; .*mariadb\+aiomysql") as told:
        tested.warn_if_untested(dialect)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tested.warn_if_untested(dialect)


def test_another_driver_of_a_tested_database_is_named() -> None:
    with pytest.warns(UserWarning, match=r"postgresql\+pg8000"):
        tested.warn_if_untested(postgresql.pg8000.dialect())


@pytest.mark.parametrize(
    "dialect",
    [postgresql.asyncpg.dialect(), postgresql.psycopg.dialect(), sqlite.aiosqlite.dialect(), mysql.aiomysql.dialect()],
    ids=lambda each: each.driver,
)
def test_of_a_tested_driver_nothing_is_said(dialect: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tested.warn_if_untested(dialect)  # type: ignore[arg-type]
