from dataclasses import replace

import pytest

from components.core.errors import GateNotMet
from components.core.params import Gates
from components.evaluation.gates import GATES, best_that_passes, judge, require_passed

from .cases import CHECKS, DATASET, EVALUATION, FLOOR, GOOD, changed, floor_case, with_gain

PARAMS = Gates(epsilon=3, delta=1e-5)
OTHER = "0" * 64
NAN = float("nan")


def failed(case, params=PARAMS):
    return {gate.gate for gate in judge(params=params, case=case).gates if not gate.passed}


def shown(case, gate):
    return next(result for result in judge(params=PARAMS, case=case).gates if result.gate == gate)


def test_a_good_case_passes_every_gate_and_each_names_value_limit_and_evidence():
    verdict = judge(params=PARAMS, case=GOOD)
    assert verdict.passed
    assert tuple(gate.gate for gate in verdict.gates) == GATES
    assert all(gate.value and gate.limit and gate.evidence for gate in verdict.gates)
    require_passed(verdict)


@pytest.mark.parametrize(
    ("part", "gates"),
    [
        ("dataset", {"provenance", "data_checks", "gain_over_floor", "regression"}),
        ("request", {"provenance"}),
        ("trained", set(GATES) - {"data_checks"}),
        ("statement", {"epsilon", "delta"}),
        ("evaluation", {"gain_over_floor", "regression"}),
        ("audit", {"audit"}),
        ("megabytes", {"bundle_megabytes"}),
        ("latency", {"latency_milliseconds"}),
    ],
)
def test_missing_evidence_fails_the_gates_that_read_it(part, gates):
    assert failed(replace(GOOD, **{part: None})) == gates


@pytest.mark.parametrize(
    ("case", "gates"),
    [
        (changed(GOOD, "request", service="ads"), {"provenance"}),
        (changed(GOOD, "request", dataset=OTHER), {"provenance"}),
        (changed(GOOD, "trained", service="ads"), {"provenance"}),
        (changed(GOOD, "trained", candidate="linear"), {"provenance"}),
        (changed(GOOD, "trained", dataset=OTHER), {"provenance"}),
        (changed(GOOD, "trained", ledger=OTHER), {"provenance"}),
        (changed(GOOD, "trained", release=OTHER), {"epsilon", "delta"}),
        (changed(GOOD, "trained", bundle=OTHER), {"gain_over_floor", "regression", "audit"}),
        (changed(GOOD, "statement", ledger=OTHER), {"epsilon", "delta"}),
        (changed(GOOD, "evaluation", service="ads"), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", dataset=OTHER), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", dataset=""), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", ledger=OTHER), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", split="validation"), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", chosen="common"), {"gain_over_floor", "regression"}),
        (changed(GOOD, "evaluation", confidence=0.9), {"gain_over_floor", "regression"}),
        (
            changed(GOOD, "evaluation", bundles={**EVALUATION.bundles, "deep": OTHER}),
            {"gain_over_floor", "regression"},
        ),
        (changed(GOOD, "evaluation", bundles={**EVALUATION.bundles, "champion": OTHER}), {"regression"}),
        (replace(GOOD, champion=None), {"regression"}),
        (changed(GOOD, "evaluation", paired={"champion": EVALUATION.paired["champion"]}), {"gain_over_floor"}),
        (changed(GOOD, "evaluation", paired={"floor": EVALUATION.paired["floor"]}), {"regression"}),
        (changed(GOOD, "audit", service="ads"), {"audit"}),
        (changed(GOOD, "audit", bundle=OTHER), {"audit"}),
        (changed(GOOD, "audit", steps_in_ledger=299), {"audit"}),
        (changed(GOOD, "audit", steps_in_ledger=299, steps_in_optimizer=299), {"audit"}),
        (changed(GOOD, "audit", steps_in_ledger=None, steps_in_optimizer=None), {"audit"}),
        (replace(GOOD, checks=CHECKS[:1]), {"data_checks"}),
        (replace(GOOD, checks=()), {"data_checks"}),
        (replace(GOOD, checks=(*CHECKS, CHECKS[0].model_copy(update={"table": "items"}))), {"data_checks"}),
    ],
)
def test_evidence_of_something_else_fails_the_gates_that_read_it(case, gates):
    assert failed(case) == gates


