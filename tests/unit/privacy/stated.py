"""What a statement is made of: a training by DP-SGD, judged on the other users."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from components.core.params import Cap
from components.core.records import Audit, PrivacyStatement
from components.privacy.release import Event, Gaussian, Release, SampledGaussian
from components.privacy.statement import Charged, statement
from components.privacy.statement_document import (
    AccountState,
    LedgerState,
    LifetimeState,
    Standing,
    UseState,
    VersionStatement,
)

BLOCKS = ("2000Q4", "2001Q1")
EVENTS: list[Event] = [
    Gaussian(noise_multiplier=20.0),
    Gaussian(noise_multiplier=3.0),
    SampledGaussian(noise_multiplier=3.0, sample_rate=0.04, steps=300),
]
_TRAIN = (("dp_count", "count", {}), ("popularity", "floor", {}), ("dp_sgd", "candidate", {"max_grad_norm": 1.0}))


def charged(train: Sequence[Event] = EVENTS) -> list[Charged]:
    """Return the releases of a training with these events, and of its evaluations."""
    found = [
        Charged(purpose, release(mechanism, "train", event), 1e-6, parameters)
        for (mechanism, purpose, parameters), event in zip(_TRAIN, train, strict=False)
    ]
    for split, purpose in (("validation", "choosing"), ("test", "judging")):
        found.append(Charged("count", release("dp_count", split, Gaussian(noise_multiplier=20.0)), 2e-6))
        found.append(Charged(purpose, release("metrics", split, Gaussian(noise_multiplier=4.0)), 2e-6))
    return found


def release(mechanism: str, split: str, event: Event) -> Release:
    """Return a release of `recommend` from both blocks."""
    return Release(mechanism=mechanism, service="recommend", sensitivity=1.0, event=event, blocks=BLOCKS, split=split)


FACTS = {
    "mechanism": "dp_sgd",
    "charged": charged(),
    "blocks": BLOCKS,
    "ledger": "genesis",
    "cap": Cap(epsilon=10, delta=1e-6),
}

AUDIT = Audit(
    service="recommend",
    bundle="b" * 64,
    steps_in_ledger=300,
    steps_in_optimizer=300,
    destroyed_by_noise=True,
    epsilon_claimed=1.7,
    delta=1e-6,
    epsilon_lower_bound=0.9,
    epsilon_ceiling=1.2,
    one_run_lower_bound=0.4,
    one_run_ceiling=0.6,
    confidence=0.999,
    canaries=1000,
    inserted=508,
    estimator="gaussian",
)

LEDGER = LedgerState(
    genesis="genesis",
    read_at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    accounts=tuple(
        AccountState(
            block=block,
            split=split,
            cap=Cap(epsilon=10, delta=1e-6),
            spent=4.2,
            held=0.3,
            left=5.5,
            used=0.4,
            by=(
                UseState(service="recommend", mechanism="dp_sgd", releases=2, share=0.3),
                UseState(service="ads", mechanism="<script>", releases=1, share=0.1),
            ),
        )
        for block in BLOCKS
        for split in ("test", "train")
    ),
    lifetimes=(LifetimeState(split="train", bounded=False, cap=None, delta=1e-6, spent=6.5, held=0.0),),
    attempts_lost=2,
)


@cache
def _audited() -> PrivacyStatement:
    return statement(**FACTS, audit=AUDIT)


def document(**changes: object) -> VersionStatement:
    """Return the document of a version that was audited and promoted, its ledger at hand."""
    stated = _audited()
    fields = {
        "service": "recommend",
        "version": 7,
        "alias": "champion",
        "model": "c" * 64,
        "candidate": "dp_sgd",
        "personal": True,
        "source": "orders <2026>",
        "public": False,
        "standing": Standing(author="ana", approver="ben", champion_since=datetime(2026, 11, 3, tzinfo=UTC)),
        "statement": stated.digest,
        "verdict": "e" * 64,
        "privacy": stated,
        "ledger": LEDGER,
        "notes": (),
        **changes,
    }
    return VersionStatement.model_validate(fields)
