import pytest

from components.core.errors import Refused
from components.core.params import Cap
from components.core.records import Audit
from components.privacy import accounting
from components.privacy.release import Gaussian, SampledGaussian
from components.privacy.statement import as_markdown, statement

EVENTS = [
    Gaussian(noise_multiplier=20.0),
    Gaussian(noise_multiplier=3.0),
    SampledGaussian(noise_multiplier=3.0, sample_rate=0.04, steps=300),
]
FACTS = {
    "mechanism": "dp_sgd",
    "releases": {"dp_count": "a" * 64, "dp_popularity": "b" * 64, "dp_sgd": "c" * 64},
    "events": EVENTS,
    "delta": 1e-6,
    "blocks": ("2000Q4", "2001Q1"),
    "ledger": "genesis",
}


def test_epsilon_is_the_composition_of_everything_released():
    stated = statement(**FACTS)
    assert stated.epsilon == accounting.epsilon_of(EVENTS, 1e-6) == stated.accountants["pld"]
    assert stated.epsilon > accounting.epsilon_of(EVENTS[2:], 1e-6)
    assert stated.accountants["rdp"] > stated.epsilon
    assert stated.accountants["prv_of_sampled"] == pytest.approx(stated.accountants["pld_of_sampled"], rel=0.01)


def test_a_one_shot_version_has_no_prv_figure():
    assert set(statement(**{**FACTS, "events": EVENTS[:2]}).accountants) == {"pld", "rdp"}


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


def test_the_page_shows_every_promise_and_every_gap():
    stated = statement(**FACTS)
    page = as_markdown(stated)
    for part in (f"ε = {stated.epsilon:.3g}", "δ = 1e-06", "2000Q4, 2001Q1", "added or removed", *stated.not_covered):
        assert part in page
    for word in ("operators", "data checks", "Floating-point", "side channels", "catalogue", "joint", "Time"):
        assert word in page
