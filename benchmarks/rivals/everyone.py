"""All rivals, in the order of tables; those whose package is not installed are left out by name."""

import importlib
from collections.abc import Mapping

import attrs

from rivals.rival import Rival

MODULES: Mapping[str, str] = {
    "rivals.by_hand": "asyncpg",
    "rivals.ours": "loadplan",
    "rivals.options": "sqlalchemy",
    "rivals.autoloads": "sqla_autoloads",
    "rivals.advanced": "advanced_alchemy",
    "rivals.tortoise_orm": "tortoise",
    "rivals.piccolo_orm": "piccolo",
    "rivals.django_orm": "django",
}
"""Where they are, and the module that each stands or falls with."""

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
    absent = []
    for module, needs in MODULES.items():
        try:
            rivals += importlib.import_module(module).RIVALS
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != needs:
                raise
            absent.append(needs)
    return Everyone(tuple(rivals), tuple(absent))
