"""MariaDB on a Unix socket and a data folder of its own, from the programs that are installed.

No wheel carries MariaDB, as one carries PostgreSQL: install it by your system's package manager (Debian:
``apt-get install mariadb-server``). The server's own service has no part in this, and may stay switched off.
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

#: What is missing, in one line, where :func:`find_mariadb` finds nothing.
MISSING = "MariaDB is not installed (Debian: apt-get install mariadb-server)"

#: Where Debian puts the server, beside what is on the PATH.
_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"

#: Seconds that the server may take to start.
_PATIENCE = 60

#: What a server that is thrown away need not do.
_FAST = ["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=64M"]

#: Seconds that DROP TABLE may wait for a transaction that somebody forgot.
_LOCKS = "--lock-wait-timeout=5"


def find_mariadb() -> tuple[str, str] | None:
    """Return the paths of ``mariadbd`` and ``mariadb-install-db``, or None where MariaDB is not installed."""
    found = [shutil.which(name) or shutil.which(name, path=_FOLDERS) for name in ("mariadbd", "mariadb-install-db")]
    return (found[0], found[1]) if found[0] and found[1] else None


@contextlib.contextmanager
def mariadb_server(more: Sequence[str] = ()) -> Iterator[URL]:
    """Run a new, empty MariaDB while the block does; its data is gone afterwards.

    Args:
        more: further options of ``mariadbd``, which win over those that are given here.

    Yields:
        A SQLAlchemy URL for aiomysql over the server's Unix socket, database ``app``. The character set is utf8mb4.
        ``app`` has the collation that MariaDB takes by itself, which compares text without regard to case; another
        database, ``exact``, compares text letter by letter, as PostgreSQL and SQLite do.

    Raises:
        RuntimeError: MariaDB is not installed, or does not start; with what it said.
    """
    programs = find_mariadb()
    if programs is None:
        raise RuntimeError(MISSING)
    server, install = programs
    folder = Path(tempfile.mkdtemp(prefix="loadplan-mariadb-"))
    data, socket, log = folder / "data", folder / "socket", folder / "log"
    own = folder / "tmp"  # servers that start at the same moment take each other's files in one folder
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
    """Return when the server takes connections.

    Raises:
        RuntimeError: it ended, or took too long.
    """
    until = time.monotonic() + _PATIENCE
    while "ready for connections" not in log.read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"mariadbd did not start:\n{log.read_text()}")
        time.sleep(0.05)  # it has no other way of telling
