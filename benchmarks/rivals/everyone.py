"""All rivals, in the order of tables; those whose package is not installed are left out by name."""

import importlib
import importlib.util
from collections.abc import Mapping

import attrs

from benchmarks.rivals.rival import Rival

MODULES: Mapping[str, tuple[str, ...]] = {
    "benchmarks.rivals.by_hand": ("asyncpg",),
    "benchmarks.rivals.ours": ("loadplan",),
    "benchmarks.rivals.options": ("sqlalchemy",),
    "benchmarks.rivals.autoloads": ("sqla_autoloads",),
    "benchmarks.rivals.advanced": ("advanced_alchemy",),
    "benchmarks.rivals.tortoise_orm": ("tortoise",),
    "benchmarks.rivals.piccolo_orm": ("piccolo",),
    "benchmarks.rivals.django_orm": ("django", "psycopg"),
}
"""Where they are, and the modules that each stands or falls with."""

VIEWS = "loadplan, views"
ENTITIES = "loadplan, entities"
CHOSEN_COLUMNS = ("Piccolo",)
"""Those that bring the values that a job names and no objects: they stand beside views, the others beside entities."""

LIMIT = "asyncpg, "
"""How the names of the ways by hand begin; the fastest of them is the limit."""


def beside(rival: str) -> str:
    """Return which of loadplan's two ways does the same as a rival: mapped objects, or the values that are named."""
    return VIEWS if rival in CHOSEN_COLUMNS else ENTITIES


@attrs.frozen
class Everyone:
    """Who takes part.

    Attributes:
        rivals: in order.
        absent: modules that are not installed.
    """

    rivals: tuple[Rival, ...]
    absent: tuple[str, ...]


def load_rivals() -> Everyone:
    """Import all rivals whose packages are there."""
    rivals: list[Rival] = []
    absent: list[str] = []
    for module, needs in MODULES.items():
        missing = [each for each in needs if importlib.util.find_spec(each) is None]
        absent += missing
        if not missing:
            rivals += importlib.import_module(module).RIVALS
    return Everyone(tuple(rivals), tuple(absent))
