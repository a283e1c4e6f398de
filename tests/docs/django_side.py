"""Django for the blocks that are written for it: configured once a process, with a SQLite database in a file."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.db import connection, connections

#: A package of the app, so that its models belong to it without saying so.
APP = "django_blog"


@contextlib.asynccontextmanager
async def django_names(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Yield a namespace for Django's blocks, in which models belong to an app.

    Args:
        folder: in which the app and the database lie.
    """
    (folder / APP).mkdir()
    (folder / APP / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "django.sqlite3")}
    settings.configure(
        DATABASES={"default": database},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[APP],
        USE_TZ=True,
    )
    django.setup()
    try:
        yield {"__name__": f"{APP}.models"}
    finally:
        sys.path.remove(str(folder))
        await sync_to_async(connections.close_all)()


@sync_to_async
def create_tables() -> None:
    """Do what migrations would: make the tables of models that have none."""
    tables = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in apps.get_models():
            if model._meta.db_table not in tables:
                editor.create_model(model)
