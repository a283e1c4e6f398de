"""The command line, run as people run it: what it prints, and what it returns to the shell."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import Result

import loadplan

Command = Callable[..., Result]


def test_explain_prints_the_tree_and_the_sql(command: Command) -> None:
    done = command("explain", "shop.plans:ORDER_PAGE")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines == [
        "order page: Order, 1 statement (1, however many rows)",
        "└─ Order.customer -> Customer (id, name): many-to-one, left join, statement 1",
        "        one row at most; LEFT OUTER, so a missing or hidden row never drops its parent",
        "",
        "-- 1. Order",
        'SELECT "order".id, "order".customer_id, customer_1.id AS id_1, customer_1.name',
        'FROM "order" LEFT OUTER JOIN (SELECT customer.id AS key_0, customer.id AS id, customer.name AS name',
        'FROM customer) AS customer_1 ON customer_1.key_0 = "order".customer_id',
        'WHERE "order".id = :loadplan_id_0::INTEGER',
    ]


def test_explain_for_another_database(command: Command) -> None:
    assert "= ANY (" in command("explain", "shop.plans:CUSTOMER_PAGE").stdout
    assert " IN (" in command("explain", "shop.plans:CUSTOMER_PAGE", "--dialect", "sqlite").stdout
    assert command("explain", "shop.plans:CUSTOMER_PAGE", "--dialect", "mysql").exit_code == 0


def test_explain_as_json(command: Command) -> None:
    found = json.loads(command("explain", "shop.plans:ORDER_PAGE", "--json").stdout)
    assert (found["plan"], found["statements"], found["columns"]) == ("order page", 1, None)
    assert found["edges"][0]["columns"] == ["id", "name"]
    assert found["sql"][0]["edge"] == "Order"


def test_explain_as_pictures(command: Command, shop: Path) -> None:
    assert command("explain", "shop.plans:ORDER_PAGE", "--mermaid").stdout.startswith("flowchart LR\n")
    done = command("explain", "shop.plans:ORDER_PAGE", "--svg", "page.svg")
    assert (done.exit_code, done.stdout) == (0, "wrote page.svg\n")
    assert ET.parse(shop / "page.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - ours


#: (arguments, what is said on stderr); all of them return 2
USAGE = [
    (
        ("explain", "shop.plan:ORDER_PAGE"),
        "there is no module 'shop.plan'\n  hint: did you mean 'plans'? Modules of shop: ",
    ),
    (("explain", "shpo.plans:ORDER_PAGE"), "there is no module 'shpo'\n  hint: did you mean 'shop'? Modules in the "),
    (
        ("explain", "shop.plans:ORDERPAGE"),
        "module 'shop.plans' has no 'ORDERPAGE'\n  hint: did you mean 'ORDER_PAGE'? ",
    ),
    (("explain", "shop.plans:ORDER_PAGE.nme"), "'ORDER_PAGE' of module 'shop.plans' has no 'nme'\n  hint: did you "),
    (
        ("explain", "shop.plans"),
        "'shop.plans' is a module\n  hint: write shop.plans:ORDER_PAGE. Plans: CUSTOMER_PAGE, ",
    ),
    (("explain", "shop.plans:Order"), "'shop.plans:Order' is a class, not a plan\n  hint: "),
    (("explain", "shop/plans.py"), "'shop/plans.py' is not the name of a module\n  hint: write package.module:NAME, "),
    (
        ("explain", "shop.plans.ORDER_PAGE"),
        "there is no module 'shop.plans.ORDER_PAGE': 'shop.plans' is a module, not a ",
    ),
    (("explain", "shop.plans:ORDER_PAGE", "--dialect", "postgre"), "SQLAlchemy knows no dialect 'postgre'; write "),
    (("explain", "shop.plans:ORDER_PAGE", "--json", "--mermaid"), "--mermaid, --svg and --json exclude each other\n"),
    (("explain", "shop.plans:ORDER_PAGE", "--svg", "no/page.svg"), "cannot write 'no/page.svg': No such file or dir"),
    (("check", "shop.models"), "'shop.models' holds no plan (1 module)\n"),
    (("check", "shopp"), "there is no module 'shopp'\n  hint: did you mean 'shop'?"),
    (("audit", "shop.models:Bas"), "module 'shop.models' has no 'Bas'\n  hint: did you mean 'Base'? It has: Base, "),
    (("audit", "shop.plans:ORDER_PAGE"), "'shop.plans:ORDER_PAGE' has no mapping\n  hint: name a declarative base, "),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE, ids=lambda value: " ".join(value) if value is tuple else None)
def test_what_was_typed_is_wrong(command: Command, arguments: tuple[str, ...], said: str) -> None:
    """Two, one clear message, no traceback."""
    done = command(*arguments)
    assert done.stderr[: len(said)] == said
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_module_that_raises_says_so(command: Command, shop: Path) -> None:
    """The error is the module's own, with its name; a missing import in it is not taken for a missing module."""
    (shop / "shop" / "plans.py").write_text("import nowhere_to_be_found")
    done = command("explain", "shop.plans:ORDER_PAGE")
    assert done.exit_code == 2
    assert done.stderr == (
        "module 'shop.plans' cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'\n"
        "  at: shop/plans.py:1\n"
    )


