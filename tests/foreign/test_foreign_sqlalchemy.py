"""SQLAlchemy's own ORM tests run with a hook: after each test, plans over its mappings and rows meet the lazy walk.

The short form runs a few of them. ``python -m tests.foreign`` runs all, file by file, and fetches them where they are
missing.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from foreign_known import judged
from foreign_records import Record, code_in, keep
from foreign_source import cached, run_tests

#: The files of a part of the long run, and the database.
FILES = tuple(os.environ.get("LOADPLAN_FOREIGN_FILES", "").split())
ON_POSTGRESQL = os.environ.get("LOADPLAN_FOREIGN_DATABASE") == "postgresql"
SHORT_RUN = ("test/orm/inheritance/test_relationship.py", "-k", "M2MFilterTest or SelfReferentialM2M or SubClassToSub")


def test_plans_over_the_mappings_of_sqlalchemys_own_tests(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A difference that is not known fails."""
    version = sqlalchemy.__version__
    folder = cached(version)
    if folder is None:
        pytest.skip(
            f"no source distribution of SQLAlchemy {version} in the cache: 'python -m tests.foreign' fetches it"
        )
    url = prepared(request.getfixturevalue("postgres_url")) if ON_POSTGRESQL else None
    report = tmp_path / "report.jsonl"
    said = run_tests(folder, report, FILES or SHORT_RUN, plans=1, url=url)
    entries: list[dict[str, Any]] = []
    if report.exists():  # the tests of some files map nothing
        entries = [json.loads(line) for line in report.read_text().splitlines()]
    found = [(each["where"], one["line"]) for each in entries for one in each.get("differences", [])]
    plans = {(each["where"], one["line"]): one["plan"] for each in entries for one in each.get("differences", [])}
    broken = [f"{each['where']}: {each['broken']}" for each in entries if "broken" in each]
    not_drawn = [f"{each['where']}: {reason}" for each in entries for reason in each.get("not drawn", [])]
    record = Record(
        plans=sum(each["plans"] for each in entries),
        relationships=sum(each["relationships"] for each in entries),
        compared=sum((Counter(each["compared"]) for each in entries), Counter()),
        refused=Counter(code_in(reason) for each in entries for reason in each["refused"]),
        not_walked=sum(each["not walked"] for each in entries),
        differences=found,
    )
    keep(record)
    print(f"{len(entries)} tests with rows: {record}. Broken: {broken[:5]}. {said.splitlines()[-1]}")
    new, _ = judged("sqlalchemy", found)
    texts = [f"{where}: {line}\n    {plan}" for (where, line), plan in plans.items() if f"{where}: {line}" in new]
    assert not new, f"{len(new)} new differences\n" + "\n".join(texts)
    assert not not_drawn, not_drawn
    assert len(broken) <= len(entries) // 100, broken
    assert any(word in said for word in (" passed", " skipped", "no tests ran")), said
    assert FILES or record.plans >= 5, said


def prepared(url: sqlalchemy.URL) -> str:
    """Add the schema that SQLAlchemy's tests use to a database on PostgreSQL, and return its URL for psycopg."""
    own = url.set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(own)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.schema.CreateSchema("test_schema"))
    engine.dispose()
    return own.render_as_string(hide_password=False)
