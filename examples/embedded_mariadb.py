"""Runs MariaDB on a Unix socket with a separate data folder, from the programs that are installed.

No Python package contains MariaDB, so install it with your system's package manager (Debian:
``apt-get install mariadb-server``). The system's MariaDB service is not used, and need not run.
"""

import contextlib
import getpass
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import URL

#: The message for a machine on which :func:`find_mariadb` finds nothing.
MISSING = "MariaDB is not installed (Debian: apt-get install mariadb-server)"

#: Folders with the server, besides the folders on the PATH.
_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"

#: The number of seconds that the server may take to start.
_PATIENCE = 60

#: Options that make the server faster. Its data need not survive a crash.
_FAST = ["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=64M"]

#: DROP TABLE waits at most this number of seconds for a transaction that was left open.
_LOCKS = "--lock-wait-timeout=5"


def find_mariadb() -> tuple[str, str] | None:
    """Return the paths of ``mariadbd`` and ``mariadb-install-db``, or None if MariaDB is not installed."""
    found = [shutil.which(name) or shutil.which(name, path=_FOLDERS) for name in ("mariadbd", "mariadb-install-db")]
    return (found[0], found[1]) if found[0] and found[1] else None


@contextlib.contextmanager
def mariadb_server(more: Sequence[str] = ()) -> Iterator[URL]:
    """Run a new, empty MariaDB while the block runs. Its data is deleted afterwards.

    Args:
        more: further options of ``mariadbd``. They override the options that this function sets.

    Yields:
        A SQLAlchemy URL for aiomysql over the server's Unix socket, database ``app``. The character set is utf8mb4.
        ``app`` has MariaDB's default collation, which ignores case. The database ``exact`` compares text letter by
        letter, as PostgreSQL and SQLite do.

    Raises:
        RuntimeError: MariaDB is not installed, or does not start. The error has MariaDB's output.
    """
    programs = find_mariadb()
    if programs is None:
        raise RuntimeError(MISSING)
    server, install = programs
    folder = Path(tempfile.mkdtemp(prefix="loadplan-mariadb-"))
    data, socket, log = folder / "data", folder / "socket", folder / "log"
    own = folder / "tmp"  # in a common folder, servers that start at the same time would overwrite each other's files
    own.mkdir()
    common = [f"--datadir={data}", f"--tmpdir={own}", f"--user={getpass.getuser()}"]
    try:
        made = subprocess.run(  # noqa: S603 - our own server
            [install, "--no-defaults", "--auth-root-authentication-method=normal", *common],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
        init = folder / "init.sql"
        init.write_text("CREATE DATABASE app;\nCREATE DATABASE exact COLLATE utf8mb4_nopad_bin;\n")
        options = [f"--socket={socket}", f"--pid-file={folder / 'pid'}", f"--init-file={init}", *common]
        options += ["--skip-networking", "--character-set-server=utf8mb4", _LOCKS, *_FAST, *more]
        with (
            log.open("w") as said,
            subprocess.Popen(  # noqa: S603
                [server, "--no-defaults", *options], stdout=said, stderr=said
            ) as process,
        ):
            try:
                _wait_until_ready(process, log)
                query = {"unix_socket": str(socket), "charset": "utf8mb4"}
                yield URL.create("mariadb+aiomysql", "root", host="localhost", database="app", query=query)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server accepts connections.

    Raises:
        RuntimeError: the server ended, or took too long.
    """
    until = time.monotonic() + _PATIENCE
    while "ready for connections" not in log.read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"mariadbd did not start:\n{log.read_text()}")
        time.sleep(0.05)  # only its log shows when the server is ready
