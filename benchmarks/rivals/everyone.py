"""All rivals, in the order of tables; those whose package is not installed are left out by name."""

import importlib
import importlib.util
from collections.abc import Mapping

import attrs

from benchmarks.rivals.rival import Rival
from benchmarks.targets import DEFAULT, DRIVERS, MARIADB, Target

BY_HAND: Mapping[str, str] = {
    "asyncpg": "benchmarks.rivals.by_hand",
    "psycopg": "benchmarks.rivals.by_psycopg",
    "aiomysql": "benchmarks.rivals.by_mysql",
    "asyncmy": "benchmarks.rivals.by_mysql",
}
"""Where SQL by hand is, by driver. A run has that of its own driver."""

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
NAMED_COLUMNS = "loadplan, entities, named columns"
CHOSEN_COLUMNS = ("Piccolo",)
"""Those that bring the values that a job names and no objects: they stand beside views, the others beside entities."""

LIMIT = tuple(f"{driver}, " for drivers in DRIVERS.values() for driver in drivers)
"""How the names of the ways by hand begin; the fastest of them is the limit."""

_POSTGRESQL_ALONE = "the benchmark maps it for PostgreSQL alone"
UNABLE: Mapping[tuple[str, str], str] = {
    ("benchmarks.rivals.piccolo_orm", "psycopg"): "it runs on asyncpg alone",
    **{
        (f"benchmarks.rivals.{name}", driver): _POSTGRESQL_ALONE
        for name in ("tortoise_orm", "piccolo_orm", "django_orm")
        for driver in DRIVERS[MARIADB]
    },
}
"""Why the rivals of a module cannot run on a driver."""

UNABLE_TO: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("sqla-autoloads", MARIADB): {"best": "it sends LATERAL, which MariaDB does not have"},
}
"""Why a rival cannot bring a graph on a database."""


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


def load_rivals(target: Target = DEFAULT) -> Everyone:
    """Import all rivals whose packages are there; those that cannot run on the target say why in each case."""
    rivals: list[Rival] = []
    absent: list[str] = []
    for module, needs in modules_of(target).items():
        missing = [each for each in needs if importlib.util.find_spec(each) is None]
        absent += missing
        if missing:
            continue
        imported = importlib.import_module(module)
        found: tuple[Rival, ...] = (
            imported.rivals_of(target.driver) if module == BY_HAND[DRIVERS[MARIADB][0]] else imported.RIVALS
        )
        rivals += [on_target(each, target, UNABLE.get((module, target.driver))) for each in found]
    return Everyone(tuple(rivals), tuple(absent))


def modules_of(target: Target) -> dict[str, tuple[str, ...]]:
    """Return modules and what they need, with the SQL by hand of the target's driver."""
    by_hand, *others = MODULES.items()
    assert by_hand[0] == BY_HAND[DEFAULT.driver]
    needs = ("psycopg", "psycopg_pool") if target.driver == "psycopg" else (target.driver,)
    return {BY_HAND[target.driver]: needs, **dict(others)}


def on_target(rival: Rival, target: Target, reason: str | None) -> Rival:
    """Return a rival with what it cannot do on a target; ``reason`` says why it can do nothing there."""
    if reason is not None:
        return attrs.evolve(rival, ways={}, cannot=dict.fromkeys((*rival.ways, *rival.cannot), reason), most={})
    unable = UNABLE_TO.get((rival.name, target.database), {})
    ways = {name: way for name, way in rival.ways.items() if name not in unable}
    return attrs.evolve(rival, ways=ways, cannot={**rival.cannot, **unable})
