"""The functions that make objects of the rows of a plan, compiled from the source that a writer wrote."""

import itertools
import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from loadplan.objects.view_script import Blueprint, Writer

_numbers = itertools.count(1)


@attrs.frozen(eq=False)
class Hydrator:
    """The compiled functions of a plan.

    Attributes:
        source: their source.
        build: for the number of a statement, a function that builds objects from its rows and from the objects of later
            statements.
        keys: for the number of a statement, a function that collects its keys from the rows of the statement above.
            If Python cannot compare the keys, it returns a dictionary: the keys by what tells them apart.
        onward: for the number of a statement, a function that collects the keys of the next level of a tree from its
            rows in the same way.
        start: for entities, makes the containers that the functions fill, for the number of statements.
        complete: for entities, does the work when all rows were read.
        made: for entities, returns all instances, for a caller that completes them in another way.
    """

    source: str
    build: Mapping[int, Callable[..., Any]]
    keys: Mapping[int, Callable[[Sequence[Any]], list[Any] | dict[Any, Any]]]
    onward: Mapping[int, Callable[[Sequence[Any]], list[Any] | dict[Any, Any]]]
    start: Callable[[int], Any]
    complete: Callable[[Any, Any], None]
    made: Callable[[Any, Any], list[Any]]


def make_hydrator(writer: Writer, blueprint: Blueprint) -> Hydrator:
    """Return the functions that build views, or instances, compiled from source that tracebacks can show.

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
