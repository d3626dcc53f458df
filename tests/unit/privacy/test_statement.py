import pytest

from components.core.errors import Refused
from components.core.params import Cap
from components.core.records import Audit, PrivacyStatement
from components.privacy import accounting, adaptive
from components.privacy.release import Gaussian
from components.privacy.statement import statement

from .stated import EVENTS, FACTS, charged


def test_epsilon_is_the_composition_of_everything_released_from_train_users():
    stated = statement(**FACTS)
    assert stated.epsilon == accounting.epsilon_of(EVENTS, 1e-6) == stated.accountants["pld"]
    assert stated.epsilon > accounting.epsilon_of(EVENTS[2:], 1e-6)
    assert stated.accountants["rdp"] > stated.epsilon
    assert stated.accountants["prv_of_sampled"] == pytest.approx(stated.accountants["pld_of_sampled"], rel=0.01)


def test_the_users_who_judged_a_version_have_an_epsilon_of_their_own():
    costs = {cost.split: cost for cost in statement(**FACTS).splits}
    assert set(costs) == {"train", "validation", "test"}
    own = [Gaussian(noise_multiplier=20.0), Gaussian(noise_multiplier=4.0)]
    assert costs["test"].epsilon == accounting.epsilon_of(own, 2e-6)
    assert costs["test"].delta == 2e-6
    assert costs["train"].epsilon == statement(**FACTS).epsilon


def test_with_a_budget_fixed_before_the_count_it_is_what_is_stated_and_the_composition_is_within_it():
    budgets = {"train": 3.0, "validation": 1.4, "test": 1.4}
    stated = statement(**FACTS, budgets=budgets)
    assert {cost.split: cost.epsilon for cost in stated.splits} == budgets
    assert stated.epsilon == 3.0
    kept = adaptive.proved_delta(1e-6, 20.0)
    assert stated.accountants["gdp"] == adaptive.epsilon_of(EVENTS, kept)
    assert stated.accountants["pld"] < stated.accountants["gdp"] < stated.epsilon
    assert stated.delta == 1e-6


@pytest.mark.parametrize("split", ["train", "test"])
def test_releases_above_the_budget_that_was_fixed_beforehand_are_not_stated(split):
    budgets = {"train": 3.0, "validation": 1.4, "test": 1.4, split: 1.0}
    with pytest.raises(Refused, match=rf"from {split} users cost more than was fixed beforehand .*limit ε = 1\)"):
        statement(**FACTS, budgets=budgets)


def test_everything_charged_is_named_with_its_noise_its_sensitivity_and_its_own_cost():
    stated = statement(**FACTS)
    assert [(one.mechanism, one.split, one.purpose) for one in stated.charged] == [
        ("dp_count", "train", "count"),
        ("popularity", "train", "floor"),
        ("dp_sgd", "train", "candidate"),
        ("dp_count", "validation", "count"),
        ("metrics", "validation", "choosing"),
        ("dp_count", "test", "count"),
        ("metrics", "test", "judging"),
    ]
    sampled = stated.charged[2]
    assert (sampled.draws, sampled.sample_rate, sampled.noise_multiplier) == (300, 0.04, 3.0)
    assert sampled.parameters == {"max_grad_norm": 1.0}
    assert 0 < sampled.epsilon < stated.epsilon
    assert set(stated.releases.values()) == {one.release for one in stated.charged if one.split == "train"}


def test_a_one_shot_version_has_no_prv_figure():
    one_shot = {**FACTS, "mechanism": "popularity", "charged": charged(EVENTS[:2])}
    assert set(statement(**one_shot).accountants) == {"pld", "rdp"}
    assert statement(**one_shot).mechanism == "popularity: Gaussian, σ = 3 sensitivities"


def test_a_statement_of_before_a_field_was_there_keeps_its_digest():
    fields = {"unit", "neighbours", "epsilon", "delta", "blocks", "lifetime", "mechanism", "releases"}
    fields |= {"accountants", "audit", "not_covered", "ledger"}
    old = PrivacyStatement.model_validate(statement(**FACTS).model_dump(include=fields))
    assert set(old.body()) == fields
    assert old.digest != statement(**FACTS).digest


def test_a_statement_whose_accountants_disagree_is_refused(monkeypatch):
    monkeypatch.setattr(accounting, "prv_epsilon", lambda event, delta: (9.0, 0.01))
    with pytest.raises(Refused, match="do not agree"):
        statement(**FACTS)


def test_the_lifetime_is_unbounded_unless_a_cap_is_held():
    assert statement(**FACTS).lifetime.startswith("unbounded")
    capped = statement(**FACTS, lifetime_cap=Cap(epsilon=20, delta=1e-5))
    assert "ε = 20" in capped.lifetime
    assert "unbounded" not in capped.lifetime


def test_a_version_that_was_not_audited_says_so():
    assert statement(**FACTS).audit == "not audited"
    audit = Audit(
        service="recommend", bundle="b", steps_in_ledger=300, steps_in_optimizer=300, destroyed_by_noise=False
    )
    assert "NOT destroyed" in statement(**FACTS, audit=audit).audit


def test_bounds_of_the_audit_stand_beside_its_ceiling_and_a_refuted_claim_says_so():
    found = Audit(
        service="recommend",
        bundle="b",
        steps_in_ledger=None,
        steps_in_optimizer=None,
        destroyed_by_noise=True,
        epsilon_claimed=1.7,
        delta=1e-6,
        epsilon_lower_bound=0.9,
        epsilon_ceiling=1.2,
        confidence=0.999,
        canaries=1000,
        inserted=508,
    )
    stated = statement(**FACTS, audit=found)
    assert "1000 canaries prove ε ≥ 0.90 of the 1.70 claimed" in stated.audit
    assert "and would prove 1.20 were the claim tight" in stated.audit
    assert (stated.audited.epsilon_lower_bound, stated.audited.epsilon_ceiling) == (0.9, 1.2)
    assert "REFUTED" in statement(**FACTS, audit=found.model_copy(update={"epsilon_lower_bound": 1.8})).audit
