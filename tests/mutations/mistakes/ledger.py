"""Mistakes of the ledger: charges that are lost, halved or never made."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.core import digest, settings
from components.privacy import accounting, ledger, opened
from components.privacy.accounts import Book, Hold, with_steps
from tests.mutations.mistakes import Patch


def charging(patch: Patch, free: Any) -> None:
    """Let holds be free where `free` says so."""
    real = Hold.charged.fget
    assert real is not None
    patch.setattr(Hold, "charged", property(lambda hold: None if free(hold) else real(hold)))


def a_release_that_failed_is_free(patch: Patch) -> None:
    charging(patch, lambda hold: hold.stage == "settled" and hold.output is None)


def what_is_held_is_not_counted(patch: Patch) -> None:
    charging(patch, lambda hold: hold.open)


def doing_it_again_is_free(patch: Patch) -> None:
    charging(patch, lambda hold: hold.attempt > 1)


def a_dead_process_gets_its_charge_back(patch: Patch) -> None:
    real = ledger.settlement
    patch.setattr(ledger, "settlement", lambda hold, event, **rest: real(hold, with_steps(event, 0), **rest))


def the_charge_is_what_the_mechanism_says_it_ran(patch: Patch) -> None:
    """Steps that were intended, and may have drawn noise before a crash, are forgotten."""
    patch.setattr(opened, "max", lambda ran, intended: ran, raising=False)


def only_the_first_block_is_charged(patch: Patch) -> None:
    patch.setattr(
        Hold,
        "touches",
        lambda hold, account: account.split == hold.release.split and account.block == hold.release.blocks[0],
    )


def a_release_that_does_not_fit_is_let_in(patch: Patch) -> None:
    patch.setattr(Book, "admit", lambda self, release, accounts: list(accounts))


def the_divergence_is_halved(patch: Patch) -> None:
    real = accounting.rdp
    patch.setattr(accounting, "rdp", lambda event, order: real(event, order) / 2)


def sampling_is_credited_twice(patch: Patch) -> None:
    real = accounting._sampled_rdp
    patch.setattr(accounting, "_sampled_rdp", lambda sigma, rate, order: real(sigma, rate**2, order))


def a_mechanism_runs_outside_of_any_release(patch: Patch) -> None:
    def once(book: Any, release: Any, key: str, of: Any, mechanism: Any) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            mechanism(of._load(), lambda steps: None, Path(scratch))

    patch.setattr(ledger, "once", once)


def a_trial_of_a_tuning_is_not_charged(patch: Patch) -> None:
    """Only what is kept in the end is thought to be released."""
    real = ledger.once

    def once(book: Any, release: Any, key: str, of: Any, mechanism: Any) -> Any:
        if not release.mechanism[-1].isdigit():
            return real(book, release, key, of, mechanism)
        folder = Path(tempfile.mkdtemp(dir=settings.load().home))
        event = mechanism(of._load(), lambda steps: None, folder)
        return SimpleNamespace(folder=folder, output=digest.of_path(folder), event=event)

    patch.setattr(ledger, "once", once)
