"""Django for the blocks that are written for it: configured once a process, with a SQLite database in a file."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.db import connection, connections


@contextlib.asynccontextmanager
async def django_names(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Yield a namespace for Django's blocks: their models belong to an app, and ``create_tables`` makes tables of them.

    Args:
        folder: in which the database lies.
    """
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "django.sqlite3")}
    settings.configure(
        DATABASES={"default": database}, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True
    )
    django.setup()

    @sync_to_async
    def create_tables() -> None:
        with connection.schema_editor() as editor:
            for model in apps.get_models():
                editor.create_model(model)

    try:
        yield {"__name__": "page", "create_tables": create_tables}
    finally:
        await sync_to_async(connections.close_all)()
