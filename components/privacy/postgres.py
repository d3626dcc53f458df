"""A ledger's rows in one table of a PostgreSQL database, for several machines; its holds are the session's own locks.

A transaction takes the table in EXCLUSIVE mode: one writer at a time, whoever it is, while readers go on. It is not
over before the server's disk has it (`synchronous_commit`).

The process behind a hold lives as long as its session: the server drops a session's advisory locks with it. Should a
connection be lost while its process lives on, others may take its holds for dead. What was not started is then given
back and what was is settled in full, as rows, and these decide: a release that has ended can neither start nor intend.
A connection that was lost is made again by the next operation, which takes the holds' locks again.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import conninfo, errors

from components.core.errors import ContractBroken, JaliError, Misconfigured, Unavailable
from components.privacy.backends import Row

TABLE = "jali_ledger"

_CREATE = f"CREATE TABLE {TABLE} (seq bigint PRIMARY KEY, verb text NOT NULL, body text NOT NULL, hash text NOT NULL)"
# A look into the catalogue's rows, which are those of now: what `to_regclass` said once, a session may remember, and
# then miss the table that another first user has made while this one waited for its turn.
_MADE = """
SELECT 1 FROM pg_catalog.pg_class AS made JOIN pg_catalog.pg_namespace AS schema ON schema.oid = made.relnamespace
WHERE made.relname = %s AND schema.nspname = ANY (current_schemas(false))
"""
_INSERT = f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s)"
_HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32) | objid::bigint = %s
"""
# A host that vanished is noticed within a minute and its holds are dead then; the defaults take two hours.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_SESSION = (
    "SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false), "
    "set_config('tcp_keepalives_count', '3', false), set_config('lock_timeout', %s, false), "
    "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'remote_apply' "
    "THEN 'remote_apply' ELSE 'on' END, false), current_setting('fsync')"
)
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)
_NO_ROOM = (errors.DiskFull, errors.OutOfMemory, errors.IoError, errors.ReadOnlySqlTransaction)


