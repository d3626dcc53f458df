import pytest
from pydantic import BaseModel, ValidationError

from components.core.errors import BudgetExhausted, Misconfigured, Refused
from components.privacy import accounting, adaptive
from components.privacy.plan import PerformanceFlags, PrivacyPlan, allocate, least_noise
from components.privacy.release import Gaussian

SCHEDULE = {"delta": 1e-6, "population": 25_000, "expected_batch_size": 1_024, "steps": 600, "max_grad_norm": 0.5}


class OneShot(BaseModel):
    event: Gaussian


def gaussian_plan(name, mu):
    return OneShot(event=Gaussian(noise_multiplier=1 / mu))


def test_a_calibrated_plan_spends_its_epsilon_and_not_more():
    plan = PrivacyPlan.calibrate(epsilon=3.0, **SCHEDULE)
    assert 2.98 < accounting.epsilon_of([plan.event], 1e-6) <= 3.0
    assert accounting.cross_check(plan.event, 1e-6)["prv"] == pytest.approx(3.0, rel=0.01)


def test_a_plan_for_mu_costs_what_a_gaussian_mechanism_of_that_mu_costs():
    plan = PrivacyPlan.calibrate(mu=0.4, **SCHEDULE)
    assert accounting.epsilon_of([plan.event], 1e-6) == pytest.approx(accounting.gaussian_epsilon(0.4, 1e-6), rel=0.01)


def test_the_plan_binds_event_and_sensitivity_to_what_the_engine_uses():
    plan = PrivacyPlan.calibrate(epsilon=3.0, **SCHEDULE)
    event = plan.event
    assert (event.noise_multiplier, event.sample_rate, event.steps) == (plan.noise_multiplier, 1_024 / 25_000, 600)
    assert plan.sensitivity == plan.max_grad_norm == 0.5


def test_q_comes_from_the_lower_bound_and_never_exceeds_1():
    few = PrivacyPlan.calibrate(epsilon=3.0, **{**SCHEDULE, "population": 300, "steps": 5})
    assert few.sample_rate == 1.0
    assert few.expected_batch_size == 1_024  # the public normaliser stays what it was


def test_where_everyone_is_in_every_step_the_noise_is_the_analytic_gaussian_s():
    plan = PrivacyPlan.calibrate(epsilon=2.0, **{**SCHEDULE, "population": 300, "steps": 7})
    assert plan.noise_multiplier == pytest.approx(7**0.5 / accounting.gaussian_mu(2.0, 1e-6))
    assert accounting.epsilon_of([plan.event], 1e-6) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.slow
def test_little_epsilon_is_spent_as_fully_as_much():
    plan = PrivacyPlan.calibrate(epsilon=0.05, **{**SCHEDULE, "population": 1_000_000, "delta": 1e-8, "steps": 100})
    assert 0.045 < accounting.epsilon_of([plan.event], 1e-8) <= 0.05
    assert 0.045 < accounting.prv_epsilon(plan.event, 1e-8)[0] < 0.051  # and not by 43% less, as on the coarse grid


def test_a_plan_on_which_the_accountants_really_differ_is_refused():
    plan = {"delta": 1e-6, "population": 100_000, "expected_batch_size": 10, "steps": 100_000, "max_grad_norm": 1.0}
    with pytest.raises(Refused, match=r"do not agree on .*PLD ε = .*PRV ε = "):
        PrivacyPlan.calibrate(epsilon=0.03, **plan)


def test_a_plan_that_the_second_accountant_does_not_confirm_is_refused(monkeypatch):
    monkeypatch.setattr(accounting, "prv_epsilon", lambda event, delta: (3.04, 0.01))
    with pytest.raises(Refused, match=r"do not agree.*PRV ε = 3\.0400"):
        PrivacyPlan.calibrate(epsilon=3.0, **SCHEDULE)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epsilon": 0.0}, r"A plan needs epsilon to be positive and finite \(found 0\.0, limit more than 0\)\."),
        ({"epsilon": -1.0}, r"A plan needs epsilon to be positive and finite \(found -1\.0, limit more than 0\)\."),
        ({"epsilon": float("nan")}, "A plan needs epsilon to be positive and finite"),
        ({"epsilon": float("inf")}, "A plan needs epsilon to be positive and finite"),
        ({"delta": 1e-4}, r"A plan's δ must be .* \(found δ = 0\.0001, limit δ = 4e-06\)\. Lower delta"),
        ({"delta": 0.0}, "A plan's δ must be positive"),
        ({"population": 0}, "A plan needs population to be positive"),
        ({"steps": 0}, "A plan needs steps to be positive"),
        ({"max_grad_norm": 0.0}, "A plan needs max_grad_norm to be positive"),
    ],
)
def test_a_target_that_cannot_be_is_one_clear_sentence(changes, sentence, monkeypatch):
    monkeypatch.setattr(accounting, "epsilon_of", lambda *_, **__: pytest.fail("it was searched for"))
    with pytest.raises(Misconfigured, match=sentence):
        PrivacyPlan.calibrate(**{"epsilon": 3.0, **SCHEDULE, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"noise_multiplier": 0.0},
            r"without noise protects nobody.*\(found noise_multiplier = 0, limit more than 0\)",
        ),
        ({"noise_multiplier": float("nan")}, "without noise protects nobody"),
        ({"sample_rate": 1.5}, r"A sample rate is the probability .*\(found sample_rate = 1\.5, .*at most 1\)"),
        ({"sample_rate": 0.0}, "A sample rate is the probability"),
        ({"delta": 1.0}, "A plan's δ must be positive"),
        ({"expected_batch_size": -1.0}, "A plan needs expected_batch_size to be positive"),
    ],
)
def test_a_plan_that_has_no_guarantee_is_one_clear_sentence(changes, sentence):
    facts = PrivacyPlan.calibrate(epsilon=3.0, **SCHEDULE).model_dump()
    with pytest.raises(Misconfigured, match=sentence):
        PrivacyPlan(**{**facts, **changes})


