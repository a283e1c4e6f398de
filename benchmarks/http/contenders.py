"""Who answers: a way to load and to write JSON, on a driver."""

from collections.abc import Mapping

import attrs

ASYNCPG, PSYCOPG = "asyncpg", "psycopg"


@attrs.frozen
class Way:
    """One way to write the application.

    Attributes:
        name: in tables.
        module: has ``application(kind, url)``, which returns the ASGI application.
        kind: for modules with several ways.
        drivers: that it runs on.
    """

    name: str
    module: str
    kind: str = ""
    drivers: tuple[str, ...] = (ASYNCPG, PSYCOPG)


@attrs.frozen
class Contender:
    """A way on a driver: one server."""

    way: Way
    driver: str

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.way.name}, on {self.driver}"


OPTIONS = Way("options by hand, pydantic from_attributes", "benchmarks.http.sqlalchemy_app", "options")
ENTITIES = Way("loadplan entities, pydantic from_attributes", "benchmarks.http.sqlalchemy_app", "entities")
PYDANTIC = Way("loadplan views, pydantic", "benchmarks.http.sqlalchemy_app", "pydantic")
MSGSPEC = Way("loadplan views, msgspec", "benchmarks.http.sqlalchemy_app", "msgspec")
TORTOISE = Way("Tortoise ORM, pydantic from_attributes", "benchmarks.http.tortoise_app")
DJANGO = Way("Django, its own handler and JsonResponse", "benchmarks.http.django_app", drivers=(PSYCOPG,))

WAYS = (OPTIONS, ENTITIES, PYDANTIC, MSGSPEC, TORTOISE, DJANGO)
CONTENDERS = tuple(Contender(way, driver) for driver in (ASYNCPG, PSYCOPG) for way in WAYS if driver in way.drivers)

NEEDS: Mapping[str, tuple[str, ...]] = {
    OPTIONS.module: ("fastapi", "pydantic", "msgspec"),
    TORTOISE.module: ("fastapi", "tortoise"),
    DJANGO.module: ("django",),
}
"""The packages that the modules import."""
