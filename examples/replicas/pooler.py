"""PgBouncer in transaction mode in front of a server, and an engine that gets on with it.

In transaction mode a client has a server connection for one transaction, and another one for the next. Whatever
outlives a transaction is lost or, worse, left to somebody else: prepared statements above all.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from replicas.servers import new_folder, private_folder

#: Where Debian puts it, beside what is on the PATH.
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
    """Return an engine that leaves nothing of its own in the server connections that it is lent.

    With ``statement_cache_size=0`` asyncpg prepares statements without a name, and sends each again with its
    parameters. With ``prepared_statement_cache_size=0`` SQLAlchemy keeps none of them either; kept, they would read
    rows by the columns of before an ALTER TABLE, without an error.

    Args:
        url: of PgBouncer.
        options: of ``create_async_engine``. A pool of SQLAlchemy's saves connecting; any ``poolclass`` will do.
    """
    sizes = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(url, connect_args=sizes, **options)


def find_pgbouncer() -> str | None:
    """Return the path of the program, or None where it is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path=_FOLDERS)


@contextlib.contextmanager
def pgbouncer(server: URL, account: str | None, *, servers: int = 3, more: str = "") -> Iterator[URL]:
    """Run PgBouncer in transaction mode while the block does, and yield the URL that goes through it.

    Args:
        server: of PostgreSQL, by the folder of its Unix socket.
        account: system account to run as; PgBouncer refuses to be root.
        servers: connections to the server that all clients share.
        more: lines of configuration, such as ``max_prepared_statements = 200``.

    Raises:
        RuntimeError: it is not installed, or does not start; with what it said.
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
    """Run a pooler from when it listens until the end of the block."""
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
            process.kill()  # asked to end, newer ones wait for their clients to leave
