"""docs/plain_english.py finds what it is to find, and only there."""

from pathlib import Path

import pytest

pytest.importorskip("proselint")

from docs import plain_english

CONFIG = plain_english.register()


def found_in(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "page.md") -> list[str]:
    """Return what is found in a file, as line and check."""
    monkeypatch.setattr(plain_english, "ROOT", tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    read = plain_english.passages_of_page if name.endswith(".md") else plain_english.passages_of_module
    lines = plain_english.findings(read(tmp_path / name), CONFIG)
    return [":".join(part.strip() for part in line.split(":")[1:3]) for line in lines]


@pytest.mark.parametrize(
    ("sentence", "check"),
    [
        ("Who has to keep named statements wants a transaction around single ones.", "house.who"),
        ("What came of it is on the page of benchmarks.", "house.what"),
        ("Where nothing changes, no entity is made.", "house.where"),
        ("Not so when somebody listens.", "house.inversion"),
        ("`NotLoaded` is no `AttributeError`.", "house.no"),
        ("A cell may not be empty.", "house.may not"),
        ("loadplan refuses such a plan.", "house.such"),
        ("A field without more reads the attribute of its own name.", "house.own"),
        ("Those of the session hold.", "house.that of"),
        ("This is to be shown.", "house.to be"),
        ("It is refused where it is written, and else at its first use.", "house.else"),
        ("Of a view the result is a class.", "house.of"),
        ("It is a number of somebody's.", "house.person"),
        ("loadplan reads the table for want of an index.", "house.old"),
        ("Return what a page holds.", "house.verb what"),
        ("Tells the same of an engine.", "house.the same of"),
        ("It is None where nobody can tell.", "house.who knows"),
        ("<<<<<<< HEAD\nThis is one text.\n=======\nThis is another.", "house.merge"),
        (f"You read {'one and ' * 16}more.", "house.long"),
        ("It will will run to the end.", "lexical_illusions"),
    ],
)
def test_each_rule_finds_its_sentence(sentence, check, tmp_path, monkeypatch) -> None:
    assert f"3:{check}" in found_in(f"# Title\n\n{sentence}\n", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "If your pooler cannot keep prepared statements, put each fetch in a transaction.",
        "What does it cost?",
        "It takes a list, such as `[1]`. There is no layer below. It is no longer there.",
        "```python\n# Who is that of such a kind\n```",
        "Write `is no such` as code, or [link](page.md#that-of-such).",
        "| before | after |\n| --- | --- |\n| Such is it. | It is. |\n",
        "| yes | yes |\n| --- | --- |\n| yes | yes |\n",
    ],
)
def test_plain_sentences_and_code_pass(text, tmp_path, monkeypatch) -> None:
    assert found_in(f"{text}\n", tmp_path, monkeypatch) == []


def test_docstrings_and_errors_are_read(tmp_path, monkeypatch) -> None:
    """Both are reported at their lines; other texts of a module are not."""
    module = '''
"""A module."""

SUCH = "such a text"


def check(name):
    """Find the plan.

    Args:
        name: that of the plan.
    """
    raise PlanError("LP999", f"'{name}' is no plan", hint="such a plan" if name else "name one")
'''
    assert sorted(found_in(module, tmp_path, monkeypatch, "module.py")) == [
        "13:house.no",
        "13:house.such",
        "8:house.that of",
    ]


def test_comments_are_read(tmp_path, monkeypatch) -> None:
    """Lines of one comment are one text, at its first line; a comment behind code is a text, too. ``noqa`` is not."""
    module = """
#: Letters that the name of
#: such a thing has.
MOST = 60  # what nobody but the author of this line could ever read

# Who is told of it?
small = MOST  # noqa: of such a kind
large = 2 * MOST  # of which there is one  # noqa: S101
text = "# such a text"
"""
    assert sorted(found_in(module, tmp_path, monkeypatch, "module.py")) == [
        "2:house.such",
        "4:house.what",
        "8:house.of",
    ]
