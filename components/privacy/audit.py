"""What tries to refute a release: its canaries, noise that must destroy it, and step counts that must agree."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

from components.core.errors import ContractBroken
from components.core.records import Audit
from components.privacy import accounting
from components.privacy.canaries import Observed
from components.privacy.lower_bounds import CONFIDENCE, bounds, ceiling
from components.privacy.opened import Settled
from components.privacy.release import Event, SampledGaussian, noised

QUIET, LOUD = 0.01, 1000.0
"""Noise multipliers of the runs on simulated rows: next to nothing, and far more than any signal."""

ESTIMATOR = "Gaussian: noncentral t of canaries alone and in cohorts, against empty coordinates"

REMAINDER = 0.5
"""Share of the quiet run's gain that the loud runs may keep by luck; a mechanism without noise keeps all of it."""


def audit(
    *,
    service: str,
    bundle: str,
    settled: Settled,
    train: Callable[[float], float],
    without: Callable[[float], float],
    draws: int,
    observed: Observed | None = None,
    claimed: Event | None = None,
    delta: float | None = None,
) -> Audit:
    """Return the audit of a bundle: do its canaries refute the claim, is the noise there, were just the intended steps
    taken?

    A mechanism whose noise is left out, scaled wrongly or drawn after the fact learns at σ = 1000 what it learns at
    σ = 0.01. What it scores there is compared with what it scores on nobody's rows at the same noise, since a mechanism
    may build on what is public. The quiet run gives the test its power: one that learns nothing at all proves nothing.

    Args:
        service, bundle: what is audited; the digest of the bundle's folder.
        settled: the release that made it.
        train: noise multiplier -> score of the same mechanism on *simulated* rows, higher is better.
        without: the same on no rows at all.
        draws: loud runs of each that are averaged; noise that drowns everything makes a score scatter.
        observed: what was seen of the canaries of that release; None where there were none.
        claimed: what the version states of that release, by default what settled it. A training that was resumed
            settles with the steps that were left, and its canaries saw those of earlier attempts too.
        delta: the δ at which their bounds on ε are stated.

    Raises:
        ContractBroken: the quiet run is no better than the mechanism without rows, so nothing could be destroyed.
    """
    quiet = train(QUIET)
    loud = fmean(train(LOUD) for _ in range(draws))
    chance = fmean(without(LOUD) for _ in range(draws))
    if not quiet > chance:
        raise ContractBroken(
            "The mechanism learns nothing from simulated rows even with next to no noise, so the audit has no power",
            value=f"score {quiet:.4f} at σ = {QUIET:g}",
            limit=f"more than {chance:.4f}",
            next_step="Simulate rows that have something to learn, or find what is wrong with the mechanism.",
        )
    stepwise = isinstance(settled.event, SampledGaussian)
    proved = proof(observed, claimed or settled.event, delta) if observed and delta else {}
    return Audit(
        service=service,
        bundle=bundle,
        **proved,
        steps_in_ledger=settled.intended if stepwise else None,
        steps_in_optimizer=settled.ran if stepwise else None,
        destroyed_by_noise=loud - chance <= REMAINDER * (quiet - chance),
        details={"score_quiet": quiet, "score_loud": loud, "chance": chance, "sigma_quiet": QUIET, "sigma_loud": LOUD},
    )


def proof(observed: Observed, claimed: Event, delta: float) -> dict[str, Any]:
    """Return the fields of `Audit` that canaries fill.

    Args:
        observed: what was seen of them in one release.
        claimed: what is stated of it; ε of this event at `delta` is the claim that the bounds try to exceed.
        delta: see above.
    """
    claimed = noised(claimed)
    found, most = bounds(observed, claimed, delta), ceiling(observed, claimed, delta)
    size = [users for users, coin in zip(observed.users, observed.inserted, strict=True) if coin]
    return {
        "epsilon_claimed": accounting.epsilon_of([claimed], delta),
        "delta": delta,
        "epsilon_lower_bound": found.epsilon,
        "epsilon_ceiling": most.epsilon,
        "one_run_lower_bound": found.one_run,
        "one_run_ceiling": most.one_run,
        "confidence": CONFIDENCE,
        "canaries": sum(observed.users),
        "inserted": sum(size),
        "estimator": ESTIMATOR,
    }