@pytest.mark.parametrize(
    ("case", "gates"),
    [
        (with_gain(GOOD, "floor", NAN, NAN, NAN), {"gain_over_floor", "regression"}),
        (with_gain(GOOD, "champion", 0.1, NAN, 0.2), {"gain_over_floor", "regression"}),
        (changed(GOOD, "statement", epsilon=NAN), {"epsilon", "delta"}),
        (changed(GOOD, "statement", delta=NAN), {"epsilon", "delta"}),
        (changed(GOOD, "statement", epsilon=float("inf")), {"epsilon", "delta"}),
        (changed(GOOD, "audit", details={"score": NAN}), {"audit"}),
        (changed(GOOD, "audit", epsilon_lower_bound=NAN), {"audit"}),
        (changed(GOOD, "audit", epsilon_claimed=None), {"audit"}),
        (changed(GOOD, "audit", one_run_lower_bound=None), {"audit"}),
        (replace(GOOD, megabytes=NAN), {"bundle_megabytes"}),
        (replace(GOOD, latency=NAN), {"latency_milliseconds"}),
        (replace(GOOD, latency=-1.0), {"latency_milliseconds"}),
        (changed(GOOD, "statement", epsilon=-0.1), {"epsilon"}),
    ],
)
def test_what_is_not_a_number_or_cannot_be_fails_and_still_leaves_a_record(case, gates, tmp_path):
    verdict = judge(params=PARAMS, case=case)
    assert {gate.gate for gate in verdict.gates if not gate.passed} == gates
    verdict.write(tmp_path / "verdict.json")


@pytest.mark.parametrize(
    ("case", "gates"),
    [
        (with_gain(GOOD, "floor", 0.03, 0.0, 0.06), {"gain_over_floor"}),
        (with_gain(GOOD, "champion", 0.0, -0.0101, 0.01), {"regression"}),
        (changed(GOOD, "statement", epsilon=3.0001), {"epsilon"}),
        (changed(GOOD, "statement", delta=1.1e-5), {"delta"}),
        (changed(GOOD, "audit", destroyed_by_noise=False), {"audit"}),
        (changed(GOOD, "audit", epsilon_lower_bound=2.01), {"audit"}),
        (changed(GOOD, "audit", one_run_lower_bound=2.01), {"audit"}),
        (changed(GOOD, "audit", canaries=999), {"audit"}),
        (changed(GOOD, "audit", canaries=0), {"audit"}),
        (replace(GOOD, megabytes=256.1), {"bundle_megabytes"}),
        (replace(GOOD, latency=50.1), {"latency_milliseconds"}),
    ],
)
def test_a_value_beyond_its_limit_fails_its_gate_alone(case, gates):
    assert failed(case) == gates


def test_a_value_at_its_limit_passes():
    case = changed(GOOD, "statement", epsilon=3.0, delta=1e-5)
    case = with_gain(case, "champion", 0.0, -0.01, 0.01)
    assert failed(replace(case, megabytes=256.0, latency=50.0)) == set()


def test_a_failed_data_check_is_named_with_its_table_and_expectation():
    broken = CHECKS[0].model_copy(update={"passed": False, "failed": ("expect_no_duplicates",)})
    dataset = DATASET.model_copy(update={"checks": (broken.digest, CHECKS[1].digest)})
    result = shown(replace(GOOD, dataset=dataset, checks=(broken, CHECKS[1])), "data_checks")
    assert not result.passed
    assert result.value == "events: expect_no_duplicates"


def test_a_dataset_that_names_no_checks_does_not_pass():
    assert "data_checks" in failed(changed(replace(GOOD, checks=()), "dataset", checks=()))


