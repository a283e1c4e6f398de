"""Check the English of pages, docstrings, comments and error messages: ``uv run python docs/plain_english.py``.

proselint brings general checks. HOUSE below adds the rules of this project that a machine can hold; CONTRIBUTING.md has
the rest. Nothing is downloaded. Exits with 1 if a check finds something.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs
from proselint.checks import __register__ as proselint_checks
from proselint.config import Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckResult
from proselint.tools import LintFile

ROOT = Path(__file__).parents[1]
LONGEST_SENTENCE = 30

#: Name, what it looks for within a sentence, what to write instead. ``^`` is the start of a sentence.
HOUSE = {
    "who": (r"^(?-i:Who|Whoever|Whose)\b(?!.*\?$)", "name the person: 'If you ...'"),
    "what": (r"^(?-i:What)\b(?=(?:\W+\w+){6,}\W*\.$)", "name the thing"),
    "where": (r"^(?-i:Where)\b(?!.*\?$)", "begin with 'If' or 'When'"),
    "inversion": (r"^(?:only then|not so|nor|neither|thus|hence|so (?:is|are|does|do|has))\b", "subject, verb, object"),
    "no": (r"(?<!there )\b(?:is|are|was|were) no\b(?! longer| more)", "'is not a ...'"),
    "may not": (r"\bmay not\b", "'must not', 'cannot' or 'might not'"),
    "such": (r"(?<!\bno )(?<!\bone )\bsuch\b(?! as\b)", "name the thing again, or 'this', 'these'"),
    "own": (r"\bof (?:its|their|one's) own\b", "'its own ...', 'a separate ...'"),
    "that of": (r"\b(?:that|those) of\b", "repeat the noun"),
    "to be": (r"\b(?:is|are|was|were) to be\b", "say who does it"),
    "else": (r"\b(?:and|or) else\b", "'otherwise'"),
    "of": (r"^(?-i:Of)\b(?! course)", "begin with the subject"),
    "person": (r"\b(?:somebody|nobody|whoever)'s\b", "name the person: 'your', 'the caller's'"),
    "verb what": (r"^(?:return|yield|resolve|note|check|make|take|read)s? (?:what|who)\b", "name the thing"),
    "the same of": (r"^tells? the same\b", "repeat the noun"),
    "who knows": (r"\b(?:where|if) nobody (?:can tell|knows)\b", "'if it is not known'"),
    "merge": (r"<{7}|={7}|>{7}", "decide between the two texts of a merge"),
    "old": (r"\b(?:anew|save for|for want of|foretells?|foretold|lest)\b", "use an everyday word"),
}

#: Checks of proselint that do not fit a technical text: straight quotes are code, ``...`` is Python's, and two of them
#: allow only the thousand words that are used most.
OFF = ("typography", "restricted", "dates_times", "misc.but", "weasel_words", "hedging", "terms")

_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2$", re.DOTALL | re.MULTILINE)
_BEFORE_AND_AFTER = re.compile(r"^\| before \| after \|\n(?:\|.*\n)+", re.MULTILINE)
_HIDDEN = re.compile(r"<!--.*?-->|^---\n.*?\n---$|<[^>\n]+>|^--8<--.*$|\{ ?[#.:][^}]*\}", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_NOTE = re.compile(r"^\[[^\]]+\]: .*$|\[\^[^\]]+\]", re.MULTILINE)
_CODE = re.compile(r"``(.+?)``|`([^`\n]+)`|:\w+:`[^`]+`", re.DOTALL)
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_SECTION = re.compile(r"^\s*[\w, *]+: ")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\.\.\.)(?<!e\.g\.)(?<!i\.e\.)[*_)\"']*\s+")
_ERROR_CODE = re.compile(r"LP\d{3}$")
_FOR_TOOLS = re.compile(r"(?:noqa|type:|mypy:|pyright:|fmt:|pragma:|---|!)")


@attrs.frozen
class Passage:
    """A paragraph, an item of a list, a cell of a table, a docstring's paragraph, a comment or a message.

    Attributes:
        path: the file.
        line: at which the passage begins.
        text: without marks and code; each piece of code has become one word.
    """

    path: Path
    line: int
    text: str

    def sentences(self) -> list[str]:
        """Return the sentences of the passage."""
        return [each for each in _SENTENCE_END.split(self.text) if each]


def passages_of_page(path: Path) -> Iterator[Passage]:
    """Yield the prose of a Markdown page."""
    text = path.read_text("utf-8")
    for pattern in (_FENCE, _BEFORE_AND_AFTER, _HIDDEN, _NOTE):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    yield from _passages(path, 1, text)


def passages_of_module(path: Path) -> Iterator[Passage]:
    """Yield the docstrings of a module, its comments, and the texts of its errors."""
    for line, comment in _comments(path):
        yield from _passages(path, line, comment, lines_count=False)
    docstrings: set[int] = set()
    raised: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=True)
            if docstring is not None:
                docstrings.add(id(node.body[0]))
                prose = re.sub(r"^ *(?:>>>|\.\.\.) .*$|(?<=::\n)(?:\n| +.*\n?)+", "", docstring, flags=re.MULTILINE)
                prose = re.sub(r"^(\s*)\w[\w, *]*: ", r"\n\1- ", prose, flags=re.MULTILINE)  # an argument and its text
                yield from _passages(path, node.body[0].lineno, prose, lines_count=False)
        elif isinstance(node, ast.Expr) and id(node) not in docstrings and isinstance(node.value, ast.Constant):
            for text in _messages(node.value):  # of an attribute or an alias
                yield from _passages(path, node.lineno, text, lines_count=False)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            raised.add(id(node.exc))  # the walk comes to it later
        elif isinstance(node, ast.Call) and (id(node) in raised or any(_is_code(each) for each in node.args)):
            for each in (*node.args, *(keyword.value for keyword in node.keywords)):
                for message in _messages(each):
                    yield from _passages(path, each.lineno, message, lines_count=False)


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment. Comments in lines below each other are one text, a sentence at least.

    Comments for tools, such as ``noqa``, are left out.
    """
    with path.open("rb") as file:
        tokens = [each for each in tokenize.tokenize(file.readline) if each.type == tokenize.COMMENT]
    begun, collected = 0, list[str]()
    before: tuple[int, int] | None = None
    for each in tokens:
        text = re.split(r"\s+#\s*(?=noqa|type:)", each.string.removeprefix("#").removeprefix(":"))[0].strip()
        if not text or _FOR_TOOLS.match(text):
            continue
        line, column = each.start
        if before != (line - 1, column):
            if collected:
                yield begun, _as_sentence(" ".join(collected))
            begun, collected = line, []
        collected.append(text)
        before = line, column
    if collected:
        yield begun, _as_sentence(" ".join(collected))


