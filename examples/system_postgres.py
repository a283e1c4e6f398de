"""Runs the PostgreSQL that is installed on this machine, on a Unix socket with a separate data folder.

The PostgreSQL in the Python package has one extension, pgvector. Debian's packages have many: citext, hstore, ltree,
postgres_fdw, and PostGIS in a separate package.
"""

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
from sqlalchemy import URL

from replicas.servers import new_folder, private_folder, run, url_of

#: The message for a machine on which :func:`find_postgres` finds nothing.
MISSING = "PostgreSQL with its extensions is not installed (Debian: apt-get install postgresql)"

#: Folders in which Debian and Homebrew put the programs, besides the folders on the PATH.
_FOLDERS = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin")

#: Options that make the server faster. Its data need not survive a crash.
_FAST = "-c fsync=off -c full_page_writes=off -c max_wal_senders=0 -c wal_level=minimal"


@attrs.frozen
class SystemPostgres:
    """The programs of an installed PostgreSQL, and the folder of its extensions."""

    programs: Path
    extensions: Path

    def has(self, extension: str) -> bool:
        """Tell whether an extension is installed, by the name that CREATE EXTENSION takes."""
        return (self.extensions / f"{extension}.control").exists()


def find_postgres() -> SystemPostgres | None:
    """Return the newest PostgreSQL that is installed with its extensions, or None."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _FOLDERS:
        found += sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
    for programs in found:
        version = programs.parent.name.rpartition("@")[2]
        for share in (Path(f"/usr/share/postgresql/{version}"), programs.parent / "share" / "postgresql"):
            postgres = SystemPostgres(programs, share / "extension")
            if (programs / "pg_ctl").exists() and postgres.has("citext"):
                return postgres
    return None


@contextlib.contextmanager
def system_postgres(name: str = "system") -> Iterator[URL]:
    """Run a new, empty PostgreSQL while the block runs. Its data is deleted afterwards.

    Its locale is ``C.UTF-8``. If root runs this, the server runs as the account ``postgres`` of the package.

    Args:
        name: the first part of the folder's name. Some letters after it make the name unique.

    Yields:
        A SQLAlchemy URL for asyncpg over the server's Unix socket, database ``postgres``.

    Raises:
        RuntimeError: PostgreSQL is not installed, or a program failed. The error has its output.
    """
    found = find_postgres()
    if found is None:
        raise RuntimeError(MISSING)
    account = _account()
    folder = new_folder(name)
    try:
        data, sockets = private_folder(folder / "data", account), private_folder(folder / "sockets", account)
        trust = ["--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        run([found.programs / "initdb", "--pgdata", str(data), *trust], account)
        control: list[str | Path] = [found.programs / "pg_ctl", "--wait", "--pgdata", str(data)]
        options = f'-h "" -k {sockets} {_FAST}'
        run([*control, "--log", str(sockets / "log"), "--options", options, "start"], account)
        try:
            yield url_of(sockets)
        finally:
            run([*control, "--mode", "immediate", "stop"], account)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """Return the account that the server runs as; None for the caller's account. PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None
