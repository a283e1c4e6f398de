"""Every Python block of the README and of docs/ runs, and prints what the page says it prints.

The blocks of a page are one program, in the order of the page. Blocks with a file name as their title are files: the
mapping ``blog.py`` is imported, others are run by test_commands_run.py. All other blocks may await at top level, and
find there what the start has made: ``engine``, on PostgreSQL with the rows of the start, and the names of ``blog`` and
``loadplan``.
Tests that a page writes are run too. Blocks for Django are a program of their own, with a database of Django's.
"""

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import sys
import traceback
import types
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from django_side import create_tables, django_names
from pages import DJANGO, PAGES, README, WORKED, Example, examples_of, page_id
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

import loadplan
from loadplan.pytest_plugin import record_statements

FILES = {each.block.title: each for each in examples_of(README) if each.block.title is not None}


@pytest.fixture
def blog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The mapping of the start, imported afresh."""
    for name, file in FILES.items():
        (tmp_path / name).write_text(file.block.code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    module = importlib.import_module("blog")
    yield module
    del sys.modules["blog"]
    module.Base.registry.dispose()  # mappers that nobody used are still to be configured, by whoever comes next


@pytest.fixture
async def blog_engine(server_url: URL, blog: types.ModuleType) -> AsyncIterator[AsyncEngine]:
    """A database of the page's own, with the rows of the start."""
    name = f"loadplan_page_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(server_url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_async_engine(server_url.set(database=name))
    async with engine.begin() as connection:
        await connection.run_sync(blog.Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        ada = blog.User(id=1, name="Ada", email="ada@example.org")
        bob = blog.User(id=2, name="Bob", email="bob@example.org")
        engines = blog.Post(id=1, title="Engines", author=ada)
        notes = blog.Post(id=2, title="Notes", author=ada)
        session.add_all([engines, notes, blog.Comment(id=1, text="First!", post=engines, author=bob)])
        await session.commit()
    yield engine
    await engine.dispose()
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.mark.parametrize("page", [page for page in PAGES if page != WORKED and any(examples_of(page))], ids=page_id)
async def test_blocks_run(
    page: Path, blog: types.ModuleType, blog_engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block does, and prints or raises, what the page says."""
    names: dict[str, Any] = {name: value for name, value in vars(blog).items() if isinstance(value, type)}
    names |= {name: getattr(loadplan, name) for name in loadplan.__all__}
    names |= {"__name__": "page", "engine": blog_engine}
    monkeypatch.setitem(sys.modules, "page", types.ModuleType("page"))  # frameworks look there for annotations
    examples = [each for each in examples_of(page) if each not in FILES.values()]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(dispose_mappers)
        django: dict[str, Any] = {}
        if any(DJANGO in each.block.marks for each in examples):
            django = await stack.enter_async_context(django_names(tmp_path))
        for each in examples:
            scope = django if DJANGO in each.block.marks else names
            before = set(scope)
            assert_shows(each, await output_of(each, scope))
            if scope is django:
                await create_tables()
            for name in scope.keys() - before:
                if name.startswith("test_"):
                    await run_test(scope[name], scope)


def dispose_mappers() -> None:
    """Forget the mappings of a page, wrong ones among them, that somebody's ``configure_mappers()`` would meet."""
    for base in DeclarativeBase.__subclasses__():
        if base.__module__ == "page":
            base.registry.dispose()


def test_there_is_something_to_run() -> None:
    """The start has its files, and the pages have blocks that say what they print."""
    assert set(FILES) == {"blog.py", "rows.py", "start.py", "view.py", "error.py"}
    assert sum(each.shown is not None for page in PAGES for each in examples_of(page)) > 10


async def run_test(function: Callable[..., Awaitable[None]], names: Mapping[str, Any]) -> None:
    """Run a test that a page has written, with the fixtures that it asks for."""
    async with contextlib.AsyncExitStack() as stack:
        given: dict[str, Any] = {}
        for name in inspect.signature(function).parameters:
            fixture: Any = inspect.unwrap(names[name]) if name in names else None
            if inspect.isasyncgenfunction(fixture):  # the page writes this fixture itself
                given[name] = await stack.enter_async_context(contextlib.asynccontextmanager(fixture)())
            elif name == "client":
                transport = httpx.ASGITransport(names["app"])
                client = httpx.AsyncClient(transport=transport, base_url="http://test")
                given[name] = await stack.enter_async_context(client)
            elif name == "session":
                given[name] = await stack.enter_async_context(AsyncSession(names["engine"]))
            else:
                assert name == "statements", f"no such fixture: {name}"
                given[name] = stack.enter_context(record_statements())
        await function(**given)


async def output_of(example: Example, names: dict[str, Any]) -> str:
    """Run a block, and return what it prints, with the error it ends with, as Python would print that."""
    block = example.block
    tree = ast.parse("\n" * (block.line - 1) + block.code)
    code = compile(tree, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            awaitable = eval(code, names)  # noqa: S307 - the pages are ours
            if inspect.isawaitable(awaitable):
                await awaitable
        except Exception as error:
            if example.shown is None:
                raise
            printed.write("".join(traceback.format_exception_only(error)))
    return printed.getvalue()


def assert_shows(example: Example, output: str) -> None:
    """Compare what a block printed with what the page shows; ``...`` there stands for anything.

    Spaces at the ends of lines, which SQL has and pages do not, count for nothing.
    """
    where = example.block.where
    output = "".join(line.rstrip(" \n") + "\n" for line in output.splitlines())
    if example.shown is None:
        assert output == "", f"{where} prints what the page does not show"
    else:
        same = doctest.OutputChecker().check_output(example.shown, output, doctest.ELLIPSIS)
        assert same, f"{where} shows\n{example.shown}\nbut prints\n{output}"