def test_a_plan_needs_one_target():
    for targets in ({}, {"epsilon": 1.0, "mu": 1.0}):
        with pytest.raises(Misconfigured, match="exactly one"):
            PrivacyPlan.calibrate(**SCHEDULE, **targets)


def test_a_plan_cannot_be_changed_after_it_was_made():
    plan = PrivacyPlan.calibrate(epsilon=3.0, **SCHEDULE)
    with pytest.raises(ValidationError):
        plan.noise_multiplier = 0.1


def test_performance_flags_share_no_field_with_the_plan():
    assert not set(PerformanceFlags.model_fields) & set(PrivacyPlan.model_fields)


def test_noise_is_found_also_where_little_noise_has_no_figure(monkeypatch):
    def epsilon_of(events, delta, grid):
        if events[0].noise_multiplier < 4:
            raise Refused("too large for a figure")
        return 20 / events[0].noise_multiplier

    monkeypatch.setattr(accounting, "epsilon_of", epsilon_of)
    assert least_noise(3.0, delta=1e-6, sample_rate=0.5, steps=1_000_000) == pytest.approx(20 / 3, rel=0.001)


def test_a_training_that_no_noise_suffices_for_is_refused(monkeypatch):
    monkeypatch.setattr(accounting, "epsilon_of", lambda events, delta, grid: 1.0)
    with pytest.raises(Refused, match="No noise is enough"):
        least_noise(0.5, delta=1e-6, sample_rate=0.5, steps=10)


def test_a_budget_is_divided_by_shares_and_composed_within_it():
    spent = [Gaussian(noise_multiplier=20.0)]

    def plan_of(name, mu):
        return PrivacyPlan.calibrate(mu=mu, **SCHEDULE) if name == "sgd" else gaussian_plan(name, mu)

    plans, composed = allocate(3.0, 1e-6, spent, {"popularity": 1, "gram": 6, "sgd": 3}, plan_of)
    events = [*spent, *(plan.event for plan in plans.values())]
    assert accounting.epsilon_of(events, 1e-6) < composed == adaptive.epsilon_of(events, 1e-6)
    assert 0.995 * 3.0 <= composed <= 3.0
    ratio = plans["popularity"].event.noise_multiplier / plans["gram"].event.noise_multiplier
    assert ratio == pytest.approx(6**0.5)


def test_gaussians_alone_use_the_whole_budget():
    _, composed = allocate(3.0, 1e-6, [], {"a": 1, "b": 2}, gaussian_plan)
    assert composed == pytest.approx(3.0, rel=1e-2)
    assert composed <= 3.0


def test_counts_that_leave_nothing_are_refused():
    with pytest.raises(BudgetExhausted, match=r"spent ε = .*left 0"):
        allocate(3.0, 1e-6, [Gaussian(noise_multiplier=0.5)], {"a": 1}, gaussian_plan)


def test_candidates_that_ignore_their_budget_are_refused():
    with pytest.raises(BudgetExhausted, match="No division"):
        allocate(3.0, 1e-6, [], {"a": 1}, lambda name, mu: OneShot(event=Gaussian(noise_multiplier=0.5)))


def test_plans_of_one_schedule_are_searched_for_once(monkeypatch):
    first = PrivacyPlan.calibrate(mu=0.4, **SCHEDULE)
    monkeypatch.setattr(adaptive, "dominated", lambda *_: pytest.fail("it was searched for"))
    again = PrivacyPlan.calibrate(mu=0.4, **{**SCHEDULE, "max_grad_norm": 7.0})
    assert again.noise_multiplier == first.noise_multiplier
    with pytest.raises(pytest.fail.Exception):
        PrivacyPlan.calibrate(mu=0.42, **SCHEDULE)
