"""Where the models of each public application are, and what else has to be known to import them."""

import attrs


@attrs.frozen
class Recipe:
    """How to read the models of one application.

    Attributes:
        source: the public repository.
        root: folder of the checkout that its imports start at.
        modules: to import. A trailing ``.*`` stands for every module of a package.
        bare: packages that are imported without running their ``__init__``.
        blank: modules of the application that a stand-in replaces, because they start what we do not need.
        packages: what ``uv run --with`` has to bring. Everything else that is missing is a stand-in.
    """

    source: str
    modules: tuple[str, ...]
    root: str = "."
    bare: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


RECIPES = {
    "argilla": Recipe(
        "github.com/argilla-io/argilla",
        ("argilla_server.models",),
        bare=("argilla_server",),
        packages=("fastapi", "pydantic-settings", "greenlet"),
    ),
    "ctfd": Recipe(
        "github.com/CTFd/CTFd",
        ("CTFd.models",),
        bare=("CTFd",),
        blank=("CTFd.cache", "CTFd.utils.*", "CTFd.plugins"),
        packages=("flask-sqlalchemy",),
    ),
    "dispatch": Recipe(
        "github.com/Netflix/dispatch",
        ("dispatch.*.models",),
        root="src",
        blank=("dispatch.config", "dispatch.plugins.*", "dispatch.database.logging", "dispatch.search.*"),
        bare=("dispatch",),
        packages=("sqlalchemy-utils", "sqlalchemy-filters", "email-validator"),
    ),
    "fief": Recipe(
        "github.com/fief-dev/fief", ("fief.models",), bare=("fief",), blank=("fief.settings", "fief.crypto.*")
    ),
    "galaxy": Recipe("github.com/galaxyproject/galaxy", ("galaxy.model",), packages=("galaxy-data", "pycparser")),
    "jupyterhub": Recipe(
        "github.com/jupyterhub/jupyterhub", ("jupyterhub.orm",), bare=("jupyterhub",), packages=("alembic",)
    ),
    "keystone": Recipe(
        "opendev.org/openstack/keystone",
        (
            "keystone.application_credential.backends.sql",
            "keystone.assignment.backends.sql",
            "keystone.assignment.role_backends.sql_model",
            "keystone.catalog.backends.sql",
            "keystone.credential.backends.sql",
            "keystone.endpoint_policy.backends.sql",
            "keystone.federation.backends.sql",
            "keystone.identity.backends.sql_model",
            "keystone.identity.mapping_backends.sql",
            "keystone.limit.backends.sql",
            "keystone.oauth1.backends.sql",
            "keystone.policy.backends.sql",
            "keystone.resource.backends.sql_model",
            "keystone.resource.config_backends.sql",
            "keystone.revoke.backends.sql",
            "keystone.trust.backends.sql",
        ),
        packages=("keystone",),
    ),
    "mealie": Recipe(
        "github.com/mealie-recipes/mealie",
        ("mealie.db.models._all_models",),
        bare=("mealie", "mealie.db"),
        blank=("mealie.core.*", "mealie.schema.*"),
        packages=("text-unidecode",),
    ),
    "polar": Recipe("github.com/polarsource/polar", ("polar.models",), root="server", bare=("polar",)),
    "prefect": Recipe(
        "github.com/PrefectHQ/prefect",
        ("prefect.server.database.orm_models",),
        bare=("prefect", "prefect.server", "prefect.server.database"),
        root="src",
        packages=("prefect",),
    ),
    "warehouse": Recipe(
        "github.com/pypi/warehouse", ("warehouse.*.models", "warehouse.oidc.models"), packages=("email-validator",)
    ),
}
