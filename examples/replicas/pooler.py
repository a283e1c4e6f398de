"""Runs PgBouncer in transaction mode in front of a server, and makes an engine that works with it.

In transaction mode, a client may get a different server connection for each transaction. Everything that outlives a
transaction is lost, or another client gets it. This is true for prepared statements above all.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from replicas.servers import new_folder, private_folder

#: Folders with the program, besides the folders on the PATH.
_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"

_CONFIGURATION = """\
[databases]
* = host={sockets}

[pgbouncer]
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 500
; each transaction on the connection that has waited longest: what leaks from one to the next shows at once
server_round_robin = 1
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
log_connections = 0
log_disconnections = 0
log_pooler_errors = 0
log_stats = 0
{more}
"""


def pooled_engine(url: URL, **options: Any) -> AsyncEngine:
    """Return an engine that leaves nothing behind in the server connections of PgBouncer.

    With ``statement_cache_size=0``, asyncpg prepares statements without a name, and sends each one again with its
    parameters. With ``prepared_statement_cache_size=0``, SQLAlchemy keeps none, either. If it did, these
    would read rows by the columns that a table had before an ALTER TABLE, without an error.

    Args:
        url: the URL of PgBouncer.
        options: options of ``create_async_engine``. SQLAlchemy's pool saves time to connect. Every ``poolclass`` works.
    """
    sizes = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(url, connect_args=sizes, **options)


def find_pgbouncer() -> str | None:
    """Return the path of PgBouncer, or None if it is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path=_FOLDERS)


@contextlib.contextmanager
def pgbouncer(server: URL, account: str | None, *, servers: int = 3, more: str = "") -> Iterator[URL]:
    """Run PgBouncer in transaction mode while the block runs, and yield its URL.

    Args:
        server: the URL of PostgreSQL, with the folder of its Unix socket.
        account: the system account to run as. PgBouncer refuses to run as root.
        servers: the number of connections to the server, which all clients share.
        more: further lines of configuration, such as ``max_prepared_statements = 200``.

    Raises:
        RuntimeError: PgBouncer is not installed, or does not start. The error has its output.
    """
    program = find_pgbouncer()
    if program is None:
        raise RuntimeError("pgbouncer is not installed")
    folder = new_folder("pooler")
    try:
        own = private_folder(folder / "own", account)
        settings = own / "pgbouncer.ini"
        (own / "users").write_text('"postgres" ""\n')
        sockets = server.query["host"]
        settings.write_text(_CONFIGURATION.format(sockets=sockets, folder=own, servers=servers, more=more))
        with _running([program, str(settings)], account):
            yield server.set(query={"host": str(own)}, port=6432)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(command: list[str], account: str | None) -> Iterator[None]:
    """Start a pooler, wait until it listens, and stop it at the end of the block."""
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, user=account, cwd="/", **pipes) as process:  # noqa: S603 - our own pooler
        try:
            said = []
            for line in process.stderr or ():
                said.append(line)
                if "process up" in line:
                    break
            else:
                raise RuntimeError("pgbouncer did not start:\n" + "".join(said))
            yield
        finally:
            process.kill()  # after a request to end, newer versions wait until their clients have left