class Postgres:
    """The table `jali_ledger` in the database at `url`, made with its first row where there is none."""

    def __init__(self, url: str, genesis: Callable[[], Row], *, busy_seconds: float) -> None:
        self._busy_seconds = busy_seconds
        try:
            self._parameters: dict[str, Any] = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise Misconfigured(
                "JALI_LEDGER_URL is no URL of a PostgreSQL database",
                value=str(error).strip(),
                limit="postgresql://user@host/database",
                next_step="Mend it; a password is better kept in ~/.pgpass.",
            ) from error
        host = self._parameters.get("host", "localhost")
        self.name = f"postgresql://{host}/{self._parameters.get('dbname', '')}"
        self._held: set[int] = set()
        self._schema: str | None = None
        self._open()
        with self._errors():
            if self._execute("SELECT to_regclass(%s)", (TABLE,)).fetchone() == (None,):
                self._create(genesis)

    def rows(self, first: int) -> list[Row]:
        """Return the rows from number `first` on."""
        with self._errors():
            query = f"SELECT seq, verb, body, hash FROM {TABLE} WHERE seq >= %s ORDER BY seq"
            return [(int(seq), verb, body, found) for seq, verb, body, found in self._begin(query, (first,)).fetchall()]

    def last(self) -> tuple[int, str] | None:
        """Return number and hash of the last row."""
        with self._errors():
            found = self._execute(f"SELECT seq, hash FROM {TABLE} ORDER BY seq DESC LIMIT 1").fetchone()
            return (int(found[0]), str(found[1])) if found else None

    def insert(self, row: Row) -> None:
        """Add a row."""
        with self._errors():
            self._execute(_INSERT, row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the table for writing."""
        with self._errors():
            self._begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            try:
                self._execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")
                yield
                self._execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def hold(self, name: str) -> _SessionLock:
        """Lock the hold `name` for as long as this session lasts."""
        number = self._number(name)
        with self._errors():
            self._execute("SELECT pg_try_advisory_lock(%s)", (number,))
        self._held.add(number)
        return _SessionLock(self, number)

    def is_held(self, name: str) -> bool:
        """Return whether any session has the hold `name` locked."""
        with self._errors():
            [count] = self._begin(_HELD, (self._number(name),)).fetchone() or (0,)
            return bool(count)

    def let_go(self, number: int) -> None:
        """Drop a hold's lock; a session that is gone has dropped it already."""
        self._held.discard(number)
        with suppress(psycopg.Error):
            self._execute("SELECT pg_advisory_unlock(%s)", (number,))

    def _create(self, genesis: Callable[[], Row]) -> None:
        """Make the table and its first row in one transaction, so that of two first users exactly one makes them."""
        self._begin("BEGIN")
        try:
            self._execute("SELECT pg_advisory_xact_lock(%s)", (self._number("make", of=""),))
            if self._execute(_MADE, (TABLE,)).fetchone() is None:
                row = genesis()
                self._execute(_CREATE)
                self._execute(_INSERT, row)
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with suppress(psycopg.Error):  # a connection that is lost has been rolled back by the server
            self._connection.execute("ROLLBACK")

    def _number(self, name: str, *, of: str | None = None) -> int:
        # Advisory locks are the database's; the schema tells one ledger in it from another.
        place = self._schema if of is None else of
        return int.from_bytes(hashlib.sha256(f"jali {place} {name}".encode()).digest()[:8], signed=True)

    def _begin(self, statement: str, parameters: tuple[Any, ...] = ()) -> psycopg.Cursor[Any]:
        """Run the first statement of an operation, over a new connection where the old one was lost in between."""
        try:
            return self._execute(statement, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not self._connection.closed:
                raise
        # Nothing of this operation had begun, so nothing is done twice.
        self._open()
        return self._execute(statement, parameters)

    def _execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> psycopg.Cursor[Any]:
        # The one door for statements: tests count them here, and end the process at each.
        return self._connection.execute(statement, parameters or None)

    def _open(self) -> None:
        try:
            self._connection = psycopg.connect(
                **{
                    **_KEEPALIVE,
                    "connect_timeout": max(2, round(self._busy_seconds)),
                    "application_name": "jali ledger",
                    **self._parameters,
                    "client_encoding": "UTF8",
                },
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            raise self._not_reached(error) from error
        weakref.finalize(self, self._connection.close)
        with self._errors():
            found = self._connection.execute(_SESSION, (f"{round(1000 * self._busy_seconds)}ms",)).fetchone()
            if found is None or found[-1] != "on":
                raise Misconfigured(
                    f"The server of the ledger {self.name} may lose what it has confirmed",
                    value="fsync = off",
                    limit="fsync = on",
                    next_step="Set fsync = on in its postgresql.conf; a charge that is lost is a budget overdrawn.",
                )
            [self._schema] = self._connection.execute("SELECT current_schema()").fetchone() or (None,)
            for number in self._held:
                self._connection.execute("SELECT pg_try_advisory_lock(%s)", (number,))

    def _not_reached(self, error: psycopg.OperationalError) -> JaliError:
        said = " ".join(str(error).split())
        state = error.sqlstate or (error.pgconn and "FATAL" in said and "57P0") or ""
        if state.startswith(("28", "3D")) or "password authentication failed" in said or "does not exist" in said:
            return Misconfigured(
                f"The ledger {self.name} does not let JALI_LEDGER_URL in",
                value=said,
                limit="a database that exists, and a role that may use it",
                next_step="Mend JALI_LEDGER_URL, or make the database and the role; nothing was spent.",
            )
        return Unavailable(
            f"The ledger {self.name} does not answer",
            value=said,
            next_step="Start the server or mend JALI_LEDGER_URL, and run the same command again; nothing was spent.",
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _BUSY as error:
            raise Unavailable(
                f"The ledger {self.name} is locked by another process",
                value=f"waited {self._busy_seconds:g} s",
                next_step="Wait for the other command to end and run the same one again; nothing was changed.",
            ) from error
        except _NO_ROOM as error:
            raise Unavailable(
                f"The ledger {self.name} cannot be written ({_said(error)})",
                next_step="Free some space on the server, or point JALI_LEDGER_URL to the primary, and run the same "
                "command again.",
            ) from error
        except errors.InsufficientPrivilege as error:
            raise Misconfigured(
                f"The ledger {self.name} does not let this role in",
                value=_said(error),
                limit=f"SELECT and INSERT on {TABLE}; CREATE on its schema where it is to be made",
                next_step="Grant it, or set another role in JALI_LEDGER_URL.",
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(
                f"The connection to the ledger {self.name} was lost",
                value=_said(error),
                next_step="Run the same command again when the server answers; what was held stays charged.",
            ) from error
        except psycopg.Error as error:
            raise ContractBroken(
                f"The table {TABLE} at {self.name} is not a ledger that can be read ({_said(error)})",
                next_step="Restore it from its backup; until then nothing may be released.",
            ) from error


class _SessionLock:
    def __init__(self, backend: Postgres, number: int) -> None:
        self._backend, self._number = backend, number

    def drop(self) -> None:
        """Let go."""
        self._backend.let_go(self._number)


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