def test_explain_of_a_wrong_plan(command: Command, shop: Path) -> None:
    """One, with the plan's problems; other wrong plans of the module do not matter."""
    wrong = (
        'ORDER_PAGE = LoadPlan(Order, load("custmer"))\nOTHER = LoadPlan(Order, load("x"))\nFINE = LoadPlan(Order)\n'
    )
    (shop / "shop" / "plans.py").write_text(
        f"from loadplan import LoadPlan, load\nfrom shop.models import Order\n{wrong}"
    )
    done = command("explain", "shop.plans:ORDER_PAGE")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("LP201: 'Order' has no relationship 'custmer'\n")
    assert "'x'" not in done.stderr
    assert command("explain", "shop.plans:FINE").exit_code == 0


def test_check_of_a_package_in_order(command: Command) -> None:
    done = command("check", "shop")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "2 plans of 3 modules: every plan resolves\n"


def test_check_tells_all_problems_of_all_modules(command: Command, shop: Path) -> None:
    """Two wrong plans in one module, one in a dictionary, one on a class, and a module that cannot be imported."""
    package = shop / "shop"
    (package / "broken.py").write_text("1 / 0")
    (package / "deep").mkdir()
    (package / "deep" / "__init__.py").write_text("")
    (package / "deep" / "more.py").write_text(
        "from loadplan import LoadPlan, load\n"
        "from shop.models import Customer, Order\n"
        "ONE = LoadPlan(Order, load('custmer'), load('lines'))\n"
        "BY_NAME = {'two': LoadPlan(Customer, load('order'))}\n"
        "class Repository:\n"
        "    PLAN = LoadPlan(Customer, load(Customer.orders, limit=-1))\n"
    )
    done = command("check", "shop")
    assert done.exit_code == 1
    assert done.stderr == "\n6 problems in 5 plans of 5 modules\n"
    assert [line for line in done.stdout.splitlines() if line[:2] not in {"  ", ""}] == [
        "shop.broken",
        "cannot be imported: ZeroDivisionError: division by zero",
        "shop.deep.more:ONE",
        "LP201: 'Order' has no relationship 'custmer'",
        "shop.deep.more:ONE",
        "LP201: 'Order' has no relationship 'lines'",
        "shop.deep.more:BY_NAME['two']",
        "LP201: 'Customer' has no relationship 'order'",
        "shop.deep.more:Repository.PLAN",
        "LP107: limit=-1 must be a whole number of 1 or more",
        "shop.deep.more:Repository.PLAN",
        "LP211: limit= of 'Customer.orders' needs an order",
    ]


def test_audit_prints_and_returns_zero_without_risks(command: Command) -> None:
    done = command("audit", "shop.models:Base")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "shop.models:Base: 2 classes, 2 tables: 0 risks, 0 costs, 2 notes\n"
        "\n"
        'note: lazy="raise" (2)\n'
        "  reading it when it is not loaded raises InvalidRequestError, attached or detached.\n"
        "  do: nothing.\n"
        "    Customer.orders\n"
        "    Order.customer\n"
    )


