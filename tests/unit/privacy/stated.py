"""What a statement is made of: a training by DP-SGD, judged on the other users."""

from collections.abc import Sequence

from components.core.params import Cap
from components.privacy.release import Event, Gaussian, Release, SampledGaussian
from components.privacy.statement import Charged

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
