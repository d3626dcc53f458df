import numpy as np
import pytest

from components.core.errors import ContractBroken
from components.privacy import mechanisms
from components.privacy.audit import audit
from components.privacy.canaries import Canaries, Observed
from components.privacy.ledger import Settled
from components.privacy.lower_bounds import simulated
from components.privacy.release import Gaussian, SampledGaussian

POPULARITY = np.arange(200.0, 0.0, -1.0)


def settled_of(event, intended=0, ran=None):
    return Settled(key="k", attempt=1, event=event, intended=intended, ran=ran, output="o", folder=None)


def score_of(noised):
    """Rank correlation with the truth: 1 for the true order, about 0 for a random one."""
    return float(np.corrcoef(np.argsort(np.argsort(noised)), POPULARITY)[0, 1])


def honest(noise_multiplier):
    return score_of(mechanisms.noised_sum(POPULARITY, sensitivity=100.0, noise_multiplier=noise_multiplier))


def without_noise(noise_multiplier):
    return score_of(POPULARITY)


def with_forgotten_sensitivity(noise_multiplier):
    return score_of(mechanisms.noised_sum(POPULARITY, sensitivity=0.01, noise_multiplier=noise_multiplier))


def audited(train, settled=None, chance=0.2, **seen):
    return audit(
        service="recommend",
        bundle="b",
        settled=settled or settled_of(Gaussian(noise_multiplier=3.0)),
        train=train,
        without=lambda noise_multiplier: chance,
        draws=5,
        **seen,
    )


def test_an_honest_mechanism_is_destroyed_by_noise():
    found = audited(honest)
    assert found.destroyed_by_noise
    assert found.details["score_quiet"] > 0.99 > found.details["score_loud"]
    assert (found.steps_in_ledger, found.steps_in_optimizer) == (None, None)


@pytest.mark.parametrize("seeded_bug", [without_noise, with_forgotten_sensitivity])
def test_a_mechanism_that_draws_no_noise_or_too_little_is_caught(seeded_bug):
    assert not audited(seeded_bug).destroyed_by_noise


def test_a_mechanism_that_learns_nothing_proves_nothing():
    with pytest.raises(ContractBroken, match="no power"):
        audited(lambda noise_multiplier: 0.1)


def test_what_a_mechanism_scores_on_nobody_is_not_held_against_it():
    def builds_on_what_is_public(noise_multiplier):
        return 0.6 if noise_multiplier > 1 else 0.9

    assert audited(builds_on_what_is_public, chance=0.6).destroyed_by_noise
    assert not audited(builds_on_what_is_public, chance=0.1).destroyed_by_noise


def test_steps_of_the_ledger_and_of_the_optimizer_are_counted_apart():
    event = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, steps=30)
    found = audited(honest, settled_of(event, intended=30, ran=29))
    assert (found.steps_in_ledger, found.steps_in_optimizer) == (30, 29)


@pytest.mark.slow
def test_an_honest_training_that_was_resumed_is_not_refuted_by_steps_of_earlier_attempts():
    event = SampledGaussian(noise_multiplier=1.5, sample_rate=0.04, steps=600)
    users = Canaries.flipped(1000).users
    like = Observed(
        users=tuple(map(int, users)),
        inserted=(True,) * len(users),
        scores=(0.0,) * len(users),
        nulls=4 * len(users),
        null_mean=0.0,
        null_square=1.0,
        steps=600,
    )
    seen = simulated(like, event, np.random.default_rng(1))
    left = settled_of(event.model_copy(update={"steps": 100}), intended=100, ran=100)
    found = audited(honest, left, observed=seen, claimed=event, delta=1e-5)
    assert 0 < found.epsilon_lower_bound <= found.epsilon_claimed
