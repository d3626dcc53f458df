"""A PostgreSQL server of Debian's package for the tests, of this run alone: on a Unix socket, and gone when it ends."""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "150",
    "shared_buffers": "16MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
_numbers = itertools.count(1)


def fresh_url() -> str:
    """Return the URL of an empty schema on the server, which is started by the first call."""
    server, schema = _server(), f"ledger_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{server}&options={quote(f'-csearch_path={schema}')}"


def binaries() -> Path:
    """Return the folder of initdb and postgres; skip, and say so, where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    path = found[-1] if found else shutil.which("initdb")
    if path is None:
        pytest.skip("NOT TESTED ON POSTGRESQL: install Debian's package postgresql (apt-get install postgresql)")
    return Path(path).parent


@lru_cache(maxsize=1)
def _server() -> str:
    programs = binaries()
    # What it writes need not outlive the run: in memory, flushing to disk costs nothing and stays switched on.
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**29 else None
    for left in (where or Path(tempfile.gettempdir())).glob("jali-pg.*"):
        _remove_if_dead(left)
    folder = Path(tempfile.mkdtemp(prefix="jali-pg.", dir=where))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = _as_somebody(folder)
    data = folder / "data"
    initdb = [*command, str(programs / "initdb"), "-D", str(data), "-U", "jali", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*initdb, "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=folder)
    options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [*command, str(programs / "postgres"), "-D", str(data), "-k", str(folder), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(log := folder / "log").open("wb"),
    )
    atexit.register(_stop, server, os.getpid())
    url = f"postgresql:///postgres?host={quote(str(folder), safe='')}&user=jali"
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            return url
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def _stop(server: subprocess.Popen[bytes], starter: int) -> None:
    if os.getpid() == starter:
        server.terminate()
        server.wait(timeout=30)


def _remove_if_dead(folder: Path) -> None:
    """Remove what a run left that was killed; its server ended with it."""
    pid = folder / "data" / "postmaster.pid"
    # One without a number may be starting, unless it is old. While initdb runs, before there is a log, the number is
    # of a process that soon ends.
    with suppress(OSError, ValueError, IndexError):
        number = int(pid.read_text().split()[0]) if pid.exists() and (folder / "log").exists() else None
        old = time.time() - folder.stat().st_mtime > 3600
        if old if number is None else not Path("/proc", str(number)).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _as_somebody(folder: Path) -> list[str]:
    """Return what runs a command as a person; PostgreSQL refuses root."""
    setpriv = shutil.which("setpriv")
    ends_with_us = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
    if os.getuid() != 0:
        return ends_with_us
    names = {user.pw_name for user in pwd.getpwall()}
    who = next(name for name in ("postgres", "nobody") if name in names)
    shutil.chown(folder, who)
    if not setpriv:
        return [shutil.which("runuser") or "runuser", "-u", who, "--"]
    return [*ends_with_us, "--reuid", who, "--regid", str(pwd.getpwnam(who).pw_gid), "--clear-groups", "--"]
