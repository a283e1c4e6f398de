"""Compiles the source that a writer wrote into the functions that make objects from the rows of a plan."""

import itertools
import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from loadplan.objects.writer import Blueprint, Writer

_numbers = itertools.count(1)


@attrs.frozen(eq=False)
class Hydrator:
    """The compiled functions of a plan.

    Attributes:
        source: the source of the functions.
        build: by the number of a statement, a function that builds objects from its rows and from the objects of later
            statements.
        keys: by the number of a statement, a function that collects its keys from the rows of the statement above.
            If Python cannot compare the keys, it returns a dictionary: from a value that can be compared to the key.
        onward: by the number of a statement, a function that collects the keys of the next level of a tree from its
            rows in the same way.
        start: takes the number of statements and makes the containers that the functions of a run fill.
        complete: does the remaining work for entities when all rows were read.
        made: returns all instances of entities, for a caller that completes them in another way.
    """

    source: str
    build: Mapping[int, Callable[..., Any]]
    keys: Mapping[int, Callable[[Sequence[Any]], list[Any] | dict[Any, Any]]]
    onward: Mapping[int, Callable[[Sequence[Any]], list[Any] | dict[Any, Any]]]
    start: Callable[[int], Any]
    complete: Callable[[Any, Any], None]
    made: Callable[[Any, Any], list[Any]]


def make_hydrator(writer: Writer, blueprint: Blueprint) -> Hydrator:
    """Return the compiled functions that build views or instances. Tracebacks show their source.

    Args:
        writer: the class that writes the functions.
        blueprint: the objects to build.
    """
    statements = blueprint.statements
    for number, statement in enumerate(statements):
        writer.keys_of(number, statement)
        writer.build(number, statement, blueprint.recipe)
    source = "\n".join(writer.lines) + "\n"
    name = f"<loadplan view {next(_numbers)}>"
    namespace = dict(writer.values)
    exec(compile(source, name, "exec"), namespace)  # noqa: S102 - generated, and no text from outside is in it
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)

    def functions(name: str) -> dict[int, Any]:
        return {at: namespace[f"{name}_{at}"] for at in range(len(statements)) if f"{name}_{at}" in namespace}

    hydrator = Hydrator(
        source, functions("build"), functions("keys"), functions("onward"), writer.start, writer.complete, writer.made
    )
    # if the plan is freed, its source is freed, too
    weakref.finalize(hydrator, linecache.cache.pop, name, None).atexit = False
    return hydrator
