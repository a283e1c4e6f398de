"""A shop, as a package in a folder of its own, that the command line looks at."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loadplan.tools.commands import app
from support import LIGHT_PYTEST

MODELS = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", lazy="raise")


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    customer: Mapped[Customer] = relationship(back_populates="orders", lazy="raise")
"""

PLANS = """
from loadplan import LoadPlan, load
from shop.models import Customer, Order

ORDER_PAGE = LoadPlan(Order, load(Order.customer, only=[Customer.name]), name="order page")
CUSTOMER_PAGE = LoadPlan(Customer, load(Customer.orders, strategy="selectin"), name="customer page")
"""


@pytest.fixture(autouse=True)
def light_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest that a test starts imports no plugin that takes long and has no part in the test."""
    monkeypatch.setenv("PYTEST_ADDOPTS", LIGHT_PYTEST)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder that the package is in."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("raise SystemExit('importing this runs it')")
    (package / "models.py").write_text(MODELS)
    (package / "plans.py").write_text(PLANS)
    return tmp_path


@pytest.fixture
def command(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line in the shop's folder, in this process."""
    elsewhere = [each for each in sys.path if not (Path(each) / "shop").is_dir()]  # the pages' tests have one too
    monkeypatch.setattr(sys, "path", elsewhere)
    monkeypatch.chdir(shop)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def run(*arguments: str) -> Result:
        try:
            return CliRunner(env={"COLUMNS": "100"}).invoke(app, arguments, prog_name="loadplan")
        finally:
            if (models := sys.modules.get("shop.models")) is not None:
                models.Base.registry.dispose()  # mappers that lose their classes are an error for whoever comes next
            for name in set(sys.modules) - before:  # the next command imports the shop afresh, as a process would
                if name.partition(".")[0] == "shop":
                    del sys.modules[name]
            importlib.invalidate_caches()

    return run
