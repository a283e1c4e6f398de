"""The command line as people meet it: what fails, settings, baselines, imports that fail, the wrong folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]

#: Makes a mapping with a cost and two notes.
COSTLY = ('ForeignKey("customer.id"), index=True', 'ForeignKey("customer.id")')


@pytest.fixture
def costly(shop: Path) -> Path:
    """The shop without its index."""
    models = shop / "shop" / "models.py"
    models.write_text(models.read_text().replace(*COSTLY))
    return shop


def test_fail_on(command: Command, costly: Path) -> None:
    """A cost, and notes: the audit fails from the severity on that it is told."""
    given = {
        word: command("audit", "shop.models:Base", "--fail-on", word).exit_code for word in ("risk", "cost", "note")
    }
    assert given == {"risk": 0, "cost": 1, "note": 1}
    assert command("audit", "shop.models:Base").exit_code == 0
    done = command("audit", "shop.models:Base", "--fail-on", "costs")
    assert (done.exit_code, done.stderr) == (
        2,
        "there is no severity 'costs'\n  hint: did you mean 'cost'? Severities: cost, note, risk.\n",
    )


def test_ignore(command: Command, costly: Path) -> None:
    """Names, with * for anything."""
    options = ("audit", "shop.models:Base", "--fail-on", "note")
    assert command(*options, "--ignore", "order.customer_id").exit_code == 1
    done = command(*options, "--ignore", "order.customer_id", "--ignore", "*.orders", "--ignore", "Order.customer")
    assert (done.exit_code, done.stdout) == (0, "shop.models:Base: 2 classes, 2 tables: 0 risks, 0 costs, 0 notes\n")


def test_settings_of_the_project(command: Command, costly: Path) -> None:
    """The nearest pyproject.toml holds, and an option goes before it."""
    (costly / "pyproject.toml").write_text(
        '[tool.loadplan]\nfail-on = "cost"\nignore = ["Order.*"]\ndialect = "sqlite"\n'
    )
    done = command("audit", "shop.models:Base")
    assert done.exit_code == 1
    assert "Order.customer" not in done.stdout
    assert command("audit", "shop.models:Base", "--fail-on", "risk").exit_code == 0
    assert " IN (" in command("explain", "shop.plans:CUSTOMER_PAGE").stdout
    assert "= ANY (" in command("explain", "shop.plans:CUSTOMER_PAGE", "--dialect", "psycopg").stdout


#: (text of the table, what is said)
WRONG_SETTINGS = [
    ('fail_on = "risk"', "takes no 'fail_on'\n  hint: did you mean 'fail-on'? It takes: baseline, "),
    ("ignore = 3", "'ignore' in [tool.loadplan] of '"),
    ('fail-on = "high"', "there is no severity 'high'\n  hint: Severities: cost, note, risk.\n"),
    ("=", "pyproject.toml' cannot be read: "),
]


@pytest.mark.parametrize(("table", "said"), WRONG_SETTINGS)
def test_settings_that_mean_nothing(command: Command, shop: Path, table: str, said: str) -> None:
    (shop / "pyproject.toml").write_text(f"[tool.loadplan]\n{table}\n")
    done = command("audit", "shop.models:Base")
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_baseline_of_the_audit(command: Command, costly: Path) -> None:
    """What is in the file is not told again; it is beside what check writes."""
    options = ("audit", "shop.models:Base", "--fail-on", "note", "--baseline", "known.json")
    assert command(*options).exit_code == 1
    done = command(*options, "--update-baseline")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "wrote known.json")
    assert command("check", "shop", "--baseline", "known.json", "--update-baseline").exit_code == 0
    assert command(*options).exit_code == 0
    known = json.loads((costly / "known.json").read_text())
    assert "index: order.customer_id: a foreign key without an index" in known["audit"]
    assert set(known["plans"]) == {"shop.plans:ORDER_PAGE", "shop.plans:CUSTOMER_PAGE"}
    done = command("audit", "shop.models:Base", "--update-baseline")
    assert (done.exit_code, done.stderr.partition("\n")[0]) == (2, "--update-baseline needs a file")
    (costly / "known.json").write_text("[]")
    assert command(*options).stderr.startswith("'known.json' is not a baseline of loadplan: ")


def test_costs_of_plans(command: Command, shop: Path) -> None:
    done = command("check", "shop", "--costs")
    assert done.exit_code == 0
    assert done.stdout == (
        "plan                      statements  joins  columns\n"
        "shop.plans:ORDER_PAGE              1      1        4\n"
        "shop.plans:CUSTOMER_PAGE           2      0        5\n"
        "\n"
        "2 plans of 3 modules: every plan resolves\n"
    )
    assert json.loads(command("check", "shop", "--costs", "--json").stdout)["costs"][0] == {
        "where": "shop.plans:ORDER_PAGE",
        "statements": 1,
        "joins": 1,
        "columns": 4,
    }


def test_a_plan_that_grew(command: Command, shop: Path) -> None:
    """More statements, joins or columns than in the baseline; fewer are fine, and so is a new plan."""
    options = ("check", "shop", "--baseline", "known.json")
    assert command(*options, "--update-baseline").exit_code == 0
    plans = shop / "shop" / "plans.py"
    before = plans.read_text()
    plans.write_text(
        before.replace(
            'load(Customer.orders, strategy="selectin")',
            'load(Customer.orders, load(Order.customer), strategy="selectin")',
        )
    )
    done = command(*options)
    assert done.exit_code == 1
    assert done.stdout == (
        "risk: shop.plans:CUSTOMER_PAGE: it takes 1 joins instead of 0, 8 columns instead of 5\n"
        "  do: undo the change that made it grow, or write the baseline again with --update-baseline.\n"
    )
    plans.write_text(
        before.replace('load(Customer.orders, strategy="selectin"), ', "")
        + "\nNEW = LoadPlan(Order, load(Order.customer))\n"
    )
    assert command(*options).exit_code == 0


def test_an_import_that_wants_a_variable(command: Command, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and line once, however many modules it breaks, and what to set."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    package = shop / "shop"
    (package / "config.py").write_text('import os\n\nURL = os.environ["DATABASE_URL"]\n')
    (package / "one.py").write_text("from shop.config import URL\n")
    (package / "two.py").write_text("import shop.one\n")
    done = command("check", "shop")
    assert done.exit_code == 1
    assert done.stdout == (
        "shop.config\n"
        "cannot be imported: KeyError: 'DATABASE_URL'\n"
        "  at: shop/config.py:3\n"
        "  hint: set DATABASE_URL in the environment. Importing connects to nothing, so any value will do.\n"
        "  the same error in: shop.one, shop.two\n"
    )
    done = command("explain", "shop.two:PLAN")
    assert done.stderr.count("shop/config.py:3") == 1


#: (code of a module, the variables that are missing)
UNSET = [
    ("import os\nfrom sqlalchemy import create_engine\ncreate_engine(os.getenv('DB_URL'))\n", "set DB_URL in"),
    ("import os\nos.environ.get('APP_NAME').lower()\n", "set APP_NAME in"),
    (
        "import pydantic\nclass Settings(pydantic.BaseModel):\n    database_url: str\nSettings()\n",
        "set DATABASE_URL in",
    ),
]


@pytest.mark.parametrize(("code", "said"), UNSET)
def test_variables_that_are_not_set(command: Command, shop: Path, code: str, said: str) -> None:
    (shop / "shop" / "config.py").write_text(code)
    done = command("check", "shop.config")
    assert done.exit_code == 2
    assert f"\n  hint: {said}" in done.stderr
    assert f"\n  at: shop/config.py:{len(code.splitlines())}" in done.stderr


def test_an_error_of_the_code_itself_asks_for_no_variable(command: Command, shop: Path) -> None:
    (shop / "shop" / "config.py").write_text("import os\nos.environ.get('APP_NAME')\n{}['x']\n")
    done = command("check", "shop.config")
    assert "hint" not in done.stderr
    (shop / "shop" / "config.py").write_text("def broken(:\n")
    assert "  at: shop/config.py:1\n" in command("check", "shop.config").stderr


def test_a_src_layout(command: Command, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the project, with its packages below ``src``."""
    (shop / "src").mkdir()
    os.rename(shop / "shop", shop / "src" / "shop")
    assert command("check", "shop").exit_code == 0


def test_the_wrong_folder(command: Command, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One above, one beside, and one that has nothing to do with it."""
    deep = shop / "notes" / "empty"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    done = command("check", "shop")
    assert done.exit_code == 2
    assert done.stderr == (
        f"there is no module 'shop' in the current folder\n  hint: it is in '{shop}'; run loadplan there.\n"
    )
    done = command("check", "warehouse")
    assert done.stderr == (
        f"there is no module 'warehouse': the current folder, '{deep}', has no modules\n"
        "  hint: run loadplan in the folder of your project.\n"
    )


@pytest.mark.parametrize("dialect", ["asyncpg", "psycopg", "postgresql", "aiosqlite", "mariadb", "mysql", "asyncmy"])
def test_dialects_by_the_name_of_their_driver(command: Command, dialect: str) -> None:
    assert command("explain", "shop.plans:CUSTOMER_PAGE", "--dialect", dialect).exit_code == 0
