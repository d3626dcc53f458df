"""One ledger, several threads: readers see whole states."""

import threading

from components.privacy.release import Gaussian

from .builders import open_ledger, private, release_of


def test_threads_that_read_the_accounts_do_not_trip_over_one_that_writes(home):
    ledger, done, faults = open_ledger(home), threading.Event(), []

    def read():
        while not done.is_set():
            try:
                ledger.accounts()
                ledger.holds()
            except RuntimeError as fault:
                faults.append(fault)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(60):
        with ledger.release(release_of(Gaussian(noise_multiplier=500.0)), key=f"key-{number}", of=private()) as opened:
            _ = opened.value
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert len(ledger.holds()) == 60