def test_audit_returns_one_with_a_risk(command: Command, shop: Path) -> None:
    """Several targets are one audit; JSON has the same findings."""
    (shop / "shop" / "database.py").write_text(
        "from sqlalchemy.ext.asyncio import async_sessionmaker\nsessions = async_sessionmaker()\n"
    )
    done = command("audit", "shop.models:Base", "shop.database", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["target"] == "shop.models:Base, shop.database"
    assert [(each["severity"], each["rule"], each["subject"]) for each in found["findings"]] == [
        ("risk", "session", "shop.database:sessions"),
        ("note", "lazy", "Customer.orders"),
        ("note", "lazy", "Order.customer"),
    ]


def test_help_and_no_arguments(command: Command) -> None:
    """Help is help; nothing at all is a usage error that shows it."""
    shown = command("--help")
    assert shown.exit_code == 0
    assert {"explain", "check", "audit"} <= set(shown.stdout.split())
    assert command().exit_code == 2


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(missing: str) -> None:
    """One sentence that says what to install, and status two."""
    code = f"import sys; sys.modules[{missing!r}] = None; from loadplan.tools.cli import main; main()"
    source = str(Path(loadplan.__file__).parents[1])
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 2
    assert done.stderr == "The command 'loadplan' needs typer and rich: pip install 'loadplan[cli]'\n"


def test_the_package_imports_no_extra() -> None:
    """``import loadplan`` brings in neither typer nor rich nor pytest."""
    code = "import sys, loadplan; print({'typer', 'rich', 'pytest'} & set(sys.modules))"
    source = str(Path(loadplan.__file__).parents[1])
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"


def test_as_a_process(shop: Path) -> None:
    """``python -m loadplan`` finds what lies in the current folder, and returns its status."""
    environment = {**os.environ, "PYTHONPATH": str(Path(loadplan.__file__).parents[1])}
    line = [sys.executable, "-m", "loadplan", "check", "shop"]
    done = subprocess.run(line, cwd=shop, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (0, "2 plans of 3 modules: every plan resolves\n")
    line = [sys.executable, "-c", "from loadplan.tools.cli import main; main()", "audit", "shop.plans"]
    done = subprocess.run(line, cwd=shop, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 2
    assert done.stderr.startswith("module 'shop.plans' defines no mapped class, no table and no session factory\n")


def test_types_of_plans(command: Command, shop: Path) -> None:
    """They are printed or written, and a stale file fails with what to type."""
    printed = command("types", "shop.plans")
    assert printed.exit_code == 0
    assert printed.stdout.splitlines()[:16] == [
        '"""What the plans load. Made by ``loadplan types shop.plans``; run it again when a plan changes."""',
        "",
        "from collections.abc import Sequence",
        "from typing import Protocol",
        "",
        "",
        "class OrderPageCustomer(Protocol):",
        '    """The attributes of a Customer that the plan loads at Order.customer."""',
        "",
        "    @property",
        "    def id(self) -> int: ...",
        "    @property",
        "    def name(self) -> str: ...",
        "",
        "",
        "class OrderPage(Protocol):",
    ]
    words = ("types", "shop.plans", "--as", "dataclass", "--out", "shop/pages.py")
    stale = command(*words, "--check")
    assert (stale.exit_code, stale.stderr) == (
        1,
        "shop/pages.py is out of date\n  hint: loadplan types shop.plans --as dataclass --out shop/pages.py\n",
    )
    assert command(*words).stdout == "wrote shop/pages.py\n"
    assert command(*words, "--check").stdout == "shop/pages.py is up to date\n"
    (shop / "shop" / "pages.py").write_text("")
    assert command(*words, "--check").exit_code == 1
    assert command("types", "shop.plans", "--as", "attr").stderr == (
        "--as attr is not known\n  hint: did you mean 'attrs'? Kinds: attrs, dataclass, msgspec, protocol, pydantic.\n"
    )
    assert command("types", "shop.plans", "--check").exit_code == 2


def test_check_finds_stale_types(command: Command, shop: Path) -> None:
    """A module that was written by ``loadplan types`` has to fit its plans."""
    command("types", "shop.plans", "--out", "shop/pages.py")
    assert command("check", "shop").exit_code == 0
    written = shop / "shop" / "pages.py"
    written.write_text(written.read_text().replace("def name(self)", "def nickname(self)"))
    done = command("check", "shop")
    assert done.exit_code == 1
    assert done.stdout == (
        "shop.pages\nits classes are out of date: a plan of 'shop.plans' has changed\n"
        "  hint: loadplan types shop.plans --out shop/pages.py\n"
    )