def test_without_a_champion_there_is_no_regression_and_it_says_so():
    bundles = {name: bundle for name, bundle in EVALUATION.bundles.items() if name != "champion"}
    case = replace(changed(GOOD, "evaluation", bundles=bundles), champion=None)
    assert shown(case, "regression").value == "no champion yet"
    assert failed(case) == set()


def test_the_floor_passes_as_floor_and_says_so():
    case = floor_case()
    assert shown(case, "gain_over_floor").value == "not personal: passes as floor"
    assert failed(case) == set()


def test_the_floor_without_an_evaluation_does_not_pass():
    assert failed(replace(floor_case(), evaluation=None)) == {"gain_over_floor", "regression"}


def test_the_floor_goes_instead_of_a_personal_candidate_that_does_not_beat_it():
    weak = with_gain(GOOD, "floor", 0.0, -0.01, 0.01)
    verdict = best_that_passes(params=PARAMS, case=weak, floor=floor_case())
    assert verdict.passed
    assert (verdict.candidate, verdict.personal, verdict.bundle) == ("common", False, FLOOR)
    assert verdict.details["instead_of"] == {"candidate": "deep", "failed": ["gain_over_floor"]}


def test_a_personal_candidate_that_passes_goes_itself():
    assert best_that_passes(params=PARAMS, case=GOOD, floor=floor_case()).candidate == "deep"


def test_where_nothing_passes_the_verdict_is_the_personal_candidate_s():
    weak = with_gain(GOOD, "floor", 0.0, -0.01, 0.01)
    verdict = best_that_passes(params=PARAMS, case=weak, floor=replace(floor_case(), latency=99.0))
    assert not verdict.passed
    assert verdict.candidate == "deep"


def test_a_personal_bundle_cannot_go_as_the_floor():
    weak = with_gain(GOOD, "floor", 0.0, -0.01, 0.01)
    assert not best_that_passes(params=PARAMS, case=weak, floor=GOOD).passed


def test_a_refusal_is_one_sentence_with_each_failed_gate_its_value_and_its_limit():
    case = changed(with_gain(GOOD, "floor", 0.001, -0.002, 0.004), "statement", epsilon=4.0)
    with pytest.raises(GateNotMet) as refusal:
        require_passed(judge(params=PARAMS, case=case))
    assert str(refusal.value).startswith(
        "toy/deep did not pass epsilon (found 4, limit ≤ 3), "
        "gain_over_floor (found +0.0010 [-0.0020, +0.0040], limit lower bound > 0)."
    )


def test_a_verdict_that_says_passed_over_a_failed_or_a_missing_gate_is_refused():
    refused = judge(params=PARAMS, case=replace(GOOD, latency=99.0))
    with pytest.raises(GateNotMet, match="latency"):
        require_passed(refused.model_copy(update={"passed": True}))
    with pytest.raises(GateNotMet, match="not judged"):
        require_passed(judge(params=PARAMS, case=GOOD).model_copy(update={"gates": ()}))


def audit_gate(case, **limits):
    verdict = judge(params=PARAMS.model_copy(update=limits), case=case)
    return next(gate for gate in verdict.gates if gate.gate == "audit")


def test_the_audit_gate_says_what_the_canaries_proved_and_what_they_could_have():
    gate = audit_gate(GOOD)
    assert gate.passed
    assert gate.value.startswith("1000 canaries prove ε ≥ 1.6 (one-run bound 0.2), and would prove 1.7 were the claim")
    assert gate.limit == "at most the claimed ε = 2, destroyed by noise, equal steps"


def test_the_audit_gate_speaks_of_steps_only_where_there_are_steps():
    gate = audit_gate(floor_case())
    assert gate.passed
    assert "steps" not in gate.value + gate.limit
    assert "None" not in gate.value


def test_a_training_without_canaries_passes_only_where_none_are_asked_for():
    bare = changed(GOOD, "audit", canaries=0, epsilon_lower_bound=None, epsilon_claimed=None)
    assert "no canaries" in audit_gate(bare).value
    assert not audit_gate(bare).passed
    assert audit_gate(bare, canaries=0).passed
