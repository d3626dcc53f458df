"""Private values, releases and ledgers for tests; a child process imports this too."""

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


def open_ledger(home, cap=CAP, **options):
    return Ledger.open(home, cap, **options)


def verbs(ledger):
    return [entry.verb for entry in ledger.entries()]


def balance(ledger, block="2000Q4", split="train"):
    return next(account for account in ledger.accounts() if (account.block, account.split) == (block, split))
