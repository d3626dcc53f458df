import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from components.core.errors import ContractBroken
from components.evaluation.attack import (
    Attack,
    curve,
    halves,
    likelihood_ratios,
    most_true_positives,
    section,
    verdict,
)
from components.evaluation.attack_plot import plot_attack
from components.privacy.accounting import gaussian_epsilon

DELTA = 1e-5


def generator(seed=1):
    return np.random.default_rng(seed)


def told_apart(by, users=1000, seed=1):
    """The curve of an attack whose scores of members and others are normal, `by` deviations apart."""
    drawn = generator(seed)
    return curve(drawn.normal(by, 1, users), drawn.normal(0, 1, users), DELTA)


def attack_of(private, exposed, epsilon=3.0):
    return Attack(
        service="recommend",
        candidate="gram",
        bundle="b" * 64,
        dataset="d" * 64,
        epsilon=epsilon,
        delta=DELTA,
        targets=2000,
        shadows=32,
        private=private,
        exposed=exposed,
    )


def test_each_target_is_in_exactly_half_of_the_shadow_models():
    drawn = halves(100, 16, generator())
    assert drawn.shape == (16, 100)
    assert np.all(drawn.sum(axis=0) == 8)
    assert len(np.unique(drawn, axis=1).T) > 90


def shadowed(effect, questions=2, targets=400, shadows=32, seed=3):
    """Signals of each target's own level and spread, which rise by `effect` spreads where it was learnt from."""
    drawn = generator(seed)
    level, spread = drawn.normal(0, 50, (targets, questions)), drawn.uniform(0.1, 10, (targets, questions))
    inside = halves(targets, shadows, drawn)
    member = np.arange(targets) < targets // 2
    noise = drawn.normal(size=(shadows + 1, targets, questions))
    learnt = np.vstack([inside, member[None]])[:, :, None]
    signals = level + spread * (noise + effect * learnt)
    return signals[-1], signals[:-1], inside, member


def test_the_likelihood_ratio_finds_what_levels_and_spreads_would_hide():
    observed, shadows, inside, member = shadowed(effect=1.5)
    found = roc_auc_score(member, likelihood_ratios(observed, shadows, inside))
    assert found > 0.8 > roc_auc_score(member, observed[:, 0]) + 0.2
    assert found <= stats.norm.cdf(1.5 * np.sqrt(2) / np.sqrt(2)) + 0.05  # two questions; no attack can do better


def test_without_an_effect_it_guesses():
    observed, shadows, inside, member = shadowed(effect=0.0)
    assert roc_auc_score(member, likelihood_ratios(observed, shadows, inside)) == pytest.approx(0.5, abs=0.1)


def test_a_question_that_is_not_asked_says_nothing():
    observed, shadows, inside, _ = shadowed(effect=1.0)
    alone = likelihood_ratios(observed[:, :1], shadows[:, :, :1], inside)
    observed[:, 1], shadows[:, :, 1] = np.nan, np.nan
    np.testing.assert_allclose(likelihood_ratios(observed, shadows, inside), alone)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.lists(st.integers(0, 9), min_size=2, max_size=40))
def test_the_area_is_the_field_s_own_ties_included(members, others):
    found = curve(np.array(members, float), np.array(others, float), DELTA)
    truth = [1] * len(members) + [0] * len(others)
    assert found.auc.value == pytest.approx(roc_auc_score(truth, members + others))
    assert found.auc.low <= found.auc.value <= found.auc.high
    assert np.all(np.diff(found.fpr) >= 0)
    assert np.all(np.diff(found.tpr) >= 0)
    assert (found.fpr[-1], found.tpr[-1]) == (1, 1)


def test_the_interval_of_the_area_covers_it():
    truth = stats.norm.cdf(0.7 / np.sqrt(2))
    covered = [found.auc.low < truth < found.auc.high for found in (told_apart(0.7, 200, seed) for seed in range(100))]
    assert np.mean(covered) > 0.87


def test_rates_at_few_false_alarms_are_those_of_the_curve():
    found = told_apart(1.0, 4000)
    for rate in (0.01, 0.1):
        interval = found.tpr_at[f"{rate:g}"]
        assert interval.low < stats.norm.sf(stats.norm.isf(rate) - 1) < interval.high


def test_an_attack_without_anybody_is_refused():
    with pytest.raises(ContractBroken, match="members and others"):
        curve(np.empty(0), np.ones(3), DELTA)


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.0])
def test_the_best_attack_on_a_gaussian_mechanism_refutes_no_true_claim(mu):
    epsilon = gaussian_epsilon(mu, DELTA)
    found = told_apart(mu, 5000)
    assert found.epsilon <= epsilon
    fpr, tpr = np.array(found.fpr), np.array(found.tpr)
    told = fpr >= 0.01  # by 50 users or more
    assert np.all(tpr[told] <= most_true_positives(fpr[told], epsilon, DELTA) + 0.05)
    assert not attack_of(found, told_apart(3.0), epsilon).refuted


def test_an_attack_that_shows_more_than_the_claim_refutes_it():
    found = attack_of(told_apart(3.0), told_apart(3.0), epsilon=0.5)
    assert found.refuted
    assert verdict(found).startswith("REFUTED")


def test_an_attack_that_finds_nobody_without_privacy_says_that_it_proves_nothing():
    found = attack_of(told_apart(0.0), told_apart(0.1))
    assert not found.powerful
    assert "proves nothing" in verdict(found)
    assert attack_of(told_apart(0.0), told_apart(1.5)).powerful


@given(st.floats(0, 1), st.floats(0, 8))
def test_what_a_claim_allows_is_never_less_than_guessing_and_grows_with_epsilon(fpr, epsilon):
    low, high = (float(most_true_positives(np.array(fpr), one, DELTA)) for one in (epsilon, epsilon + 0.5))
    assert fpr - 1e-9 <= low <= high + 1e-12 <= 1 + 1e-9
    assert float(most_true_positives(np.array(fpr), 0.0, 0.0)) == pytest.approx(fpr)


def test_the_plot_and_its_table_hold_both_curves(tmp_path):
    picture, table = plot_attack(attack_of(told_apart(0.2), told_apart(2.0)), tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with table.open() as lines:
        assert {row["model"] for row in csv.DictReader(lines)} == {"private", "exposed"}


def test_the_section_names_both_models_and_the_method():
    text = section(attack_of(told_apart(0.2), told_apart(2.0)))
    assert "| gram, ε = 3 |" in text
    assert "| the same without noise |" in text
    assert "Carlini et al. 2022" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
