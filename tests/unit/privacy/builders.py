"""Private values, releases and ledgers for tests; a child process imports this too."""

import sqlite3
from contextlib import closing, contextmanager

import psycopg

from components.core.params import Cap
from components.core.private import Private
from components.privacy.ledger import Ledger
from components.privacy.release import Gaussian, Release, SampledGaussian

CAP = Cap(epsilon=10, delta=1e-6)
STEPS = SampledGaussian(noise_multiplier=2.0, sample_rate=0.04, steps=10)
ONE_SHOT = Gaussian(noise_multiplier=3.0)


def private(value=(1, 2, 3), *, blocks=("2000Q4",), split="train", digest="digest-of-rows"):
    return Private(_load=lambda: value, digest=digest, blocks=tuple(blocks), split=split)


def release_of(event=ONE_SHOT, *, blocks=("2000Q4",), split="train", mechanism="gram"):
    return Release(
        mechanism=mechanism, service="recommend", sensitivity=1.0, event=event, blocks=tuple(blocks), split=split
    )


def new_home(home, backend):
    """Return a home whose ledger lies on `backend`; processes of a test find it by the home alone."""
    if backend == "postgresql":
        from tests.postgres import fresh_url

        share(home, fresh_url())
    return home


def share(home, url):
    """Let the ledger of `home` be the one at `url`."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "url").write_text(url)
    return home


def url_of(home):
    return (home / "url").read_text() if (home / "url").exists() else None


def open_ledger(home, cap=CAP, **options):
    return Ledger.open(home, cap, **{"url": url_of(home), **options})


@contextmanager
def raw(home):
    """Yield what executes SQL on the rows behind the ledger's back; their table is `entries` in both."""
    if url := url_of(home):
        with psycopg.connect(url) as connection:
            yield lambda statement: connection.execute(statement.replace("entries", "jali_ledger"))
    else:
        with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
            yield connection.execute


@contextmanager
def locked(home):
    """Hold the ledger's lock for writing, as another process does."""
    if url := url_of(home):
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE jali_ledger IN EXCLUSIVE MODE")
            yield
    else:
        with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield


def rows(home):
    """Return the raw rows, in order."""
    with raw(home) as execute:
        return execute("SELECT seq, verb, body, hash FROM entries ORDER BY seq").fetchall()


def verbs(ledger):
    return [entry.verb for entry in ledger.entries()]


def balance(ledger, block="2000Q4", split="train"):
    return next(account for account in ledger.accounts() if (account.block, account.split) == (block, split))