def _as_sentence(text: str) -> str:
    """Return a comment with a capital and a full stop, which the checks look for."""
    end = "" if text.endswith((".", "?", "!", ":")) else "."
    return f"{text[0].upper()}{text[1:]}{end}"


def _is_code(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _ERROR_CODE.match(node.value) is not None


def _messages(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an argument may become; values within an f-string become one word each."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            parts = [each.value if isinstance(each, ast.Constant) else "Code" for each in values]
            yield "".join(str(each) for each in parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _messages(body)
            yield from _messages(orelse)


def _passages(path: Path, first: int, text: str, *, lines_count: bool = True) -> Iterator[Passage]:
    """Cut a text into passages: at empty lines, items of lists, headings and cells of tables."""
    collected: list[str] = []
    begun = first
    for number, line in enumerate([*text.splitlines(), ""], start=first):
        stripped = line.strip()
        table = stripped.startswith("|")
        begins = not stripped or table or stripped.startswith("#") or _ITEM.match(line)
        if begins and collected:
            yield Passage(path, begun, _plain(" ".join(collected)))
            collected = []
        if table:
            for cell in re.split(r"(?<!\\)\|", stripped.strip("|")):
                if cell.strip(" -:"):
                    yield Passage(path, number, _plain(cell.strip()))
        elif stripped:
            if not collected:
                begun = number if lines_count else first
            collected.append(_ITEM.sub("", line).strip(" #>"))
            if stripped.startswith("#"):
                yield Passage(path, begun, _plain(collected.pop()))


def _plain(text: str) -> str:
    """Replace code by one word, different each time, and drop marks."""
    numbers = iter(range(1, 1000))
    text = _CODE.sub(lambda match: f"Code{next(numbers)}", text)
    text = _LINK.sub(lambda match: match[1], text)
    return re.sub(r"\s+", " ", text.replace("**", "").replace("*", "")).strip()


def house_check(pattern: str) -> Callable[[str, Check], Iterator[CheckResult]]:
    """Make a check of proselint that looks into each sentence of each line."""
    compiled = re.compile(pattern, re.IGNORECASE)

    def found(text: str, check: Check) -> Iterator[CheckResult]:
        for start, sentence in _sentences(text):
            for match in compiled.finditer(sentence):
                span = (start + match.start(), start + match.end())
                yield CheckResult(check.path, f"'{match[0]}' in '{sentence}': {check.message}.", span, None)

    return found


def long_sentences(text: str, check: Check) -> Iterator[CheckResult]:
    """Find sentences of more than LONGEST_SENTENCE words."""
    for start, sentence in _sentences(text):
        words = len(re.findall(r"\w[\w'-]*", sentence))
        if words > LONGEST_SENTENCE:
            message = f"{words} words in '{sentence}': make two sentences."
            yield CheckResult(check.path, message, (start, start + 1), None)


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        begin = at
        for match in [*_SENTENCE_END.finditer(line), None]:
            end = at + (match.start() if match else len(line))
            sentence = text[begin:end].strip()
            if sentence:
                yield begin, sentence
            begin = at + (match.end() if match else len(line))
        at += len(line)


def register() -> Config:
    """Give proselint its checks and those of the house, and return the configuration that turns them on."""
    registry = CheckRegistry()
    registry.register_many(proselint_checks)
    for name, (pattern, advice) in HOUSE.items():
        registry.register(Check(check_type=house_check(pattern), path=f"house.{name}", message=advice))
    registry.register(Check(check_type=long_sentences, path="house.long"))
    enabled = {check.path: True for check in registry.checks if not any(check.matches_partial(each) for each in OFF)}
    return Config(max_errors=10_000, checks=enabled)


def findings(passages: Iterable[Passage], config: Config) -> Iterator[str]:
    """Yield a line for each finding: file, line, check and message."""
    all_passages = [each for each in passages if each.text]
    if not all_passages:
        return
    file = LintFile("", "\n\n".join(each.text for each in all_passages))
    for result in file.lint(config):
        if "\n" in file.content[slice(*result.check_result.span)].strip():
            continue  # from one passage into the next
        # LintFile counts lines from 0, with an empty one before the text. A passage takes one line, and an empty one.
        passage = all_passages[(result.pos[0] - 1) // 2]
        place = f"{passage.path.relative_to(ROOT)}:{passage.line}"
        yield f"{place}: {result.check_result.check_path}: {result.check_result.message}"


def main() -> int:
    """Check everything, print what was found, and return the exit status."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    pages = [each for each in pages if each.parent.name != "benchmarks"]  # tables that the benchmarks write
    modules = sorted((ROOT / "src").rglob("*.py"))
    config = register()
    found = [line for page in pages for line in findings(passages_of_page(page), config)]
    found += [line for module in modules for line in findings(passages_of_module(module), config)]
    print(
        "\n".join(found) or f"plain English, as far as a machine can tell ({len(pages)} pages; {len(modules)} modules)"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
